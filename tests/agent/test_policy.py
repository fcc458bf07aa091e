import json

import numpy as np
import pytest
import torch as th
from fakes import RandomPlanes
from learners import SMALL, planes_model
from sb3_contrib.common.maskable.distributions import MaskableCategoricalDistribution

from keisei_agent.config import NetworkConfig
from keisei_agent.learning.policy import NetworkPolicy, policy_kwargs
from keisei_agent.networks.distribution import LegalActions


def logits_and_masks(rows: int = 32) -> tuple[th.Tensor, np.ndarray]:
    generator = th.Generator().manual_seed(0)
    masks = th.rand(rows, 2187, generator=generator) < 0.02
    masks[:, 5] = True
    return th.randn(rows, 2187, generator=generator), masks.numpy()


def test_the_optimizer_holds_exactly_the_network() -> None:
    model = planes_model(RandomPlanes(2))
    optimized = {id(weight) for group in model.policy.optimizer.param_groups for weight in group["params"]}
    assert optimized == {id(weight) for weight in model.policy.network.parameters()}
    assert optimized == {id(weight) for weight in model.policy.parameters()}


@pytest.mark.parametrize("name", ["resnet", "se_resnet", "mlp"])
@pytest.mark.parametrize("head", ["scalar", "wdl"])
def test_every_parameter_learns(name: str, head: str) -> None:
    network = SMALL.model_copy(update={"name": name, "value_head": head})
    model = planes_model(RandomPlanes(4), network=network, learning_rate=1e-2)
    before = {name: weight.detach().clone() for name, weight in model.policy.named_parameters()}
    model.learn(4 * 8 * 3)
    assert [name for name, weight in model.policy.named_parameters() if th.equal(weight, before[name])] == []


def test_the_fused_optimizer_does_what_the_plain_one_does() -> None:
    models = [planes_model(RandomPlanes(4), learning_rate=1e-2, weight_decay=0.1) for _ in range(2)]
    for group in models[0].policy.optimizer.param_groups:
        assert group["fused"]
    for group in models[1].policy.optimizer.param_groups:
        group["fused"] = False
    for model in models:
        th.manual_seed(1)
        model.learn(4 * 8)
    for mine, theirs in zip(*(model.policy.parameters() for model in models), strict=True):
        th.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)


def test_policy_arguments_are_plain_values() -> None:
    network = NetworkConfig(name="se_resnet", channels=8, blocks=1, value_hidden=8, value_head="wdl")
    arguments = policy_kwargs(network, precision="bfloat16", weight_decay=0.1)
    assert json.loads(json.dumps(arguments)) == arguments
    model = planes_model(RandomPlanes(2), network=network, precision="bfloat16")
    assert model.policy.precision == "bfloat16"
    assert model.policy.network.dtype == th.bfloat16


def test_a_policy_saved_by_stable_baselines3_comes_back(tmp_path) -> None:
    policy = planes_model(RandomPlanes(2), precision="bfloat16", weight_decay=0.1).policy
    policy.save(str(tmp_path / "policy.pth"))
    again = NetworkPolicy.load(str(tmp_path / "policy.pth"))
    assert again.precision == "bfloat16"
    assert [group["weight_decay"] for group in again.optimizer.param_groups] == [0.1, 0.0]
    for mine, theirs in zip(again.parameters(), policy.parameters(), strict=True):
        assert th.equal(mine, theirs)


def test_a_prediction_needs_no_more_than_one_position() -> None:
    model = planes_model(RandomPlanes(3))
    env = RandomPlanes(3)
    planes = env.reset()
    masks = env.action_masks()
    together, _ = model.predict(planes, action_masks=masks, deterministic=True)
    for i in range(3):
        alone, _ = model.predict(planes[i], action_masks=masks[i], deterministic=True)
        assert alone == together[i]
        assert masks[i, alone]


def test_nothing_holds_on_to_the_last_batch() -> None:
    model = planes_model(RandomPlanes(2))
    planes = th.zeros(4, 136, 9, 9, dtype=th.uint8)
    first = model.policy._get_action_dist_from_latent(model.policy.network.forward_actor(planes))
    second = model.policy._get_action_dist_from_latent(model.policy.network.forward_actor(planes))
    assert first is not second
    assert not hasattr(model.policy.action_dist, "logits")


# ------------------------------------------------------------------------------------------- distribution


def test_distribution_equals_the_stock_one() -> None:
    logits, masks = logits_and_masks()
    actions = th.from_numpy(masks.argmax(1))
    ours, stock = LegalActions(2187), MaskableCategoricalDistribution(2187)
    for distribution in (ours, stock):
        distribution.proba_distribution(logits)
        distribution.apply_masking(masks)
    th.testing.assert_close(ours.log_prob(actions), stock.log_prob(actions))
    th.testing.assert_close(ours.entropy(), stock.entropy())
    assert th.equal(ours.mode(), stock.mode())


def test_gradients_equal_those_of_the_stock_distribution() -> None:
    logits, masks = logits_and_masks()
    actions = th.from_numpy(masks.argmax(1))
    gradients = []
    for distribution in (LegalActions(2187), MaskableCategoricalDistribution(2187)):
        leaf = logits.clone().requires_grad_()
        distribution.proba_distribution(leaf)
        distribution.apply_masking(masks)
        weights = th.linspace(-1, 2, len(logits))
        (distribution.log_prob(actions) * weights + distribution.entropy() * weights.flip(0)).sum().backward()
        gradients.append(leaf.grad)
    th.testing.assert_close(*gradients)
    assert not gradients[0][~th.from_numpy(masks)].any()


def test_new_logits_or_masks_are_looked_at() -> None:
    distribution = LegalActions(3).proba_distribution(th.zeros(1, 3))
    assert distribution.entropy().item() == pytest.approx(np.log(3))
    distribution.apply_masking(np.array([[True, True, False]]))
    assert distribution.entropy().item() == pytest.approx(np.log(2))
    distribution.proba_distribution(th.tensor([[100.0, 0.0, 0.0]]))
    assert distribution.entropy().item() == pytest.approx(0.0, abs=1e-6)


def sampled(logits: th.Tensor, masks: np.ndarray) -> np.ndarray:
    distribution = LegalActions(logits.shape[1]).proba_distribution(logits)
    distribution.apply_masking(masks)
    return distribution.sample().numpy()


def test_samples_are_legal_and_as_frequent_as_they_should_be() -> None:
    logits, masks = logits_and_masks(1)
    logits[0, masks[0].nonzero()[0][0]] = 4.0  # one action far more probable than the others
    draws = 20_000
    th.manual_seed(0)
    actions = sampled(logits.expand(draws, -1), masks.repeat(draws, 0))
    counts = np.bincount(actions, minlength=2187)
    assert not counts[~masks[0]].any()
    probabilities = th.softmax(logits[0].masked_fill(~th.from_numpy(masks[0]), -th.inf), 0).numpy()
    deviation = (counts - draws * probabilities)[masks[0]] / np.sqrt(draws * probabilities[masks[0]])
    assert np.abs(deviation).max() < 4.5
    only = np.zeros((4, 2187), bool)
    only[np.arange(4), [0, 1000, 2186, 7]] = True
    assert sampled(th.randn(4, 2187), only).tolist() == [0, 1000, 2186, 7]


def test_the_ends_of_the_unit_interval_are_legal_too() -> None:
    logits, masks = logits_and_masks(4)
    distribution = LegalActions(2187).proba_distribution(logits)
    distribution.apply_masking(masks)
    for uniform in (0.0, 1 - 2**-24, 1.0):
        actions = distribution.at(th.full((4, 1), uniform))
        assert masks[np.arange(4), actions].all()
    assert distribution.at(th.zeros(4, 1)).tolist() == masks.argmax(1).tolist()


def test_a_sum_that_rounding_lifts_at_an_illegal_action_chooses_a_legal_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def in_parts(values: th.Tensor, dim: int) -> th.Tensor:
        """As CUDA may: a sum of zeros more is not the same sum."""
        sums = exact(values, dim)
        sums[:, 1] = th.nextafter(sums[:, 1], th.ones(len(sums)))
        return sums

    exact = th.Tensor.cumsum
    distribution = LegalActions(3).proba_distribution(th.tensor([[0.0, 0.0, 0.0], [9.0, 0.0, 9.0]]))
    distribution.apply_masking(np.array([[True, False, True]] * 2))
    assert distribution.at(th.full((2, 1), 0.5)).tolist() == [2, 2]
    monkeypatch.setattr(th.Tensor, "cumsum", in_parts)
    assert distribution.at(th.full((2, 1), 0.5)).tolist() == [0, 0], "the most probable, of equals the first"
    assert distribution.at(th.full((2, 1), 0.75)).tolist() == [2, 2]


def test_logits_that_are_not_finite_choose_some_action() -> None:
    distribution = LegalActions(5).proba_distribution(th.full((2, 5), th.nan))
    actions = distribution.at(th.full((2, 1), 0.5))
    assert ((actions >= 0) & (actions < 5)).all()
    assert distribution.log_prob(actions).isnan().all()  # which the learner refuses
