"""Shogi as text: positions (SFEN) and moves (USI).  Plain Python, nothing compiled."""
