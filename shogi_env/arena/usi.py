"""Any engine that speaks USI as a player.

The protocol: http://hgm.nubati.net/usi.html (its origin: http://shogidokoro.starfree.jp/usi.html).
Only what a match needs is spoken; an engine is asked one question at a time.
"""

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from shogi_env.arena.engines import Engine, EnginePlayer, start_all

_GO = {
    "depth": "go depth {}",
    "nodes": "go nodes {}",
    "movetime": "go movetime {}",
    "byoyomi": "go btime 0 wtime 0 byoyomi {}",
}
_UNLISTED = ("USI_Hash", "USI_Ponder")
"""Options that the protocol lets a GUI set without the engine having named them."""
_OPTION = re.compile(r"option name (.+?) type (check|spin|combo|button|string|filename)\b(.*)")
_LIMIT = re.compile(r"\b(min|max) (-?\d+)")
_CHOICE = re.compile(r"\bvar (.+?)(?= var |$)")
_SCORE = re.compile(r"info .*?\bscore (?:cp ([+-]?\d+)|mate ([+-]?\d*))(?! *\d| (?:lower|upper)bound)")
MATE_SCORE = 32_000
"""Centipawns that a mate counts in `Judgement.score`."""


class Judgement(NamedTuple):
    """What an engine said of a position."""

    move: str
    """What follows ``bestmove``: a move in USI, "resign" or "win", as the engine wrote it."""
    score: int | None
    """The last score that was no mere bound, in centipawns to the side to move; None if there was none."""


@dataclass(frozen=True, slots=True)
class UsiOption:
    """An option as the engine declares it."""

    name: str
    kind: str
    """check, spin, combo, button, string or filename."""
    low: int | None = None
    high: int | None = None
    """Range of a spin."""
    choices: tuple[str, ...] = ()
    """Values of a combo."""

    @classmethod
    def from_line(cls, line: str) -> "UsiOption | None":
        """Read a line ``option name ... type ...``; None for any other line."""
        match = _OPTION.fullmatch(line)
        if match is None:
            return None
        name, kind, rest = match.groups()
        if kind == "spin":
            limits = dict(_LIMIT.findall(rest))
            low, high = (int(limits[side]) if side in limits else None for side in ("min", "max"))
            return cls(name, kind, low, high)
        return cls(name, kind, choices=tuple(_CHOICE.findall(rest)) if kind == "combo" else ())

    def check(self, value: str) -> None:
        """Refuse a value that the engine would silently ignore.

        Raises:
            ValueError: it is not one of the declared ones.
        """
        allowed = ""
        if self.kind == "spin":
            number = int(value) if re.fullmatch(r"-?\d+", value) else None
            low, high = self.low, self.high
            if number is None or (low is not None and number < low) or (high is not None and number > high):
                allowed = f"an integer {'' if low is None else low}..{'' if high is None else high}"
        elif self.kind == "check" and value not in ("true", "false"):
            allowed = "true or false"
        elif self.kind == "combo" and value not in self.choices:
            allowed = f"one of {', '.join(self.choices)}"
        if allowed or "\n" in value:
            raise ValueError(f"the engine's option {self.name!r} is {allowed or 'one line'}, not {value!r}")


def parse_go(go: str) -> tuple[str, float]:
    """Read how long an engine may think.

    Args:
        go: ``depth N``, ``nodes N``, ``movetime MS`` or ``byoyomi MS``, each number at least 1.

    Returns:
        The USI command, and the seconds of thinking it allows (0 where it limits no time).

    Raises:
        ValueError: it is none of these.
    """
    match = re.fullmatch(r"(depth|nodes|movetime|byoyomi) ([1-9][0-9]{0,9})", go)
    if match is None:
        raise ValueError(f'go is "depth N", "nodes N", "movetime MS" or "byoyomi MS", not {go!r}')
    kind, number = match.groups()
    return _GO[kind].format(number), int(number) / 1000 if kind in ("movetime", "byoyomi") else 0.0


class UsiEngine(Engine):
    """One engine process, which is started again when it dies.

    Args:
        command: program and arguments, in one text as for a shell or one by one.
        options: values of options that the engine declares, such as ``{"Skill Level": "-10"}``.
        timeout: seconds to wait for an answer, on top of the thinking time.

    Raises:
        EngineError: it cannot be started, or does not speak USI.
        ValueError: it has no option of a name, or the value does not fit.

    Attributes:
        name: what it calls itself.
        author: whom it names.
        options: what it declares, by name.
    """

    def __init__(
        self,
        command: Sequence[str] | str,
        options: Mapping[str, str] | None = None,
        *,
        timeout: float = 60.0,
    ) -> None:
        self._settings = dict(options or {})
        self._new = True
        self.author = ""
        self.options: dict[str, UsiOption] = {}
        super().__init__(command, timeout)

    def _greet(self) -> None:
        self._ask(["usi"], self._hear, "usi")
        lines = [self._setting(name, value) for name, value in self._settings.items()]
        self._ask([*lines, "isready"], lambda line: "" if line == "readyok" else None, "isready")
        self._new = True

    def _hear(self, line: str) -> str | None:
        """Note what the engine says of itself; "" at the end of it."""
        if line.startswith("id name "):
            self.name = line.removeprefix("id name ").strip()
        elif line.startswith("id author "):
            self.author = line.removeprefix("id author ").strip()
        elif (option := UsiOption.from_line(line)) is not None:
            self.options[option.name] = option
        return "" if line == "usiok" else None

    def _setting(self, name: str, value: str) -> str:
        option = self.options.get(name)
        if option is None and name not in _UNLISTED:
            near = difflib.get_close_matches(name, self.options, 1, 0.0)
            hint = f"; the nearest is {near[0]!r}" if near else "; it has none"
            raise ValueError(f"{self.name} has no option {name!r}{hint}")
        if option is not None:
            option.check(value)
            if option.kind == "button":
                return f"setoption name {name}"
        return f"setoption name {name} value {value}"

    def new_game(self) -> None:
        """Let the next question be of a new game, for which the engine forgets what it knew."""
        self._new = True

    def choose(self, start: str, moves: Sequence[str], go: str = "depth 2") -> str:
        """Ask for a move; see `judge`."""
        return self.judge(start, moves, go).move

    def judge(self, start: str, moves: Sequence[str], go: str = "depth 2") -> Judgement:
        """Ask for a move and a score.

        Args:
            start: SFEN of the position that the moves start from.
            moves: USI moves since then.
            go: as for `parse_go`.

        Raises:
            EngineError: no answer in time, or it died of the question twice.
            ValueError: `go` is not understood.
        """
        command, think = parse_go(go)
        # Never "startpos": after another game's "sfen", gpsusi 0.7 hangs at "startpos moves ...".
        position = " ".join(["position sfen", start, *(["moves"] if moves else []), *moves])
        asked = f"{position}; {command}"
        advice = "" if think else f" (an engine may know byoyomi only, and not {go.split()[0]})"

        def ask() -> Judgement:
            score: int | None = None

            def hear(line: str) -> str | None:
                nonlocal score
                found = _SCORE.match(line)
                if found:
                    score = _centipawns(*found.groups(""))
                return _best_move(line)

            lines = [*(["usinewgame"] if self._new else []), position, command]
            answer = self._ask(lines, hear, asked, think=think, advice=advice)
            self._new = False
            return Judgement(answer, score)

        return self._ask_again(ask, asked)


def _centipawns(centipawns: str, mate: str) -> int:
    """A score; of a mate the sign counts, and an engine may write it alone."""
    if centipawns:
        return int(centipawns)
    return -MATE_SCORE if mate.startswith("-") else MATE_SCORE


def _best_move(line: str) -> str | None:
    words = line.split()
    if not words or words[0] != "bestmove":
        return None
    return words[1] if len(words) > 1 else ""


class UsiPlayer(EnginePlayer):
    """A USI engine as an opponent.

    A process plays its games by turns and hears ``usinewgame`` when one begins, so that what it
    remembers, and by that a move, can depend on the games that are played at the same time.

    Args:
        command: program and arguments, in one text as for a shell or one by one.
        go: how long it thinks, see `parse_go`.
        options: values of options that the engine declares.
        processes: how many of it run at once; game i is played by process ``i % processes``.
        timeout: seconds to wait for an answer, on top of the thinking time.

    Raises:
        EngineError: it cannot be started, or does not speak USI.
        ValueError: an argument is none of these.
    """

    def __init__(
        self,
        command: Sequence[str] | str,
        *,
        go: str = "depth 2",
        options: Mapping[str, str] | None = None,
        processes: int = 1,
        timeout: float = 60.0,
    ) -> None:
        parse_go(go)
        engines = start_all(processes, lambda: UsiEngine(command, options, timeout=timeout))

        def ask(engine: int, start: str, moves: Sequence[str]) -> str:
            if not moves:
                engines[engine].new_game()
            return engines[engine].choose(start, moves, go)

        super().__init__(engines, ask)
