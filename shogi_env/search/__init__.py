"""Search: trees guided by a network, and a solver of mates."""
