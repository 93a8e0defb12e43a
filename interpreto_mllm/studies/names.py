"""Names in configs: what they may be, the nearest one where none is meant, and own objects by import path or entry point."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Collection, Iterable, Mapping
from difflib import get_close_matches
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any

METHODS_GROUP, METRICS_GROUP = "interpreto_mllm.methods", "interpreto_mllm.metrics"
"""Entry points of packages that bring methods and metrics of their own."""


def unknown(what: str, given: object, known: Iterable[str], further: str = "") -> ValueError:
    """The error for a name that is not known: the nearest one, and all that are.

    Args:
        what: that it names.
        given: the name.
        known: those that are accepted.
        further: what else is accepted, in words.

    Example:
        >>> unknown("reducer", "maen", ["mean", "max"])
        ValueError("reducer has no 'maen'; did you mean 'mean'? Accepted: mean, max.")
    """
    names = list(dict.fromkeys(known))
    accepted = ", ".join(names) + (f", or {further}" if further else "")
    return ValueError(f"{what} has no {given!r}{suggestion(given, names)} Accepted: {accepted}.")


def suggestion(given: object, known: Collection[str]) -> str:
    """The end of a sentence about a name that is not known: the nearest one, if one is near.

    Example:
        >>> suggestion("kernelshap", ["KernelShap", "Lime"]), suggestion("zzz", ["KernelShap"])
        ("; did you mean 'KernelShap'?", '.')
    """
    lower = {name.lower(): name for name in known}
    found = get_close_matches(str(given).lower(), lower, n=1, cutoff=0.6)
    return f"; did you mean {lower[found[0]]!r}?" if found else "."


def is_import_path(name: object) -> bool:
    """Whether this is written as "package.module:Name".

    Example:
        >>> is_import_path("my.module:Mine"), is_import_path("http://host"), is_import_path("shipped:text")
        (True, False, False)
    """
    module, colon, attribute = str(name).partition(":")
    dotted = all(part.isidentifier() for part in module.split("."))
    return bool(colon) and dotted and module != "shipped" and all(part.isidentifier() for part in attribute.split("."))


def imported(path: str) -> Any:
    """The object at "package.module:Name"; modules in the working folder are found too.

    Raises:
        ValueError: when there is no such module, or it has no such name; the message says which.

    Example:
        >>> imported("math:sqrt")(9.0)
        3.0
    """
    name, _, attribute = path.partition(":")
    if os.getcwd() not in sys.path and "" not in sys.path:
        sys.path.append(os.getcwd())
    try:
        found: Any = import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise ValueError(f"{path}: the module {name} needs {error.name}, which is not installed.") from error
        raise ValueError(
            f"{path}: there is no module {error.name}. Install its package, or run in the folder where it is ({os.getcwd()})."
        ) from error
    except Exception as error:
        raise ValueError(f"{path}: the module {name} fails when it is imported: {type(error).__name__}: {error}") from error
    for part in attribute.split("."):
        if not hasattr(found, part):
            public = [one for one in vars(found) if not one.startswith("_")]
            raise ValueError(f"{path}: {name} has no {attribute!r}{suggestion(attribute, public)}")
        found = getattr(found, part)
    return found


def from_entry_points(group: str) -> Mapping[str, EntryPoint]:
    """The entry points of a group, by name; nothing is imported."""
    return {point.name: point for point in entry_points(group=group)}


def loaded(point: EntryPoint) -> Any:
    """What an entry point leads to.

    Raises:
        ValueError: when it cannot be imported.
    """
    try:
        return point.load()
    except Exception as error:
        raise ValueError(f"The entry point {point.name!r} ({point.value}) fails: {type(error).__name__}: {error}") from error


def check_arguments(name: str, function: Any, given: Mapping[str, Any], skipped: Collection[str] = ()) -> None:
    """Raise a ValueError for an argument that a class or function does not have, with the nearest and all that it has.

    Args:
        name: of the class or function.
        function: it.
        given: arguments by name.
        skipped: parameters that are given elsewhere.
    """
    parameters = inspect.signature(function).parameters.values()
    by_name = [one.name for one in parameters if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)]
    own = [one for one in by_name if one not in skipped]
    if any(one.kind is one.VAR_KEYWORD for one in parameters) and not skipped:
        return
    for argument in given:
        if argument not in own:
            accepted = f"Accepted: {', '.join(own)}." if own else "It has none."
            raise ValueError(f"{name} has no argument {argument!r}{suggestion(argument, own)} {accepted}")
