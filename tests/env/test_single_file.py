"""examples/ppo_shogi_single_file.py: its advantages, its metrics, and that it runs."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

PATH = Path(__file__).parents[2] / "examples" / "ppo_shogi_single_file.py"
SMALL = ["--num-envs", "4", "--num-steps", "16", "--minibatch-size", "32", "--channels", "8", "--blocks", "1"]


@pytest.fixture(scope="module")
def ppo():
    spec = importlib.util.spec_from_file_location("ppo_shogi_single_file", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def test_what_helps_one_player_hurts_the_other(ppo):
    rewards = torch.tensor([0.0, 0, 0, 0, 1, 0])[:, None]
    dones = torch.tensor([False, False, False, False, True, False])[:, None]
    values = torch.zeros(7, 1)
    values[6] = 0.5  # the last position is good for the opponent of whoever moved there
    found = ppo.advantages_of(rewards, dones, values, gamma=1, lam=1)[:, 0]
    assert found.tolist() == [1, -1, 1, -1, 1, -0.5]
    later = ppo.advantages_of(rewards, dones, values, gamma=0.5, lam=0.5)[:, 0]
    assert later.tolist() == [0.25**4, -(0.25**3), 0.25**2, -0.25, 1, -0.25]


def test_policy_planes_are_the_cells_of_the_board(ppo):
    torch.manual_seed(0)
    agent = ppo.Agent(4, 0)
    torch.nn.init.normal_(agent.policy.weight)
    for layer in agent.stem:
        torch.nn.init.constant_(layer.weight, 0)
    agent.stem[0].weight.data[:, 0, 1, 1] = 1  # sees own pawns, each at its own cell
    agent.stem[1] = torch.nn.Identity()
    planes = torch.zeros(1, 136, 9, 9, dtype=torch.uint8)
    planes[0, 0, 2, 5] = 1
    log_probs, _ = agent(planes, torch.ones(1, 2187, dtype=torch.bool))
    told = (log_probs - log_probs.median()).reshape(27, 81)[0].abs().argmax()
    assert int(told) == 9 * 2 + 5


def test_illegal_actions_are_never_drawn(ppo):
    masks = torch.zeros(200, 2187, dtype=torch.bool)
    masks[:, [5, 700]] = True
    actions, log_probs, _ = ppo.Agent(4, 1).act(torch.zeros(200, 136, 9, 9, dtype=torch.uint8), masks)
    assert set(actions.tolist()) == {5, 700}
    assert torch.allclose(log_probs, torch.full((200,), float(np.log(0.5))))


def test_it_runs_and_explains_what_it_prints(ppo):
    command = [sys.executable, str(PATH), *SMALL, "--total-timesteps", "256", "--eval-games", "4"]
    done = subprocess.run(
        [*command, "--print-every", "2"], capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr
    *lines, last = done.stdout.splitlines()
    assert len(lines) == 2
    for line in lines:
        assert re.findall(r"(\w+)=", line) == list(ppo.METRICS)
    assert re.fullmatch(r"against random: \d wins, \d draws, \d losses of 4 games", last)


def test_imports_nothing_but_torch_gymnasium_and_numpy():
    imported = set(re.findall(r"^(?:import|from) (\w+)", PATH.read_text("utf-8"), re.MULTILINE))
    assert imported - set(sys.stdlib_module_names) == {"gymnasium", "numpy", "torch"}
    assert len(PATH.read_text("utf-8").splitlines()) < 300


def test_the_same_seed_learns_the_same(ppo):
    settings = ppo.parse_args([*SMALL, "--total-timesteps", "192", "--print-every", "1000"])
    first, second = (ppo.train(settings).state_dict() for _ in range(2))
    assert all(torch.equal(weight, second[name]) for name, weight in first.items())
    fresh = ppo.Agent(8, 1).state_dict()
    assert not torch.equal(first["policy.weight"], fresh["policy.weight"])
