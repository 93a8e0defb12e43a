"""Points between a baseline and a prompt, and the gradients there: what gradient methods have in place of coalitions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Points:
    """Where gradients are asked for. The input of a point is x(z) = b + z·(x − b), with a presence z for each feature.

    A presence of 1 leaves a feature x as it is, 0 puts its baseline b in its place, so presences of 0 and 1 are coalitions.

    Args:
        presences: of each feature, usually in [0, 1].
        weights: how much each point counts in means; alike where they are not given.
        noise: the standard deviation of Gaussian noise that is added to the features, as a share of the range (largest minus
            smallest number) of the input; none where it is not given.
        seeds: of the noise of each point.
        chances: where there are several baselines, which one a point starts from, as numbers in [0, 1): the first for those
            below one over their number, and so on. Without them a point is the mean over all baselines.

    Example:
        >>> path = Points(torch.tensor([[0.25, 0.25], [0.75, 0.75]]))
        >>> len(path), path[[1]].presences.tolist()
        (2, [[0.75, 0.75]])
    """

    presences: Float[Tensor, "p n"]
    weights: Float[Tensor, "p"] | None = None
    noise: Float[Tensor, "p"] | None = None
    seeds: Int[Tensor, "p"] | None = None
    chances: Float[Tensor, "p"] | None = None

    def __len__(self) -> int:
        return len(self.presences)

    def __getitem__(self, rows: Sequence[int]) -> Points:
        """Some of the points."""
        kept: dict[str, Any] = {name: None if value is None else value[list(rows)] for name, value in vars(self).items()}
        return Points(**kept)

    @property
    def shares(self) -> Float[Tensor, "p"]:
        """The weight of each point, ones where they are not given."""
        return torch.ones(len(self), dtype=torch.float64) if self.weights is None else self.weights.double()

    @staticmethod
    def ends(n: int) -> Points:
        """The baseline and the prompt, with weights of zero: only their values are wanted."""
        presences = torch.tensor([[0.0], [1.0]], dtype=torch.float64).expand(2, n).contiguous()
        return Points(presences, torch.zeros(2, dtype=torch.float64))


@dataclass(frozen=True)
class Fold:
    """Which sums over all points an aggregator wants of the gradients, number by number of the input.

    Args:
        difference: whether each gradient is multiplied by the input minus its baseline.
        squares: whether the squares are summed, too.
        from_zero: whether zero stands in the place of the baseline in differences, and in slopes.
    """

    difference: bool = False
    squares: bool = False
    from_zero: bool = False


@dataclass(frozen=True, eq=False)
class Moments:
    """Weighted sums over points, of a part of the model's input such as the embeddings of its text or the numbers of an image.

    Args:
        owner: the feature that each position belongs to, or -1.
        total: of the gradients, or what a `Fold` makes of them.
        squares: of their squares, where the `Fold` wants them.
    """

    owner: Int[Tensor, "l"]
    total: Float[Tensor, "t l d"]
    squares: Float[Tensor, "t l d"] | None = None

    def plus(self, other: Moments) -> Moments:
        """The sums over the points of both."""
        both = self.squares is not None and other.squares is not None
        return replace(
            self,
            total=self.total + other.total,
            squares=self.squares + other.squares if both else None,  # type: ignore[operator]
        )

    def times(self, factor: float) -> Moments:
        """All sums times a factor."""
        return replace(self, total=self.total * factor, squares=None if self.squares is None else self.squares * factor)


@dataclass(frozen=True, eq=False)
class Gradients:
    """What is known at points: values, and how they change with the presence of each feature.

    Args:
        points: where.
        values: of each target there.
        slopes: ∂v/∂z, the change of value per presence: a feature's gradient times its input minus its baseline, summed over
            its tokens and their numbers.
        rest: the same of what belongs to no feature, relative to zero in place of a baseline.
        moments: sums that an aggregator asked for by its `fold`; results do not keep them.
    """

    points: Points
    values: Float[Tensor, "p t"]
    slopes: Float[Tensor, "p t n"]
    rest: Float[Tensor, "p t"]
    moments: tuple[Moments, ...] = ()

    def __len__(self) -> int:
        return len(self.points)

    def copied(self) -> Gradients:
        """The same in tensors of its own, for code that may edit them; moments are shared."""
        return replace(self, values=self.values.clone(), slopes=self.slopes.clone(), rest=self.rest.clone())

    def added(self, targets: slice) -> Gradients:
        """Those of the sum of some targets, without moments."""
        sums = {name: getattr(self, name)[:, targets].sum(1, keepdim=True) for name in ("values", "slopes", "rest")}
        return replace(self, **sums, moments=())

    @property
    def weights(self) -> Float[Tensor, "p"]:
        """The weight of each point, all of them together 1."""
        shares = self.points.shares
        return shares / shares.sum()


COLUMNS = tuple(Points.__dataclass_fields__)
"""What is said of every point."""


def joined(parts: Sequence[Gradients]) -> Gradients:
    """Those of several parts, one after the other; their moments add up.

    Example:
        >>> one = Gradients(Points(torch.ones(1, 2)), torch.ones(1, 1), torch.ones(1, 1, 2), torch.zeros(1, 1))
        >>> len(joined([one, one])), joined([one, one]).weights.tolist()
        (2, [0.5, 0.5])
    """
    columns: dict[str, Any] = {}
    for name in COLUMNS:
        given = [getattr(part.points, name) for part in parts]
        columns[name] = None if any(one is None for one in given) else torch.cat(given)
    moments = parts[0].moments
    for part in parts[1:]:
        moments = tuple(one.plus(other) for one, other in zip(moments, part.moments, strict=True))
    together = {name: torch.cat([getattr(part, name) for part in parts]) for name in ("values", "slopes", "rest")}
    return Gradients(Points(**columns), **together, moments=moments)
