"""A second, slow set of rules to test the fast one: lists and loops, straight from the rule book.

It shares nothing with `shogi_env.core`.  Squares are (file, rank) with (1, 1) the far right corner of
Black; the side to move is always "us" and moves towards smaller ranks, the board is turned for White.
"""

from collections.abc import Iterator

Square = tuple[int, int]

GOLD_STEPS = ((0, -1), (1, -1), (-1, -1), (1, 0), (-1, 0), (0, 1))
SILVER_STEPS = ((0, -1), (1, -1), (-1, -1), (1, 1), (-1, 1))
DIAGONALS = ((1, -1), (-1, -1), (1, 1), (-1, 1))
STRAIGHTS = ((0, -1), (1, 0), (-1, 0), (0, 1))
STEPS = {
    "P": ((0, -1),), "N": ((1, -2), (-1, -2)), "S": SILVER_STEPS, "G": GOLD_STEPS,
    "K": DIAGONALS + STRAIGHTS, "+P": GOLD_STEPS, "+L": GOLD_STEPS, "+N": GOLD_STEPS, "+S": GOLD_STEPS,
    "+B": STRAIGHTS, "+R": DIAGONALS,
}  # fmt: skip
SLIDES = {"L": ((0, -1),), "B": DIAGONALS, "R": STRAIGHTS, "+B": DIAGONALS, "+R": STRAIGHTS}
# Directions of the action planes: where the piece goes, file growing to the left.
ACTION_STEPS = ((0, -1), (1, -1), (-1, -1), (1, 0), (-1, 0), (0, 1), (1, 1), (-1, 1), (1, -2), (-1, -2))
DROPS = "PLNSBRG"


class Game:
    """A position as the side to move sees it: `board` maps squares to (piece, is_ours)."""

    def __init__(self, sfen: str) -> None:
        board, turn, hands, _ = sfen.split(" ")
        white = turn == "w"
        self.board: dict[Square, tuple[str, bool]] = {}
        for rank, row in enumerate(board.split("/"), start=1):
            file, plus = 9, ""
            for char in row:
                if char == "+":
                    plus = char
                elif char.isdigit():
                    file -= int(char)
                else:
                    square = (10 - file, 10 - rank) if white else (file, rank)
                    self.board[square] = (plus + char.upper(), char.islower() == white)
                    file, plus = file - 1, ""
        self.hand = {char.upper() for char in hands if char.isalpha() and char.islower() == white}

    def reach(self, square: Square) -> Iterator[Square]:
        """Squares the piece on `square` attacks."""
        piece, ours = self.board[square]
        sign = 1 if ours else -1
        for df, dr in STEPS.get(piece, ()):
            yield square[0] + sign * df, square[1] + sign * dr
        for df, dr in SLIDES.get(piece, ()):
            to = square[0] + sign * df, square[1] + sign * dr
            while 1 <= to[0] <= 9 and 1 <= to[1] <= 9:
                yield to
                if to in self.board:
                    break
                to = to[0] + sign * df, to[1] + sign * dr

    def in_check(self, ours: bool) -> bool:
        """Whether a side's king is attacked; a missing king never is."""
        kings = [square for square, piece in self.board.items() if piece == ("K", ours)]
        return any(
            kings[0] in self.reach(square)
            for square, (_, side) in self.board.items()
            if kings and side != ours
        )

    def safe_after(self, source: Square | None, to: Square, piece: tuple[str, bool]) -> bool:
        """Whether the mover's king is not attacked once `piece` stands on `to`."""
        before = dict(self.board)
        if source:
            del self.board[source]
        self.board[to] = piece
        safe = not self.in_check(piece[1])
        self.board = before
        return safe

    def is_mated_by_drop(self, to: Square) -> bool:
        """Whether a pawn on `to` checks their king and no move of a piece on the board answers it."""
        self.board[to] = ("P", True)
        mated = self.in_check(False) and not any(
            self.board.get(target, ("", True))[1] and self.safe_after(square, target, piece)
            for square, piece in list(self.board.items())
            if not piece[1]
            for target in list(self.reach(square))
            if 1 <= target[0] <= 9 and 1 <= target[1] <= 9
        )
        del self.board[to]
        return mated

    def is_legal(self, action: int) -> bool:
        """Whether an action 0..2186 may be played."""
        plane, cell = divmod(action, 81)
        to = cell // 9 + 1, cell % 9 + 1
        if plane >= 20:
            return self.is_legal_drop(DROPS[plane - 20], to)
        df, dr = ACTION_STEPS[plane % 10]
        source = to[0] - df, to[1] - dr
        while plane % 10 < 8 and source not in self.board and 1 <= source[0] <= 9 and 1 <= source[1] <= 9:
            source = source[0] - df, source[1] - dr
        piece, ours = self.board.get(source, ("", False))
        if not ours or to not in self.reach(source) or self.board.get(to, ("", False))[1]:
            return False
        if plane >= 10:
            if piece in "GK" or piece[0] == "+" or min(source[1], to[1]) > 3:
                return False
            piece = "+" + piece
        elif to[1] <= {"P": 1, "L": 1, "N": 2}.get(piece, 0):
            return False
        return self.safe_after(source, to, (piece, True))

    def is_legal_drop(self, piece: str, to: Square) -> bool:
        """Whether a piece in hand may be dropped."""
        if piece not in self.hand or to in self.board or to[1] <= {"P": 1, "L": 1, "N": 2}.get(piece, 0):
            return False
        if not self.safe_after(None, to, (piece, True)):
            return False
        if piece != "P":
            return True
        return ("P", True) not in [self.board.get((to[0], rank)) for rank in range(1, 10)] and (
            not self.is_mated_by_drop(to)
        )
