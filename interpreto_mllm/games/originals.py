"""The similarity game's targets: original responses, which those to other inputs are compared with."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

from interpreto_mllm.core.responses import Response
from interpreto_mllm.games.targets import Target, TokenTarget
from interpreto_mllm.prompts.model_input import ModelInput
from interpreto_mllm.similarity.embeddings import PromptedResponse
from interpreto_mllm.thoughts.served import ServedPart


@dataclass(frozen=True, eq=False)
class Original:
    """A response that others are compared with.

    Args:
        response: it.
        input: the whole prompt, which it answers.
        scored: its tokens, where its log-probability after each coalition is wanted too.
        repeatable: whether the model gives it whenever it reads `input`, so that it need not be generated again.
        how: the part of a server's answers that is compared with it; None for all of them.
    """

    response: Response
    input: ModelInput
    scored: TokenTarget | None = None
    repeatable: bool = False
    how: ServedPart | None = None

    @property
    def prompted_response(self) -> PromptedResponse:
        """As comparisons take it."""
        return self.response, self.input

    @property
    def key(self) -> Hashable:
        """Equal for originals that make the same values."""
        return self.response, self.input.key, self.scored


@dataclass(frozen=True, eq=False)
class Compare:
    """How similar are the model's responses to the input to an original one?"""

    input: ModelInput
    original: Original

    @property
    def key(self) -> Hashable:
        return self.input.key, self.original.key


@dataclass(frozen=True, eq=False)
class ResponseTarget(Target):
    """An original response, whose one value is the similarity to it."""

    original: Original

    @property
    def labels(self) -> tuple[str, ...]:
        return (self.original.response.text,)

    @property
    def length(self) -> int:
        return 1

    @property
    def content(self) -> tuple[Any, ...]:
        return (self.original.response.text,)

    def query(self, input: ModelInput) -> Compare:
        return Compare(input, self.original)
