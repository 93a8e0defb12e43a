"""How a text is cut into features: tokens, words, sentences, chat turns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any

import regex

from interpreto_mllm.core.numbers import is_whole
from interpreto_mllm.core.shown import shown
from interpreto_mllm.prompts.sentences import split_sentences

Span = tuple[int, int]
"""Start and end (exclusive) of a piece of text, in characters."""

Splitter = Callable[[str], Sequence[Span]]
"""A user's own granularity: from a text to the spans of its features, in order and without overlap."""

_WORD = regex.compile(
    r"[\p{Han}\p{Hiragana}\p{Katakana}ー\p{Thai}\p{Lao}\p{Khmer}]\p{M}*"  # written without spaces: one sign, one word
    r"|(?:(?![\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}])[\p{L}\p{N}_]\p{M}*)+"
    r"(?:['’\-.,:/@][\p{L}\p{N}_]\p{M}*(?:(?![\p{Han}\p{Hiragana}\p{Katakana}])[\p{L}\p{N}_]\p{M}*)*)*"
    r"|\X"
)


class Granularity(Enum):
    """What the features of a text are.

    `ALL_TOKENS` is every token the model reads, special tokens and chat markup included; `TOKEN` every token of what the user
    wrote; `WORD`, `SENTENCE` and `TURN` (a whole chat message, or a whole plain prompt) join the tokens that make one up.
    Punctuation is a word of its own; in scripts written without spaces every sign is a word.

    Example:
        >>> [ "the sky, it's 空色 🙂"[a:b] for a, b in Granularity.WORD.split("the sky, it's 空色 🙂") ]
        ['the', 'sky', ',', "it's", '空', '色', '🙂']
    """

    ALL_TOKENS = "all_tokens"
    TOKEN = "token"
    WORD = "word"
    SENTENCE = "sentence"
    TURN = "turn"

    def split(self, text: str) -> list[Span]:
        """Spans of the words, the sentences or the turn in a text (token granularities have no spans of their own)."""
        if self is Granularity.WORD:
            return [match.span() for match in _WORD.finditer(text) if not match.group().isspace()]
        if self is Granularity.SENTENCE:
            return split_sentences(text)
        if self is Granularity.TURN:
            stripped = text.strip()
            start = text.find(stripped)
            return [(start, start + len(stripped))] if stripped else []
        raise ValueError(f"{self} cuts token ids, not text; words, sentences and turns have spans.")


BY_TOKEN = (Granularity.TOKEN, Granularity.ALL_TOKENS)
"""Granularities of which every feature is one token."""


def check_granularity(granularity: object) -> Granularity | Splitter | list[Span]:
    """The granularity as given, or an error that lists what is accepted."""
    if isinstance(granularity, Granularity) or (callable(granularity) and not isinstance(granularity, type)):
        return granularity  # type: ignore[return-value]
    if isinstance(granularity, str):
        raise ValueError(f"granularity must be a member such as Granularity.WORD, not the string {granularity!r}.")
    if isinstance(granularity, Sequence) and all(isinstance(s, (tuple, list)) and len(s) == 2 for s in granularity):
        return check_spans(granularity, None)
    names = ", ".join(f"Granularity.{member.name}" for member in Granularity)
    raise ValueError(
        f"granularity must be one of {names}, a callable from a text to spans, or a list of (start, end); got "
        f"{shown(granularity)}."
    )


def check_spans(spans: Any, text: str | None) -> list[Span]:
    """The spans as a list, checked: ordered, not overlapping, within the text.

    Raises:
        TypeError: for anything but pairs of whole numbers.
        ValueError: naming the first span that is wrong.
    """
    try:
        pairs: list[tuple[Any, Any]] = [(start, end) for start, end in spans]
    except (TypeError, ValueError):
        pairs = [(None, None)]
    if isinstance(spans, str) or not all(is_whole(edge) for pair in pairs for edge in pair):
        raise TypeError(f"A granularity gives a list of (start, end), in characters; got {shown(spans)}.")
    checked = [(int(start), int(end)) for start, end in pairs]
    previous_end = 0
    for start, end in checked:
        if start < previous_end or end <= start or (text is not None and end > len(text)):
            limit = "" if text is None else f" and at most {len(text)}, the length of the text"
            raise ValueError(f"Span ({start}, {end}) is wrong: spans must be in order, not overlap, not be empty{limit}.")
        previous_end = end
    return checked
