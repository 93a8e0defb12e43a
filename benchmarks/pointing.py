"""How often each method ranks the true words, image regions, sounds and frames first, on prompts with known causes.

    python benchmarks/pointing.py [--prompts 30] [--budget 64]

The pointing game: the region (or segment) with the largest absolute score must be a true one, and so must the word with the
largest absolute score. Precision at k: for a prompt with k true features, the share of the k strongest features that are
true. Prints a table for each model and writes `benchmarks/results/pointing.json`.

All methods may spend the same: the budget is a number of forwards, and a backward counts as two. A point of a gradient method
thus costs 3; those that take the gradient of the prompt alone have one point.
"""

from __future__ import annotations

import argparse
import json
import logging
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from report import Report
from rich.progress import track
from transformers.utils import logging as transformers_logging

import interpreto_mllm as im
from interpreto_mllm.testbed import (
    load_hearing,
    load_recall,
    load_sight,
    load_watching,
    sample_clip_prompts,
    sample_fact_prompts,
    sample_scene_prompts,
    sample_video_prompts,
)

RESULTS = Path(__file__).parent / "results" / "pointing.json"
METHODS = (
    *(im.KernelShap, im.GaussianProcessShapley, im.PermutationShapley, im.MonteCarloShapley, im.ComplementaryShapley),
    *(im.NeymanShapley, im.HierarchicalShapley, im.Banzhaf, im.Lime, im.Sobol, im.Occlusion),
)
UNBUDGETED = (im.Occlusion,)
"""Methods without a budget."""
SINGLE = (im.Saliency, im.InputXGradient, im.Relevance)
"""Gradient methods with one point."""
SAMPLED = (im.IntegratedGradients, im.GradientShap, im.SmoothGrad, im.SquareGrad, im.VarGrad)
POINT = 3
"""What a point costs, in forwards."""
Span = tuple[float, float]


class Planted(NamedTuple):
    """A prompt, and which of its features are true."""

    inputs: Any
    answer: str
    true: Callable[[im.Feature, str], bool]


def overlap(one: Span, two: Span) -> float:
    """The length of what two stretches share."""
    return max(0.0, min(one[1], two[1]) - max(one[0], two[0]))


def words_are(texts: list[str], question: str) -> Callable[[im.Feature, str], bool]:
    """Whether a feature is one of some words of a question."""
    return lambda feature, text: feature.text in texts and feature.spans[0][0] >= text.rindex(question)


def recall_prompts(count: int) -> list[Planted]:
    """Facts in a text; true are the fact's object and attribute, and the object asked about."""

    def planted(prompt: Any) -> Planted:
        spans = [word.span for word in prompt.causes]
        return Planted(prompt.prompt, prompt.answer, lambda feature, text: feature.spans[0] in spans)

    return [planted(prompt) for prompt in sample_fact_prompts(count, facts=3, seed=101)]


def sight_prompts(count: int) -> list[Planted]:
    """Pictures of five things; true are the cell of the thing asked about, and the words for it and for what is asked."""

    def planted(prompt: Any) -> Planted:
        named = words_are([word.text for word in prompt.question.words], prompt.question.text)

        def true(feature: im.Feature, text: str) -> bool:
            return feature.box in prompt.cells if feature.modality == "image" else named(feature, text)

        return Planted(prompt.messages, prompt.answer, true)

    prompts = sample_scene_prompts(3 * count, things=5, seed=102)
    return [planted(prompt) for prompt in prompts if prompt.cells][:count]


def hearing_prompts(count: int) -> list[Planted]:
    """Clips of four sounds; true are windows with most of a sound that decides the answer, and words as for pictures."""

    def planted(prompt: Any) -> Planted:
        named = words_are([word.text for word in prompt.question.words], prompt.question.text)

        def true(feature: im.Feature, text: str) -> bool:
            if feature.time is None:
                return named(feature, text)
            return any(overlap(feature.time, span) >= 0.5 * (span[1] - span[0]) for span in prompt.spans)

        return Planted(prompt.messages, prompt.answer, true)

    prompts = sample_clip_prompts(3 * count, sounds=4, seed=103)
    return [planted(prompt) for prompt in prompts if prompt.spans][:count]


def watching_prompts(count: int) -> list[Planted]:
    """Videos of five frames; true are the frames with the answer and with what is named, and words as for pictures."""

    def planted(prompt: Any) -> Planted:
        named = words_are([word.text for word in prompt.question.words], prompt.question.text)

        def true(feature: im.Feature, text: str) -> bool:
            if feature.time is None:
                return named(feature, text)
            return any(overlap(feature.time, span) > 0.5 for span in prompt.spans)

        return Planted(prompt.messages, prompt.answer, true)

    return [planted(prompt) for prompt in sample_video_prompts(count, frames=5, seed=104)]


MODELS: dict[str, tuple[Callable[[], Any], Callable[[int], list[Planted]], str]] = {
    "recall": (load_recall, recall_prompts, "text: three facts"),
    "sight": (load_sight, sight_prompts, "image and text: 3 × 3 patches, five things"),
    "hearing": (load_hearing, hearing_prompts, "audio and text: windows of 250 ms, four sounds"),
    "watching": (load_watching, watching_prompts, "video and text: five frames"),
}


def judge(explanation: im.Attribution, planted: Planted) -> dict[str, float]:
    """The pointing game in each modality, and precision at k."""
    scores = explanation.attributions.sum(0).abs()
    true = torch.tensor([planted.true(feature, explanation.text) for feature in explanation.features])
    found = {"precision": float(true[scores.topk(int(true.sum())).indices].double().mean())}
    for name, modalities in (("word", ("text",)), ("region", ("image", "audio", "video"))):
        here = torch.tensor([feature.modality in modalities for feature in explanation.features])
        if (true & here).any():
            found[name] = float(true[scores.masked_fill(~here, -torch.inf).argmax()])
    return found


def chance(explanation: im.Attribution, planted: Planted) -> dict[str, float]:
    """The expected result of random scores."""
    true = torch.tensor([planted.true(feature, explanation.text) for feature in explanation.features]).double()
    found = {"precision": float(true.mean())}
    for name, modalities in (("word", ("text",)), ("region", ("image", "audio", "video"))):
        here = torch.tensor([feature.modality in modalities for feature in explanation.features])
        if true[here].sum():
            found[name] = float(true[here].mean())
    return found


def measure(name: str, count: int, budget: int) -> list[dict[str, Any]]:
    """One record per method and prompt of a model."""
    load, prompts_of, _ = MODELS[name]
    model, processor = load()
    prompts, records = prompts_of(count), []
    options: dict[str, Any] = {"pinned": im.punctuation, "batch_size": 128, "progress": False, "seed": 0}
    media = {"image_granularity": im.Patches(3, 3), "audio_granularity": im.Windows(250), "video_granularity": im.Frames()}
    for method in track((*METHODS, *SAMPLED, *SINGLE), description=name):
        explainer = method(model, processor, **options, **media, **spending(method, budget))
        explanations = explainer([planted.inputs for planted in prompts], [planted.answer for planted in prompts])
        for index, (explanation, planted) in enumerate(zip(explanations, prompts, strict=True)):
            record = {"model": name, "method": method.__name__, "prompt": index, "cost": cost(explanation)}
            records.append({**record, **judge(explanation, planted)})
            if method is METHODS[0]:
                records.append({**record, "method": "chance", "cost": 0, **chance(explanation, planted)})
    return records


def spending(method: Any, budget: int) -> dict[str, Any]:
    """What makes a method spend the budget; of a gradient method also one row for the answer."""
    if method in SINGLE or method in SAMPLED:
        return {"whole_answer": True, **({"budget": budget // POINT} if method in SAMPLED else {})}
    return {} if method in UNBUDGETED else {"budget": budget}


def cost(explanation: im.Attribution) -> int:
    """What a result has cost, in forwards over one row."""
    return POINT * explanation.counts.points if explanation.counts.points else explanation.counts.evaluations


def show(report: Report, records: list[dict[str, Any]], model: str) -> None:
    """The table of one model, chance last."""
    columns = [name for name in ("region", "word", "precision") if any(name in record for record in records)]
    headings = {"region": "true region first", "word": "true word first", "precision": "precision at k"}
    rows = []
    for method in (*(one.__name__ for one in (*METHODS, *SAMPLED, *SINGLE)), "chance"):
        mine = [record for record in records if record["method"] == method]
        shares = [[record[name] for record in mine if name in record] for name in columns]
        cells = [f"{100 * sum(share) / len(share):.0f} %" for share in shares]
        rows.append([method, *cells, f"{sum(record['cost'] for record in mine) / len(mine):.0f}"])
    report.add("method", [*(headings[name] for name in columns), "cost"], rows, model)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=30)
    parser.add_argument("--budget", type=int, default=64)
    parser.add_argument("--models", nargs="+", choices=[*MODELS], default=[*MODELS])
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    logging.getLogger("interpreto_mllm").setLevel(logging.ERROR)
    transformers_logging.set_verbosity_error()
    report, records = Report("pointing"), []
    for name in arguments.models:
        found = measure(name, arguments.prompts, arguments.budget)
        print(f"{name} ({MODELS[name][2]}), {arguments.prompts} prompts")
        show(report, found, name)
        records += found
    report.save()
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(records, indent=0))


if __name__ == "__main__":
    main()
