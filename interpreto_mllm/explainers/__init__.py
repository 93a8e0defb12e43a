"""The methods, each a named pair of a perturbator and an aggregator."""

from interpreto_mllm.explainers.auto import AutoShapley, explain
from interpreto_mllm.explainers.gradients import (
    GradientShap,
    InputXGradient,
    IntegratedGradients,
    Saliency,
    SmoothGrad,
    SquareGrad,
    VarGrad,
)
from interpreto_mllm.explainers.hierarchical import HierarchicalShapley
from interpreto_mllm.explainers.others import Banzhaf, Occlusion, Sobol
from interpreto_mllm.explainers.regression import KernelShap, Lasso, Lime, Ridge
from interpreto_mllm.explainers.relevance import Relevance
from interpreto_mllm.explainers.screened import ScreenedShapley
from interpreto_mllm.explainers.shapley import (
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
    "GradientShap",
    "HierarchicalShapley",
    "InputXGradient",
    "IntegratedGradients",
    "KernelShap",
    "Lasso",
    "Lime",
    "MonteCarloShapley",
    "NeymanShapley",
    "Occlusion",
    "PermutationShapley",
    "Relevance",
    "Ridge",
    "Saliency",
    "ScreenedShapley",
    "SmoothGrad",
    "Sobol",
    "SquareGrad",
    "VarGrad",
    "explain",
]
