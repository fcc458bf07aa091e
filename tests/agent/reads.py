"""Which settings some code reads, from its syntax alone."""

import ast
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from keisei_agent.config import Config
from keisei_agent.config.run import section_names, section_of


class Reads:
    """What is read in some files.

    A setting SECTION.FIELD is read by an attribute `...SECTION.FIELD`, or by `NAME.FIELD` where the file
    annotates NAME as the section's class.
    """

    def __init__(self, files: Iterable[Path]) -> None:
        classes = {_class_of(name): name for name in ["", *section_names()]}
        self._found: set[str] = set()
        for path in files:
            tree = ast.parse(path.read_text("utf-8"))
            annotated = _annotations(tree, classes)
            for node in ast.walk(tree):
                if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
                    self._add(node, annotated)

    def __contains__(self, name: str) -> bool:
        return name in self._found

    def _add(self, node: ast.Attribute, annotated: dict[str, set[str]]) -> None:
        base = node.value
        name = base.attr if isinstance(base, ast.Attribute) else base.id if isinstance(base, ast.Name) else ""
        sections = set(annotated.get(name, ()))
        if not sections:  # named like the section itself, as in `config.ppo.gamma` or `ppo = config.ppo`
            sections = {
                each for each in ["", *section_names()] if name == (each.rpartition(".")[2] or "config")
            }
        self._found |= {f"{section}.{node.attr}".lstrip(".") for section in sections}


def _class_of(section: str) -> str:
    """The name of a section's class; "" is the whole configuration."""
    model: type[object] = Config
    for part in section.split(".") if section else []:
        found = section_of(model.model_fields[part])  # type: ignore[attr-defined]
        assert found is not None
        model = found
    return model.__name__


def _annotations(tree: ast.AST, classes: dict[str, str]) -> dict[str, set[str]]:
    """The sections that names of arguments, variables and attributes are annotated as."""
    found: dict[str, set[str]] = defaultdict(set)
    for node in ast.walk(tree):
        if isinstance(node, ast.arg):
            name, annotation = node.arg, node.annotation
        elif isinstance(node, ast.AnnAssign):
            target = node.target
            name = target.attr if isinstance(target, ast.Attribute) else getattr(target, "id", "")
            annotation = node.annotation
        else:
            continue
        words = ast.unparse(annotation).replace("'", " ").split() if annotation is not None else []
        found[name] |= {classes[word] for word in words if word in classes}
    return found
