"""A conversation that goes on: the assistant's messages in between are the model's responses to each coalition."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import ClassVar

import torch
from jaxtyping import Bool
from torch import Tensor

from interpreto_mllm.chats.parts import LISTED
from interpreto_mllm.core.counts import Counts
from interpreto_mllm.core.evaluations import Evaluations
from interpreto_mllm.core.feature import Feature
from interpreto_mllm.core.responses import Response
from interpreto_mllm.games.fingerprint import IDS_WITHOUT_FEATURES
from interpreto_mllm.games.game import anchored
from interpreto_mllm.games.intermediate_responses import IntermediateResponses
from interpreto_mllm.games.responses import ResponseGame
from interpreto_mllm.media.state import Medium
from interpreto_mllm.prompts.conversation import Conversation
from interpreto_mllm.prompts.model_input import ModelInput
from interpreto_mllm.prompts.prompt import Hierarchy, Prompt
from interpreto_mllm.prompts.reader import PromptReader

History = tuple[Response, ...]
"""The model's responses in a conversation so far, in order."""

NOTE = (
    "Each coalition was answered again in every turn: the scores include what earlier words do through the answers in "
    "between, besides what they do directly."
)


@dataclass(frozen=True, eq=False)
class Rollout:
    """A chat whose responses in between are no fixed history: a coalition is played as the conversation would have gone.

    Its part of the first turns is read and answered, the response is put in its place as the assistant's message by the chat
    template, the part of the next turns follows, and so on. Players come in the order of the responses they lead to, before
    each of them pieces of images and clips first, then words; the responses in between are never players.

    Args:
        conversation: the chat, its images and clips cut; `answered` says which messages are responses.
        reader: reads chats in which those messages are no players.
        intermediate: the model's responses in between.
        anchor: id that stands in where no token is left to read.
        check: raises a ValueError for an input too long to be answered.
    """

    conversation: Conversation
    reader: PromptReader
    intermediate: IntermediateResponses
    anchor: int | None
    check: Callable[[ModelInput], object]
    _prompts: dict[tuple[str, ...], Prompt] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The whole chat, with the responses to everything present."""
        return self.whole(self._turns).text

    @property
    def media(self) -> tuple[Medium, ...]:
        """Its images and clips."""
        return self.whole(self._turns).media

    @property
    def notes(self) -> tuple[str, ...]:
        """What the reader of a result must know of the whole prompt."""
        return self.whole(self._turns).notes

    @cached_property
    def features(self) -> list[Feature]:
        """The players."""
        return self.players(self._turns)

    def whole(self, turn: int) -> Prompt:
        """The chat before the response with this number, after the responses to everything present."""
        return self._prompt(self._full_history(turn))

    def players(self, turn: int) -> list[Feature]:
        """Those whose words come before the response with this number; all of them where it is the last."""
        features = self.whole(turn).features
        return [features[index] for index in self._orders[turn]]

    def hierarchy(self) -> Hierarchy:
        place = {index: player for player, index in enumerate(self._orders[-1])}

        def moved(branch: Hierarchy) -> Hierarchy:
            return [moved(one) if isinstance(one, list) else place[one] for one in branch]

        return moved(self.whole(self._turns).hierarchy())

    def inputs_for(self, coalitions: Bool[Tensor, "p n"]) -> list[list[ModelInput]]:
        return [[input] for input in self.inputs_after(self.history(coalitions), coalitions)]

    def history(self, coalitions: Bool[Tensor, "p _"], turns: int | None = None) -> list[History]:
        """The responses to each coalition in the first turns, all of them by default; asks for those that are not known."""
        turns = self._turns if turns is None else turns
        if not turns or not len(coalitions):
            return [()] * len(coalitions)
        parts = coalitions[:, : len(self._orders[turns - 1])]
        before, place = parts.unique(dim=0, return_inverse=True)
        histories = self.history(before, turns - 1)
        responses = self.intermediate.to(self.inputs_after(histories, before))
        return [(*histories[index], responses[index]) for index in place.tolist()]

    def remember(self, coalitions: Bool[Tensor, "p _"], histories: Sequence[History]) -> None:
        """Know the responses to these coalitions in the first turns."""
        for turn in range(len(histories[0]) if histories else 0):
            before = [history[:turn] for history in histories]
            inputs = self.inputs_after(before, coalitions[:, : len(self._orders[turn])])
            self.intermediate.remember(inputs, [history[turn] for history in histories])

    def inputs_after(self, histories: Sequence[History], coalitions: Bool[Tensor, "p _"]) -> list[ModelInput]:
        """What the model reads of each coalition after these responses."""
        same_texts: dict[tuple[str, ...], list[int]] = {}
        for row, history in enumerate(histories):
            same_texts.setdefault(tuple(response.text for response in history), []).append(row)
        inputs: dict[int, ModelInput] = {}
        for texts, rows in same_texts.items():
            place = torch.tensor(self._orders[len(texts)]).argsort()
            found = self._prompt(texts).inputs_for(coalitions[rows][:, place])
            inputs |= {row: anchored(input, self.anchor) for row, [input] in zip(rows, found, strict=True)}
        if inputs:
            self.check(max(inputs.values(), key=lambda input: len(input.ids)))
        return [inputs[row] for row in range(len(histories))]

    @property
    def _turns(self) -> int:
        """Number of responses in between."""
        return len(self.conversation.answered)

    def _prompt(self, answers: tuple[str, ...]) -> Prompt:
        """The chat up to the next response, after these."""
        if answers not in self._prompts:
            [prompt] = self.reader.read(self.conversation.chat(self.conversation.messages_with(answers)))
            if answers != (usual := self._full_history(len(answers))):
                whole = [feature.text for feature in self._prompt(usual).features]
                if [feature.text for feature in prompt.features] != whole:
                    raise ValueError(
                        f"After the answers {list(answers)} the chat is cut into other players than after {list(usual)}: use a "
                        "granularity, pins and groups that do not depend on what the assistant says."
                    )
            self._prompts[answers] = prompt
        return self._prompts[answers]

    def _full_history(self, turns: int) -> tuple[str, ...]:
        """The texts of the first responses when everything is present."""
        messages = self.conversation.messages
        return tuple(messages[index]["content"] for index in self.conversation.answered[:turns])

    @cached_property
    def _orders(self) -> list[list[int]]:
        """For each response the features of the chat before it, in the order of the turns in which they come."""
        orders = []
        for turn in range(self._turns + 1):
            prompt = self.whole(turn)
            turns = [self._turn(feature, prompt) for feature in prompt.features]
            orders.append(sorted(range(len(turns)), key=lambda index: turns[index]))
        return orders

    def _turn(self, feature: Feature, prompt: Prompt) -> int:
        """The number of the response before which a feature comes.

        Raises:
            ValueError: for a group with parts before a response and after it.
        """
        if feature.turn is not None or feature.role in LISTED:
            return self._before(feature)
        assert prompt.conversation is not None
        [single] = replace(self.reader, groups=None, pinned=()).read(prompt.conversation.chat())
        mine = [
            self._before(one)
            for one in single.features
            if set(one.positions) & set(feature.positions) or set(one.pieces) & set(feature.pieces)
        ]
        if len(set(mine)) > 1:
            raise ValueError(
                f"The group {feature.text!r} has parts before an answer of the assistant and after it: group the turns before "
                "and after it apart, as by labels (feature.turn, ...)."
            )
        return mine[0]

    def _before(self, feature: Feature) -> int:
        """The number of the response before which a feature of one message comes; tools and documents come before all."""
        return 0 if feature.turn is None else bisect_right(self.conversation.answered, feature.turn)


class RolloutGame(ResponseGame):
    """The game of a conversation that goes on; its values come with all the responses behind them."""

    answers_every_turn: ClassVar[bool] = True
    reconciled: ClassVar[tuple[str, ...]] = (*ResponseGame.reconciled, IDS_WITHOUT_FEATURES)

    def completed(self, evaluations: Evaluations) -> Evaluations:
        done = super().completed(evaluations)
        assert done.responses is not None
        return replace(done, responses=replace(done.responses, history=tuple(self._rollout.history(evaluations.coalitions))))

    def known(self, evaluations: Evaluations) -> Evaluations:
        """Evaluations of an earlier play; the responses in between are remembered too.

        Raises:
            ValueError: when the model answered something else in between.
        """
        if evaluations.responses is not None and evaluations.responses.history:
            self._rollout.remember(evaluations.coalitions, evaluations.responses.history)
        return super().known(evaluations)

    def counted(self, counts: Counts) -> Counts:
        intermediate = self._rollout.intermediate
        return replace(counts, answers_reused=intermediate.reused, answers_asked=intermediate.asked)

    @property
    def effect(self) -> str:
        """What earlier words do through the answers in between counts."""
        return "total"

    @property
    def notes(self) -> tuple[str, ...]:
        return (*super().notes, NOTE)

    @property
    def _rollout(self) -> Rollout:
        if not isinstance(self.prompt, Rollout):
            raise TypeError("A RolloutGame is played on a Rollout.")
        return self.prompt
