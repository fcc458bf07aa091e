"""`Player`: an opponent with a name; `make_player` makes one from a text such as "minimax:2".

The text, a spec, is ``[NAME=]KIND[:ARGUMENT][;key=value]...``.
"""

import difflib
import re
import shlex
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from importlib import import_module, resources
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeAlias

from shogi_env import opponents
from shogi_env.arena.digest import digest_of, digest_of_file
from shogi_env.arena.records import Seat
from shogi_env.opponents import Opponent
from shogi_env.version import __version__

if TYPE_CHECKING:
    from shogi_env.search.player import SearchPlayer
    from shogi_env.search.puct import Evaluate

LISTS = ("engines",)
"""Lists of players that come with the package, ``data/players-NAME.txt``."""
_OPTION = "option."
"""Begins the settings that are an engine's own options."""
_NAMED = re.compile(r"([\w.+-]+)=(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Spec:
    """What a spec says, taken apart."""

    text: str
    """Without the name."""
    kind: str
    argument: str
    """What stands between the first colon and the first semicolon; may be empty."""
    settings: Mapping[str, str]

    def read(self, types: Mapping[str, Callable[[str], Any]], *, free: str = "") -> dict[str, Any]:
        """The settings, each as its type; those that are not given are left out.

        Args:
            types: what makes a value of a text, by the names that this kind knows.
            free: settings whose name begins with this are kept as text, if it is not empty.

        Raises:
            ValueError: a setting is unknown (the nearest one is named) or not of its type.
        """
        values: dict[str, Any] = {}
        for key, text in self.settings.items():
            if free and key.startswith(free):
                values[key] = text
                continue
            if key not in types:
                known = [*types, f"{free}NAME"] if free else list(types)
                raise ValueError(f"{self.text!r}: {self.kind} has no setting {key!r}{_nearest(key, known)}")
            try:
                values[key] = types[key](text)
            except ValueError:
                wanted = getattr(types[key], "__name__", "value")
                raise ValueError(f"{self.text!r}: {key} = {text!r} is no {wanted}") from None
        return values


def _nearest(word: str, known: Iterable[str]) -> str:
    """Which of the known words may have been meant, and what there is."""
    names = list(known)
    found = difflib.get_close_matches(word, names, n=1, cutoff=0.5)
    meant = f", did you mean {found[0]!r}?" if found else ""
    return f"{meant} ({'known: ' + ', '.join(names) if names else 'it has none'})"


def _nothing() -> None:
    pass


@dataclass(frozen=True, eq=False)
class Player:
    """Somebody who plays; a context manager that closes what it holds."""

    name: str
    """What it is called; ratings take players of one name for the same."""
    spec: str
    """What `make_player` makes it from; any text for a player that was made otherwise."""
    version: str
    """Of the program that plays."""
    digest: str
    """As in `Seat`."""
    choose: Opponent = field(repr=False)
    """Answers for all games where it is to move."""
    deterministic: bool = False
    """Whether it always plays the same move in the same position."""
    close: Callable[[], None] = field(default=_nothing, repr=False)
    """Gives back processes and files; may be called twice."""

    @property
    def seat(self) -> Seat:
        """The player as a game's record shows it."""
        return Seat(self.name, self.spec, self.version, self.digest)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


Maker: TypeAlias = Callable[[Spec], Player]
"""Makes the players of one kind; raises ValueError for what it cannot make."""


def parse_spec(text: str) -> tuple[str | None, Spec]:
    """Take a spec apart.

    Returns:
        The name that stands before it, or None, and the spec.

    Raises:
        ValueError: a setting is not ``key=value`` or is given twice.
    """
    named = _NAMED.fullmatch(text.partition(";")[0].partition(":")[0])
    name = named[1] if named else None
    bare = text[len(name) + 1 :] if name else text
    head, *rest = bare.split(";")
    kind, _, argument = head.partition(":")
    settings: dict[str, str] = {}
    for part in rest:
        key, equals, value = part.partition("=")
        if not equals or key.strip() in settings:
            why = "is given twice" if equals else "is not key=value"
            raise ValueError(f"{bare!r}: {part!r} {why}")
        settings[key.strip()] = value.strip()
    return name, Spec(bare, kind.strip(), argument.strip(), settings)


def make_player(spec: str, *, name: str | None = None, makers: Mapping[str, Maker] | None = None) -> Player:
    """Make a player.

    Args:
        spec: what to make, see `KINDS`.
        name: what to call it; None for the name in the spec, or else the spec itself.
        makers: further kinds.

    Raises:
        ValueError: the spec is wrong, or this machine lacks what it needs.
    """
    given, parsed = parse_spec(spec)
    known = {**KINDS, **(makers or {})}
    if parsed.kind not in known:
        raise ValueError(f"no player is called {parsed.kind!r}{_nearest(parsed.kind, known)}")
    return replace(known[parsed.kind](parsed), name=name or given or parsed.text)


def read_specs(name: str) -> list[str]:
    """The specs of a list, from the weakest player to the strongest.

    Args:
        name: one of `LISTS`, or a file with one spec in each line; lines that begin with a "#" are
            not read.

    Raises:
        ValueError: the file is not UTF-8, or holds none.
        OSError: it cannot be read.
    """
    if name in LISTS:
        text = resources.files(__package__).joinpath("data", f"players-{name}.txt").read_text("utf-8")
    else:
        text = Path(name).read_text("utf-8")
    lines = (line.strip() for line in text.splitlines())
    specs = [line for line in lines if line and not line.startswith("#")]
    if not specs:
        raise ValueError(f"{name}: holds no player")
    return specs


def _built_in(spec: Spec, choose: Opponent, digest: str = "", *, deterministic: bool = False) -> Player:
    return Player(spec.text, spec.text, __version__, digest, choose, deterministic)


def _simple(spec: Spec) -> Player:
    """random, greedy: nothing to set."""
    if spec.argument:
        raise ValueError(f"{spec.text!r}: {spec.kind} takes no argument")
    spec.read({})
    return _built_in(spec, opponents.BUILT_IN[spec.kind])


def whole_argument(spec: Spec, what: str) -> int:
    """The argument as a number of at least 1.

    Raises:
        ValueError: it is none.
    """
    if not (spec.argument.isascii() and spec.argument.isdigit() and int(spec.argument) >= 1):
        raise ValueError(f"{spec.text!r}: write {spec.kind}:{what}, {what} a number of at least 1")
    return int(spec.argument)


def _minimax(spec: Spec) -> Player:
    spec.read({})
    return _built_in(spec, opponents.minimax(whole_argument(spec, "DEPTH")))


SEARCH_SETTINGS: Mapping[str, Callable[[str], Any]] = {"sims": int, "temperature": float, "mate": int}
"""Settings of players that search, for `Spec.read`."""


def read_temperature(spec: Spec, settings: Mapping[str, Any], default: float = 0.0) -> float:
    """The temperature among a player's settings.

    Raises:
        ValueError: it is neither 0 nor 0.01..100.
    """
    temperature: float = settings.get("temperature", default)
    if temperature != 0 and not 0.01 <= temperature <= 100:
        raise ValueError(f"{spec.text!r}: temperature is 0, or 0.01..100")
    return temperature


def make_searcher(spec: Spec, settings: Mapping[str, Any], evaluate: "Evaluate") -> "SearchPlayer":
    """The search player of some `SEARCH_SETTINGS`, guided by a network.

    Raises:
        ValueError: a setting is out of its range.
    """
    from shogi_env.search.player import MATE_NODES, SIMULATIONS, SearchPlayer  # compiled for its users only

    simulations, mate = settings.get("sims", SIMULATIONS), settings.get("mate", MATE_NODES)
    if not (1 <= simulations <= 1_000_000 and 0 <= mate <= 10_000_000):
        raise ValueError(f"{spec.text!r}: sims is 1..1,000,000 and mate 0..10,000,000")
    temperature = read_temperature(spec, settings)
    return SearchPlayer(evaluate, simulations=simulations, temperature=temperature, mate_nodes=mate)


def _level(spec: Spec) -> Player:
    """A network of the package."""
    from shogi_env.levels import TEMPERATURE, Level, check_level, load_level, path_of_level

    number = check_level(whole_argument(spec, "NUMBER"))
    settings = spec.read(SEARCH_SETTINGS)
    if "sims" in settings:
        return _searcher(spec, settings, load_level(number), path_of_level(number))
    return _policy_alone(spec, settings, partial(Level, number), path_of_level(number), TEMPERATURE)


def _onnx(spec: Spec) -> Player:
    """A network in an ONNX file, ours or dlshogi's."""
    from shogi_env.arena.onnx import OnnxNetwork, PolicyPlayer

    settings = spec.read({**SEARCH_SETTINGS, "threads": int})
    if not spec.argument or settings.get("threads", 1) < 1:
        raise ValueError(f"{spec.text!r}: write onnx:FILE; threads is at least 1")
    path = Path(spec.argument)
    network = OnnxNetwork(path, threads=settings.get("threads", 1))
    if "sims" in settings:
        return _searcher(spec, settings, network, path)
    return _policy_alone(spec, settings, partial(PolicyPlayer, network), path, 0.0)


def _searcher(spec: Spec, settings: Mapping[str, Any], evaluate: "Evaluate", path: Path) -> Player:
    """The network of a file, looking ahead."""
    searcher = make_searcher(spec, settings, evaluate)
    what = searcher.simulations, searcher.temperature, searcher.mate_nodes
    digest = digest_of(digest_of_file(path), *what)
    return _built_in(spec, searcher, digest, deterministic=searcher.temperature == 0)


def _policy_alone(
    spec: Spec, settings: Mapping[str, Any], play: Callable[[float], Opponent], path: Path, default: float
) -> Player:
    """The network of a file, which `play` makes an opponent of at a temperature, without search."""
    if "mate" in settings:
        raise ValueError(f"{spec.text!r}: mate belongs to a network that searches: give sims, too")
    temperature = read_temperature(spec, settings, default)
    digest = digest_of(digest_of_file(path), temperature)
    return _built_in(spec, play(temperature), digest, deterministic=temperature == 0)


def _python(spec: Spec) -> Player:
    """An `Opponent` of the user's own."""
    function, version, digest = _load(spec)
    return Player(spec.text, spec.text, version, digest, function)


def _policy(spec: Spec) -> Player:
    """A function ``(observations, masks) -> actions`` of the user's own."""
    function, version, digest = _load(spec)
    return Player(spec.text, spec.text, version, digest, opponents.from_policy(function))


def _load(spec: Spec) -> tuple[Callable[..., Any], str, str]:
    """The function ``module.function``, its package's version, and a hash of its source file."""
    spec.read({})
    module_name, _, attribute = spec.argument.rpartition(".")
    if not module_name:
        raise ValueError(f"{spec.text!r}: write {spec.kind}:MODULE.FUNCTION")
    try:
        module = import_module(module_name)
        function = getattr(module, attribute)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"{spec.text!r}: {error}") from error
    if not callable(function):
        raise ValueError(f"{spec.text!r}: a {type(function).__name__} cannot be called")
    version = getattr(import_module(module_name.partition(".")[0]), "__version__", "")
    source = getattr(module, "__file__", None)
    return function, str(version), digest_of_file(source) if source else ""


_PROCESS: dict[str, Callable[[str], Any]] = {"processes": int, "timeout": float}
"""Settings of players that are programs of their own."""


def _usi(spec: Spec) -> Player:
    """Any USI engine."""
    from shogi_env.arena.usi import UsiPlayer

    types: dict[str, Callable[[str], Any]] = {"go": str, **_PROCESS}
    settings = spec.read(types, free=_OPTION)
    options = {key.removeprefix(_OPTION): settings.pop(key) for key in list(settings) if key not in types}
    engine = UsiPlayer(spec.argument, options=options, **settings)
    what = spec.argument, settings.get("go", ""), sorted(options.items())
    digest = digest_of(_program(shlex.split(spec.argument)[0]), *what)
    return Player(spec.text, spec.text, engine.version, digest, engine, close=engine.close)


def _gnushogi(spec: Spec) -> Player:
    from shogi_env.arena.gnushogi import GnuShogiPlayer

    depth = whole_argument(spec, "DEPTH")
    engine = GnuShogiPlayer(depth, **spec.read(_PROCESS))
    digest = digest_of(_program("gnushogi"), depth)
    return Player(spec.text, spec.text, engine.version, digest, engine, close=engine.close)


def _program(name: str) -> str:
    """A hash of a program's file."""
    from shogi_env.arena.process import find_engine

    path = find_engine(name)
    return digest_of_file(path) if path else ""


KINDS: dict[str, Maker] = {
    "random": _simple,
    "greedy": _simple,
    "minimax": _minimax,
    "level": _level,
    "onnx": _onnx,
    "python": _python,
    "policy": _policy,
    "usi": _usi,
    "gnushogi": _gnushogi,
}
"""What a spec may begin with, each with what it may go on with:

``random``; ``greedy``; ``minimax:DEPTH``; ``level:NUMBER;temperature=0.25``, or, looking ahead,
``level:NUMBER;sims=64;mate=500;temperature=0``; ``onnx:FILE;temperature=0;threads=1``, and looking ahead
``onnx:FILE;sims=64;mate=500;temperature=0;threads=1``; ``python:MODULE.FUNCTION``, an `Opponent`;
``policy:MODULE.FUNCTION``, observations and masks to actions;
``usi:COMMAND;go=depth 2;processes=1;timeout=60;option.NAME=VALUE``;
``gnushogi:DEPTH;processes=1;timeout=60``.
"""
