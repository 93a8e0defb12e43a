"""Models that generate responses to coalitions, for the similarity game."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, ClassVar

from interpreto_mllm.adapters.base import Generation, ModelAdapter, OwnAnswer
from interpreto_mllm.adapters.cut_answers import is_thinking, notes_on_cut, text_before
from interpreto_mllm.adapters.generating import GeneratingAdapter
from interpreto_mllm.calls.own import own_call
from interpreto_mllm.calls.tool_call import ToolCall
from interpreto_mllm.core.responses import Response
from interpreto_mllm.engine.decoding import Decoding
from interpreto_mllm.engine.queries import Score, Scorer
from interpreto_mllm.engine.responders import LocalResponder, Responder, decode_response
from interpreto_mllm.games.game import ModelGame
from interpreto_mllm.games.originals import Original, ResponseTarget
from interpreto_mllm.games.response_scorer import ResponseScorer
from interpreto_mllm.games.responses import ResponseGame
from interpreto_mllm.games.rollout import Rollout, RolloutGame
from interpreto_mllm.games.targets import Question, TokenTarget
from interpreto_mllm.prompts.conversation import Conversation
from interpreto_mllm.prompts.model_input import ModelInput
from interpreto_mllm.prompts.occlusion import TextOcclusion
from interpreto_mllm.prompts.processing import Processing
from interpreto_mllm.prompts.prompt import Prompt
from interpreto_mllm.prompts.tokens import stand_in
from interpreto_mllm.similarity.calls import SameCall
from interpreto_mllm.similarity.response_similarity import ResponseSimilarity


class RespondingAdapter(ModelAdapter[ResponseTarget]):
    """A model whose responses to coalitions are compared with the original one.

    Args:
        model: it.
        processing: its tokenizer or processor.
        similarity: of a response to the original one, bound to the model.
        generation: the explainer's; the similarity's own arguments override it.

    Attributes:
        responder: generates the responses to coalitions.
        greedy_responder: generates the original response; it is the same one where responses are not sampled.
    """

    unit: ClassVar[str] = "response"
    responder: Responder
    greedy_responder: Responder

    def __init__(self, model: Any, processing: Processing, similarity: ResponseSimilarity, generation: Generation):
        super().__init__(model, processing)
        self.similarity, self.draws = similarity, similarity.repeats
        self._arguments, self._seed = {**generation.arguments, **similarity.generate}, generation.seed

    def own_answer(self, input: ModelInput) -> OwnAnswer[ResponseTarget]:
        response, scored, notes = self._first_response(input)
        original = Original(response, input, scored, repeatable=self.greedy_responder is self.responder)
        return OwnAnswer((original_target(original),), notes)

    def call_target(self, given: ToolCall, chat: Conversation | None, text: str, input: ModelInput) -> ResponseTarget:
        measure = self.similarity.similarity
        if isinstance(measure, SameCall):
            measure.check(given)
        elif given.argument is not None or given.scores_name:
            raise ValueError(f"{given} is one part of a call, which ResponseSimilarity(similarity=SameCall(...)) compares.")
        if given.own:
            response, scored, _ = self._first_response(input)
            own_call(given, response.text)
            return original_target(Original(response, input, scored, repeatable=self.greedy_responder is self.responder))
        return self._given_call(given, chat, text, input)

    @abstractmethod
    def _given_call(self, given: ToolCall, chat: Conversation | None, text: str, input: ModelInput) -> ResponseTarget:
        """A call that the user gave, as the model would answer it."""

    def scorer_of_call(self) -> ResponseScorer:
        return ResponseScorer(self.responder, self.similarity, self._answer_scorer())

    def games(self, prompts: Sequence[Prompt], questions: Sequence[Question[ResponseTarget]]) -> list[ModelGame]:
        scorer, anchor = self.scorer_of_call(), stand_in(self.tokenizer)
        return [
            (RolloutGame if isinstance(prompt, Rollout) else ResponseGame)(
                prompt,
                question,
                scorer,
                anchor,
                self.preserved_state,
                generation=self.generation_settings,
                thinks=self._thinks,
            )
            for prompt, question in zip(prompts, questions, strict=True)
        ]

    @abstractmethod
    def _first_response(self, input: ModelInput) -> tuple[Response, TokenTarget | None, tuple[str, ...]]:
        """The response to the whole prompt, its tokens where log-probabilities are wanted, and notes on it."""

    def _thinks(self, input: ModelInput, response: Response) -> bool:
        """Whether a response to an input ends within the model's thinking."""
        return is_thinking(response.text)

    def _answer_scorer(self) -> Scorer[Score] | None:
        """What gives the log-probabilities of given answers, None where nothing does."""
        return None

    def _recorded(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Settings of generation as results keep them."""
        plain = (bool, int, float, str)
        return {name: value if isinstance(value, plain) else repr(value) for name, value in settings.items()}


class LocalRespondingAdapter(RespondingAdapter):
    """A model of transformers that generates responses.

    Args:
        generating: its adapter, under log-probabilities; it says how the model reads prompts and generates.
        similarity: of a response to the original one.

    Raises:
        ValueError: for settings of generation that cannot be obeyed.
    """

    greedy_responder: LocalResponder

    def __init__(self, generating: GeneratingAdapter, similarity: ResponseSimilarity):
        bound = similarity.bound(generating.model, generating.processing.processor)
        super().__init__(generating.model, generating.processing, bound, generating.generation)
        self.generating = generating
        decoding = self._decoding(self._arguments)
        greedy = self._decoding({**self._arguments, "do_sample": False})
        self.greedy_responder = self.responder = LocalResponder(generating.generator(greedy), self.model, self.tokenizer)
        if decoding.sampled:
            self.responder = LocalResponder(generating.generator(decoding), self.model, self.tokenizer)
        self.answer_tokens = decoding.limit
        seed = {"seed": self._seed} if decoding.sampled else {}
        self.generation_settings = self._recorded({**self._arguments, "max_new_tokens": decoding.limit, **seed})

    def target(self, given: Any, text: str, input: ModelInput) -> ResponseTarget:
        tokens = self.generating.target(given, text, input)
        scored = tuple(tokens.ids[index] for index in tokens.scored)
        answer = given.strip() if isinstance(given, str) else decode_response(list(scored), self.tokenizer).text
        response = Response(answer, scored)
        return original_target(Original(response, input, tokens if self.similarity.log_probability else None))

    def _given_call(self, given: ToolCall, chat: Conversation | None, text: str, input: ModelInput) -> ResponseTarget:
        tokens = self.generating.call_target(replace(given, argument=None, part="call"), chat, text, input)
        response = Response(decode_response(list(tokens.ids), self.tokenizer).text, tokens.ids)
        return original_target(Original(response, input, tokens if self.similarity.log_probability else None))

    def default_occlusion(self) -> TextOcclusion:
        return self.generating.default_occlusion()

    def check_occlusion(self, occlusion: TextOcclusion) -> None:
        self.generating.check_occlusion(occlusion)

    def check_ids(self, input: ModelInput) -> None:
        self.generating.check_ids(input)

    def check_room(self, input: ModelInput, target: ResponseTarget | None = None) -> None:
        self.generating.check_room(input)
        scored = None if target is None else target.original.scored
        tokens, limit = max(self.answer_tokens, 0 if scored is None else scored.length), self.generating.answer_positions
        needed = self.generating.positions_to_respond(input, tokens)
        if limit is not None and needed > limit:
            raise self.generating.no_room_to_respond(input, tokens, needed)

    def preserved_state(self) -> AbstractContextManager[None]:
        return self.generating.preserved_state()

    def turn(self) -> AbstractContextManager[None]:
        return self.generating.turn()

    def _first_response(self, input: ModelInput) -> tuple[Response, TokenTarget | None, tuple[str, ...]]:
        response, ids, start = self.greedy_responder.first(input)
        wanted = response.text and self.similarity.log_probability
        cut = len(ids) >= self.answer_tokens
        notes = notes_on_cut(self.answer_tokens, self._written(input, ids)) if cut else ()
        return response, self.generating.target_of_response(ids, start) if wanted else None, notes

    def _thinks(self, input: ModelInput, response: Response) -> bool:
        return is_thinking(self._written(input, response.ids))

    def _written(self, input: ModelInput, ids: Sequence[int]) -> str:
        """The text of an answer with its special tokens, behind what the prompt began."""
        return text_before(input, self.tokenizer) + str(self.tokenizer.decode(list(ids)))

    def _answer_scorer(self) -> Scorer[Score]:
        return self.generating.scorer_of_call()

    def _decoding(self, arguments: Mapping[str, Any]) -> Decoding:
        padding = next((token for token in (self.tokenizer.pad_token_id, self.tokenizer.eos_token_id) if token is not None), 0)
        return Decoding.of(self.model, arguments, padding, self._seed)


def original_target(original: Original) -> ResponseTarget:
    """The response that others are compared with, as a target.

    Raises:
        ValueError: when it is empty.
    """
    if not original.response.text:
        raise ValueError("There is no text in the original answer: give a target with some, to compare responses with.")
    return ResponseTarget(original)
