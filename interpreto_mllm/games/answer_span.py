"""The target that is a part of an answer."""

from __future__ import annotations

from dataclasses import dataclass

from interpreto_mllm.core.numbers import is_whole
from interpreto_mllm.core.shown import shown


@dataclass(frozen=True)
class AnswerSpan:
    """A part of an answer as a target: its tokens, given the prompt and what the answer says before them.

    Args:
        answer: the whole answer, a text; None for the model's own.
        span: the part: a text that occurs once in the answer, or (start, end) in its characters.

    Raises:
        TypeError, ValueError: for anything else, or a part that is not in the answer.

    Example:
        >>> AnswerSpan("The sky is blue today.", "blue").place("The sky is blue today.")
        (11, 15)
    """

    answer: str | None
    span: str | tuple[int, int]

    def __post_init__(self) -> None:
        if self.answer is not None and not isinstance(self.answer, str):
            raise TypeError(f"answer must be a text, or None for the model's own; got {shown(self.answer)}.")
        bounds = isinstance(self.span, tuple) and len(self.span) == 2 and all(map(is_whole, self.span))
        if not bounds and not (isinstance(self.span, str) and self.span.strip()):
            raise ValueError(f"span must be a text in the answer, or (start, end) in its characters; got {shown(self.span)}.")
        if self.answer is not None:
            self.place(self.answer)

    def place(self, answer: str) -> tuple[int, int]:
        """Where the span is in an answer, in characters.

        Raises:
            ValueError: where it is not there, or a text is there more than once.
        """
        if isinstance(self.span, str):
            count = answer.count(self.span)
            if count != 1:
                found = "does not occur" if not count else f"occurs {count} times"
                raise ValueError(f"The span {shown(self.span)} {found} in the answer {shown(answer)}: give (start, end).")
            start = answer.index(self.span)
            return start, start + len(self.span)
        start, end = self.span
        if not 0 <= start < end <= len(answer) or not answer[start:end].strip():
            raise ValueError(
                f"The span ({start}, {end}) holds no text of the answer {shown(answer)}, which has {len(answer)} characters."
            )
        return int(start), int(end)
