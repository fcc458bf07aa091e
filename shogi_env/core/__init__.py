"""The game as arrays in, arrays out: compiled functions over rows of a structured array."""
