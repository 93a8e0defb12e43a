"""What shows cheaply which features of a prompt matter? Signals to screen by, on prompts whose causes are known.

    python benchmarks/screening.py [--prompts 30]

The shipped text model answers a question about one of six facts; three words cause the answer: the object and the attribute of
the fact, and the object of the question. Printed are, for each signal, the share of them among the three and the six strongest
words, evaluations or points, and tokens read as a multiple of those of the prompt. A smaller proxy model is not among them, as
there is none of the shipped model.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from typing import Any

import torch
from report import Report
from torch import Tensor

from interpreto_mllm import (
    Attribution,
    HierarchicalShapley,
    InputXGradient,
    KernelShap,
    Occlusion,
    Saliency,
    ScreenedShapley,
    punctuation,
)
from interpreto_mllm.testbed import load_recall, sample_fact_prompts
from interpreto_mllm.testbed.facts import FactPrompt

OPTIONS: dict[str, Any] = {"pinned": punctuation, "progress": False}
METHODS: dict[str, Callable[[int], tuple[type, dict[str, Any]]]] = {
    "chains of groups (ScreenedShapley)": lambda n: (ScreenedShapley, {"budget": 2 * n}),
    "groups left out and put in (HierarchicalShapley)": lambda n: (HierarchicalShapley, {"budget": 2 * n}),
    "each word left out": lambda n: (Occlusion, {}),
    "KernelShap": lambda n: (KernelShap, {"budget": 2 * n}),
    "input times gradient": lambda n: (InputXGradient, {}),
    "norm of the gradient": lambda n: (Saliency, {}),
}


def attention(model: Any, tokenizer: Any, result: Attribution) -> Tensor:
    """What the last token attends to, the mean over layers and heads; of the words of a result."""
    ids = tokenizer(result.text, return_tensors="pt")["input_ids"]
    kind, model.config._attn_implementation = model.config._attn_implementation, "eager"
    try:
        with torch.no_grad():
            layers = model(input_ids=ids, output_attentions=True).attentions
    finally:
        model.config._attn_implementation = kind
    last = torch.stack([layer[0, :, -1].mean(0) for layer in layers if layer is not None]).mean(0)
    return torch.stack([last[list(feature.positions)].sum() for feature in result.features])


def recovered(scores: Tensor, result: Attribution, prompt: FactPrompt, k: int) -> float:
    """The share of the causes among the k strongest words."""
    strongest = {result.features[place].spans[0] for place in scores.abs().topk(k).indices.tolist()}
    return statistics.fmean(cause.span in strongest for cause in prompt.causes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=30)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    model, tokenizer = load_recall()
    records: dict[str, list[tuple[float, ...]]] = {}
    for prompt in sample_fact_prompts(arguments.prompts, facts=6, seed=0):
        length = len(tokenizer(str(prompt.prompt))["input_ids"])
        n = KernelShap(model, tokenizer, **OPTIONS).game(prompt.prompt, prompt.answer).n
        for name, make in METHODS.items():
            method, options = make(n)
            [result] = method(model, tokenizer, **OPTIONS, **options)(prompt.prompt, prompt.answer)
            shares = [recovered(result.attributions[0], result, prompt, k) for k in (3, 6)]
            records.setdefault(name, []).append((*shares, max(result.counts.evaluations, 1), result.counts.tokens / length))
        scores = attention(model, tokenizer, result)
        shares = [recovered(scores, result, prompt, k) for k in (3, 6)]
        records.setdefault("attention of the last token", []).append((*shares, 1, 1.0))
    report = Report("screening")
    rows = []
    for name, found in records.items():
        three, six, evaluations, tokens = (statistics.fmean(column) for column in zip(*found, strict=True))
        rows.append([name, f"{three:.0%}", f"{six:.0%}", f"{evaluations:.0f}", f"{tokens:.1f}"])
    report.add(f"causes found in {arguments.prompts} prompts", ["of 3", "of 6", "evaluations", "tokens"], rows, "signals")
    report.save()


if __name__ == "__main__":
    main()
