"""Objects of this library from plain values: "Drop", {Replace: "_"}, {Patches: [4, 4]}, or an import path."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from interpreto_mllm.explainers.packing import CLASSES
from interpreto_mllm.studies.names import check_arguments, imported, is_import_path, unknown


def named(base: type, *further: type) -> dict[str, type]:
    """The classes of this library that derive from one of these, by name.

    Example:
        >>> from interpreto_mllm.prompts.occlusion import TextOcclusion
        >>> list(named(TextOcclusion))
        ['Drop', 'Replace', 'Attend']
    """
    return {name: kind for name, kind in CLASSES.items() if issubclass(kind, (base, *further))}


def made(what: str, value: Any, classes: Mapping[str, type], members: Mapping[str, Any] | None = None) -> Any:
    """The object that a plain value stands for.

    Args:
        what: it is for, as errors say it.
        value: the name of a class or member; `{name: arguments}`, with arguments by name, as a list, or a single one; or an
            import path in place of the name.
        classes: those that are accepted.
        members: other objects by name.

    Raises:
        ValueError: for anything else, and for arguments that the class refuses.

    Example:
        >>> from interpreto_mllm.media import ImageGranularity
        >>> made("image_granularity", {"Patches": [2, 3]}, named(ImageGranularity))
        Patches(rows=2, columns=3)
    """
    members = members or {}
    if isinstance(value, str):
        name, arguments, alone = value, None, True
    elif isinstance(value, Mapping) and len(value) == 1:
        [(name, arguments)], alone = value.items(), False
    else:
        raise _ill_formed(what, value, [*members, *classes])
    if alone and name in members:
        return members[name]
    if name in classes:
        return called(f"{what} {name}", classes[name], arguments)
    if is_import_path(name):
        found = imported(name)
        return called(f"{what} {name}", found, arguments) if isinstance(found, type) or not alone else found
    raise unknown(what, name, [*members, *classes], 'an object of your own as "package.module:name"')


def called(name: str, kind: Any, arguments: Any) -> Any:
    """What a class or function returns for arguments: a mapping by name, a list by position, None for none, else the first.

    Raises:
        ValueError: for an argument that it does not have, or refuses.
    """
    named_ones = dict(arguments) if isinstance(arguments, Mapping) else {}
    if isinstance(arguments, list):
        positional = arguments
    else:
        positional = [] if arguments is None or isinstance(arguments, Mapping) else [arguments]
    check_arguments(name, kind, named_ones)
    _check_count(name, kind, positional, named_ones)
    try:
        return kind(*positional, **named_ones)
    except (TypeError, ValueError, AttributeError, OSError) as error:
        raise ValueError(f"{name}: {error}") from error


def _check_count(name: str, kind: Any, positional: list[Any], by_name: dict[str, Any]) -> None:
    """Raise a ValueError for too many arguments, or too few."""
    signature = inspect.signature(kind)
    try:
        signature.bind(*positional, **by_name)
    except TypeError as error:
        takes = ", ".join(signature.parameters) or "no arguments"
        raise ValueError(f"{name} takes {takes}; got {[*positional, *by_name.values()]!r} ({error}).") from error


def _ill_formed(what: str, value: Any, known: list[str]) -> ValueError:
    return ValueError(
        f"{what} is a name, or {{name: arguments}}; got {value!r}. Accepted names: {', '.join(known)}, or an object of your "
        'own as "package.module:name".'
    )
