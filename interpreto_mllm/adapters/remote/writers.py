"""Served models that go on with thoughts which they are sent, as a raw text or as a message that is not finished."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any, ClassVar

from interpreto_mllm.adapters.generating import DEFAULT_MAX_THOUGHTS
from interpreto_mllm.adapters.remote.entries import REQUEST, head
from interpreto_mllm.adapters.remote.logprobs import arguments_with_answer
from interpreto_mllm.adapters.remote.messages import FIELD, ROLE, Characters, prompt_arguments
from interpreto_mllm.adapters.remote.replies import ResponseBody, is_cut, raw_text
from interpreto_mllm.adapters.remote.responder import RemoteResponder
from interpreto_mllm.adapters.remote.scorer import RemoteScorer, Unscored
from interpreto_mllm.core.shown import shown
from interpreto_mllm.engine.queries import Generate
from interpreto_mllm.prompts.conversation import Conversation
from interpreto_mllm.prompts.model_input import ModelInput
from interpreto_mllm.thoughts.marks import ThoughtMarks
from interpreto_mllm.thoughts.served import taken_apart
from interpreto_mllm.thoughts.thinker import Thinker, Thought

UNKEPT = (
    "Thoughts are held fixed on a server by sending them as the beginning of its answer, and {why}. vLLM goes on with them if "
    "its chat template keeps the thoughts of the last message (--chat-template). RemoteModel(route='completion') takes the "
    "chat rendered by you, and effect='total' with a similarity of answers works with any server."
)


class Writer(ABC):
    """A server's model that goes on with thoughts. Its tokens are characters here.

    Args:
        responder: greedy answers, with the usual number of tokens.
        scorer: of given answers; it also shows how the server reads a prompt.
        seed: of thoughts that are drawn.
    """

    tokenizer = Characters()

    def __init__(self, responder: RemoteResponder, scorer: RemoteScorer, seed: int):
        self.responder, self.scorer, self.seed = responder, scorer, seed

    def most_thoughts(self, input: ModelInput, wanted: int | None) -> int:
        """The most tokens of thoughts; what the server's context has room for is not known."""
        return wanted or DEFAULT_MAX_THOUGHTS

    def check_answerable(self, conversation: Conversation | None) -> None:
        """A prompt may be answered."""

    def lead(self, conversation: Conversation | None) -> list[int]:
        """What is written between the prompt and the response, without text."""
        return []

    def check_kept(self, prompt: ModelInput, response: Sequence[int], answer: str, marks: ThoughtMarks) -> None:
        """Raise a ValueError unless the server reads a prompt, the beginning of a response and an answer as they are."""

    @abstractmethod
    def written(self, input: ModelInput, most: int, marks: ThoughtMarks) -> tuple[str, bool]:
        """What the model writes, so many tokens of thoughts at most, and whether it was cut."""

    @abstractmethod
    def thinker(self, marks: ThoughtMarks, most: int, repeats: int, lead: int, progress: bool) -> ServedThinker:
        """What writes thoughts about inputs that end with so many ids that lead to them.

        Args:
            marks: around thoughts.
            most: tokens of a thought.
            repeats: thoughts about each input, which are drawn where there are several.
            lead: ids of the input that the server writes itself.
            progress: show a progress bar.
        """

    def _longer(self, tokens: int) -> RemoteResponder:
        settings = self.responder.settings
        return RemoteResponder(
            self.responder.remote, {**settings, "max_tokens": settings["max_tokens"] + tokens}, pool=self.responder.pool
        )


class RawWriter(Writer):
    """One that goes on with a raw text."""

    def written(self, input: ModelInput, most: int, marks: ThoughtMarks) -> tuple[str, bool]:
        answer = self._longer(most).first(input)
        return answer.text, answer.cut

    def thinker(self, marks: ThoughtMarks, most: int, repeats: int, lead: int, progress: bool) -> ServedThinker:
        stops = [marks.end.strip()]
        return ServedThinker(self.responder, marks, most, repeats, 0, {"stop": stops}, progress, self.seed)


class ChatWriter(Writer):
    """One that renders chats, and goes on with a message of the assistant."""

    def lead(self, conversation: Conversation | None) -> list[int]:
        if conversation is not None and conversation.continued_message:
            return []
        going = {"continue_final_message": True, "add_generation_prompt": False}
        return [*head(REQUEST, going), FIELD, *(ROLE + ord(character) for character in "assistant"), ROLE]

    def written(self, input: ModelInput, most: int, marks: ThoughtMarks) -> tuple[str, bool]:
        """As the server gives it, or put together from the parts into which it has taken an answer."""
        responder = self._longer(most)
        body = responder.pool.one(responder.body(Generate(input)))
        text, message = raw_text(body), body["choices"][0].get("message") or {}
        thoughts, answer = taken_apart(message, text, marks)
        if marks.start not in text and thoughts:
            closing = f"{marks.gap}{marks.end}{2 * marks.gap}{answer}" if answer else ""
            text = f"{marks.start}{marks.gap}{thoughts}{closing}"
        return text, is_cut(body)

    def thinker(self, marks: ThoughtMarks, most: int, repeats: int, lead: int, progress: bool) -> ServedThinker:
        return ServedThinker(self.responder, marks, most, repeats, lead, {}, progress, self.seed)

    def check_kept(self, prompt: ModelInput, response: Sequence[int], answer: str, marks: ThoughtMarks) -> None:
        remote = self.responder.remote
        plain = prompt_arguments(prompt, "chat", remote.stand_in)
        extra = plain.pop("extra_body", {})
        continued = bool(extra.get("continue_final_message"))
        plain["extra_body"] = {**extra, "add_generation_prompt": not continued}
        whole = prompt.continued(list(response))
        said = "".join(chr(index) for index in response[len(response) - _characters(response) :]) + answer
        try:
            before, after = (
                "".join(token for token, _ in self.scorer.tokens_of(given, 0))
                for given in (plain, arguments_with_answer(whole, answer, "chat", remote.stand_in))
            )
        except Unscored as error:
            raise ValueError(UNKEPT.format(why=f"{remote.model} at {remote.base_url} {_refused(error)}")) from error
        read, expected = _visible(after), _visible(before)
        if not continued and _visible(said).startswith(_visible(marks.start)):
            expected = expected.removesuffix(_visible(marks.start))
        expected += _visible(said)
        if read != expected:
            same = next((place for place, (a, b) in enumerate(zip(expected, read, strict=False)) if a != b), len(read))
            where, wrote = f"{remote.model} at {remote.base_url}", _beyond(after, same)
            raise ValueError(UNKEPT.format(why=f"the chat template of {where} writes {shown(wrote)} for {shown(said)}"))


class ServedThinker(Thinker):
    """Thoughts that a server's model writes, as characters.

    Args:
        responder: how the server is asked for answers.
        lead: ids at the end of an input that the server writes itself.
        more: arguments of each request.
        seed: of thoughts that are drawn.
    """

    unit: ClassVar[str] = "characters"

    def __init__(
        self,
        responder: RemoteResponder,
        marks: ThoughtMarks,
        limit: int,
        repeats: int,
        lead: int,
        more: dict[str, Any],
        progress: bool,
        seed: int,
    ):
        drawn = {"temperature": responder.settings["temperature"] or 1.0} if repeats > 1 else {}
        settings = {**responder.settings, **drawn, **more, "max_tokens": limit}
        told = (
            f"{responder.remote.model} {sorted((name, str(value)) for name, value in settings.items())} {seed if drawn else ''}"
        )
        super().__init__(Characters(), marks, limit, told, repeats, progress)
        self.responder = RemoteResponder(responder.remote, settings, seed if drawn else None, responder.pool)
        self.lead, self.stops = lead, "stop" in more

    def _thoughts(self, queries: Sequence[Generate]) -> Iterator[tuple[Sequence[int], list[Thought]]]:
        asked = [replace(one, input=self._without_lead(one.input)) for one in queries]
        with closing(self.responder.pool.send(asked, self.responder.body)) as bodies:
            for index, body in bodies:
                yield [index], [self._of(body)]

    def _without_lead(self, input: ModelInput) -> ModelInput:
        return replace(input, ids=input.ids[: len(input.ids) - self.lead])

    def _of(self, body: ResponseBody) -> Thought:
        """The thought in a reply, whose end the server has left out where it stops there."""
        text, cut = raw_text(body), is_cut(body)
        if self.stops:
            thoughts, ended = text.partition(self.marks.end.strip())[0].strip(), not cut
        else:
            thoughts, answer = taken_apart(body["choices"][0].get("message") or {}, text, self.marks)
            ended = (bool(answer) and bool(thoughts)) or not cut
            thoughts = answer if cut and not thoughts else thoughts
        return Thought(tuple(self.tokenizer.encode(thoughts)), not ended)


def _refused(error: Unscored) -> str:
    """What a server did that does not show how it reads a prompt."""
    if error.told:
        return f"refuses that: {error.told.strip()}"
    return "does not return the tokens that it reads, by which it is seen whether it keeps them (vLLM's prompt_logprobs)"


def _characters(ids: Sequence[int]) -> int:
    """How many ids at the end are characters."""
    return next((count for count, index in enumerate(reversed(ids)) if index >= len(Characters())), len(ids))


def _visible(text: str) -> str:
    return "".join(text.split())


def _beyond(text: str, visible: int) -> str:
    """What follows so many visible characters."""
    places = [place for place, character in enumerate(text) if not character.isspace()]
    return text[places[visible] :] if visible < len(places) else ""
