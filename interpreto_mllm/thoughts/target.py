"""The target that is a part of an answer with thoughts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

from interpreto_mllm.core.numbers import is_whole
from interpreto_mllm.core.shown import shown
from interpreto_mllm.prompts.granularity import Granularity, Span, Splitter, check_granularity
from interpreto_mllm.thoughts.marks import ThoughtMarks

Effect = Literal["direct", "total"]
"""Of the prompt: beside the thoughts, which are held fixed, or through them too."""


@dataclass(frozen=True)
class Reasoned:
    """A part of an answer with thoughts, as a target: the answer itself, the thoughts, or any span of either.

    The question is one of two. *Direct*: the model's thoughts are held fixed, and their sentences are features beside those of
    the prompt. *Total*: each coalition thinks anew, so that the features of the prompt also act through the thoughts. The
    result says which, as its `effect`.

    Args:
        part: "answer", "thoughts", or a span: a text that occurs once in the thoughts or the answer, or its (start, end) in
            characters of the whole response. Of a span within the thoughts only what comes before it is a feature.
        effect: "direct" or "total".
        thoughts: the thoughts to hold fixed; the model's own when None. Total effects need none.
        answer: the answer, a text, a `ToolCall`, or a `Contrast` of two; the model's own when None.
        by: what a feature of the thoughts is: sentences by default.
        marks: what the model writes around its thoughts, where neither its chat template nor its tokenizer shows it.
        max_tokens: the most tokens of thoughts: 256 by default, or as many as the context has room for. Thoughts of a coalition
            that reach it are closed there, and the notes count them.
        repeats: how often each coalition thinks; several thoughts are drawn, and values averaged.

    Raises:
        TypeError, ValueError: for anything else.

    Example:
        >>> from interpreto_mllm import ExactShapley, Granularity
        >>> from interpreto_mllm.testbed import load_thoughts
        >>> explainer = ExactShapley(*load_thoughts(), granularity=Granularity.SENTENCE)
        >>> chat = [{"role": "user", "content": "the hat is red . the sky is blue . what colour is the hat ?"}]
        >>> for effect in ("direct", "total"):
        ...     [explanation] = explainer(chat, Reasoned(effect=effect))
        ...     print(effect, explanation.features[int(explanation.attributions[0].argmax())].name)
        direct thought 1: the hat is red .
        total the hat is red .
    """

    part: str | Span = "answer"
    effect: Effect = "direct"
    thoughts: str | None = None
    answer: Any = None
    by: Granularity | Splitter = Granularity.SENTENCE
    marks: ThoughtMarks | None = None
    max_tokens: int | None = None
    repeats: int = 1

    def __post_init__(self) -> None:
        span = isinstance(self.part, tuple) and len(self.part) == 2 and all(map(is_whole, self.part))
        if not span and not (isinstance(self.part, str) and self.part.strip()):
            raise ValueError(
                f"part is 'answer', 'thoughts', a text in either, or (start, end) in characters; got {shown(self.part)}."
            )
        if self.effect not in get_args(Effect):
            raise ValueError(f"effect is 'direct' or 'total'; got {shown(self.effect)}.")
        if self.thoughts is not None and not (isinstance(self.thoughts, str) and self.thoughts.strip()):
            raise ValueError(
                f"thoughts is the text that is held fixed, or None for the model's own; got {shown(self.thoughts)}."
            )
        if self.marks is not None and not isinstance(self.marks, ThoughtMarks):
            raise TypeError(f"marks is ThoughtMarks('<think>', '</think>') or the like; got {shown(self.marks)}.")
        for name, number in (("max_tokens", self.max_tokens), ("repeats", self.repeats)):
            if name == "max_tokens" and number is None:
                continue
            if not is_whole(number) or number < 1:
                raise ValueError(f"{name} must be a positive int; got {shown(number)}.")
        if self.repeats > 1 and self.effect == "direct":
            raise ValueError("repeats is how often each coalition thinks anew, and under effect='direct' thoughts are fixed.")
        if isinstance(check_granularity(self.by), list) or self.by is Granularity.ALL_TOKENS:
            raise ValueError(f"by is Granularity.SENTENCE, WORD, TOKEN or TURN, or a callable; got {shown(self.by)}.")
