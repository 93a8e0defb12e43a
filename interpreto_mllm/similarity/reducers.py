"""Reducers: from one vector per token to one vector per response."""

from __future__ import annotations

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor

from interpreto_mllm.core.shown import shown

Reducer = Callable[[Float[Tensor, "l d"]], Float[Tensor, "d"]]


def mean(states: Float[Tensor, "l d"]) -> Float[Tensor, "d"]:
    """The mean over tokens."""
    return states.mean(0)


def max(states: Float[Tensor, "l d"]) -> Float[Tensor, "d"]:
    """The largest of each coordinate."""
    return states.amax(0)


def min(states: Float[Tensor, "l d"]) -> Float[Tensor, "d"]:
    """The smallest of each coordinate."""
    return states.amin(0)


def sum(states: Float[Tensor, "l d"]) -> Float[Tensor, "d"]:
    """The sum over tokens: a long response has a long vector."""
    return states.sum(0)


def first(states: Float[Tensor, "l d"]) -> Float[Tensor, "d"]:
    """The vector of the first token, for encoders such as BERT that pool by [CLS]."""
    return states[0]


def last(states: Float[Tensor, "l d"]) -> Float[Tensor, "d"]:
    """The vector of the last token, which in a causal model attends to all the others."""
    return states[-1]


REDUCERS: dict[str, Reducer] = {reducer.__name__: reducer for reducer in (mean, max, min, sum, first, last)}


def check_reducer(reducer: object) -> Reducer:
    """The reducer of that name, or the callable as given.

    Raises:
        ValueError: for an unknown name.

    Example:
        >>> import torch
        >>> check_reducer("max")(torch.tensor([[1.0, 5.0], [3.0, 2.0]])).tolist()
        [3.0, 5.0]
    """
    if isinstance(reducer, str) and reducer in REDUCERS:
        return REDUCERS[reducer]
    if callable(reducer):
        return reducer  # type: ignore[return-value]
    raise ValueError(
        f"reducer must be one of {', '.join(REDUCERS)}, or a callable from Float[l d] to Float[d]; got {shown(reducer)}."
    )
