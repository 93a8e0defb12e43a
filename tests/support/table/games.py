"""Games without a model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from support.table.case import ADAPTIVE, RANKED, Case, Part, World
from support.table.kinds import bent_game, game
from support.table.readings import GROUPS, certified, intervals, others, pairs, some_others

from interpreto_mllm import Tolerance, TopK, play
from interpreto_mllm.aggregators import (
    BanzhafAggregator,
    ComplementaryAggregator,
    GaussianProcessAggregator,
    KernelAggregator,
    LeaveOneOutAggregator,
    LimeAggregator,
    MarginalAggregator,
    OwenAggregator,
    ShapleyAggregator,
    SobolAggregator,
)
from interpreto_mllm.perturbators import (
    ActivePerturbator,
    BernoulliPerturbator,
    ComplementaryPerturbator,
    ExactPerturbator,
    HierarchicalPerturbator,
    KernelPerturbator,
    MonteCarloPerturbator,
    NeymanPerturbator,
    OcclusionPerturbator,
    PermutationPerturbator,
    SobolPerturbator,
)


def games() -> list[Case]:
    """Every pair of a perturbator and an aggregator, on a game without a model."""
    extra = torch.tensor([[True] * 4 + [False] * 5, [False] * 4 + [True] * 5])
    return [
        game("exact", ExactPerturbator(), ShapleyAggregator(), then=others),
        game("exact, readings", ExactPerturbator(), KernelAggregator(), n=7, then=pairs("SII", "FSII", "STII")),
        game("Monte Carlo", MonteCarloPerturbator(), ShapleyAggregator(), budget=60, then=intervals),
        game("Monte Carlo, many", MonteCarloPerturbator(), ShapleyAggregator(), n=24, budget=300, seed=1),
        game("permutation", PermutationPerturbator(), MarginalAggregator(), budget=70),
        game("permutation, not antithetic", PermutationPerturbator(False), MarginalAggregator(), budget=70, seed=1),
        game("complementary", ComplementaryPerturbator(), ComplementaryAggregator(), budget=60),
        game("complementary, standard", ComplementaryPerturbator(False), ComplementaryAggregator(), budget=60, seed=1),
        game("Neyman", NeymanPerturbator(), ComplementaryAggregator(), budget=100, sensitive=ADAPTIVE),
        game(
            "Neyman, standard", NeymanPerturbator(3, False), ComplementaryAggregator(), budget=120, seed=1, sensitive=ADAPTIVE
        ),
        game("Gaussian process", ActivePerturbator(), GaussianProcessAggregator(), budget=40, sensitive=ADAPTIVE),
        game("Gaussian process, many", ActivePerturbator(), GaussianProcessAggregator(), n=20, budget=60, sensitive=ADAPTIVE),
        game("Gaussian process, given pairs", KernelPerturbator(), GaussianProcessAggregator(), budget=40),
        game("hierarchical", HierarchicalPerturbator(GROUPS), OwenAggregator(GROUPS), budget=40, sensitive=ADAPTIVE),
        game("hierarchical, whole", HierarchicalPerturbator(GROUPS), OwenAggregator(GROUPS), budget=400, sensitive=ADAPTIVE),
        game("kernel", KernelPerturbator(), KernelAggregator(), budget=80, then=certified, sensitive=RANKED),
        game(
            "kernel, interactions",
            KernelPerturbator(),
            KernelAggregator(),
            budget=150,
            seed=1,
            then=pairs("SII", "FSII", "STII"),
        ),
        game("kernel, without sizes", KernelPerturbator(), KernelAggregator(size_effects=False), budget=60, seed=2),
        game("kernel, many", KernelPerturbator(), KernelAggregator(), n=30, budget=200, seed=3),
        game("kernel, extra", KernelPerturbator(), KernelAggregator(), budget=50, extra=extra, then=some_others),
        game("Bernoulli, Lime", BernoulliPerturbator(), LimeAggregator(), budget=60),
        game("Bernoulli, Banzhaf", BernoulliPerturbator(), BanzhafAggregator(), budget=60),
        game("Bernoulli, Banzhaf, unpaired", BernoulliPerturbator(paired=False), BanzhafAggregator(), budget=60, seed=1),
        game("leave one out", OcclusionPerturbator(), LeaveOneOutAggregator()),
        game("leave two out", OcclusionPerturbator(2, 1), LeaveOneOutAggregator(2)),
        game("leave three out by two", OcclusionPerturbator(3, 2), LeaveOneOutAggregator(3)),
        game("Sobol, total", SobolPerturbator(), SobolAggregator("total"), budget=100),
        game("Sobol, first", SobolPerturbator(), SobolAggregator("first"), budget=100, seed=1),
        game("until TopK", KernelPerturbator(), KernelAggregator(), n=10, budget=800, until=TopK(1), sensitive=ADAPTIVE),
        game(
            "until Tolerance",
            NeymanPerturbator(),
            ComplementaryAggregator(),
            n=10,
            budget=600,
            until=Tolerance(0.5),
            sensitive=ADAPTIVE,
        ),
        Case("play: evaluations known", _known),
    ]


def _known(world: World) -> Mapping[str, Part]:
    options: dict[str, Any] = {"n_features": 9, "progress": False}
    first = play(bent_game(9), KernelPerturbator(), KernelAggregator(), budget=40, **options)
    known = first.evaluations
    more = play(bent_game(9), PermutationPerturbator(), MarginalAggregator(), budget=60, evaluations=known, **options)
    return {"first": first, "more": more, "banzhaf": more.reaggregate(BanzhafAggregator())}
