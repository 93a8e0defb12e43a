"""Attributions of every method and kind of game, written down to the last bit: `python tests/attribution_table.py`.

The cases use nothing but the public names of the package, so that its inside may be rebuilt around them. Run as a script, the
module computes all of them and writes `attribution_table.json` beside it; `--reverse` computes them from the last to the first,
`--output PATH` writes elsewhere, and `--saved` also writes the results and the checkpoint in `saved/` anew.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from support.server import Server

from interpreto_mllm import (
    Attend,
    Attribution,
    AttributionExplainer,
    AutoShapley,
    Banzhaf,
    Blur,
    Boxes,
    ComplementaryShapley,
    Contrast,
    CutOut,
    Drop,
    DropImage,
    ExactShapley,
    Fill,
    GaussianProcessShapley,
    Granularity,
    HierarchicalShapley,
    InferenceModes,
    KernelShap,
    Lime,
    Masks,
    MeanLevel,
    MonteCarloShapley,
    NeymanShapley,
    Occlusion,
    Patches,
    PermutationShapley,
    RemoteModel,
    Replace,
    ReplaceImage,
    ResponseSimilarity,
    Sign,
    Sobol,
    SplitOnSilence,
    SpokenWords,
    StopPhrases,
    Superpixels,
    Template,
    Tolerance,
    TopK,
    WhiteNoise,
    WholeClip,
    WholeImage,
    Windows,
    explain,
    play,
    punctuation,
)
from interpreto_mllm.aggregators import (
    BanzhafAggregator,
    ComplementaryAggregator,
    GaussianProcessAggregator,
    KernelAggregator,
    LeaveOneOutAggregator,
    LimeAggregator,
    MarginalAggregator,
    OwenAggregator,
    ShapleyAggregator,
    SobolAggregator,
)
from interpreto_mllm.perturbators import (
    ActivePerturbator,
    BernoulliPerturbator,
    ComplementaryPerturbator,
    ExactPerturbator,
    HierarchicalPerturbator,
    KernelPerturbator,
    MonteCarloPerturbator,
    NeymanPerturbator,
    OcclusionPerturbator,
    PermutationPerturbator,
    SobolPerturbator,
)
from interpreto_mllm.similarity import Bleu, Contextual, Cosine, Euclidean, ExactMatch, RougeL, Static, TfIdf, TokenMatch
from interpreto_mllm.testbed import load_hearing, load_recall, load_sight, sample_clip_prompts, sample_scene_prompts

TABLE = Path(__file__).parent / "attribution_table.json"
SAVED = Path(__file__).parent / "saved"

FACT = "the apple is red . the sky is blue . what is the apple ?"
SHORT = "the apple is red . what is the apple ?"
BRIEF = "the apple is red ."
CHAT = [
    {"role": "system", "content": "answer the question ."},
    {"role": "user", "content": "the apple is red . the sky is blue . what is the apple ?"},
]
DIALOGUE = [
    {"role": "system", "content": "answer the question ."},
    {"role": "user", "content": "the apple is red . the sky is blue ."},
    {"role": "assistant", "content": "ok ."},
    {"role": "user", "content": "good morning . what is the apple ?"},
]
CONTRAST = Contrast(" red", " blue")
GROUPS: list[Any] = [[0, 1], [[2, 3], 4], [5, 6, 7, 8]]
SAY = {"max_new_tokens": 4}
DRAWN = {"max_new_tokens": 3, "do_sample": True, "temperature": 2.0}
ROWS = 6
"""How many of the evaluated values are written down."""

ADAPTIVE = "what is evaluated depends on the values before"
SAMPLED = "answers are drawn from the model's probabilities"
RANKED = "ranks of nearly equal values may change places"

RESCORED = "rescore aggregates coalitions that are no part of the sample"

Part = Attribution | Mapping[str, Any]
Then = Callable[[Attribution], Mapping[str, Part]]


class World:
    """The shipped models, what they are shown, and a server of the text model, each made when first asked for."""

    @cached_property
    def recall(self) -> tuple[Any, Any]:
        """The text model and its tokenizer."""
        return load_recall()

    @cached_property
    def sight(self) -> tuple[Any, Any]:
        """The model that sees and its processor."""
        return load_sight()

    @cached_property
    def hearing(self) -> tuple[Any, Any]:
        """The model that hears and its processor."""
        return load_hearing()

    @cached_property
    def scene(self) -> Any:
        """A picture, and a question about it."""
        return sample_scene_prompts(1, asks="colour", seed=1)[0]

    @cached_property
    def clip(self) -> Any:
        """A clip, and a question about it."""
        return sample_clip_prompts(1, asks="first", seed=1)[0]

    @cached_property
    def server(self) -> Server:
        """Serves the text model, and tells log-probabilities."""
        server = Server(*self.recall)
        server.offers = {"prompt_logprobs", "echo", "logprobs"}
        return server

    def close(self) -> None:
        """Stop the server, if there is one."""
        if "server" in self.__dict__:
            self.server.stop()


@dataclass(frozen=True)
class Case:
    """One line of the table.

    Args:
        name: by which it is found.
        compute: gives the results and readings by their names.
        sensitive: why it may come out otherwise where arithmetic differs in the last bits, "" where it cannot.
        fault: what is known to be wrong with these numbers, "" for nothing.
    """

    name: str
    compute: Callable[[World], Mapping[str, Part]]
    sensitive: str = ""
    fault: str = ""


# ------------------------------------------------------------------------------------------------------- what is written down


def record(case: Case, world: World) -> dict[str, Any]:
    """All numbers and words of a case, ready for JSON."""
    return {
        "sensitive": case.sensitive,
        "fault": case.fault,
        "results": recorded(case.compute(world)),
    }


def recorded(parts: Mapping[str, Part]) -> dict[str, Any]:
    """Results and readings, ready for JSON."""
    return {name: _result(part) if isinstance(part, Attribution) else _reading(part) for name, part in parts.items()}


def _result(result: Attribution) -> dict[str, Any]:
    errors = result.standard_errors
    counts = result.counts
    return {
        "numbers": {
            "attributions": exact(result.attributions),
            "standard_errors": None if errors is None else exact(errors),
            "empty": exact(result.empty),
            "full": exact(result.full),
            "values": exact(result.values[:ROWS]),
        },
        "counts": {
            "evaluations": counts.evaluations,
            "paid": counts.paid,
            "forwards": counts.forwards,
            "tokens": counts.tokens,
            "saved": counts.saved,
            "answers_reused": counts.answers_reused,
            "answers_asked": counts.answers_asked,
        },
        "words": {
            "features": [feature.text for feature in result.features],
            "targets": list(result.targets),
            "estimand": result.estimand,
            "method": result.method,
            "mode": result.mode,
            "unit": result.unit,
            "coalitions": hashlib.sha256(result.coalitions.numpy().tobytes()).hexdigest()[:16],
            "answers": [] if result.responses is None else list(result.responses.texts[:ROWS]),
        },
    }


def _reading(reading: Mapping[str, Any]) -> dict[str, Any]:
    return {"numbers": {name: None if value is None else exact(value) for name, value in reading.items()}}


def exact(numbers: Any) -> Any:
    """Nested lists of numbers as hexadecimal texts, from which each comes back as it was.

    Example:
        >>> exact([0.5, [1.0]])
        ['0x1.0000000000000p-1', ['0x1.0000000000000p+0']]
    """
    numbers = numbers.tolist() if isinstance(numbers, (torch.Tensor, np.ndarray)) else numbers
    return [exact(one) for one in numbers] if isinstance(numbers, (list, tuple)) else float(numbers).hex()


def fingerprint(world: World) -> dict[str, Any]:
    """Some numbers of one plain forward of each model and one decomposition: those of the machine's arithmetic."""
    generator = torch.Generator().manual_seed(0)
    matrix = torch.randn(24, 24, generator=generator, dtype=torch.float64)
    scene, clip = world.scene, world.clip
    inputs = {
        "recall": world.recall[1](FACT, return_tensors="pt"),
        "sight": world.sight[1](text=scene.text, images=scene.image, return_tensors="pt"),
        "hearing": world.hearing[1](text=clip.text, audio=clip.audio, sampling_rate=16_000, return_tensors="pt"),
    }
    models = {"recall": world.recall[0], "sight": world.sight[0], "hearing": world.hearing[0]}
    with torch.no_grad():
        logits = {name: exact(models[name](**given).logits[0, -1, :8]) for name, given in inputs.items()}
    return {**logits, "decomposition": exact(torch.linalg.eigh(matrix @ matrix.T).eigenvalues[:8])}


# ------------------------------------------------------------------------------------------------------------ kinds of cases


def single(result: Attribution) -> dict[str, Part]:
    """The result itself, and nothing read off it."""
    return {"result": result}


def text(
    name: str,
    method: Callable[..., AttributionExplainer],
    prompt: Any = FACT,
    target: Any = " red",
    *,
    then: Then = single,
    sensitive: str = "",
    fault: str = "",
    **options: Any,
) -> Case:
    """A prompt of the text model."""

    def compute(world: World) -> Mapping[str, Part]:
        [result] = method(*world.recall, progress=False, **options)(prompt, target)
        return then(result)

    return Case(f"text: {name}", compute, sensitive, fault)


def picture(
    name: str,
    method: Callable[..., AttributionExplainer],
    target: Any = "answer",
    *,
    plain: bool = False,
    then: Then = single,
    sensitive: str = "",
    fault: str = "",
    **options: Any,
) -> Case:
    """The picture and its question: a chat, or a plain text with a placeholder."""

    def compute(world: World) -> Mapping[str, Part]:
        settings = {"image_granularity": Patches(3, 3), "pinned": punctuation, "progress": False, **options}
        prompt = {"text": world.scene.text, "images": [world.scene.image]} if plain else world.scene.messages
        asked = world.scene.answer if target == "answer" else target
        [result] = method(*world.sight, **settings)(prompt, asked)
        return then(result)

    return Case(f"picture: {name}", compute, sensitive, fault)


def sound(
    name: str,
    method: Callable[..., AttributionExplainer],
    target: Any = "answer",
    *,
    then: Then = single,
    sensitive: str = "",
    fault: str = "",
    **options: Any,
) -> Case:
    """The clip and its question."""

    def compute(world: World) -> Mapping[str, Part]:
        settings = {"audio_granularity": Windows(500), "pinned": punctuation, "progress": False, **options}
        asked = world.clip.answer if target == "answer" else target
        [result] = method(*world.hearing, **settings)(world.clip.messages, asked)
        return then(result)

    return Case(f"clip: {name}", compute, sensitive, fault)


def remote(
    name: str,
    method: Callable[..., AttributionExplainer],
    prompt: Any = CHAT,
    target: Any = None,
    *,
    route: Any = "chat",
    sensitive: str = "",
    **options: Any,
) -> Case:
    """A prompt of the served text model."""

    def compute(world: World) -> Mapping[str, Part]:
        model = RemoteModel(world.server.url, "recall", route=route)
        [result] = method(model, progress=False, **options)(prompt, target)
        return single(result)

    return Case(f"remote: {name}", compute, sensitive)


def game(
    name: str, perturbator: Any, aggregator: Any, *, n: int = 9, then: Then = single, sensitive: str = "", **options: Any
) -> Case:
    """A game without a model."""

    def compute(world: World) -> Mapping[str, Part]:
        return then(play(bent_game(n), perturbator, aggregator, n_features=n, progress=False, **options))

    return Case(f"play: {name}", compute, sensitive)


def bent_game(n: int) -> Callable[[torch.Tensor], torch.Tensor]:
    """A game of two targets in which everything interacts, of operations that round alike in any batch."""
    generator = torch.Generator().manual_seed(n)
    inner = torch.randn(n, 12, generator=generator, dtype=torch.float64)
    outer = torch.randn(12, 2, generator=generator, dtype=torch.float64)

    def values(coalitions: torch.Tensor) -> torch.Tensor:
        hidden = torch.full((len(coalitions), 12), -0.3, dtype=torch.float64)
        for column, weights in zip(coalitions.double().T, inner, strict=True):
            hidden = hidden + column[:, None] * weights
        bent = hidden / (1 + hidden.abs())
        total = torch.zeros(len(coalitions), 2, dtype=torch.float64)
        for column, weights in zip(bent.T, outer, strict=True):
            total = total + column[:, None] * weights
        return total

    return values


# ---------------------------------------------------------------------------------------------------------- what is read off


def spans(result: Attribution) -> dict[str, Part]:
    """Stretches of the answer."""
    return {"result": result, "whole": result.span(), "first": result.span(0, 1), "last": result.span(-1)}


def views(result: Attribution) -> dict[str, Part]:
    """Other scales."""
    kinds = ("identity", "abs_sum", "max_abs", "share", "min_max", "power_shift")
    return {"result": result, **{kind: result.normalized(kind) for kind in kinds}}


def others(result: Attribution) -> dict[str, Part]:
    """Other aggregators, over all coalitions of nine players."""
    aggregators = {
        "Banzhaf": BanzhafAggregator(),
        "complementary": ComplementaryAggregator(),
        "Gaussian process": GaussianProcessAggregator(),
        "kernel": KernelAggregator(),
        "kernel without sizes": KernelAggregator(size_effects=False),
        "leave one out": LeaveOneOutAggregator(),
        "Lime": LimeAggregator(kernel_width=0.5, alpha=0.1),
        "Owen": OwenAggregator(GROUPS),
        "Shapley": ShapleyAggregator(),
        "Sobol, first": SobolAggregator("first"),
        "Sobol, total": SobolAggregator("total"),
    }
    return {"result": result, **{name: result.reaggregate(aggregator) for name, aggregator in aggregators.items()}}


def some_others(result: Attribution) -> dict[str, Part]:
    """Other aggregators, over a sample."""
    aggregators = {
        "Banzhaf": BanzhafAggregator(),
        "kernel": KernelAggregator(),
        "Lime": LimeAggregator(),
        "Gaussian process": GaussianProcessAggregator(),
    }
    return {name: result.reaggregate(aggregator) for name, aggregator in aggregators.items()}


def intervals(result: Attribution) -> dict[str, Part]:
    """Confidence intervals of two levels, and the efficiency gap."""
    ends = {f"{level}": dict(zip(("low", "high"), result.interval(level), strict=True)) for level in (0.8, 0.95)}
    return {"result": result, **ends, "gap": {"efficiency_gap": result.efficiency_gap}}


def pairs(*indices: str) -> Then:
    """Interactions under some indices."""

    def read(result: Attribution) -> dict[str, Part]:
        found = {index: result.interactions(index=index) for index in indices}
        return {
            index: {"interactions": one.values, "standard_errors": one.standard_errors, "top": _top(one)}
            for index, one in found.items()
        }

    return read


def _top(found: Any) -> list[list[float]]:
    return [[pair.first, pair.second, pair.value] for pair in found.top(3)]


def certified(result: Attribution) -> dict[str, Part]:
    """How far the scores predict what was held out."""
    certificate = result.fidelity()
    names = (
        "additive",
        "additive_rank",
        "pairwise",
        "pairwise_rank",
        "efficiency_gap",
        "interaction_share",
        "coalitions",
        "explained",
    )
    return {"result": result, "certificate": {name: getattr(certificate, name) for name in names}}


def by_modality(result: Attribution) -> dict[str, Part]:
    """Shares of the modalities and what they are worth together."""
    shares = result.modality_shares()
    return {
        "result": result,
        "shares": {"shares": list(shares.values())},
        "errors": {"errors": None if shares.standard_errors is None else list(shares.standard_errors.values())},
        "synergy": {"synergy": result.synergy()},
    }


def rescored(**modes: Any) -> Then:
    """The answers under other value functions, by name."""
    return lambda result: {"result": result, **{name: result.rescore(mode) for name, mode in modes.items()}}


def probable(result: Attribution) -> dict[str, Part]:
    """How likely the original answer was, in a similarity game that has kept it."""
    return rescored(log=InferenceModes.LOG_SOFTMAX, probability=InferenceModes.SOFTMAX, tokens=_compared(TfIdf()))(result)


def reread(result: Attribution) -> dict[str, Part]:
    """What a saved result can still tell."""
    return {"result": result, "kernel": result.reaggregate(KernelAggregator()), "pairs": pairs("SII")(result)["SII"]}


def reread_answers(result: Attribution) -> dict[str, Part]:
    """What a saved similarity game can still tell."""
    return {**reread(result), "other": result.rescore(_compared(RougeL()))}


def _compared(similarity: Any, **options: Any) -> ResponseSimilarity:
    return ResponseSimilarity(similarity=similarity, **options)


# -------------------------------------------------------------------------------------------------------------------- cases


def cases() -> list[Case]:
    """The whole table, in order."""
    return [
        *text_methods(),
        *text_prompts(),
        *text_options(),
        *readings(),
        *answers(),
        *drawn_answers(),
        *rules(),
        *reuse(),
        *conversations(),
        *games(),
        *pictures(),
        *sounds(),
        *served(),
        *faulty(),
        *kept(),
    ]


def text_methods() -> list[Case]:
    """Every method on the text model."""
    return [
        text("ExactShapley", ExactShapley, BRIEF),
        text("KernelShap", KernelShap, budget=48),
        text("KernelShap, few evaluations", KernelShap, budget=18, seed=5),
        text("KernelShap, without size effects", KernelShap, budget=48, seed=1, size_effects=False),
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
            inference_mode=_compared(TfIdf(), generate=SAY),
            granularity=Granularity.SENTENCE,
        ),
        text("ExactMatch", KernelShap, FACT, "red", inference_mode=_compared(ExactMatch(), generate=SAY), budget=36),
        text("RougeL", PermutationShapley, SHORT, None, inference_mode=_compared(RougeL(), generate=SAY), budget=30),
        text("Bleu", MonteCarloShapley, SHORT, "red .", inference_mode=_compared(Bleu(), generate=SAY), budget=30),
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
        text("TokenMatch", KernelShap, SHORT, "red .", inference_mode=_compared(TokenMatch(), generate=SAY), budget=24),
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
            inference_mode=_compared(TfIdf(), generate=SAY),
            budget=26,
            sensitive=ADAPTIVE,
        ),
        text(
            "rescored",
            KernelShap,
            SHORT,
            None,
            inference_mode=_compared(TfIdf(), generate=SAY),
            budget=30,
            then=rescored(same=_compared(TfIdf()), other=_compared(RougeL()), letters=ResponseSimilarity(letters)),
        ),
        text(
            "rescored as probabilities",
            KernelShap,
            SHORT,
            None,
            inference_mode=_compared(ExactMatch(), generate=SAY, log_probability=True),
            budget=30,
            then=probable,
        ),
        Case("text: rescored by the model's embeddings", _rescored_by_model),
    ]


def _rescored_by_model(world: World) -> Mapping[str, Part]:
    mode = _compared(ExactMatch(), generate=SAY)
    [result] = KernelShap(*world.recall, inference_mode=mode, budget=24, progress=False)(SHORT)
    modes = {
        "static": ResponseSimilarity(Static(*world.recall)),
        "contextual": ResponseSimilarity(Contextual(*world.recall), "first", Euclidean()),
    }
    return {"result": result, **{name: result.rescore(mode) for name, mode in modes.items()}}


def drawn_answers() -> list[Case]:
    """Games in which the model's answers are drawn."""
    once = _compared(TfIdf(), generate=DRAWN)
    thrice = _compared(TfIdf(), generate=DRAWN, repeats=3)
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
            then=rescored(same=_compared(TfIdf()), other=_compared(ExactMatch())),
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


def rules() -> list[Case]:
    """Rules that end a play early."""
    return [
        text("until TopK", KernelShap, SHORT, budget=300, until=TopK(2), sensitive=ADAPTIVE),
        text("until Tolerance", MonteCarloShapley, SHORT, budget=300, until=Tolerance(0.5), sensitive=ADAPTIVE),
        text("until Sign", PermutationShapley, SHORT, budget=200, until=Sign(3), sensitive=ADAPTIVE),
        text("until Tolerance, unmet", KernelShap, SHORT, budget=100, until=Tolerance(0.001), sensitive=ADAPTIVE),
        text(
            "until Tolerance, Gaussian process",
            GaussianProcessShapley,
            SHORT,
            budget=60,
            until=Tolerance(0.5),
            sensitive=ADAPTIVE,
        ),
        text("until TopK, Banzhaf", Banzhaf, SHORT, budget=300, until=TopK(2, confidence=0.7), sensitive=ADAPTIVE),
        text("until Tolerance, AutoShapley", AutoShapley, SHORT, budget=60, until=Tolerance(0.5), sensitive=ADAPTIVE),
        text(
            "until Tolerance, rescored",
            PermutationShapley,
            SHORT,
            "red",
            inference_mode=_compared(TfIdf(), generate=SAY),
            budget=90,
            until=Tolerance(0.5),
            then=rescored(same=_compared(TfIdf()), other=_compared(RougeL())),
            sensitive=ADAPTIVE,
        ),
    ]


def reuse() -> list[Case]:
    """Evaluations that are known already."""
    return [
        Case("text: evaluations of another method", _reused),
        Case("text: evaluations of answers", _reused_answers),
    ]


def _reused(world: World) -> Mapping[str, Part]:
    [first] = KernelShap(*world.recall, budget=30, progress=False)(SHORT, " red")
    [more] = KernelShap(*world.recall, budget=60, progress=False)(SHORT, " red", evaluations=[first])
    permuted = PermutationShapley(*world.recall, budget=40, seed=1, progress=False)
    [other] = permuted(SHORT, " red", evaluations=[more])
    return {"first": first, "more": more, "other": other}


def _reused_answers(world: World) -> Mapping[str, Part]:
    options: dict[str, Any] = {"inference_mode": _compared(TfIdf(), generate=SAY), "progress": False}
    [first] = KernelShap(*world.recall, budget=20, **options)(SHORT)
    [more] = Lime(*world.recall, budget=30, **options)(SHORT, evaluations=[first])
    return {"first": first, "more": more}


def conversations() -> list[Case]:
    """Conversations that go on."""
    return [
        Case("text: extended by sentences", _extended),
        Case("text: extended by words", _extended_words),
    ]


def _extended(world: World) -> Mapping[str, Part]:
    mode = _compared(ExactMatch(), generate=SAY)
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


def games() -> list[Case]:
    """Every pair of a perturbator and an aggregator, on a game without a model."""
    extra = torch.tensor([[True] * 4 + [False] * 5, [False] * 4 + [True] * 5])
    return [
        game("exact", ExactPerturbator(), ShapleyAggregator(), then=others),
        game("exact, readings", ExactPerturbator(), KernelAggregator(), n=7, then=pairs("SII", "FSII", "STII")),
        game("Monte Carlo", MonteCarloPerturbator(), ShapleyAggregator(), budget=60, then=intervals),
        game("Monte Carlo, many", MonteCarloPerturbator(), ShapleyAggregator(), n=24, budget=300, seed=1),
        game("permutation", PermutationPerturbator(), MarginalAggregator(), budget=70),
        game("permutation, not antithetic", PermutationPerturbator(False), MarginalAggregator(), budget=70, seed=1),
        game("complementary", ComplementaryPerturbator(), ComplementaryAggregator(), budget=60),
        game("complementary, standard", ComplementaryPerturbator(False), ComplementaryAggregator(), budget=60, seed=1),
        game("Neyman", NeymanPerturbator(), ComplementaryAggregator(), budget=100, sensitive=ADAPTIVE),
        game(
            "Neyman, standard", NeymanPerturbator(3, False), ComplementaryAggregator(), budget=120, seed=1, sensitive=ADAPTIVE
        ),
        game("Gaussian process", ActivePerturbator(), GaussianProcessAggregator(), budget=40, sensitive=ADAPTIVE),
        game("Gaussian process, many", ActivePerturbator(), GaussianProcessAggregator(), n=20, budget=60, sensitive=ADAPTIVE),
        game("Gaussian process, given pairs", KernelPerturbator(), GaussianProcessAggregator(), budget=40),
        game("hierarchical", HierarchicalPerturbator(GROUPS), OwenAggregator(GROUPS), budget=40, sensitive=ADAPTIVE),
        game("hierarchical, whole", HierarchicalPerturbator(GROUPS), OwenAggregator(GROUPS), budget=400, sensitive=ADAPTIVE),
        game("kernel", KernelPerturbator(), KernelAggregator(), budget=80, then=certified, sensitive=RANKED),
        game(
            "kernel, interactions",
            KernelPerturbator(),
            KernelAggregator(),
            budget=150,
            seed=1,
            then=pairs("SII", "FSII", "STII"),
        ),
        game("kernel, without sizes", KernelPerturbator(), KernelAggregator(size_effects=False), budget=60, seed=2),
        game("kernel, many", KernelPerturbator(), KernelAggregator(), n=30, budget=200, seed=3),
        game("kernel, extra", KernelPerturbator(), KernelAggregator(), budget=50, extra=extra, then=some_others),
        game("Bernoulli, Lime", BernoulliPerturbator(), LimeAggregator(), budget=60),
        game("Bernoulli, Banzhaf", BernoulliPerturbator(), BanzhafAggregator(), budget=60),
        game("Bernoulli, Banzhaf, unpaired", BernoulliPerturbator(paired=False), BanzhafAggregator(), budget=60, seed=1),
        game("leave one out", OcclusionPerturbator(), LeaveOneOutAggregator()),
        game("leave two out", OcclusionPerturbator(2, 1), LeaveOneOutAggregator(2)),
        game("leave three out by two", OcclusionPerturbator(3, 2), LeaveOneOutAggregator(3)),
        game("Sobol, total", SobolPerturbator(), SobolAggregator("total"), budget=100),
        game("Sobol, first", SobolPerturbator(), SobolAggregator("first"), budget=100, seed=1),
        game("until TopK", KernelPerturbator(), KernelAggregator(), n=10, budget=800, until=TopK(1), sensitive=ADAPTIVE),
        game(
            "until Tolerance",
            NeymanPerturbator(),
            ComplementaryAggregator(),
            n=10,
            budget=600,
            until=Tolerance(0.5),
            sensitive=ADAPTIVE,
        ),
        Case("play: evaluations known", _known),
    ]


def _known(world: World) -> Mapping[str, Part]:
    options: dict[str, Any] = {"n_features": 9, "progress": False}
    first = play(bent_game(9), KernelPerturbator(), KernelAggregator(), budget=40, **options)
    known = first.evaluations
    more = play(bent_game(9), PermutationPerturbator(), MarginalAggregator(), budget=60, evaluations=known, **options)
    return {"first": first, "more": more, "banzhaf": more.reaggregate(BanzhafAggregator())}


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
            inference_mode=_compared(ExactMatch(), generate=SAY),
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
        sound(
            "similarity", KernelShap, None, inference_mode=_compared(ExactMatch(), generate=SAY), budget=24, then=by_modality
        ),
    ]


def served() -> list[Case]:
    """The text model behind a server."""
    sentences = {"granularity": Granularity.SENTENCE, "roles": ("system", "user")}
    mode = _compared(TfIdf(), generate=SAY)
    thrice = _compared(TfIdf(), generate={**DRAWN, "max_new_tokens": 2}, repeats=3)
    return [
        remote("similarity", ExactShapley, inference_mode=mode, **sentences),
        remote("similarity of a text", KernelShap, SHORT, inference_mode=mode, pinned=["?"], budget=24, route="completion"),
        remote("similarity, drawn", ExactShapley, SHORT, inference_mode=thrice, **sentences, seed=1, sensitive=SAMPLED),
        remote("log-probabilities", ExactShapley, CHAT, "red .", **sentences),
        remote("probabilities", ExactShapley, CHAT, "red .", inference_mode=InferenceModes.SOFTMAX, **sentences),
        remote("own answer", KernelShap, SHORT, pinned=["?"], budget=20, generate=SAY, route="completion"),
        remote("contrast", KernelShap, SHORT, [" red .", CONTRAST], pinned=["?"], budget=24, route="completion"),
        Case("remote: extended", _remote_extended),
    ]


def _remote_extended(world: World) -> Mapping[str, Part]:
    model = RemoteModel(world.server.url, "recall")
    mode = _compared(ExactMatch(), generate=SAY)
    explainer = ExactShapley(model, inference_mode=mode, granularity=Granularity.SENTENCE, progress=False)
    [first] = explainer([{"role": "user", "content": FACT}])
    return {"first": first, "second": explainer.extend(first, "what is the sky ?")}


def faulty() -> list[Case]:
    """Numbers that are known to be wrong."""
    mode = _compared(TfIdf(), generate=SAY)
    thrice = _compared(TfIdf(), generate=DRAWN, repeats=3)
    again = rescored(same=_compared(TfIdf()), other=_compared(RougeL()))
    seen: dict[str, Any] = {"inference_mode": mode, "image_granularity": Patches(2, 2), "budget": 32, "then": again}
    heard: dict[str, Any] = {"inference_mode": mode, "budget": 24, "then": again}
    drawn: dict[str, Any] = {"inference_mode": thrice, "budget": 300, "sensitive": ADAPTIVE}
    return [
        picture("rescored", KernelShap, None, **seen, fault=RESCORED),
        picture("rescored, Gaussian process", GaussianProcessShapley, None, **seen, sensitive=ADAPTIVE, fault=RESCORED),
        sound("rescored", Lime, None, **heard, fault=RESCORED),
        text("until Tolerance, repeated answers", MonteCarloShapley, SHORT, "red", until=Tolerance(0.5), **drawn),
        text("until TopK, repeated answers", KernelShap, SHORT, "red", until=TopK(2, confidence=0.7), **drawn),
    ]


# -------------------------------------------------------------------------------------------------------------- what is saved


READ: dict[str, tuple[str, Then]] = {
    "text.json": ("text: saved", reread),
    "picture.json": ("picture: saved", reread),
    "answers.json": ("text: saved answers", reread_answers),
}
"""The saved results: of which case each is, and what is read off it."""


def kept() -> list[Case]:
    """What is also in `saved/`, and the call whose checkpoint is there."""
    mode = _compared(TfIdf(), generate=SAY)
    return [
        text("saved", KernelShap, SHORT, " red .", budget=40, seed=1, then=reread),
        picture("saved", KernelShap, image_granularity=Patches(2, 2), budget=30, seed=1, then=reread),
        text("saved answers", KernelShap, SHORT, None, inference_mode=mode, budget=24, seed=1, then=reread_answers),
        Case("text: checkpoint", checkpointed),
    ]


def checkpointed(world: World, path: Path | None = None) -> Mapping[str, Part]:
    """Two inputs in one call, going on from a checkpoint where there is one."""
    explainer = KernelShap(*world.recall, budget=30, seed=4, progress=False)
    first, second = explainer([SHORT, "the dog is pink . what is the dog ?"], [" red", " pink"], checkpoint=path)
    return {"first": first, "second": second}


def save_results(world: World) -> None:
    """Write the results and the checkpoint that later versions must read."""
    SAVED.mkdir(exist_ok=True)
    named = {case.name: case for case in cases()}
    for file, (name, _) in READ.items():
        result = named[name].compute(world)["result"]
        assert isinstance(result, Attribution)
        result.save(SAVED / file)
    (SAVED / "checkpoint.json").unlink(missing_ok=True)
    checkpointed(world, SAVED / "checkpoint.json")


# -------------------------------------------------------------------------------------------------------------------- script


def table(world: World, chosen: Iterable[Case]) -> dict[str, Any]:
    """The fingerprint of this machine and the records of these cases."""
    return {"fingerprint": fingerprint(world), "cases": {case.name: record(case, world) for case in chosen}}


def written(content: Mapping[str, Any]) -> str:
    """The table as JSON, a line for every case."""
    lines = [f"{json.dumps(name)}: {json.dumps(one, ensure_ascii=False)}" for name, one in sorted(content["cases"].items())]
    return f'{{"fingerprint": {json.dumps(content["fingerprint"])},\n"cases": {{\n' + ",\n".join(lines) + "\n}}\n"


def main() -> None:
    """Compute everything and write it down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=TABLE)
    parser.add_argument("--reverse", action="store_true")
    parser.add_argument("--saved", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(1)
    world = World()
    chosen = cases()[::-1] if given.reverse else cases()
    try:
        given.output.write_text(written(table(world, chosen)), encoding="utf-8")
        if given.saved:
            save_results(world)
    finally:
        world.close()
    print(f"{len(chosen)} cases, {time.process_time():.1f} CPU seconds: {given.output}")


if __name__ == "__main__":
    main()
