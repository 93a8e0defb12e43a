"""What draws the coalitions."""

from interpreto_mllm.perturbators.active import ActivePerturbator
from interpreto_mllm.perturbators.balanced import BalancedPerturbator
from interpreto_mllm.perturbators.bernoulli import BernoulliPerturbator
from interpreto_mllm.perturbators.complementary import ComplementaryPerturbator
from interpreto_mllm.perturbators.exact import ExactPerturbator
from interpreto_mllm.perturbators.gradient import (
    GradientPerturbator,
    InputPerturbator,
    NoisePerturbator,
    PathPerturbator,
    UniformPerturbator,
)
from interpreto_mllm.perturbators.hierarchical import HierarchicalPerturbator
from interpreto_mllm.perturbators.kernel import KernelPerturbator
from interpreto_mllm.perturbators.monte_carlo import MonteCarloPerturbator
from interpreto_mllm.perturbators.neyman import NeymanPerturbator
from interpreto_mllm.perturbators.occlusion import OcclusionPerturbator
from interpreto_mllm.perturbators.permutation import PermutationPerturbator
from interpreto_mllm.perturbators.perturbator import Drawing, Perturbator
from interpreto_mllm.perturbators.screening import ScreeningPerturbator
from interpreto_mllm.perturbators.sobol import SobolPerturbator

__all__ = [
    "ActivePerturbator",
    "BalancedPerturbator",
    "BernoulliPerturbator",
    "ComplementaryPerturbator",
    "Drawing",
    "ExactPerturbator",
    "GradientPerturbator",
    "HierarchicalPerturbator",
    "InputPerturbator",
    "KernelPerturbator",
    "MonteCarloPerturbator",
    "NeymanPerturbator",
    "NoisePerturbator",
    "OcclusionPerturbator",
    "PathPerturbator",
    "PermutationPerturbator",
    "Perturbator",
    "ScreeningPerturbator",
    "SobolPerturbator",
    "UniformPerturbator",
]
