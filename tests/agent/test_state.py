import json
import logging
import random
import sys
from typing import Any

import numpy as np
import pytest
import torch as th
from stable_baselines3.common.callbacks import BaseCallback

from keisei_agent.config import Config, with_changes
from keisei_agent.files.storage import CheckpointError
from keisei_agent.learning.ppo import SelfPlayPPO
from keisei_agent.runs import generators
from keisei_agent.runs.build import build_env, build_model
from keisei_agent.runs.state import (
    State,
    capture,
    network_of,
    restore_callbacks,
    restore_generators,
    restore_model,
)

ROLLOUT = 32


class Counting(BaseCallback):
    """Counts steps, in a number and in an array."""

    def __init__(self) -> None:
        super().__init__()
        self.steps = 0
        self.seen = np.zeros(3, np.int64)

    def _on_step(self) -> bool:
        self.steps += 1
        self.seen[self.steps % 3] += 1
        return True

    def state(self) -> dict[str, Any]:
        return {"steps": self.steps, "seen": self.seen}

    def restore(self, state: dict[str, Any]) -> None:
        self.steps = state["steps"]
        self.seen[:] = state["seen"]


class Broken(Counting):
    def state(self) -> dict[str, Any]:
        raise ZeroDivisionError("a bug")


class Leaving(Counting):
    def state(self) -> dict[str, Any]:
        sys.exit(0)


def learner(config: Config) -> SelfPlayPPO:
    return build_model(config, build_env(config))


def learn(model: SelfPlayPPO, rollouts: int, *callbacks: BaseCallback) -> None:
    """Learn for some rollouts more."""
    model.learn(rollouts * ROLLOUT, callback=[*callbacks], reset_num_timesteps=model.num_timesteps == 0)


def through_files(state: State) -> State:
    return State(state.optimizer, state.arrays, json.loads(json.dumps(state.values)))


def everything(model: SelfPlayPPO) -> dict[str, th.Tensor]:
    """Weights and optimizer, by name."""
    return {**network_of(model).state_dict(), **capture(model, []).optimizer}


def assert_equal(left: SelfPlayPPO, right: SelfPlayPPO) -> None:
    one, other = everything(left), everything(right)
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        assert th.equal(tensor, other[name]), name


@pytest.mark.parametrize("vec_env", ["native", "dummy", "subproc"])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {
            "precision": "bfloat16",
            "ppo": {"weight_decay": 0.1, "learning_rate_schedule": "linear"},
        },
        {"env": {"observation": "pieces", "start": {"random_share": 0.5, "random_plies": 9}}},
    ],
)
def test_a_restored_learner_goes_on_bit_for_bit(small: Config, vec_env: str, changes: dict[str, Any]) -> None:
    config = with_changes(with_changes(small, changes), {"env.vec_env": vec_env})
    straight, counting = learner(config), Counting()
    learn(straight, 2, counting)
    state = through_files(capture(straight, [counting]))
    weights = {name: weight.clone() for name, weight in network_of(straight).state_dict().items()}
    learn(straight, 2, counting)

    again, its_counting = learner(config), Counting()
    restore_model(again, weights, state)
    restore_callbacks([its_counting], state)
    restore_generators(state)
    assert again.num_timesteps == 2 * ROLLOUT
    learn(again, 2, its_counting)
    assert_equal(straight, again)
    assert straight._n_updates == again._n_updates == 4
    assert (counting.steps, counting.seen.tolist()) == (its_counting.steps, its_counting.seen.tolist())
    for model in (straight, again):
        assert model.env is not None
        model.env.close()


def test_taking_the_state_changes_nothing(small: Config) -> None:
    left_alone = learner(small)
    learn(left_alone, 3)

    class Looking(BaseCallback):
        def _on_step(self) -> bool:
            capture(self.model, [])
            return True

    looked_at = learner(small)
    learn(looked_at, 3, Looking())
    assert_equal(looked_at, left_alone)


def test_optimizer_tensors_lie_in_memory_as_new_ones_do(small: Config) -> None:
    model = learner(small)
    learn(model, 1)
    state = capture(model, [])
    again = learner(small)
    restore_model(again, network_of(model).state_dict(), state)
    for weight, other in zip(model.policy.parameters(), again.policy.parameters(), strict=True):
        found, restored = model.policy.optimizer.state[weight], again.policy.optimizer.state[other]
        for name in ("exp_avg", "exp_avg_sq"):
            assert found[name].stride() == restored[name].stride()


def test_the_scaler_comes_back(small: Config) -> None:
    config = small.model_copy(update={"precision": "float16"})
    model = learner(config)
    learn(model, 1)
    assert model.scaler is not None
    model.scaler.update(1234.0)
    again = learner(config)
    restore_model(again, network_of(model).state_dict(), through_files(capture(model, [])))
    assert again.scaler is not None
    assert again.scaler.get_scale() == 1234.0


def test_generators_come_back() -> None:
    def draw() -> list[float]:
        numbers = np.random.randn(2).tolist()  # noqa: NPY002  # what others may draw from
        return [random.random(), random.gauss(), *numbers, th.rand(()).item()]

    random.gauss()
    np.random.randn()  # noqa: NPY002  # as this one does, it keeps a second number for the next call
    found = generators.capture()
    first = draw()
    draw()
    generators.restore(found)
    assert draw() == first


def test_weights_of_another_shape_are_refused(small: Config) -> None:
    model = learner(small)
    other = learner(small.model_copy(update={"network": small.network.model_copy(update={"channels": 4})}))
    learn(model, 1)
    state = capture(model, [])
    with pytest.raises(CheckpointError, match=r"the weights do not fit the network: .*size mismatch"):
        restore_model(other, network_of(model).state_dict(), state)


def test_a_callback_whose_state_fails_is_left_out_and_named(
    small: Config, caplog: pytest.LogCaptureFixture
) -> None:
    model = learner(small)
    learn(model, 1)
    with caplog.at_level(logging.WARNING, "keisei_agent"):
        state = capture(model, [Broken(), Leaving(), Counting()])
    assert list(state.values["callbacks"]) == ["Counting"]
    assert "Leaving.state failed" in caplog.text
    assert "Broken.state failed; the checkpoint is without it" in caplog.text
    with caplog.at_level(logging.WARNING, "keisei_agent"):
        restore_callbacks([Broken()], state)
    assert "Broken begins anew" in caplog.text
    assert "Counting takes no part any more" in caplog.text


def test_a_callback_whose_state_no_file_can_hold_is_left_out_and_named(
    small: Config, caplog: pytest.LogCaptureFixture
) -> None:
    class Wordy(Counting):
        def state(self) -> dict[str, Any]:
            return {"words": np.array(["no", "number"])}

    model = learner(small)
    learn(model, 1)
    with caplog.at_level(logging.WARNING, "keisei_agent"):
        state = through_files(capture(model, [Wordy(), Counting()]))
    assert list(state.values["callbacks"]) == ["Counting"]
    assert "callbacks.Wordy.words: an array of <U6 cannot be stored" in caplog.text


def test_two_callbacks_of_a_class_keep_their_own_states(small: Config) -> None:
    model = learner(small)
    learn(model, 1)
    callbacks = [Counting(), Counting()]
    callbacks[1].steps = 5
    state = capture(model, callbacks)
    restored = [Counting(), Counting()]
    restore_callbacks(restored, state)
    assert [callback.steps for callback in restored] == [0, 5]


def test_a_state_that_does_not_fit_its_callback_is_refused(small: Config) -> None:
    model = learner(small)
    learn(model, 1)
    state = capture(model, [Counting()])
    del state.values["callbacks"]["Counting"]["seen"]
    with pytest.raises(CheckpointError, match="state of Counting does not fit it: KeyError: 'seen'"):
        restore_callbacks([Counting()], state)
