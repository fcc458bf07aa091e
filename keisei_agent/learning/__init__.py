"""How a policy learns from games against itself."""
