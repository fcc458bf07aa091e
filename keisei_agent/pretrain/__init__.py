"""Supervised learning from games: `keisei-pretrain`."""
