"""Where the games of a match start: bundled positions, a file's, or random ones; never one twice."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from shogi_env.arena.digest import digest_of, seed_of
from shogi_env.board import Board
from shogi_env.errors import SfenError, ShogiError
from shogi_env.notation.sfen import START_SFEN

BUNDLED = ("balanced",)
"""Sets of openings that come with the package, ``data/openings-NAME.txt``; each says how it was made."""
_TRIES = 50
"""Random openings that may fail, because they end the game or are known, before they get longer."""
_MORE = 2
"""Random plies added each time that a set was gone through, or that there is nothing new."""
_LONGEST = 200


@dataclass(frozen=True, slots=True)
class Opening:
    """How a game starts."""

    start: str = START_SFEN
    """SFEN."""
    moves: tuple[str, ...] = ()
    """Played from there, in USI."""


class Openings:
    """An endless sequence of openings: number k is the same for the same name and seed.

    All of them lead to different positions, but for "start", which is always the even game.

    Args:
        name: what `load_openings` was asked for.
        entries: openings that lead to different positions.
        digest: names the set in a match's event.
        seed: decides their order and all random plies.
        plies: random plies that follow each; None for as many as it takes to have no repetition.

    Attributes:
        name: as given.
        digest: as given.
        seed: as given.
    """

    def __init__(
        self, name: str, entries: Sequence[Opening], digest: str, *, seed: int, plies: int | None = None
    ) -> None:
        self.name, self.digest, self.seed = name, digest, seed
        self._entries, self._plies = tuple(entries), plies
        self._drawn: list[Opening] = []
        self._seen: set[str] = set()
        self._order: list[int] = []

    @property
    def size(self) -> int:
        """Openings before random plies are added to them."""
        return len(self._entries)

    @property
    def repeat(self) -> bool:
        """Whether all of them are the same."""
        return self.name == "start"

    def __getitem__(self, k: int) -> Opening:
        """Opening k, counted from 0."""
        if k < 0:
            raise IndexError(f"openings are counted from 0, not {k}")
        if self.repeat:
            return self._entries[0]
        while len(self._drawn) <= k:
            self._drawn.append(self._next(len(self._drawn)))
        return self._drawn[k]

    def _next(self, k: int) -> Opening:
        turn, place = divmod(k, len(self._entries))
        if place == 0:
            numbers = range(len(self._entries))
            self._order = sorted(numbers, key=lambda n: digest_of("order", self.seed, turn, n))
        entry = self._entries[self._order[place]]
        if self._plies is None and turn == 0:
            return entry
        if self._plies is None and turn == 1 and place == 0:
            self._seen = {_position(entry) for entry in self._entries}
        least = self._plies if self._plies is not None else _MORE * turn
        for plies in range(least, _LONGEST, _MORE):
            for attempt in range(_TRIES):
                found = _extend(entry, plies, seed_of("plies", self.seed, k, plies, attempt))
                if found is not None and found[1] not in self._seen:
                    self._seen.add(found[1])
                    return found[0]
        raise ValueError(f"openings {self.name!r}: nothing new comes after opening {k}")


def load_openings(name: str = "balanced", seed: int = 0) -> Openings:
    """Find openings.

    Args:
        name: "balanced" (even for both sides by an engine's judgement), "start" (always the even
            game), "random:PLIES" (random legal moves from there), or a file with one opening in
            each line: "startpos", "sfen SFEN" or a bare SFEN, then maybe "moves" and moves in USI;
            what follows a "#" is not read.
        seed: decides order and random plies.

    Raises:
        ValueError: there is neither a set nor a file of that name, or a line of the file is wrong.
    """
    if name == "start":
        return Openings(name, [Opening()], name, seed=seed)
    if name.startswith("random:"):
        plies = name.removeprefix("random:")
        if not (plies.isascii() and plies.isdigit() and 1 <= int(plies) <= 100):
            raise ValueError(f"openings {name!r}: write random:PLIES, PLIES a number 1..100")
        return Openings(name, [Opening()], name, seed=seed, plies=int(plies))
    if name in BUNDLED:
        text = resources.files(__package__).joinpath("data", f"openings-{name}.txt").read_text("utf-8")
        return Openings(name, [opening for _, opening in _read(text)], digest_of(text), seed=seed)
    try:
        text = Path(name).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        names = ", ".join((*BUNDLED, "start", "random:PLIES"))
        raise ValueError(f"openings {name!r} are none of {names}, nor a file: {error}") from None
    entries = _check(_read(text), name)
    return Openings(name, entries, digest_of(text), seed=seed)


def _read(text: str) -> Iterable[tuple[int, Opening]]:
    """Each opening of a file with its line number."""
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        start, moves = words, []
        if "moves" in words:
            at = words.index("moves")
            start, moves = words[:at], words[at + 1 :]
        start = start[1:] if start[:1] == ["sfen"] else start
        yield number, Opening(START_SFEN if start == ["startpos"] else " ".join(start), tuple(moves))


def _check(openings: Iterable[tuple[int, Opening]], source: str) -> list[Opening]:
    """The openings of a file, if all of them can be played and differ."""
    lines: dict[str, int] = {}
    entries = []
    for number, opening in openings:
        try:
            position = _position(opening)
        except ShogiError as error:
            raise ValueError(f"{source}:{number}: {error}") from None
        if position in lines:
            raise ValueError(f"{source}:{number}: the same position as line {lines[position]}")
        lines[position] = number
        entries.append(opening)
    if not entries:
        raise ValueError(f"{source}: holds no opening")
    return entries


def _position(opening: Opening) -> str:
    """Where an opening leads: SFEN without the move number.

    Raises:
        ShogiError: it cannot be played, or the game is over there.
    """
    if " " not in opening.start:
        raise SfenError(f"{opening.start!r} is not an SFEN")
    board = Board(opening.start)
    for move in opening.moves:
        board.push_usi(move)
    if board.outcome() is not None:
        raise SfenError(f"the game is over there: {board.sfen()}")
    return board.sfen().rpartition(" ")[0]


def _extend(opening: Opening, plies: int, seed: int) -> tuple[Opening, str] | None:
    """An opening with random plies after it, and its position; None where they end the game."""
    board = Board(opening.start)
    for move in opening.moves:
        board.push_usi(move)
    for ply in range(plies):
        choices = list(board.legal_moves)
        board.push(choices[seed_of(seed, ply) % len(choices)])
        if board.outcome() is not None:
            return None
    moves = tuple(str(move) for move in board.moves)
    return Opening(opening.start, moves), board.sfen().rpartition(" ")[0]
