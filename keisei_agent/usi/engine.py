"""USI: what the engine answers to each line. Until `isready`, only the standard library is imported.

The protocol is Shogidokoro's, http://shogidokoro.starfree.jp/usi.html.
"""

import importlib.metadata
import os
import re
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from keisei_agent.usi.thinking import Game, Thinker, Thought

RESIGN_AFTER = 3
"""Own moves in a row with a win probability below ResignValue before the engine resigns."""
_RESERVED = ("usi_hash", "usi_ponder")  # every GUI sends them, whether an engine declares them or not
_SIGN_EVERY = 5.0  # seconds between signs of life; YaneuraOu's interval


class Option(NamedTuple):
    """An engine option as a GUI sees it."""

    name: str
    kind: str
    default: str
    low: int = 0
    high: int = 0
    pattern: str = ".*"

    def declare(self) -> str:
        """Return the line for `usi`.

        Nobody knows a GUI's encoding, so a default that is not ASCII is shown as empty, which
        means the default anyway.
        """
        shown = _ascii_or_empty(self.default)
        bounds = f" min {self.low} max {self.high}" if self.kind == "spin" else ""
        return f"option name {self.name} type {self.kind} default {shown or '<empty>'}{bounds}"

    def check(self, value: str) -> str:
        """Return the value to use: an empty one stands for the default.

        Raises:
            ValueError: the option cannot have this value.
        """
        if value in ("", "<empty>"):
            return self.default
        if self.kind == "spin":
            if not (re.fullmatch(r"[+-]?\d{1,9}", value) and self.low <= int(value) <= self.high):
                raise ValueError(f"{self.name} is a whole number from {self.low} to {self.high}")
        elif not re.fullmatch(self.pattern, value):
            raise ValueError(f"{self.name} matches {self.pattern}")
        return value


def declare_options(model: str) -> tuple[Option, ...]:
    """Return the engine's options; `model` is the default of the first."""
    return (
        Option("Model", "filename", model),
        Option("Temperature", "spin", "0", 0, 1000),
        Option("ResignValue", "spin", "0", 0, 100),
        Option("Device", "string", "cpu", pattern=r"auto|cpu|mps|cuda(:\d+)?"),
        Option("Threads", "spin", "1", 1, 512),
    )


class EngineError(Exception):
    """The engine cannot go on and has no honest answer; the text is one line.

    The process ends, so that a GUI reports an engine that stopped and not a game that was lost.
    """


class Engine:
    """Answers USI commands, one line at a time.

    A move takes one evaluation of the network, so nothing has to be interrupted: for `go infinite`
    and `go ponder` the finished answer is held back until `stop` or `ponderhit`.
    """

    def __init__(self, say: Callable[[str], None], model: str = "") -> None:
        """Make an engine that knows no position yet.

        Args:
            say: sends a line to the GUI.
            model: run folder or checkpoint to play with until the GUI names another; "" for none.
        """
        self._say = say
        label = _ascii_or_empty(Path(model).name.removesuffix(".safetensors"))
        self.name = f"Keisei {importlib.metadata.version('keisei')} {label}".strip()
        self.options = {option.name.lower(): option for option in declare_options(model)}
        self.values = {option.name: option.default for option in self.options.values()}
        self._thinker: Thinker | None = None
        self._loaded: tuple[str, str, int] | None = None
        self._game: Game | None = None
        self._position = "startpos"
        self._refusal = ""
        self._held: Thought | None = None
        self._judged: tuple[str, ...] = ()
        self._hopeless = 0
        self._handlers: dict[str, Callable[[str], None]] = {
            "usi": self._usi,
            "isready": self._isready,
            "setoption": self._setoption,
            "usinewgame": self._usinewgame,
            "position": self._set_position,
            "go": self._go,
            "stop": self._stop,
            "ponderhit": self._ponderhit,
            "gameover": self._stop,  # also ends a search, as in YaneuraOu
        }

    def obey(self, line: str) -> None:
        """Carry out one line. Unknown and malformed ones are answered with an `info string`.

        Raises:
            EngineError: no model can be loaded.
        """
        command, rest = (*line.split(maxsplit=1), "", "")[:2]
        handler = self._handlers.get(command)
        if handler is not None:
            handler(rest.strip())
        elif command:
            self._inform(f"unknown command {command[:40]!r}")

    def _inform(self, text: str) -> None:
        self._say(f"info string {_one_line(text)}")

    def _usi(self, _: str) -> None:
        self._say(f"id name {self.name}")
        self._say("id author The Keisei authors")
        for option in self.options.values():
            self._say(option.declare())
        self._say("usiok")

    def _setoption(self, rest: str) -> None:
        match = re.fullmatch(r"name\s+(.+?)(?:\s+value(?:\s+(.*))?)?", rest, re.DOTALL)
        name, value = (match[1], match[2] or "") if match else ("", "")
        option = self.options.get(name.lower())
        try:
            if option is not None:
                self.values[option.name] = option.check(value.strip())
            elif name.lower() not in _RESERVED:
                self._inform(f"error: no option {name[:40]!r}")
        except ValueError as error:
            self._inform(f"error: {error}, not {value!r:.80}")

    def _isready(self, _: str) -> None:
        self._load()
        self._say("readyok")

    def _usinewgame(self, _: str) -> None:
        self._stop("")
        self._judged, self._hopeless = (), 0

    def _set_position(self, rest: str) -> None:
        self._position = rest
        if self._game is not None:
            self._set_up(self._game)

    def _set_up(self, game: "Game") -> None:
        """Take over the position; one that is malformed or illegal leaves the one before."""
        try:
            game.set_up(self._position)
            self._refusal = ""
        except ValueError as error:
            self._refusal = f"error: position refused, the one before stays: {error!s:.300}"
            self._inform(self._refusal)
            _log(self._refusal)

    def _go(self, rest: str) -> None:
        began = time.monotonic()
        self._stop("")  # an answer that the GUI did not wait for
        if self._thinker is None:
            self._load()
        assert self._thinker is not None and self._game is not None
        if self._refusal:
            self._inform(self._refusal)
        words = rest.split()
        if "mate" in words:
            self._say(f"checkmate {self._thinker.find_mate(self._game.board)}")
            return
        thought = self._thinker.think(self._game.board, int(self.values["Temperature"]) / 100)
        if thought.score:
            milliseconds = round(1000 * (time.monotonic() - began))
            self._say(f"info depth 1 nodes 1 time {milliseconds} score {thought.score} pv {thought.move}")
        if "infinite" in words or "ponder" in words:
            self._held = thought
        else:
            self._answer(thought)

    def _stop(self, _: str) -> None:
        """Give the answer that is held back. It ends an analysis or a wrong guess, so never by resigning."""
        if self._held is not None:
            self._say(f"bestmove {self._held.move}")
            self._held = None

    def _ponderhit(self, _: str) -> None:
        if self._held is not None:
            thought, self._held = self._held, None
            self._answer(thought)

    def _answer(self, thought: "Thought") -> None:
        self._say(f"bestmove {'resign' if self._gives_up(thought.chance) else thought.move}")

    def _gives_up(self, chance: float) -> bool:
        """Whether ResignValue was missed often enough in a row, in this game."""
        assert self._game is not None
        game = (self._game.start or "", *self._game.moves)
        before, self._judged = self._judged, game
        if not (len(game) > len(before) and game[: len(before)] == before):
            self._hopeless = 0
        self._hopeless = self._hopeless + 1 if 100 * chance < int(self.values["ResignValue"]) else 0
        return self._hopeless >= RESIGN_AFTER

    def _load(self) -> None:
        """Load what the options name, if it is not what is loaded."""
        wanted = (self.values["Model"], self.values["Device"], int(self.values["Threads"]))
        if wanted == self._loaded:
            return
        if not wanted[0]:
            raise EngineError(
                "no model: set the option Model to a run's folder, or to a checkpoint RUN/checkpoints/NUMBER"
            )
        self._inform(f"loading {wanted[0]}; the first time also compiles the rules, for some seconds")
        try:
            with _signs_of_life(self._inform):
                os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read by torch; idle threads then sleep
                from keisei_agent.usi.thinking import Game, load  # slow: torch, Numba

                self._thinker = load(*wanted)
        except (ValueError, OSError, RuntimeError) as error:  # RuntimeError is torch's
            raise EngineError(f"cannot load the model: {_one_line(error)}") from error
        self._loaded = wanted
        self._inform(f"loaded {self._thinker.about}")
        if self._game is None:
            self._game = Game()
            self._set_up(self._game)


def serve(lines: Iterable[str], say: Callable[[str], None], model: str = "") -> int:
    """Answer lines until they end; return 0, or 1 if the engine could not go on."""
    engine = Engine(say, model)
    try:
        for line in lines:
            engine.obey(line)
        engine.obey("stop")
        return 0
    except BrokenPipeError:  # the GUI is gone
        return 1
    except Exception as error:
        if not isinstance(error, EngineError):
            traceback.print_exc()
        say(f"info string error: {_one_line(error)}")
        _log(f"error: {_one_line(error)}")
        return 1


@contextmanager
def _signs_of_life(inform: Callable[[str], None]) -> Iterator[None]:
    """Say something now and then: a GUI may take an engine that is silent for too long for dead."""
    done = threading.Event()

    def speak() -> None:
        while not done.wait(_SIGN_EVERY):
            inform("still loading")

    thread = threading.Thread(target=speak, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _log(text: str) -> None:
    print(f"keisei-usi: {text}", file=sys.stderr, flush=True)


def _one_line(text: object) -> str:
    return " ".join(str(text).split()) or type(text).__name__


def _ascii_or_empty(text: str) -> str:
    return text if text.isascii() else ""
