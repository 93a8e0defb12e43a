"""Parts of the answers of served models that think."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from interpreto_mllm.adapters.generating import DEFAULT_MAX_THOUGHTS
from interpreto_mllm.adapters.remote.adapter import RemoteAdapter, RemoteRespondingAdapter, RemoteScoringAdapter
from interpreto_mllm.adapters.remote.responder import RemoteResponder, arguments
from interpreto_mllm.adapters.remote.thoughts import RawWriter, ServedAnswer, ThoughtfulResponder
from interpreto_mllm.core.responses import Response
from interpreto_mllm.games.targets import Contrast
from interpreto_mllm.prompts.prompt import Prompt, TokenPrompt
from interpreto_mllm.thoughts.anew import TOTAL
from interpreto_mllm.thoughts.served import ServedPart
from interpreto_mllm.thoughts.target import Reasoned

NO_TOTAL = (
    "A server thinks and answers in one go, so the log-probability of a given answer after new thoughts is not known: compare "
    "answers, with inference_mode=ResponseSimilarity(similarity=TfIdf()) or the like."
)
NO_DIRECT = (
    "Thoughts are held fixed by writing them before the answer, and a server that renders chats may cut them out or rewrite "
    "them: use effect='total' with a similarity of answers; RemoteModel(route='completion') with the chat rendered by you; or "
    "the model in transformers."
)


def raw_writer(adapter: RemoteAdapter[Any]) -> RawWriter:
    """A served model that goes on with raw texts.

    Raises:
        ValueError: for one that is asked by chats.
    """
    scores = isinstance(adapter, RemoteScoringAdapter)
    if adapter.model.route != "completion":
        raise ValueError(NO_DIRECT)
    if not scores:
        assert isinstance(adapter, RemoteRespondingAdapter)
        return RawWriter(adapter.greedy_responder)
    given = {**adapter.generation.arguments, "do_sample": False}
    return RawWriter(RemoteResponder(adapter.model, arguments(given, adapter.model.route)))


def served_total(adapter: RemoteRespondingAdapter, prompt: Prompt, target: Reasoned) -> tuple[Prompt, list[Any]]:
    """A prompt that a server thinks about anew for each coalition, and the text that a part of its answers is compared with.

    Raises:
        ValueError: for a span, which other answers do not have; a template; or a model that does not think.
    """
    if target.part not in ("answer", "thoughts"):
        raise ValueError(f"part={target.part!r}: what a server writes anew is compared as 'answer' or 'thoughts', whole.")
    if not isinstance(prompt, TokenPrompt):
        raise ValueError("Thoughts are explained for a text or a chat, and a Template is filled in several ways.")
    if target.repeats > 1:
        raise ValueError(
            "A server's answers are drawn by ResponseSimilarity(repeats=...), thoughts with them: leave it out here."
        )
    how = ServedPart(str(target.part), target.marks, target.max_tokens or DEFAULT_MAX_THOUGHTS)
    text = target.answer if how.part == "answer" else target.thoughts
    if text is None:
        whole = _own(adapter, prompt, how)
        text = whole.text if how.part == "answer" else str(whole.thoughts)
    prompt = replace(prompt, effect="total", notes=(*prompt.notes, TOTAL))
    if isinstance(text, Contrast):
        return prompt, [Contrast(ServedAnswer(text.target, how), ServedAnswer(text.foil, how))]
    return prompt, [ServedAnswer(text, how)]


def _own(adapter: RemoteRespondingAdapter, prompt: Prompt, how: ServedPart) -> Response:
    """What the model thinks and answers with everything present."""
    [[whole, *_]] = prompt.inputs_for(torch.ones(1, len(prompt.features), dtype=torch.bool))
    found = ThoughtfulResponder(adapter.greedy_responder, how).whole(whole)
    if not found.thoughts:
        raise ValueError(
            f"{adapter.model.model} answered without thoughts, neither as reasoning_content nor between known marks: it wrote "
            f"{found.text!r}. Give marks, turn its thinking on, or explain its answer itself."
        )
    return found
