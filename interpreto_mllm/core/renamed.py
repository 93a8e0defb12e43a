"""Classes and arguments under the names they had before."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, TypeVar

Kind = TypeVar("Kind")


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


def renamed_argument(old: str, new: str) -> Callable[[type[Kind]], type[Kind]]:
    """Lets a class take an argument under its old name too, with a DeprecationWarning.

    Example:
        >>> @renamed_argument("colour", "color")
        ... class Pen:
        ...     def __init__(self, color):
        ...         self.color = color
        >>> with warnings.catch_warnings(action="ignore"):
        ...     Pen(colour="red").color
        'red'
    """

    def decorated(kind: type[Kind]) -> type[Kind]:
        plain: Any = kind.__init__

        @wraps(plain)
        def with_old_name(self: Kind, *arguments: Any, **named: Any) -> None:
            former = old in named and new not in named
            if former:
                named[new] = named.pop(old)
            plain(self, *arguments, **named)
            if former:
                warnings.warn(f"The argument {old} of {kind.__name__} is now called {new}.", DeprecationWarning, stacklevel=2)

        setattr(kind, "__init__", with_old_name)  # noqa: B010
        return kind

    return decorated
