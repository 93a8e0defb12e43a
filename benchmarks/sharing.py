"""How many tokens the engine reads of long prompts, beside one plain forward for each evaluation.

    python benchmarks/sharing.py [--sentences 80 400]

The features are sentences of 20 tokens, 80 of which make a prompt of some 1,600 tokens and 400 one of 8,000. The model is a
Llama of one layer with random weights; what a forward costs beyond its tokens, which decides what is worth sharing, is set to
that of a model of 135 million parameters. Tokens of trials are not counted. The best that can be is that each distinct
beginning is read once, as in a tree of the model's inputs. States are those held between forwards at a time, in positions.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import torch
from report import Report
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from interpreto_mllm import (
    Attend,
    Attribution,
    AttributionExplainer,
    Drop,
    GaussianProcessShapley,
    Granularity,
    KernelShap,
    Occlusion,
    Replace,
    ScreenedShapley,
)
from interpreto_mllm.engine import memory, prefix_walk
from interpreto_mllm.engine.prefixes import PrefixOrder
from interpreto_mllm.engine.text_inputs import text_symbols

TOKENS, GROUP, EVALUATIONS, MANY, FORWARD_TOKENS = 20, 8, 96, 400, 22
OCCLUSIONS: dict[str, Any] = {"Drop()": Drop(), 'Replace(".")': Replace("."), "Attend()": Attend()}
Make = Callable[..., AttributionExplainer]


def load() -> tuple[Any, Any]:
    """The model, and a tokenizer with one token a word."""
    words = [".", *(f"w{index}" for index in range(500))]
    backend = Tokenizer(models.WordLevel({word: index for index, word in enumerate(["<pad>", *words])}, unk_token="<pad>"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="<pad>", bos_token="<pad>")
    torch.manual_seed(0)
    memory.FORWARD_TOKENS = FORWARD_TOKENS
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=1,
        max_position_embeddings=16_384,
        pad_token_id=0,
    )
    return LlamaForCausalLM(config).eval(), tokenizer


def prompt_of(sentences: int) -> str:
    """Sentences of random words, and a question at the end."""
    draws = torch.randint(0, 500, (sentences + 1, TOKENS - 1), generator=torch.Generator().manual_seed(sentences))
    return " ".join(" ".join([*(f"w{word}" for word in row), "."]) for row in draws.tolist())


def cases(n: int) -> dict[str, tuple[Make, dict[str, Any]]]:
    """The designs, each a method with its options; the question, the last sentence, is always there."""
    return {
        "each sentence left out": (Occlusion, {}),
        f"each group of {GROUP} left out": (Occlusion, {"groups": [min(index, n + GROUP) // GROUP for index in range(n + 1)]}),
        f"{EVALUATIONS} draws of KernelShap": (KernelShap, {"budget": EVALUATIONS}),
        f"{EVALUATIONS} of GaussianProcessShapley, in rounds": (GaussianProcessShapley, {"budget": EVALUATIONS}),
        f"{MANY} draws of KernelShap": (KernelShap, {"budget": MANY}),
        "ScreenedShapley, in rounds": (ScreenedShapley, {}),
    }


def plain_and_best(explainer: AttributionExplainer, prompt: str, result: Attribution) -> tuple[int, int]:
    """Tokens of one plain forward for each evaluation, and of the tree of all beginnings."""
    game = explainer.game(prompt, "w1")
    inputs = [input for [input] in game.inputs(result.coalitions)]
    read = [input.after(0) if input.seen is None else input for input in inputs]
    symbols = [text_symbols(input) if input.seen is None else text_symbols(input)[input.seen] for input in read]
    shared = int(PrefixOrder(symbols).shared.sum())
    return sum(len(input.ids) for input in inputs), sum(len(each) for each in symbols) - shared


class Watch:
    """The most positions that prefix walks hold beside the states of earlier rounds."""

    def __init__(self) -> None:
        self.most = 0

    def __enter__(self) -> Watch:
        self._below = prefix_walk.PrefixWalk._below
        below, watch = self._below, self

        def watched(walk: Any, block: list[Any], held: int) -> Any:
            watch.most = max(watch.most, held + sum(node.length for node, _ in block))
            return below(walk, block, held)

        prefix_walk.PrefixWalk._below = watched  # pyright: ignore[reportAttributeAccessIssue]
        return self

    def __exit__(self, *_: object) -> None:
        prefix_walk.PrefixWalk._below = self._below


def row(model: Any, tokenizer: Any, n: int, name: str, occlusion: str) -> list[str]:
    """What one design costs."""
    make, options = cases(n)[name]
    prompt = prompt_of(n)
    explainer = make(
        model,
        tokenizer,
        granularity=Granularity.SENTENCE,
        pinned=[n],
        occlusion=OCCLUSIONS[occlusion],
        progress=False,
        **options,
    )
    game = explainer.game(prompt, "w1")
    game(~torch.eye(game.n, dtype=torch.bool)[-2:])  # tries the model
    with Watch() as watch:
        [result] = explainer(prompt, "w1")
    plain, best = plain_and_best(explainer, prompt, result)
    counts = result.counts
    return [
        f"{n} sentences, {name}",
        occlusion,
        f"{counts.evaluations}",
        f"{plain:,}",
        f"{counts.tokens:,}",
        f"{counts.tokens / plain:.2f}",
        f"{best / plain:.2f}",
        f"{watch.most:,}",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sentences", type=int, nargs="+", default=[80, 400])
    arguments = parser.parse_args()
    model, tokenizer = load()
    report = Report("sharing")
    rows = (
        row(model, tokenizer, n, name, occlusion)
        for n in arguments.sentences
        for name in cases(n)
        for occlusion in OCCLUSIONS
        if (n < 400 or occlusion == "Drop()") and not (n == 400 and str(MANY) in name)
    )
    columns = ["absent", "evaluations", "plain tokens", "tokens read", "share", "best", "states held"]
    report.stream("design", columns, rows, "sharing")
    report.save()


if __name__ == "__main__":
    main()
