"""What is read off a result: spans, other scales and aggregators, intervals, pairs, shares, other value functions."""

from __future__ import annotations

from typing import Any

from support.table.case import Part, Then

from interpreto_mllm import Attribution, InferenceModes, ResponseSimilarity
from interpreto_mllm.aggregators import (
    BanzhafAggregator,
    ComplementaryAggregator,
    GaussianProcessAggregator,
    KernelAggregator,
    LeaveOneOutAggregator,
    LimeAggregator,
    OwenAggregator,
    ShapleyAggregator,
    SobolAggregator,
)
from interpreto_mllm.similarity import RougeL, TfIdf

GROUPS: list[Any] = [[0, 1], [[2, 3], 4], [5, 6, 7, 8]]


def spans(result: Attribution) -> dict[str, Part]:
    """Stretches of the answer."""
    return {"result": result, "whole": result.span(), "first": result.span(0, 1), "last": result.span(-1)}


def views(result: Attribution) -> dict[str, Part]:
    """Other scales."""
    kinds = ("identity", "abs_sum", "max_abs", "share", "min_max", "power_shift")
    return {"result": result, **{kind: result.normalized(kind) for kind in kinds}}


def others(result: Attribution) -> dict[str, Part]:
    """Other aggregators, over all coalitions of nine players."""
    aggregators = {
        "Banzhaf": BanzhafAggregator(),
        "complementary": ComplementaryAggregator(),
        "Gaussian process": GaussianProcessAggregator(),
        "kernel": KernelAggregator(),
        "kernel without sizes": KernelAggregator(size_effects=False),
        "leave one out": LeaveOneOutAggregator(),
        "Lime": LimeAggregator(kernel_width=0.5, alpha=0.1),
        "Owen": OwenAggregator(GROUPS),
        "Shapley": ShapleyAggregator(),
        "Sobol, first": SobolAggregator("first"),
        "Sobol, total": SobolAggregator("total"),
    }
    return {"result": result, **{name: result.reaggregate(aggregator) for name, aggregator in aggregators.items()}}


def some_others(result: Attribution) -> dict[str, Part]:
    """Other aggregators, over a sample."""
    aggregators = {
        "Banzhaf": BanzhafAggregator(),
        "kernel": KernelAggregator(),
        "Lime": LimeAggregator(),
        "Gaussian process": GaussianProcessAggregator(),
    }
    return {name: result.reaggregate(aggregator) for name, aggregator in aggregators.items()}


def intervals(result: Attribution) -> dict[str, Part]:
    """Confidence intervals of two levels, and the efficiency gap."""
    ends = {f"{level}": dict(zip(("low", "high"), result.interval(level), strict=True)) for level in (0.8, 0.95)}
    return {"result": result, **ends, "gap": {"efficiency_gap": result.efficiency_gap}}


def pairs(*indices: str) -> Then:
    """Interactions under some indices."""

    def read(result: Attribution) -> dict[str, Part]:
        found = {index: result.interactions(index=index) for index in indices}
        return {
            index: {"interactions": one.values, "standard_errors": one.standard_errors, "top": _top(one)}
            for index, one in found.items()
        }

    return read


def _top(found: Any) -> list[list[float]]:
    return [[pair.first, pair.second, pair.value] for pair in found.top(3)]


def certified(result: Attribution) -> dict[str, Part]:
    """How far the scores predict what was held out."""
    certificate = result.fidelity()
    names = (
        "additive",
        "additive_rank",
        "pairwise",
        "pairwise_rank",
        "efficiency_gap",
        "interaction_share",
        "coalitions",
        "explained",
    )
    return {"result": result, "certificate": {name: getattr(certificate, name) for name in names}}


def by_modality(result: Attribution) -> dict[str, Part]:
    """Shares of the modalities and what they are worth together."""
    shares = result.modality_shares()
    return {
        "result": result,
        "shares": {"shares": list(shares.values())},
        "errors": {"errors": None if shares.standard_errors is None else list(shares.standard_errors.values())},
        "synergy": {"synergy": result.synergy()},
    }


def rescored(**modes: Any) -> Then:
    """The answers under other value functions, by name."""
    return lambda result: {"result": result, **{name: result.rescore(mode) for name, mode in modes.items()}}


def probable(result: Attribution) -> dict[str, Part]:
    """How likely the original answer was, in a similarity game that has kept it."""
    return rescored(log=InferenceModes.LOG_SOFTMAX, probability=InferenceModes.SOFTMAX, tokens=compared(TfIdf()))(result)


def reread(result: Attribution) -> dict[str, Part]:
    """What a saved result can still tell."""
    return {"result": result, "kernel": result.reaggregate(KernelAggregator()), "pairs": pairs("SII")(result)["SII"]}


def reread_answers(result: Attribution) -> dict[str, Part]:
    """What a saved similarity game can still tell."""
    return {**reread(result), "other": result.rescore(compared(RougeL()))}


def compared(similarity: Any, **options: Any) -> ResponseSimilarity:
    return ResponseSimilarity(similarity=similarity, **options)
