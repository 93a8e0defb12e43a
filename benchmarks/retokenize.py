"""What the seams of dropped text cost: the log-probability of what follows, with and without tokenising it again.

Downloads SmolLM2-135M-Instruct unless a folder with a causal language model and its tokenizer is given.
"""

from __future__ import annotations

import argparse

import torch
import transformers as hf

from interpreto_mllm import Drop, ExactShapley, Granularity

TEXTS = [
    ("It rained all night. The streets of the town are", " wet"),
    ("Paris is a large city. The capital of France is", " Paris"),
    ("My sister likes apples. A banana is usually", " yellow"),
    ("We met on Monday. The day after Monday is", " Tuesday"),
    ("He bought a new car. Water freezes at zero degrees", " Celsius"),
]
CUT = ("The unbelievable story", [(0, 3), (4, 6), (6, 12), (12, 16), (17, 22)])


def main() -> None:
    """Print the differences."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="HuggingFaceTB/SmolLM2-135M-Instruct")
    given = parser.parse_args()
    model = hf.AutoModelForCausalLM.from_pretrained(given.model).eval()
    tokenizer = hf.AutoTokenizer.from_pretrained(given.model)
    gaps = []
    for text, answer in TEXTS:
        absent = torch.tensor([[False, True]])
        options = {"granularity": Granularity.SENTENCE}
        kept, again = (
            ExactShapley(model, tokenizer, occlusion=Drop(retokenize=mode), **options).game(text, answer)(absent)
            for mode in (False, True)
        )
        gaps.append(float(again.sum() - kept.sum()))
        print(f"{text!r} without its first sentence: {float(kept.sum()):.2f} with the blank, {float(again.sum()):.2f} without")
    print(f"mean absolute difference: {sum(map(abs, gaps)) / len(gaps):.2f} nats per token of the answer")
    text, spans = CUT
    for mode in (False, True):
        game = ExactShapley(model, tokenizer, granularity=spans, occlusion=Drop(retokenize=mode)).game(text, " of")
        present = torch.tensor([[True, False, True, True, True]])
        print(f"'un' left out of {text!r}, retokenize={mode}: {float(game(present).sum()):.2f}")


if __name__ == "__main__":
    main()
