"""Learning with left and right changed is learning positions of the same game."""

import re

import numpy as np

from keisei_agent.pretrain.mirror import MIRRORED, mirror
from shogi_env import Positions


def in_a_mirror(sfen: str) -> str:
    board, *rest = sfen.split(" ")
    ranks = ["".join(reversed(re.findall(r"\+?[A-Za-z]|\d", rank))) for rank in board.split("/")]
    return " ".join(["/".join(ranks), *rest])


def test_planes_masks_and_actions_are_those_of_the_mirrored_position() -> None:
    games, generator = Positions(40), np.random.default_rng(5)
    for ply in range(120):
        masks = games.masks()
        if ply % 20 == 19:
            seen = Positions(40, sfens=[in_a_mirror(games.sfen(i)) for i in range(40)])
            planes, legal = games.planes(), masks.view(np.uint8).copy()
            actions = np.array([generator.choice(np.flatnonzero(mask)) for mask in masks])
            played = actions.copy()
            where = generator.random(40) < 0.5
            before = planes.copy(), legal.copy(), actions.copy()
            mirror(planes, legal, actions, where)
            # history is no part of a SFEN: planes 120 and up are the same in all cells
            assert (planes[where, :120] == seen.planes()[where, :120]).all()
            assert (planes[where, 120:] == before[0][where, 120:]).all()
            assert (legal[where] == seen.masks()[where]).all()
            for now, then in zip((planes, legal, actions), before, strict=True):
                assert (now[~where] == then[~where]).all()
            for i in np.flatnonzero(where).tolist():
                there = Positions(1, sfens=[in_a_mirror(games.sfen(i))])
                there.apply(actions[i : i + 1])
                here = Positions(1, sfens=[games.sfen(i)])
                here.apply(played[i : i + 1])
                assert there.sfen(0) == in_a_mirror(here.sfen(0))
        games.apply(np.array([generator.choice(np.flatnonzero(mask)) for mask in masks]))
        over = np.flatnonzero(games.outcomes()[0])
        games.set_up(over, np.repeat(games.first_row(), len(over)))


def test_a_mirror_twice_changes_nothing() -> None:
    assert (MIRRORED[MIRRORED] == np.arange(2187)).all()
