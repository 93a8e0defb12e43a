"""Shapley values of the parts of a multimodal prompt: which of them caused a model's answer."""

from interpreto_mllm.adapters.remote.model import RemoteModel
from interpreto_mllm.aggregators import Aggregator, Estimate, GradientAggregator
from interpreto_mllm.attribution import Attribution, Comparison, Counts, compare
from interpreto_mllm.core.callbacks import Callback, JsonLines, Progress
from interpreto_mllm.core.design import Design
from interpreto_mllm.core.evaluations import Draw, Evaluations
from interpreto_mllm.core.feature import Feature
from interpreto_mllm.core.points import Gradients, Points
from interpreto_mllm.core.renamed import renamed
from interpreto_mllm.core.responses import Response, Responses
from interpreto_mllm.evaluation.stopping import Rule, Sign, Tolerance, TopK
from interpreto_mllm.explainers import (
    AutoShapley,
    Banzhaf,
    ComplementaryShapley,
    ExactShapley,
    GaussianProcessShapley,
    GradientShap,
    HierarchicalShapley,
    InputXGradient,
    IntegratedGradients,
    KernelShap,
    Lime,
    MonteCarloShapley,
    NeymanShapley,
    Occlusion,
    PermutationShapley,
    Relevance,
    Saliency,
    SmoothGrad,
    Sobol,
    SquareGrad,
    VarGrad,
    explain,
)
from interpreto_mllm.explainers.base import AttributionExplainer
from interpreto_mllm.explainers.captum import from_captum
from interpreto_mllm.explainers.plan import Plan
from interpreto_mllm.explainers.play import play
from interpreto_mllm.games.modes import InferenceModes, TopMass
from interpreto_mllm.games.targets import Contrast
from interpreto_mllm.media import (
    Blur,
    Boxes,
    Clip,
    CutOut,
    DropImage,
    Fill,
    Masks,
    MeanLevel,
    Mute,
    Patches,
    Picture,
    ReplaceImage,
    SplitOnSilence,
    SpokenWords,
    Superpixels,
    WhiteNoise,
    WholeClip,
    WholeImage,
    Windows,
)
from interpreto_mllm.media.former_names import RENAMED
from interpreto_mllm.perturbators import GradientPerturbator, Perturbator
from interpreto_mllm.prompts.baseline import OtherPrompt
from interpreto_mllm.prompts.filters import StopPhrases, punctuation
from interpreto_mllm.prompts.granularity import Granularity
from interpreto_mllm.prompts.occlusion import Attend, Drop, Replace
from interpreto_mllm.prompts.pair import Pair
from interpreto_mllm.prompts.sentences import Sentences
from interpreto_mllm.prompts.template import Template
from interpreto_mllm.similarity.response_similarity import ResponseSimilarity

__version__ = "0.1.0"

__all__ = [
    "Aggregator",
    "Attend",
    "Attribution",
    "AttributionExplainer",
    "AutoShapley",
    "Banzhaf",
    "Blur",
    "Boxes",
    "Callback",
    "Clip",
    "Comparison",
    "ComplementaryShapley",
    "Contrast",
    "Counts",
    "CutOut",
    "Design",
    "Draw",
    "Drop",
    "DropImage",
    "Estimate",
    "Evaluations",
    "ExactShapley",
    "Feature",
    "Fill",
    "GaussianProcessShapley",
    "GradientAggregator",
    "GradientPerturbator",
    "GradientShap",
    "Gradients",
    "Granularity",
    "HierarchicalShapley",
    "InferenceModes",
    "InputXGradient",
    "IntegratedGradients",
    "JsonLines",
    "KernelShap",
    "Lime",
    "Masks",
    "MeanLevel",
    "MonteCarloShapley",
    "Mute",
    "NeymanShapley",
    "Occlusion",
    "OtherPrompt",
    "Pair",
    "Patches",
    "PermutationShapley",
    "Perturbator",
    "Picture",
    "Plan",
    "Points",
    "Progress",
    "Relevance",
    "RemoteModel",
    "Replace",
    "ReplaceImage",
    "Response",
    "ResponseSimilarity",
    "Responses",
    "Rule",
    "Saliency",
    "Sentences",
    "Sign",
    "SmoothGrad",
    "Sobol",
    "SplitOnSilence",
    "SpokenWords",
    "SquareGrad",
    "StopPhrases",
    "Superpixels",
    "Template",
    "Tolerance",
    "TopK",
    "TopMass",
    "VarGrad",
    "WhiteNoise",
    "WholeClip",
    "WholeImage",
    "Windows",
    "compare",
    "explain",
    "from_captum",
    "play",
    "punctuation",
]


def __getattr__(name: str) -> type:
    """Classes under the names they had before."""
    return renamed(RENAMED, __name__, name)
