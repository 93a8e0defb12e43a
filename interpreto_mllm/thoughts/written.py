"""A response with thoughts, as the model wrote it or as it was given: where its thoughts and its answer are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from interpreto_mllm.core.shown import shown
from interpreto_mllm.prompts.granularity import Span
from interpreto_mllm.prompts.tokens import Tokens
from interpreto_mllm.thoughts.marks import ThoughtMarks


@dataclass(frozen=True, eq=False)
class Written:
    """A response: what begins the thoughts, the thoughts, what closes them, and the answer.

    Args:
        tokens: all of it; those of marks count as special.
        thoughts: their characters, without the white space around them.
        answer: those of the answer, without the white space around it; none where the answer is scored apart.
    """

    tokens: Tokens
    thoughts: Span
    answer: Span

    @classmethod
    def generated(cls, ids: Sequence[int], tokenizer: Any, marks: ThoughtMarks, opened: bool) -> Written | None:
        """What a model wrote; None where it closed no thoughts.

        Args:
            ids: all tokens of the response, special ones included.
            tokenizer: the model's own.
            marks: around the thoughts.
            opened: whether the prompt ends with the start.
        """
        tokens = Tokens.of_ids(ids, tokenizer)
        text = tokens.text
        begin = text.find(marks.start)
        begins = begin + len(marks.start) if begin >= 0 and not (opened and text[:begin].strip()) else 0 if opened else -1
        ends = text.find(marks.end, max(begins, 0))
        if begins < 0 or ends < 0:
            return None
        inner = text[begins:ends]
        if not inner.strip():
            return None
        first = begins + len(inner) - len(inner.lstrip())
        last = _written_end(tokens)
        after = text[ends + len(marks.end) : last]
        start = ends + len(marks.end) + len(after) - len(after.lstrip())
        span = (first, first + len(inner.strip()))
        return cls(_marked(tokens, span, ends + len(marks.end)), span, (start, max(start, start + len(after.strip()))))

    @classmethod
    def given(cls, thoughts: str, answer: str, tokenizer: Any, marks: ThoughtMarks, opened: bool) -> Written:
        """Thoughts and an answer that were given as texts.

        Args:
            thoughts: without marks.
            answer: empty where it is scored apart.
            tokenizer: the model's own.
            marks: around the thoughts.
            opened: whether the prompt ends with the start.
        """
        lead = "" if opened else marks.start + marks.gap
        close = f"{marks.gap}{marks.end}{2 * marks.gap}"
        thoughts, answer = thoughts.strip(), answer.strip()
        text = f"{lead}{thoughts}{close}{answer}"
        tokens = Tokens.of_text(text, tokenizer, add_special_tokens=False)
        span = (len(lead), len(lead) + len(thoughts))
        return cls(_marked(tokens, span, span[1] + len(marks.gap) + len(marks.end)), span, (len(text) - len(answer), len(text)))

    def behind(self, ids: Sequence[int]) -> Written:
        """The response behind tokens without text, as those that begin a message."""
        tokens, count = self.tokens, len(ids)
        joined = np.concatenate([np.asarray(ids, dtype=np.int64), tokens.ids])
        special = np.concatenate([np.ones(count, dtype=bool), tokens.special])
        return replace(self, tokens=Tokens(tokens.text, joined, ((0, 0),) * count + tokens.offsets, special))

    @property
    def text(self) -> str:
        """All that was written."""
        return self.tokens.text

    @cached_property
    def first(self) -> int:
        """The first token of the thoughts."""
        return self.token_at(self.thoughts[0])

    @cached_property
    def closing(self) -> int:
        """The first token after the thoughts."""
        inside = [index for index in range(len(self.tokens.ids)) if self._visible(index, self.thoughts)]
        return inside[-1] + 1

    @cached_property
    def answering(self) -> int:
        """The first token of the answer; the number of tokens where there is none here."""
        return self.token_at(self.answer[0]) if self.answer[0] < self.answer[1] else len(self.tokens.ids)

    def token_at(self, character: int) -> int:
        """The token that a character is in."""
        return next(index for index, (start, end) in enumerate(self.tokens.offsets) if start <= character < end)

    def tokens_of(self, span: Span) -> tuple[int, int]:
        """The first token of a span and the one after its last."""
        inside = [index for index in range(len(self.tokens.ids)) if self._visible(index, span)]
        return inside[0], inside[-1] + 1

    def span_of(self, part: str | Span) -> Span:
        """The characters of a part of the response.

        Raises:
            ValueError: for a text that does not occur once, or characters outside of the thoughts and the answer.
        """
        if part in ("answer", "thoughts"):
            return self.answer if part == "answer" else self.thoughts
        if isinstance(part, str):
            places = [low + start for low, high in (self.thoughts, self.answer) for start in _places(part, self.text[low:high])]
            if len(places) != 1:
                told = f"occurs {len(places)} times" if places else "does not occur"
                raise ValueError(
                    f"part={shown(part)} {told} in the thoughts and the answer, which read {self.text!r}: give a text that "
                    "occurs once, or (start, end) in characters."
                )
            return places[0], places[0] + len(part)
        start, end = part
        if not any(low <= start < end <= high for low, high in (self.thoughts, self.answer)):
            raise ValueError(
                f"part={part} is no span of the thoughts {self.thoughts} or of the answer {self.answer}, in characters of "
                f"{self.text!r}."
            )
        return start, end

    def _visible(self, index: int, span: Span) -> bool:
        """Whether a token shares a visible character with a span; one of a mark does not."""
        start, end = self.tokens.offsets[index]
        shared = self.text[max(start, span[0]) : min(end, span[1])]
        return bool(shared.strip()) and not self.tokens.special[index]


def _marked(tokens: Tokens, thoughts: Span, closed: int) -> Tokens:
    """The tokens, those counted as special that hold a character of a mark and none of the thoughts or the answer.

    Args:
        tokens: of a response.
        thoughts: their characters.
        closed: where the mark after them ends.
    """
    special = tokens.special.copy()
    for index, (start, end) in enumerate(tokens.offsets):
        before = start < thoughts[0] and bool(tokens.text[start : min(end, thoughts[0])].strip())
        after = start < closed and bool(tokens.text[max(start, thoughts[1]) : min(end, closed)].strip())
        special[index] |= before or (after and end > thoughts[1])
    return replace(tokens, special=special)


def _written_end(tokens: Tokens) -> int:
    """Where the text ends, special tokens at its end aside."""
    written = np.flatnonzero(~tokens.special)
    return tokens.offsets[written[-1]][1] if len(written) else 0


def _places(part: str, text: str) -> list[int]:
    """Where a text occurs in another one."""
    return [start for start in range(len(text) - len(part) + 1) if text.startswith(part, start)]
