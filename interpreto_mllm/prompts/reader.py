"""From what a user gives to prompts: strings, chats, encodings and templates, cut into features."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from interpreto_mllm.feature import Feature
from interpreto_mllm.prompts.chat import check_chat, is_chat, render_chat
from interpreto_mllm.prompts.filters import Pins, unpinned
from interpreto_mllm.prompts.granularity import Granularity, Span, Splitter, check_spans
from interpreto_mllm.prompts.occlusion import Occlusion, Reading
from interpreto_mllm.prompts.prompt import Prompt, TokenPrompt, joined
from interpreto_mllm.prompts.template import Template, TemplatePrompt
from interpreto_mllm.prompts.tokens import Tokens

Groups = Callable[[list[Feature]], Sequence[object]] | Sequence[object]


@dataclass(frozen=True)
class Region:
    """A piece of the prompt's text that somebody wrote, whose parts may be players."""

    span: Span
    role: str | None = None
    turn: int | None = None


@dataclass(frozen=True)
class PromptReader:
    """Reads inputs into prompts: which parts are players, and how an absent one disappears.

    Args:
        tokenizer: the model's own.
        granularity: what a feature is.
        occlusion: how it disappears, already prepared for this tokenizer.
        roles: chat roles whose messages are explained.
        pinned: features that are always present, by text, index or a filter; they get no score.
        groups: one label per feature, or a callable giving them; features with equal labels are one player.
    """

    tokenizer: Any
    granularity: Granularity | Splitter | list[Span]
    occlusion: Occlusion
    roles: Collection[str]
    pinned: Pins
    groups: Groups | None

    def read(self, inputs: Any) -> list[Prompt]:
        """One prompt per input.

        Raises:
            TypeError: for an input of an unknown kind.
            ValueError: for an empty one, or one of which nothing is left to explain.
        """
        if isinstance(inputs, Mapping):
            return [self._encoded(inputs, row) for row in range(_rows(inputs))]
        if isinstance(inputs, (str, Template)) or is_chat(inputs):
            return [self._one(inputs)]
        if isinstance(inputs, (list, tuple)):
            if not inputs:
                raise ValueError("There are no inputs: the list is empty.")
            return [self._one(one) for one in inputs]
        raise TypeError(_accepted(inputs))

    def _one(self, one: Any) -> Prompt:
        if isinstance(one, Template):
            return self._playing(TemplatePrompt.of(one, self.tokenizer))
        if isinstance(one, str):
            if not one.strip():
                raise ValueError("The prompt is empty: there is nothing to explain.")
            return self._cut(Tokens.of_text(one, self.tokenizer), [Region((0, len(one)))])
        if is_chat(one):
            return self._chat(one)
        raise TypeError(_accepted(one))

    def _chat(self, messages: list[dict]) -> Prompt:
        check_chat(messages, self.tokenizer)
        text, spans = render_chat(messages, self.tokenizer)
        present = {message["role"] for message in messages}
        if not present & set(self.roles):
            raise ValueError(f"No message has a role to explain: roles={sorted(self.roles)}, the chat has {sorted(present)}.")
        regions = [
            Region(span, message["role"], turn)
            for turn, (message, span) in enumerate(zip(messages, spans, strict=True))
            if message["role"] in self.roles and span[0] < span[1]
        ]
        if not regions:
            raise ValueError("The messages to explain are empty: there is nothing to explain.")
        return self._cut(Tokens.of_text(text, self.tokenizer, add_special_tokens=False), regions)

    def _encoded(self, encoding: Mapping[str, Any], row: int) -> Prompt:
        """One row of an encoding, without its padding; the ids are used as they are."""
        ids = _row(encoding["input_ids"], row)
        mask = _row(encoding["attention_mask"], row) > 0 if "attention_mask" in encoding else np.ones(len(ids), dtype=bool)
        if not mask.any():
            raise ValueError(f"Row {row} of the encoding is empty: it has no ids that its attention mask lets through.")
        segments = _row(encoding["token_type_ids"], row)[mask] if "token_type_ids" in encoding else None
        tokens = Tokens.of_ids(ids[mask].tolist(), self.tokenizer)
        return self._cut(tokens, [Region((0, len(tokens.text)))], segments)

    def _cut(self, tokens: Tokens, regions: list[Region], segments: np.ndarray | None = None) -> Prompt:
        """The prompt whose features are the pieces of these regions."""
        if isinstance(self.granularity, Granularity) and "TOKEN" in self.granularity.name:
            owner, features = self._by_token(tokens, regions)
        else:
            owner, features = self._by_span(tokens, regions)
        if not features:
            raise ValueError("Nothing is left to explain: the prompt has no features at this granularity.")
        spans = tuple(region.span for region in regions)
        return self._playing(
            TokenPrompt(tokens.text, Reading(tokens.ids, None, segments), owner, features, self.occlusion, spans)
        )

    def _playing(self, prompt: TokenPrompt | TemplatePrompt) -> Prompt:
        """The prompt with pinned features out of the game and those of a group as one player."""
        features = prompt.features
        groups = self.groups(features) if callable(self.groups) else self.groups
        if groups is not None and len(groups) != len(features):
            raise ValueError(f"groups needs one label per feature: {len(features)} features, {len(groups)} labels.")
        owner, players = joined(prompt.owner, features, unpinned(features, self.pinned), groups)
        return replace(prompt, owner=owner, features=players)

    def _by_token(self, tokens: Tokens, regions: list[Region]) -> tuple[np.ndarray, list[Feature]]:
        every = self.granularity is Granularity.ALL_TOKENS
        region_of = tokens.owners([region.span for region in regions], [region.span for region in regions])
        owner = np.full(len(tokens.ids), -1, dtype=np.int64)
        features: list[Feature] = []
        for position, (start, end) in enumerate(tokens.offsets):
            if not every and (tokens.special[position] or region_of[position] < 0):
                continue
            region = regions[region_of[position]] if region_of[position] >= 0 else Region((0, 0))
            text = tokens.text[start:end] or self.tokenizer.convert_ids_to_tokens(int(tokens.ids[position]))
            span = ((start, end),) if end > start else ()
            owner[position] = len(features)
            features.append(Feature(text, span, (position,), region.role, region.turn))
        return owner, features

    def _by_span(self, tokens: Tokens, regions: list[Region]) -> tuple[np.ndarray, list[Feature]]:
        pieces = [(span, region) for region in regions for span in self._split(tokens.text, region)]
        owner = tokens.owners([span for span, _ in pieces], [region.span for region in regions])
        owner[tokens.special] = -1
        held = [index for index in range(len(pieces)) if (owner == index).any()]
        renumber = {old: new for new, old in enumerate(held)}
        features = []
        for index, following in zip(held, [*held, len(pieces)][1:], strict=True):
            (start, _), region = pieces[index]
            end = self._end(tokens, owner == index, [span for span, _ in pieces[index:following]])
            positions = tuple(int(position) for position in np.flatnonzero(owner == index))
            features.append(Feature(tokens.text[start:end], ((start, end),), positions, region.role, region.turn))
        return np.asarray([renumber.get(int(index), -1) for index in owner], dtype=np.int64), features

    @staticmethod
    def _end(tokens: Tokens, mine: np.ndarray, spans: list[Span]) -> int:
        """Where a feature ends: after the last of the pieces that its tokens spell; a token may spell more than one."""
        reach = max(tokens.offsets[position][1] for position in np.flatnonzero(mine))
        return max([spans[0][1], *(end for start, end in spans[1:] if start < reach)])

    def _split(self, text: str, region: Region) -> list[Span]:
        start, end = region.span
        if isinstance(self.granularity, list):
            if region.role is not None:
                raise ValueError("Explicit spans index into a plain prompt; for a chat give a callable that splits a message.")
            return check_spans(self.granularity, text)
        if isinstance(self.granularity, Granularity):
            return [(start + a, start + b) for a, b in self.granularity.split(text[start:end])]
        return [(start + a, start + b) for a, b in check_spans(self.granularity(text[start:end]), text[start:end])]


def _rows(encoding: Mapping[str, Any]) -> int:
    if "input_ids" not in encoding:
        raise ValueError(f"An encoding needs 'input_ids'; this mapping has {sorted(encoding)}.")
    ids = encoding["input_ids"]
    nested = ids.ndim == 2 if hasattr(ids, "ndim") else bool(len(ids)) and not isinstance(ids[0], int)
    return len(ids) if nested else 1


def _row(values: Any, row: int) -> np.ndarray:
    nested = values.ndim == 2 if hasattr(values, "ndim") else bool(len(values)) and not isinstance(values[0], int)
    one = values[row] if nested else values
    return np.asarray(one.tolist() if hasattr(one, "tolist") else list(one), dtype=np.int64)


def _accepted(given: object) -> str:
    return (
        f"Cannot explain an input of type {type(given).__name__}. Give a string, a chat (a list of messages with 'role' and "
        "'content'), a tokenizer's encoding, a Template, or a list of strings, chats or templates."
    )
