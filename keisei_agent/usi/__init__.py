"""A trained player as a USI engine."""
