"""Explain the shipped model's answer to one question: in the terminal, as a page and as a picture."""

from pathlib import Path

from transformers.utils import logging

from interpreto_mllm import Granularity, KernelShap, Replace, punctuation
from interpreto_mllm.testbed import load_recall

PROMPT = "the apple is red . the sky is blue . what is the apple ?"
OUTPUT = Path("demo_output")


def main() -> None:
    logging.set_verbosity_error()  # no word of kernels that this small model does well without
    logging.disable_progress_bar()
    model, tokenizer = load_recall()
    explainer = KernelShap(
        model, tokenizer, granularity=Granularity.WORD, occlusion=Replace("<unk>"), pinned=punctuation, budget=512, seed=0
    )
    [explanation] = explainer(PROMPT)
    answer = explanation.span()
    answer.show()
    OUTPUT.mkdir(exist_ok=True)
    answer.to_html(OUTPUT / "explanation.html")
    answer.plot(OUTPUT / "explanation.png")
    print(f"\nWritten: {OUTPUT / 'explanation.html'} and {OUTPUT / 'explanation.png'}")


if __name__ == "__main__":
    main()
