"""The pool: earlier snapshots of the learner and other players; who joins, who leaves, who is loaded."""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch as th
from torch import nn

from keisei_agent.config import Config
from keisei_agent.files.storage import CheckpointError
from keisei_agent.files.weights import save_weights
from keisei_agent.league.members import Member, OpponentError, draw, shares
from keisei_agent.players import MAKERS, load_player
from shogi_env.arena.digest import digest_of_file
from shogi_env.arena.players import Player, make_player
from shogi_env.opponents import Opponent
from shogi_env.types import Int64Array

logger = logging.getLogger(__name__)


def make_member(spec: str) -> Player:
    """Make a player of `league.players`."""
    return make_player(spec, makers=MAKERS)


class Pool:
    """Members, where they come from and when they leave.

    Args:
        config: of the run.
        folder: where snapshots are kept, as network files.
        checkpoints: of the run, in folders named by their decisions; what they name is not deleted.
        device: where snapshots think.
        make: makes the players.

    Raises:
        ValueError: a player cannot be made, or two have the same name.
    """

    def __init__(
        self,
        config: Config,
        folder: Path,
        checkpoints: Path,
        *,
        device: str,
        make: Callable[[str], Player] = make_member,
    ) -> None:
        self._config, self._device, self._make = config, device, make
        self._folder, self._checkpoints = folder, checkpoints
        self._all: dict[int, Member] = {}
        self._next = 0
        try:
            for spec in config.league.players:
                self._add_player(spec)
        except BaseException:
            self.close()
            raise

    def __getitem__(self, number: int) -> Member:
        """The member of a number, also if it has left."""
        return self._all[number]

    @property
    def members(self) -> list[Member]:
        """Who may be met in new games, the oldest member first."""
        return [member for member in self._all.values() if member.pooled]

    def take(self, network: nn.Module, num_timesteps: int) -> None:
        """Put a snapshot into the pool; from a full one the snapshot leaves that is beaten most easily.

        Args:
            network: the learner's.
            num_timesteps: decisions it has learned from.
        """
        size = self._config.league.size
        if size:
            name = f"{num_timesteps:012d}"
            path = self._folder / f"{name}.safetensors"
            save_weights(path, network, self._config, num_timesteps)
            self._make_room(size - 1)
            self._add(Member(self._next, name, digest_of_file(path)))

    def _make_room(self, size: int) -> None:
        """Let snapshots leave until there are at most `size`; of equally easy ones the oldest."""
        snapshots = [member for member in self.members if member.spec is None]
        while len(snapshots) > size:
            easiest = max(snapshots, key=lambda member: member.score)
            easiest.pooled = False
            snapshots.remove(easiest)
            logger.debug("snapshot %s leaves the pool, beaten at %.2f", easiest.name, easiest.score)

    def _add(self, member: Member) -> None:
        if member.name in (other.name for other in self.members):
            raise ValueError(f"two members of the pool are called {member.name!r}")
        self._all[member.number] = member
        self._next += 1

    def _add_player(self, spec: str) -> None:
        member = Member(self._next, "", "", spec)
        self._make_player(member)
        try:
            self._add(member)
        except ValueError:
            _close(member)
            raise

    def _make_player(self, member: Member) -> None:
        """Let a member play that is no snapshot; its name and digest become the player's."""
        assert member.spec is not None
        with th.random.fork_rng(devices=[]):  # new networks draw numbers that are not the learner's
            player = self._make(member.spec)
        member.name, member.digest = player.name, player.digest
        member.choose, member.close = player.choose, player.close

    def draw(self, generator: np.random.Generator) -> Int64Array:
        """Draw the opponents of a rollout, int64[league.opponents] numbers of members."""
        members, league = self.members, self._config.league
        expected = shares(np.array([member.score for member in members]), league.hardness)
        numbers = np.array([member.number for member in members])
        return numbers[draw(expected, league.opponents, generator)]

    def keep(self, used: set[int], num_timesteps: int) -> None:
        """Let the snapshots that are used play, and let go of what nobody needs any more.

        Args:
            used: numbers of the members that games are or may be against.
            num_timesteps: decisions at this boundary.

        Raises:
            OpponentError: a snapshot cannot be read; those that could play still can.
        """
        self._load(used)
        for member in list(self._all.values()):
            if member.number not in used:
                if member.spec is None:
                    member.choose = None
                if not member.pooled:
                    self._forget(member, num_timesteps)

    def _load(self, used: set[int]) -> None:
        for number in used:
            member = self._all[number]
            if member.spec is None and member.choose is None:
                self._check(member)
                member.choose = self._read(member)

    def _read(self, snapshot: Member) -> Opponent:
        temperature = self._config.league.temperature
        try:
            with th.random.fork_rng(devices=[]):  # as above
                return load_player(self._path(snapshot), device=self._device, temperature=temperature)
        except CheckpointError as error:
            raise OpponentError(f"snapshot {snapshot.name} of the pool: {error}") from error

    def _path(self, snapshot: Member) -> Path:
        return self._folder / f"{snapshot.name}.safetensors"

    def _check(self, snapshot: Member) -> None:
        """Refuse a snapshot whose file is gone or another than it was.

        Raises:
            OpponentError: it is.
        """
        path = self._path(snapshot)
        try:
            digest = digest_of_file(path)
        except OSError as error:
            raise OpponentError(f"snapshot {snapshot.name} of the pool: {error}") from error
        if digest != snapshot.digest:
            raise OpponentError(
                f"snapshot {snapshot.name} of the pool: {path} is not the file it was; its SHA-256 begins "
                f"with {digest} instead of {snapshot.digest}"
            )

    def _forget(self, member: Member, num_timesteps: int) -> None:
        """Drop a member that has left and plays no more; a snapshot's file when no checkpoint needs it."""
        if member.unused_since is None:
            member.unused_since = num_timesteps
        if member.spec is None:
            kept = [int(path.name) for path in self._checkpoints.glob("*") if path.name.isdigit()]
            # One of this very moment may have been written before the member was found unused.
            if any(steps <= member.unused_since for steps in kept):
                return
            self._path(member).unlink(missing_ok=True)
        _close(member)
        del self._all[member.number]

    def state(self) -> dict[str, Any]:
        """All that a checkpoint holds of it, for JSON; the snapshots stay in their files."""
        return {"next": self._next, "members": [member.state() for member in self._all.values()]}

    def restore(self, state: Mapping[str, Any], used: set[int]) -> None:
        """Go back to a `state`, as far as the settings are the same.

        A player that the settings name now and did not name then joins; one that they do not name any
        more leaves, and so do snapshots where `league.size` has become smaller.

        Args:
            state: what `state` returned.
            used: numbers of the members that games are or may be against.

        Raises:
            OpponentError: the file of a snapshot that is needed is gone or damaged.
            ValueError: a player cannot be made, or nobody would be left.
        """
        made = {member.spec: member for member in self._all.values() if member.spec is not None}
        try:
            self._go_back(state, dict(made), used)
        except BaseException:
            for member in made.values():  # some of them may have a place in the pool no more
                _close(member)
            self.close()
            raise

    def _go_back(self, state: Mapping[str, Any], players: dict[str, Member], used: set[int]) -> None:
        """`restore`, with the players that are made already, by their specs."""
        self._all = {saved["number"]: Member(**saved) for saved in state["members"]}
        self._next = state["next"]
        for member in list(self._all.values()):
            if member.spec is not None:
                self._restore_player(member, players.pop(member.spec, None), used)
        for member in players.values():
            member.number = self._next
            self._add(member)
        self._make_room(self._config.league.size)
        if not self.members:
            raise ValueError("nobody would be left in the pool: keep league.size or one of league.players")
        for member in self._all.values():
            if member.spec is None and (member.pooled or member.number in used):
                self._check(member)
        self._load(used)

    def _restore_player(self, member: Member, made: Member | None, used: set[int]) -> None:
        """Let a restored player play: one that the settings still name is made already."""
        if made is None:
            member.pooled = False
            if member.number in used:
                self._make_player(member)
            else:
                del self._all[member.number]
            return
        member.choose, member.close, member.pooled = made.choose, made.close, True
        made.close = None
        if member.digest != made.digest:
            logger.warning("%s is not the player it was; its results begin anew", member.name)
            member.digest, member.points, member.games = made.digest, 0.0, 0.0

    def close(self) -> None:
        """End the processes of players; may be called twice."""
        for member in self._all.values():
            _close(member)


def _close(member: Member) -> None:
    close, member.close = member.close, None
    if close is not None:
        close()
