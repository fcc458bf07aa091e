"""The settings of a run: pydantic models that check values, never the world (see `train.check`).

Every field is read somewhere and carries one docstring; an unknown name is refused with the nearest one.
"""

import difflib
from collections.abc import Iterator, Mapping
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator


class ConfigError(ValueError):
    """A setting is unknown, out of range, or does not fit another one; the text is one line."""


class Settings(BaseModel):
    """Base of all settings: immutable, unknown names refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False)


class NetworkConfig(Settings):
    """The shape of the residual network."""

    channels: int = Field(default=48, ge=1, le=1024)
    """Channels of the trunk."""
    blocks: int = Field(default=3, ge=0, le=128)
    """Residual blocks, two convolutions each."""
    value_hidden: int = Field(default=64, ge=1, le=4096)
    """Units of the value head's hidden layer."""


class EnvConfig(Settings):
    """The games that are played while learning."""

    n_envs: int = Field(default=64, ge=1, le=65536)
    """Games at once."""
    max_plies: int = Field(default=512, ge=1, le=32767)
    """Plies after which a game is a draw."""


class PPOConfig(Settings):
    """How the network learns from the games."""

    n_steps: int = Field(default=64, ge=1)
    """Plies of each game per rollout."""
    batch_size: int = Field(default=512, ge=2)
    """Positions per gradient step."""
    n_epochs: int = Field(default=1, ge=1)
    """Passes over a rollout; fresh games teach more in the same time than a second pass."""
    learning_rate: float = Field(default=1e-3, gt=0, le=1)
    """Adam's step size."""
    gamma: float = Field(default=1.0, gt=0, le=1)
    """Discount per ply, unsigned; `seats.discounts` gives it its sign."""
    gae_lambda: float = Field(default=0.95, ge=0, le=1)
    """Lambda of generalized advantage estimation."""
    clip_range: float = Field(default=0.2, gt=0, lt=1)
    """How far a probability ratio may leave 1."""
    ent_coef: float = Field(default=0.01, ge=0)
    """Weight of the entropy bonus."""
    vf_coef: float = Field(default=0.5, ge=0)
    """Weight of the value loss."""
    max_grad_norm: float = Field(default=0.5, gt=0)
    """Gradient norm above which gradients are scaled down."""


class EvaluationConfig(Settings):
    """Matches against other players while learning."""

    every: int | None = Field(default=None, ge=1)
    """Plies between evaluations, due at the next start of a rollout; None plays none."""
    games: int = Field(default=40, ge=2, le=100_000, multiple_of=2)
    """Games against each opponent, half of them with either color."""
    opponents: tuple[str, ...] = Field(default=("random", "greedy", "minimax:1"), min_length=1)
    """Who is played against, as `keisei-match` takes them."""
    temperature: float = Field(default=1.0, le=100)
    """Divides the logits that moves are drawn from: 1 plays as in learning, 0 the most probable move."""
    blocking: bool = False
    """Whether learning waits for the games; otherwise a process of its own plays them meanwhile."""

    @field_validator("temperature")
    @classmethod
    def _check_temperature(cls, value: float) -> float:
        if value != 0 and value < 0.01:
            raise ValueError("a temperature is 0, or 0.01..100")
        return value


class TrainConfig(Settings):
    """Everything a run depends on."""

    algo: Literal["maskable_ppo"] = "maskable_ppo"
    """The learning algorithm."""
    seed: int = Field(default=0, ge=0, le=2**31 - 1)
    """Seed of the weights, the games and the sampling."""
    device: str = Field(default="auto", pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$")
    """Where the network runs: auto, cpu, cuda, cuda:1, mps."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Number format of the trunk; auto takes bfloat16 where the hardware computes in it."""
    total_timesteps: int | None = Field(default=None, ge=1)
    """Plies to learn from, rounded up to whole rollouts; None sets no limit."""
    max_time: float | None = Field(default=600.0, gt=0)
    """Seconds of learning after which the running rollout is the last; None sets no limit."""
    eval_games: int = Field(default=200, ge=0, le=100_000)
    """Games against random before and after; 0 plays none."""
    checkpoint_every: int = Field(default=100_000, ge=1)
    """Plies between checkpoints, saved at the next start of a rollout."""
    env: EnvConfig = EnvConfig()
    """The games."""
    network: NetworkConfig = NetworkConfig()
    """The network."""
    ppo: PPOConfig = PPOConfig()
    """The learner."""
    evaluation: EvaluationConfig = EvaluationConfig()
    """Matches while learning."""

    @model_validator(mode="after")
    def _check_combinations(self) -> Self:
        rollout = self.ppo.n_steps * self.env.n_envs
        if rollout == 1 or rollout % self.ppo.batch_size == 1:
            raise ValueError(
                f"ppo.n_steps * env.n_envs = {rollout} leaves a minibatch of one position for "
                f"ppo.batch_size = {self.ppo.batch_size}, whose advantages cannot be normalised; change one"
            )
        if self.total_timesteps is None and self.max_time is None:
            raise ValueError("total_timesteps and max_time are both None: the run would never end")
        return self


def parse_config(settings: Mapping[str, Any]) -> TrainConfig:
    """Return the checked configuration.

    Args:
        settings: nested mapping of names to values, as in `config.json`; what is missing gets its default.

    Raises:
        ConfigError: naming each bad setting, its value, and for unknown names the nearest known one.
    """
    try:
        return TrainConfig.model_validate(dict(settings))
    except ValidationError as error:
        raise ConfigError("; ".join(_explain(error))) from None


def _explain(error: ValidationError) -> Iterator[str]:
    known = list(_names(TrainConfig))
    for problem in error.errors():
        name = ".".join(str(part) for part in problem["loc"])
        message = problem["msg"].removeprefix("Value error, ")
        if problem["type"] == "extra_forbidden":
            nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
            yield f"unknown setting {name!r}" + (f", did you mean {nearest[0]!r}?" if nearest else "")
        elif problem["type"] == "literal_error":
            yield f"unknown {name} {problem['input']!r}, known: {problem['ctx']['expected']}"
        elif name:
            yield f"{name} = {problem['input']!r}: {message[0].lower()}{message[1:]}"
        else:
            yield message


def _names(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Dotted names of all settings."""
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _names(field.annotation, f"{prefix}{name}.")
        else:
            yield prefix + name
