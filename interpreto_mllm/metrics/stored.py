"""Metrics of what a result has stored; no model call."""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from interpreto_mllm.aggregators.aggregate import aggregate
from interpreto_mllm.core.evaluations import Evaluations
from interpreto_mllm.metrics.correlations import spearman
from interpreto_mllm.metrics.rows import NotApplicable
from interpreto_mllm.results.fidelity import fidelity, held_out
from interpreto_mllm.results.record import Record

Numbers = dict[str, float]
MOST_MASS = 0.9


def efficiency_gap(record: Record) -> Numbers:
    """|Σφ − (v(N) − v(∅))|, and the same relative to |v(N) − v(∅)|, NaN where that is zero (Shapley 1953)."""
    gap, whole = abs(float(record.efficiency_gap)), abs(float(record.full - record.empty))
    return {"efficiency_gap": gap, "relative_efficiency_gap": gap / whole if whole else math.nan}


def held_out_r2(record: Record) -> Numbers:
    """R² of sums of scores on coalitions that the scores were not computed from: `explanation.fidelity().additive`."""
    try:
        return {"held_out_r2": float(fidelity(record).additive)}
    except ValueError as error:
        raise NotApplicable(str(error)) from error


def stored_lds(record: Record) -> Numbers:
    """The linear datamodelling score within the stored coalitions (Ilyas et al., "Datamodels", ICML 2022; Park et al. 2023).

    Spearman's correlation of v(S) with the sum of the scores in S, for coalitions that are held out in turn, each with its
    complement, while the method's own aggregator makes scores of the others. Where all are known, nothing is held out.
    """
    drawn = record.evaluations.complete or record.evaluations.design.alike
    if record.gradients is not None or not drawn:
        raise NotApplicable("stored_lds needs coalitions that were drawn at random: use lds, which draws its own.")

    def predicted(train: Evaluations, coalitions: Bool[Tensor, "q n"]) -> dict[str, Float[Tensor, "q t"]]:
        return {"sums": coalitions.double() @ aggregate(train, record.aggregator).attributions.double().T}

    evaluations = record.evaluations.drawn
    try:
        found = held_out(evaluations, predicted)
    except ValueError as error:
        raise NotApplicable(f"stored_lds: {error} (lds draws coalitions of its own.)") from error
    if found is None:
        raise NotApplicable(
            f"stored_lds: {len(evaluations.coalitions)} evaluations of {record.n} features are too few to hold any out."
        )
    return {"stored_lds": spearman(evaluations.values[2:, 0], found["sums"][:, 0])}


def gini(record: Record) -> Numbers:
    """The Gini coefficient of |φ|: 0 where all are equal, near 1 where one has everything (Hurley & Rickard 2009)."""
    scores = _mass(record).sort().values
    n = len(scores)
    places = torch.arange(1, n + 1, dtype=torch.float64)
    return {"gini": float((2 * places - n - 1) @ scores / (n * scores.sum()))}


def entropy(record: Record) -> Numbers:
    """The entropy of |φ| / Σ|φ|, in nats (Bhatt, Weller, Moura 2020)."""
    scores = _mass(record)
    return {"entropy": float(torch.special.entr(scores / scores.sum()).sum())}


def features_for_90(record: Record) -> Numbers:
    """How many of the strongest features hold 90 % of Σ|φ|, called effective complexity elsewhere."""
    scores = _mass(record).sort(descending=True).values
    reached = scores.cumsum(0) >= MOST_MASS * scores.sum() * (1 - 1e-12)
    return {"features_for_90": float(1 + int(reached.double().argmax()))}


def _mass(record: Record) -> Float[Tensor, "n"]:
    """|φ|."""
    scores = record.attributions[0].double().abs()
    if not scores.any():
        raise NotApplicable("Every score is zero, so nothing can be said of how they are distributed.")
    return scores
