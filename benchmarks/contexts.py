"""What long contexts cost on a real model: tokens, seconds and memory, beside one plain forward for each evaluation.

    python benchmarks/contexts.py [--case NAME ...] [--again]

A needle among short sentences answers the question at the end (`needles.py`); the model is SmolLM2-135M-Instruct in single
precision on one thread, under Drop(). The plain loop sorts the same prompts by length and pads batches of 8 on the right; it is
run where that takes no more than minutes, and given as a multiple of our seconds. Each case is the first call in a process of
its own, so that trials of the model are in our seconds; its tokens are without them. Memory is the most that the process took,
Python and its libraries included.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from needles import make_needle
from real_games import chat_model
from report import RESULTS, Report

from interpreto_mllm import Attribution, AttributionExplainer, GaussianProcessShapley, KernelShap, ScreenedShapley

ROWS = 8
ENDING = " while the others were waiting outside in the garden until the evening"


@dataclass(frozen=True)
class Case:
    """A context of short sentences or of some 20 tokens, who explains it, and whether the plain loop is run."""

    sentences: int
    longer: bool
    make: Callable[..., AttributionExplainer]
    budget: int
    plain: bool


CASES = {
    "20 sentences of 20 tokens, 20 of KernelShap": Case(20, True, KernelShap, 20, True),
    "20 sentences, 20 of KernelShap": Case(20, False, KernelShap, 20, True),
    "20 sentences, 60 of KernelShap": Case(20, False, KernelShap, 60, True),
    "20 sentences, 60 of GaussianProcessShapley": Case(20, False, GaussianProcessShapley, 60, True),
    "80 sentences, 8 of KernelShap": Case(80, True, KernelShap, 8, False),
    "80 sentences, 400 of GaussianProcessShapley": Case(80, True, GaussianProcessShapley, 400, False),
    "400 sentences, ScreenedShapley": Case(400, True, ScreenedShapley, 48, False),
}


def explained(case: Case, budget: int) -> tuple[Attribution, Any, AttributionExplainer, str, str]:
    """The result, the game, the explainer, the text and the answer."""
    needle = make_needle(case.sentences, 0)
    ending = ENDING if case.longer else ""
    longer = [text if place == needle.place else f"{text[:-1]}{ending}." for place, text in enumerate(needle.sentences)]
    text = " ".join([*longer, needle.question])

    def sources(prompt: str) -> list[tuple[int, int]]:
        spans, start = [], 0
        for sentence in longer:
            spans.append((start, start + len(sentence)))
            start += len(sentence) + 1
        return spans

    model, tokenizer = chat_model()
    explainer = case.make(model, tokenizer, granularity=sources, budget=budget, progress=False, seed=0)
    target = f" {needle.answer}"
    [result] = explainer(text, target)
    return result, explainer.game(text, target), explainer, text, target


def plain_loop(queries: list[Any]) -> float:
    """CPU seconds of forwards over the same prompts, sorted, in padded batches."""
    model, _ = chat_model()
    rows = sorted(([*query.input.ids.tolist(), *query.continuation] for query in queries), key=len)
    started = time.process_time()
    with torch.no_grad():
        for first in range(0, len(rows), ROWS):
            some = rows[first : first + ROWS]
            ids = torch.nn.utils.rnn.pad_sequence([torch.tensor(row) for row in some], batch_first=True)
            mask = torch.nn.utils.rnn.pad_sequence([torch.ones(len(row)) for row in some], batch_first=True)
            model(input_ids=ids, attention_mask=mask, logits_to_keep=8)
    return time.process_time() - started


def measured(name: str) -> list[str]:
    """One case, in this process."""
    case = CASES[name]
    chat_model()
    started = time.process_time()
    result, game, explainer, text, target = explained(case, case.budget)
    seconds = time.process_time() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    queries = [query for [query] in game.queries(result.coalitions)]
    plain, whole = sum(query.length for query in queries), len(queries) * max(query.length for query in queries)
    loop = f"{plain_loop(queries) / seconds:.2f}×" if case.plain else "–"
    counts = result.counts
    stated = explainer.plan(text, target).memory
    ranked = result.attributions.sum(0).argsort(descending=True)
    first = "yes" if int(ranked[0]) == make_needle(case.sentences, 0).place else "no"
    return [
        f"{name}, {max(query.length for query in queries):,} tokens",
        f"{counts.evaluations}",
        first,
        f"{counts.tokens:,}",
        f"{counts.tokens / plain:.2f}",
        f"{counts.tokens / whole:.2f}",
        f"{seconds:.0f}",
        loop,
        f"{peak / 1e9:.2f} GB",
        "–" if stated is None else f"{stated.total / 1e9:.2f} GB",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", nargs="+", default=list(CASES), choices=list(CASES))
    parser.add_argument("--one", choices=list(CASES), help=argparse.SUPPRESS)
    parser.add_argument("--again", action="store_true", help="measure what is measured already")
    arguments = parser.parse_args()
    folder = RESULTS.parent / "contexts"
    folder.mkdir(parents=True, exist_ok=True)
    if arguments.one:
        torch.set_num_threads(1)
        (folder / f"{arguments.one}.json").write_text(json.dumps(measured(arguments.one)))
        return
    rows = []
    for name in arguments.case:
        path = folder / f"{name}.json"
        if arguments.again or not path.exists():
            subprocess.run([sys.executable, __file__, "--one", name], check=True)
        rows.append(json.loads(path.read_text()))
    report = Report("contexts")
    columns = ["evaluations", "needle first", "tokens", "of plain", "of whole prompts"]
    report.add("context", [*columns, "CPU seconds", "plain loop", "peak", "stated"], rows, "contexts")
    report.save()


if __name__ == "__main__":
    main()
