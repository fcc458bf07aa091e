"""A training run: its parts, its folder, what it saves and how it goes on."""
