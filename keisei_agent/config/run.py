"""All settings of a run together, checked against one another."""

import argparse
from collections.abc import Iterator, Mapping
from typing import Any, Literal, Self

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from keisei_agent.config.sections import (
    CheckpointConfig,
    EnvConfig,
    EvaluationConfig,
    LeagueConfig,
    LogConfig,
    NetworkConfig,
    PPOConfig,
    Settings,
    WebConfig,
    Words,
    WorkersConfig,
)
from keisei_agent.console import duration, nearest

_INTERVALS = (
    ("checkpoint", "every"),
    ("evaluation", "every"),
    ("league", "snapshot_every"),
    ("log", "boards_every"),
    ("log", "mates_every"),
)
_SHOWN = 100
"""Characters of a wrong value that an error shows."""


class ConfigError(ValueError):
    """A setting is unknown, out of range, or does not fit another one; the text is one line."""


class Config(Settings):
    """Everything a run depends on."""

    algo: Literal["maskable_ppo"] = "maskable_ppo"
    """The learning algorithm."""
    seed: int = Field(default=0, ge=0, le=2**31 - 1)
    """Seed of the weights, the games and the sampling."""
    device: str = Field(
        default="auto", pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$", examples=["auto", "cpu", "cuda:1", "mps"]
    )
    """Where the network runs: auto, cpu, cuda, cuda:1, mps."""
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Number format of the trunk; auto takes bfloat16 where the hardware computes in it, float16 on other
    CUDA devices, float32 elsewhere."""
    compile: bool = False
    """Whether torch.compile translates the trunk; checked against the untranslated one, which it falls
    back to."""
    total_timesteps: int | None = Field(default=None, ge=1)
    """Decisions to learn from, rounded up to whole rollouts; None sets no limit."""
    max_time: float | None = Field(default=600.0, gt=0)
    """Seconds of learning (or a text such as 90s, 10m, 1h30m) after which the running rollout is the last;
    None sets no limit, which is the default where total_timesteps is given."""
    init_from: str | None = None
    """Weights to start with: a run, a checkpoint or a network file whose network has this run's shape; None
    for fresh ones."""
    eval_games: int = Field(default=200, ge=0, le=100_000)
    """Games against random before and after; 0 plays none."""
    callbacks: Words = ()
    """Dotted names of callback classes of your own, called after the built-in ones."""
    env: EnvConfig = EnvConfig()
    """The games."""
    workers: WorkersConfig = WorkersConfig()
    """Who plays them."""
    network: NetworkConfig = NetworkConfig()
    """The network."""
    ppo: PPOConfig = PPOConfig()
    """The learner."""
    league: LeagueConfig = LeagueConfig()
    """The pool of opponents."""
    evaluation: EvaluationConfig = EvaluationConfig()
    """Matches while learning."""
    checkpoint: CheckpointConfig = CheckpointConfig()
    """What is kept."""
    # an instance as default would be made when this module is imported, from the environment of that time
    log: LogConfig = Field(default_factory=dict, validate_default=True)
    """What is told."""
    web: WebConfig = WebConfig()
    """The page in the browser."""

    @property
    def rollout(self) -> int:
        """Decisions in a rollout."""
        return self.ppo.n_steps * self.env.n_envs

    @model_validator(mode="before")
    @classmethod
    def _lift_time_limit(cls, values: Any) -> Any:
        if isinstance(values, Mapping) and values.get("total_timesteps") is not None:
            return {"max_time": None, **values}
        return values

    @field_validator("max_time", mode="before")
    @classmethod
    def _read_time(cls, value: Any) -> Any:
        try:
            return duration(value) if isinstance(value, str) else value
        except argparse.ArgumentTypeError as error:
            raise ValueError(str(error)) from None

    @model_validator(mode="after")
    def _check_ends(self) -> Self:
        if self.total_timesteps is None and self.max_time is None:
            raise ValueError("total_timesteps and max_time are both None: the run would never end")
        return self

    @model_validator(mode="after")
    def _check_minibatches(self) -> Self:
        if self.ppo.normalize_advantage and (self.rollout == 1 or self.rollout % self.ppo.batch_size == 1):
            raise ValueError(
                f"ppo.n_steps * env.n_envs = {self.rollout} leaves a minibatch of one position for "
                f"ppo.batch_size = {self.ppo.batch_size}, whose advantages cannot be normalised; change one"
            )
        return self

    @model_validator(mode="after")
    def _fit_intervals(self) -> Self:
        """Refuse intervals below one rollout; one that nobody gave becomes one rollout instead."""
        refused = []
        for section, field in _INTERVALS:
            settings: Settings = getattr(self, section)
            every: int | None = getattr(settings, field)
            if every is None or every >= self.rollout or (section == "league" and not self._takes_snapshots):
                continue
            if field in settings.model_fields_set:
                refused.append(f"{section}.{field} = {every}")
                continue
            fitting = settings.model_copy(update={field: self.rollout})
            object.__setattr__(self, section, fitting)  # frozen for everybody else
        if refused:
            raise ValueError(
                f"{', '.join(refused)}: less than one rollout, ppo.n_steps * env.n_envs = {self.rollout}; "
                f"things happen between rollouts only, so {self.rollout} is the least"
            )
        return self

    @property
    def _takes_snapshots(self) -> bool:
        return self.league.share > 0 and self.league.size > 0

    @model_validator(mode="after")
    def _check_league(self) -> Self:
        if self.league.share > 0 and self.env.vec_env != "native":
            raise ValueError(
                f"league.share = {self.league.share} needs env.vec_env = 'native', not "
                f"{self.env.vec_env!r}: snapshots answer for all games in one batch"
            )
        return self

    @model_validator(mode="after")
    def _check_workers(self) -> Self:
        count, env = self.workers.count, self.env
        if not count:
            return self
        if env.n_envs % count:
            raise ValueError(
                f"env.n_envs = {env.n_envs} cannot be divided evenly among workers.count = {count}"
            )
        if env.vec_env != "native":
            raise ValueError(f"workers.count = {count} needs env.vec_env = 'native', not {env.vec_env!r}")
        if self.league.share > 0:
            raise ValueError(f"workers.count = {count} needs league.share = 0: workers hold no pool")
        if env.threads > 1:
            raise ValueError(f"workers.count = {count} needs env.threads = 1: each plays in one thread")
        if self.compile:
            raise ValueError(
                f"workers.count = {count} needs compile = false: their probabilities would differ from "
                "those that the update computes"
            )
        return self


def parse_config(settings: Mapping[str, Any], origins: Mapping[str, str] | None = None) -> Config:
    """Return the checked configuration.

    Args:
        settings: nested mapping of names to values, as in `config.yaml`; what is missing gets its default.
        origins: where settings were read, by dotted name, such as "run.yaml:3"; errors begin with it.

    Raises:
        ConfigError: naming each bad setting, its value, and for unknown names the nearest known one.
    """
    try:
        return Config.model_validate(dict(settings))
    except ValidationError as error:
        raise ConfigError("; ".join(_explain(problem, origins or {}) for problem in error.errors())) from None


def setting_fields(model: type[Settings] = Config, prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Dotted names and fields of all settings, in order."""
    for name, field in model.model_fields.items():
        section = section_of(field)
        if section is None:
            yield prefix + name, field
        else:
            yield from setting_fields(section, f"{prefix}{name}.")


def setting_names() -> Iterator[str]:
    """Dotted names of all settings, in order."""
    return (name for name, _ in setting_fields())


def section_names() -> list[str]:
    """Dotted names of all sections."""
    parents = (name.rpartition(".")[0] for name in setting_names())
    return [name for name in dict.fromkeys(parents) if name]


def section_of(field: FieldInfo) -> type[Settings] | None:
    """Return the section that a field holds, None if it is a setting."""
    kind = field.annotation
    return kind if isinstance(kind, type) and issubclass(kind, Settings) else None


def _explain(problem: ErrorDetails, origins: Mapping[str, str]) -> str:
    name = ".".join(str(part) for part in problem["loc"])
    origin = _origin(name, origins)
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "extra_forbidden":
        meant = nearest(name, [*section_names(), *setting_names()])
        return f"{origin}unknown setting {name!r}" + (f", did you mean {meant!r}?" if meant else "")
    if problem["type"] == "literal_error":
        return f"{origin}unknown {name} {_shown(problem['input'])}, known: {problem['ctx']['expected']}"
    if problem["type"] == "model_type":
        return f"{origin}{name} = {_shown(problem['input'])}: this is a section, with settings of its own"
    if problem["type"] == "string_pattern_mismatch":
        examples = dict(setting_fields())[name].examples or ()
        return f"{origin}{name} = {_shown(problem['input'])}: write it like {', '.join(examples)}"
    if problem["type"] == "tuple_type":
        return f"{origin}{name} = {_shown(problem['input'])}: input should be a valid list, such as [a, b]"
    if name and problem["type"] != "value_error":
        return f"{origin}{name} = {_shown(problem['input'])}: {message[0].lower()}{message[1:]}"
    return f"{origin}{name}: {message}" if name else message


def _origin(name: str, origins: Mapping[str, str]) -> str:
    """Where a setting, or the closest that it is part of, was read."""
    while name and name not in origins:
        name = name.rpartition(".")[0]
    return f"{origins[name]}: " if name else ""


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."
