"""Texts as targets of servers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from jaxtyping import Float
from torch import Tensor

from interpreto_mllm.core.labels import labels
from interpreto_mllm.engine.queries import ScoreText
from interpreto_mllm.games.targets import Target
from interpreto_mllm.prompts.model_input import ModelInput


@dataclass(frozen=True, eq=False)
class TextTarget(Target):
    """A text that a server scores, whose tokens are known only by where they end.

    Args:
        text: the answer.
        ends: where each token of it ends, in characters, when it follows `asked`.
        asked: the input after which the server was asked for `ends`.
        known: the values that came with them.
        scored: the tokens whose values count; None for all.
    """

    text: str
    ends: tuple[int, ...]
    asked: ModelInput
    known: tuple[float, ...]
    scored: tuple[int, ...] | None = None

    @property
    def labels(self) -> tuple[str, ...]:
        starts = (0, *self.ends[:-1])
        completed = (next((later for later in self.ends[place:] if later > start), start) for place, start in enumerate(starts))
        texts = labels(self.text, list(zip(starts, completed, strict=True)))
        return tuple(texts if self.scored is None else [texts[place] for place in self.scored])

    def within(self, start: int, end: int) -> TextTarget:
        """The same, of which only the tokens with characters from `start` to `end` count."""
        spans = zip((0, *self.ends[:-1]), self.ends, strict=True)
        return replace(self, scored=tuple(place for place, (low, high) in enumerate(spans) if low < end and high > start))

    @property
    def length(self) -> int:
        return len(self.ends)

    @property
    def content(self) -> tuple[Any, ...]:
        return (self.text, self.ends) if self.scored is None else (self.text, self.ends, self.scored)

    def values(self, scored: Float[Tensor, "b l"]) -> Float[Tensor, "b t"]:
        return scored if self.scored is None else scored[:, list(self.scored)]

    def query(self, input: ModelInput) -> ScoreText:
        return ScoreText(input, self.text, self.ends, self.known if input.key == self.asked.key else None)
