"""Shapley values of the features that a screening kept, and what bounds those of all others."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from interpreto_mllm.aggregators.aggregator import Aggregator, Estimate
from interpreto_mllm.aggregators.gaussian_process import GaussianProcessAggregator
from interpreto_mllm.aggregators.requirements import require
from interpreto_mllm.aggregators.shapley import ShapleyAggregator
from interpreto_mllm.aggregators.sums import Sums
from interpreto_mllm.core.design import Design
from interpreto_mllm.core.evaluations import Evaluations

SCREENED_SHARE = 0.05
"""Of the largest gain of a single feature: groups that gain less in one of the chains, or gain and lose, are screened out."""
REACH = 1.95
"""Standard errors that lie in a 95 % interval on either side."""


class ScreenedAggregator(Aggregator):
    """Shapley values of the few features that `ScreeningPerturbator` kept, in the game in which all others are present.

    They are those of `GaussianProcessAggregator`, exact where all coalitions of the kept features are known, and sum to
    v(N) − v(N∖K) for the kept features K. A kept feature that turns out to be worth less than 5 % of the strongest, and less
    than what others may be worth, scores zero like these: what it gained in a nearly empty prompt says nothing of coalitions
    with all others. A group of others gains something when it joins in the absence of the kept features, and in their presence.
    Where both gains agree in sign and are at least 5 % of what the strongest single feature gains, their mean is the group's
    value, shared equally among its features: it was not screened out, but there were too few evaluations to open it. All other
    features score zero. What is left of v(N) − v(∅) was screened out; it is minus the efficiency gap, and in the notes.

    The standard error of a feature that was not kept is such that its 95 % interval holds what it would be worth if it alone
    made up the larger gain of its group, and is at least the spread of features whose signs are random that would make groups
    gain what they do. It does not show a few features of one group that cancel each other. Before anything was kept there are
    no standard errors.

    Example:
        >>> from interpreto_mllm.explainers.play import play
        >>> from interpreto_mllm.perturbators import ScreeningPerturbator
        >>> either = lambda s: (s[:, 321] | s[:, 765]).double() + 2 * s[:, 42]
        >>> result = play(either, ScreeningPerturbator(), ScreenedAggregator(), n_features=1000, budget=300)
        >>> result.attributions[0, [42, 321, 765]].round(decimals=3).tolist(), round(float(result.attributions.sum()), 3)
        ([2.0, 0.5, 0.5], 3.0)
    """

    estimand = "Shapley value of the kept features, all others present"

    def aggregate(self, evaluations: Evaluations) -> Estimate:
        if evaluations.complete:
            return ShapleyAggregator().aggregate(evaluations)
        screened = evaluations.design is Design.SCREENED
        require(screened, evaluations, self, "chains and coalitions of what they found", "ScreeningPerturbator")
        kept = kept_features(evaluations)
        t, n = evaluations.values.shape[1], evaluations.n
        scores, errors = torch.zeros(2, t, n, dtype=torch.float64)
        inner = GaussianProcessAggregator().aggregate(settled(evaluations)) if kept.any() else None
        if inner is not None:
            scores[:, kept] = inner.attributions
            errors[:, kept] = 0.0 if inner.standard_errors is None else inner.standard_errors
        chains = [_steps(evaluations, kept & bool(number)) for number in range(1 if inner is None else 2)]
        gains = torch.stack([gained for gained, _ in chains])
        sizes = torch.stack([(added.sum(1) @ added).clamp_min(1) for _, added in chains])
        largest, alike = gains.abs().amax(0), (gains > 0).all(0) | (gains < 0).all(0)
        single = torch.where((sizes == 1).all(0), largest, 0.0)
        floor = SCREENED_SHARE * torch.maximum(scores.abs().amax(1), single.amax(1))
        counts = alike & (gains.abs().amin(0) >= floor[:, None]) & ~kept
        spread = _spread(gains, sizes)[:, None]
        weak = kept & (scores.abs() < torch.minimum(spread, floor[:, None]))
        dropped = torch.where(weak, scores.abs() / REACH, 0.0)
        scores = torch.where(counts, (gains / sizes[:, None]).mean(0), torch.where(weak, 0.0, scores))
        alone = (largest - scores.abs()).clamp_min(0) / REACH
        errors = torch.where(kept, (errors.square() + dropped.square()).sqrt(), torch.maximum(alone, spread))
        mass = float((evaluations.full - evaluations.empty - scores.sum(1)).abs().max())
        zero = f", {int(weak.all(0).sum())} of which score zero" if weak.all(0).any() else ""
        note = f"Screening kept {int(kept.sum())} of {n} features{zero}; {mass:.3g} of v(N) − v(∅) was screened out{_most(t)}."
        if inner is None:
            return Estimate(scores, notes=(note,))
        return Estimate(scores, errors, sums=_sums(inner, kept, errors, chains[0][1], dropped), notes=(note,))


def kept_features(evaluations: Evaluations) -> Bool[Tensor, "n"]:
    """Those that are missing from a coalition of no chain."""
    return (~evaluations.coalitions[_settled_rows(evaluations)]).any(0)


def settled(evaluations: Evaluations) -> Evaluations:
    """The game of the kept features, in which all others are present."""
    rows = _settled_rows(evaluations)
    coalitions = evaluations.coalitions[rows][:, kept_features(evaluations)]
    sizes = coalitions.sum(1)
    order = torch.cat([(sizes == 0).nonzero()[:1, 0], (sizes > 0).nonzero()[:, 0]])
    whole = rows[order] == 1
    order = torch.cat([order[:1], (sizes == coalitions.shape[1]).nonzero()[:1, 0], order[1:][~whole[1:]]])
    kept = rows[order]
    draws = torch.arange(len(kept))
    repeats = None if evaluations.repeats is None else evaluations.repeats[:, kept]
    chains = torch.full((len(kept),), -1)
    return Evaluations(
        coalitions[order],
        evaluations.values[kept],
        draws,
        torch.ones(len(kept), dtype=torch.float64),
        chains,
        repeats=repeats,
        design=Design.CHOSEN,
    )


def _settled_rows(evaluations: Evaluations) -> Int[Tensor, "u"]:
    return torch.cat([torch.ones(1, dtype=torch.int64), evaluations.draws[evaluations.chains == -1]]).unique()


def _steps(evaluations: Evaluations, start: Bool[Tensor, "n"]) -> tuple[Float[Tensor, "t n"], Float[Tensor, "steps n"]]:
    """Of each feature that joins in the chain from this coalition, what its group gains for each target; and all groups."""
    for number in evaluations.chains.unique().tolist():
        rows = evaluations.draws[evaluations.chains == number].unique()
        rows = rows[evaluations.coalitions[rows].sum(1).argsort()]
        coalitions = evaluations.coalitions[rows]
        if number >= 0 and coalitions[0].equal(start):
            added = (coalitions[1:] & ~coalitions[:-1]).double()
            return evaluations.values[rows].double().diff(dim=0).T @ added, added
    t, n = evaluations.values.shape[1], evaluations.n
    return torch.zeros(t, n, dtype=torch.float64), torch.zeros(0, n, dtype=torch.float64)


def _sums(
    inner: Estimate,
    kept: Bool[Tensor, "n"],
    errors: Float[Tensor, "t n"],
    groups: Float[Tensor, "steps n"],
    dropped: Float[Tensor, "t n"],
) -> Sums | None:
    """Standard errors of sums: those of kept features, and those of groups that have a part in them, as if independent.

    `dropped` are errors from scores that were set to zero.
    """
    exact = inner.standard_errors is None or not inner.standard_errors.any()
    if inner.sums is None and not exact:
        return None
    of_groups = (errors[:, None] * groups).amax(2)

    def sums(members: Float[Tensor, "n sums"]) -> Float[Tensor, "t sums"]:
        touched = (groups @ members.double() > 0).double()
        settled = torch.zeros(1) if exact or inner.sums is None else inner.sums(members[kept].double())
        zero = dropped.square() @ members.double().square()
        return (settled.square() + of_groups.square() @ touched + zero).sqrt()

    return sums


def _spread(gains: Float[Tensor, "chains t n"], sizes: Float[Tensor, "chains n"]) -> Float[Tensor, "t"]:
    """The root mean square of features whose random signs make up these gains; that of single features if it is more."""
    squares, there = gains.square() / sizes[:, None], (gains != 0).any(1)[:, None]
    means = [(squares * some).sum(2) / some.sum(2).clamp_min(1) for some in (there, there & (sizes == 1)[:, None])]
    return torch.cat(means).amax(0).sqrt()


def _most(targets: int) -> str:
    return "" if targets == 1 else ", for the target of which it is most"
