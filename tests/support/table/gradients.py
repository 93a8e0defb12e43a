"""Gradients and relevance, of texts, pictures and clips."""

from __future__ import annotations

from typing import Any

from support.table.case import CHAT, CONTRAST, SHORT, Case
from support.table.kinds import picture, sound, text

from interpreto_mllm import (
    GradientShap,
    Granularity,
    InferenceModes,
    InputXGradient,
    IntegratedGradients,
    Patches,
    Relevance,
    Saliency,
    SmoothGrad,
    SquareGrad,
    VarGrad,
    Windows,
)


def gradients() -> list[Case]:
    """Every method, and what is special to them."""
    sight: dict[str, Any] = {"image_granularity": Patches(2, 2)}
    return [
        text("Saliency", Saliency),
        text("Saliency, absolute", Saliency, hidden="l1", tokens="max"),
        text("InputXGradient", InputXGradient, CHAT),
        text("IntegratedGradients", IntegratedGradients, SHORT, steps=8),
        text(
            "IntegratedGradients, of a contrast, at a layer",
            IntegratedGradients,
            SHORT,
            CONTRAST,
            steps=4,
            layer="model.layers.1",
        ),
        text(
            "IntegratedGradients, from a token",
            IntegratedGradients,
            SHORT,
            "red .",
            steps=4,
            baseline="<unk>",
            whole_answer=True,
        ),
        text("GradientShap", GradientShap, SHORT, samples=8, baseline=["zero", "mean"], noise=0.05),
        text("SmoothGrad", SmoothGrad, SHORT, samples=4),
        text("SquareGrad", SquareGrad, SHORT, samples=4, seed=1),
        text("VarGrad", VarGrad, SHORT, samples=4, hidden="l2"),
        text("Relevance", Relevance),
        text("Relevance, of tokens of a chat", Relevance, CHAT, "red .", granularity=Granularity.TOKEN, whole_answer=True),
        text("Relevance, of probabilities", Relevance, SHORT, inference_mode=InferenceModes.SOFTMAX, tokens="signed_max"),
        text("Relevance, at a layer", Relevance, SHORT, layer="model.layers.1"),
        picture("IntegratedGradients", IntegratedGradients, steps=4, **sight),
        picture("Relevance", Relevance, **sight),
        sound("Saliency", Saliency, audio_granularity=Windows(500)),
        sound("Relevance", Relevance),
    ]
