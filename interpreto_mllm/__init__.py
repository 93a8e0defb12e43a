"""Shapley values of the parts of a multimodal prompt: which of them caused a model's answer.

Each name is imported when it is first used, so that `import interpreto_mllm` and the command line start at once.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from interpreto_mllm.adapters.remote.model import RemoteModel
    from interpreto_mllm.aggregators import Aggregator, Estimate, GradientAggregator
    from interpreto_mllm.attribution import Attribution, Comparison, Counts, Summary, compare
    from interpreto_mllm.calls.tool_call import ToolCall
    from interpreto_mllm.chats.chat import Chat
    from interpreto_mllm.core.callbacks import Callback, JsonLines, Progress
    from interpreto_mllm.core.design import Design
    from interpreto_mllm.core.evaluations import Draw, Evaluations
    from interpreto_mllm.core.feature import Feature
    from interpreto_mllm.core.points import Gradients, Points
    from interpreto_mllm.core.responses import Response, Responses
    from interpreto_mllm.evaluation.stopping import Rule, Sign, Tolerance, TopK, TopPairs
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
        Lasso,
        Lime,
        MonteCarloShapley,
        NeymanShapley,
        Occlusion,
        PermutationShapley,
        Relevance,
        Ridge,
        Saliency,
        ScreenedShapley,
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
    from interpreto_mllm.explainers.sources import SourceRanking, rank_sources
    from interpreto_mllm.explainers.trace import Trace, trace
    from interpreto_mllm.games.answer_span import AnswerSpan
    from interpreto_mllm.games.modes import InferenceModes, TopMass
    from interpreto_mllm.games.targets import Contrast
    from interpreto_mllm.media import (
        Blur,
        Boxes,
        Clip,
        CutOut,
        DropFrames,
        DropImage,
        Fill,
        Frames,
        Freeze,
        Masks,
        MeanLevel,
        Mute,
        Patches,
        Picture,
        ReplaceImage,
        SplitOnSilence,
        SpokenWords,
        Superpixels,
        TimeSpans,
        Tubes,
        Video,
        WhiteNoise,
        WholeClip,
        WholeImage,
        WholeVideo,
        Windows,
    )
    from interpreto_mllm.perturbators import GradientPerturbator, Perturbator
    from interpreto_mllm.prompts.baseline import OtherPrompt
    from interpreto_mllm.prompts.filters import OtherModalities, StopPhrases, punctuation
    from interpreto_mllm.prompts.granularity import Granularity
    from interpreto_mllm.prompts.occlusion import Attend, Drop, Replace
    from interpreto_mllm.prompts.pair import Pair
    from interpreto_mllm.prompts.sentences import Sentences
    from interpreto_mllm.prompts.sources import Sources
    from interpreto_mllm.prompts.template import Template
    from interpreto_mllm.results.normalisation import PowerShift
    from interpreto_mllm.similarity.response_similarity import ResponseSimilarity
    from interpreto_mllm.thoughts.marks import ThoughtMarks
    from interpreto_mllm.thoughts.target import Reasoned

__version__ = "0.1.0"

__all__ = [
    "Aggregator",
    "AnswerSpan",
    "Attend",
    "Attribution",
    "AttributionExplainer",
    "AutoShapley",
    "Banzhaf",
    "Blur",
    "Boxes",
    "Callback",
    "Chat",
    "Clip",
    "Comparison",
    "ComplementaryShapley",
    "Contrast",
    "Counts",
    "CutOut",
    "Design",
    "Draw",
    "Drop",
    "DropFrames",
    "DropImage",
    "Estimate",
    "Evaluations",
    "ExactShapley",
    "Feature",
    "Fill",
    "Frames",
    "Freeze",
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
    "Lasso",
    "Lime",
    "Masks",
    "MeanLevel",
    "MonteCarloShapley",
    "Mute",
    "NeymanShapley",
    "Occlusion",
    "OtherModalities",
    "OtherPrompt",
    "Pair",
    "Patches",
    "PermutationShapley",
    "Perturbator",
    "Picture",
    "Plan",
    "Points",
    "PowerShift",
    "Progress",
    "Reasoned",
    "Relevance",
    "RemoteModel",
    "Replace",
    "ReplaceImage",
    "Response",
    "ResponseSimilarity",
    "Responses",
    "Ridge",
    "Rule",
    "Saliency",
    "ScreenedShapley",
    "Sentences",
    "Sign",
    "SmoothGrad",
    "Sobol",
    "SourceRanking",
    "Sources",
    "SplitOnSilence",
    "SpokenWords",
    "SquareGrad",
    "StopPhrases",
    "Summary",
    "Superpixels",
    "Template",
    "ThoughtMarks",
    "TimeSpans",
    "Tolerance",
    "ToolCall",
    "TopK",
    "TopMass",
    "TopPairs",
    "Trace",
    "Tubes",
    "VarGrad",
    "Video",
    "WhiteNoise",
    "WholeClip",
    "WholeImage",
    "WholeVideo",
    "Windows",
    "compare",
    "explain",
    "from_captum",
    "play",
    "punctuation",
    "rank_sources",
    "trace",
]

_HOMES = {
    "adapters.remote.model": "RemoteModel",
    "aggregators": "Aggregator Estimate GradientAggregator",
    "attribution": "Attribution Comparison Counts Summary compare",
    "calls.tool_call": "ToolCall",
    "chats.chat": "Chat",
    "core.callbacks": "Callback JsonLines Progress",
    "core.design": "Design",
    "core.evaluations": "Draw Evaluations",
    "core.feature": "Feature",
    "core.points": "Gradients Points",
    "core.responses": "Response Responses",
    "evaluation.stopping": "Rule Sign Tolerance TopK TopPairs",
    "explainers": (
        "AutoShapley Banzhaf ComplementaryShapley ExactShapley GaussianProcessShapley GradientShap "
        "HierarchicalShapley InputXGradient IntegratedGradients KernelShap Lasso Lime MonteCarloShapley "
        "NeymanShapley Occlusion PermutationShapley Relevance Ridge Saliency ScreenedShapley SmoothGrad Sobol SquareGrad "
        "VarGrad explain"
    ),
    "explainers.base": "AttributionExplainer",
    "explainers.captum": "from_captum",
    "explainers.plan": "Plan",
    "explainers.play": "play",
    "explainers.trace": "Trace trace",
    "explainers.sources": "SourceRanking rank_sources",
    "games.answer_span": "AnswerSpan",
    "games.modes": "InferenceModes TopMass",
    "games.targets": "Contrast",
    "media": (
        "Blur Boxes Clip CutOut DropFrames DropImage Fill Frames Freeze Masks MeanLevel Mute Patches Picture ReplaceImage "
        "SplitOnSilence SpokenWords Superpixels TimeSpans Tubes Video WhiteNoise WholeClip WholeImage WholeVideo Windows"
    ),
    "perturbators": "GradientPerturbator Perturbator",
    "prompts.baseline": "OtherPrompt",
    "prompts.filters": "OtherModalities StopPhrases punctuation",
    "prompts.granularity": "Granularity",
    "prompts.occlusion": "Attend Drop Replace",
    "prompts.pair": "Pair",
    "prompts.sentences": "Sentences",
    "prompts.sources": "Sources",
    "prompts.template": "Template",
    "results.normalisation": "PowerShift",
    "similarity.response_similarity": "ResponseSimilarity",
    "thoughts.marks": "ThoughtMarks",
    "thoughts.target": "Reasoned",
}
"""The public names by the module that has them."""


_PACKAGES = (
    *(
        "adapters",
        "aggregators",
        "attribution",
        "chats",
        "core",
        "engine",
        "evaluation",
        "explainers",
        "games",
        "gaussian",
        "media",
    ),
    *("metrics", "perturbators", "plots", "prompts", "results", "similarity", "studies", "testbed", "thoughts"),
)


def __getattr__(name: str) -> Any:
    """A public name, a package of this one, or a class under the name that it had before."""
    for module, names in _HOMES.items():
        if name in names.split():
            found = globals()[name] = getattr(import_module(f"{__name__}.{module}"), name)
            return found
    if name in _PACKAGES:
        return import_module(f"{__name__}.{name}")
    if name.startswith("_"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from interpreto_mllm.core.renamed import renamed
    from interpreto_mllm.media.former_names import RENAMED

    return renamed(RENAMED, __name__, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_PACKAGES})
