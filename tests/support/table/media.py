"""Pictures and clips."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from support.table.case import ADAPTIVE, SAY, Case
from support.table.kinds import picture, sound
from support.table.readings import by_modality, compared, pairs

from interpreto_mllm import (
    Attend,
    AutoShapley,
    Banzhaf,
    Blur,
    Boxes,
    ComplementaryShapley,
    CutOut,
    DropImage,
    ExactShapley,
    Fill,
    GaussianProcessShapley,
    Granularity,
    HierarchicalShapley,
    KernelShap,
    Lime,
    Masks,
    MeanLevel,
    MonteCarloShapley,
    NeymanShapley,
    Occlusion,
    Patches,
    PermutationShapley,
    ReplaceImage,
    Sobol,
    SplitOnSilence,
    SpokenWords,
    Superpixels,
    WhiteNoise,
    WholeClip,
    WholeImage,
)
from interpreto_mllm.similarity import ExactMatch


def pictures() -> list[Case]:
    """Words and pieces of a picture in one game."""
    sentences = {"granularity": Granularity.SENTENCE, "image_granularity": Patches(2, 2), "pinned": ()}
    mask = np.zeros((2, 192, 192), dtype=bool)
    mask[0, :, :96], mask[1, 64:128, 64:] = True, True
    return [
        picture("KernelShap", KernelShap, budget=48, then=by_modality),
        picture("KernelShap, plain text", KernelShap, budget=36, plain=True, seed=1),
        picture("ExactShapley", ExactShapley, **sentences, then=by_modality),
        picture("PermutationShapley, own answer", PermutationShapley, None, budget=40, seed=1),
        picture("MonteCarloShapley", MonteCarloShapley, budget=40, seed=2),
        picture("GaussianProcessShapley", GaussianProcessShapley, budget=34, sensitive=ADAPTIVE),
        picture("HierarchicalShapley", HierarchicalShapley, budget=34, sensitive=ADAPTIVE),
        picture(
            "NeymanShapley", NeymanShapley, budget=40, pinned=lambda feature: feature.modality == "text", sensitive=ADAPTIVE
        ),
        picture("AutoShapley", AutoShapley, budget=30, image_granularity=Patches(2, 2), sensitive=ADAPTIVE),
        picture("Sobol", Sobol, budget=60, image_granularity=Patches(2, 2)),
        picture("Lime, superpixels", Lime, budget=30, image_granularity=Superpixels()),
        picture("groups across modalities", ExactShapley, groups=halves),
        picture("Occlusion, blurred", Occlusion, image_occlusion=Blur(8.0)),
        picture("another picture's place", KernelShap, budget=24, image_granularity=Patches(2, 2), image_occlusion=_other()),
        picture("filled boxes", KernelShap, budget=24, image_granularity=Boxes(_boxes()), image_occlusion=Fill("grey")),
        picture("masks", KernelShap, budget=24, image_granularity=Masks(mask)),
        picture("dropped", KernelShap, budget=16, image_granularity=WholeImage(), image_occlusion=DropImage()),
        picture("unattended words", Banzhaf, budget=30, occlusion=Attend()),
        picture("plain forwards", KernelShap, budget=20, share_prefixes=False),
        picture("words pinned", ComplementaryShapley, budget=30, pinned=lambda feature: feature.modality == "text"),
        picture("interactions", KernelShap, budget=60, image_granularity=Patches(2, 2), then=pairs("SII", "FSII")),
        picture(
            "similarity",
            KernelShap,
            None,
            inference_mode=compared(ExactMatch(), generate=SAY),
            image_granularity=Patches(2, 2),
            budget=30,
            then=by_modality,
        ),
    ]


def halves(features: Sequence[Any]) -> list[Any]:
    """The upper rows of the picture with the first word, the lower ones with the second, all others alone."""
    words = [index for index, feature in enumerate(features) if feature.modality == "text"]
    rows = {words[0]: "upper", words[1]: "lower"}
    return [
        rows.get(index, index) if feature.box is None else ("upper" if feature.box[1] < 64 else "lower")
        for index, feature in enumerate(features)
    ]


def _other() -> ReplaceImage:
    shade = np.linspace(0, 255, 192 * 192 * 3).reshape(192, 192, 3).astype(np.uint8)
    return ReplaceImage(shade)


def _boxes() -> list[tuple[int, int, int, int]]:
    return [(0, 0, 64, 64), (64, 0, 192, 96), (0, 64, 64, 192), (64, 96, 192, 192)]


def _said() -> list[tuple[str, float, float]]:
    return [("one", 0.0, 0.4), ("two", 0.4, 0.9), ("three", 1.0, 1.5), ("four", 1.5, 2.0)]


def sounds() -> list[Case]:
    """Words and segments of a clip in one game."""
    return [
        sound("KernelShap", KernelShap, budget=40, then=by_modality),
        sound("ExactShapley, sentences", ExactShapley, granularity=Granularity.SENTENCE, pinned=()),
        sound("PermutationShapley, between silences", PermutationShapley, budget=36, audio_granularity=SplitOnSilence()),
        sound("GaussianProcessShapley", GaussianProcessShapley, budget=26, sensitive=ADAPTIVE),
        sound("HierarchicalShapley", HierarchicalShapley, budget=26, sensitive=ADAPTIVE),
        sound("Banzhaf", Banzhaf, budget=26, audio_granularity=WholeClip()),
        sound("ComplementaryShapley, words", ComplementaryShapley, budget=30, audio_granularity=SpokenWords(_said())),
        sound("noise", KernelShap, budget=24, audio_occlusion=WhiteNoise(seed=1, level=0.1)),
        sound("mean level", Occlusion, audio_occlusion=MeanLevel()),
        sound("cut out", KernelShap, None, budget=24, audio_occlusion=CutOut()),
        sound("similarity", KernelShap, None, inference_mode=compared(ExactMatch(), generate=SAY), budget=24, then=by_modality),
    ]
