"""A conversation that goes on: what the assistant says in between is what the model answers to each coalition."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import ClassVar

import torch
from jaxtyping import Bool
from torch import Tensor

from interpreto_mllm.core.counts import Counts
from interpreto_mllm.core.evaluations import Evaluations
from interpreto_mllm.core.feature import Feature
from interpreto_mllm.core.responses import Response
from interpreto_mllm.games.game import anchored
from interpreto_mllm.games.intermediate_responses import IntermediateResponses
from interpreto_mllm.games.responses import ResponseGame
from interpreto_mllm.media.state import Medium
from interpreto_mllm.prompts.conversation import Conversation
from interpreto_mllm.prompts.model_input import ModelInput
from interpreto_mllm.prompts.prompt import Hierarchy, Prompt
from interpreto_mllm.prompts.reader import PromptReader

Said = tuple[Response, ...]
"""What the model has answered in a conversation so far, first things first."""

NOTE = (
    "Each coalition was answered anew in every turn: the scores hold what earlier words do through the answers in between, "
    "besides what they do directly."
)


@dataclass(frozen=True, eq=False)
class Rollout:
    """A chat whose answers in between are no fixed history: a coalition is played as the conversation would have gone.

    Its part of the first turns is read and answered, the answer is put in its place as the assistant's message by the chat
    template, the part of the next turns follows, and so on. Players come in the order of the answers they lead to, before each
    of them pieces of images and clips first, then words; the answers in between are never players.

    Args:
        conversation: the chat, its images and clips cut; `answered` says which messages are answers.
        reader: reads chats of which those messages are no players.
        replies: what the model answers in between.
        anchor: id that stands in where nothing at all is left to read.
        check: raises a ValueError for a reading too long to be answered.
    """

    conversation: Conversation
    reader: PromptReader
    replies: IntermediateResponses
    anchor: int | None
    check: Callable[[ModelInput], object]
    _prompts: dict[tuple[str, ...], Prompt] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The whole chat, with what was answered when everything was present."""
        return self.whole(self._turns).text

    @property
    def media(self) -> tuple[Medium, ...]:
        """Its images and clips."""
        return self.whole(self._turns).media

    @cached_property
    def features(self) -> list[Feature]:
        """The players."""
        return self.players(self._turns)

    def whole(self, turn: int) -> Prompt:
        """The chat before the answer with this number, after what was answered when everything was present."""
        return self._prompt(self._usual(turn))

    def players(self, turn: int) -> list[Feature]:
        """Those whose words come before the answer with this number; all of them where it is the last."""
        features = self.whole(turn).features
        return [features[index] for index in self._orders[turn]]

    def hierarchy(self) -> Hierarchy:
        place = {index: player for player, index in enumerate(self._orders[-1])}

        def moved(branch: Hierarchy) -> Hierarchy:
            return [moved(one) if isinstance(one, list) else place[one] for one in branch]

        return moved(self.whole(self._turns).hierarchy())

    def inputs_for(self, coalitions: Bool[Tensor, "p n"]) -> list[list[ModelInput]]:
        readings = self.readings(self.history(coalitions), coalitions)
        return [[reading] for reading in readings]

    def history(self, coalitions: Bool[Tensor, "p _"], turns: int | None = None) -> list[Said]:
        """What each coalition was answered in these first turns, all of them by default; asks for what is not known."""
        turns = self._turns if turns is None else turns
        if not turns or not len(coalitions):
            return [()] * len(coalitions)
        parts = coalitions[:, : len(self._orders[turns - 1])]
        before, place = parts.unique(dim=0, return_inverse=True)
        said = self.history(before, turns - 1)
        answers = self.replies.to(self.readings(said, before))
        return [(*said[index], answers[index]) for index in place.tolist()]

    def remember(self, coalitions: Bool[Tensor, "p _"], said: Sequence[Said]) -> None:
        """Know what these coalitions were answered in the first turns."""
        for turn in range(len(said[0]) if said else 0):
            readings = self.readings([one[:turn] for one in said], coalitions[:, : len(self._orders[turn])])
            self.replies.remember(readings, [one[turn] for one in said])

    def readings(self, said: Sequence[Said], coalitions: Bool[Tensor, "p _"]) -> list[ModelInput]:
        """What the model reads of each coalition after these answers."""
        alike: dict[tuple[str, ...], list[int]] = {}
        for index, answers in enumerate(said):
            alike.setdefault(tuple(answer.text for answer in answers), []).append(index)
        readings: dict[int, ModelInput] = {}
        for texts, rows in alike.items():
            place = torch.tensor(self._orders[len(texts)]).argsort()
            found = self._prompt(texts).inputs_for(coalitions[rows][:, place])
            readings |= {row: anchored(reading, self.anchor) for row, [reading] in zip(rows, found, strict=True)}
        if readings:
            self.check(max(readings.values(), key=lambda reading: len(reading.ids)))
        return [readings[row] for row in range(len(said))]

    @property
    def _turns(self) -> int:
        """How many answers there are in between."""
        return len(self.conversation.answered)

    def _prompt(self, said: tuple[str, ...]) -> Prompt:
        """The chat up to the next answer, after these."""
        if said not in self._prompts:
            [prompt] = self.reader.read(self.conversation.messages_with(said))
            if said != (usual := self._usual(len(said))):
                whole = [feature.text for feature in self._prompt(usual).features]
                if [feature.text for feature in prompt.features] != whole:
                    raise ValueError(
                        f"After the answers {list(said)} the chat is cut into other players than after {list(usual)}: use a "
                        "granularity, pins and groups that do not depend on what the assistant says."
                    )
            self._prompts[said] = prompt
        return self._prompts[said]

    def _usual(self, turns: int) -> tuple[str, ...]:
        messages = self.conversation.messages
        return tuple(messages[index]["content"] for index in self.conversation.answered[:turns])

    @cached_property
    def _orders(self) -> list[list[int]]:
        """For each answer the features of the chat before it, in the order of the turns in which they come."""
        orders = []
        for turn in range(self._turns + 1):
            prompt = self.whole(turn)
            turns = [self._turn(feature, prompt) for feature in prompt.features]
            orders.append(sorted(range(len(turns)), key=lambda index: turns[index]))
        return orders

    def _turn(self, feature: Feature, prompt: Prompt) -> int:
        """The answer before which a feature comes.

        Raises:
            ValueError: for a group with parts before an answer and after it.
        """
        if feature.turn is not None:
            return bisect_right(self.conversation.answered, feature.turn)
        assert prompt.conversation is not None
        [single] = replace(self.reader, groups=None, pinned=()).read(list(prompt.conversation.messages))
        mine = [
            bisect_right(self.conversation.answered, one.turn)
            for one in single.features
            if one.turn is not None and (set(one.positions) & set(feature.positions) or set(one.pieces) & set(feature.pieces))
        ]
        if len(set(mine)) > 1:
            raise ValueError(
                f"The group {feature.text!r} has parts before an answer of the assistant and after it: group the turns before "
                "and after it apart, as by labels (feature.turn, ...)."
            )
        return mine[0]


class RolloutGame(ResponseGame):
    """The game of a conversation that goes on; its values come with all the answers behind them."""

    answers_anew: ClassVar[bool] = True

    def completed(self, evaluations: Evaluations) -> Evaluations:
        done = super().completed(evaluations)
        assert done.responses is not None
        return replace(done, responses=replace(done.responses, history=tuple(self._rollout.history(evaluations.coalitions))))

    def known(self, evaluations: Evaluations) -> Evaluations:
        """Evaluations of an earlier play; what was answered in between is remembered too.

        Raises:
            ValueError: when they are of another game.
        """
        if evaluations.n != self.n:
            raise ValueError(f"The earlier evaluations are of {evaluations.n} features, this game has {self.n}.")
        if evaluations.responses is not None and evaluations.responses.history:
            self._rollout.remember(evaluations.coalitions, evaluations.responses.history)
        return super().known(evaluations)

    def counted(self, counts: Counts) -> Counts:
        replies = self._rollout.replies
        return replace(counts, answers_reused=replies.reused, answers_asked=replies.asked)

    @property
    def notes(self) -> tuple[str, ...]:
        return (NOTE,)

    @property
    def _rollout(self) -> Rollout:
        if not isinstance(self.prompt, Rollout):
            raise TypeError("A RolloutGame is played on a Rollout.")
        return self.prompt
