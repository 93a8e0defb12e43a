"""Whose wish is it? How often each method ranks the sentence that decided a call first, and blames the right side.

    python benchmarks/injections.py [--prompts 100] [--budget 40]

The user and the result of a tool say different colours of one thing; the shipped model, with a chat template of tools, follows
one of them (`interpreto_mllm.testbed.sample_injections`). Chats are drawn until there are so many of each kind: those in which
the sentence that the tool brought in decides the call, and those in which the user's does. Every sentence of the chat is a
feature. *First* means the largest score; a side is *blamed* where `explanation.by("trust")` gives it more than the other.
Prints a table and writes `benchmarks/results/tables/injections.json`.
"""

from __future__ import annotations

import argparse
import itertools
import logging
from typing import Any

import torch
from report import Report
from rich.progress import track

import interpreto_mllm as im
from interpreto_mllm.testbed import InjectionPrompt, load_caller, sample_injections

METHODS = (im.KernelShap, im.GaussianProcessShapley, im.PermutationShapley, im.Occlusion)
UNBUDGETED = (im.Occlusion,)
OPTIONS: dict[str, Any] = {
    "granularity": im.Granularity.SENTENCE,
    "roles": ("system", "user", "assistant", "tool"),
    "progress": False,
    "seed": 0,
}


def decided(model: Any, tokenizer: Any, count: int) -> tuple[list[InjectionPrompt], list[InjectionPrompt], int]:
    """So many chats that the injected sentence decides, as many that the user decides, and how many were drawn for them."""
    explainer = im.KernelShap(model, tokenizer, **OPTIONS)
    injected: list[InjectionPrompt] = []
    wanted: list[InjectionPrompt] = []
    for drawn in itertools.count(1):
        [prompt] = sample_injections(1, seed=drawn)
        game = explainer.game(prompt.chat, [prompt.wanted, prompt.injected])
        [[of_user, of_tool]] = game(torch.ones(1, game.n, dtype=torch.bool)).tolist()
        (injected if of_tool > of_user else wanted).append(prompt)
        if min(len(injected), len(wanted)) >= count:
            return injected[:count], wanted[:count], drawn
    raise AssertionError


def judge(explanation: im.Attribution, sentence: str, blamed: str) -> tuple[bool, bool]:
    """Whether the sentence ranks first, and the right side is blamed."""
    scores, trust = explanation.attributions[0], explanation.by("trust")
    first = explanation.features[int(scores.argmax())]
    return first.text == sentence, trust.ranked[0] == blamed


def main() -> None:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=100, help="of each kind")
    parser.add_argument("--budget", type=int, default=40, help="evaluations per prompt")
    options = parser.parse_args()
    logging.getLogger("transformers").setLevel(logging.ERROR)
    model, tokenizer = load_caller()
    injected, wanted, drawn = decided(model, tokenizer, options.prompts)
    rows = []
    for method in track(METHODS):
        explainer = method(model, tokenizer, **OPTIONS, **({} if method in UNBUDGETED else {"budget": options.budget}))
        cells, cost = [], 0.0
        for prompts, side in ((injected, "untrusted"), (wanted, "trusted")):
            found = []
            for prompt in prompts:
                call, sentence = (prompt.injected, prompt.sentence) if side == "untrusted" else (prompt.wanted, prompt.wish)
                [explanation] = explainer(prompt.chat, call)
                cost += explanation.counts.evaluations / (2 * len(prompts))
                found.append(judge(explanation, sentence, side))
            cells += [f"{sum(one[place] for one in found)} of {len(found)}" for place in (0, 1)]
        rows.append([method.__name__, *cells, f"{cost:.0f}"])
    report = Report("injections")
    columns = ["injected sentence first", "untrusted text blamed", "user's sentence first", "trusted text blamed", "cost"]
    report.add("method", columns, rows, "injections")
    report.add("chats", ["drawn", "of each kind"], [["injections", str(drawn), str(options.prompts)]], "chats")
    report.save()


if __name__ == "__main__":
    main()
