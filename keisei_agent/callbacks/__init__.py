"""What happens around learning, one file per callback."""
