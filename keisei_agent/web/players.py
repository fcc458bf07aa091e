"""Who can be played against: made from a choice, never from a text that a page sends."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from keisei_agent.files.weights import find_weights
from keisei_agent.players import MAKERS, evaluate_with, load_player
from keisei_agent.web.runs import Reader, Runs, UnknownRunError
from shogi_env import levels
from shogi_env.arena.known import LEVELS, RATINGS
from shogi_env.arena.players import Player, make_player
from shogi_env.search.puct import Evaluate

_T = TypeVar("_T")
MOST_SIMULATIONS = 2000
"""Of a move or an analysis that a page asks for."""
_KEPT = 6
"""Networks that are held at a time."""
_SIMPLE = ("random", "greedy", "minimax:1", "minimax:2", "minimax:3")


class ChoiceError(ValueError):
    """What was chosen is no player."""


class Choice(NamedTuple):
    """A player that a page asks for."""

    kind: str
    """person, simple, level or checkpoint."""
    name: str = ""
    """Of a simple player, a level's number, or a network of a run."""
    run: str = ""
    simulations: int = 0
    """0 plays without search."""
    temperature: float | None = None
    """None for the player's own."""


def read_choice(value: object) -> Choice:
    """A choice from JSON: `kind`, and `name`, `run`, `simulations`, `temperature` where they belong.

    Raises:
        ChoiceError: it is none.
    """
    if not isinstance(value, dict) or not value.keys() <= set(Choice._fields):
        raise ChoiceError("a player has a kind, and perhaps name, run, simulations, temperature")
    kind, name, run = (value.get(key, "") for key in ("kind", "name", "run"))
    simulations, temperature = value.get("simulations", 0), value.get("temperature")
    if kind not in ("person", "simple", "level", "checkpoint"):
        raise ChoiceError("kind is person, simple, level or checkpoint")
    if not isinstance(name, str) or not isinstance(run, str):
        raise ChoiceError("name and run are texts")
    if type(simulations) is not int or not 0 <= simulations <= MOST_SIMULATIONS:
        raise ChoiceError(f"simulations is 0..{MOST_SIMULATIONS}")
    if temperature is not None and (type(temperature) not in (int, float) or not 0 <= temperature <= 2):
        raise ChoiceError("temperature is 0..2")
    if temperature is not None and 0 < temperature < 0.01:
        temperature = 0.0
    return Choice(kind, name, run, simulations, temperature)


class Players:
    """Makes players, and keeps those that were asked for last.

    Args:
        runs: whose networks may play.
    """

    def __init__(self, runs: Runs) -> None:
        self.runs = runs
        self._made: OrderedDict[tuple[Any, ...], Any] = OrderedDict()
        self._lock = threading.Lock()

    def list(self) -> dict[str, Any]:
        """Everybody who can be chosen, as JSON."""
        checkpoints = [
            {"run": name, "networks": list(self._reader(name).networks())} for name in self.runs.folders()
        ]
        return {
            "simple": [{"name": name, "rating": _rating(RATINGS.get(name))} for name in _SIMPLE],
            "levels": [
                {"name": str(number), "rating": _rating(LEVELS.get(number))}
                for number in range(1, levels.count_levels() + 1)
            ],
            "checkpoints": [entry for entry in checkpoints if entry["networks"]],
        }

    def label(self, choice: Choice) -> str:
        """What a chosen player is called in records."""
        search = f";sims={choice.simulations}" if choice.simulations else ""
        if choice.kind == "checkpoint":
            return f"{choice.run}/{choice.name}{search}"
        return f"level:{choice.name}{search}" if choice.kind == "level" else choice.name or "person"

    def player(self, choice: Choice) -> Player:
        """The player of a choice.

        Raises:
            ChoiceError: there is none.
        """
        if choice.kind == "person":
            raise ChoiceError("a person is not asked")
        if choice.kind == "simple":
            if choice.name not in _SIMPLE:
                raise ChoiceError(f"simple players are {', '.join(_SIMPLE)}")
            return make_player(choice.name)
        settings = [f"sims={choice.simulations}"] if choice.simulations else []
        if choice.temperature is not None:
            settings.append(f"temperature={choice.temperature:g}")
        if choice.kind == "level":
            spec = ";".join([f"level:{_level(choice)}", *settings])
            return self._keep(("player", spec), lambda: make_player(spec))
        path = self._network(choice)
        if ";" in str(path):
            raise ChoiceError("this run's path holds a ';', which the text of a player cannot")
        kind = "search" if choice.simulations else "checkpoint"
        spec = ";".join([f"{kind}:{path}", *settings])
        return self._keep(("player", spec, path.stat().st_mtime), lambda: make_player(spec, makers=MAKERS))

    def evaluate(self, choice: Choice) -> Evaluate:
        """What guides the search of a chosen network: planes to logits and values.

        Raises:
            ChoiceError: it is no network.
        """
        if choice.kind == "level":
            return levels.load_level(_level(choice))
        if choice.kind != "checkpoint":
            raise ChoiceError("only a network says what it thinks of a position")
        path = self._network(choice)
        return self._keep(
            ("network", str(path), path.stat().st_mtime), lambda: evaluate_with(load_player(path).network)
        )

    def _network(self, choice: Choice) -> Path:
        networks = self._reader(choice.run).networks()
        if choice.name not in networks:
            raise ChoiceError(f"{choice.run} has no network {choice.name!r}")
        return find_weights(networks[choice.name])

    def _reader(self, name: str) -> Reader:
        try:
            return self.runs.reader(name)
        except UnknownRunError:
            raise ChoiceError(f"no run is called {name!r}") from None

    def _keep(self, key: tuple[Any, ...], make: Callable[[], _T]) -> _T:
        """What was made under a key, or is made now; the one that was not asked for longest is let go."""
        with self._lock:
            found: _T | None = self._made.pop(key, None)
            if found is None:
                found = make()
            self._made[key] = found
            while len(self._made) > _KEPT:
                self._made.popitem(last=False)
        return found


def _level(choice: Choice) -> int:
    try:
        return levels.check_level(int(choice.name))
    except ValueError as error:
        raise ChoiceError(str(error)) from None


def _rating(found: tuple[float, float, float] | None) -> dict[str, float] | None:
    """A rating as JSON; None where it was not measured."""
    return None if found is None else dict(zip(("value", "low", "high"), found, strict=True))
