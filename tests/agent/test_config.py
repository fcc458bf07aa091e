from pathlib import Path

import pytest
from pydantic import ValidationError
from reads import Reads

import keisei_agent
from keisei_agent.config import (
    Config,
    ConfigError,
    EnvConfig,
    LeagueConfig,
    PPOConfig,
    differences,
    parse_config,
    setting_names,
    with_changes,
)
from keisei_agent.config.run import setting_fields


def test_defaults_are_valid_and_round_trip() -> None:
    config = parse_config({})
    assert parse_config(config.model_dump(mode="json")) == config


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sed": 1}, r"^unknown setting 'sed', did you mean 'seed'\?$"),
        (
            {"ppo": {"learning_rat": 1}},
            r"^unknown setting 'ppo.learning_rat', did you mean 'ppo.learning_rate'\?$",
        ),
        ({"learning_rate": 1}, r"^unknown setting 'learning_rate', did you mean 'ppo.learning_rate'\?$"),
        ({"pppo": {"gamma": 1}}, r"^unknown setting 'pppo', did you mean 'ppo'\?$"),
        ({"zzzzzz": 1}, r"^unknown setting 'zzzzzz'$"),
        ({"ppo": 5}, r"^ppo = 5: this is a section, with settings of its own$"),
        ({"seed": -1}, r"^seed = -1: input should be greater than or equal to 0$"),
        ({"device": "tpu"}, r"^device = 'tpu': write it like auto, cpu, cuda:1, mps$"),
        ({"workers": {"count": 1, "ray_address": "here"}}, r"'here': write it like auto, HOST:PORT$"),
        ({"algo": "dqn"}, r"^unknown algo 'dqn', known: 'maskable_ppo'$"),
        (
            {"env": {"vec_env": "async"}},
            r"^unknown env.vec_env 'async', known: 'native', 'dummy' or 'subproc'$",
        ),
        ({"ppo": {"gamma": float("nan")}}, r"^ppo.gamma = nan: "),
        ({"ppo": {"learning_rate": float("inf")}}, r"^ppo.learning_rate = inf: "),
        ({"ppo": {"vf_coef": -0.5}}, r"^ppo.vf_coef = -0.5: input should be greater than or equal to 0$"),
        ({"ppo": {"ent_coef": -1e-9}}, r"^ppo.ent_coef = -1e-09: input should be greater than or equal"),
        ({"ppo": {"ent_coef": float("nan")}}, r"^ppo.ent_coef = nan: "),
        ({"device": "x" * 5000}, r"^device = 'x{96}\.\.\.: "),
        ({"total_timesteps": 0}, r"^total_timesteps = 0: "),
        ({"max_time": None}, r"^total_timesteps and max_time are both None"),
        ({"max_time": "soon"}, r"^max_time: 'soon' is not a time such as 90s, 10m or 1h30m$"),
        (
            {"env": {"n_envs": 27}, "ppo": {"n_steps": 19, "batch_size": 512}},
            r"leaves a minibatch of one position",
        ),
        ({"env": {"n_envs": 1}, "ppo": {"n_steps": 1}}, r"leaves a minibatch of one position"),
        ({"league": {"share": 0.5, "size": 0}}, r"^league: share = 0.5 needs players, or size above 0$"),
        (
            {"league": {"players": ["random", "greedy"]}},
            r"^league: players = random, greedy need share above",
        ),
        ({"workers": {"max_staleness": 1}}, r"^workers: max_staleness = 1 needs count above 0$"),
        ({"workers": {"patience": 5.0}}, r"^workers: patience = 5.0 needs count above 0$"),
        ({"workers": {"count": 2}, "env": {"threads": 2}}, r"workers.count = 2 needs env.threads = 1"),
        (
            {"league": {"share": 0.5}, "env": {"vec_env": "dummy"}},
            r"needs env.vec_env = 'native', not 'dummy'",
        ),
        ({"env": {"num_workers": 2}}, r"^env: num_workers belongs to vec_env = 'subproc', not to 'native'$"),
        (
            {"env": {"num_workers": 9, "n_envs": 8, "vec_env": "subproc"}},
            r"num_workers = 9 is more than n_envs = 8",
        ),
        ({"env": {"threads": 2, "vec_env": "dummy"}}, r"^env: threads belongs to vec_env = 'native'"),
        ({"env": {"start": {"random_plies": 0}}}, r"^env.start: random_share = 0.5 needs random_plies"),
        ({"env": {"start": {"file": "x"}}}, r"^env.start: file_share and file go together"),
        ({"evaluation": {"games": 3}}, r"^evaluation.games = 3: "),
        ({"evaluation": {"opponents": []}}, r"^evaluation.opponents = \[\]: "),
        ({"league": {"temperature": 1e-7}}, r"^league.temperature = 1e-07: "),
        ({"log": {"wandb_upload": True}}, r"^log: wandb_upload needs track = 'wandb'$"),
        (
            {"evaluation": {"temperature": 0.001}},
            r"^evaluation.temperature: a temperature is 0, or 0.01..100$",
        ),
    ],
)
def test_bad_settings_are_refused_in_one_line(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        parse_config(settings)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "settings",
    [
        {"seed": "1"},
        {"seed": 1.0},
        {"seed": True},
        {"compile": 1},
        {"ppo": {"gamma": "1"}},
        {"ppo": {"gamma": True}},
        {"log": {"wandb_project": 5}},
        {"league": {"players": "random"}},
        {"league": {"players": [1]}},
        {"callbacks": "my.Callback"},
    ],
)
def test_types_are_strict(settings: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="input should be a valid"):
        parse_config(settings)


def test_what_may_stand_for_what() -> None:
    config = parse_config(
        {"ppo": {"gamma": 1}, "max_time": "1h30m", "league": {"share": 0.5, "players": ["random"]}}
    )
    assert config.ppo.gamma == 1.0
    assert config.max_time == 5400
    assert config.league.players == ("random",)


def test_in_python() -> None:
    config = Config(total_timesteps=1000, env=EnvConfig(n_envs=8), ppo=PPOConfig(batch_size=64))
    assert config == parse_config(
        {"total_timesteps": 1000, "env": {"n_envs": 8}, "ppo": {"batch_size": 64}, "max_time": None}
    )
    with pytest.raises(ValidationError):
        config.seed = 1  # type: ignore[misc]
    with pytest.raises(ValidationError):
        Config(sed=1)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("settings", "total", "seconds"),
    [
        ({}, None, 600),
        ({"total_timesteps": 5}, 5, None),
        ({"total_timesteps": 5, "max_time": 60}, 5, 60),
        ({"total_timesteps": None}, None, 600),
        ({"max_time": 5}, None, 5),
    ],
)
def test_a_number_of_decisions_lifts_the_default_time_limit(
    settings: dict[str, object], total: int | None, seconds: float | None
) -> None:
    config = parse_config(settings)
    assert (config.total_timesteps, config.max_time) == (total, seconds)


@pytest.mark.parametrize(
    "name",
    ["checkpoint.every", "evaluation.every", "league.snapshot_every", "log.boards_every", "log.mates_every"],
)
def test_an_interval_below_one_rollout_is_refused_if_somebody_gave_it(name: str) -> None:
    section, field = name.split(".")
    settings = {"env": {"n_envs": 4}, "ppo": {"n_steps": 8}, "league": {"share": 0.5}}
    assert parse_config(merge(settings, {section: {field: 32}}))
    with pytest.raises(ConfigError, match=rf"^{name} = 31: less than one rollout, .* = 32; "):
        parse_config(merge(settings, {section: {field: 31}}))


def test_all_such_intervals_are_named_at_once_with_what_they_may_be() -> None:
    written = parse_config({}).model_dump(mode="json")  # as a run's config.yaml, which gives everything
    message = (
        r"^checkpoint.every = 100000, log.boards_every = .*, log.mates_every = .* so 262144 is the least$"
    )
    with pytest.raises(ConfigError, match=message):
        parse_config(written | {"env": {"n_envs": 4096}})


def merge(base: dict[str, dict[str, object]], more: dict[str, dict[str, object]]) -> dict[str, object]:
    return {name: base.get(name, {}) | more.get(name, {}) for name in base | more}


def test_default_intervals_grow_to_one_rollout() -> None:
    config = parse_config({"env": {"n_envs": 4096}, "league": {"share": 0.5}})
    assert config.rollout == 262144
    assert config.checkpoint.every == config.log.boards_every == config.log.mates_every == 262144
    assert config.league.snapshot_every == 262144
    assert config.evaluation.every is None
    assert parse_config(config.model_dump(mode="json")) == config
    assert parse_config({"env": {"n_envs": 4096}}).league == LeagueConfig()  # without a pool, no snapshots
    assert parse_config({}).checkpoint.every == 100_000


def test_changes() -> None:
    old = parse_config({"ppo": {"n_steps": 32}, "league": {"share": 0.5, "players": ["random"]}})
    new = with_changes(
        old, {"ppo.learning_rate": 1e-4, "seed": 3, "league": {"players": ["random", "greedy"]}}
    )
    assert differences(old, new) == {
        "seed": (0, 3),
        "ppo.learning_rate": (1e-3, 1e-4),
        "league.players": (("random",), ("random", "greedy")),
    }
    assert new.ppo.n_steps == 32
    assert differences(old, with_changes(old, {})) == {}
    with pytest.raises(ConfigError, match=r"^unknown setting 'ppo.gama', did you mean 'ppo.gamma'\?$"):
        with_changes(old, {"ppo.gama": 1.0})
    with pytest.raises(ConfigError, match=r"^checkpoint.every = 100000, .*: less than one rollout"):
        with_changes(old, {"env.n_envs": 4096})  # everything was given by then


@pytest.mark.parametrize(
    ("value", "level"), [("debug", "debug"), ("WARNING", "warning"), ("", "info"), (None, "info")]
)
def test_the_environment_sets_the_default_log_level(
    monkeypatch: pytest.MonkeyPatch, value: str | None, level: str
) -> None:
    monkeypatch.delenv("KEISEI_LOG_LEVEL", raising=False)
    if value is not None:
        monkeypatch.setenv("KEISEI_LOG_LEVEL", value)
    assert Config().log.level == level
    assert parse_config({"log": {"tensorboard": False}}).log.level == level
    assert parse_config({"log": {"level": "error"}}).log.level == "error"


def test_a_wrong_log_level_in_the_environment_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEISEI_LOG_LEVEL", "loud")
    with pytest.raises(ConfigError, match=r"^unknown log.level 'loud', known: 'debug'"):
        parse_config({})


def test_every_setting_is_described() -> None:
    assert [name for name, field in setting_fields() if not field.description] == []


def test_every_setting_is_read() -> None:
    folder = Path(keisei_agent.__file__).parent
    reads = Reads(path for path in folder.rglob("*.py") if path.parent.name != "config")
    assert [name for name in setting_names() if name not in reads] == []


def test_an_unread_setting_is_found(tmp_path: Path) -> None:
    (tmp_path / "some.py").write_text(
        '''"""Says config.ppo.gamma without reading it."""
from keisei_agent.config import Config, NetworkConfig

class Part:
    network: NetworkConfig
    def read(self, config: Config) -> float:
        # config.ppo.vf_coef
        settings = config.ppo
        config.ppo.clip_range = 1
        return settings.n_steps + config.seed + config.env.start.file_share + self.network.blocks

def build(config: "NetworkConfig | None", ppo) -> int:
    return config.channels + ppo.n_epochs
''',
        encoding="utf-8",
    )
    reads = Reads([tmp_path / "some.py"])
    assert [name for name in setting_names() if name in reads] == [
        "seed",
        "env.start.file_share",
        "network.channels",
        "network.blocks",
        "ppo.n_epochs",
    ]
