"""Two texts that a model reads together: a premise and a hypothesis, a question and its context, a query and a document."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Int

from interpreto_mllm.core.shown import shown
from interpreto_mllm.prompts.checks import check_text
from interpreto_mllm.prompts.granularity import Span
from interpreto_mllm.prompts.processing import TYPES
from interpreto_mllm.prompts.splitter import Region
from interpreto_mllm.prompts.tokens import Tokens


@dataclass(frozen=True)
class Pair:
    """Two texts, put together as the tokenizer does with `tokenizer(first, second)`. The words of both are features.

    Args:
        first: a premise, a question, a query.
        second: a hypothesis, a context, a document.
        names: what the two are called; the `role` of their features.

    Raises:
        TypeError: for anything but texts.

    Example:
        >>> Pair("It rains.", "It is wet.", names=("premise", "hypothesis")).names
        ('premise', 'hypothesis')
    """

    first: str
    second: str
    names: tuple[str, str] = ("first", "second")

    def __post_init__(self) -> None:
        for text in (self.first, self.second):
            if not isinstance(text, str):
                raise TypeError(f"A Pair is of two texts, Pair('It rains.', 'It is wet.'); got {shown(text)}.")

    def read(self, tokenizer: Any, positions: int | None) -> tuple[Tokens, Int[np.ndarray, "l"] | None, list[Region]]:
        """The tokens of both, their types if the tokenizer gives some, and where each text is in the text of both.

        Raises:
            ValueError: for an empty text, and a tokenizer that does not put two texts one after the other.
        """
        for text in (self.first, self.second):
            check_text(text, tokenizer, positions)
        encoded = tokenizer(self.first, self.second, truncation=False, verbose=False)
        ids, start = list(encoded["input_ids"]), 0
        offsets: list[Span] = [(0, 0)] * len(ids)
        special = np.ones(len(ids), dtype=bool)
        whole = f"{self.first}\n{self.second}"
        for text, shift in ((self.first, 0), (self.second, len(self.first) + 1)):
            own = Tokens.of_text(text, tokenizer, add_special_tokens=False)
            at = next((at for at in range(start, len(ids)) if ids[at : at + len(own.ids)] == own.ids.tolist()), None)
            if at is None or not len(own.ids):
                raise ValueError(f"{type(tokenizer).__name__} writes the texts of a pair in another way than each by itself.")
            start = at + len(own.ids)
            special[at:start] = own.special
            offsets[at:start] = [(low + shift, high + shift) for low, high in own.offsets]
        types = next((np.asarray(encoded[name], dtype=np.int64) for name in TYPES if name in encoded), None)
        spans = ((0, len(self.first)), (len(self.first) + 1, len(whole)))
        regions = [Region(span, name) for span, name in zip(spans, self.names, strict=True)]
        return Tokens(whole, np.asarray(ids, dtype=np.int64), tuple(offsets), special), types, regions
