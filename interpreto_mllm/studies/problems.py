"""What is wrong with a config, in the user's words: the file, the line, the key and what is accepted there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from interpreto_mllm.core.shown import shown
from interpreto_mllm.studies.names import suggestion

Location = tuple[str | int, ...]
"""Keys and indices, from the top of a config."""

KINDS = {
    "int": "a whole number",
    "float": "a number",
    "string": "a text",
    "bool": "true or false",
    "dict": "a mapping",
    "mapping": "a mapping",
    "list": "a list",
    "tuple": "a list",
    "model": "a name or a mapping",
}
"""Types in words, by the beginning of pydantic's names of errors."""

WITHOUT_NAME = ("Columns", "Selection")
"""Parts that no name stands for."""


@dataclass(frozen=True)
class Problem:
    """Something wrong in a config.

    Args:
        location: of the value.
        message: what is wrong, and what is accepted.

    Example:
        >>> print(Problem(("method", 1, "arguments"), "Lime has no argument 'width'."))
        method[1].arguments: Lime has no argument 'width'.
    """

    location: Location
    message: str

    def __str__(self) -> str:
        return f"{written(self.location)}: {self.message}" if self.location else self.message


class ConfigError(ValueError):
    """A config with problems, all of which are listed.

    Args:
        problems: what is wrong.
        source: the name of the file.
        lines: the file and line of each location, where they are known.
    """

    def __init__(
        self, problems: Sequence[Problem], source: str = "the config", lines: Mapping[Location, tuple[str, int]] | None = None
    ):
        self.problems = tuple(problems)
        self.source = source
        count = "1 problem" if len(self.problems) == 1 else f"{len(self.problems)} problems"
        told = [f"  {_place(one.location, lines or {})}{one}" for one in self.problems]
        super().__init__("\n".join([f"{source} has {count}:", *told]))

    def __reduce__(self) -> tuple[Any, ...]:
        return ConfigError, (self.problems, self.source)


def written(location: Location) -> str:
    """A location as it is read.

    Example:
        >>> written(("data", 0, "select", "max"))
        'data[0].select.max'
    """
    text = "".join(f"[{one}]" if isinstance(one, int) else f".{one}" for one in location)
    return text.removeprefix(".")


def problems_of(error: ValidationError, kind: type[BaseModel], given: Any, above: Location = ()) -> list[Problem]:
    """What pydantic found, in the words of the config.

    Args:
        error: pydantic's.
        kind: the model that was validated.
        given: the values, as the user wrote them.
        above: where these are in the config.
    """
    return [Problem((*above, *as_written(one["loc"], given)), _message(one, kind)) for one in error.errors()]


def as_written(location: Location, given: Any) -> Location:
    """The location in what the user wrote: without the index of a list, and the key of a name, that were left out.

    Example:
        >>> as_written(("model", 0, "dtype"), {"model": {"dtype": 3}}), as_written(("model", 0, "name"), {"model": 3})
        (('model', 'dtype'), ('model',))
    """
    kept: list[str | int] = []
    for position, one in enumerate(location):
        last = position == len(location) - 1
        if isinstance(one, int) and isinstance(given, (list, tuple)):
            given = given[one] if one < len(given) else None
        elif isinstance(one, str) and isinstance(given, Mapping) and (one in given or last):
            given = given.get(one)
        else:
            continue
        kept.append(one)
    return tuple(kept)


def _message(error: ErrorDetails, kind: type[BaseModel]) -> str:
    """One error of pydantic in words."""
    *above, name = error["loc"] or ("",)
    context = error.get("ctx", {})
    if error["type"] == "extra_forbidden":
        known = list(_model_at(kind, tuple(above)).model_fields)
        return f"there is no key {name!r}{suggestion(name, known)} Accepted: {', '.join(known)}."
    if error["type"] == "missing":
        return f"the key {name!r} is missing."
    if error["type"] in ("value_error", "assertion_error"):
        return str(context.get("error", error["msg"]))
    got = f"got {shown(error['input'])}."
    limits = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}
    for limit, words in limits.items():
        if limit in context:
            return f"must be {words} {context[limit]}; {got}"
    if error["type"] == "string_too_short":
        return "must not be empty."
    if error["type"] == "literal_error":
        return f"must be {context['expected']}; {got}"
    wanted = KINDS.get(error["type"].split("_")[0])
    if context.get("class_name") in WITHOUT_NAME:
        wanted = "a mapping"
    return f"must be {wanted}; {got}" if wanted else f"{error['msg']}; {got}"


def _model_at(kind: type[BaseModel], location: Location) -> type[BaseModel]:
    """The model whose keys are at a location within another one."""
    for one in location:
        if not isinstance(one, str) or one not in kind.model_fields:
            continue
        found = _models_in(kind.model_fields[one].annotation)
        kind = found[0] if found else kind
    return kind


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in getattr(annotation, "__args__", ()) for model in _models_in(part)]


def _place(location: Location, lines: Mapping[Location, tuple[str, int]]) -> str:
    """The file and the line of the nearest location that has one."""
    for length in range(len(location), -1, -1):
        if location[:length] in lines:
            file, line = lines[location[:length]]
            return f"{file}, line {line}: "
    return ""
