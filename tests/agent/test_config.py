import re
from pathlib import Path

import pytest
from pydantic import BaseModel

import keisei_agent
from keisei_agent.config import ConfigError, TrainConfig, _names, parse_config


def test_defaults_are_valid_and_round_trip() -> None:
    config = parse_config({})
    assert parse_config(config.model_dump(mode="json")) == config


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sed": 1}, r"unknown setting 'sed', did you mean 'seed'\?"),
        (
            {"ppo": {"learning_rat": 1}},
            r"unknown setting 'ppo.learning_rat', did you mean 'ppo.learning_rate'\?",
        ),
        ({"zzzzzz": 1}, r"^unknown setting 'zzzzzz'$"),
        ({"seed": -1}, r"seed = -1: input should be greater than or equal to 0"),
        ({"device": "tpu"}, r"device = 'tpu': "),
        ({"algo": "dqn"}, r"unknown algo 'dqn', known: 'maskable_ppo'"),
        ({"ppo": {"gamma": float("nan")}}, r"ppo.gamma = nan: "),
        ({"total_timesteps": 0}, r"total_timesteps = 0: "),
        ({"max_time": None}, r"^total_timesteps and max_time are both None"),
        (
            {"env": {"n_envs": 27}, "ppo": {"n_steps": 19, "batch_size": 512}},
            r"leaves a minibatch of one position",
        ),
        ({"env": {"n_envs": 1}, "ppo": {"n_steps": 1}}, r"leaves a minibatch of one position"),
    ],
)
def test_bad_settings_are_refused_in_one_line(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        parse_config(settings)
    assert "\n" not in str(caught.value)


def test_every_setting_is_read_and_described() -> None:
    folder = Path(keisei_agent.__file__).parent
    code = "\n".join(path.read_text("utf-8") for path in folder.rglob("*.py") if path.name != "config.py")
    for name in _names(TrainConfig):
        section, _, field = name.rpartition(".")
        if section == "network":  # handed on whole, the network's constructor refuses what it does not know
            pattern = rf"\b{field}: "
        else:
            pattern = rf"\b{section.rpartition('.')[2] or 'config'}\.{field}\b"
        assert re.search(pattern, code), f"nothing reads {name}"
    assert all(field.description for field in _fields(TrainConfig))


def _fields(model: type[BaseModel]) -> list[object]:
    found: list[object] = []
    for field in model.model_fields.values():
        found.append(field)
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            found += _fields(field.annotation)
    return found
