"""The extension of an explained conversation: its arguments checked, its answers so far reused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

from interpreto_mllm.adapters.base import ModelAdapter
from interpreto_mllm.attribution import Attribution
from interpreto_mllm.core.fingerprint import Fingerprint
from interpreto_mllm.core.responses import Response, Responses
from interpreto_mllm.core.shown import shown
from interpreto_mllm.engine.responders import Responder
from interpreto_mllm.explainers.checks import check_same
from interpreto_mllm.explainers.setting import VALUE_FUNCTION
from interpreto_mllm.games.fingerprint import ids_fingerprint, prompt_fingerprint
from interpreto_mllm.games.intermediate_responses import IntermediateResponses
from interpreto_mllm.games.rollout import Rollout
from interpreto_mllm.prompts.chat import Message, check_chat, is_chat, parts_of
from interpreto_mllm.prompts.granularity import Granularity
from interpreto_mllm.prompts.processing import Processing
from interpreto_mllm.prompts.reader import PromptReader
from interpreto_mllm.prompts.tokens import stand_in


def extended(
    explanation: Attribution | Any,
    new_turn: Any,
    adapter: ModelAdapter[Any],
    reader: PromptReader,
    progress: bool,
    kept: dict[bytes, Response],
) -> Rollout:
    """The longer conversation as a prompt that knows the answers of the explanation; see `AttributionExplainer.extend`.

    `kept` are intermediate answers of an interrupted call; new ones are added to it.
    """
    if not isinstance(explanation, Attribution):
        hint = " Extend them one by one." if isinstance(explanation, (list, tuple)) else ""
        raise TypeError(f"extend() takes one explanation, an Attribution; got {type(explanation).__name__}.{hint}")
    responder = _responder(adapter)
    responses = _check_answers(explanation, adapter)
    _check_reader(reader)
    if explanation.conversation is None:
        raise ValueError(
            "This explanation has no chat to continue (its input was not a chat, or it was saved without one): "
            'explain [{"role": "user", "content": ...}] first.'
        )
    turn = _messages(new_turn, adapter.processing)
    earlier = responses.history or [()] * len(responses)
    answers = [(*past, now[0]) for past, now in zip(earlier, responses.answers, strict=True)]
    conversation = explanation.conversation.continued(answers[1][-1].text, turn)
    reader = replace(reader, fixed=frozenset(conversation.answered))
    [whole] = reader.read(conversation.chat())
    if whole.conversation is not None:
        conversation = replace(conversation, messages=whole.conversation.messages)
    intermediate = IntermediateResponses(responder, progress, kept)
    rollout = Rollout(conversation, reader, intermediate, stand_in(adapter.tokenizer), adapter.check_room)
    _check_features(explanation, rollout)
    rollout.remember(explanation.coalitions, answers)
    added = torch.ones(len(answers), len(rollout.features) - explanation.n, dtype=torch.bool)
    longer = torch.cat([explanation.coalitions, added], dim=1)
    rollout.inputs_after(answers, longer)  # raises an error if the model cannot read them
    return rollout


def _responder(adapter: ModelAdapter[Any]) -> Responder:
    """What answers the coalitions of the similarity game."""
    if adapter.responder is None:
        raise ValueError(
            "extend() lets the model answer each coalition as the conversation goes on, which only the similarity game does: "
            "give inference_mode=InferenceModes.SIMILARITY or a ResponseSimilarity."
        )
    return adapter.responder


def check_played(explanation: Attribution, rollout: Rollout, here: Fingerprint) -> None:
    """Raise a ValueError where the answers of an explanation are those of another game.

    Args:
        explanation: whose answers would be reused.
        rollout: the longer conversation.
        here: of the game that this explainer plays, what neither prompt nor question holds.
    """
    there = explanation.evaluations.fingerprint
    if there is None:
        return
    turn = len(rollout.conversation.answered) - 1
    whole = rollout.whole(turn)
    shared = {**prompt_fingerprint(whole), **here}
    if turn:  # that explanation was of a rollout, whose features come in another order and whose answers are compared later
        del shared["features"]
    else:
        shared |= ids_fingerprint(whole)
    kept = {name: text for name, text in there.items() if name in shared}
    check_same(kept, shared, "The explanation's answers are of another game", (VALUE_FUNCTION,))


def _check_answers(explanation: Attribution, adapter: ModelAdapter[Any]) -> Responses:
    """The answers of an explanation, if the conversation can continue from them."""
    responses = explanation.responses
    if responses is None:
        raise ValueError(
            f"This explanation has no answers to continue from (its mode is {explanation.mode!r}): explain the chat with "
            "inference_mode=InferenceModes.SIMILARITY or a ResponseSimilarity first."
        )
    if responses.repeats > 1 or adapter.draws > 1:
        raise ValueError(
            "With repeats, each coalition has several answers that the conversation could continue from: extend() takes "
            "repeats=1 only, in the explanation and here."
        )
    if dict(responses.generation) != dict(adapter.generation_settings):
        raise ValueError(
            f"The explanation's answers were given under {dict(responses.generation)}, this explainer's are under "
            f"{dict(adapter.generation_settings)}: use the same model and generation arguments."
        )
    return responses


def _check_reader(reader: PromptReader) -> None:
    if reader.granularity is Granularity.ALL_TOKENS:
        raise ValueError(
            "Under ALL_TOKENS the intermediate answers would be features too, and differ from coalition to coalition: use "
            "TOKEN, WORD, SENTENCE or TURN."
        )
    if reader.groups is not None and not callable(reader.groups):
        raise ValueError(
            "`groups` has a label for each feature of one chat, but the longer conversation has more features: give a callable "
            "from features to labels."
        )


def _messages(new_turn: Any, processing: Processing) -> list[Message]:
    """The new turn as messages."""
    turn = [{"role": "user", "content": new_turn}] if isinstance(new_turn, str) else new_turn
    turn = [turn] if isinstance(turn, dict) else turn
    if not is_chat(turn):
        raise ValueError(
            'new_turn is what the user says next: a text, a message such as {"role": "user", "content": "And then?"}, or a '
            f"list of messages; got {shown(new_turn)}."
        )
    if any(message["role"] == "assistant" for message in turn):
        raise ValueError(
            "new_turn has a message of the assistant, but in extend() the model itself answers: give what the user says next. "
            "To explain a chat with fixed answers, pass the whole chat to the explainer."
        )
    check_chat(turn, processing)
    if not any(part.kind != "text" or part.content.strip() for part in parts_of(turn)):
        raise ValueError("new_turn is empty: give what the user says next.")
    return turn


def _check_features(explanation: Attribution, rollout: Rollout) -> None:
    """Raise a ValueError unless this explainer reads the explained chat as it was read."""
    turn = len(rollout.conversation.answered) - 1
    here, there = _texts(rollout.players(turn)), _texts(explanation.features)
    if here != there:
        raise ValueError(
            f"The explanation's features are {there}, this explainer's are {here}: use the same model, granularity, roles, "
            "pins and groups."
        )
    if (text := rollout.whole(turn).text) != explanation.text:
        raise ValueError(
            f"The explanation's chat reads {explanation.text!r}, here it would read {text!r}: use the same model and tokenizer."
        )
    longer = _texts(rollout.features)
    if longer[: len(here)] != here:
        raise ValueError(
            f"With the new turn the features {here} become {longer[: len(here)]}: use a granularity, pins and groups that "
            "leave earlier turns alone."
        )


def _texts(features: Sequence[Any]) -> list[str]:
    return [feature.text for feature in features]
