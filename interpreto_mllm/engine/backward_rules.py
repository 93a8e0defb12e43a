"""How backward passes go, where they are not a model's own gradients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from jaxtyping import Float
from torch import Tensor

Forward = Callable[[], tuple[Float[Tensor, ""], Sequence[Float[Tensor, "..."]]]]
"""Runs a model on one prompt: a value, and the leaves of its graph."""


def _plainly(model: Any) -> AbstractContextManager[None]:
    return nullcontext()


@dataclass(frozen=True)
class BackwardRules:
    """Rules of backward passes; those of the model itself by default.

    Args:
        within: from a model to a context around each forward and its backward passes.
        check: raises a TypeError for a model that the rules do not fit; it is given the model and a way to run it.
    """

    within: Callable[[Any], AbstractContextManager[None]] = _plainly
    check: Callable[[Any, Forward], None] | None = None
