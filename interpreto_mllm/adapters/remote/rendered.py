"""Chats as a server's template writes them, read off the tokens that it says it was sent."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from interpreto_mllm.adapters.remote.messages import prompt_arguments
from interpreto_mllm.adapters.remote.scorer import RemoteScorer
from interpreto_mllm.calls.rendered import Message, Render
from interpreto_mllm.prompts.model_input import ModelInput

SPACED = "one two three"
"""A text that shows whether a server's tokens keep their white space."""


def server_render(scorer: RemoteScorer, input: ModelInput) -> Render:
    """Renders the chat of an input with further messages; each distinct one is asked for once.

    Raises:
        ValueError: for a server that does not return the tokens of prompts, or returns them without their white space.
    """
    known: dict[str, str] = {}

    def render(more: Sequence[Message], answered: bool) -> str:
        given = prompt_arguments(input, "chat", scorer.remote.stand_in)
        extra = given.pop("extra_body", {})
        if more or not answered:
            extra.pop("continue_final_message", None)
        extra |= {"add_generation_prompt": answered and not extra.get("continue_final_message")}
        body: dict[str, Any] = {**given, "messages": [*given["messages"], *more], "extra_body": extra}
        key = json.dumps(body, sort_keys=True, default=str)
        if key not in known:
            known[key] = "".join(token for token, _ in scorer.tokens_of(body, 0))
        return known[key]

    if SPACED not in render([{"role": "assistant", "content": SPACED}], False):
        raise ValueError(
            f"{scorer.remote.model} at {scorer.remote.base_url} returns the tokens of prompts without their white space, so it "
            "cannot be known how it writes tool calls: give the text of the call as the target, or compare the calls that it "
            "makes, ResponseSimilarity(similarity=SameCall())."
        )
    return render
