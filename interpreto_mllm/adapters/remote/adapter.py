"""Models on a server."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any

from interpreto_mllm.adapters.base import Generation, ModelAdapter, OwnAnswer, T
from interpreto_mllm.adapters.calls import opens_thoughts
from interpreto_mllm.adapters.cut_answers import notes_on_cut
from interpreto_mllm.adapters.remote.entries import characters_of
from interpreto_mllm.adapters.remote.media import tokens_of
from interpreto_mllm.adapters.remote.messages import prompt_arguments
from interpreto_mllm.adapters.remote.model import RemoteModel
from interpreto_mllm.adapters.remote.reader import RemoteProcessing, RemoteReader
from interpreto_mllm.adapters.remote.rendered import server_render
from interpreto_mllm.adapters.remote.requests import RequestPool
from interpreto_mllm.adapters.remote.responder import DEFAULT_MAX_NEW_TOKENS, FirstAnswer, RemoteResponder, arguments
from interpreto_mllm.adapters.remote.scorer import RemoteScorer
from interpreto_mllm.adapters.remote.thoughts import ServedAnswer, ThoughtfulResponder
from interpreto_mllm.adapters.remote.unshown import check_shown
from interpreto_mllm.adapters.responding import RespondingAdapter, original_target
from interpreto_mllm.calls.own import call_made
from interpreto_mllm.calls.rendered import rendered_call
from interpreto_mllm.calls.tool_call import ToolCall, check_offered
from interpreto_mllm.core.responses import Response
from interpreto_mllm.core.shown import shown
from interpreto_mllm.engine.queries import Mode
from interpreto_mllm.games.answer_span import AnswerSpan
from interpreto_mllm.games.game import ModelGame
from interpreto_mllm.games.modes import OF_LOG_PROBABILITIES, InferenceModes, mode_name
from interpreto_mllm.games.originals import Original, ResponseTarget
from interpreto_mllm.games.response_scorer import ResponseScorer
from interpreto_mllm.games.responses import ResponseGame
from interpreto_mllm.games.targets import Question
from interpreto_mllm.games.text_target import TextTarget
from interpreto_mllm.media.cuts import Cuts
from interpreto_mllm.prompts.conversation import Conversation
from interpreto_mllm.prompts.filters import Pins
from interpreto_mllm.prompts.granularity import Granularity, Span, Splitter
from interpreto_mllm.prompts.model_input import ModelInput
from interpreto_mllm.prompts.occlusion import Attend, TextOcclusion
from interpreto_mllm.prompts.prompt import Prompt
from interpreto_mllm.prompts.selection import Groups
from interpreto_mllm.similarity.contextual import Contextual
from interpreto_mllm.similarity.embeddings import Static
from interpreto_mllm.similarity.response_similarity import ResponseSimilarity
from interpreto_mllm.thoughts.served import ServedPart

CHARACTERS_PER_TOKEN = 4
"""A guess, for prompts whose tokens only the server knows."""

GENERATION_ARGUMENTS = ("max_new_tokens", "do_sample", "temperature", "top_p", "stop", "logprobs", "extra_body")


class RemoteAdapter(ModelAdapter[T]):
    """A model on a server."""

    model: RemoteModel

    def preserved_state(self) -> AbstractContextManager[None]:
        return nullcontext()

    def reader(
        self,
        granularity: Granularity | Splitter | list[Span],
        occlusion: TextOcclusion | None,
        roles: Collection[str],
        pinned: Pins,
        groups: Groups | None,
        cuts: Cuts,
    ) -> RemoteReader:
        if granularity in (Granularity.TOKEN, Granularity.ALL_TOKENS):
            raise ValueError(
                f"Only the server knows a remote model's tokens, not {granularity}: use WORD, SENTENCE, TURN or spans."
            )
        prepared, bare = self.prepared_occlusion(occlusion), self.model.route == "completion"
        return RemoteReader(
            self.processing, granularity, prepared, roles, pinned, groups, cuts, bare=bare, max_pixels=self.model.max_pixels
        )

    def check_occlusion(self, occlusion: TextOcclusion) -> None:
        if isinstance(occlusion, Attend):
            raise ValueError("Attention cannot be masked on a server: use Drop() or Replace(...).")

    @property
    @abstractmethod
    def pool(self) -> RequestPool:
        """Sends requests about prompts."""

    def check_shown(self, prompt: Prompt, input: ModelInput) -> None:
        if self.model.route == "chat":
            check_shown(self.pool, prompt_arguments(input, "chat", self.model.stand_in), prompt.features)

    def prompt_tokens(self, input: ModelInput) -> int:
        return -(-characters_of(input.ids) // CHARACTERS_PER_TOKEN) + sum(tokens_of(state) for state in input.media)


class RemoteRespondingAdapter(RemoteAdapter[ResponseTarget], RespondingAdapter):
    """A model on a server that generates responses.

    Args:
        model: where it is.
        similarity: of a response to the original one.
        generation: the explainer's; the similarity's own arguments override it.

    Raises:
        ValueError: for a similarity that needs the model itself, or generation arguments that a server does not take.
    """

    responder: RemoteResponder
    greedy_responder: RemoteResponder

    def __init__(self, model: RemoteModel, similarity: ResponseSimilarity, generation: Generation):
        _check_embedding(similarity)
        super().__init__(model, RemoteProcessing.of(model), similarity.bound(None, None), generation)
        given = self._arguments
        _check_generation(given)
        self.greedy_responder = self.responder = RemoteResponder(model, arguments({**given, "do_sample": False}, model.route))
        sampled = bool(given.get("do_sample"))
        if sampled:
            self.responder = RemoteResponder(model, arguments(given, model.route), self._seed)
        self.answer_tokens = int(given.get("max_new_tokens", DEFAULT_MAX_NEW_TOKENS))
        seed = {"seed": self._seed} if sampled else {}
        self.generation_settings = self._recorded({**given, "max_new_tokens": self.answer_tokens, "model": model.model, **seed})

    @property
    def pool(self) -> RequestPool:
        return self.responder.pool

    def target(self, given: Any, text: str, input: ModelInput) -> ResponseTarget:
        if isinstance(given, ServedAnswer):
            return original_target(Original(Response(_text(given.text).strip()), input, how=given.how))
        return original_target(Original(Response(_text(given).strip()), input))

    def games(self, prompts: Sequence[Prompt], questions: Sequence[Question[ResponseTarget]]) -> list[ModelGame]:
        games, scorers = super().games(prompts, questions), dict[ServedPart, ResponseScorer]()
        for place, (game, question) in enumerate(zip(games, questions, strict=True)):
            how = question.targets[0].original.how
            if how is not None and isinstance(game, ResponseGame):
                responder = ThoughtfulResponder(self.responder, how)
                scorer = scorers.setdefault(how, ResponseScorer(responder, self.similarity))
                told = {**self.generation_settings, "max_new_tokens": responder.settings["max_tokens"], "part": how.part}
                games[place] = replace(game, scorer=scorer, generation=told)
        return games

    def _given_call(self, given: ToolCall, chat: Conversation | None, text: str, input: ModelInput) -> ResponseTarget:
        check_offered(given, () if chat is None else chat.tools)
        return original_target(Original(Response(given.text), input))

    def _first_response(self, input: ModelInput) -> tuple[Response, None, tuple[str, ...]]:
        answer = self.greedy_responder.first(input)
        notes = notes_on_cut(self.answer_tokens, answer.text) if answer.cut else ()
        return Response(answer.text.strip(), log_probability=answer.log_probability), None, notes


class RemoteScoringAdapter(RemoteAdapter[TextTarget]):
    """A model on a server that returns the log-probabilities of given answers.

    Args:
        model: where it is.
        mode: the inference mode.
        generation: how the model generates its own answer.

    Raises:
        ValueError: for a value function that needs logits, or generation arguments that a server does not take.
    """

    answer_tokens = 1

    def __init__(self, model: RemoteModel, mode: Mode, generation: Generation):
        if not isinstance(mode, InferenceModes) or mode not in OF_LOG_PROBABILITIES:
            raise ValueError(
                f"A server gives no logits for {mode_name(mode)}: use LOG_SOFTMAX or SOFTMAX if it returns log-probabilities "
                "of given answers, or else a similarity such as ResponseSimilarity(similarity=TfIdf())."
            )
        _check_generation(generation.arguments)
        super().__init__(model, RemoteProcessing.of(model))
        self.generation = generation
        self.scorer = RemoteScorer(model, generation.arguments.get("extra_body", {}), OF_LOG_PROBABILITIES[mode])

    @property
    def pool(self) -> RequestPool:
        return self.scorer.pool

    def scorer_of_call(self) -> RemoteScorer:
        return self.scorer

    def target(self, given: Any, text: str, input: ModelInput) -> TextTarget:
        if not _text(given).strip():
            raise ValueError("The target is empty: give a text, or None to let the model answer.")
        return self.scorer.target(given, input)

    def call_target(self, given: ToolCall, chat: Conversation | None, text: str, input: ModelInput) -> TextTarget:
        if self.model.route != "chat":
            raise ValueError(
                "The completion route takes texts: give the text of the call as the target, or use RemoteModel(..., "
                "route='chat')."
            )
        call = given
        if given.own:
            call = call_made(given, self._answer(input)[0].text)
        else:
            check_offered(given, () if chat is None else chat.tools)
        written = rendered_call(call, server_render(self.scorer, input), opens_thoughts, as_text=(True,))
        return self.scorer.target(written.text, input).within(*written.span)

    def span_target(self, given: AnswerSpan, text: str, input: ModelInput) -> TextTarget:
        answer = given.answer
        if answer is None:
            own = self._answer(input)[0].text
            answer = own.strip() if self.model.route == "chat" else own
        return self.scorer.target(answer, input).within(*given.place(answer))

    def _answer(self, input: ModelInput) -> tuple[FirstAnswer, dict[str, Any]]:
        """The model's own answer, and the arguments under which it was given."""
        given, route = self.generation.arguments, self.model.route
        seed = self.generation.seed if given.get("do_sample") else None
        settings = arguments(given, route)
        return RemoteResponder(self.model, settings, seed).first(input), settings

    def own_answer(self, input: ModelInput) -> OwnAnswer[TextTarget]:
        (answer, settings), route = self._answer(input), self.model.route
        text = answer.text
        if not text.strip():
            raise ValueError("The model answered nothing to this prompt: give a target to explain.")
        notes = notes_on_cut(settings["max_tokens"], text) if answer.cut else ()
        return OwnAnswer((self.target(text.strip() if route == "chat" else text, "", input),), notes)


def _text(target: Any) -> str:
    if not isinstance(target, str):
        raise TypeError(f"A target of a remote model is a text, a Contrast of texts or None; got {shown(target)}.")
    return target


def _check_generation(settings: Mapping[str, Any]) -> None:
    unknown = [name for name in settings if name not in GENERATION_ARGUMENTS]
    if unknown:
        raise ValueError(f"A remote model takes {', '.join(GENERATION_ARGUMENTS)} as generation arguments; got {unknown}.")


def _check_embedding(similarity: ResponseSimilarity) -> None:
    """Raise a ValueError for a similarity that needs the model itself, before any request is made."""
    if similarity.log_probability:
        raise ValueError(
            "A server does not score a given answer while it responds: leave log_probability out. If the server returns "
            "log-probabilities of given answers, explain with inference_mode=InferenceModes.LOG_SOFTMAX."
        )
    embedding = similarity.bound(None, None).embedding
    if isinstance(embedding, (Static, Contextual)) and (embedding.model is None or embedding.name != type(embedding).__name__):
        raise ValueError(
            f"{embedding.name} needs the weights of the model that responds, which a server does not give: use "
            "ResponseSimilarity(External(...)), or a measure of texts such as ResponseSimilarity(similarity=TfIdf())."
        )
