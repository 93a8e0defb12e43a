"""Which parts of a prompt caused a model's answer: Shapley values that are right, fast and shown."""

from interpreto_mllm.aggregators import Aggregator, Estimate
from interpreto_mllm.attribution import Attribution, Counts
from interpreto_mllm.evaluations import Draw, Evaluations
from interpreto_mllm.explainer import AttributionExplainer
from interpreto_mllm.feature import Feature
from interpreto_mllm.games.modes import InferenceModes
from interpreto_mllm.games.targets import Contrast
from interpreto_mllm.methods import (
    Banzhaf,
    ComplementaryShapley,
    ExactShapley,
    GaussianProcessShapley,
    HierarchicalShapley,
    KernelShap,
    Lime,
    MonteCarloShapley,
    NeymanShapley,
    Occlusion,
    PermutationShapley,
    Sobol,
)
from interpreto_mllm.perturbators import Perturbator
from interpreto_mllm.play import play
from interpreto_mllm.prompts.filters import StopPhrases, punctuation
from interpreto_mllm.prompts.granularity import Granularity
from interpreto_mllm.prompts.occlusion import Attend, Drop, Replace
from interpreto_mllm.prompts.template import Template

__version__ = "0.1.0"

__all__ = [
    "Aggregator",
    "Attend",
    "Attribution",
    "AttributionExplainer",
    "Banzhaf",
    "ComplementaryShapley",
    "Contrast",
    "Counts",
    "Draw",
    "Drop",
    "Estimate",
    "Evaluations",
    "ExactShapley",
    "Feature",
    "GaussianProcessShapley",
    "Granularity",
    "HierarchicalShapley",
    "InferenceModes",
    "KernelShap",
    "Lime",
    "MonteCarloShapley",
    "NeymanShapley",
    "Occlusion",
    "PermutationShapley",
    "Perturbator",
    "Replace",
    "Sobol",
    "StopPhrases",
    "Template",
    "play",
    "punctuation",
]
