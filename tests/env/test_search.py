"""PUCT: the same visits as a plain implementation, and results that are certain are known to be."""

import math

import numpy as np
import pytest
from data_files import few, read_rows, rules

from shogi_env import Board, Color, Positions, Termination
from shogi_env.core.puct import C_BASE, C_INIT, FIRST_PLAY
from shogi_env.core.tree import DRAWN, LOST, OPEN, WON
from shogi_env.search.puct import Search

MATES = read_rows("mates.jsonl")
MIDDLE = "l4S2l/4g1gs1/5p1p1/pr2N1pkp/4Gn3/PP3PPPP/2GPP4/1K7/L3r+s2L w BS2N5Pb 1"


def answer(planes):
    """A network's stand-in: logits and values that depend on the planes in a way that spreads them."""
    flat = planes.reshape(len(planes), -1).astype(np.float64)
    weights = np.sin(np.arange(flat.shape[1]) * 12.9898) / 3
    seeds = flat @ weights
    logits = np.sin(seeds[:, None] + np.arange(2187) * 78.233) * 2
    return logits.astype(np.float32), np.tanh(np.sin(seeds * 3)).astype(np.float32)


def uniform(planes):
    return np.zeros((len(planes), 2187), np.float32), np.zeros(len(planes), np.float32)


class PlainNode:
    """A node of the reference: everything by the rules of `Board`, nothing clever."""

    def __init__(self, board):
        self.visits, self.total, self.children, self.priors, self.certain = 0, 0.0, {}, None, OPEN
        outcome = board.outcome()
        if outcome:
            self.certain = DRAWN if outcome.winner is None else WON if outcome.winner == board.turn else LOST
        elif any(self.mates(board, move) for move in list(board.legal_moves)):
            self.certain = WON

    @staticmethod
    def mates(board, move):
        board.push(move)
        outcome = board.outcome()
        board.pop()
        return bool(outcome and outcome.termination is Termination.CHECKMATE)

    def value(self):
        return {OPEN: self.total / max(1, self.visits), WON: 1.0, LOST: -1.0, DRAWN: 0.0}[self.certain]


def simulate(node, board):
    """One simulation; returns its value to the side to move."""
    if node.certain or node.priors is None:
        logits, values = answer(board.planes()[None])
        actions = list(board.legal_moves.by_action)
        weights = np.exp(logits[0, actions] - logits[0, actions].max()) if actions else []
        node.priors = dict(zip(actions, weights / sum(weights), strict=True)) if actions else {}
        value = node.value() if node.certain else float(values[0])
    else:
        action = best(node)
        board.push(board.move(action))
        child = node.children.setdefault(action, None) or PlainNode(board)
        node.children[action] = child
        value = -simulate(child, board)
        board.pop()
        settle(node, child)
    node.visits += 1
    node.total += value
    return value


def best(node):
    n = node.visits + 1  # the simulation that is going on counts
    explore = (C_INIT + math.log((1 + n + C_BASE) / C_BASE)) * math.sqrt(n)
    tried = sum(node.priors[action] for action in node.children)
    untried = node.total / max(1, node.visits) - FIRST_PLAY * math.sqrt(tried)

    def score(action):
        child = node.children.get(action)
        if child is None:
            return untried + explore * node.priors[action]
        if child.certain == WON:
            return -1e9
        return explore * node.priors[action] / (1 + child.visits) - child.value()

    return max(sorted(node.priors), key=score)


def settle(node, child):
    if node.certain or not child.certain:
        return
    if child.certain == LOST:
        node.certain = WON
        return
    known = [node.children[action].certain for action in node.priors if action in node.children]
    if len(known) == len(node.priors) and OPEN not in known:
        node.certain = DRAWN if DRAWN in known else LOST


@pytest.mark.parametrize("sfen", [None, MIDDLE, *(row["sfen"] for row in MATES[::6])])
def test_visits_are_those_of_a_plain_implementation(sfen):
    board, simulations = Board(sfen), few(60)
    root = PlainNode(board)
    while root.visits < simulations and not (root.certain and root.visits):
        simulate(root, board)
    search, games = Search(answer), Positions(1, sfens=sfen)
    search.run(games.snapshot(), games.everyone, simulations)
    found = {choice.action: choice.visits for choice in search.choices() if choice.visits}
    assert found == {action: child.visits for action, child in root.children.items()}
    assert search.visits() == root.visits and search.value() == pytest.approx(root.value(), abs=1e-5)


@pytest.mark.parametrize("row", MATES, ids=lambda row: f"{row['plies']}-{row['sfen'][:12]}")
def test_mates_are_certain(row):
    search, games = Search(uniform), Positions(1, sfens=row["sfen"])
    search.run(games.snapshot(), games.everyone, {1: 1, 3: few(5000)}.get(row["plies"], few(20_000)))
    first = search.choices()[0]
    if row["plies"] == 1:
        assert first.certain == WON and first.plies == 1 and search.value() == 1.0
    elif first.certain:
        assert first.certain == WON and first.plies >= row["plies"]


@pytest.mark.parametrize(
    "row",
    [
        row
        for kind in ("repetition", "end")
        for row in rules(kind)
        if row["moves"] and row["verdict"] not in ("none", "RUNNING")
    ],
    ids=lambda row: row["id"],
)
def test_how_the_game_ends_is_known_in_the_tree(row):
    """Repetition, perpetual check, declaration and the ply limit, one ply before they end the game."""
    games = Positions(1, sfens=row["sfen"], max_plies=row.get("max_plies", 512))
    *moves, last = row["moves"].split()
    for text in moves:
        games.apply([games.action(0, next(move for move in games.moves(0) if str(move) == text))])
    if games.outcomes()[0][0]:
        pytest.skip("ended before")
    mover = games.turns[0]
    search = Search(uniform)
    search.run(games.snapshot(), games.everyone, few(2000))
    choice = next(choice for choice in search.choices() if str(choice.move) == last)
    games.apply([choice.action])
    termination, winner = (int(code[0]) for code in games.outcomes())
    assert termination
    expected = DRAWN if winner < 0 else WON if winner == mover else LOST
    if choice.visits:
        assert choice.certain == expected


def test_a_batch_searches_as_each_game_alone():
    games = Positions(8)
    games.seed(np.arange(1, 9, dtype=np.uint64))
    for _ in range(30):
        games.apply(games.random_actions())
    together = Search(answer, slots=8, threads=2)
    together.run(games.snapshot(), games.everyone, few(100))
    for i in range(8):
        alone = Search(answer)
        alone.run(games.snapshot(i), np.zeros(1, np.int64), few(100))
        assert together.choices(i) == alone.choices()


@pytest.mark.nojit
def test_leaves_judged_together_are_counted_exactly():
    games = Positions(1, sfens=MIDDLE)
    search = Search(answer, leaves=16)
    search.run(games.snapshot(), games.everyone, few(500))
    assert search.visits() == few(500) == 1 + sum(choice.visits for choice in search.choices())
    assert not search._nodes["waiting"].any()


def test_a_tree_goes_on_with_its_game():
    games = Positions(1)
    search = Search(answer)
    search.run(games.snapshot(), games.everyone, 300)
    mine = search.choices()[0]
    games.apply([mine.action])
    search.run(games.snapshot(), games.everyone, 1)
    assert search.visits() == mine.visits > 1
    kept = search.choices()
    games.apply([kept[0].action])
    search.run(games.snapshot(), games.everyone, 400)
    assert search.visits() == 400 == 1 + sum(choice.visits for choice in search.choices())
    fresh = Search(answer)
    fresh.run(games.snapshot(), games.everyone, 1)
    by_action = {choice.action: choice.prior for choice in fresh.choices()}
    assert {choice.action: choice.prior for choice in search.choices()} == pytest.approx(by_action)


def test_another_game_starts_a_tree_of_its_own():
    search, games = Search(answer), Positions(1)
    search.run(games.snapshot(), games.everyone, 100)
    other = Positions(1, sfens=MIDDLE)
    search.run(other.snapshot(), other.everyone, 10)
    assert search.visits() == 10 and len(search.choices()) == len(other.moves(0))


def test_a_network_that_fails_leaves_no_half_done_tree():
    calls = []

    def fails_once(planes):
        calls.append(len(planes))
        if len(calls) == 5:
            raise OSError("gone")
        return answer(planes)

    search, games = Search(fails_once, leaves=4), Positions(1)
    with pytest.raises(OSError, match="gone"):
        search.run(games.snapshot(), games.everyone, 100)
    search.run(games.snapshot(), games.everyone, 100)
    assert search.visits() == 100 and not search._nodes["waiting"].any()


def test_it_stops_when_asked():
    search, games = Search(answer), Positions(1)
    search.run(games.snapshot(), games.everyone, 10_000, stop=lambda: search.visits() >= 20)
    assert search.visits() == 20


def test_the_policy_is_the_share_of_visits():
    games = Positions(2)
    search = Search(answer, slots=2)
    search.run(games.snapshot(), games.everyone, 50)
    policy = search.policy(games.everyone)
    assert policy.shape == (2, 2187) and np.allclose(policy.sum(1), 1)
    assert not policy[~games.masks()].any()


def test_winning_material_is_found_by_the_value_alone():
    """The value's sign: a network that only counts hands makes the search capture."""

    def hands(planes):
        logits, _ = uniform(planes)
        own, theirs = planes[:, 62:90, 0, 0].sum(1), planes[:, 90:118, 0, 0].sum(1)
        return logits, np.tanh((own.astype(np.float32) - theirs) / 3)

    games = Positions(1, sfens="4k4/9/9/9/4r4/9/4L4/9/4K4 b - 1")
    search = Search(hands)
    search.run(games.snapshot(), games.everyone, 200)
    assert str(search.choices()[0].move) == "5g5e" and search.value() > 0
    assert games.turns[0] == Color.BLACK


def test_noise_is_mixed_into_the_priors_of_roots():
    search, games, slots = Search(answer, slots=3), Positions(3), np.array([0, 2])
    snapshot = games.snapshot(slots)
    with pytest.raises(ValueError, match="no priors yet"):
        Search(answer).add_noise(np.array([0]), np.random.default_rng(1))
    search.run(snapshot, slots, 1)
    before = {choice.action: choice.prior for choice in search.choices(2)}
    search.add_noise(slots, np.random.default_rng(1))
    after = [{choice.action: choice.prior for choice in search.choices(slot)} for slot in (0, 2)]
    assert after[0] != after[1], "each root has noise of its own"
    for priors in after:
        assert sum(priors.values()) == pytest.approx(1, abs=1e-5)
        assert all(priors[action] >= 0.75 * prior - 1e-6 for action, prior in before.items())
    noise = np.array([4 * after[1][action] - 3 * prior for action, prior in before.items()])
    assert np.sort(noise)[-5:].sum() > 0.5, "with a small alpha few moves get most of it"
    search.run(snapshot, slots, 40)
    assert search.visits(0) == search.visits(2) == 40
