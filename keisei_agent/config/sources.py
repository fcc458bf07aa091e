"""Where settings come from: defaults < preset < YAML file < command line or Python; the later wins."""

import argparse
import os
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Union, get_args, get_origin

from keisei_agent.config.files import SettingsFile, flatten, nest, read_settings_file
from keisei_agent.config.presets import find_preset
from keisei_agent.config.run import Config, ConfigError, parse_config, setting_fields
from keisei_agent.config.sections import LEVEL, level_from_environment
from keisei_agent.console import number

_TRUTH = {"true": True, "yes": True, "on": True, "1": True}
_TRUTH |= {"false": False, "no": False, "off": False, "0": False}


def load_config(
    *, preset: str | None = None, file: Path | None = None, settings: Mapping[str, Any] | None = None
) -> Config:
    """Return the checked configuration that the sources give together.

    Args:
        preset: one of `PRESETS`.
        file: YAML or JSON, which wins over the preset.
        settings: nested or by dotted name, which win over the file.

    Raises:
        ConfigError: in one line, with the place in the file where there is one.
    """
    given = _gather(preset, file, settings or {})
    origins = given.origins
    if "log.level" not in flatten(given.settings):
        origins = {**origins, "log.level": LEVEL}
    return parse_config(given.settings, origins)


def load_changes(
    *, preset: str | None = None, file: Path | None = None, settings: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return what the sources give, unchecked and by dotted name, to change a stored configuration with.

    Raises:
        ConfigError: if the preset or the file cannot be read.
    """
    changes = flatten(_gather(preset, file, settings or {}).settings)
    if os.environ.get(LEVEL):
        changes.setdefault("log.level", level_from_environment())
    return changes


def with_changes(config: Config, changes: Mapping[str, Any]) -> Config:
    """Return a configuration with some settings changed, checked as a whole.

    As for a new run, a number of decisions takes the place of the time limit.

    Args:
        config: left as it is.
        changes: nested or by dotted name.

    Raises:
        ConfigError: naming what is wrong.
    """
    given = nest(changes)
    if given.get("total_timesteps") is not None:
        given.setdefault("max_time", None)
    return parse_config(_merge(config.model_dump(mode="json"), given))


def differences(old: Config, new: Config) -> dict[str, tuple[Any, Any]]:
    """Return the old and the new value of each setting that differs, by dotted name."""
    before, after = flatten(old.model_dump()), flatten(new.model_dump())
    return {name: (before[name], after[name]) for name in after if before[name] != after[name]}


def parse_words(name: str, words: Sequence[str]) -> Any:
    """Return the value that words of a command line stand for; what fits no type is left to the model.

    Args:
        name: dotted name of a setting.
        words: none stands for true; several, or one with commas, for a list.

    Raises:
        ConfigError: there is no such setting, or it takes another number of words.
    """
    fields = dict(setting_fields())
    if name not in fields:
        raise ConfigError(f"unknown setting {name!r}")
    kind, optional = _kind(fields[name].annotation)
    if get_origin(kind) is tuple:
        items = words[0].split(",") if len(words) == 1 else words
        return [item.strip() for item in items if item.strip()]
    if kind is bool and not words:
        return True
    if len(words) != 1:
        raise ConfigError(f"{name} takes one value, not {len(words)}")
    if optional and words[0].lower() == "none":
        return None
    return _value(kind, words[0])


def _kind(annotation: Any) -> tuple[Any, bool]:
    """The type without its None, and whether it has one."""
    if get_origin(annotation) in (Union, types.UnionType):
        kinds = [kind for kind in get_args(annotation) if kind is not type(None)]
        return kinds[0], True
    return annotation, False


def _value(kind: Any, text: str) -> Any:
    if kind is bool:
        return _TRUTH.get(text.lower(), text)
    try:
        if kind is int:
            return -number(text[1:], 0) if text.startswith("-") else number(text, 0)
        return float(text) if kind is float else text
    except (argparse.ArgumentTypeError, ValueError):
        return text


def _gather(preset: str | None, file: Path | None, settings: Mapping[str, Any]) -> SettingsFile:
    """Put the sources together; a preset's time limit gives way to a number of decisions."""
    recipe = dict(find_preset(preset).settings) if preset else {}
    from_file = read_settings_file(file) if file else SettingsFile({}, {})
    given = nest(settings)
    origins = {name: place for name, place in from_file.origins.items() if name not in flatten(given)}
    given = _merge(from_file.settings, given)
    if given.get("total_timesteps") is not None and "max_time" not in given:
        recipe.pop("max_time", None)
    return SettingsFile(_merge(recipe, given), origins)


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return both, deep; `over` wins."""
    merged = dict(base)
    for name, value in over.items():
        below = merged.get(name)
        if isinstance(below, Mapping) and isinstance(value, Mapping):
            value = _merge(below, value)
        merged[name] = value
    return merged
