"""Answers that end because no more tokens were allowed, some of them before the answer itself began."""

from __future__ import annotations

from typing import Any

from interpreto_mllm.prompts.model_input import ModelInput
from interpreto_mllm.thoughts.marks import KNOWN

CHANNELS = ("<|channel|>analysis", "<|channel|>final")
THINKING = (CHANNELS, *((marks.start, marks.end) for marks in KNOWN if not marks.start.startswith(CHANNELS[0])))
"""What models write before and after their thinking."""

TAIL = 8
"""Tokens at a prompt's end in which the template may begin the thinking."""


def is_thinking(text: str) -> bool:
    """Whether a text ends within the model's thinking.

    Example:
        >>> is_thinking("<think>The sky"), is_thinking("<think>The sky</think>It is blue")
        (True, False)
    """
    return any(text.rfind(begin) > text.rfind(end) for begin, end in THINKING)


def text_before(input: ModelInput, tokenizer: Any) -> str:
    """The beginning of the model's thinking, where the prompt ends with it; empty else."""
    tail = str(tokenizer.decode(input.ids[-TAIL:].tolist())).rstrip() if len(input.ids) else ""
    return next((begin for begin, _ in THINKING if tail.endswith(begin)), "")


def notes_on_cut(limit: int, text: str, at_end_of_context: bool = False) -> tuple[str, ...]:
    """What the reader of a result must know about an answer that was cut.

    Args:
        limit: how many tokens it has.
        text: the answer, behind what the prompt began.
        at_end_of_context: whether the model had no room for more, although more were allowed.
    """
    if at_end_of_context:
        return (f"The model's own answer was cut at {limit} tokens, where its context ends: shorten the prompt.",)
    raised = "raise generate={'max_new_tokens': …}"
    if is_thinking(text):
        return (
            f"The model's own answer was cut at {limit} tokens, within its thinking, so that the thinking is explained and no "
            f"answer: {raised}, or turn its thinking off.",
        )
    return (f"The model's own answer was cut at {limit} tokens: {raised} to explain all of it.",)
