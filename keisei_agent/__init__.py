"""Self-play training of shogi players on `shogi_env`, with stable-baselines3.

Nothing is imported here, so that the command line starts fast; see `keisei_agent.train.train`.
"""
