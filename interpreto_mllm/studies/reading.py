"""Configs from files: YAML or JSON, with the files that they are based on, and the line of every key."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from interpreto_mllm.core.optional import optional
from interpreto_mllm.core.shown import shown
from interpreto_mllm.studies.problems import ConfigError, Location, Problem, written

MERGED = ("model", "data", "method", "columns", "select", "selection", "arguments", "call", "generate")
"""Keys whose mappings are merged with those of the base, instead of taking their place."""

FLOAT = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)[eE][-+]?\d+")
"""Numbers such as 1e-3, which YAML 1.1 takes for texts."""


@dataclass(frozen=True)
class Written:
    """What a config says.

    Args:
        values: by key, those of its base files included.
        lines: the file and the line of each location.
    """

    values: Any
    lines: dict[Location, tuple[str, int]] = field(default_factory=dict)


def read_config(path: str | os.PathLike[str], above: tuple[Path, ...] = ()) -> Written:
    """What a file and its bases say; what the file says itself takes precedence.

    Args:
        path: a YAML file (.yaml, .yml) or a JSON file.
        above: files that are based on this one.

    Raises:
        ConfigError: for a file that is not there, cannot be read as YAML or JSON, or is based on itself.
    """
    file = Path(path).expanduser()
    if file.resolve() in above:
        chain = " → ".join(one.name for one in (*above, file.resolve()))
        raise ConfigError([Problem(("base",), f"a config cannot be based on itself: {chain}.")], str(path))
    own = _parsed(file)
    if not isinstance(own.values, dict):
        raise ConfigError([Problem((), f"a config is a mapping of keys to values; got {shown(own.values)}.")], str(path))
    for key in ("model", "data"):
        if key in own.values:
            own.values[key] = _placed(own.values[key], file.parent)
    bases = own.values.pop("base", [])
    bases = [bases] if isinstance(bases, str) else bases
    if not isinstance(bases, list) or not all(isinstance(one, str) for one in bases):
        raise ConfigError([Problem(("base",), f"must be the path of a file, or several; got {shown(bases)}.")], str(path))
    values, lines = {}, {}
    for base in bases:
        below = read_config(file.parent / base, (*above, file.resolve()))
        values, lines = merged(values, below.values), {**lines, **below.lines}
    return Written(merged(values, own.values), {**lines, **own.lines})


def merged(base: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a config based on another: mappings of parts are merged, everything else takes the place of the base's.

    A part of another name is not merged: nothing of the other model, data or method is meant.

    Example:
        >>> merged({"data": {"name": "a", "split": "x"}, "seed": [0, 1]}, {"data": {"split": "y"}, "seed": 3})
        {'data': {'name': 'a', 'split': 'y'}, 'seed': 3}
    """
    result = dict(base)
    for key, value in own.items():
        below = _as_part(base.get(key)) if key in MERGED else None
        result[key] = value
        if isinstance(value, Mapping) and isinstance(below, Mapping) and value.get("name") in (None, below.get("name")):
            result[key] = merged(below, value)
    return result


def _placed(part: Any, folder: Path) -> Any:
    """A part, or a list of them, whose name is a path from the config's folder where it is none from the working folder."""
    if isinstance(part, list):
        return [_placed(one, folder) for one in part]
    if isinstance(part, dict):
        return {key: _placed(value, folder) if key == "name" else value for key, value in part.items()}
    beside = isinstance(part, str) and not Path(part).exists() and (folder / part).exists()
    return str(folder / part) if beside else part


def _as_part(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


def _parsed(file: Path) -> Written:
    try:
        text = file.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        near = sorted(one.name for one in file.parent.glob("*.[yj]*") if one.suffix in (".yaml", ".yml", ".json"))
        there = f" In that folder are {', '.join(near[:8])}." if near else ""
        raise ConfigError([Problem((), f"there is no such file.{there}")], str(file)) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([Problem((), f"the file cannot be read: {error}.")], str(file)) from error
    if file.suffix.lower() == ".json":
        try:
            return Written(json.loads(text))
        except json.JSONDecodeError as error:
            raise ConfigError([Problem((), f"line {error.lineno}: this is no JSON: {error.msg}.")], str(file)) from error
    return _yaml(text, file)


def _yaml(text: str, file: Path) -> Written:
    yaml = optional("yaml", "a config in YAML", "study")
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        lines: dict[Location, tuple[str, int]] = {}
        values = {} if node is None else _value(yaml, node, (), lines, str(file))
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise ConfigError([Problem((), f"{line}this is no YAML: {error.problem}.")], str(file)) from error
    except yaml.YAMLError as error:
        raise ConfigError([Problem((), f"this is no YAML: {error}.")], str(file)) from error
    return Written(values, lines)


def _value(yaml: Any, node: Any, at: Location, lines: dict[Location, tuple[str, int]], file: str) -> Any:
    """The value of a node, whose lines are noted."""
    lines.setdefault(at, (file, node.start_mark.line + 1))
    if isinstance(node, yaml.SequenceNode):
        return [_value(yaml, one, (*at, index), lines, file) for index, one in enumerate(node.value)]
    if isinstance(node, yaml.MappingNode):
        found: dict[str, Any] = {}
        for key, one in node.value:
            name = str(key.value)
            if name in found:
                twice = f"line {key.start_mark.line + 1}: the key {written((*at, name))!r} is written twice."
                raise ConfigError([Problem((), twice)], file)
            lines[(*at, name)] = (file, key.start_mark.line + 1)
            found[name] = _value(yaml, one, (*at, name), lines, file)
        return found
    return _scalar(yaml, node)


def _scalar(yaml: Any, node: Any) -> Any:
    """A text, a number, a truth value or nothing. Dates stay texts, and words such as "no" and "on" too."""
    if node.style is None and node.tag.endswith(":str") and FLOAT.fullmatch(node.value):
        return float(node.value)
    if node.tag.endswith(":timestamp") or (node.tag.endswith(":bool") and node.value.lower() not in ("true", "false")):
        return node.value
    loader = yaml.SafeLoader("")
    return loader.construct_object(node, deep=True)
