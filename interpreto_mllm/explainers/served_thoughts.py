"""Parts of the answers of served models that think."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from interpreto_mllm.adapters.generating import DEFAULT_MAX_THOUGHTS
from interpreto_mllm.adapters.remote.adapter import RemoteAdapter, RemoteRespondingAdapter, RemoteScoringAdapter
from interpreto_mllm.adapters.remote.responder import RemoteResponder, arguments
from interpreto_mllm.adapters.remote.scorer import RemoteScorer
from interpreto_mllm.adapters.remote.thoughts import ServedAnswer, ThoughtfulResponder
from interpreto_mllm.adapters.remote.writers import ChatWriter, RawWriter, Writer
from interpreto_mllm.core.responses import Response
from interpreto_mllm.games.targets import Contrast
from interpreto_mllm.prompts.prompt import Prompt, TokenPrompt
from interpreto_mllm.thoughts.anew import TOTAL
from interpreto_mllm.thoughts.served import ServedPart
from interpreto_mllm.thoughts.target import Reasoned


def served_writer(adapter: RemoteAdapter[Any]) -> Writer:
    """How a served model goes on with thoughts."""
    if isinstance(adapter, RemoteScoringAdapter):
        given = {**adapter.generation.arguments, "do_sample": False}
        responder = RemoteResponder(adapter.model, arguments(given, adapter.model.route), pool=adapter.pool)
        scorer, seed = adapter.scorer, adapter.generation.seed
    else:
        assert isinstance(adapter, RemoteRespondingAdapter)
        responder = adapter.greedy_responder
        extra, seed = responder.settings.get("extra_body", {}), 0  # each answer is thought of by the game itself
        scorer = RemoteScorer(adapter.model, extra, lambda values: values, adapter.pool)
    return (RawWriter if adapter.model.route == "completion" else ChatWriter)(responder, scorer, seed)


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
