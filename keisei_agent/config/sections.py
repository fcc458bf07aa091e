"""The sections of a run's settings: what each may hold, never whether this machine can do it.

Every field is read somewhere and carries one docstring, which is also its help text.
"""

import os
from typing import Annotated, Literal, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Schedule: TypeAlias = Literal["constant", "linear", "cosine"]
"""How a number goes from its value at the start of a run to its share of it at the end."""


Words: TypeAlias = Annotated[tuple[str, ...], Field(strict=False)]
"""Texts; a list will do, one text will not."""
LEVEL = "KEISEI_LOG_LEVEL"
"""Environment variable that replaces the default of `log.level`."""


class Settings(BaseModel):
    """Base of all settings: immutable, types strict, unknown names refused, numbers finite."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
    )


class StartConfig(Settings):
    """Where games start: a share of them from a file; of the others a share after random plies."""

    random_share: float = Field(default=0.5, ge=0, le=1)
    """Share of the games not from the file that start after random moves, against shrinking to one line."""
    random_plies: int = Field(default=16, ge=0, le=200)
    """Random moves before such a game; each number from 1 to this one is as likely."""
    file_share: float = Field(default=0.0, ge=0, le=1)
    """Share of the games that start from a position of the file."""
    file: str | None = None
    """Text file of positions: an SFEN or the name of a handicap a line; # begins a comment."""

    @model_validator(mode="after")
    def _check_shares(self) -> Self:
        if self.random_share > 0 and self.random_plies == 0:
            raise ValueError(
                f"random_share = {self.random_share:g} needs random_plies above 0; "
                "set random_share = 0 for no such games"
            )
        if (self.file_share > 0) != (self.file is not None):
            raise ValueError("file_share and file go together: set both or none")
        return self


class EnvConfig(Settings):
    """The games that are played while learning."""

    n_envs: int = Field(default=64, ge=1, le=65536)
    """Games at once."""
    max_plies: int = Field(default=512, ge=1, le=32767)
    """Plies after which a game is a draw."""
    declaration: Literal["auto", "off"] = "off"
    """Whether the 27-point rule wins games while learning; players that learn without it mate instead of
    marching into the enemy camp.  Matches and evaluations always play by it."""
    observation: Literal["full", "pieces", "dlshogi"] = "full"
    """Planes the network sees: all; pieces and hands without the attack maps; or dlshogi's 119."""
    vec_env: Literal["native", "dummy", "subproc"] = "native"
    """Who plays the games: one batch in this process, one game after the other, or worker processes."""
    num_workers: int | None = Field(default=None, ge=1)
    """Worker processes of subproc; None takes one for each core."""
    threads: int = Field(default=1, ge=1, le=256)
    """Threads that a native batch is spread over."""
    start: StartConfig = StartConfig()
    """Where games start."""

    @model_validator(mode="after")
    def _check_backend(self) -> Self:
        if self.num_workers is not None and self.vec_env != "subproc":
            raise ValueError(f"num_workers belongs to vec_env = 'subproc', not to {self.vec_env!r}")
        if self.num_workers is not None and self.num_workers > self.n_envs:
            raise ValueError(f"num_workers = {self.num_workers} is more than n_envs = {self.n_envs}")
        if self.threads > 1 and self.vec_env != "native":
            raise ValueError(f"threads belongs to vec_env = 'native', not to {self.vec_env!r}")
        return self


class WorkersConfig(Settings):
    """Processes that Ray starts to play parts of the games, each with a copy of the network."""

    count: int = Field(default=0, ge=0, le=1024)
    """How many, which env.n_envs is divided among; with 0 the learning process plays by itself."""
    ray_address: str | None = Field(
        default=None, pattern=r"^(auto|[^/\s]+:\d{1,5})$", examples=["auto", "HOST:PORT"]
    )
    """Ray cluster that they run on: auto for the one this machine belongs to, or HOST:PORT; None starts one
    on this machine that ends with the run."""
    required: bool = False
    """Whether a run ends with an error when no worker can be started or all are lost; otherwise the learning
    process plays on by itself."""
    max_staleness: int = Field(default=0, ge=0, le=1)
    """Updates that the weights of a rollout may lack: with 0 workers rest during an update, with 1 they play
    on meanwhile."""
    patience: float = Field(default=600.0, gt=0)
    """Seconds after which a worker that has not started, or not brought its part of a rollout, is taken for
    dead."""

    @model_validator(mode="after")
    def _check_count(self) -> Self:
        for name, field in type(self).model_fields.items():
            value = getattr(self, name)
            if not self.count and value != field.default:
                raise ValueError(f"{name} = {value!r} needs count above 0")
        return self


class NetworkConfig(Settings):
    """The network's shape."""

    name: str = "resnet"
    """Architecture: resnet, se_resnet, mlp, or the dotted name of a module with a function `build`."""
    channels: int = Field(default=48, ge=1, le=1024)
    """Channels of the trunk; units of a hidden layer of mlp."""
    blocks: int = Field(default=3, ge=0, le=128)
    """Residual blocks, two convolutions each; hidden layers of mlp."""
    activation: Literal["relu", "silu", "mish"] = "relu"
    """Nonlinearity."""
    squeeze: int = Field(default=4, ge=1, le=64)
    """How many times narrower the squeeze of se_resnet is than its trunk."""
    value_head: Literal["scalar", "wdl"] = "scalar"
    """One number in -1..1, or the chance of a win less that of a loss, of three with a draw's; learning
    sees this difference only."""
    value_hidden: int = Field(default=64, ge=1, le=4096)
    """Units of the value head's hidden layer."""


class PPOConfig(Settings):
    """How the network learns from the games."""

    n_steps: int = Field(default=64, ge=1, le=65536)
    """Decisions of each game per rollout."""
    batch_size: int = Field(default=512, ge=2)
    """Positions per gradient step; a rollout that has fewer is one step."""
    n_epochs: int = Field(default=1, ge=1, le=1000)
    """Passes over a rollout; fresh games teach more in the same time than a second pass."""
    learning_rate: float = Field(default=1e-3, gt=0, le=1)
    """Adam's step size."""
    learning_rate_schedule: Schedule = "constant"
    """How it changes over the run."""
    learning_rate_final: float = Field(default=0.0, ge=0, le=1)
    """Share of it that is left at the end, unless it is constant."""
    weight_decay: float = Field(default=0.0, ge=0, le=1)
    """Decoupled weight decay, as in AdamW."""
    gamma: float = Field(default=1.0, gt=0, le=1)
    """Discount per ply: below 1 an early win is worth more than a late one."""
    gae_lambda: float = Field(default=0.95, ge=0, le=1)
    """Lambda of generalized advantage estimation."""
    normalize_advantage: bool = True
    """Whether each minibatch's advantages are shifted to mean 0 and scaled to deviation 1."""
    clip_range: float = Field(default=0.2, gt=0, lt=1)
    """How far a probability ratio may leave 1."""
    clip_range_schedule: Schedule = "constant"
    """How it changes over the run."""
    clip_range_final: float = Field(default=0.0, ge=0, le=1)
    """Share of it that is left at the end, unless it is constant."""
    clip_range_vf: float | None = Field(default=None, gt=0)
    """How far a value may leave its old one in an update; None sets no limit."""
    ent_coef: float = Field(default=0.01, ge=0)
    """Weight of the entropy bonus."""
    ent_coef_schedule: Schedule = "constant"
    """How it changes over the run."""
    ent_coef_final: float = Field(default=0.0, ge=0, le=1)
    """Share of it that is left at the end, unless it is constant."""
    vf_coef: float = Field(default=0.5, ge=0)
    """Weight of the value loss."""
    max_grad_norm: float = Field(default=0.5, gt=0)
    """Gradient norm above which gradients are scaled down."""
    target_kl: float | None = Field(default=None, gt=0)
    """Divergence from the policy that played; an update that passes 1.5 times this ends early, None never."""


class LeagueConfig(Settings):
    """Games against earlier snapshots and other players, beside those against oneself."""

    share: float = Field(default=0.0, ge=0, le=1)
    """Share of the games that are played against the pool; in the others the learner plays both sides."""
    players: Words = ()
    """Other players in the pool, as `keisei-match` takes them."""
    snapshot_every: int = Field(default=50_000, ge=1)
    """Decisions between snapshots, due at the next start of a rollout."""
    size: int = Field(default=8, ge=0, le=1000)
    """Snapshots that the pool holds; the one that is beaten most easily leaves first, 0 takes none."""
    opponents: int = Field(default=2, ge=1, le=64)
    """Members drawn for each rollout; its new games are against them."""
    hardness: float = Field(default=1.0, ge=0, le=10)
    """Power of the learner's share of points lost that a member is drawn by; 0 draws all alike."""
    temperature: float = Field(default=1.0, ge=0.01, le=100)
    """Divides the logits that snapshots draw their moves from."""

    @model_validator(mode="after")
    def _check_members(self) -> Self:
        if self.share > 0 and not self.size and not self.players:
            raise ValueError(f"share = {self.share} needs players, or size above 0")
        if self.players and not self.share:
            raise ValueError(
                f"players = {', '.join(self.players)} need share above 0: nobody would meet them"
            )
        return self


class EvaluationConfig(Settings):
    """Matches against other players while learning."""

    every: int | None = Field(default=None, ge=1)
    """Decisions between evaluations, due at the next start of a rollout; None plays none."""
    games: int = Field(default=40, ge=2, le=100_000, multiple_of=2)
    """Games against each opponent, half of them with either color."""
    opponents: Words = Field(default=("random", "greedy", "minimax:1"), min_length=1)
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


class CheckpointConfig(Settings):
    """What of a run is kept."""

    every: int = Field(default=100_000, ge=1)
    """Decisions between checkpoints, saved at the next start of a rollout."""
    keep: int | None = Field(default=5, ge=1)
    """How many of the newest stay; None keeps all."""
    keep_best: bool = True
    """Whether the weights with the best evaluation are kept as best.safetensors."""


def level_from_environment() -> str:
    """Return what KEISEI_LOG_LEVEL says in small letters, or "info" where it is not set."""
    return os.environ.get(LEVEL, "").lower() or "info"


class LogConfig(Settings):
    """What a run says of itself."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        default_factory=level_from_environment, validate_default=True
    )
    """Least weight of the lines in log.txt and on the terminal; KEISEI_LOG_LEVEL replaces the default."""
    tensorboard: bool = True
    """Whether the metrics are written for TensorBoard."""
    boards_every: int | None = Field(default=100_000, ge=1)
    """Decisions between pictures and records of a finished game; None writes none."""
    mates_every: int | None = Field(default=100_000, ge=1)
    """Decisions between counts of the mates in 1 and 3 that the raw policy finds; None counts none."""
    layers: bool = False
    """Whether the size of the last update is recorded layer by layer."""
    display: Literal["auto", "rich", "plain", "off"] = "auto"
    """The terminal: a live view, lines, nothing; auto takes the view where stdout is a terminal."""
    display_every: float = Field(default=0.5, ge=0.1, le=3600)
    """Least seconds between two drawings of the live view."""
    track: Literal["off", "wandb"] = "off"
    """Whether metrics go to Weights & Biases as well."""
    wandb_project: str = "keisei"
    """Project there."""
    wandb_entity: str | None = None
    """Account there; None takes its default."""
    wandb_upload: bool = False
    """Whether checkpoints are uploaded as artefacts."""

    @model_validator(mode="after")
    def _check_upload(self) -> Self:
        if self.wandb_upload and self.track != "wandb":
            raise ValueError("wandb_upload needs track = 'wandb'")
        return self


class WebConfig(Settings):
    """The page in the browser; needs the extra "web"."""

    enabled: bool = False
    """Whether keisei-train starts the page, and the run writes the game that the page shows live."""
    host: str = "127.0.0.1"
    """Address it listens on; on any but this machine's own, the page demands a token."""
    port: int = Field(default=7870, ge=0, le=65535)
    """Port it listens on; 0 takes any free one."""
    every: float = Field(default=1.0, ge=0.1, le=3600)
    """Least seconds between two writings of the live game while games are played."""
