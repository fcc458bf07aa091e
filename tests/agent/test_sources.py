import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from keisei_agent.config import (
    PRESETS,
    Config,
    ConfigError,
    load_changes,
    load_config,
    parse_config,
    parse_words,
    setting_names,
    to_yaml,
    with_changes,
)
from keisei_agent.config.files import flatten


@pytest.fixture(autouse=True)
def no_log_level(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KEISEI_LOG_LEVEL", raising=False)


def a_file(folder: Path, text: str) -> Path:
    path = folder / "run.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_later_source_wins_setting_by_setting(tmp_path: Path) -> None:
    file = a_file(tmp_path, "network:\n  channels: 40\nppo:\n  n_steps: 16\n  gamma: 0.9\n")
    config = load_config(preset="tiny", file=file, settings={"ppo.gamma": 0.8, "env": {"n_envs": 32}})
    assert config.network.blocks == PRESETS["tiny"].settings["network"]["blocks"]
    assert config.network.channels == 40
    assert (config.ppo.n_steps, config.ppo.gamma, config.ppo.n_epochs) == (16, 0.8, Config().ppo.n_epochs)
    assert config.env.n_envs == 32


def test_nothing_given_is_the_defaults() -> None:
    assert load_config() == load_config(preset="cpu") == parse_config({})


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_valid_and_say_why(name: str) -> None:
    config = load_config(preset=name)
    differing = {key for key in setting_names() if flatten(config.model_dump())[key] != defaults()[key]}
    assert set(flatten(PRESETS[name].settings)) == differing
    assert PRESETS[name].why.endswith(".")


def defaults() -> dict[str, Any]:
    return flatten(Config().model_dump())


def test_an_unknown_preset_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(preset="gpu_smal")
    assert str(caught.value) == (
        "unknown preset 'gpu_smal', did you mean 'gpu-small'? (known: tiny, cpu, gpu-small, gpu)"
    )


@pytest.mark.parametrize(
    ("settings", "limits"),
    [
        ({}, (None, 100)),
        ({"total_timesteps": 5}, (5, None)),
        ({"total_timesteps": 5, "max_time": 7.0}, (5, 7)),
        ({"max_time": 7.0}, (None, 7)),
    ],
)
def test_a_number_of_decisions_lifts_the_time_limit_of_a_preset(
    settings: dict[str, Any], limits: tuple[int | None, float | None]
) -> None:
    config = load_config(preset="tiny", settings=settings)
    assert (config.total_timesteps, config.max_time) == limits


def test_but_not_that_of_a_file(tmp_path: Path) -> None:
    config = load_config(file=a_file(tmp_path, "max_time: 7"), settings={"total_timesteps": 5})
    assert (config.total_timesteps, config.max_time) == (5, 7)


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("log: {display: off}", "log.display", "off"),  # YAML 1.1 says False
        ("log: {track: off}", "log.track", "off"),
        ("ppo: {learning_rate: 3e-4}", "ppo.learning_rate", 3e-4),  # YAML 1.1 says "3e-4"
        ("ppo: {learning_rate: 1.0e-05}", "ppo.learning_rate", 1e-5),
        ("ppo: {gamma: .9}", "ppo.gamma", 0.9),
        ("ppo: {gamma: 1.}", "ppo.gamma", 1.0),
        ("total_timesteps: 1e6", "total_timesteps", 1_000_000),
        ("total_timesteps: 1_000_000", "total_timesteps", 1_000_000),
        ("max_time: 1h30m", "max_time", 5400.0),
        ("compile: true", "compile", True),
        ("compile: False", "compile", False),
        ("total_timesteps: 5\nmax_time: null", "max_time", None),
        ("total_timesteps: 5\nmax_time: ~", "max_time", None),
        ("total_timesteps: 5\nmax_time:", "max_time", None),
        ("log:\n  wandb_project: 2026-11-20", "log.wandb_project", "2026-11-20"),  # YAML 1.1 says a date
        ("log:\n  wandb_project: '5'", "log.wandb_project", "5"),
        (
            "league: {share: 0.5, players: [random, 'usi:engine;go=depth 1']}",
            "league.players",
            ("random", "usi:engine;go=depth 1"),
        ),
        (
            "league:\n  share: 1\n  players:\n    - random\n    - greedy",
            "league.players",
            ("random", "greedy"),
        ),
        ("ppo:\n  # nothing yet\n", "ppo.gamma", Config().ppo.gamma),
        ("ppo.gamma: 0.5\nppo.n_steps: 32", "ppo.gamma", 0.5),
        ("env:\n  start.file: x\n  start: {file_share: 1}", "env.start.file", "x"),
        ("\ufeffseed: 3", "seed", 3),
        ('{"seed": 3, "ppo": {"learning_rate": 1e-05}}', "ppo.learning_rate", 1e-5),
        ("a: &base {gamma: 0.5}\n", "", ConfigError),
        ("", "seed", 0),
        ("# nothing\n", "seed", 0),
    ],
)
def test_files(tmp_path: Path, text: str, name: str, value: Any) -> None:
    file = a_file(tmp_path, text)
    if value is ConfigError:
        with pytest.raises(ConfigError):
            load_config(file=file)
    else:
        found = flatten(load_config(file=file).model_dump())[name]
        assert found == value
        assert type(found) is type(value)


def test_merge_keys_and_aliases_work(tmp_path: Path) -> None:
    file = a_file(tmp_path, "evaluation: {opponents: &them [random]}\nleague: {share: 1, players: *them}\n")
    assert load_config(file=file).league.players == ("random",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seed: 1\nppo:\n  gama: 1\n", ":3: unknown setting 'ppo.gama', did you mean 'ppo.gamma'?"),
        ("seed: 1\nvf_coef: 1\n", ":2: unknown setting 'vf_coef', did you mean 'ppo.vf_coef'?"),
        ("seed: 1\n\npppo:\n  gamma: 1\n", ":3: unknown setting 'pppo', did you mean 'ppo'?"),
        ("pppo: {}", ":1: unknown setting 'pppo', did you mean 'ppo'?"),
        ("seed: -1", ":1: seed = -1: input should be greater than or equal to 0"),
        ("ppo:\n  n_steps: many", ":2: ppo.n_steps = 'many': input should be a valid integer"),
        ("ppo:\n  n_steps: 1.5", ":2: ppo.n_steps = 1.5: input should be a valid integer"),
        ("compile: yes", ":1: compile = 'yes': input should be a valid boolean"),
        ("league:\n  players: random", ":2: league.players = 'random': input should be a valid list"),
        ("evaluation:\n  opponents: [random, 5]\n", ":2: evaluation.opponents.1 = 5: input should be"),
        ("ppo: 5", ":1: ppo = 5: this is a section, with settings of its own"),
        ("seed: {a: 1}", ":1: seed = {'a': 1}: input should be a valid integer"),
        ("seed: 1\nppo:\n  gamma: 1\nseed: 2", ":4: seed stands there a second time, first in "),
        ("ppo: {gamma: 1}\nppo.gamma: 1", ":2: ppo.gamma stands there a second time, first in "),
        ("seed: 1\nseed.a: 2", ":2: unknown setting 'seed.a'"),
        ("seed.a: 2\nseed: 1", ":2: seed is a setting and cannot hold others"),
        ("seed: 1\n\tppo: 2", ":2: "),
        ("seed: [1", ":1: "),
        ("- seed", ": settings are written as NAME: VALUE"),
        ("5", ": settings are written as NAME: VALUE"),
        ("seed: !!python/object/apply:os.getcwd []", ":1: could not determine a constructor"),
        ("seed: 1\n---\nseed: 2\n", ": "),
        ("seed: " + "1" * 5000, ": Exceeds the limit"),
        ("seed: &a [*a]", ":1: seed = "),
        ("ppo: &a\n  b: *a\n", ": "),
        ("seed: \x00", ": "),
        ("env: {n_envs: 1}\nppo: {n_steps: 1}\n", "leaves a minibatch of one position"),
    ],
)  # fmt: skip
def test_bad_files_are_refused_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    file = a_file(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load_config(file=file)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    if message.startswith(":"):
        assert str(caught.value).startswith(str(file))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml: No such file"):
        load_config(file=tmp_path / "none.yaml")
    with pytest.raises(ConfigError):
        load_config(file=tmp_path)
    (tmp_path / "bytes").write_bytes(b"seed: \xff\xfe")
    with pytest.raises(ConfigError, match="bytes is not text in UTF-8"):
        load_config(file=tmp_path / "bytes")


def test_the_place_is_named_only_for_what_the_file_decides(tmp_path: Path) -> None:
    file = a_file(tmp_path, "seed: -1")
    with pytest.raises(ConfigError, match=r"^seed = -2: "):
        load_config(file=file, settings={"seed": -2})
    assert load_config(file=file, settings={"seed": 2}).seed == 2


def test_a_wrong_environment_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEISEI_LOG_LEVEL", "loud")
    with pytest.raises(ConfigError, match=r"^KEISEI_LOG_LEVEL: unknown log.level 'loud'"):
        load_config()
    with pytest.raises(ConfigError, match=r"^unknown log.level 'soft'"):
        load_config(settings={"log.level": "soft"})


def test_to_yaml_holds_every_setting_and_loads_back_equal(tmp_path: Path) -> None:
    config = load_config(
        preset="gpu",
        settings={
            "ppo.learning_rate": 1e-5,
            "log.wandb_project": "off",
            "log.wandb_entity": '1e6: "日本"\n# no',
            "league.players": ["usi:engine;option.Skill Level=-10", "1", "null"],
            "max_time": 0.1,
        },
    )
    text = to_yaml(config)
    assert load_config(file=a_file(tmp_path, text)) == config
    assert list(flatten(yaml.safe_load(text))) == list(setting_names())
    assert "  # Adam's step size.\n  learning_rate: 1e-05\n" in text
    assert max(map(len, text.splitlines())) < 111


def test_json_loads_back_equal(tmp_path: Path) -> None:
    config = load_config(preset="gpu-small")
    file = a_file(tmp_path, json.dumps(config.model_dump(mode="json"), indent=2))
    assert load_config(file=file) == config


@pytest.mark.parametrize(
    ("name", "words", "value"),
    [
        ("ppo.learning_rate", ["3e-4"], 3e-4),
        ("ppo.learning_rate", ["1"], 1.0),
        ("ppo.target_kl", ["none"], None),
        ("ppo.target_kl", ["0.02"], 0.02),
        ("ppo.n_steps", ["128"], 128),
        ("ppo.n_steps", ["1_024"], 1024),
        ("checkpoint.every", ["1e6"], 1_000_000),
        ("ppo.n_steps", ["-5"], -5),
        ("ppo.n_steps", ["many"], "many"),
        ("ppo.n_steps", ["1.5"], "1.5"),
        ("ppo.n_steps", ["none"], "none"),
        ("compile", [], True),
        ("compile", ["true"], True),
        ("compile", ["False"], False),
        ("compile", ["no"], False),
        ("compile", ["maybe"], "maybe"),
        ("network.name", ["none"], "none"),
        ("env.start.file", ["none"], None),
        ("env.start.file", ["5"], "5"),
        ("log.display", ["off"], "off"),
        ("league.players", ["random,greedy"], ["random", "greedy"]),
        ("league.players", ["random", "a,b"], ["random", "a,b"]),
        ("league.players", ["random"], ["random"]),
        ("league.players", [], []),
        ("league.players", [""], []),
    ],
)
def test_words_of_a_command_line(name: str, words: list[str], value: Any) -> None:
    found = parse_words(name, words)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("name", "words", "message"),
    [
        ("ppo.n_steps", [], "ppo.n_steps takes one value, not 0"),
        ("ppo.n_steps", ["1", "2"], "ppo.n_steps takes one value, not 2"),
        ("ppo.steps", ["1"], "unknown setting 'ppo.steps'"),
        ("ppo", ["1"], "unknown setting 'ppo'"),
    ],
)
def test_words_that_make_no_sense(name: str, words: list[str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_words(name, words)
    assert str(caught.value) == message


def test_changes_of_a_stored_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = a_file(tmp_path, "ppo: {gamma: 0.5}\nseed: 4\n")
    assert load_changes() == {}
    assert load_changes(file=file, settings={"seed": 5}) == {"ppo.gamma": 0.5, "seed": 5}
    assert load_changes(settings={"total_timesteps": 5}) == {"total_timesteps": 5}
    monkeypatch.setenv("KEISEI_LOG_LEVEL", "DEBUG")
    assert load_changes() == {"log.level": "debug"}
    assert load_changes(settings={"log.level": "error"}) == {"log.level": "error"}


def test_decisions_take_the_place_of_a_stored_time_limit() -> None:
    config = Config(max_time=60.0)
    assert with_changes(config, {"total_timesteps": 5}).max_time is None
    assert with_changes(config, {"total_timesteps": 5, "max_time": 7.0}).max_time == 7.0
    assert with_changes(config, {"total_timesteps": None}).max_time == 60.0
