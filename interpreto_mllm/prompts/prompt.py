"""Prompts: their features, and the model inputs of each coalition of these."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar, runtime_checkable

import numpy as np
from jaxtyping import Bool, Int
from torch import Tensor

from interpreto_mllm.chats.parts import LISTED
from interpreto_mllm.core.feature import Feature
from interpreto_mllm.media.state import Medium, State
from interpreto_mllm.prompts.blanks import Blanks
from interpreto_mllm.prompts.conversation import Conversation
from interpreto_mllm.prompts.granularity import Granularity
from interpreto_mllm.prompts.model_input import ModelInput
from interpreto_mllm.prompts.occlusion import TextOcclusion
from interpreto_mllm.prompts.retokenized import Retokenizer

Agreed = TypeVar("Agreed")

Hierarchy = list["int | Hierarchy"]

Layouts = Callable[
    [Sequence[State], Sequence[Feature], tuple[int, ...]], tuple[ModelInput, Int[np.ndarray, "l"], Blanks | None]
]
"""From what is left of the images and clips, the features, and the tools and documents that are left out, to the tokens, their
owners and the blanks among them."""


@runtime_checkable
class Prompt(Protocol):
    """Features, and the model inputs of each coalition of them."""

    @property
    def text(self) -> str:
        """The whole prompt; the features' spans index into it."""
        ...

    @property
    def features(self) -> list[Feature]:
        """The features that get scores."""
        ...

    @property
    def media(self) -> tuple[Medium, ...]:
        """The images and clips; features hold the indices of their pieces."""
        ...

    @property
    def conversation(self) -> Conversation | None:
        """The chat that it is, None for other inputs."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """What the reader of a result must know of the prompt."""
        ...

    def inputs_for(self, coalitions: Bool[Tensor, "p n"]) -> list[list[ModelInput]]:
        """The model inputs of each coalition, usually one; the coalition is worth the mean of their values."""
        ...

    def hierarchy(self) -> Hierarchy:
        """The features as a tree: chat turns, tools and documents, their sentences, their features."""
        ...


@dataclass(frozen=True, eq=False)
class TokenPrompt:
    """A prompt of fixed tokens, each owned by one feature or by none (always present), with images and clips or without.

    Args:
        text: what the tokens spell; the features' spans index into it.
        whole: all tokens.
        owner: feature of each token, or -1.
        features: the features that get scores.
        occlusion: how an absent feature of the text disappears.
        regions: the pieces of `text` that were written in one go, one per part of a chat message.
        media: the images and clips.
        layouts: gives the tokens and their owners when some of `media` take fewer tokens, or none, and without some `entries`.
        conversation: the chat that it is, if it is one.
        notes: what the reader of a result must know of it.
        retokenizer: tokenises the text without its absent features; None where the tokens that are left stay as they are.
        blanks: tokens that are left out where nothing is left before them; None where all tokens stay.
        effect: which effects its features have: "direct" where it goes on with thoughts that are held fixed.
        entries: for each tool and document the positions of its tokens that may be absent: where all are, it is not listed.
    """

    text: str
    whole: ModelInput
    owner: Int[np.ndarray, "l"]
    features: list[Feature]
    occlusion: TextOcclusion
    regions: tuple[tuple[int, int], ...]
    media: tuple[Medium, ...] = ()
    layouts: Layouts | None = None
    conversation: Conversation | None = None
    notes: tuple[str, ...] = ()
    retokenizer: Retokenizer | None = None
    blanks: Blanks | None = None
    effect: str = ""
    entries: tuple[Int[np.ndarray, "_"], ...] = ()

    def inputs_for(self, coalitions: Bool[Tensor, "p n"]) -> list[list[ModelInput]]:
        with_none = np.concatenate([coalitions.cpu().numpy(), np.ones((len(coalitions), 1), dtype=bool)], axis=1)
        return [[self._input_for(row)] for row in with_none]

    def _input_for(self, coalition: Bool[np.ndarray, "_"]) -> ModelInput:
        if self.retokenizer is not None and not coalition.all():
            return self.retokenizer.input_for(self.features, coalition[: len(self.features)])
        states, unlisted = self._states(coalition), self._unlisted(coalition)
        whole, owner, blanks = self.whole, self.owner, self.blanks
        if self.layouts is not None and (unlisted or not all(state.medium.keeps_size for state in states)):
            whole, owner, blanks = self.layouts(states, self.features, unlisted)
        occluded = self._occluded(whole, coalition, owner, None if self.blanks is None else blanks)
        return replace(occluded, media=tuple(state for state in states if not state.dropped))

    def _occluded(
        self, whole: ModelInput, coalition: Bool[np.ndarray, "_"], owner: Int[np.ndarray, "l"], blanks: Blanks | None
    ) -> ModelInput:
        present = coalition[owner]
        return self.occlusion.apply(whole, present if blanks is None else blanks.dropped(present), owner)

    def _unlisted(self, coalition: Bool[np.ndarray, "_"]) -> tuple[int, ...]:
        """The tools and documents of which nothing is present."""
        held = ((index, coalition[self.owner[positions]]) for index, positions in enumerate(self.entries))
        return tuple(index for index, present in held if len(present) and not present.any())

    def _states(self, coalition: Bool[np.ndarray, "_"]) -> list[State]:
        """What is left of each image and clip."""
        present = [np.ones(len(medium.labels), dtype=bool) for medium in self.media]
        for feature, there in zip(self.features, coalition, strict=False):
            for medium, piece in feature.pieces:
                present[medium][piece] = there
        return [State(medium, pieces) for medium, pieces in zip(self.media, present, strict=True)]

    def hierarchy(self) -> Hierarchy:
        tree: dict[int, dict[tuple[int, int], list[int]]] = {}
        listed: dict[tuple[str | None, str | None], int] = {}
        ends = [[a + end for _, end in Granularity.SENTENCE.split(self.text[a:b])] for a, b in self.regions]
        for index, feature in enumerate(self.features):
            if feature.pieces:
                tree.setdefault(-2 - feature.pieces[0][0], {}).setdefault((0, 0), []).append(index)
                continue
            start = feature.spans[0][0] if feature.spans else 0
            region = next((r for r, (a, b) in enumerate(self.regions) if a <= start < b), -1)
            sentence = sum(end <= start for end in ends[region]) if region >= 0 else 0
            whole = listed.setdefault((feature.role, feature.source), region) if feature.role in LISTED else region
            tree.setdefault(whole, {}).setdefault((region, sentence), []).append(index)
        return [_unwrapped([_unwrapped(list(words)) for words in sentences.values()]) for sentences in tree.values()]


def _unwrapped(branch: list) -> int | list:
    """A branch of one child is that child."""
    return branch[0] if len(branch) == 1 else branch


def merge_features(
    owner: Int[np.ndarray, "l"], features: Sequence[Feature], kept: Sequence[int], groups: Sequence[object] | None
) -> tuple[Int[np.ndarray, "l"], list[Feature]]:
    """The new owners and features when only those in `kept` remain, with equal group labels merged."""
    labels = [groups[index] for index in kept] if groups is not None else list(kept)
    members: dict[object, list[Feature]] = {}
    for feature, label in zip(kept, labels, strict=True):
        members.setdefault(label, []).append(features[feature])
    place = {label: index for index, label in enumerate(members)}
    target = {feature: place[label] for feature, label in zip(kept, labels, strict=True)}
    owners = np.asarray([target.get(index, -1) for index in owner.tolist()], dtype=np.int64)
    return owners, [_merged(parts) for parts in members.values()]


def _merged(parts: list[Feature]) -> Feature:
    """One feature out of several; its role, turn, label, source, trust and part are kept where they agree."""
    if len(parts) == 1:
        return parts[0]
    modalities = {part.modality for part in parts}
    agreed = replace(
        parts[0],
        role=_agreed([part.role for part in parts]),
        turn=_agreed([part.turn for part in parts]),
        label=_agreed([part.label for part in parts]),
        source=_agreed([part.source for part in parts]),
        trusted=_agreed([part.trusted for part in parts]),
        part=_agreed([part.part for part in parts]),
    )
    boxes = [part.box for part in parts if part.box is not None]
    times = [part.time for part in parts if part.time is not None]
    one_medium = len({medium for part in parts for medium, _ in part.pieces}) == 1
    return replace(
        agreed,
        text=" ".join(part.text for part in parts),
        spans=tuple(span for part in parts for span in part.spans),
        positions=tuple(position for part in parts for position in part.positions),
        modality=modalities.pop() if len(modalities) == 1 else "mixed",
        pieces=tuple(piece for part in parts for piece in part.pieces),
        box=_around(boxes) if boxes and one_medium else None,
        time=(min(start for start, _ in times), max(end for _, end in times)) if times and one_medium else None,
    )


def _agreed(given: Sequence[Agreed]) -> Agreed | None:
    """What all are, None where they differ."""
    return given[0] if len(set(given)) == 1 else None


def _around(boxes: Sequence[tuple[int, int, int, int]]) -> tuple[int, int, int, int]:
    """The smallest box around these."""
    lefts, tops, rights, bottoms = zip(*boxes, strict=True)
    return (min(lefts), min(tops), max(rights), max(bottoms))
