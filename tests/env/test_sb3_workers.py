"""The worker processes of the stable-baselines3 adapter: how they start, fail and end."""

import multiprocessing
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pytest

pytest.importorskip("stable_baselines3")

from vec_envs import START_METHODS, play_alike

import shogi_env
from shogi_env.adapters.sb3 import WorkerError


@pytest.mark.parametrize("method", START_METHODS)
@pytest.mark.filterwarnings("ignore:This process.*fork:DeprecationWarning")
def test_start_methods(make, method):
    workers = make(5, "subproc", seed=1, start_method=method, num_workers=3, max_plies=20)
    assert len(set(workers.pids)) == 3
    play_alike([make(5, seed=1, max_plies=20), workers], 40)


class Refusal(Exception):
    def __init__(self, code, detail):
        super().__init__(code, detail)


def failing(positions, idx):
    raise Refusal(7, "out of moves")


def test_an_exception_in_a_worker_comes_back(make):
    env = make(4, "subproc", seed=0, side="black", opponent="random")
    env.reset()
    env.set_opponent(failing, indices=[3])
    with pytest.raises(Refusal, match=r"7, 'out of moves'") as caught:
        env.step(env.action_masks().argmax(axis=1))
    (note,) = caught.value.__notes__
    assert "worker 1" in note and str(env.pids[1]) in note and "in failing" in note
    env.set_opponent("random")
    env.seed(9)
    play_alike([make(4, seed=9, side="black"), env], 5)
    env.set_opponent(lambda positions, idx: np.full(len(idx), 2186))
    with pytest.raises(shogi_env.IllegalMoveError, match=r"opponent <lambda>: action 2186"):
        env.step(env.action_masks().argmax(axis=1))


def test_what_cannot_be_pickled_is_explained(make):
    lock = threading.Lock()

    def locked(positions, idx):
        with lock:
            return positions.random_actions(idx)

    with pytest.raises(TypeError, match=r"lock.*picklable.*native"):
        make(2, "subproc", opponent=locked)
    env = make(2, "subproc")
    with pytest.raises(TypeError, match=r"lock.*picklable.*native"):
        env.set_opponent(locked)
    env.reset()
    make(2, opponent=locked).reset()


def count_messages(monkeypatch):
    """Lengths in bytes of what this process sends through pipes and receives from them, from now on."""
    kind = type(multiprocessing.Pipe()[0])
    send, receive = kind.send_bytes, kind.recv_bytes
    sent, received = [], []

    def count_sent(self, message):
        sent.append(len(message))
        send(self, message)

    def count_received(self):
        message = receive(self)
        received.append(len(message))
        return message

    monkeypatch.setattr(kind, "send_bytes", count_sent)
    monkeypatch.setattr(kind, "recv_bytes", count_received)
    return sent, received


@pytest.mark.parametrize("games", [3, 300])
def test_a_step_is_one_short_message_to_and_from_each_worker(make, monkeypatch, games):
    env = make(games, "subproc", seed=0, num_workers=3, opponent=None)
    env.reset()
    sent, received = count_messages(monkeypatch)
    for _ in range(4):
        actions = env.action_masks().argmax(axis=1)
        *_, dones, _ = env.step(actions)
        assert not dones.any()
    assert len(sent) == len(received) == 4 * 3
    assert max(sent + received) < 100


def test_games_that_end_cost_no_further_message(make, monkeypatch):
    env = make(60, "subproc", seed=0, num_workers=3, opponent=None, max_plies=1)
    env.reset()
    sent, received = count_messages(monkeypatch)
    *_, dones, _ = env.step(env.action_masks().argmax(axis=1))
    assert dones.all()
    assert len(sent) == len(received) == 3
    assert max(sent) < 100 and max(received) < 21 * 136 * 81, "the last positions, and little more"


def test_thousands_of_games_that_end_at_once(make):
    """What goes through a pipe in a step then is far more than it holds."""
    envs = [make(2048, seed=5, max_plies=2), make(2048, "subproc", seed=5, max_plies=2, num_workers=2)]
    endings = play_alike(envs, 3)
    assert len(endings) > 2048
    state = envs[1].get_state()
    for env in envs:
        env.set_state(state)
    play_alike(envs, 1, reset=False)


SECONDS = 1.0


def sleepy(positions, idx):
    """An opponent that thinks long."""
    time.sleep(SECONDS)
    return positions.random_actions(idx)


def test_waiting_for_a_slow_worker_takes_no_processor_time(make):
    env = make(4, "subproc", seed=0, side="black", opponent="random", num_workers=2)
    env.reset()
    env.set_opponent(sleepy, indices=[3])
    env.step_async(env.action_masks().argmax(axis=1))
    before = time.process_time()
    env.step_wait()
    assert time.process_time() - before < SECONDS / 10
    assert env.env_method("sfen", indices=[3])[0].endswith(" 3"), "it was asked, and has answered"


def children(pids):
    return [child for child in multiprocessing.active_children() if child.pid in pids]


@pytest.mark.parametrize("method", START_METHODS)
@pytest.mark.filterwarnings("ignore:This process.*fork:DeprecationWarning")
def test_a_killed_worker_is_named_and_the_others_end(make, method):
    env = make(6, "subproc", seed=0, num_workers=3, start_method=method)
    env.reset()
    actions = env.action_masks().argmax(axis=1)
    env.step_async(actions)
    (victim,) = children(env.pids[1:2])
    victim.kill()
    victim.join()
    with pytest.raises(WorkerError, match=rf"worker 1 \(pid {victim.pid}, games 2\.\.3\) died \(exit code"):
        for _ in range(3):
            env.step_wait()
            env.step_async(actions)
    assert children(env.pids) == []
    with pytest.raises(WorkerError, match="closed"):
        env.reset()


def test_close_leaves_no_process(make):
    env = make(4, "subproc")
    env.reset()
    pids = env.pids
    assert len(children(pids)) == 2
    env.step_async(np.zeros(4, int))  # closed in the middle of a step
    env.close()
    env.close()
    assert children(pids) == []


def test_a_step_that_nobody_waited_for_is_dropped_by_reset(make):
    env = make(4, "subproc", seed=0)
    env.reset()
    env.step_async(np.zeros(4, int))
    env.seed(4)
    play_alike([make(4, seed=4), env], 5)


PARENT = """
import os, sys
from shogi_env.adapters.sb3 import make_vec_env

if __name__ == "__main__":
    end, method = (*sys.argv[1:], None)[:2]
    envs = [make_vec_env(3, "subproc", num_workers=n, start_method=method, seed=0) for n in (2, 1)]
    for env in envs:
        env.reset()
    print("started", flush=True)
    envs[0].step_async(env.action_masks().argmax(axis=1))
    if end == "kill":
        os.kill(os.getpid(), 9)
    if end == "raise":
        raise SystemExit(3)
"""


@pytest.mark.parametrize(
    ("method", "end"), [*((method, "kill") for method in START_METHODS), (None, "raise"), (None, "return")]
)
def test_workers_end_with_their_parent(tmp_path, method, end):
    if end == "kill" and sys.platform == "win32":
        pytest.skip("Windows has no SIGKILL")
    script = tmp_path / "parent.py"
    script.write_text(textwrap.dedent(PARENT), encoding="utf-8")
    parent = subprocess.Popen(
        [sys.executable, "-W", "ignore::DeprecationWarning", str(script), end, *filter(None, [method])],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    # Workers share these pipes, so this returns only when the last of them has ended.
    output, errors = parent.communicate(timeout=120)
    assert output == "started\n"
    assert [line for line in errors.splitlines() if line and "compiling the rules" not in line] == []
    assert parent.returncode == {"kill": -9, "raise": 3, "return": 0}[end]


def test_a_script_without_a_main_guard_is_told(tmp_path):
    script = tmp_path / "unguarded.py"
    script.write_text(
        "from shogi_env.adapters.sb3 import make_vec_env\n"
        "make_vec_env(2, 'subproc', num_workers=2, start_method='spawn')\n",
        encoding="utf-8",
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=120)
    last = done.stderr.splitlines()[-2:]
    assert "WorkerError: worker 0" in last[0] and "__main__" in last[1] and done.returncode == 1


def test_workers_load_no_learning_library():
    code = """if True:
        import sys, shogi_env.adapters._workers
        print(sorted({"torch", "stable_baselines3"} & {*sys.modules}))"""
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "[]\n"
