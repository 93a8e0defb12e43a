"""The inverse of a covariance: in full, or through a few of its rows."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

JITTERS = (1e-10, 1e-8, 1e-6)


def factor(covariance: Float[Tensor, "m m"]) -> Float[Tensor, "m m"]:
    """The Cholesky factor, with no more jitter on the diagonal than rounding asks for."""
    diagonal = covariance.diagonal().mean() * torch.eye(len(covariance), dtype=torch.float64)
    for jitter in JITTERS[:-1]:
        lower, failed = torch.linalg.cholesky_ex(covariance + jitter * diagonal)
        if not failed:
            return lower
    return torch.linalg.cholesky(covariance + JITTERS[-1] * diagonal)


class DenseInverse:
    """Of a covariance of m observations.

    Args:
        covariance: of the observations.
    """

    def __init__(self, covariance: Float[Tensor, "m m"]):
        self.lower = factor(covariance)

    def times(self, columns: Float[Tensor, "m c"]) -> Float[Tensor, "m c"]:
        """The inverse times these columns."""
        return torch.cholesky_solve(columns, self.lower)

    def diagonal(self) -> Float[Tensor, "m"]:
        """The diagonal of the inverse."""
        return torch.cholesky_inverse(self.lower).diagonal()


class LowRankInverse:
    """Of the covariance that k of m observations carry over to the others, with its diagonal set right.

    Args:
        some: covariance of the k observations, without independent parts.
        between: covariance of the k with all m observations, without independent parts.
        variance: of the m observations.
        least: what at least is independent in each.
    """

    def __init__(self, some: Float[Tensor, "k k"], between: Float[Tensor, "k m"], variance: Float[Tensor, "m"], least: float):
        self._lower = factor(some)
        self._carried = torch.linalg.solve_triangular(self._lower, between, upper=False)
        floor = max(least, JITTERS[0] * float(variance.mean()))
        self._own = (variance - self._carried.square().sum(0)).clamp_min(floor)[:, None]
        scaled = self._carried / self._own.T
        self._middle = factor(torch.eye(len(some), dtype=torch.float64) + scaled @ self._carried.T)
        self._outer = torch.linalg.solve_triangular(self._middle, scaled, upper=False)

    def carried(self, columns: Float[Tensor, "k c"]) -> Float[Tensor, "m c"]:
        """A covariance with the k observations, carried over to all m."""
        return self._carried.T @ torch.linalg.solve_triangular(self._lower, columns, upper=False)

    def times(self, columns: Float[Tensor, "m c"]) -> Float[Tensor, "m c"]:
        """The inverse times these columns (Woodbury 1950)."""
        return columns / self._own - self._outer.T @ (self._outer @ columns)

    def diagonal(self) -> Float[Tensor, "m"]:
        """The diagonal of the inverse."""
        return 1 / self._own[:, 0] - self._outer.square().sum(0)
