import numpy as np
import pytest
import torch as th
from fakes import RandomPlanes
from learners import SMALL, planes_model
from sb3_contrib.common.maskable.distributions import MaskableCategoricalDistribution

from keisei_agent.distribution import LegalActions, sample_legal
from keisei_agent.networks.resnet import ResNet


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


def test_every_parameter_learns() -> None:
    model = planes_model(RandomPlanes(4), learning_rate=1e-2)
    before = {name: weight.detach().clone() for name, weight in model.policy.named_parameters()}
    model.learn(4 * 8 * 3)
    assert [name for name, weight in model.policy.named_parameters() if th.equal(weight, before[name])] == []


@pytest.mark.parametrize("in_bfloat16", [False, True])
def test_a_fresh_network_knows_nothing(in_bfloat16: bool) -> None:
    network = ResNet(**SMALL.model_dump(), in_bfloat16=in_bfloat16)
    planes = th.randint(0, 2, (3, 136, 9, 9), dtype=th.uint8)
    logits, values = network(planes)
    assert logits.dtype == values.dtype == th.float32
    assert logits.shape == (3, 2187)
    assert values.shape == (3, 1)
    assert not logits.any()
    assert not values.any()


@pytest.mark.parametrize("in_bfloat16", [False, True])
def test_the_three_forwards_agree_in_training_and_evaluation_mode(in_bfloat16: bool) -> None:
    network = ResNet(**SMALL.model_dump(), in_bfloat16=in_bfloat16)
    for head in (network.policy_head, network.value_head):
        th.nn.init.normal_(head.weight)
    planes = th.randint(0, 2, (5, 136, 9, 9), dtype=th.uint8)
    logits, values = network.train()(planes)
    network.eval()
    assert th.equal(network(planes)[0], logits)
    assert th.equal(network.forward_actor(planes), logits)
    assert th.equal(network.forward_critic(planes), values)
    assert th.equal(network.forward_actor(planes.float()), logits)


def test_a_logit_sees_the_cell_that_its_action_names() -> None:
    network = ResNet(channels=8, blocks=0)
    th.nn.init.normal_(network.policy_head.weight)
    th.nn.init.zeros_(network.stem.weight)
    network.stem.weight.data[:, 7, 1, 1] = th.arange(8.0)  # the stem sees plane 7 of its own cell only
    planes = th.zeros(1, 136, 9, 9, dtype=th.uint8)
    planes[0, 7, 6, 2] = 1
    logits = network.forward_actor(planes).reshape(27, 81)
    different = (logits != logits[:, :1]).any(0).nonzero().flatten().tolist()
    assert different == [9 * 6 + 2]


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


def test_samples_are_legal_and_as_frequent_as_they_should_be() -> None:
    logits, masks = logits_and_masks(1)
    logits[0, masks[0].nonzero()[0][0]] = 4.0  # one action far more probable than the others
    draws = 20_000
    actions = sample_legal(logits.expand(draws, -1), masks.repeat(draws, 0), greedy=False)
    counts = np.bincount(actions, minlength=2187)
    assert not counts[~masks[0]].any()
    probabilities = th.softmax(logits[0].masked_fill(~th.from_numpy(masks[0]), -th.inf), 0).numpy()
    deviation = (counts - draws * probabilities)[masks[0]] / np.sqrt(draws * probabilities[masks[0]])
    assert np.abs(deviation).max() < 4.5
    only = np.zeros((4, 2187), bool)
    only[np.arange(4), [0, 1000, 2186, 7]] = True
    assert sample_legal(th.randn(4, 2187), only, greedy=False).tolist() == [0, 1000, 2186, 7]
