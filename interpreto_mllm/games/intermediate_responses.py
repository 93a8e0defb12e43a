"""What a model responds between the turns of a conversation."""

from __future__ import annotations

from collections.abc import Sequence

from interpreto_mllm.core.progress import progress_bar
from interpreto_mllm.core.responses import Response
from interpreto_mllm.engine.queries import Generate
from interpreto_mllm.engine.responders import Responder
from interpreto_mllm.prompts.model_input import ModelInput


class IntermediateResponses:
    """Responses by the input that they answer. Known ones are not asked for, the others together and once.

    Args:
        responder: gives the responses that are not known.
        progress: show a progress bar when that takes longer than a moment.
        kept: responses of an interrupted run, by the keys of their inputs, which are known; new ones are added at once.
    """

    def __init__(self, responder: Responder, progress: bool, kept: dict[bytes, Response]):
        self._responder, self._progress, self._kept = responder, progress, kept
        self._known = dict(kept)
        self._new: dict[bytes, Response] = {}
        self._reused: set[bytes] = set()

    @property
    def asked(self) -> int:
        """Number of responses asked for."""
        return len(self._new)

    @property
    def reused(self) -> int:
        """Number of known responses that were used."""
        return len(self._reused)

    def remember(self, inputs: Sequence[ModelInput], responses: Sequence[Response]) -> None:
        """Know the responses to these inputs.

        Raises:
            ValueError: when another response is known already.
        """
        for input, response in zip(inputs, responses, strict=True):
            known = self._known.setdefault(input.key, response)
            if known.text != response.text:
                raise ValueError(
                    "The earlier evaluations are of another conversation: to the same words the model answered "
                    f"{response.text!r} there and {known.text!r} here."
                )

    def to(self, inputs: Sequence[ModelInput]) -> list[Response]:
        """The response to each input."""
        missing = {input.key: input for input in inputs if input.key not in self._known and input.key not in self._new}
        if missing:
            self._ask(list(missing.values()))
        self._reused |= {input.key for input in inputs if input.key in self._known}
        return [self._known.get(input.key) or self._new[input.key] for input in inputs]

    def _ask(self, inputs: list[ModelInput]) -> None:
        with progress_bar(len(inputs), self._progress, "earlier answer") as advance:
            for indices, replies in self._responder.respond([Generate(input) for input in inputs]):
                new = {inputs[index].key: reply.response for index, reply in zip(indices, replies, strict=True)}
                self._new |= new
                self._kept |= new
                advance(len(indices))
