"""mctx searches shogi: `python examples/mctx_search.py [GAMES [SIMULATIONS [PLIES]]]` (8, 32, 160).

mctx wants a pure function from a state and an action to the next state. A state is here a game as bytes: what
`Positions.snapshot` copies, so that repetitions and the ply limit are exact in the tree. `jax.pure_callback`
calls `Positions` for all games of a batch at once, from compiled code. The network is a level of the package;
put your own, in JAX, in the place of `network`.
"""

import sys

import numpy as np

try:
    import jax
    import mctx
    from jax import numpy as jnp
except ImportError:
    sys.exit("examples/mctx_search.py needs mctx: pip install mctx")

from shogi_env import Positions
from shogi_env.core.state import STATE
from shogi_env.levels import load_level
from shogi_env.types import Snapshot

GAMES, SIMULATIONS, MAX_PLIES = [*map(int, sys.argv[1:]), *(8, 32, 160)[len(sys.argv) - 1 :]]
LEGAL = 27 * 2
ROW, HISTORY = STATE.itemsize, 8 * (MAX_PLIES + 1)
SIZE = ROW + HISTORY + 8 * LEGAL


def pack(games: Positions) -> np.ndarray:
    """Games as bytes, uint8[N, SIZE]."""
    rows, history, legal = games.snapshot()
    whole = np.zeros((len(games), MAX_PLIES + 1), np.uint64)
    whole[:, : history.shape[1]] = history
    return np.concatenate([x.view(np.uint8).reshape(len(games), -1) for x in (rows, whole, legal)], 1)


def unpack(states: np.ndarray) -> Positions:
    """The games that `pack` packed."""
    n, states = len(states), np.asarray(states)
    rows, history, legal = np.split(states, [ROW, ROW + HISTORY], axis=1)
    games = Positions(n, max_plies=MAX_PLIES)
    words = [np.ascontiguousarray(x).view(np.uint64) for x in (history, legal)]
    rows = np.ascontiguousarray(rows).view(games.rows.dtype).reshape(n)
    games.restore(None, Snapshot(rows, words[0], words[1].reshape(n, 27, 2)))
    return games


def play(states: np.ndarray, actions: np.ndarray) -> tuple[np.ndarray, ...]:
    """One move in each game; in NumPy. Games that are over stand still.

    Args:
        states: uint8[N, SIZE].
        actions: int32[N].

    Returns:
        The next states, their planes and masks, rewards float32[N] of those who moved, over bool[N].
    """
    games = unpack(states)
    ended, movers = games.outcomes()[0] != 0, games.turns
    games.apply(np.asarray(actions), illegal="lose")
    reasons, winners = games.outcomes()
    rewards = np.where(ended | (winners < 0), 0, np.where(winners == movers, 1, -1)).astype(np.float32)
    return pack(games), games.planes(), games.masks(), rewards, reasons != 0


def step(states: jax.Array, actions: jax.Array) -> list[jax.Array]:
    """`play` for compiled code."""
    n = len(states)
    kinds = [((SIZE,), "uint8"), ((136, 9, 9), "uint8"), ((2187,), "bool"), ((), "float32"), ((), "bool")]
    returned = tuple(jax.ShapeDtypeStruct((n, *shape), dtype) for shape, dtype in kinds)
    return jax.pure_callback(play, returned, states, actions)


def network(planes: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Logits float32[N, 2187] and values float32[N], -1..1, of planes uint8[N, 136, 9, 9]."""
    returned = tuple(jax.ShapeDtypeStruct((len(planes), *shape), "float32") for shape in ((2187,), ()))
    return jax.pure_callback(lambda x: load_level(4)(np.asarray(x)), returned, planes)


def follow(params: None, key: jax.Array, actions: jax.Array, states: jax.Array) -> tuple:
    """What moves lead to: the `recurrent_fn` of mctx."""
    states, planes, masks, rewards, over = step(states, actions)
    logits, values = network(planes)
    return mctx.RecurrentFnOutput(
        reward=rewards,
        discount=jnp.where(over, 0.0, -1.0),  # the next position is the opponent's
        prior_logits=jnp.where(masks, logits, -1e9),
        value=jnp.where(over, 0.0, values),
    ), states


@jax.jit
def search(key: jax.Array, states: jax.Array, planes: jax.Array, masks: jax.Array) -> jax.Array:
    """The actions int32[N] that mctx plays in running games."""
    logits, values = network(planes)
    root = mctx.RootFnOutput(prior_logits=logits, value=values, embedding=states)
    return mctx.gumbel_muzero_policy(
        None, key, root, follow, num_simulations=SIMULATIONS, invalid_actions=~masks, gumbel_scale=0.0
    ).action


def score() -> float:
    """Share of points of the search against the same network alone, Black in every other game."""
    games, black = Positions(GAMES, max_plies=MAX_PLIES), np.arange(GAMES) % 2 == 0
    games.seed(np.arange(GAMES, dtype=np.uint64) // 2 + 1)  # two games from each start, one as Black
    for _ in range(8):
        games.apply(games.random_actions())
    for ply in range(MAX_PLIES):
        running = games.outcomes()[0] == 0
        if not running.any():
            break
        masks, planes = games.masks(), games.planes()
        searched = np.asarray(search(jax.random.key(ply), pack(games), planes, masks))
        alone = np.where(masks, load_level(4)(planes)[0], -np.inf).argmax(1)
        actions = np.where((games.turns == 0) == black, searched, alone)
        games.apply(actions[running], np.flatnonzero(running))
    winners = games.outcomes()[1]
    return float(np.where(winners < 0, 0.5, (winners == 0) == black).mean())


if __name__ == "__main__":
    print(f"{score():.0%} of {GAMES} games against the network alone, {SIMULATIONS} simulations a move")
