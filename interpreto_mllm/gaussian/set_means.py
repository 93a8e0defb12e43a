"""Posterior means of the interactions of all sets, without the covariance of each with each observation.

Under a product covariance, the covariance of v(x) with the index of T is Σ_g P_g(x) Π_{i∈T} r_i(x, g) over the nodes g of the
presence. The means of all sets are therefore one symmetric tensor of low rank, whose slices are products of matrices.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from interpreto_mllm.core.set_sums import HeldSums
from interpreto_mllm.gaussian.presences import Presences
from interpreto_mllm.gaussian.set_posterior import SetFunctional, SetPosterior


def set_means(posterior: SetPosterior, among: Int[Tensor, "some"]) -> Iterator[Float[Tensor, "t sets"]]:
    """The posterior means of the sets of `core.set_sums.sets_from` for each first feature in turn.

    Args:
        posterior: of the index.
        among: the features whose sets are meant; sets number these from 0.
    """
    functional, parts = posterior.functional, []
    for parity, weights in posterior.weights():
        for share, signs in zip(parity, (posterior.signs, -posterior.signs), strict=True):
            if share:
                parts.append((signs > 0, share * weights))
    present, weights = torch.cat([part[0] for part in parts]), torch.cat([part[1] for part in parts])
    return _added([_of_target(functional, present, among, column) for column in weights.T])


def _added(targets: list[list[Iterator[Tensor]]]) -> Iterator[Tensor]:
    for slices in zip(*(zip(*parts, strict=True) for parts in targets), strict=True):
        yield torch.stack([torch.stack(parts).sum(0) for parts in slices])


def _of_target(functional: SetFunctional, present: Tensor, among: Tensor, weights: Tensor) -> list[Iterator[Tensor]]:
    """What each summand of the covariance adds to the mean of one target."""
    kernel = functional.kernel
    held = functional.held_coefficients(present) * (kernel.white * weights)[:, None]
    held = held + (kernel.size * functional.size_covariance(present) * weights)[:, None]
    products = (
        _product_means(present, among, scale * weights, rates, functional.presence, functional.order)
        for scale, rates in kernel.products
    )
    return [iter(HeldSums(present[:, among], held)), *products]


def _product_means(
    present: Bool[Tensor, "p n"],
    among: Int[Tensor, "some"],
    weights: Float[Tensor, "p"],
    rates: Float[Tensor, "n"],
    presence: Presences,
    order: int,
) -> Iterator[Float[Tensor, "sets"]]:
    """Σ_x weight(x) Cov(v(x), index of T) under k = exp(−Σᵢ rateᵢ [xᵢ ≠ xᵢ′]), slice by slice."""
    points, some = presence[0][:, None], len(among)
    alike, apart = torch.exp(-rates), -torch.expm1(-rates)
    within, without = points + (1 - points) * alike, points * alike + 1 - points
    products = torch.exp(present.double() @ (within.log() - without.log()).T + without.log().sum(1))
    products = products * presence[1] * weights[:, None]
    held, slopes = present[:, among], torch.stack([-apart / without, apart / within])[:, :, among]

    def factors(columns: slice) -> Iterator[tuple[Tensor, Tensor]]:
        """r of some features, and P times the weight, at each node."""
        for node in range(len(points)):
            yield torch.where(held[:, columns], slopes[1, node, columns], slopes[0, node, columns]), products[:, node]

    if order == 2:
        matrix = torch.zeros(some, some, dtype=torch.float64)
        for factor, weight in factors(slice(some)):
            matrix += (factor * weight[:, None]).T @ factor
        yield from (matrix[first, first + 1 :] for first in range(some - 1))
        return
    for first in range(some - 2):
        both = torch.zeros(some - first - 1, some - first - 1, dtype=torch.float64)
        for factor, weight in factors(slice(first, some)):
            both += (factor[:, 1:] * (weight * factor[:, 0])[:, None]).T @ factor[:, 1:]
        second, third = torch.triu_indices(len(both), len(both), 1)
        yield both[second, third]
