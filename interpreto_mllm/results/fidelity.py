"""How well scores, read as sums, predict the value of coalitions that were held out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from einops import einsum
from jaxtyping import Bool, Float, Int
from torch import Tensor

from interpreto_mllm.aggregators.interactions import interactions
from interpreto_mllm.aggregators.kernel import KernelAggregator
from interpreto_mllm.aggregators.pair_regression import regress_pairs
from interpreto_mllm.aggregators.split_evaluations import log_population_weights, population_weights
from interpreto_mllm.core.coalitions import pair_numbers
from interpreto_mllm.core.design import Design
from interpreto_mllm.core.evaluations import Evaluations
from interpreto_mllm.core.ranks import ranks
from interpreto_mllm.results.gradients import check_coalitions
from interpreto_mllm.results.record import Record

FOLDS = 5
MOST_FEATURES = 128
"""Of the pairwise reading, whose regression has a column for each pair."""

Predict = Callable[[Evaluations, Bool[Tensor, "q n"]], dict[str, Float[Tensor, "q t"]]]
"""From some evaluations, and other coalitions, to predictions of their values, by name."""


@dataclass(frozen=True, eq=False)
class Fidelity:
    """How far two readings of the stored coalitions predict those that were held out.

    The additive reading says v(S) = v(∅) + Σ φᵢ over i in S; the pairwise one takes Σ Iᵢⱼ/2 off for every pair that S
    separates. R² is 1 for perfect predictions and 0 for those of a mean; sizes count by the Shapley kernel.

    Args:
        additive: R² of the additive reading, per target.
        additive_rank: rank correlation of its predictions with the values.
        pairwise: R² of the pairwise reading; None above 128 features.
        pairwise_rank: its rank correlation.
        efficiency_gap: Σφ − (v(N) − v(∅)).
        interaction_share: Σ|Iᵢⱼ| / (Σ|φᵢ| + Σ|Iᵢⱼ|) over features and pairs, for the faithful interactions.
        coalitions: how many coalitions were predicted.
        exact: whether all coalitions are known, so that nothing had to be held out.
        explained: R² of the additive reading over all targets together.
        sentence: the same for readers of a page.
    """

    additive: Float[Tensor, "t"]
    additive_rank: Float[Tensor, "t"]
    pairwise: Float[Tensor, "t"] | None
    pairwise_rank: Float[Tensor, "t"] | None
    efficiency_gap: Float[Tensor, "t"]
    interaction_share: Float[Tensor, "t"] | None
    coalitions: int
    exact: bool
    explained: float
    sentence: str

    def __repr__(self) -> str:
        def shown(values: Float[Tensor, "t"] | None) -> str:
            return "unknown" if values is None else ", ".join(f"{value:.3g}" for value in values.tolist())

        over = f"all {self.coalitions}" if self.exact else f"{self.coalitions} held-out"
        return (
            f"Fidelity: {self.sentence}\n"
            f"  additive reading   R² {shown(self.additive)}, rank correlation {shown(self.additive_rank)} "
            f"({over} coalitions)\n"
            f"  pairwise reading   R² {shown(self.pairwise)}, rank correlation {shown(self.pairwise_rank)}\n"
            f"  efficiency gap     {shown(self.efficiency_gap)}\n"
            f"  interactions' mass {shown(self.interaction_share)}"
        )


def fidelity(record: Record) -> Fidelity:
    """Cross-validation over the stored coalitions, each with its complement; no model call.

    Raises:
        ValueError: with too few coalitions to hold any out.
    """
    check_coalitions(record, "fidelity()")
    evaluations = record.evaluations.drawn
    pairwise = 2 <= evaluations.n <= MOST_FEATURES
    predictions = _predictions(evaluations, pairwise)
    if predictions is None:
        raise ValueError(
            f"Fidelity is measured on coalitions that are held out, and {len(evaluations.coalitions)} evaluations of "
            f"{evaluations.n} features are too few for that: explain again with a larger budget and evaluations=[explanation]."
        )
    truth, weights = evaluations.values[2:], _kernel_weights(evaluations)
    scores = {reading: _determination(truth, predicted, weights) for reading, predicted in predictions.items()}
    ranks = {reading: rank_correlation(truth, predicted) for reading, predicted in predictions.items()}
    mass = record.attributions.abs().double().sum(1)
    together = interactions(evaluations, "FSII", regress_pairs).interactions.abs().sum((1, 2)) / 2 if pairwise else None
    return Fidelity(
        additive=scores["additive"],
        additive_rank=ranks["additive"],
        pairwise=scores.get("pairwise"),
        pairwise_rank=ranks.get("pairwise"),
        efficiency_gap=record.efficiency_gap,
        interaction_share=None if together is None else together / (mass + together).clamp_min(1e-300),
        coalitions=len(truth),
        exact=evaluations.complete,
        explained=_pooled(truth, predictions["additive"], weights),
        sentence=fidelity_sentence(record),
    )


def fidelity_sentence(record: Record) -> str:
    """One sentence on how much the scores explain, or "" where too few coalitions are known.

    Example:
        >>> from interpreto_mllm import KernelShap
        >>> from interpreto_mllm.testbed import load_recall
        >>> print(fidelity_sentence(KernelShap(*load_recall())("the apple is red . what is the apple ?", " red")[0]))
        These scores explain next to nothing of how the answer changes when parts are left out: see interactions().
    """
    evaluations = record.evaluations.drawn
    predictions = _predictions(evaluations, pairwise=False) if evaluations.n > 1 else None
    if predictions is None:
        return ""
    share = _pooled(evaluations.values[2:], predictions["additive"], _kernel_weights(evaluations))
    if share != share:
        return "The answer does not change when parts are left out."
    scores = "These scores explain" if record.estimand.startswith("Shapley value") else "A sum of scores explains"
    subjects = {"token": "answer", "response": "answer", "class": "prediction", "contrast": "contrast", "value": "value"}
    subject = subjects[record.unit]
    amount = f"{100 * share:.0f} %" if share >= 0.005 else "next to nothing"
    more = "." if share > 0.5 else ": see interactions()."
    return f"{scores} {amount} of how the {subject} changes when parts are left out{more}"


def _predictions(evaluations: Evaluations, pairwise: bool) -> dict[str, Float[Tensor, "p t"]] | None:
    """Predictions of every coalition but ∅ and N by readings of the others; None when too few are left to read."""
    return held_out(evaluations, lambda train, coalitions: _readings(train, coalitions, pairwise))


def held_out(evaluations: Evaluations, predict: Predict) -> dict[str, Float[Tensor, "p t"]] | None:
    """Predictions of every coalition but ∅ and N, held out in turn with its complement; None when too few are left.

    Args:
        evaluations: what is known. Where these are all coalitions, they are predicted from all of them.
        predict: from what is left, and the coalitions held out, to their predicted values, by name.
    """
    n, p = evaluations.n, len(evaluations.coalitions)
    if evaluations.complete:
        return predict(evaluations, evaluations.coalitions[2:]) if n > 1 else None
    unit = pair_numbers(evaluations.coalitions[2:])
    units = int(unit.max()) + 1 if len(unit) else 0
    if units - -(-units // FOLDS) < n:
        return None
    fold = (torch.randperm(units, generator=torch.Generator().manual_seed(0)) % FOLDS)[unit]
    found: dict[str, Tensor] = {}
    for held in range(FOLDS):
        kept = torch.cat([torch.arange(2), 2 + (fold != held).nonzero()[:, 0]])
        train = _subset(evaluations, kept)
        for reading, values in predict(train, evaluations.coalitions[2:][fold == held]).items():
            found.setdefault(reading, torch.zeros(p - 2, values.shape[1], dtype=torch.float64))[fold == held] = values
    return found


def _readings(train: Evaluations, coalitions: Bool[Tensor, "q n"], pairwise: bool) -> dict[str, Float[Tensor, "q t"]]:
    present = coalitions.double()
    additive = train.empty + present @ KernelAggregator().regress(train).attributions.T
    if not pairwise:
        return {"additive": additive}
    matrices = interactions(train, "FSII", regress_pairs).interactions
    separated = einsum(present, matrices, 1 - present, "q i, t i j, q j -> q t")
    return {"additive": additive, "pairwise": additive - separated / 2}


def _kernel_weights(evaluations: Evaluations) -> Float[Tensor, "q"]:
    """Weights of all coalitions but ∅ and N that give every size its mass 1/(s(n−s)) under the Shapley kernel."""
    sizes = evaluations.sizes[2:]
    mass = 1 / (sizes * (evaluations.n - sizes)).double()
    return mass / torch.bincount(sizes, minlength=1)[sizes]


def _subset(evaluations: Evaluations, rows: Int[Tensor, "q"]) -> Evaluations:
    draws = torch.arange(len(rows))
    return Evaluations(
        evaluations.coalitions[rows],
        evaluations.values[rows],
        draws,
        population_weights(evaluations)[rows],
        torch.full_like(draws, -1),
        design=Design.SAMPLE,
        log_weights=log_population_weights(evaluations)[rows],
    )


def _determination(
    truth: Float[Tensor, "q t"], predicted: Float[Tensor, "q t"], weights: Float[Tensor, "q"]
) -> Float[Tensor, "t"]:
    """R² of each target; NaN for one that does not vary."""
    mean = weights @ truth / weights.sum()
    return 1 - weights @ (truth - predicted).square() / _varying(weights @ (truth - mean).square(), truth)


def _pooled(truth: Float[Tensor, "q t"], predicted: Float[Tensor, "q t"], weights: Float[Tensor, "q"]) -> float:
    """R² over all targets together; NaN where none varies."""
    mean = weights @ truth / weights.sum()
    spread = _varying((weights @ (truth - mean).square()).sum(), truth)
    return float(1 - (weights @ (truth - predicted).square()).sum() / spread)


def _varying(spread: Tensor, truth: Tensor) -> Tensor:
    return torch.where(spread > 1e-20 * truth.square().mean().clamp_min(1e-300), spread, torch.nan)


def rank_correlation(truth: Float[Tensor, "p t"], predicted: Float[Tensor, "p t"]) -> Float[Tensor, "t"]:
    """Spearman's, ties sharing their mean rank; NaN where all are tied."""
    each = [torch.stack([ranks(column) for column in values.T], 1) for values in (truth, predicted)]
    first, second = (rank - rank.mean(0) for rank in each)
    return (first * second).sum(0) / (first.square().sum(0) * second.square().sum(0)).sqrt()
