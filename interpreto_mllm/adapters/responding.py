"""Kinds of model that are asked to answer again."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

from interpreto_mllm.adapters.base import ModelAdapter
from interpreto_mllm.adapters.causal import CausalAdapter
from interpreto_mllm.adapters.generating import GeneratingAdapter
from interpreto_mllm.adapters.seq2seq import Seq2SeqAdapter
from interpreto_mllm.core.responses import Response
from interpreto_mllm.engine.decoding import Decoding
from interpreto_mllm.engine.encoders import Seq2SeqGenerator
from interpreto_mllm.engine.generation import CausalGenerator
from interpreto_mllm.engine.multimodal import MultimodalRunner
from interpreto_mllm.engine.multimodal_generation import MultimodalGenerator
from interpreto_mllm.engine.queries import Generate, Generator, Score, Scorer
from interpreto_mllm.engine.responders import LocalResponder, Responder, decode_response
from interpreto_mllm.engine.runner import CausalRunner
from interpreto_mllm.engine.whole_prompts import WholePrompts
from interpreto_mllm.games.game import ModelGame
from interpreto_mllm.games.modes import InferenceModes
from interpreto_mllm.games.originals import Original, ResponseTarget
from interpreto_mllm.games.response_scorer import ResponseScorer
from interpreto_mllm.games.responses import ResponseGame
from interpreto_mllm.games.rollout import Rollout, RolloutGame
from interpreto_mllm.games.targets import Target, TokenTarget
from interpreto_mllm.prompts.model_input import ModelInput
from interpreto_mllm.prompts.occlusion import TextOcclusion
from interpreto_mllm.prompts.processing import Processing
from interpreto_mllm.prompts.prompt import Prompt
from interpreto_mllm.similarity.response_similarity import ResponseSimilarity


class RespondingAdapter(ModelAdapter):
    """A kind of model that is asked to answer again.

    Args:
        similarity: what an answer is worth.
        generate: the explainer's own generation arguments; those of the similarity go over them.
        seed: of drawn answers.
    """

    unit = "response"

    def __init__(
        self, model: Any, processing: Processing, similarity: ResponseSimilarity, generate: Mapping[str, Any], seed: int
    ):
        super().__init__(model, processing)
        self._similarity, self._settings, self._seed = similarity, {**generate, **similarity.generate}, seed
        self.draws = similarity.repeats

    answers: Scorer[Score] | None = None
    """Scores given answers, where a model can."""

    def scorer(self, mode: Any, batch_size: int, share_prefixes: bool) -> ResponseScorer:
        self._greedy, self.responder = self.responders(batch_size, share_prefixes)
        return ResponseScorer(self.responder, self._similarity, self.answers)

    def session(self, scorer: Scorer[Any]) -> ResponseScorer:
        return ResponseScorer(self.responder, self._similarity, self.answers)

    @abstractmethod
    def responders(self, batch_size: int, share_prefixes: bool) -> tuple[Responder, Responder]:
        """Who gives the original answer, greedily, and who answers coalitions; the same one where these are greedy too."""

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """Under which settings the answers are given."""

    def told(self) -> dict[str, Any]:
        """The settings as results keep them."""
        plain = (bool, int, float, str)
        return {name: value if isinstance(value, plain) else repr(value) for name, value in self.settings().items()}

    def game(self, prompt: Prompt, *parts: Any) -> ModelGame:
        kind = RolloutGame if isinstance(prompt, Rollout) else ResponseGame
        return kind(prompt, *parts, generation=self.told())

    def own_answer(self, reading: ModelInput, generate: Mapping[str, Any]) -> ResponseTarget:
        self.length(reading, None)
        response, scored = self.first(reading)
        return self.original(Original(response, reading, scored, repeatable=self._greedy is self.responder))

    def first(self, reading: ModelInput) -> tuple[Response, TokenTarget | None]:
        """What is answered to the whole prompt, and what of that is scored where log-probabilities are asked for."""
        [(_, [reply])] = self._greedy.respond([Generate(reading)])
        return reply.response, None

    def original(self, original: Original) -> ResponseTarget:
        """The answer that the others are compared with, as a target.

        Raises:
            ValueError: when it is empty.
        """
        if not original.response.text:
            raise ValueError("There is no text in the original answer: give a target with some, to compare responses with.")
        return ResponseTarget(original)

    def length(self, reading: ModelInput, target: Target | None) -> int:
        """Positions that a reading takes, an answer after it being given as a whole."""
        return len(reading.ids)


class LocalRespondingAdapter(RespondingAdapter):
    """A kind of generating model that is asked to answer again; how its parts are read and left out is the kind's.

    Args:
        kind: causal or encoder-decoder.
        similarity, generate, seed: see `AnsweringKind`.

    Raises:
        ValueError: for a model that does not answer in text, or settings that cannot be obeyed.
    """

    def __init__(self, kind: ModelAdapter, similarity: ResponseSimilarity, generate: Mapping[str, Any], seed: int):
        if not isinstance(kind, GeneratingAdapter):
            raise ValueError(
                f"{type(kind.model).__name__} does not answer in text, so there are no responses to compare: use "
                "InferenceModes.LOGITS, SOFTMAX or LOG_SOFTMAX."
            )
        bound = similarity.bound(kind.model, kind.processing.processor)
        super().__init__(kind.model, kind.processing, bound, generate, seed)
        self._kind, self._decoding = kind, self._decoded(self._settings)
        self.answer_tokens = self._decoding.limit

    def default_occlusion(self) -> TextOcclusion:
        return self._kind.default_occlusion()

    def check_occlusion(self, occlusion: TextOcclusion) -> None:
        self._kind.check_occlusion(occlusion)

    def responders(self, batch_size: int, share_prefixes: bool) -> tuple[Responder, Responder]:
        self.answers = self._kind.scorer(InferenceModes.LOG_SOFTMAX, batch_size, share_prefixes)
        greedy = self._decoded({**self._settings, "do_sample": False})
        self._first = LocalResponder(self._generator(greedy, batch_size, share_prefixes), self.tokenizer)
        if not self._decoding.sampled:
            return self._first, self._first
        return self._first, LocalResponder(self._generator(self._decoding, batch_size, share_prefixes), self.tokenizer)

    def first(self, reading: ModelInput) -> tuple[Response, TokenTarget | None]:
        response, ids = self._first.first(reading)
        return response, self._kind.spoken(ids) if response.text and self._similarity.log_probability else None

    def _generator(self, decoding: Decoding, batch_size: int, share_prefixes: bool) -> Generator:
        counter = self._kind.counter
        if isinstance(self._kind, Seq2SeqAdapter):
            together = batch_size if share_prefixes and not decoding.sampled else 1
            return Seq2SeqGenerator(WholePrompts(self.model, self.processing, together, counter), decoding)
        if self.processing.modalities:
            runner = MultimodalRunner(self.model, self.processing, batch_size, share_prefixes, counter)
            return MultimodalGenerator(runner, decoding)
        return CausalGenerator(CausalRunner(self.model, batch_size, share_prefixes, counter), decoding)

    def settings(self) -> dict[str, Any]:
        drawn = {"seed": self._seed} if self._decoding.sampled else {}
        return {**self._settings, "max_new_tokens": self._decoding.limit, **drawn}

    def answer(self, target: Any, text: str, reading: ModelInput) -> ResponseTarget:
        tokens = self._kind.answer(target, text, reading)
        given = target.strip() if isinstance(target, str) else decode_response(list(tokens.ids), self.tokenizer).text
        scored = tokens if self._similarity.log_probability else None
        return self.original(Original(Response(given, tuple(tokens.ids[index] for index in tokens.scored)), reading, scored))

    def length(self, reading: ModelInput, target: Target | None) -> int:
        scored = target.original.scored if isinstance(target, ResponseTarget) else None
        room, limit = self.room(), max(self._decoding.limit, 0 if scored is None else len(scored.ids))
        needed = len(reading.ids) + limit if isinstance(self._kind, CausalAdapter) else max(len(reading.ids), limit + 1)
        if room is not None and needed > room:
            raise ValueError(
                f"The prompt ({len(reading.ids)} tokens) and an answer of up to {limit} need {needed} positions, the model has "
                f"{room}: shorten the prompt or lower max_new_tokens (nothing is truncated)."
            )
        return super().length(reading, target)

    def _decoded(self, settings: Mapping[str, Any]) -> Decoding:
        padding = next((token for token in (self.tokenizer.pad_token_id, self.tokenizer.eos_token_id) if token is not None), 0)
        return Decoding.of(self.model, settings, padding, self._seed)
