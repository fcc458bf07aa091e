import copy
import logging
import shutil
from typing import Any

import numpy as np
import pytest
import torch as th
from fakes import STONES, Nim, RandomPlanes, Scripted
from gymnasium import spaces
from learners import nim_model, planes_model
from sb3_contrib import MaskablePPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import KVWriter, Logger

from keisei_agent.learning.ppo import Parts, SelfPlayPPO, TrainingError, read_masks

ROLLOUT = 4 * 8


class Idle(BaseCallback):
    """Base of callbacks that only look."""

    def _on_step(self) -> bool:
        return True


# ------------------------------------------------------------------------------- the same in both phases


class FirstMinibatch(Idle):
    """Notes the probability ratios of one minibatch between a rollout and its update."""

    def _on_training_start(self) -> None:
        self.ratios: list[th.Tensor] = []

    def _on_rollout_end(self) -> None:
        self.model.policy.set_training_mode(True)
        state = th.get_rng_state()
        batch = next(self.model.rollout_buffer.get(self.model.batch_size))
        th.set_rng_state(state)
        _, log_prob, _ = self.model.policy.evaluate_actions(
            batch.observations, batch.actions.flatten(), action_masks=batch.action_masks
        )
        self.ratios.append((log_prob - batch.old_log_prob).exp().detach())


def first_ratios(precision: str, *, compiled: bool) -> list[th.Tensor]:
    model = planes_model(RandomPlanes(16), precision=precision, learning_rate=1e-2, batch_size=64)
    if compiled:
        assert model.policy.compile_network()
    seen = FirstMinibatch()
    model.learn(16 * 8 * 3, callback=seen)
    assert len(seen.ratios) == 3
    return seen.ratios


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_first_ratio_is_exactly_one(precision: str) -> None:
    for ratio in first_ratios(precision, compiled=False):
        assert th.equal(ratio, th.ones(64))


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 1e-6), ("bfloat16", 1e-4)])
def test_first_ratio_is_one_when_compiled(precision: str, tolerance: float) -> None:
    for ratio in first_ratios(precision, compiled=True):
        assert float((ratio - 1).abs().max()) <= tolerance


def test_samples_are_what_the_policy_saw() -> None:
    class Witness(Idle):
        def _on_training_start(self) -> None:
            self.seen: list[tuple[th.Tensor, th.Tensor]] = []

        def _on_step(self) -> bool:
            self.seen.append((self.locals["obs_tensor"], self.locals["legal"]))
            return True

        def _on_rollout_end(self) -> None:
            self.order = th.get_rng_state()
            (self.batch,) = self.model.rollout_buffer.get()

    env = RandomPlanes(4)
    witness = Witness()
    planes_model(env).learn(ROLLOUT, callback=witness)
    th.set_rng_state(witness.order)
    order = th.randperm(ROLLOUT)
    assert th.equal(witness.batch.observations, th.cat([obs for obs, _ in witness.seen])[order])
    assert th.equal(witness.batch.action_masks, th.cat([legal for _, legal in witness.seen])[order])
    assert th.equal(witness.seen[-1][1], th.from_numpy(env.last_masks))


# ------------------------------------------------------------------------------------------- a solved game


def nim_results(gamma: float, seed: int) -> tuple[int, int]:
    """Of 12 won positions those played right, and of 15 values those with the right sign, after 20k steps."""
    model = nim_model(Nim(16, seed), gamma, seed=seed)
    model.learn(20_000)
    stones = np.arange(1, STONES + 1)
    env = Nim(STONES)
    env.stones[:] = stones
    actions, _ = model.predict(env.observation(stones), deterministic=True, action_masks=env.action_masks())
    won = stones % 4 != 0
    values = model.policy.predict_values(th.as_tensor(env.observation(stones))).detach().numpy()[:, 0]
    return int((actions + 1 == stones % 4)[won].sum()), int(((values > 0) == won).sum())


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_nim_is_solved(seed: int) -> None:
    right_moves, right_values = nim_results(1.0, seed)
    assert right_moves >= 11
    assert right_values >= 14


@pytest.mark.slow
def test_nim_is_not_solved_with_the_sign_flipped() -> None:
    right_moves, right_values = nim_results(-1.0, seed=0)
    assert right_moves < 11
    assert right_values < 14


# -------------------------------------------------------------------------------------- exact advantages


def advantages(
    env: Scripted, *, value: float = 0.0, gamma: float = 1.0, gae_lambda: float = 1.0
) -> np.ndarray:
    """Play the script once with a network that always says `value`; float32[T, N]."""
    steps, columns = env.rewards.shape
    model = planes_model(env, n_steps=steps, batch_size=steps * columns, gamma=gamma, gae_lambda=gae_lambda)
    th.nn.init.constant_(model.policy.network.value_head.bias, float(np.arctanh(value)))

    class Look(Idle):
        def _on_rollout_end(self) -> None:
            self.advantages = self.model.rollout_buffer.advantages.copy()

    seen = Look()
    model.learn(steps * columns, callback=seen)
    return seen.advantages


def test_win_loss_draw_and_pool_columns_side_by_side() -> None:
    # self-play: the last mover wins, loses, draws; then against the pool: the learner wins, loses, draws
    last = [1.0, -1.0, 0.0, 1.0, -1.0, 0.0]
    script = Scripted(
        rewards=[[0.0] * 6] * 4 + [last],
        ends=[[False] * 6] * 4 + [[True] * 6],
        both_seats=[True] * 3 + [False] * 3,
    )
    np.testing.assert_array_equal(
        advantages(script),
        [
            [1, -1, 0, 1, -1, 0],
            [-1, 1, 0, 1, -1, 0],
            [1, -1, 0, 1, -1, 0],
            [-1, 1, 0, 1, -1, 0],
            [1, -1, 0, 1, -1, 0],
        ],
    )


def test_nothing_leaks_from_one_game_into_another() -> None:
    script = Scripted(
        rewards=[[0.0, 0.0], [1.0, -1.0], [0.0, 0.0], [0.0, 1.0]],
        ends=[[False, False], [True, True], [False, False], [False, True]],
        both_seats=[True, False],
    )
    found = advantages(script, value=0.25)
    # game one ends in step 1; the second game of column 0 goes on behind the rollout, where 0.25 is expected
    expected = [
        [-1 - 0.25, -1 - 0.25],
        [1 - 0.25, -1 - 0.25],
        [0.25 - 0.25, 1 - 0.25],
        [-0.25 - 0.25, 1 - 0.25],
    ]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_truncated_game_is_worth_what_its_last_position_is_with_its_columns_sign() -> None:
    script = Scripted(
        rewards=[[0.0, 0.0, 0.0, 0.0]] * 2,
        ends=[[False] * 4, [True] * 4],
        both_seats=[True, False, True, False],
        truncated=[[False] * 4, [True, True, False, False]],
    )
    v, gamma, lam = 0.25, 0.5, 0.8
    expected = np.zeros((2, 4))
    for column, (discount, bootstrap) in enumerate([(-gamma, v), (gamma, v), (-gamma, 0.0), (gamma, 0.0)]):
        expected[1, column] = discount * bootstrap - v
        expected[0, column] = discount * v - v + discount * lam * expected[1, column]
    found = advantages(script, value=v, gamma=gamma, gae_lambda=lam)
    np.testing.assert_allclose(found, expected, atol=1e-6)


# --------------------------------------------------------------------------------------------- the update


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
    last = written.rows[-1]
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


def weights_of(model: SelfPlayPPO) -> th.Tensor:
    return th.cat([weight.detach().flatten() for weight in model.policy.parameters()])


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

    class Copy(Idle):
        def _on_rollout_end(self) -> None:
            before.update((n, w.detach().clone()) for n, w in model.policy.network.named_parameters())

    model.learn(3 * ROLLOUT, callback=Copy())
    model.logger.dump()
    after = dict(model.policy.network.named_parameters())
    layers = {
        key.removeprefix("layers/"): v for key, v in written.rows[-1].items() if key.startswith("layers/")
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


# ---------------------------------------------------------------------------------------- what stops it


def test_a_game_without_legal_actions_is_an_error() -> None:
    env = RandomPlanes(4)
    env.reset()
    env.masks[2] = False
    with pytest.raises(TrainingError, match="game 2 offers no legal action"):
        read_masks(env)


def test_masks_are_read_from_environments_that_only_have_rows() -> None:
    class Rows(RandomPlanes):
        action_masks = property()  # type: ignore[assignment]

        def env_method(self, *args: Any, **kwargs: Any) -> list[Any]:
            return list(self.masks)

    env = Rows(3)
    env.reset()
    np.testing.assert_array_equal(read_masks(env), env.masks)


@pytest.mark.parametrize("layer", ["value_head", "policy_head"])
def test_a_network_that_says_nothing_finite_is_an_error(layer: str) -> None:
    model = planes_model(RandomPlanes(4))
    with th.no_grad():
        getattr(model.policy.network, layer).weight[0] = th.nan
    with pytest.raises(TrainingError, match="values or probabilities of the network are not finite"):
        model.learn(ROLLOUT)


def test_a_loss_that_is_not_finite_is_an_error_and_named() -> None:
    class Poison(Idle):
        def _on_rollout_end(self) -> None:
            self.model.rollout_buffer.returns[3, 1] = np.nan

    model = planes_model(RandomPlanes(4))
    with pytest.raises(TrainingError, match=r"minibatch [12] of 2: losses are not finite: .*value_loss nan"):
        model.learn(ROLLOUT, callback=Poison())


def test_weights_that_are_not_finite_are_an_error() -> None:
    class Poison(Idle):
        def _on_rollout_end(self) -> None:
            with th.no_grad():  # nothing that learning looks at
                self.model.policy.network.unused[1] = th.inf

    model = planes_model(RandomPlanes(4))
    unused = th.nn.Parameter(th.zeros(3))
    model.policy.network.unused = unused
    model.policy.optimizer.param_groups[1]["params"].append(unused)
    with pytest.raises(TrainingError, match=r"weights of mlp_extractor.unused are not finite; a smaller"):
        model.learn(ROLLOUT, callback=Poison())


def test_another_buffer_is_refused() -> None:
    model = MaskablePPO("MlpPolicy", Nim(2), n_steps=4, batch_size=8, device="cpu")
    with pytest.raises(ValueError, match="fills a PackedRolloutBuffer"):
        SelfPlayPPO("MlpPolicy", Nim(2), n_steps=4, batch_size=8, device="cpu").learn(8)
    with pytest.raises(ValueError, match="always masks illegal actions"):
        planes_model(RandomPlanes(2)).learn(16, use_masking=False)
    assert not isinstance(model, SelfPlayPPO)


@pytest.mark.parametrize("by_return_value", [False, True])
def test_a_requested_stop_waits_for_the_update(by_return_value: bool) -> None:
    class Stop(BaseCallback):
        def _on_step(self) -> bool:
            self.model.stop_requested = not by_return_value
            return not by_return_value

    model = planes_model(RandomPlanes(4))
    model.learn(10_000, callback=Stop())
    assert model.num_timesteps == ROLLOUT
    assert model._n_updates == 1
    assert model.rollout_buffer.full


def test_same_seed_same_weights() -> None:
    sums = []
    for _ in range(2):
        model = planes_model(RandomPlanes(4, seed=3), seed=5)
        model.learn(2 * ROLLOUT)
        sums.append(weights_of(model))
    assert th.equal(*sums)


# --------------------------------------------------------------------------------------------- the rest


class Written(KVWriter):
    """Keeps what is logged."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, Any], step: int = 0) -> None:
        self.rows.append(dict(key_values))

    def close(self) -> None:
        pass


def test_where_the_time_goes() -> None:
    class Clock(Idle):
        def _on_training_start(self) -> None:
            self.seconds: list[float] = []
            self.parts: list[Parts] = []

        def _on_step(self) -> bool:
            self.seconds.append(self.model.seconds)
            return True

        def _on_rollout_end(self) -> None:
            self.parts.append(self.model.parts)

    clock = Clock()
    model = planes_model(RandomPlanes(4))
    model.learn(2 * ROLLOUT, callback=clock)
    assert clock.seconds == sorted(set(clock.seconds))  # it goes on within a rollout
    first, second = clock.parts
    assert first.learning == 0 < second.learning
    for parts in (first, second, model.parts):
        assert min(parts.acting, parts.environment, parts.callbacks) > 0
    both = sum(p.acting + p.environment + p.callbacks for p in clock.parts)
    assert model.seconds == pytest.approx(both + second.learning + model.parts.learning)


def test_each_part_of_the_time_is_counted_where_it_is_spent(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a clock that only moves while the rollout is stored, plays, or tells its callbacks."""

    class Tick(Idle):
        def _on_step(self) -> bool:
            return self.takes(100)

    now = 0.0

    def takes(seconds: float) -> bool:
        nonlocal now
        now += seconds
        return True

    env, tick = RandomPlanes(4), Tick()
    model = planes_model(env)
    step, add = env.step_wait, model.rollout_buffer.add
    monkeypatch.setattr("time.perf_counter", lambda: now)
    monkeypatch.setattr(env, "step_wait", lambda: takes(10) and step())
    monkeypatch.setattr(model.rollout_buffer, "add", lambda *args: takes(1) and add(*args))
    tick.takes = takes
    model.learn(ROLLOUT, callback=tick)
    assert model.parts == Parts(acting=8, environment=80, callbacks=800, learning=0)
    assert model.seconds == 888


def test_observation_space_of_the_fake_is_not_taken_for_an_image() -> None:
    model = planes_model(RandomPlanes(2))
    assert isinstance(model.observation_space, spaces.Box)
    assert model.observation_space.shape == (136, 9, 9)
