"""Errors of shogi_env: all are `ValueError`s whose text names the value and the reason."""


class ShogiError(ValueError):
    """Base of every error that shogi_env raises about shogi."""


class SfenError(ShogiError):
    """A text is not SFEN, or describes a position that cannot occur."""


class UsiError(ShogiError):
    """A text is not a move in USI notation."""


class IllegalMoveError(ShogiError):
    """A well-formed move or action is not legal in the position; nothing was changed."""


class RecordError(ShogiError):
    """A game record cannot be read."""
