import copy
import logging
from typing import Any

import numpy as np
import pytest
import torch as th
from fakes import Nim, Quiet, RandomPlanes, Scripted
from learners import ROLLOUT, nim_model, planes_model, weights_of
from sb3_contrib import MaskablePPO
from stable_baselines3.common.logger import Logger
from written import Written

from keisei_agent.learning.ppo import SelfPlayPPO


def pair_of_models(**arguments: Any) -> tuple[SelfPlayPPO, MaskablePPO]:
    """Our learner and a stock one with the same weights and the same rollout, behind its first update."""
    ours = nim_model(Nim(16), 1.0, seed=0, **arguments)
    ours.learn(16 * 64)
    stock = MaskablePPO(
        type(ours.policy), ours.env, learning_rate=3e-3, ent_coef=0.01, seed=0, device="cpu", n_steps=64,
        **{"batch_size": 256, "n_epochs": 4} | arguments,
    )  # fmt: skip
    stock.policy.load_state_dict(ours.policy.state_dict())
    stock.policy.optimizer.load_state_dict(copy.deepcopy(ours.policy.optimizer.state_dict()))
    stock.rollout_buffer = ours.rollout_buffer
    for model in (ours, stock):
        model.set_logger(Logger(None, []))
    return ours, stock


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"clip_range_vf": 0.01},
        {"normalize_advantage": False},
        {"target_kl": 1e-5},
        {"batch_size": 300},
        {"max_grad_norm": 0.01, "vf_coef": 2.0},
    ],
    ids=str,
)
def test_an_update_is_the_stock_one(arguments: dict[str, Any]) -> None:
    ours, stock = pair_of_models(**arguments)
    before = ours._n_updates
    numbers = []
    for model in (ours, stock):
        th.manual_seed(7)
        model.train()
        numbers.append(model.logger.name_to_value)
    for (name, mine), theirs in zip(ours.policy.named_parameters(), stock.policy.parameters(), strict=True):
        th.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-6, msg=name)
    assert ours._n_updates - before == stock._n_updates
    if 16 * 64 % ours.batch_size:
        return  # the stock learner's means count a small last minibatch like the others
    for key in ("policy_gradient_loss", "value_loss", "clip_fraction", "explained_variance", "clip_range"):
        assert numbers[0][f"train/{key}"] == pytest.approx(numbers[1][f"train/{key}"], rel=1e-3, abs=1e-6), (
            key
        )
    assert numbers[0]["train/entropy"] == pytest.approx(-numbers[1]["train/entropy_loss"], rel=1e-4)


def test_what_an_update_tells() -> None:
    model = planes_model(RandomPlanes(4), n_epochs=2, learning_rate=1e-6, batch_size=12)
    written = Written()
    model.set_logger(Logger(None, [written]))
    model.learn(2 * ROLLOUT)
    model.logger.dump()
    update = model.update
    assert update is not None
    assert update.relative_entropy == pytest.approx(1.0, abs=1e-4)  # it has learned next to nothing
    legal = np.unpackbits(model.rollout_buffer.action_masks, axis=-1).sum(-1)
    assert update.entropy == pytest.approx(np.log(legal).mean(), rel=1e-3)
    assert (update.steps, update.epochs, update.early_stop) == (6, 2, 0)
    assert (update.batch_size, update.piece_size) == (12, 12)
    assert update.grad_norm is not None and update.grad_norm > 0
    assert update.clip_range_vf is update.loss_scale is update.skipped_steps is None
    _, last = written.rows[-1]
    for name, value in update.metrics():
        assert last[f"train/{name}"] == value
    assert {key for key in last if key.startswith("train/")} == {
        *(f"train/{name}" for name, _ in update.metrics()),
        "train/learning_rate",
        "train/n_updates",
    }


def test_a_batch_is_no_larger_than_the_rollout() -> None:
    model = planes_model(RandomPlanes(4), batch_size=10 * ROLLOUT)
    model.minibatch_splits = 1
    model.learn(ROLLOUT)
    assert model.update is not None
    assert (model.update.steps, model.update.batch_size, model.update.piece_size) == (1, 32, 16)


def test_returns_that_do_not_vary_have_no_explained_variance() -> None:
    script = Scripted([[0.0, 0.0]] * 4, [[False, False]] * 4, [True, True])
    model = planes_model(script, n_steps=4, batch_size=8)
    model.learn(8)
    assert model.update is not None
    assert model.update.explained_variance is None


def test_a_divergence_ends_the_update() -> None:
    free = planes_model(RandomPlanes(4), n_epochs=4, learning_rate=1e-2)
    bound = planes_model(RandomPlanes(4), n_epochs=4, learning_rate=1e-2, target_kl=1e-4)
    for model in (free, bound):
        model.learn(ROLLOUT)
        assert model.update is not None
    assert (free.update.early_stop, free.update.steps) == (0, 8)
    assert bound.update.early_stop == 1
    assert 1 <= bound.update.steps < 8
    assert bound.update.approx_kl < free.update.approx_kl


def test_weight_decay_shrinks_weights_and_spares_norms_and_biases() -> None:
    with_decay, without = (
        planes_model(RandomPlanes(4), weight_decay=decay, learning_rate=1e-2) for decay in (0.1, 0.0)
    )
    for model in (with_decay, without):
        model.learn(ROLLOUT)
    groups = with_decay.policy.optimizer.param_groups
    assert [group["weight_decay"] for group in groups] == [0.1, 0.0]
    assert {weight.ndim for weight in groups[0]["params"]} == {2, 4}
    assert {weight.ndim for weight in groups[1]["params"]} == {1}
    stems = [model.policy.network.stem.weight.norm() for model in (with_decay, without)]
    assert stems[0] < stems[1]


def test_the_size_of_the_last_step_of_each_layer() -> None:
    model = planes_model(RandomPlanes(4), batch_size=ROLLOUT, weight_decay=0.1, learning_rate=1e-3)
    written = Written()
    model.set_logger(Logger(None, [written]))
    model.measure_layers = True
    before: dict[str, th.Tensor] = {}

    class Copy(Quiet):
        def _on_rollout_end(self) -> None:
            before.update((n, w.detach().clone()) for n, w in model.policy.network.named_parameters())

    model.learn(3 * ROLLOUT, callback=Copy())
    model.logger.dump()
    after = dict(model.policy.network.named_parameters())
    layers = {
        key.removeprefix("layers/"): v for key, v in written.rows[-1][1].items() if key.startswith("layers/")
    }
    assert layers.keys() == after.keys()
    for name, weight in after.items():
        exact = float(((weight - before[name]).norm() / weight.norm()).detach())
        assert layers[name] == pytest.approx(exact, rel=0.01), name
    assert not any(key.startswith("layers/") for key in written_without_layers())


def written_without_layers() -> list[str]:
    model = planes_model(RandomPlanes(4))
    model.set_logger(Logger(None, []))
    model.learn(ROLLOUT)
    return list(model.logger.name_to_value)


# --------------------------------------------------------------------------------------- out of memory


def starve(model: SelfPlayPPO, most: int, error: Exception) -> list[int]:
    """Let the policy fail on more than `most` positions in learning; return the sizes that it is given."""
    evaluate, sizes = model.policy.evaluate_actions, []

    def evaluate_some(obs: th.Tensor, *args: Any, **kwargs: Any) -> Any:
        sizes.append(len(obs))
        if len(obs) > most:
            raise error
        return evaluate(obs, *args, **kwargs)

    model.policy.evaluate_actions = evaluate_some
    return sizes


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        th.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:114] data. DefaultCPUAllocator: not enough memory"),
        RuntimeError("MPS backend out of memory (MPS allocated: 9.00 GB)"),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_out_of_memory_halves_the_minibatch_and_keeps_the_step(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    ample = planes_model(RandomPlanes(4), learning_rate=1e-2)
    ample.learn(2 * ROLLOUT)
    scarce = planes_model(RandomPlanes(4), learning_rate=1e-2)
    sizes = starve(scarce, 8, error)
    with caplog.at_level(logging.WARNING):
        scarce.learn(2 * ROLLOUT)
    assert sizes == [16, *[8] * 8]
    reason = str(error) or "MemoryError"
    assert [record.message for record in caplog.records] == [
        f"Out of memory ({reason}): from now on minibatches of 16 go through the network in pieces of 8."
    ]
    assert scarce.minibatch_splits == 1
    assert (scarce.update.batch_size, scarce.update.piece_size, scarce.update.steps) == (16, 8, 2)
    th.testing.assert_close(weights_of(scarce), weights_of(ample), rtol=1e-4, atol=1e-5)
    for (name, mine), (_, theirs) in zip(scarce.update.metrics(), ample.update.metrics(), strict=True):
        assert mine == pytest.approx(theirs, rel=1e-3, abs=1e-5) or name == "piece_size"


def test_pieces_are_remembered_and_memory_may_run_out_again(caplog: pytest.LogCaptureFixture) -> None:
    model = planes_model(RandomPlanes(4))
    model.minibatch_splits = 1
    sizes = starve(model, 4, MemoryError())
    with caplog.at_level(logging.WARNING):
        model.learn(ROLLOUT)
    assert sizes == [8, *[4] * 8]
    assert len(caplog.records) == 1
    assert model.minibatch_splits == 2


def test_no_memory_at_all_is_an_error(caplog: pytest.LogCaptureFixture) -> None:
    model = planes_model(RandomPlanes(4))
    sizes = starve(model, 0, MemoryError("nothing left"))
    with pytest.raises(MemoryError, match="nothing left"):
        model.learn(ROLLOUT)
    assert sizes == [16, 8, 4, 2, 1]


def test_other_errors_are_not_taken_for_a_lack_of_memory() -> None:
    model = planes_model(RandomPlanes(4))
    sizes = starve(model, 0, RuntimeError("a shape is wrong"))
    with pytest.raises(RuntimeError, match="a shape is wrong"):
        model.learn(ROLLOUT)
    assert sizes == [16]
