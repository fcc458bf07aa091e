"""Networks from planes to (logits, value); torch only."""
