"""Batches of games with a common face: in this process, or in workers.  Imports no learning library."""

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
from gymnasium import spaces

from shogi_env.adapters._same_step import Ending, SameStepGames, State, join_states, slice_state
from shogi_env.adapters._workers import SharedArrays, WorkerError, Workers, request, start_context
from shogi_env.core.constants import NUM_ACTIONS
from shogi_env.errors import IllegalMoveError
from shogi_env.observations import Observer
from shogi_env.opponents import Opponent
from shogi_env.types import BoolArray, Float32Array, Int8Array, Int64Array, UInt8Array

Step: TypeAlias = tuple[Float32Array, BoolArray, list[Ending]]
"""Rewards float32[N], dones bool[N], ends of games."""


class Batch(ABC):
    """N games that start anew in the step that ends them, with their observations and masks.

    Two sets of arrays are used in turn: what one call wrote is overwritten by the second after it.

    Attributes:
        space: the observation space of one game.
        render_mode: "ansi", "rgb_array" or None.
        observations: uint8[N, *space.shape], of the last reset or step.
        masks: int8[N, 2187], likewise; all 1 before the first reset.
    """

    space: spaces.Box
    render_mode: str | None
    observations: UInt8Array
    masks: Int8Array

    @property
    @abstractmethod
    def both_seats(self) -> BoolArray:
        """bool[N], in which games the learner plays both sides."""

    @abstractmethod
    def reset(self, seeds: Sequence[int | None], options: Sequence[dict[str, Any]]) -> None:
        """Start all games; see `SameStepGames.reset`."""

    @abstractmethod
    def begin_step(self, actions: Int64Array) -> None:
        """Take one action for each game, int64[N].

        Raises:
            IllegalMoveError: here or by `end_step`, with ``illegal_action="raise"``; nothing was played.
        """

    @abstractmethod
    def end_step(self) -> Step:
        """Finish the step that was begun."""

    @abstractmethod
    def set_opponent(self, opponent: str | Opponent | None, games: Sequence[int]) -> None:
        """Seat another opponent in some games; it answers from the next step on."""

    @abstractmethod
    def each(self, method: str, games: Sequence[int]) -> list[Any]:
        """Call a method of `SameStepGames` with each of some games."""

    @abstractmethod
    def get_state(self) -> State:
        """All games as plain data, for `set_state` of any batch; the opponents are not part of it."""

    @abstractmethod
    def set_state(self, state: State) -> None:
        """Go back to what `get_state` returned, and write observations and masks."""

    @abstractmethod
    def close(self) -> None:
        """Free what the batch holds."""


class LocalBatch(Batch):
    """N games in this process.

    Args:
        n: number of games.
        **arguments: of `SameStepGames`.
    """

    def __init__(self, n: int, **arguments: Any) -> None:
        self._games = SameStepGames(n, **arguments)
        self.space, self.render_mode = self._games.space, self._games.render_mode
        self._arrays = [
            (np.zeros((n, *self.space.shape), np.uint8), np.ones((n, NUM_ACTIONS), np.int8)) for _ in range(2)
        ]
        self.observations, self.masks = self._arrays[0]
        self._actions: Int64Array = np.zeros(n, np.int64)

    @property
    def both_seats(self) -> BoolArray:
        return self._games.both_seats

    def reset(self, seeds: Sequence[int | None], options: Sequence[dict[str, Any]]) -> None:
        self._games.reset(seeds, options)
        self._observe()

    def begin_step(self, actions: Int64Array) -> None:
        self._actions = actions

    def end_step(self) -> Step:
        step = self._games.step(self._actions)
        self._observe()
        return step

    def _observe(self) -> None:
        self._arrays.reverse()
        self.observations, self.masks = self._arrays[0]
        self._games.write(self.observations, self.masks)

    def set_opponent(self, opponent: str | Opponent | None, games: Sequence[int]) -> None:
        self._games.set_opponent(opponent, games)

    def each(self, method: str, games: Sequence[int]) -> list[Any]:
        return [getattr(self._games, method)(i) for i in games]

    def get_state(self) -> State:
        return self._games.get_state()

    def set_state(self, state: State) -> None:
        self._games.set_state(state)
        self._observe()

    def close(self) -> None:
        """Nothing to do."""


class WorkerBatch(Batch):
    """N games in worker processes, a contiguous part in each.

    Args:
        n: number of games.
        num_workers: number of processes, 1..n; None for one for each CPU this process may use.
        start_method: "fork", "forkserver" or "spawn"; None for the second where there is one, else
            the third.
        seats: one opponent (or None for both seats) for each game, instead of `opponent`.
        **arguments: of `SameStepGames`.

    Raises:
        TypeError: an argument cannot be pickled.
        WorkerError: (any method) a worker process has died; the others were ended.
    """

    def __init__(
        self,
        n: int,
        *,
        num_workers: int | None = None,
        start_method: str | None = None,
        seats: Sequence[str | Opponent | None] | None = None,
        **arguments: Any,
    ) -> None:
        count = min(_usable_cpus(), n) if num_workers is None else num_workers
        if not 1 <= count <= n:
            raise ValueError(f"num_workers is 1..{n} (each holds a game), not {num_workers!r}")
        if seats is not None and len(seats) != n:
            raise ValueError(f"seats has {len(seats)} entries for {n} games")
        bounds = [n * w // count for w in range(count + 1)]
        self._parts = [slice(*ends) for ends in pairwise(bounds)]
        starts = [
            request("start", arguments if seats is None else arguments | {"seats": seats[part]})
            for part in self._parts
        ]
        self.space = Observer(arguments.get("observation", "full"), arguments.get("layout", "NCHW")).space
        self.render_mode = arguments.get("render_mode")
        self._refuses_illegal = arguments.get("illegal_action") == "raise"
        self._steps = [request("step", slot) for slot in range(2)]
        context = start_context(start_method)
        shared = SharedArrays(context, n, self.space.shape)
        self._observations, self._masks = shared["observations"], shared["masks"]
        self._actions, self._rewards, self._dones = shared["actions"], shared["rewards"], shared["dones"]
        self._masks[:] = 1
        self._turn_to(0)
        self._workers = Workers(context, shared, bounds)
        try:
            self._ask(starts)
        except BaseException as error:
            if isinstance(error, WorkerError):
                error.add_note(
                    "Does the script that starts workers guard its main part by "
                    '`if __name__ == "__main__":`? Each worker imports it.'
                )
            self._workers.close()
            raise

    def _turn_to(self, slot: int) -> None:
        self._slot = slot
        self.observations, self.masks = self._observations[slot], self._masks[slot]

    def _ask(self, requests: Iterable[bytes]) -> list[Any]:
        """Ask every worker."""
        return self._workers.call(dict(enumerate(requests)))

    @property
    def pids(self) -> list[int]:
        """Process ids of the workers."""
        return self._workers.pids

    @property
    def both_seats(self) -> BoolArray:
        return np.concatenate(self._ask([request("both_seats")] * len(self._parts)))

    def reset(self, seeds: Sequence[int | None], options: Sequence[dict[str, Any]]) -> None:
        slot = 1 - self._slot
        self._ask(request("reset", seeds[part], options[part], slot) for part in self._parts)
        self._turn_to(slot)

    def begin_step(self, actions: Int64Array) -> None:
        if self._refuses_illegal:
            self._refuse_illegal(actions)
        self._actions[:] = actions
        self._workers.send(dict.fromkeys(range(len(self._parts)), self._steps[1 - self._slot]))

    def _refuse_illegal(self, actions: Int64Array) -> None:
        """Raise before any worker has played."""
        legal = self.masks[np.arange(len(actions)), actions.clip(0, NUM_ACTIONS - 1)]
        wrong = np.flatnonzero((legal == 0) | (actions < 0) | (actions >= NUM_ACTIONS))
        if len(wrong):
            i = int(wrong[0])
            sfen = self.each("sfen", [i])[0]
            raise IllegalMoveError(f"action {actions[i]} in game {i}: it is not legal: {sfen}")

    def end_step(self) -> Step:
        endings = [ending for answer in self._workers.collect() for ending in answer]
        self._turn_to(1 - self._slot)
        return self._rewards.copy(), self._dones.copy(), endings

    def set_opponent(self, opponent: str | Opponent | None, games: Sequence[int]) -> None:
        """Seat another opponent in some games; each worker gets a copy.

        Raises:
            TypeError: the opponent cannot be pickled.
        """
        shares = self._by_worker(games)
        self._workers.call({w: request("set_opponent", opponent, mine) for w, mine in shares.items()})

    def each(self, method: str, games: Sequence[int]) -> list[Any]:
        shares = self._by_worker(games)
        answers = self._workers.call({w: request("each", method, mine) for w, mine in shares.items()})
        found = {
            self._parts[w].start + i: value
            for (w, mine), values in zip(shares.items(), answers, strict=True)
            for i, value in zip(mine, values, strict=True)
        }
        return [found[i] for i in games]

    def _by_worker(self, games: Sequence[int]) -> dict[int, list[int]]:
        """Which of the games each worker holds, by their numbers there."""
        shares = {
            w: [i - part.start for i in games if part.start <= i < part.stop]
            for w, part in enumerate(self._parts)
        }
        return {w: mine for w, mine in shares.items() if mine}

    def get_state(self) -> State:
        return join_states(self._ask([request("get_state")] * len(self._parts)))

    def set_state(self, state: State) -> None:
        slot = 1 - self._slot
        self._ask(request("set_state", slice_state(state, part), slot) for part in self._parts)
        self._turn_to(slot)

    def close(self) -> None:
        """End the worker processes."""
        self._workers.close()


def _usable_cpus() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
