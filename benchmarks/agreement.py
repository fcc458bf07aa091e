"""Legal moves, labels, masks and planes against cshogi, rsshogi and pgx, on random games of both colors.

    python benchmarks/agreement.py [--positions 10000] [--pgx 10000]

Every position is compared in four ways: legal move sets (cshogi, rsshogi), labels and mask (cshogi, pgx),
planes 0..118 bit by bit (cshogi's dlshogi features; pgx's observation after `np.rot90(obs, 1)`).
"""

from __future__ import annotations

import argparse
from collections import Counter
from typing import Any

import cshogi
import numpy as np
from common import machine, save, show
from cshogi.dlshogi import FEATURES1_NUM, FEATURES2_NUM, make_input_features, make_move_label
from peers import rsshogi_engine

import shogi_env

NUM_ACTIONS, DLSHOGI_PLANES = 2187, FEATURES1_NUM + FEATURES2_NUM


class Differences:
    """Counts comparisons and keeps the first differing positions of each kind."""

    def __init__(self) -> None:
        self.compared: Counter[str] = Counter()
        self.differing: Counter[str] = Counter()
        self.examples: dict[str, list[str]] = {}

    def note(self, kind: str, equal: bool, sfen: str) -> None:
        """One comparison."""
        self.compared[kind] += 1
        if not equal:
            self.differing[kind] += 1
            self.examples.setdefault(kind, []).append(sfen)


def compare_cshogi(board: shogi_env.Board, found: Differences) -> None:
    """Legal set, labels, mask and planes against cshogi; legal set against rsshogi."""
    sfen = board.sfen()
    theirs = cshogi.Board(sfen)
    labels = {cshogi.move_to_usi(move): make_move_label(move, theirs.turn) for move in theirs.legal_moves}
    moves = {str(move): board.action(move) for move in board.legal_moves}
    found.note("legal moves, cshogi", moves.keys() == labels.keys(), sfen)
    rs = {move.to_usi() for move in rsshogi_engine.board(sfen).legal_moves()}
    found.note("legal moves, rsshogi", moves.keys() == rs, sfen)
    found.note("labels, cshogi", moves == labels, sfen)
    mask = np.zeros(NUM_ACTIONS, np.bool_)
    mask[list(labels.values())] = True
    found.note("mask, cshogi", bool((board.action_masks() == mask).all()), sfen)
    features = np.zeros((DLSHOGI_PLANES, 9, 9), np.float32)
    make_input_features(theirs, features[:FEATURES1_NUM], features[FEATURES1_NUM:])
    found.note("planes, cshogi", bool((board.planes()[:DLSHOGI_PLANES] == features).all()), sfen)


def play(positions: int, found: Differences, seed: int) -> None:
    """Random games, each ply compared; some moves prefer promotions and drops."""
    rng = np.random.default_rng(seed)
    board = shogi_env.Board()
    colors: Counter[str] = Counter()
    for _ in range(positions):
        if board.outcome():
            board = shogi_env.Board()
        colors[board.turn.name] += 1
        compare_cshogi(board, found)
        moves = list(board.legal_moves)
        liked = [move for move in moves if move.promotion or move.drop] if rng.random() < 0.3 else []
        board.push((liked or moves)[rng.integers(len(liked or moves))])
    show(f"positions: {dict(colors)}")


def compare_pgx(positions: int, found: Differences, seed: int, games: int = 64) -> None:
    """Step pgx and `Positions` with the same actions; compare masks and planes of every game still on."""
    import jax
    import pgx

    env = pgx.make("shogi")
    state = jax.jit(jax.vmap(env.init))(jax.random.split(jax.random.PRNGKey(seed), games))
    step = jax.jit(jax.vmap(env.step))
    initial = state
    batch = shogi_env.Positions(games)
    start = batch.first_row()
    done = 0
    while done < positions:
        over = np.asarray(state.terminated) | (batch.outcomes()[0] != 0)
        live = np.flatnonzero(~over)
        masks, planes = np.asarray(state.legal_action_mask), np.asarray(state.observation)
        own_masks, own_planes = batch.masks(), batch.planes()
        for i in live:
            sfen = batch.sfen(int(i))
            found.note("mask, pgx", bool((own_masks[i] == masks[i]).all()), sfen)
            turned = np.rot90(planes[i], 1).transpose(2, 0, 1)
            found.note("planes, pgx", bool((own_planes[i, :DLSHOGI_PLANES] == turned).all()), sfen)
        done += len(live)
        ended = np.flatnonzero(over)
        if len(ended):
            batch.set_up(ended, start)
            keep = jax.numpy.asarray(~over)
            state = jax.tree.map(
                lambda now, new, keep=keep: jax.numpy.where(
                    keep.reshape(-1, *[1] * (now.ndim - 1)), now, new
                ),
                state,
                initial,
            )
        actions = batch.random_actions()
        batch.apply(actions)
        state = step(state, jax.numpy.asarray(actions))


def main() -> None:
    """Compare, print, save; exit status 1 if anything differs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--positions", type=int, default=10_000)
    parser.add_argument("--pgx", type=int, default=10_000, help="positions compared with pgx; 0 for none")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    found = Differences()
    play(args.positions, found, args.seed)
    if args.pgx:
        compare_pgx(args.pgx, found, args.seed)
    rows: list[dict[str, Any]] = []
    for kind, compared in found.compared.items():
        examples = found.examples.get(kind, [])
        rows.append(
            {
                "kind": kind,
                "compared": compared,
                "differing": found.differing[kind],
                "examples": examples[:50],
            }
        )
        show(f"{kind:24} {compared:7} positions, {found.differing[kind]} differ")
        for sfen in examples[:5]:
            show(f"    {sfen}")
    save("agreement", {"machine": machine(), "rows": rows})
    raise SystemExit(1 if found.differing else 0)


if __name__ == "__main__":
    main()
