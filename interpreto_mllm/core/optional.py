"""Packages that only some users have."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def optional(name: str, wanted_by: str, extra: str) -> Any:
    """A module, imported now.

    Args:
        name: of the module.
        wanted_by: what needs it.
        extra: of this package, that installs it.

    Raises:
        ImportError: when it is not installed; the message says how to.

    Example:
        >>> optional("no_such_module", "to_nowhere()", "interop")
        Traceback (most recent call last):
        ...
        ImportError: to_nowhere() needs no_such_module: pip install 'interpreto_mllm[interop]'
    """
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        package = name.split(".")[0]
        if str(error.name).split(".")[0] != package:
            raise
        raise ImportError(f"{wanted_by} needs {package}: pip install 'interpreto_mllm[{extra}]'") from error
