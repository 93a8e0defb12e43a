"""Games in which the model answers again, greedily or by chance, and conversations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from support.table.case import ADAPTIVE, CHAT, DRAWN, FACT, SAMPLED, SAY, SHORT, Case, Part, World
from support.table.kinds import text
from support.table.readings import compared, probable, rescored

from interpreto_mllm import (
    Banzhaf,
    Contrast,
    ExactShapley,
    GaussianProcessShapley,
    Granularity,
    InferenceModes,
    KernelShap,
    MonteCarloShapley,
    Occlusion,
    PermutationShapley,
    ResponseSimilarity,
)
from interpreto_mllm.similarity import Bleu, Contextual, Cosine, Euclidean, ExactMatch, RougeL, Static, TfIdf, TokenMatch


def letters(texts: list[str]) -> np.ndarray:
    """An embedding of texts: how often each vowel is in them."""
    return np.array([[one.count(letter) + 0.5 for letter in "aeiou"] for one in texts])


def answers() -> list[Case]:
    """Games in which the model answers again, greedily."""
    return [
        text("similarity", KernelShap, SHORT, None, inference_mode=InferenceModes.SIMILARITY, generate=SAY, budget=30),
        text(
            "TfIdf",
            ExactShapley,
            CHAT,
            None,
            inference_mode=compared(TfIdf(), generate=SAY),
            granularity=Granularity.SENTENCE,
        ),
        text("ExactMatch", KernelShap, FACT, "red", inference_mode=compared(ExactMatch(), generate=SAY), budget=36),
        text("RougeL", PermutationShapley, SHORT, None, inference_mode=compared(RougeL(), generate=SAY), budget=30),
        text("Bleu", MonteCarloShapley, SHORT, "red .", inference_mode=compared(Bleu(), generate=SAY), budget=30),
        text("letters", Banzhaf, SHORT, None, inference_mode=ResponseSimilarity(letters, generate=SAY), budget=24),
        text(
            "Static, Euclidean, last",
            KernelShap,
            SHORT,
            None,
            inference_mode=ResponseSimilarity(Static(), "last", Euclidean(), SAY),
            budget=30,
        ),
        text(
            "Contextual, Cosine, max",
            KernelShap,
            SHORT,
            None,
            inference_mode=ResponseSimilarity(Contextual(), "max", Cosine(), SAY),
            budget=30,
        ),
        text(
            "Contextual after the prompt",
            KernelShap,
            SHORT,
            None,
            inference_mode=ResponseSimilarity(Contextual(after_prompt=True), generate=SAY),
            budget=24,
        ),
        text("TokenMatch", KernelShap, SHORT, "red .", inference_mode=compared(TokenMatch(), generate=SAY), budget=24),
        text(
            "similarity to several",
            Occlusion,
            SHORT,
            ["red", Contrast("red", "blue")],
            inference_mode=InferenceModes.SIMILARITY,
            generate=SAY,
        ),
        text(
            "similarity, adaptive",
            GaussianProcessShapley,
            SHORT,
            None,
            inference_mode=compared(TfIdf(), generate=SAY),
            budget=26,
            sensitive=ADAPTIVE,
        ),
        text(
            "rescored",
            KernelShap,
            SHORT,
            None,
            inference_mode=compared(TfIdf(), generate=SAY),
            budget=30,
            then=rescored(same=compared(TfIdf()), other=compared(RougeL()), letters=ResponseSimilarity(letters)),
        ),
        text(
            "rescored as probabilities",
            KernelShap,
            SHORT,
            None,
            inference_mode=compared(ExactMatch(), generate=SAY, log_probability=True),
            budget=30,
            then=probable,
        ),
        Case("text: rescored by the model's embeddings", _rescored_by_model),
    ]


def _rescored_by_model(world: World) -> Mapping[str, Part]:
    mode = compared(ExactMatch(), generate=SAY)
    [result] = KernelShap(*world.recall, inference_mode=mode, budget=24, progress=False)(SHORT)
    modes = {
        "static": ResponseSimilarity(Static(*world.recall)),
        "contextual": ResponseSimilarity(Contextual(*world.recall), "first", Euclidean()),
    }
    return {"result": result, **{name: result.rescore(mode) for name, mode in modes.items()}}


def drawn_answers() -> list[Case]:
    """Games in which the model's answers are drawn."""
    once = compared(TfIdf(), generate=DRAWN)
    thrice = compared(TfIdf(), generate=DRAWN, repeats=3)
    return [
        text("drawn answers", KernelShap, SHORT, "red", inference_mode=once, budget=24, seed=1, sensitive=SAMPLED),
        text(
            "drawn answers, repeated",
            KernelShap,
            SHORT,
            "red",
            inference_mode=thrice,
            budget=24,
            seed=2,
            then=rescored(same=compared(TfIdf()), other=compared(ExactMatch())),
            sensitive=SAMPLED,
        ),
        text(
            "drawn answers of a chat",
            PermutationShapley,
            CHAT,
            None,
            inference_mode=ResponseSimilarity(generate=DRAWN, repeats=2),
            granularity=Granularity.SENTENCE,
            budget=8,
            seed=3,
            sensitive=SAMPLED,
        ),
    ]


def conversations() -> list[Case]:
    """Conversations that go on."""
    return [
        Case("text: extended by sentences", _extended),
        Case("text: extended by words", _extended_words),
    ]


def _extended(world: World) -> Mapping[str, Part]:
    mode = compared(ExactMatch(), generate=SAY)
    options: dict[str, Any] = {"granularity": Granularity.SENTENCE, "roles": ("user", "assistant"), "progress": False}
    explainer = ExactShapley(*world.recall, inference_mode=mode, **options)
    [first] = explainer(CHAT)
    second = explainer.extend(first, "what is the sky ?")
    third = explainer.extend(second, [{"role": "user", "content": "thank you ."}])
    assert second.conversation is not None
    [direct] = explainer(list(second.conversation.messages))
    return {"first": first, "second": second, "third": third, "direct": direct}


def _extended_words(world: World) -> Mapping[str, Part]:
    explainer = KernelShap(*world.recall, inference_mode=ResponseSimilarity(generate=SAY), budget=20, progress=False)
    [first] = explainer([{"role": "user", "content": SHORT}])
    return {"first": first, "second": explainer.extend(first, "what is it ?")}
