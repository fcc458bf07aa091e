"""USI: what the engine answers to each line. Until `isready`, only the standard library is imported.

The protocol is Shogidokoro's, http://shogidokoro.starfree.jp/usi.html.
"""

import importlib.metadata
import os
import re
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from keisei_agent.usi.limits import Clock, parse_limits
from keisei_agent.usi.options import ascii_or_empty, declare_options

if TYPE_CHECKING:
    from keisei_agent.usi.searching import Searcher
    from keisei_agent.usi.thinking import Game, Thinker
    from shogi_env import Board

RESIGN_AFTER = 3
"""Own moves in a row with a win probability below ResignValue before the engine resigns."""
_SIGN_EVERY = 5.0  # seconds between signs of life; YaneuraOu's interval


class EngineError(Exception):
    """The engine cannot go on and has no honest answer; the text is one line.

    The process ends, so that a GUI reports an engine that stopped and not a game that was lost.
    """


class Engine:
    """Answers USI commands, one line at a time; a thread thinks, so that `stop` is heard.

    For `go infinite` and `go ponder` a finished answer is held back until `stop` or `ponderhit`.

    Attributes:
        failure: what ended the thread that thinks, None while all is well.
    """

    def __init__(
        self, say: Callable[[str], None], model: str = "", fail: Callable[[Exception], None] | None = None
    ) -> None:
        """Make an engine that knows no position yet.

        Args:
            say: sends a line to the GUI.
            model: run folder or checkpoint to play with until the GUI names another; "" for the
                strongest level.
            fail: told what ended the thread that thinks, in that thread.
        """
        self._say = say
        self._fail = fail
        self.failure: Exception | None = None
        label = ascii_or_empty(Path(model).name.removesuffix(".safetensors"))
        self.name = f"Keisei {importlib.metadata.version('keisei')} {label}".strip()
        self.options = {option.name.lower(): option for option in declare_options(model)}
        self.values = {option.name: option.default for option in self.options.values()}
        self._thinker: Thinker | None = None
        self._searcher: Searcher | None = None
        self._loaded: tuple[str, int, str, int] | None = None
        self._hash = 0
        self._game: Game | None = None
        self._position = "startpos"
        self._refusal = ""
        self._clock: Clock | None = None
        self._thread: threading.Thread | None = None
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
            else:
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
        self._stop("")  # an answer that the GUI did not wait for
        if self._thinker is None:
            self._load()
        assert self._game is not None
        if self._refusal:
            self._inform(self._refusal)
        limits, board = parse_limits(rest), self._game.board.copy()
        delay = int(self.values["NetworkDelay"]) / 1000
        self._clock = Clock(limits, limits.seconds(board.turn, delay))
        work = self._find_mate if limits.mate is not None else self._think
        self._thread = threading.Thread(target=self._try, args=(work, board, self._clock), daemon=True)
        self._thread.start()

    def _try(self, work: "Callable[[Board, Clock], None]", board: "Board", clock: Clock) -> None:
        """Work in the thread that thinks; what fails there is told."""
        try:
            work(board, clock)
        except Exception as error:
            self.failure = error
            if self._fail is not None:
                self._fail(error)

    def _think(self, board: "Board", clock: Clock) -> None:
        assert self._thinker is not None
        temperature = int(self.values["Temperature"]) / 100
        if self._is_searching():
            thought = self._make_searcher().think(
                board,
                clock,
                lambda text: self._say(f"info {text}"),
                temperature=temperature,
                lines=int(self.values["MultiPV"]),
            )
        else:
            thought = self._thinker.think(board, temperature)
            if thought.score:
                milliseconds = round(1000 * clock.elapsed)
                self._say(f"info depth 1 nodes 1 time {milliseconds} score {thought.score} pv {thought.move}")
        clock.wait()
        # what the GUI stops is an analysis or a wrong guess: no reason to resign
        gives_up = not clock.is_stopped and self._gives_up(thought.chance)
        self._say(f"bestmove {'resign' if gives_up else thought.move}")

    def _find_mate(self, board: "Board", clock: Clock) -> None:
        seconds = clock.limits.mate
        assert seconds is not None
        self._say(f"checkmate {self._make_searcher().find_mate(board, seconds, clock)}")

    def _is_searching(self) -> bool:
        return self.values["Search"] == "true"

    def _make_searcher(self) -> "Searcher":
        """The searcher of the model that is loaded."""
        assert self._thinker is not None
        size = int(self.values["USI_Hash"])
        if self._searcher is None or self._hash != size:
            from keisei_agent.usi.searching import Searcher

            self._searcher, self._hash = Searcher(self._thinker, size), size
        return self._searcher

    def _stop(self, _: str) -> None:
        """Have the answer now, if one is still to come, and wait until it is given."""
        if self._clock is not None:
            self._clock.stop()
        if self._thread is not None:
            self._thread.join()
        self._clock = self._thread = None

    def _ponderhit(self, _: str) -> None:
        if self._clock is not None:
            self._clock.ponderhit()

    def wait(self) -> None:
        """Wait for the answer to a `go` that ends by itself."""
        if self._thread is not None and self._clock is not None and not self._clock.is_open:
            self._thread.join()

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
        level, threads = int(self.values["Level"]), int(self.values["Threads"])
        wanted = self.values["Model"], level, self.values["Device"], threads
        if wanted == self._loaded:
            return
        self._stop("")  # it thinks with what is loaded
        self._inform("loading; the first time also compiles the rules, for some seconds")
        try:
            with _signs_of_life(self._inform):
                os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read by torch; idle threads then sleep
                os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # read by NumPy, whose work is shared out
                from keisei_agent.usi.thinking import Game, load  # slow: Numba, torch

                self._thinker, self._searcher = load(*wanted), None
                if self._is_searching():
                    self._make_searcher().warm_up()
        except (ValueError, OSError, RuntimeError) as error:  # RuntimeError is torch's
            raise EngineError(f"cannot load the model: {_one_line(error)}") from error
        self._loaded = wanted
        self._inform(f"loaded {self._thinker.about}")
        if self._game is None:
            self._game = Game()
            self._set_up(self._game)


def serve(
    lines: Iterable[str],
    say: Callable[[str], None],
    model: str = "",
    leave: Callable[[int], None] | None = None,
) -> int:
    """Answer lines until they end; return 0, or 1 if the engine could not go on.

    Args:
        lines: what the GUI sends.
        say: sends a line to the GUI.
        model: see `Engine`.
        leave: ends the process; called if thinking fails while the next line is awaited.
    """

    def tell(error: Exception) -> None:
        if not isinstance(error, EngineError):
            traceback.print_exception(error)
        say(f"info string error: {_one_line(error)}")
        _log(f"error: {_one_line(error)}")

    def fail(error: Exception) -> None:
        if not isinstance(error, BrokenPipeError):
            tell(error)
        if leave is not None:
            leave(1)

    engine = Engine(say, model, fail)
    try:
        for line in lines:
            engine.obey(line)
            if engine.failure is not None:
                return 1
        engine.wait()
        engine.obey("stop")
        return int(engine.failure is not None)
    except BrokenPipeError:  # the GUI is gone
        return 1
    except Exception as error:
        tell(error)
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
