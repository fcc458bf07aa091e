"""The settings of a run: pydantic models that check values, never the world (see `build.check`)."""

from keisei_agent.config.files import read_settings_file, to_yaml
from keisei_agent.config.presets import PRESETS
from keisei_agent.config.run import Config, ConfigError, parse_config, setting_names
from keisei_agent.config.sections import (
    CheckpointConfig,
    EnvConfig,
    EvaluationConfig,
    LeagueConfig,
    LogConfig,
    NetworkConfig,
    PPOConfig,
    Schedule,
    Settings,
    StartConfig,
    WorkersConfig,
)
from keisei_agent.config.sources import differences, load_changes, load_config, parse_words, with_changes

__all__ = [
    "PRESETS",
    "CheckpointConfig",
    "Config",
    "ConfigError",
    "EnvConfig",
    "EvaluationConfig",
    "LeagueConfig",
    "LogConfig",
    "NetworkConfig",
    "PPOConfig",
    "Schedule",
    "Settings",
    "StartConfig",
    "WorkersConfig",
    "differences",
    "load_changes",
    "load_config",
    "parse_config",
    "parse_words",
    "read_settings_file",
    "setting_names",
    "to_yaml",
    "with_changes",
]
