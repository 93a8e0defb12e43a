"""Classes under the names they had before."""

from __future__ import annotations

import warnings
from collections.abc import Mapping


def renamed(names: Mapping[str, type], module: str, name: str) -> type:
    """The class that had this name, with a DeprecationWarning that gives its new one.

    Args:
        names: the old names of classes.
        module: the module in which it is looked up.
        name: its old name.

    Raises:
        AttributeError: when no class had this name.
    """
    if name not in names:
        raise AttributeError(f"module {module!r} has no attribute {name!r}")
    found = names[name]
    warnings.warn(f"{name} is now called {found.__name__}.", DeprecationWarning, stacklevel=3)
    return found
