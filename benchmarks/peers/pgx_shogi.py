"""pgx's shogi on the CPU: vmapped, compiled step with auto-reset; it has no repetition rule."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import pgx
from pgx.experimental import auto_reset


class Batch:
    """N games; a step is a random legal action in each (chosen inside the compiled step)."""

    def __init__(self, games: int, seed: int = 0) -> None:
        env = pgx.make("shogi")
        one_step = auto_reset(env.step, env.init)

        def step(state: pgx.State, key: jax.Array) -> tuple[pgx.State, jax.Array]:
            key, choice, reset = jax.random.split(key, 3)
            logits = jnp.where(state.legal_action_mask, 0.0, -jnp.inf)
            actions = jax.random.categorical(choice, logits)
            return jax.vmap(one_step)(state, actions, jax.random.split(reset, games)), key

        self.games = games
        self.compiled = jax.jit(step)
        self.key = jax.random.PRNGKey(seed)
        self.state = jax.jit(jax.vmap(env.init))(jax.random.split(self.key, games))

    def step(self) -> int:
        """One ply in every game; returns the number of games."""
        self.state, self.key = self.compiled(self.state, self.key)
        self.state.observation.block_until_ready()
        return self.games
