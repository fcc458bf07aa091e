import numpy as np
import pytest
import torch as th
from fakes import RandomPlanes
from learners import ROLLOUT, planes_model
from stable_baselines3.common.callbacks import BaseCallback

from keisei_agent.learning.ppo import SelfPlayPPO, TrainingError
from keisei_agent.learning.update import Coefficients, GradientSteps


def learned(precision: str, **arguments: object) -> SelfPlayPPO:
    model = planes_model(RandomPlanes(4), precision=precision, learning_rate=1e-3, **arguments)
    model.learn(3 * ROLLOUT)
    return model


def weights_of(model: SelfPlayPPO) -> th.Tensor:
    return th.cat([weight.detach().flatten() for weight in model.policy.parameters()])


@pytest.mark.parametrize(("precision", "tolerance"), [("bfloat16", 0.2), ("float16", 0.1)])
def test_learning_is_much_the_same_in_every_precision(precision: str, tolerance: float) -> None:
    start = weights_of(planes_model(RandomPlanes(4)))
    exact, rounded = (weights_of(learned(p)) - start for p in ("float32", precision))
    assert 0 < float((rounded - exact).norm() / exact.norm()) < tolerance


def test_only_float16_scales_its_loss() -> None:
    assert learned("float32").scaler is None
    assert learned("bfloat16").scaler is None
    model = learned("float16")
    assert model.scaler is not None
    assert model.update is not None
    assert model.update.loss_scale == model.scaler.get_scale() > 1
    assert model.update.skipped_steps == 0
    assert model.update.steps == 2


def gradient_norm(precision: str, max_grad_norm: float) -> tuple[float, float]:
    """The norm that a step tells, and the norm of the gradients that it left."""
    model = planes_model(
        RandomPlanes(4), precision=precision, max_grad_norm=max_grad_norm, learning_rate=1e-9
    )
    model.learn(ROLLOUT)
    norms = [weight.grad.norm() for weight in model.policy.parameters() if weight.grad is not None]
    assert model.update is not None and model.update.grad_norm is not None
    return model.update.grad_norm, float(th.stack(norms).norm())


def test_gradients_are_clipped_after_they_are_scaled_back() -> None:
    free, _ = gradient_norm("float32", 100.0)
    for precision in ("float32", "float16"):
        told, left = gradient_norm(precision, free / 10)
        assert told == pytest.approx(free, rel=0.05)
        assert left == pytest.approx(free / 10, rel=1e-3)


def test_a_gradient_too_large_for_float16_costs_one_step_and_lowers_the_scale() -> None:
    model = learned("float16")
    assert model.scaler is not None
    coefficients = Coefficients(0.2, None, 0.01, 0.5, 0.5, None, True)
    steps = GradientSteps(model.policy, coefficients, model.scaler, 0)
    (samples,) = model.rollout_buffer.get()
    before, scale = weights_of(model), model.scaler.get_scale()
    huge = samples._replace(advantages=samples.advantages * 1e4, returns=samples.returns * 1e15)
    steps.step(huge)
    assert th.equal(weights_of(model), before)
    assert model.scaler.get_scale() == scale / 2
    steps.step(samples)
    assert not th.equal(weights_of(model), before)
    norms = [float(norm) for norm in steps._norms]
    assert [np.isfinite(norm) for norm in norms] == [False, True]


def test_the_scale_belongs_to_the_state_of_a_run() -> None:
    model = learned("float16")
    assert model.scaler is not None
    other = planes_model(RandomPlanes(4), precision="float16")
    assert other.scaler is not None
    other.scaler.load_state_dict(model.scaler.state_dict() | {"scale": 1024.0})
    other.learn(ROLLOUT)
    assert other.update is not None
    assert other.update.loss_scale == 1024.0


def test_gradients_that_never_fit_into_float16_are_an_error() -> None:
    model = learned("float16")
    assert model.scaler is not None
    model.scaler.load_state_dict(model.scaler.state_dict() | {"scale": 1.5})

    class Poison(BaseCallback):
        def _on_step(self) -> bool:
            return True

        def _on_rollout_end(self) -> None:
            self.model.rollout_buffer.returns[:] *= 1e15

    with pytest.raises(TrainingError, match="no gradient fits into float16 any more"):
        model.learn(ROLLOUT, callback=Poison())


def test_an_update_that_ends_before_its_first_step_is_no_error() -> None:
    model = learned("float16")
    assert model.scaler is not None
    model.scaler.load_state_dict(model.scaler.state_dict() | {"scale": 0.5})
    model.target_kl = -1.0  # the first minibatch passes it
    model.learn(ROLLOUT)
    assert model.update is not None
    assert (model.update.early_stop, model.update.steps, model.update.grad_norm) == (1, 0, None)
