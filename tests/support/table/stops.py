"""Rules that end a play early, and evaluations that are known already."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from support.table.case import ADAPTIVE, SAY, SHORT, Case, Part, World
from support.table.kinds import text
from support.table.readings import compared, rescored

from interpreto_mllm import (
    AutoShapley,
    Banzhaf,
    GaussianProcessShapley,
    KernelShap,
    Lime,
    MonteCarloShapley,
    PermutationShapley,
    Sign,
    Tolerance,
    TopK,
)
from interpreto_mllm.similarity import RougeL, TfIdf


def rules() -> list[Case]:
    """Rules that end a play early."""
    return [
        text("until TopK", KernelShap, SHORT, budget=300, until=TopK(2), sensitive=ADAPTIVE),
        text("until Tolerance", MonteCarloShapley, SHORT, budget=300, until=Tolerance(0.5), sensitive=ADAPTIVE),
        text("until Sign", PermutationShapley, SHORT, budget=200, until=Sign(3), sensitive=ADAPTIVE),
        text("until Tolerance, unmet", KernelShap, SHORT, budget=100, until=Tolerance(0.001), sensitive=ADAPTIVE),
        text(
            "until Tolerance, Gaussian process",
            GaussianProcessShapley,
            SHORT,
            budget=60,
            until=Tolerance(0.5),
            sensitive=ADAPTIVE,
        ),
        text("until TopK, Banzhaf", Banzhaf, SHORT, budget=300, until=TopK(2, confidence=0.7), sensitive=ADAPTIVE),
        text("until Tolerance, AutoShapley", AutoShapley, SHORT, budget=60, until=Tolerance(0.5), sensitive=ADAPTIVE),
        text(
            "until Tolerance, rescored",
            PermutationShapley,
            SHORT,
            "red",
            inference_mode=compared(TfIdf(), generate=SAY),
            budget=90,
            until=Tolerance(0.5),
            then=rescored(same=compared(TfIdf()), other=compared(RougeL())),
            sensitive=ADAPTIVE,
        ),
    ]


def reuse() -> list[Case]:
    """Evaluations that are known already."""
    return [
        Case("text: evaluations of another method", _reused),
        Case("text: evaluations of answers", _reused_answers),
    ]


def _reused(world: World) -> Mapping[str, Part]:
    [first] = KernelShap(*world.recall, budget=30, progress=False)(SHORT, " red")
    [more] = KernelShap(*world.recall, budget=60, progress=False)(SHORT, " red", evaluations=[first])
    permuted = PermutationShapley(*world.recall, budget=40, seed=1, progress=False)
    [other] = permuted(SHORT, " red", evaluations=[more])
    return {"first": first, "more": more, "other": other}


def _reused_answers(world: World) -> Mapping[str, Part]:
    options: dict[str, Any] = {"inference_mode": compared(TfIdf(), generate=SAY), "progress": False}
    [first] = KernelShap(*world.recall, budget=20, **options)(SHORT)
    [more] = Lime(*world.recall, budget=30, **options)(SHORT, evaluations=[first])
    return {"first": first, "more": more}
