"""Servers whose models think: answers apart from thoughts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

from interpreto_mllm.adapters.remote.replies import ResponseBody, is_cut, raw_text
from interpreto_mllm.adapters.remote.responder import RemoteResponder
from interpreto_mllm.core.responses import Response
from interpreto_mllm.engine.queries import Generate
from interpreto_mllm.engine.responders import Reply
from interpreto_mllm.prompts.model_input import ModelInput
from interpreto_mllm.thoughts.served import ServedPart, taken_apart


@dataclass(frozen=True)
class ServedAnswer:
    """A text that a part of a server's answers is compared with."""

    text: str
    how: ServedPart


class ThoughtfulResponder(RemoteResponder):
    """Answers of a server whose model thinks; a response is the part that is asked about, and holds the thoughts.

    Args:
        plain: how the server is asked for answers.
        how: which part of them.
    """

    def __init__(self, plain: RemoteResponder, how: ServedPart):
        super().__init__(plain.remote, {**plain.settings, "max_tokens": plain.settings["max_tokens"] + how.most}, plain.seed)
        self.how = how

    def respond(self, queries: Sequence[Generate]) -> Iterator[tuple[list[int], list[Reply]]]:
        with closing(self.pool.send(queries, self.body)) as bodies:
            for index, body in bodies:
                yield [index], [Reply(self.response(body))]

    def whole(self, input: ModelInput) -> Response:
        """The answer to an input, with the thoughts before it, whichever part is asked about."""
        thoughts, answer = self._parts(self.pool.one(self.body(Generate(input))))
        return Response(answer, thoughts=thoughts)

    def response(self, body: ResponseBody) -> Response:
        """The part of an answer that is asked about."""
        thoughts, answer = self._parts(body)
        return Response(thoughts if self.how.part == "thoughts" else answer, thoughts=thoughts)

    def _parts(self, body: ResponseBody) -> tuple[str, str]:
        """The thoughts and the answer.

        Raises:
            ValueError: when all tokens were spent on thoughts: that is no empty answer.
        """
        message = body["choices"][0].get("message") or {}
        thoughts, answer = taken_apart(message, raw_text(body), self.how.marks)
        if not answer and is_cut(body) and self.how.part != "thoughts":
            raise ValueError(
                f"The server cut an answer at {self.settings['max_tokens']} tokens, within the model's thoughts, so that there "
                "is no answer to compare: raise Reasoned(max_tokens=...). (explainer.unfinished holds what was evaluated.)"
            )
        return thoughts, answer
