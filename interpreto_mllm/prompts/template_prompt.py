"""Templates as prompts: as a whole text, or in the messages of a chat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Int
from torch import Tensor

from interpreto_mllm.core.feature import Feature
from interpreto_mllm.media.state import Medium, State, notes_of
from interpreto_mllm.prompts.conversation import Conversation
from interpreto_mllm.prompts.granularity import Span
from interpreto_mllm.prompts.model_input import ModelInput
from interpreto_mllm.prompts.prompt import Hierarchy
from interpreto_mllm.prompts.template import Template
from interpreto_mllm.prompts.tokens import Tokens


@dataclass(frozen=True, eq=False)
class Filled:
    """A prompt with something in its slots.

    Args:
        tokens: of all of it.
        spans: where each slot lies in the text of the tokens.
        types: of the tokens, where the processor gives some.
        of_message: the role and turn of the message that each of the spans is in.
    """

    tokens: Tokens
    spans: Mapping[str, Sequence[Span]]
    types: Int[np.ndarray, "l"] | None = None
    of_message: Mapping[str, Sequence[tuple[str, int | None]]] = field(default_factory=dict)


@runtime_checkable
class Frame(Protocol):
    """What is around templates, and how it is read."""

    @property
    def media(self) -> tuple[Medium, ...]:
        """The images and clips, which are always there."""
        ...

    @property
    def conversation(self) -> Conversation | None:
        """The chat with all values, None for other prompts."""
        ...

    def filled(self, row: Mapping[str, Any]) -> Filled:
        """The prompt with these in its slots."""
        ...


@dataclass(frozen=True, eq=False)
class NoFrame:
    """A template is the whole text.

    Args:
        template: the text.
        tokenizer: the model's own.
    """

    template: Template
    tokenizer: Any
    media: tuple[Medium, ...] = ()
    conversation: None = None

    def filled(self, row: Mapping[str, Any]) -> Filled:
        """The text with these in its slots."""
        text, spans = self.template.written(row)
        return Filled(Tokens.of_text(text, self.tokenizer), spans)


@dataclass(frozen=True, eq=False)
class TemplatePrompt:
    """A template as a prompt: each coalition is filled in and tokenised as if it had been written that way.

    Args:
        template: what is filled in.
        frame: what is around it.
        owner: feature of each slot, or -1 where it always has its value.
        features: the players.
    """

    template: Template
    frame: Frame
    owner: Int[np.ndarray, "slots"]
    features: list[Feature]

    @classmethod
    def of(cls, template: Template, frame: Frame) -> TemplatePrompt:
        """The prompt of a template; the features' spans are where the values lie in the filled text."""
        whole = frame.filled(template.values)
        features = [_feature(slot, whole) for slot in template.slots]
        return cls(template, frame, np.arange(len(features)), features)

    @cached_property
    def whole(self) -> Filled:
        """The prompt with all values."""
        return self.frame.filled(self.template.values)

    @property
    def text(self) -> str:
        """The template with all its values, and what is around it."""
        return self.whole.tokens.text

    @property
    def media(self) -> tuple[Medium, ...]:
        """The images and clips around the template, which are always there."""
        return self.frame.media

    @property
    def conversation(self) -> Conversation | None:
        """The chat with all values, where it is one."""
        return self.frame.conversation

    @property
    def notes(self) -> tuple[str, ...]:
        """What the reader of a result must know of the baselines, and of images and clips."""
        return (*notes_of(self.media), *self.used.notes)

    @cached_property
    def used(self) -> Template:
        """The template without the baselines of slots that always have their values."""
        baselines = self.template.baselines
        if not isinstance(baselines, Mapping):
            return self.template
        pinned = {slot for slot, feature in zip(self.template.slots, self.owner.tolist(), strict=True) if feature < 0}
        left = {slot: self.template.values[slot] if slot in pinned else given for slot, given in baselines.items()}
        return replace(self.template, baselines=left)

    def inputs_for(self, coalitions: Bool[Tensor, "p n"]) -> list[list[ModelInput]]:
        with_none = np.concatenate([coalitions.cpu().numpy(), np.ones((len(coalitions), 1), dtype=bool)], axis=1)
        return [[self._input(row) for row in self.used.rows(present)] for present in with_none[:, self.owner].tolist()]

    def _input(self, row: Mapping[str, Any]) -> ModelInput:
        filled = self.frame.filled(row)
        return ModelInput(filled.tokens.ids, None, filled.types, tuple(map(State.whole, self.media)))

    @property
    def token_owner(self) -> Int[np.ndarray, "l"]:
        """The feature that each token of the filled text belongs to, or -1."""
        tokens = self.whole.tokens
        spans = [(index, span) for index, feature in enumerate(self.features) for span in feature.spans]
        of_span = tokens.owners([span for _, span in spans], [(0, len(tokens.text))])
        owner = np.asarray([spans[index][0] if index >= 0 else -1 for index in of_span], dtype=np.int64)
        owner[tokens.special] = -1
        return owner

    def hierarchy(self) -> Hierarchy:
        return list(range(len(self.features)))


def _feature(slot: str, whole: Filled) -> Feature:
    """A slot as a feature; the role and turn of its messages are kept where they agree."""
    spans, messages = whole.spans[slot], whole.of_message.get(slot, ())
    roles, turns = {role for role, _ in messages}, {turn for _, turn in messages}
    text = whole.tokens.text[slice(*spans[0])]
    shown = tuple(span for span in spans if span[0] < span[1])
    return Feature(text, shown, (), roles.pop() if len(roles) == 1 else None, turns.pop() if len(turns) == 1 else None)
