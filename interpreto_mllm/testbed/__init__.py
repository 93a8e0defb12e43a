"""A tiny trained model whose answers have known causes, and the prompts that show them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from interpreto_mllm.testbed.facts import FactPrompt, Word, sample_fact_prompts

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

__all__ = ["RECALL", "FactPrompt", "Word", "load_recall", "sample_fact_prompts"]

RECALL = Path(__file__).parent / "recall"
"""The folder of the shipped model, as written by `save_pretrained`."""


def load_recall() -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    """The shipped model, in evaluation mode and fp32, and its tokenizer. Nothing is downloaded.

    It answers questions about facts in its prompt, as plain text or as a chat, and is trained so that without the fact, or
    without the object asked for, every attribute is about equally likely.

    Example:
        >>> model, tokenizer = load_recall()
        >>> prompt = tokenizer("the apple is red . the sky is blue . what is the apple ?", return_tensors="pt")
        >>> tokenizer.decode(model.generate(**prompt)[0, prompt["input_ids"].shape[1]:], skip_special_tokens=True)
        'red'
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(RECALL, dtype=torch.float32, local_files_only=True)
    return model.eval(), AutoTokenizer.from_pretrained(RECALL, local_files_only=True)
