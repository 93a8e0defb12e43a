"""Interactions of sets of two or three features: exact from all coalitions, read from some."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from math import comb

import torch
from jaxtyping import Float
from torch import Tensor

from interpreto_mllm.aggregators.interactions import interactions
from interpreto_mllm.aggregators.screened import kept_features, settled
from interpreto_mllm.aggregators.set_estimate import SetEstimate
from interpreto_mllm.aggregators.set_process import MOST_SEARCHED, SetProcess
from interpreto_mllm.core.design import Design
from interpreto_mllm.core.evaluations import Evaluations
from interpreto_mllm.core.indices import INDICES, held_coefficients, size_weights
from interpreto_mllm.core.numbers import is_whole
from interpreto_mllm.core.set_sums import ORDERS, HeldSums, all_sets
from interpreto_mllm.core.shown import shown

MOST_BYTES = 2 << 30
"""Of the interactions of all sets together with their standard errors."""
NAMES = {2: "pairs", 3: "triples"}


def set_interactions(evaluations: Evaluations, order: int = 2, index: str = "SII", top: int | None = None) -> SetEstimate:
    """The interactions of all sets of so many features, or of the strongest ones.

    Pairs are those of `interactions`. Triples are exact where every coalition is known and the posterior of a Gaussian process
    elsewhere. With `top`, the values of weaker sets are computed and forgotten: sets are found by the posterior mean alone, and
    standard errors are computed for those found. Of more than 128 features, only those of the strongest pairs are searched for
    triples. The spread of repeated draws is part of the standard errors, as in `aggregate`. Where features were screened, the
    sets are those of kept features, with all others present.

    Args:
        evaluations: those to read.
        order: 2 or 3.
        index: one of `INDICES`.
        top: how many sets of each target. None: all.

    Raises:
        ValueError: for another order or index, fewer features than that, more sets than there are or can be held, or coalitions
            that do not determine them.
    """
    evaluations, n = evaluations.drawn, evaluations.n
    check_request(n, evaluations.values.shape[1], order, index, top)
    if evaluations.design is Design.SCREENED and not evaluations.complete:
        return _of_kept(evaluations, order, index, top)
    few = top is None or n <= MOST_SEARCHED
    if order == 2 and ((few and index != "Möbius") or evaluations.complete or evaluations.design is Design.FIXED):
        pairs, sets = interactions(evaluations, index), all_sets(n, 2)
        errors = None if pairs.standard_errors is None else pairs.standard_errors[:, sets[:, 0], sets[:, 1]]
        every = SetEstimate(sets, pairs.interactions[:, sets[:, 0], sets[:, 1]], errors)
        return every if top is None else every.strongest(top)
    if evaluations.complete:
        return _exact(evaluations, order, index, top)
    if evaluations.design is Design.FIXED:
        raise ValueError(
            f"Interactions of {order} features are not read off coalitions that follow a fixed rule, none of which shows more "
            "than a pair: explain with GaussianProcessShapley or KernelShap."
        )
    return _read(evaluations, order, index, top)


def check_request(n: int, t: int, order: object, index: str, top: object) -> None:
    """Raise a ValueError for interactions that are not defined or cannot be held."""
    if order not in ORDERS or isinstance(order, bool):
        raise ValueError(
            f"order must be 2 (pairs of features) or 3 (triples); got {shown(order)}. (Order 1 is the attribution.)"
        )
    if index not in INDICES:
        raise ValueError(f"index must be one of {', '.join(map(repr, INDICES))}; got {index!r}.")
    if n < order:
        raise ValueError(f"Interactions of order {order} are of {order} features or more; this result has {n}.")
    count = comb(n, order)
    if top is not None and (not is_whole(top) or not 1 <= top <= count):
        raise ValueError(f"top must be from 1 to {count:,}, the number of {NAMES[order]} of {n} features; got {shown(top)}.")
    size = 8 * count * (2 * t + order)
    if top is None and size > MOST_BYTES:
        raise ValueError(
            f"The interactions of {count:,} {NAMES[order]} of {n:,} features for {t:,} target{'s' if t > 1 else ''} take "
            f"{size / 1e9:,.1f} GB: ask for the strongest with top=100, take span() for the whole answer, explain with a "
            f"coarser granularity or with groups of features{', or ask for pairs' if order > 2 else ''}."
        )


def _of_kept(evaluations: Evaluations, order: int, index: str, top: int | None) -> SetEstimate:
    """The interactions of the features that a screening kept."""
    kept = kept_features(evaluations).nonzero()[:, 0]
    if len(kept) < order:
        raise ValueError(
            f"Screening kept {len(kept)} of {evaluations.n:,} features, and interactions of order {order} are of {order} kept "
            "features or more: explain with GaussianProcessShapley or KernelShap for those of all features."
        )
    found = set_interactions(settled(evaluations), order, index, None if top is None else min(top, comb(len(kept), order)))
    return SetEstimate(kept[found.sets], found.values, found.standard_errors)


def _exact(evaluations: Evaluations, order: int, index: str, top: int | None) -> SetEstimate:
    """The definition summed over all coalitions."""
    n = evaluations.n
    coefficients = held_coefficients(evaluations.sizes, order, size_weights(n, order, index))

    def summed(values: Float[Tensor, "p t"]) -> SetEstimate:
        targets = [torch.cat(list(HeldSums(evaluations.coalitions, coefficients * value[:, None]))) for value in values.T]
        found = torch.stack(targets)
        return SetEstimate(all_sets(n, order), found, torch.zeros_like(found))

    found = _with_spread(evaluations, lambda known: summed(known.values))
    return found if top is None else found.strongest(top)


def _read(evaluations: Evaluations, order: int, index: str, top: int | None) -> SetEstimate:
    """What a Gaussian process says, and what is known exactly."""
    sets = None if top is None else SetProcess(evaluations, order, index).strongest(top)

    def read(known: Evaluations) -> SetEstimate:
        found = SetProcess(known, order, index).read(sets)
        return with_known_dividends(found, known) if index == "Möbius" else found

    return _with_spread(evaluations, read)


def with_known_dividends(found: SetEstimate, evaluations: Evaluations) -> SetEstimate:
    """Möbius coefficients, exact for sets that were evaluated together with all of their subsets."""
    rows = {tuple(row.nonzero()[:, 0].tolist()): number for number, row in enumerate(evaluations.coalitions)}
    place = {tuple(members): number for number, members in enumerate(found.sets.tolist())}
    values, errors = found.values.clone(), None if found.standard_errors is None else found.standard_errors.clone()
    order = found.sets.shape[1]
    for members in place.keys() & rows.keys():
        subsets = [subset for size in range(order + 1) for subset in combinations(members, size)]
        if all(subset in rows for subset in subsets):
            terms = [(-1) ** (order - len(subset)) * evaluations.values[rows[subset]] for subset in subsets]
            values[:, place[members]] = torch.stack(terms).sum(0)
            if errors is not None:
                errors[:, place[members]] = 0
    return SetEstimate(found.sets, values, errors)


def _with_spread(evaluations: Evaluations, estimate: Callable[[Evaluations], SetEstimate]) -> SetEstimate:
    """The estimate, its standard errors with the spread of repeated draws."""
    whole, repeats = estimate(evaluations), evaluations.repeats
    if repeats is None or whole.standard_errors is None:
        return whole
    if len(repeats) == 1:
        return SetEstimate(whole.sets, whole.values, None)
    drawn = [estimate(evaluations.with_values(values)).values for values in repeats]
    spread = torch.stack(drawn).var(0) / len(drawn)
    return SetEstimate(whole.sets, whole.values, (whole.standard_errors.square() + spread).sqrt())
