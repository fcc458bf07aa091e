"""Opponents of the learner: its earlier selves and other players."""
