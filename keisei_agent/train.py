"""One training run: check the world, build the parts, learn once, say what came of it."""

import logging
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import configure
from stable_baselines3.common.vec_env import VecEnv

from keisei_agent import doctor
from keisei_agent.buffer import PackedRolloutBuffer
from keisei_agent.callbacks.checkpoint import CheckpointCallback
from keisei_agent.callbacks.evaluation import EvaluationCallback
from keisei_agent.callbacks.games import GamesCallback
from keisei_agent.callbacks.guard import Guard
from keisei_agent.callbacks.progress import ProgressCallback
from keisei_agent.callbacks.stop import MaxTimeCallback
from keisei_agent.checkpoint import write_json
from keisei_agent.config import ConfigError, TrainConfig
from keisei_agent.players import MAKERS, NetworkPlayer, Score, play_random
from keisei_agent.policy import NetworkPolicy, policy_kwargs
from keisei_agent.ppo import SelfPlayPPO
from keisei_agent.seats import discounts
from shogi_env.arena.players import make_player

logger = logging.getLogger(__name__)

LEARNERS = {"maskable_ppo": SelfPlayPPO}
"""Learning algorithms by their name in the configuration."""
NO_LIMIT = 2**62
"""`total_timesteps` of a run that only time ends."""


@dataclass(frozen=True)
class Run:
    """A finished run and where everything is."""

    folder: Path
    """config.json, results.json, log.txt, checkpoints and tensorboard; with evaluations also games.jsonl,
    evaluations.jsonl and best.safetensors."""
    model: SelfPlayPPO
    checkpoint: Path | None
    """The newest checkpoint, None if saving failed (log.txt says why)."""
    before: Score | None
    """Against random before learning, None if no games were asked for."""
    after: Score | None
    """Against random after learning, None likewise or after Ctrl-C."""
    interrupted: bool
    """Whether Ctrl-C ended it."""


def train(config: TrainConfig, folder: Path) -> Run:
    """Train as `config` says and return the run.

    Args:
        config: the settings.
        folder: of the run; made if missing, and refused if it already holds a run.

    Raises:
        ConfigError: if this machine cannot do what the settings ask for.
        Exception: whatever stops training, after it was written to log.txt.
    """
    check(config, folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "config.json", config.model_dump(mode="json"))
    with _log_file(folder / "log.txt"):
        try:
            return _train(config, folder)
        except Exception:
            logger.exception("training failed; everything up to the last checkpoint is in %s", folder)
            raise


def check(config: TrainConfig, folder: Path) -> None:
    """Check what depends on this machine: the device, its number formats, the opponents, the folder.

    Raises:
        ConfigError: naming the setting and what stands against it.
    """
    problem = doctor.missing_device(config.device)
    if problem:
        raise ConfigError(f"device = {config.device!r}: {problem}")
    if config.precision == "bfloat16" and doctor.resolve_device(config.device) == "mps":
        raise ConfigError("precision = 'bfloat16': not supported on mps")
    if config.evaluation.every is not None:
        _check_opponents(config.evaluation.opponents)
    if (folder / "config.json").exists():
        raise ConfigError(f"{folder} already holds a run; choose another folder")


def _check_opponents(specs: Sequence[str]) -> None:
    for spec in specs:
        try:
            make_player(spec, makers=MAKERS).close()
        except (ValueError, OSError) as error:
            raise ConfigError(f"evaluation.opponents: {error}") from None


def build_env(config: TrainConfig) -> VecEnv:
    """Return the games: the learner moves for both sides."""
    from shogi_env.adapters.sb3 import make_vec_env

    return make_vec_env(
        config.env.n_envs, backend="native", seed=config.seed, opponent=None, max_plies=config.env.max_plies
    )


def build_model(config: TrainConfig, env: VecEnv) -> SelfPlayPPO:
    """Return the learner with a fresh network."""
    device = doctor.resolve_device(config.device)
    in_bfloat16 = config.precision == "bfloat16" or (
        config.precision == "auto" and doctor.has_bfloat16(device)
    )
    both_seats = np.asarray(env.get_attr("both_seats"), bool)
    ppo = config.ppo
    return LEARNERS[config.algo](
        NetworkPolicy,
        env,
        learning_rate=ppo.learning_rate,
        n_steps=ppo.n_steps,
        batch_size=ppo.batch_size,
        n_epochs=ppo.n_epochs,
        gae_lambda=ppo.gae_lambda,
        clip_range=ppo.clip_range,
        ent_coef=ppo.ent_coef,
        vf_coef=ppo.vf_coef,
        max_grad_norm=ppo.max_grad_norm,
        rollout_buffer_class=PackedRolloutBuffer,
        rollout_buffer_kwargs={"discounts": discounts(both_seats, ppo.gamma)},
        policy_kwargs=policy_kwargs(config.network, in_bfloat16=in_bfloat16),
        seed=config.seed,
        device=device,
    )


def build_callbacks(config: TrainConfig, *more: BaseCallback) -> Guard:
    """Return all callbacks in calling order: what counts and stops, then `more`."""
    stop = [] if config.max_time is None else [MaxTimeCallback(config.max_time)]
    return Guard([GamesCallback(), *stop, *more])


def _train(config: TrainConfig, folder: Path) -> Run:
    env = build_env(config)
    try:
        model = build_model(config, env)
        model.set_logger(configure(str(folder / "tensorboard"), ["tensorboard"]))
        checkpoints = CheckpointCallback(folder / "checkpoints", config)
        progress = ProgressCallback(config.total_timesteps, config.max_time)
        evaluations = EvaluationCallback(folder, config)
        advice = doctor.cuda_advice()
        if advice:
            logger.warning(advice)
        precision = "bfloat16" if _policy(model).network.in_bfloat16 else "float32"
        logger.info("Learning on %s in %s.", model.device, precision)
        before = _evaluate(config, model, "before")
        started = time.monotonic()
        with _stopping_on_interrupt(model) as interrupt, closing(progress), closing(evaluations):
            callbacks = build_callbacks(config, checkpoints, progress, evaluations)
            model.learn(config.total_timesteps or NO_LIMIT, callback=callbacks)
        seconds = time.monotonic() - started
        after = None if interrupt.is_set() else _evaluate(config, model, "after")
        model.logger.dump(model.num_timesteps)  # SB3 leaves the last update's values pending
        _write_results(folder, model, seconds, before, after)
        return Run(folder, model, checkpoints.last_saved, before, after, interrupt.is_set())
    finally:
        env.close()


def _evaluate(config: TrainConfig, model: SelfPlayPPO, when: str) -> Score | None:
    """Play against random, log the result and return it."""
    if config.eval_games == 0:
        return None
    player = NetworkPlayer(_policy(model).network)
    score = play_random(player, config.eval_games, seed=config.seed, max_plies=config.env.max_plies)
    logger.info("Against random %s learning: %s", when, score)
    for name in ("wins", "draws", "losses"):
        model.logger.record(f"random/{name}", getattr(score, name) / score.games)
    model.logger.dump(model.num_timesteps)
    return score


def _write_results(
    folder: Path, model: SelfPlayPPO, seconds: float, before: Score | None, after: Score | None
) -> None:
    content = {
        "plies": model.num_timesteps,
        "seconds": round(seconds, 3),
        "against_random": {"before": before and before.as_dict(), "after": after and after.as_dict()},
    }
    write_json(folder / "results.json", content)


def _policy(model: SelfPlayPPO) -> NetworkPolicy:
    assert isinstance(model.policy, NetworkPolicy)
    return model.policy


@contextmanager
def _stopping_on_interrupt(model: SelfPlayPPO) -> Iterator[threading.Event]:
    """Let the first Ctrl-C finish the rollout, and the second one end the program; yield whether one came."""
    interrupted = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield interrupted  # only the main thread may set signal handlers
        return

    def stop(number: int, frame: FrameType | None) -> None:
        if interrupted.is_set():
            raise KeyboardInterrupt
        interrupted.set()
        model.stop_requested = True
        logger.info("Ctrl-C: finishing this rollout, then saving. Once more ends at once.")

    previous = signal.signal(signal.SIGINT, stop)
    try:
        yield interrupted
    finally:
        signal.signal(signal.SIGINT, previous)


@contextmanager
def _log_file(path: Path) -> Iterator[None]:
    """Write this package's log, from INFO on, to a file as well."""
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    package = logging.getLogger("keisei_agent")
    level = package.level
    package.setLevel(min(logging.INFO, package.getEffectiveLevel()))
    package.addHandler(handler)
    try:
        yield
    finally:
        package.removeHandler(handler)
        package.setLevel(level)
        handler.close()
