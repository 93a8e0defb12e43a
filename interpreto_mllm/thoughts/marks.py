"""What models write before and after their thoughts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import regex

from interpreto_mllm.core.shown import shown
from interpreto_mllm.prompts.processing import Processing

NAMED = regex.compile(r"<((?:\w+:)?\w*(?:think|thinking|thoughts?|reasoning))>|\[(\w*THINK(?:ING)?)\]")
"""Marks of models that are not listed, each of which opens what its like with a slash closes."""


@dataclass(frozen=True)
class ThoughtMarks:
    """What a model writes before its thoughts, and between these and its answer.

    Args:
        start: such as "<think>".
        end: such as "</think>".
        gap: what stands between the marks and the thoughts, and twice between the end and the answer, where thoughts are given
            as a text.

    Raises:
        TypeError, ValueError: for marks that are no texts, empty or equal.

    Example:
        >>> ThoughtMarks("<think>", "</think>").opens("What now? <think>")
        True
    """

    start: str
    end: str
    gap: str = "\n"

    def __post_init__(self) -> None:
        for name, mark in (("start", self.start), ("end", self.end)):
            if not isinstance(mark, str):
                raise TypeError(f"{name} is the text of a mark, such as '<think>'; got {shown(mark)}.")
            if not mark.strip():
                raise ValueError(f"{name} is empty: give what the model writes there, such as '<think>' and '</think>'.")
        if self.start == self.end:
            raise ValueError(f"start and end are both {self.start!r}, so nobody can tell where thoughts end.")

    def opens(self, text: str) -> bool:
        """Whether a text ends where thoughts begin, as a prompt does whose template opens them."""
        return text.rstrip().endswith(self.start.strip())


KNOWN = (
    ThoughtMarks("<think>", "</think>"),
    ThoughtMarks("[THINK]", "[/THINK]", ""),
    ThoughtMarks("<seed:think>", "</seed:think>"),
    ThoughtMarks("<|channel|>analysis<|message|>", "<|end|><|start|>assistant<|channel|>final<|message|>", ""),
    ThoughtMarks("<|START_THINKING|>", "<|END_THINKING|>", ""),
    ThoughtMarks("<|inner_prefix|>", "<|inner_suffix|>", ""),
    ThoughtMarks("◁think▷", "◁/think▷"),
    ThoughtMarks("<|begin_of_thought|>", "<|end_of_thought|>"),
    ThoughtMarks("<|channel>thought", "<channel|>"),
    ThoughtMarks("Here is my thought process:", "Here is my response:"),
)
"""Those of DeepSeek-R1, Qwen 3 and most others; Magistral; Seed-OSS; gpt-oss; Command A Reasoning; Apertus; Kimi-VL;
OpenThinker; Gemma 4; Granite 3.2."""


def find_marks(processing: Processing) -> ThoughtMarks | None:
    """The marks that a model's chat template writes or cuts out, or that its tokenizer has tokens for; None without any."""
    if not processing.reads_text:
        return None
    template, tokens = _template(processing), set(_added(processing.tokenizer))
    written = (marks for marks in KNOWN if marks.start in template or marks.end in template)
    added = (marks for marks in KNOWN if {marks.start, marks.end} <= tokens)
    ways = (written, _named(template), added, _named("\n".join(sorted(tokens))))
    return next((marks for way in ways for marks in way), None)


def _named(text: str) -> Iterator[ThoughtMarks]:
    """Marks that stand in a text with what closes them."""
    for found in NAMED.finditer(text):
        start = found[0]
        end = f"{start[0]}/{start[1:]}"
        if end in text:
            yield ThoughtMarks(start, end, "" if start[0] == "[" else "\n")


def _template(processing: Processing) -> str:
    """All chat templates of the tokenizer or processor, as one text."""
    given = getattr(processing.templater, "chat_template", None) or ""
    return "\n".join(map(str, given.values())) if isinstance(given, dict) else str(given)


def _added(tokenizer: Any) -> list[str]:
    """The texts of the tokens that were added to the tokenizer's own."""
    return list(tokenizer.get_added_vocab()) if hasattr(tokenizer, "get_added_vocab") else []
