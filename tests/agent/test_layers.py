"""What memory the sizes of the last steps take, layer by layer: counted by torch's profiler, not measured."""

from collections.abc import Callable
from itertools import accumulate

import pytest
import torch as th
from fakes import RandomPlanes
from learners import planes_model
from torch.profiler import ProfilerActivity, profile

from keisei_agent.learning import ppo
from keisei_agent.learning.update import layer_steps


def peak_of(act: Callable[[], object]) -> int:
    """Bytes of tensors, at most at once, that something allocates on the CPU."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as prof:
        act()
    events = [event for event in prof.profiler.kineto_results.events() if event.name() == "[memory]"]
    events.sort(key=lambda event: event.start_ns())
    return max(accumulate(event.nbytes() for event in events))


def test_what_a_peak_is() -> None:
    one = th.zeros(1000)  # 4000 bytes
    assert 12000 <= peak_of(lambda: [one + k for k in range(3)]) < 12500, "three at once"
    assert 4000 <= peak_of(lambda: [float((one + k).sum()) for k in range(3)]) < 4500, "one after the other"


def test_sizes_of_steps_are_found_one_layer_after_the_other() -> None:
    weights = [th.nn.Parameter(th.randn(50, 50)) for _ in range(100)]
    optimizer = th.optim.AdamW(weights)
    sum(weight.square().sum() for weight in weights).backward()
    optimizer.step()
    named = [(str(number), weight) for number, weight in enumerate(weights)]
    found = peak_of(lambda: layer_steps(named, optimizer))
    assert found < 10 * weights[0].nbytes, "a copy of them all would be 100"


def test_they_do_not_raise_the_peak_of_an_update() -> None:
    model = planes_model(RandomPlanes(4))
    model.learn(32)
    peaks = []
    for measured in (False, False, True):  # the first one frees what was there before anybody counted
        model.measure_layers = measured
        peaks.append(peak_of(model.train))
    assert peaks[2] == pytest.approx(peaks[1], rel=0.01)


def test_they_are_not_computed_unless_one_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(ppo, "layer_steps", lambda named, optimizer: asked.append(1) or {})
    model = planes_model(RandomPlanes(4))
    model.learn(32)
    assert asked == []
    model.measure_layers = True
    model.train()
    assert asked == [1]
