"""Texts: every method, kinds of prompts and targets, options, and what is read off."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from support.table.case import ADAPTIVE, BRIEF, CHAT, CONTRAST, DIALOGUE, FACT, RANKED, SAY, SHORT, Case, Part, World
from support.table.kinds import text
from support.table.readings import certified, intervals, pairs, some_others, spans, views

from interpreto_mllm import (
    AutoShapley,
    Banzhaf,
    ComplementaryShapley,
    Contrast,
    Drop,
    ExactShapley,
    GaussianProcessShapley,
    Granularity,
    HierarchicalShapley,
    InferenceModes,
    KernelShap,
    Lasso,
    Lime,
    MonteCarloShapley,
    NeymanShapley,
    Occlusion,
    PermutationShapley,
    Replace,
    ScreenedShapley,
    Sobol,
    StopPhrases,
    Template,
    explain,
    play,
)
from interpreto_mllm.aggregators import ShapleyAggregator
from interpreto_mllm.perturbators import ExactPerturbator


def text_methods() -> list[Case]:
    """Every method on the text model."""
    return [
        text("ExactShapley", ExactShapley, BRIEF),
        text("KernelShap", KernelShap, budget=48),
        text("KernelShap, few evaluations", KernelShap, budget=18, seed=5),
        text("KernelShap, without size effects", KernelShap, budget=48, seed=1, size_effects=False),
        text("Lasso", Lasso, budget=40),
        text("Lasso, stiff, of the answer's logit", Lasso, budget=40, penalty=0.05, inference_mode=InferenceModes.ANSWER_LOGIT),
        text("Lime", Lime, budget=40),
        text("Lime, wide and stiff", Lime, budget=40, seed=2, kernel_width=0.75, alpha=0.5),
        text("PermutationShapley", PermutationShapley, budget=60),
        text("PermutationShapley, not antithetic", PermutationShapley, budget=60, seed=3, antithetic=False),
        text("MonteCarloShapley", MonteCarloShapley, budget=64),
        text("MonteCarloShapley, few evaluations", MonteCarloShapley, budget=36, seed=4),
        text("ComplementaryShapley", ComplementaryShapley, budget=60),
        text("ComplementaryShapley, standard", ComplementaryShapley, budget=60, seed=1, cover_minimal=False),
        text("NeymanShapley", NeymanShapley, SHORT, budget=60, sensitive=ADAPTIVE),
        text(
            "NeymanShapley, standard",
            NeymanShapley,
            SHORT,
            budget=70,
            seed=1,
            initial=3,
            cover_minimal=False,
            sensitive=ADAPTIVE,
        ),
        text("GaussianProcessShapley", GaussianProcessShapley, budget=40, sensitive=ADAPTIVE),
        text("HierarchicalShapley", HierarchicalShapley, budget=40, sensitive=ADAPTIVE),
        text("ScreenedShapley", ScreenedShapley, budget=40, sensitive=ADAPTIVE),
        text(
            "HierarchicalShapley, given groups",
            HierarchicalShapley,
            SHORT,
            budget=50,
            seed=2,
            hierarchy=[[0, 1, 2, 3, 4], [[5, 6], [7, 8, 9]]],
            sensitive=ADAPTIVE,
        ),
        text("Banzhaf", Banzhaf, budget=50),
        text("Occlusion", Occlusion),
        text("Occlusion, windows of two", Occlusion, window=2),
        text("Occlusion, windows of three by two", Occlusion, SHORT, window=3, stride=2),
        text("Sobol, total order", Sobol, SHORT, budget=72),
        text("Sobol, first order", Sobol, SHORT, budget=72, seed=1, order="first"),
        text("AutoShapley, exact", AutoShapley, BRIEF, sensitive=ADAPTIVE),
        text("AutoShapley, sampled", AutoShapley, budget=36, sensitive=ADAPTIVE),
    ]


def text_prompts() -> list[Case]:
    """Kinds of prompts and targets."""
    template = Template(
        "the {thing} is {colour} . what is the {asked} ?",
        values={"thing": "apple", "colour": "red", "asked": "apple"},
        baselines={"thing": "sky", "colour": "blue", "asked": "door"},
    )
    joint = Template(
        "the {thing} is {colour} . what is the {thing} ?",
        values={"thing": "apple", "colour": "red"},
        baselines=[{"thing": "sky", "colour": "blue"}, {"thing": "door", "colour": "green"}],
    )
    drawn = Template(
        "the {thing} is {colour} . what is the {thing} ?",
        values={"thing": "apple", "colour": "red"},
        baselines={"thing": ["sky", "door"], "colour": ["blue", "green", "pink"]},
    )
    return [
        text("chat", KernelShap, CHAT, "red", budget=40),
        text("chat, own answer", PermutationShapley, CHAT, None, budget=40, seed=1),
        text(
            "dialogue, roles and turns",
            ExactShapley,
            DIALOGUE,
            "red",
            granularity=Granularity.TURN,
            roles=("user", "assistant"),
        ),
        text("own answer", KernelShap, FACT, None, budget=40, generate=SAY),
        text("two tokens", MonteCarloShapley, FACT, " red .", budget=40),
        text("contrast", KernelShap, FACT, CONTRAST, budget=40),
        text("several targets", ComplementaryShapley, FACT, [" red .", CONTRAST, " blue"], budget=40),
        text("contrast of two tokens", ExactShapley, BRIEF, Contrast(" the sky", " the apple")),
        text("template", ExactShapley, template, "red"),
        text("template, joint baselines", ExactShapley, joint, "red"),
        text("template, drawn baselines", ExactShapley, drawn, "red", seed=3),
        Case("text: several inputs", _several_inputs),
        Case("text: encodings", _encodings),
        Case("text: explain", _explain, sensitive=ADAPTIVE),
        Case("text: game by hand", _game_by_hand),
    ]


def _several_inputs(world: World) -> Mapping[str, Part]:
    explainer = KernelShap(*world.recall, budget=30, seed=2, batch_size=7, progress=False)
    prompts = [FACT, SHORT, "the dog is pink . what is the dog ?"]
    results = [*explainer(prompts, [" red", " red .", " pink"]), *explainer(prompts[1:])]
    return {str(index): result for index, result in enumerate(results)}


def _encodings(world: World) -> Mapping[str, Part]:
    encoded = world.recall[1]([SHORT, "the sky is blue . what is the sky ?"], return_tensors="pt", padding=True)
    results = PermutationShapley(*world.recall, budget=30, progress=False)(encoded, " red")
    return {str(index): result for index, result in enumerate(results)}


def _explain(world: World) -> Mapping[str, Part]:
    results = explain(*world.recall, [BRIEF, SHORT], " red", budget=40, progress=False)
    return {str(index): result for index, result in enumerate(results)}


def _game_by_hand(world: World) -> Mapping[str, Part]:
    model_game = KernelShap(*world.recall, progress=False).game(BRIEF, " red")
    result = play(model_game, ExactPerturbator(), ShapleyAggregator(), n_features=5, progress=False)
    return {"result": result}


def odds(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Log-odds of each target token."""
    log_p = logits.float().log_softmax(-1).gather(-1, targets[..., None])[..., 0]
    return log_p - torch.log1p(-log_p.exp().clamp(max=1 - 1e-6))


def clauses(written: str) -> list[tuple[int, int]]:
    """Cut at every full stop or question mark."""
    ends = [index + 1 for index, sign in enumerate(written) if sign in ".?"]
    return list(zip([0, *ends[:-1]], ends, strict=True))


def by_text(features: Sequence[Any]) -> list[str]:
    """Every mention of a word is the same player."""
    return [feature.text for feature in features]


def text_options() -> list[Case]:
    """Options of the explainer."""
    modes = InferenceModes
    return [
        text("tokens", KernelShap, SHORT, granularity=Granularity.TOKEN, budget=40),
        text("all tokens", KernelShap, CHAT, "red", granularity=Granularity.ALL_TOKENS, budget=50),
        text("sentences", ExactShapley, FACT, " red", granularity=Granularity.SENTENCE),
        text("clauses", ExactShapley, FACT, " red", granularity=clauses),
        text("own spans", ExactShapley, FACT, " red", granularity=[(0, 9), (10, 18), (18, 36), (37, 56)]),
        text("dropped", PermutationShapley, SHORT, occlusion=Drop(), budget=40),
        text("replaced by a text", KernelShap, SHORT, occlusion=Replace("the"), budget=40),
        text("replaced by a token", MonteCarloShapley, SHORT, occlusion=Replace("<unk>"), budget=40, seed=1),
        text("pinned texts", ExactShapley, FACT, " red", pinned=["the", "is", ".", "what", "?"]),
        text("pinned places", KernelShap, FACT, " red", pinned=[0, 3, 4], budget=30),
        text("pinned by filters", KernelShap, FACT, " red", pinned=StopPhrases("the", "is"), budget=30),
        text("groups by text", KernelShap, FACT, " red", groups=by_text, budget=40),
        text("groups by labels", ExactShapley, SHORT, " red", groups=[0, 0, 1, 1, 2, 3, 3, 4, 4, 5]),
        text("logits", KernelShap, SHORT, " red .", inference_mode=modes.LOGITS, budget=40),
        text("probabilities", PermutationShapley, SHORT, " red .", inference_mode=modes.SOFTMAX, budget=40, then=spans),
        text("odds", KernelShap, SHORT, " red .", inference_mode=odds, budget=40),
        text("contrast of probabilities", KernelShap, SHORT, CONTRAST, inference_mode=modes.SOFTMAX, budget=30),
        text("one row a forward", KernelShap, SHORT, batch_size=1, budget=24),
        text("plain forwards", KernelShap, FACT, " red", share_prefixes=False, budget=30, batch_size=8),
        text("a fraction of all", KernelShap, SHORT, budget=0.04),
    ]


def readings() -> list[Case]:
    """What is read off results."""
    return [
        text("spans", KernelShap, FACT, " red .", budget=40, then=spans),
        text("other scales", PermutationShapley, SHORT, " red .", budget=40, then=views),
        text("other aggregators", KernelShap, SHORT, budget=60, then=some_others),
        text("intervals", MonteCarloShapley, SHORT, budget=60, then=intervals),
        text("interactions of all coalitions", ExactShapley, BRIEF, then=pairs("SII", "FSII", "STII")),
        text("interactions of a sample", KernelShap, SHORT, budget=70, then=pairs("SII", "FSII", "STII")),
        text("certificate of all coalitions", ExactShapley, BRIEF, then=certified, sensitive=RANKED),
        text("certificate of a sample", KernelShap, SHORT, budget=70, then=certified, sensitive=RANKED),
    ]
