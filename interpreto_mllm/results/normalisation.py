"""Other scales for a row of scores. Each is a view: what it destroys is said beside it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

Scaled = tuple[Tensor, Tensor]


def identity(scores: Float[Tensor, "t n"]) -> Scaled:
    """φ. Destroys nothing."""
    return scores, torch.ones_like(scores)


def abs_sum(scores: Float[Tensor, "t n"]) -> Scaled:
    """φ / Σ|φ|. Keeps sign and ranks; destroys the scale, hence efficiency. A row of zeros stays zero."""
    return _divided(scores, scores.abs().sum(1, keepdim=True))


def max_abs(scores: Float[Tensor, "t n"]) -> Scaled:
    """φ / max|φ|. Keeps sign and ranks; destroys the scale, hence efficiency. A row of zeros stays zero."""
    return _divided(scores, scores.abs().amax(1, keepdim=True))


def share(scores: Float[Tensor, "t n"]) -> Scaled:
    """φ / Σφ, the share of the total. Destroys the scale, and turns every sign where the total is negative.

    A row whose scores cancel out has no total to share and becomes zero.
    """
    total = scores.sum(1, keepdim=True)
    cancelled = total.abs() <= 1e-12 * scores.abs().sum(1, keepdim=True)
    return _divided(scores, torch.where(cancelled, 0.0, total))


def min_max(scores: Float[Tensor, "t n"]) -> Scaled:
    """(φ − min φ) / (max φ − min φ). Keeps ranks; destroys sign, scale and efficiency. A constant row becomes zero."""
    low = scores.amin(1, keepdim=True)
    return _divided(scores - low, scores.amax(1, keepdim=True) - low)


def power_shift(scores: Float[Tensor, "t n"], power: float | int = 1.0) -> Scaled:
    """(φ − min φ)^power / Σ(φ − min φ)^power. Keeps ranks; destroys sign, scale, efficiency, and distances unless power is 1.

    A constant row becomes 1/n everywhere. The view by name has power 1; give `PowerShift` for another.

    Raises:
        ValueError: for a power that is not positive.
    """
    if not power > 0:
        raise ValueError(f"power must be positive; got {power}.")
    low, high = scores.amin(1, keepdim=True), scores.amax(1, keepdim=True)
    constant = high == low
    reach = torch.where(constant, 1.0, high - low)
    lifted = torch.where(constant, 1.0, (scores - low) / reach)
    raised = lifted**power
    total = raised.sum(1, keepdim=True)
    steepness = power * torch.where(lifted > 0, lifted, 1.0) ** (power - 1) * (lifted > 0) if power != 1 else 1.0
    return raised / total, torch.where(constant, 0.0, steepness / total / reach).expand_as(scores)


def _divided(scores: Float[Tensor, "t n"], divisor: Float[Tensor, "t 1"]) -> Scaled:
    factor = torch.where(divisor == 0, 0.0, 1 / divisor)
    return torch.where(divisor == 0, 0.0, scores / divisor), factor.abs().expand_as(scores)


NORMALISATIONS: dict[str, Callable[..., Scaled]] = {
    function.__name__: function for function in (identity, abs_sum, max_abs, share, min_max, power_shift)
}


@dataclass(frozen=True)
class PowerShift:
    """`power_shift` with a power of one's own, for `normalized`.

    Args:
        power: above 1, large scores gain on small ones.

    Raises:
        ValueError: for a power that is not positive.

    Example:
        >>> PowerShift(2.0)(torch.tensor([[1.0, 2.0, 4.0]]))[0].round(decimals=2).tolist()
        [[0.0, 0.1..., 0.89...]]
    """

    power: float | int = 1.0

    def __post_init__(self) -> None:
        if not self.power > 0:
            raise ValueError(f"power must be positive; got {self.power}.")

    def __call__(self, scores: Float[Tensor, "t n"]) -> Scaled:
        return power_shift(scores, self.power)


Normaliser = str | Callable[[Tensor], Tensor | Scaled]
"""A kind by name, or a callable from the scores `Float[t n]` to others, alone or with the factor of each standard error."""


def normalise(scores: Float[Tensor, "t n"], kind: Normaliser) -> tuple[Tensor, Tensor | None, str]:
    """The scores on another scale, row by row; the factor of each standard error (the row's shift and sum held fixed), None
    where a callable does not say; and the name of the scale.

    Raises:
        ValueError: for an unknown kind, or a callable that returns another shape.

    Example:
        >>> normalise(torch.tensor([[3.0, -1.0]]), "abs_sum")[0].tolist()
        [[0.75, -0.25]]
    """
    if isinstance(kind, str):
        if kind not in NORMALISATIONS:
            raise ValueError(
                f"Unknown normalisation {kind!r}; choose one of {', '.join(NORMALISATIONS)}, or give PowerShift(power) or a "
                "callable."
            )
        return *NORMALISATIONS[kind](scores), kind
    found = kind(scores)
    scaled, slope = found if isinstance(found, tuple) else (found, None)
    for made in (scaled, slope):
        if made is not None and (not isinstance(made, Tensor) or made.shape != scores.shape):
            what = f"shape {tuple(made.shape)}" if isinstance(made, Tensor) else type(made).__name__
            raise ValueError(
                f"A normaliser returns a tensor of the scores' shape, {tuple(scores.shape)}; this one gave {what}."
            )
    return scaled, slope, repr(kind) if isinstance(kind, PowerShift) else getattr(kind, "__name__", type(kind).__name__)
