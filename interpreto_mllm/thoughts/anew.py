"""Prompts about which each coalition thinks anew."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Bool
from torch import Tensor

from interpreto_mllm.core.description import describe
from interpreto_mllm.core.feature import Feature
from interpreto_mllm.core.fingerprint import hashed
from interpreto_mllm.media.state import Medium
from interpreto_mllm.prompts.conversation import Conversation
from interpreto_mllm.prompts.model_input import ModelInput
from interpreto_mllm.prompts.prompt import Hierarchy, Prompt
from interpreto_mllm.thoughts.thinker import Thinker, Thought, joined

TOTAL = (
    "Total effects: each coalition thought anew before the answer, so the scores hold what the prompt does through the "
    "thoughts, besides what it does directly; effect='direct' holds the thoughts fixed."
)
ONE_GUESS = (
    "Each coalition thought once, the likeliest thought. Where features are absent, that is often one guess among several "
    "nearly as likely, and the answer's value jumps with it: repeats=4 averages over drawn thoughts, whose spread is then part "
    "of the standard errors."
)


@dataclass(frozen=True, eq=False)
class Rethinking:
    """A prompt with the thoughts that the model writes about each coalition of its features.

    Args:
        prompt: without thoughts.
        thinker: writes them.
        lead: tokens that begin thoughts.
        close: tokens between thoughts and what is asked about.
    """

    prompt: Prompt
    thinker: Thinker
    lead: tuple[int, ...]
    close: tuple[int, ...]
    effect: ClassVar[str] = "total"

    @property
    def text(self) -> str:
        """That of the prompt."""
        return self.prompt.text

    @property
    def features(self) -> list[Feature]:
        """Those of the prompt."""
        return self.prompt.features

    @property
    def media(self) -> tuple[Medium, ...]:
        """Its images and clips."""
        return self.prompt.media

    @property
    def conversation(self) -> Conversation | None:
        """The chat that it is, None for other inputs."""
        return self.prompt.conversation

    @property
    def notes(self) -> tuple[str, ...]:
        """What the reader of a result must know, how many thoughts were cut so far among it."""
        thinker, notes = self.thinker, (*self.prompt.notes, TOTAL)
        if thinker.count:
            long = f"{thinker.tokens / thinker.count:,.0f} {thinker.unit} long on average"
            notes += (f"{thinker.count:,} thoughts were written, {long}; up to {thinker.limit:,} tokens were allowed.",)
        drawn = f"Each coalition thought {thinker.repeats} times, and is worth the mean."
        notes += (drawn if thinker.repeats > 1 else ONE_GUESS,)
        if thinker.cut:
            notes += (
                f"{thinker.cut:,} of {thinker.count:,} thoughts were cut at {thinker.limit:,} tokens: they were closed there, "
                "and the answer is valued after what there was of them. Raise max_tokens to let them end.",
            )
        return notes

    @property
    def content(self) -> str:
        """How thoughts are written, equal for equal games."""
        return f"{self.thinker.content} {hashed(describe((self.lead, self.close)))}"

    def inputs_for(self, coalitions: Bool[Tensor, "p n"]) -> list[list[ModelInput]]:
        begun = self.begun(coalitions)
        thoughts = iter(self.thinker.about([input for inputs in begun for input in inputs]))
        return [[self._closed(input, thought) for input in inputs for thought in next(thoughts)] for inputs in begun]

    def begun(self, coalitions: Bool[Tensor, "p n"]) -> list[list[ModelInput]]:
        """The inputs of each coalition up to where thoughts begin; the model is not asked."""
        return [[input.continued(self.lead) for input in inputs] for inputs in self.prompt.inputs_for(coalitions)]

    def thoughts(self, coalitions: Bool[Tensor, "p n"]) -> list[tuple[Thought, ...]]:
        """What was thought about each coalition."""
        begun = self.begun(coalitions)
        return [tuple(one for each in self.thinker.about(inputs) for one in each) for inputs in begun]

    def told(self, coalitions: Bool[Tensor, "p n"], answers: int) -> list[list[str]]:
        """The text of the thoughts behind each answer to each coalition, so many answers to each thought."""
        thinker = self.thinker
        return [[thinker.text(thought) for thought in row for _ in range(answers)] for row in self.thoughts(coalitions)]

    def hierarchy(self) -> Hierarchy:
        return self.prompt.hierarchy()

    def _closed(self, input: ModelInput, thought: Thought) -> ModelInput:
        return input.continued(joined(thought.ids, self.close))
