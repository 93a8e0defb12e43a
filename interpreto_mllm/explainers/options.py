"""The options that every method passes on to the explainer."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, TypedDict

from interpreto_mllm.engine.queries import Mode
from interpreto_mllm.evaluation.stopping import Rule
from interpreto_mllm.media.audio_granularity import AudioGranularity, Segmenter
from interpreto_mllm.media.audio_occlusion import AudioOcclusion
from interpreto_mllm.media.image_granularity import Cutter, ImageGranularity
from interpreto_mllm.media.image_occlusion import ImageOcclusion
from interpreto_mllm.prompts.filters import Pins
from interpreto_mllm.prompts.granularity import Granularity, Span, Splitter
from interpreto_mllm.prompts.occlusion import TextOcclusion
from interpreto_mllm.prompts.reader import Groups
from interpreto_mllm.similarity.response_similarity import ResponseSimilarity


class Options(TypedDict, total=False):
    """Keyword arguments of `AttributionExplainer`, where each is explained."""

    granularity: Granularity | Splitter | list[Span]
    inference_mode: Mode | ResponseSimilarity
    occlusion: TextOcclusion | None
    image_granularity: ImageGranularity | Cutter | None
    image_occlusion: ImageOcclusion | None
    audio_granularity: AudioGranularity | Segmenter | None
    audio_occlusion: AudioOcclusion | None
    budget: int | float | None
    until: Rule | None
    batch_size: int
    seed: int
    roles: Collection[str]
    pinned: Pins
    groups: Groups | None
    generate: Mapping[str, Any] | None
    share_prefixes: bool
    progress: bool
