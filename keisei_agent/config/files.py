"""Settings in files: YAML with the scalars of YAML 1.2, where `off` is a word and `1e-3` a number."""

import json
import re
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from keisei_agent.config.run import Config, ConfigError, section_names, section_of
from keisei_agent.config.sections import Settings

_TAG = "tag:yaml.org,2002:"
_SCALARS = (
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("int", r"[-+]?(?:0|[1-9][0-9_]*)", list("-+0123456789")),
    ("float", r"[-+]?(?:[0-9][0-9_]*(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?", list("-+.0123456789")),
    ("merge", r"<<", ["<"]),
)
"""What is no text: tag, pattern, first letters; "" stands for a value that is left out."""


class SettingsFile(NamedTuple):
    """What a file says."""

    settings: dict[str, Any]
    """Nested."""
    origins: dict[str, str]
    """Where each setting and section stands, "FILE:LINE", by dotted name."""


class _Loader(yaml.SafeLoader):
    """Reads only `_SCALARS` as something else than text; PyYAML itself follows YAML 1.1."""


def _construct_number(loader: _Loader, node: yaml.ScalarNode) -> int | float:
    """1e6 is a whole number; a point or a negative exponent makes another one."""
    text = str(loader.construct_scalar(node)).replace("_", "")
    return int(float(text)) if re.fullmatch(r"[-+]?\d+[eE]\d{1,2}", text) else float(text)


_Loader.yaml_implicit_resolvers = {}
for _kind, _pattern, _first in _SCALARS:
    _Loader.add_implicit_resolver(_TAG + _kind, re.compile(f"(?:{_pattern})$"), _first)
_Loader.add_constructor(f"{_TAG}float", _construct_number)


def read_settings_file(path: Path) -> SettingsFile:
    """Read a YAML or JSON file of settings: sections as nested mappings, or dotted names.

    Raises:
        ConfigError: the file cannot be read, is no mapping, or gives a setting twice.
    """
    try:
        return _parse(path.read_text(encoding="utf-8-sig"), path)
    except ConfigError:
        raise
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not text in UTF-8") from None
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ConfigError(f"{path}{line}: {error.problem or error.context}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: {' '.join(str(error).split())}") from None


def _parse(text: str, path: Path) -> SettingsFile:
    node = yaml.compose(text, Loader=_Loader)
    if node is None:
        return SettingsFile({}, {})
    if not isinstance(node, yaml.MappingNode):
        raise ConfigError(f"{path}: settings are written as NAME: VALUE")
    origins = _find_lines(node, path)
    return SettingsFile(nest(_Loader("").construct_document(node), origins), origins)


def _find_lines(node: yaml.MappingNode, path: Path, prefix: str = "") -> dict[str, str]:
    """Where each name stands.

    Raises:
        ConfigError: one stands in two places, of which YAML would take the last.
    """
    found: dict[str, str] = {}
    for key, value in node.value:
        if key.tag == f"{_TAG}merge":
            continue
        name = f"{prefix}{key.value}"
        places = {name: f"{path}:{key.start_mark.line + 1}"}
        if isinstance(value, yaml.MappingNode):
            places |= _find_lines(value, path, f"{name}.")
        for each, place in places.items():
            if each in found:
                raise ConfigError(f"{place}: {each} stands there a second time, first in {found[each]}")
            found[each] = place
    return found


def nest(settings: Mapping[Any, Any], origins: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return settings with each section as a mapping of its own.

    Args:
        settings: nested, with dotted names, or both; a section that holds nothing may be None.
        origins: where settings were read, for the errors.

    Raises:
        ConfigError: a section is no mapping, or a setting is given twice.
    """
    nested: dict[str, Any] = {}
    sections = section_names()
    for name, value in flatten(settings).items():
        origin = f"{origins[name]}: " if origins and name in origins else ""
        *path, last = name.split(".")
        if name in sections:
            if value is None or value == {}:
                continue
            raise ConfigError(f"{origin}{name} = {value!r}: this is a section, with settings of its own")
        inner = nested
        for part in path:
            inner = inner.setdefault(part, {})
            if not isinstance(inner, dict):
                raise ConfigError(f"{origin}unknown setting {name!r}")
        if last in inner:
            raise ConfigError(f"{origin}{name} is a setting and cannot hold others")
        inner[last] = value
    return nested


def flatten(settings: Mapping[Any, Any], prefix: str = "") -> dict[str, Any]:
    """Return settings by dotted name; an empty section stays one entry.

    Raises:
        ConfigError: a setting is given twice, as `{"ppo": {"gamma": 1}, "ppo.gamma": 1}` does.
    """
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        name = f"{prefix}{key}"
        found = flatten(value, f"{name}.") if isinstance(value, Mapping) and value else {name: value}
        twice = flat.keys() & found.keys()
        if twice:
            raise ConfigError(f"{min(twice)} is given twice")
        flat |= found
    return flat


def to_yaml(config: Config) -> str:
    """Return all settings as a YAML file that gives the same configuration, and what each means."""
    return "\n".join(_lines(config, "")) + "\n"


def _lines(settings: Settings, indent: str) -> Iterator[str]:
    values = settings.model_dump(mode="json")
    for name, field in type(settings).model_fields.items():
        for line in textwrap.wrap(field.description or "", 100 - len(indent)):
            yield f"{indent}# {line}"
        if section_of(field) is None:
            yield f"{indent}{name}: {json.dumps(values[name], ensure_ascii=False)}"
        else:
            yield f"{indent}{name}:"
            yield from _lines(getattr(settings, name), indent + "  ")
