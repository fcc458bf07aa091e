"""Between pgx and shogi_env: `python examples/play_pgx.py [GAMES [PLIES]]` (16, 120).

Actions are numbered alike, and pgx's observation is our first 119 planes, turned by 90 degrees. So a policy
that was trained in pgx plays here as it is: `opponent_of(policy)` seats it in any environment or match. This
plays games in both at once, compares every mask and every plane, and lets a policy written for pgx play.
"""

import sys
from collections.abc import Callable

import numpy as np

try:
    import jax
    import pgx
    from jax import numpy as jnp
except ImportError:
    sys.exit("examples/play_pgx.py needs pgx: pip install pgx")

from shogi_env import Positions, opponents

GAMES, PLIES = [*map(int, sys.argv[1:]), *(16, 120)[len(sys.argv) - 1 :]]


def to_pgx(planes: np.ndarray) -> np.ndarray:
    """The observations of pgx, bool[N, 9, 9, 119], of planes uint8[N, 136, 9, 9]."""
    return np.rot90(planes[:, :119].transpose(0, 2, 3, 1), -1, axes=(1, 2)).astype(bool)


def opponent_of(policy: Callable[[jax.Array, jax.Array], jax.Array]) -> opponents.Opponent:
    """The opponent that plays the best legal move of a policy for pgx.

    Args:
        policy: ``policy(observations, legal) -> logits``: bool[N, 9, 9, 119] and bool[N, 2187], as pgx's
            states hold them, to float32[N, 2187].
    """

    def choose(planes: np.ndarray, masks: np.ndarray) -> np.ndarray:
        n = len(masks)
        full = np.arange(n + -n % 64) % n  # few sizes of batches: jax compiles anew for each
        logits = np.asarray(policy(to_pgx(planes)[full], masks[full]))[:n]
        return np.where(masks, logits, -np.inf).argmax(1)

    return opponents.from_policy(choose)


@jax.jit
def capture(observations: jax.Array, legal: jax.Array) -> jax.Array:
    """A policy for pgx: takes what it can, by planes 31 to 44, the opponent's pieces."""
    cells = jnp.rot90(observations, 1, axes=(1, 2))[..., 31:45].any(3).reshape(-1, 81)
    return jnp.where(legal, jnp.tile(cells, 27).astype(jnp.float32), -jnp.inf)


def compare(games: int, plies: int) -> int:
    """Play the same random moves in both; how many positions were equal in every bit.

    Raises:
        AssertionError: one was not.
    """
    env = pgx.make("shogi")
    state = jax.jit(jax.vmap(env.init))(jax.random.split(jax.random.key(0), games))
    step = jax.jit(jax.vmap(env.step))
    ours = Positions(games, declaration="off")  # pgx knows neither declarations nor repetitions
    ours.seed(np.arange(1, games + 1, dtype=np.uint64))
    equal = 0
    for _ in range(plies):
        live = np.flatnonzero(~np.asarray(state.terminated) & (ours.outcomes()[0] == 0))
        masks, planes = ours.masks(where=live), ours.planes(where=live)
        assert np.array_equal(masks, np.asarray(state.legal_action_mask)[live])
        assert np.array_equal(to_pgx(planes), np.asarray(state.observation)[live])
        equal += len(live)
        actions = np.zeros(games, np.int64)
        actions[live] = ours.random_actions(live)
        ours.apply(actions[live], live)
        state = step(state, actions)
    return equal


def score(player: opponents.Opponent, games: int) -> float:
    """Share of points of a player against random moves, Black in every other game."""
    positions, black = Positions(games, max_plies=200), np.arange(games) % 2 == 0
    while len(running := (positions.outcomes()[0] == 0).nonzero()[0]):
        ours = (positions.turns[running] == 0) == black[running]
        for choose, idx in ((player, running[ours]), (opponents.random, running[~ours])):
            if len(idx):
                positions.apply(choose(positions, idx), idx)
    winners = positions.outcomes()[1]
    return float(np.where(winners < 0, 0.5, (winners == 0) == black).mean())


if __name__ == "__main__":
    print(f"{compare(GAMES, PLIES)} positions of pgx {pgx.__version__} and ours: every mask and plane equal")
    print(f"a policy for pgx scores {score(opponent_of(capture), GAMES):.0%} against random moves here")
