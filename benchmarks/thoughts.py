"""Did the thought or the prompt decide? How often each question about a thinking model is answered as planted.

    python benchmarks/thoughts.py [--prompts 30]

The shipped model that thinks is told which thing is like which other and the colours of some, and asked for a colour; in its
thoughts it goes from the thing asked about to the one whose colour is stated (`interpreto_mllm.testbed.sample_chain_prompts`).
What decides is known: directly the last thought; in all the sentences of the prompt that were thought of, and the question.
Every sentence is a feature, and all coalitions are evaluated. *Found* means that the features with the largest scores are
these; the *share* is the median one of Σφ which falls on them. Prints a table and writes
`benchmarks/results/tables/thoughts.json`.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from statistics import median
from typing import Any

import torch
from report import Report
from rich.progress import track

import interpreto_mllm as im
from interpreto_mllm.testbed import ChainPrompt, load_thoughts, sample_chain_prompts

OPTIONS: dict[str, Any] = {"granularity": im.Granularity.SENTENCE, "progress": False, "seed": 0}

Judged = tuple[bool, float]
"""Whether the strongest features are the true ones, and their share of the sum."""


def judged(names: Sequence[str], scores: torch.Tensor, true: set[str]) -> Judged:
    """What these scores say of the true features."""
    strongest = {names[place] for place in scores.topk(len(true)).indices.tolist()}
    share = sum(float(score) for score, name in zip(scores, names, strict=True) if name in true) / float(scores.sum())
    return strongest == true, share


def questions(explainer: im.ExactShapley, prompt: ChainPrompt) -> dict[str, tuple[Judged, int, int]]:
    """Each question about an answer, judged, with its evaluations and its tokens processed."""
    causes = {*prompt.thoughts, prompt.question}
    found: dict[str, tuple[Judged, int, int]] = {}
    [direct] = explainer(prompt.messages, im.Reasoned())
    names = [feature.name for feature in direct.features]
    last = f"thought {len(prompt.thoughts)}: {prompt.thoughts[-1]}"
    judgement = judged(names, direct.span().attributions[0], {last})
    found["direct"] = judgement, direct.counts.evaluations, direct.counts.tokens
    for name, repeats in (("total, likeliest thought", 1), ("total, 4 drawn thoughts", 4)):
        [total] = explainer(prompt.messages, im.Reasoned(effect="total", repeats=repeats))
        texts = [feature.text for feature in total.features]
        judgement = judged(texts, total.span().attributions[0], causes)
        found[name] = judgement, total.counts.evaluations, total.counts.tokens
    traced = im.trace(explainer, prompt.messages)
    games = (*traced.sentences, traced.answer)
    parts = judged([feature.text for feature in traced.features], traced.total, causes)
    evaluations = sum(game.counts.evaluations for game in games)
    found["trace"] = parts, evaluations, sum(game.counts.tokens for game in games)
    return found


def main() -> None:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=30)
    options = parser.parse_args()
    logging.getLogger("transformers").setLevel(logging.ERROR)
    explainer = im.ExactShapley(*load_thoughts(), **OPTIONS)
    every: dict[str, list[tuple[Judged, int, int]]] = {}
    for prompt in track(sample_chain_prompts(options.prompts, seed=31)):
        for name, found in questions(explainer, prompt).items():
            every.setdefault(name, []).append(found)
    report = Report("thoughts")
    rows = []
    for name, found in every.items():
        right, share = sum(one[0] for one, _, _ in found), median(one[1] for one, _, _ in found)
        evaluations, tokens = (sum(one[place] for one in found) / len(found) for place in (1, 2))
        rows.append([name, f"{right} of {len(found)}", f"{100 * share:.0f} %", f"{evaluations:.0f}", f"{tokens:,.0f}"])
    report.add("question", ["found", "share", "evaluations", "tokens processed"], rows, "thoughts")
    report.save()


if __name__ == "__main__":
    main()
