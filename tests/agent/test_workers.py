"""Games that workers play: the run is the same whatever becomes of them."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch as th
from crews import Builder
from runs import assert_same, curves, steps_of, tensors_of, values_of
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Logger
from test_metrics import documented

from keisei_agent.config import Config, ConfigError, with_changes
from keisei_agent.learning.parts import Stand, part_seed
from keisei_agent.learning.update import NotFiniteError, TrainingError
from keisei_agent.learning.workers import TRIES
from keisei_agent.runs import build, remote, training
from keisei_agent.runs.build import build_env, build_model, check
from keisei_agent.runs.training import resume, train


@pytest.fixture
def config(small: Config) -> Config:
    return with_changes(small, {"total_timesteps": 128, "eval_games": 0, "workers.count": 2})


def run(
    config: Config, folder: Path, monkeypatch: pytest.MonkeyPatch, *callbacks: BaseCallback, **troubles: Any
) -> Builder:
    """Train with workers in this process, some of them in trouble."""
    builder = Builder(**troubles)
    with monkeypatch.context() as patch:
        patch.setattr(training, "build_workers", builder)
        assert train(config, folder, callbacks=callbacks).reached_target
    return builder


def assert_learned_the_same(one: Path, other: Path) -> None:
    """Check that two runs have played and learned the same; what they say of their workers may differ."""
    left, right = tensors_of(one), tensors_of(other)
    assert left.keys() == right.keys()
    assert [name for name, tensor in left.items() if not th.equal(tensor, right[name])] == []
    values = [
        {tag: points for tag, points in values_of(folder).items() if not tag.startswith("workers/")}
        for folder in (one, other)
    ]
    assert values[0] == values[1]


def series(folder: Path, tag: str) -> list[float]:
    return [value for _, value in curves(folder)[tag]]


# ------------------------------------------------------------------------------------- the same as local


class Witness(BaseCallback):
    """Notes what it is shown at every step."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[dict[str, Any]] = []

    def _on_step(self) -> bool:
        names = ("actions", "values", "log_probs", "rewards", "dones", "infos")
        step = {name: self.locals[name] for name in names}
        step["new_obs"] = np.stack([self.locals["new_obs"][column] for column in range(4)])
        self.seen.append({**step, "num_timesteps": self.model.num_timesteps})
        return True


def collect(config: Config, *, workers: bool) -> tuple[Witness, dict[str, np.ndarray], Any]:
    """Collect one rollout, by a worker or without, and return what a callback saw, the buffer, the games."""
    model = build_model(config, build_env(config))
    model.set_logger(Logger(None, []))
    witness = Witness()
    _, callback = model._setup_learn(32, witness)
    if workers:
        model.workers = Builder()(config, 0)
    th.manual_seed(part_seed(config.seed, 0, 0))
    model.collect_rollouts(model.env, callback, model.rollout_buffer, model.n_steps)
    stand = Stand(model.env, model._last_obs, model._last_episode_starts)
    return witness, model.rollout_buffer.columns(), next(stand.orders(1, 0, 0))


def test_one_worker_brings_what_this_process_would_have_played(config: Config) -> None:
    config = with_changes(config, {"workers.count": 1, "env.max_plies": 5})
    one, own, stand = collect(config, workers=False)
    other, brought, other_stand = collect(config, workers=True)
    for name, array in own.items():
        np.testing.assert_array_equal(brought[name], array, err_msg=name)
    np.testing.assert_array_equal(other_stand.observations, stand.observations)
    np.testing.assert_array_equal(other_stand.starts, stand.starts)
    np.testing.assert_array_equal(other_stand.games["games"][0].rows, stand.games["games"][0].rows)
    assert len(one.seen) == len(other.seen) == 8
    assert sum(step["dones"].sum() for step in one.seen) >= 4
    for step, same in zip(one.seen, other.seen, strict=True):
        told = [{k: v for k, v in info.items() if k != "next_sfen"} for info in same.pop("infos")]
        np.testing.assert_equal(told, step.pop("infos"))
        np.testing.assert_equal(same, step)


def test_every_decision_is_counted_once_and_told(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = with_changes(config, {"log.boards_every": 32, "env.max_plies": 12})
    witness = Witness()
    builder = run(config, tmp_path, monkeypatch, witness)
    assert [step["num_timesteps"] for step in witness.seen] == list(range(4, 129, 4))
    steps = steps_of(tmp_path)
    for tag in ("train/loss", "games/total", "value/positions", "speed/waiting", "workers/alive"):
        assert steps[tag] == [32, 64, 96, 128], tag
    assert series(tmp_path, "games/total")[-1] == sum(step["dones"].sum() for step in witness.seen) > 0
    assert "lost track" not in (tmp_path / "log.txt").read_text("utf-8")
    assert list((tmp_path / "boards").iterdir())
    (crew,) = builder.crews
    assert crew.closed
    assert [(order.part, order.at, order.version) for order in crew.orders] == [
        (part, at, at // 32 + 1) for at in (0, 32, 64, 96) for part in (0, 1)
    ]
    assert len({order.seed for order in crew.orders}) == 8


def test_what_is_recorded_of_workers_is_documented(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(config, tmp_path, monkeypatch)
    known = {key for key in documented() if key.startswith("workers/")}
    assert {tag for tag in curves(tmp_path) if tag.startswith("workers/")} == known
    assert all(0 <= share <= 1 for share in series(tmp_path, "speed/waiting"))


# ---------------------------------------------------------------------------------------- what goes wrong


def log_of(folder: Path) -> str:
    return (folder / "log.txt").read_text("utf-8")


def test_workers_that_die_change_nothing(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(config, tmp_path / "straight", monkeypatch)
    deaths = (2, 3, 6, 9, 10)
    builder = run(config, tmp_path / "dying", monkeypatch, deaths=deaths)
    assert len(builder.crews[0].orders) == 8 + len(deaths), "only what was lost is played again"
    assert series(tmp_path / "dying", "workers/restarts")[-1] == len(deaths)
    assert series(tmp_path / "dying", "workers/alive") == [2, 2, 2, 2]
    assert log_of(tmp_path / "dying").count("is started again: its process died") == len(deaths)
    assert_learned_the_same(tmp_path / "straight", tmp_path / "dying")


def test_one_that_never_starts_is_given_up_and_the_other_plays_its_part(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(config, tmp_path / "straight", monkeypatch)
    builder = run(config, tmp_path / "one", monkeypatch, starts=lambda number: number == 1)
    assert series(tmp_path / "one", "workers/alive")[-1] == 1
    assert f"Worker 0 is given up after {TRIES} failures in a row: its process died" in log_of(
        tmp_path / "one"
    )
    assert len(builder.crews[0].orders) == 8
    assert_learned_the_same(tmp_path / "straight", tmp_path / "one")


def test_one_that_nothing_is_heard_of_is_taken_for_dead(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(config, tmp_path / "straight", monkeypatch)
    impatient = with_changes(config, {"workers.patience": 0.5})
    builder = run(impatient, tmp_path / "late", monkeypatch, silences=(3,))
    assert "is started again: nothing was heard of it for 0.5 seconds" in log_of(tmp_path / "late")
    assert builder.workers[0].restarts >= 1
    assert_learned_the_same(tmp_path / "straight", tmp_path / "late")


def test_when_all_are_lost_this_process_plays_on(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    witness = Witness()
    builder = run(config, tmp_path, monkeypatch, witness, deaths=range(4, 1000))
    assert builder.crews[0].closed
    log = log_of(tmp_path)
    assert log.count("No worker is left; the learning process plays by itself from now on.") == 1
    assert [step["num_timesteps"] for step in witness.seen] == list(range(4, 129, 4))
    assert series(tmp_path, "workers/alive") == [2, 0, 0, 0]
    assert steps_of(tmp_path)["speed/waiting"] == [32]
    assert "Traceback" not in log


def test_when_none_can_be_started_this_process_plays(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(config, tmp_path / "none", monkeypatch, starts=lambda number: False)
    monkeypatch.setattr(remote, "find_spec", lambda name: None)
    train(config, tmp_path / "no ray")
    said = "No worker can be started: ray is not installed; pip install 'keisei[ray]'; the learning process"
    assert log_of(tmp_path / "no ray").count(said) == 1
    train(with_changes(config, {"workers.count": 0}), tmp_path / "alone")
    for folder in ("none", "no ray"):
        assert_learned_the_same(tmp_path / "alone", tmp_path / folder)


def test_required_workers_that_are_lost_end_the_run(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = with_changes(config, {"workers.required": True})
    monkeypatch.setattr(build, "find_spec", lambda name: object())  # as if ray were installed
    with pytest.raises(TrainingError, match="no worker is left of 2: its process died"):
        run(config, tmp_path / "lost", monkeypatch, deaths=range(4, 1000))
    assert "Training failed after 32 decisions" in log_of(tmp_path / "lost")
    monkeypatch.setattr(remote, "find_spec", lambda name: None)
    with pytest.raises(TrainingError, match="no worker can be started: ray is not installed"):
        train(config, tmp_path / "none")


def test_what_learning_cannot_survive_is_not_tried_again(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = NotFiniteError("values or probabilities of the network are not finite")
    with pytest.raises(NotFiniteError):
        run(config, tmp_path, monkeypatch, deaths=(3,), error=error)
    assert "is started again" not in log_of(tmp_path)


# ------------------------------------------------------------------------------------------ old weights


def test_a_part_that_is_too_old_is_refused_and_played_again(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(config, tmp_path / "straight", monkeypatch)
    builder = run(config, tmp_path / "stale", monkeypatch, stale=(3, 6))
    assert len(builder.crews[0].orders) == 8 + 2
    assert series(tmp_path / "stale", "workers/refused") == [0, 1, 2, 2]
    assert series(tmp_path / "stale", "workers/staleness") == [0, 0, 0, 0]
    assert_learned_the_same(tmp_path / "straight", tmp_path / "stale")


def test_workers_may_play_ahead_by_one_update(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = with_changes(config, {"workers.max_staleness": 1})
    builder = run(config, tmp_path / "ahead", monkeypatch, deaths=(4,))
    assert series(tmp_path / "ahead", "workers/staleness")[0] == 0
    assert series(tmp_path / "ahead", "workers/staleness")[-1] == 1
    orders = builder.crews[0].orders
    assert [order.at for order in orders].count(128) == 2, "begun, and not waited for"
    ahead = [order for order in orders if order.version == order.at // 32]
    assert len(ahead) == len(orders) - 2 - 1  # those of the first rollout, and the one that was lost
    assert steps_of(tmp_path / "ahead")["train/loss"] == [32, 64, 96, 128]
    refusing = run(config, tmp_path / "refusing", monkeypatch, stale=(5,))
    assert refusing.workers[0].refused == 1


# ----------------------------------------------------------------------------------------------- resuming


class Died(BaseException):
    pass


class Dying(BaseCallback):
    def _on_step(self) -> bool:
        if self.model.num_timesteps >= 100:
            raise Died
        return True


def test_a_run_with_workers_goes_on_bit_for_bit(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(config, tmp_path / "straight", monkeypatch)
    builder = Builder()
    monkeypatch.setattr(training, "build_workers", builder)
    with pytest.raises(Died):
        train(config, tmp_path / "died", callbacks=[Dying()])
    assert builder.crews[0].closed
    resume(tmp_path / "died")
    assert [order.at for order in builder.crews[1].orders] == [96, 96]
    assert_same(tmp_path / "straight", tmp_path / "died")


def test_another_number_of_workers_is_another_run(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(with_changes(config, {"total_timesteps": 64}), tmp_path, monkeypatch)
    with pytest.raises(ConfigError, match=r"workers\.count changes the numbers; --inexact"):
        resume(tmp_path, {"workers.count": 0, "total_timesteps": 96})
    done = resume(tmp_path, {"workers.count": 0, "total_timesteps": 96}, inexact=True)
    assert done.model.num_timesteps == 96


def test_a_resumed_run_that_plays_ahead_says_that_it_differs(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = "Workers play ahead: the first rollout is played with newer weights than it would have been"
    config = with_changes(config, {"workers.max_staleness": 1, "total_timesteps": 64})
    run(config, tmp_path, monkeypatch)
    assert said not in log_of(tmp_path)
    monkeypatch.setattr(training, "build_workers", Builder())
    resume(tmp_path, {"total_timesteps": 96})
    assert said in log_of(tmp_path)


# ------------------------------------------------------------------------------------------ combinations


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"workers.count": 3}, "env.n_envs = 4 cannot be divided evenly among workers.count = 3"),
        ({"env.vec_env": "subproc"}, "workers.count = 2 needs env.vec_env = 'native', not 'subproc'"),
        ({"league.share": 0.5}, "workers.count = 2 needs league.share = 0: workers hold no pool"),
        ({"compile": True}, "workers.count = 2 needs compile = false"),
        ({"workers.count": 0, "workers.ray_address": "auto"}, "ray_address = 'auto' needs count above 0"),
        ({"workers.count": 0, "workers.required": True}, "required = True needs count above 0"),
        ({"workers.max_staleness": 2}, "workers.max_staleness = 2"),
    ],
)
def test_what_workers_cannot_do_is_refused(config: Config, settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(said)):
        with_changes(config, settings)


def test_what_this_machine_cannot_do_is_refused(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    check(config)
    with monkeypatch.context() as patch:
        patch.setenv("WORLD_SIZE", "2")
        with pytest.raises(ConfigError, match=r"workers\.count = 2: workers need a single process"):
            check(config)
    monkeypatch.setattr(build, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"workers\.count = 2: ray is not installed; pip install"):
        check(with_changes(config, {"workers.required": True}))
    check(config)  # goes on without


def test_seeds_of_parts_differ() -> None:
    seeds = [part_seed(seed, part, at) for seed in (0, 1) for part in (0, 1) for at in (0, 32)]
    assert len(set(seeds)) == 8
    assert part_seed(0, 0, 0) == 15793235383387715774, "other seeds are another run"
