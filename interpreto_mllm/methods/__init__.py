"""The methods: each a perturbator, an aggregator and a name."""

from interpreto_mllm.methods.auto import AutoShapley, explain
from interpreto_mllm.methods.hierarchical import HierarchicalShapley
from interpreto_mllm.methods.others import Banzhaf, Occlusion, Sobol
from interpreto_mllm.methods.regression import KernelShap, Lime
from interpreto_mllm.methods.shapley import (
    ComplementaryShapley,
    ExactShapley,
    GaussianProcessShapley,
    MonteCarloShapley,
    NeymanShapley,
    PermutationShapley,
)

__all__ = [
    "AutoShapley",
    "Banzhaf",
    "ComplementaryShapley",
    "ExactShapley",
    "GaussianProcessShapley",
    "HierarchicalShapley",
    "KernelShap",
    "Lime",
    "MonteCarloShapley",
    "NeymanShapley",
    "Occlusion",
    "PermutationShapley",
    "Sobol",
    "explain",
]
