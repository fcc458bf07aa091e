"""Write docs/settings.md from the models: `python tools/make_settings_page.py`; a test compares the two."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from keisei_agent.commands.options import build_parser
from keisei_agent.config import PRESETS, Config
from keisei_agent.config.files import flatten
from keisei_agent.config.run import section_of
from keisei_agent.config.sections import LEVEL, Settings

PAGE = Path(__file__).parent.parent / "docs" / "settings.md"
INTRODUCTION = """\
# Settings

<!-- made by tools/make_settings_page.py -->

Four sources, of which the later wins, setting by setting: the defaults, a preset (`--preset tiny`), a file (`--config run.yaml`), the command line. What was unknown, out of range, of another type or does not fit another setting is refused in one line before anything starts, with the nearest name, and for a file with its line. `keisei-train --print-config` shows what the four give together, as a file that `--config` reads; each run's folder has its own as `config.yaml`.

On the command line every setting is `--SECTION.NAME VALUE`, with hyphens or underscores: `--ppo.learning-rate 3e-4`, `--ppo.target-kl none`, `--compile`, `--league.players random greedy` (or one word with commas). In a file sections are indented, or dotted:

```yaml
max_time: 4h
ppo:
  learning_rate: 3e-4
  target_kl: 0.03
league.share: 0.25
```

In Python they are arguments, and `keisei_agent.config.load_config(preset=, file=, settings=)` takes the same sources; see `docs/python.md`.

Some defaults depend on other settings. Where `total_timesteps` is given and `max_time` is not, no time limit holds. An interval that is not given (`checkpoint.every`, `league.snapshot_every`, `log.boards_every`, `log.mates_every`) is at least one rollout, `ppo.n_steps * env.n_envs` decisions; one that is given and less is refused.

With `--resume`, what is given changes the stored settings; the rest stays.
"""  # noqa: E501
VARIABLES = """\
## Environment variables

| variable | effect |
|---|---|
| `KEISEI_LOG_LEVEL` | default of `log.level`, for all sources; a resumed run takes it too |
| `CUDA_VISIBLE_DEVICES` | GPUs that torch sees, counted anew from 0; `--doctor` shows it |
| `WANDB_API_KEY` and the other `WANDB_*` | read by Weights & Biases itself; never written to the run |
| `OMP_WAIT_POLICY` | `PASSIVE` unless it is set: threads that wait do not spin |
"""


def page() -> str:
    """Return the page."""
    os.environ.pop(LEVEL, None)
    return "\n".join([INTRODUCTION, *presets(), *short_forms(), *tables(), VARIABLES])


def presets() -> Iterator[str]:
    """Yield the presets."""
    yield "## Presets\n\n| preset | why | what differs from the defaults |\n|---|---|---|"
    for name, preset in PRESETS.items():
        settings = flatten(preset.settings).items()
        differing = ", ".join(f"`{each} = {value}`" for each, value in settings) or "nothing"
        yield f"| `{name}` | {preset.why} | {differing} |"
    yield ""


def short_forms() -> Iterator[str]:
    """Yield the options that stand for a setting, then the others."""
    names = flatten(Config().model_dump())
    yield "## Options\n\n| option | setting | |\n|---|---|---|"
    for action in build_parser()._actions:
        options = ", ".join(f"`{option}`" for option in action.option_strings)
        setting = f"`{action.dest}`" if action.dest in names else ""
        yield f"| {options} | {setting} | {action.help} |"
    yield ""


def tables(model: type[Settings] = Config, prefix: str = "") -> Iterator[str]:
    """Yield a table for each section."""
    title = prefix.rstrip(".") or "The run"
    yield f"## {title}\n\n{(model.__doc__ or '').strip()}\n"
    yield "| setting | values | default | |\n|---|---|---|---|"
    defaults = flatten(Config().model_dump())
    properties = model.model_json_schema()["properties"]
    below: list[tuple[type[Settings], str]] = []
    for name, field in model.model_fields.items():
        section = section_of(field)
        if section is not None:
            below.append((section, f"{prefix}{name}."))
            continue
        default, text = defaults[prefix + name], " ".join((field.description or "").split())
        yield f"| `{prefix}{name}` | {values(properties[name])} | {shown(default)} | {text} |"
    yield ""
    for section, inner in below:
        yield from tables(section, inner)


def values(schema: dict[str, Any]) -> str:
    """Say what a setting may be, from its JSON schema."""
    if "anyOf" in schema:
        inner, _ = schema["anyOf"]
        return f"{values(inner)}; `none`"
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    kind = {"boolean": "`true`, `false`", "string": "text", "array": "texts", "integer": "whole number"}
    limits = [
        f"{sign} {schema[key]}"
        for key, sign in (
            ("minimum", "≥"),
            ("exclusiveMinimum", ">"),
            ("maximum", "≤"),
            ("exclusiveMaximum", "<"),
        )
        if key in schema
    ]
    even = ["even"] if schema.get("multipleOf") == 2 else []
    return ", ".join([kind.get(schema["type"], "number"), *even, *limits])


def shown(value: Any) -> str:
    """Show a default as it is typed."""
    if isinstance(value, tuple):
        return " ".join(f"`{each}`" for each in value) or "none"
    return f"`{str(value).lower() if value is None or isinstance(value, bool) else value}`"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(f"wrote {PAGE}")
