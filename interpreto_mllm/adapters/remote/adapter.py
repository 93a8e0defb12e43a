"""What the explainer must know of a remote model."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from interpreto_mllm.adapters.base import ModelAdapter
from interpreto_mllm.adapters.remote.media import tokens_of
from interpreto_mllm.adapters.remote.model import RemoteModel
from interpreto_mllm.adapters.remote.reader import RemoteProcessing, RemoteReader
from interpreto_mllm.adapters.remote.responder import DEFAULT_MAX_NEW_TOKENS, RemoteResponder, arguments
from interpreto_mllm.adapters.remote.scorer import RemoteScorer
from interpreto_mllm.adapters.responding import RespondingAdapter
from interpreto_mllm.core.responses import Response
from interpreto_mllm.engine.queries import Mode, Scorer, ScoreText
from interpreto_mllm.engine.responders import Responder
from interpreto_mllm.games.modes import InferenceModes, mode_name
from interpreto_mllm.games.originals import Original, ResponseTarget
from interpreto_mllm.games.targets import TextTarget
from interpreto_mllm.prompts.granularity import Granularity
from interpreto_mllm.prompts.model_input import ModelInput
from interpreto_mllm.prompts.occlusion import Attend, TextOcclusion
from interpreto_mllm.prompts.reader import PromptReader
from interpreto_mllm.similarity.contextual import Contextual
from interpreto_mllm.similarity.embeddings import Static
from interpreto_mllm.similarity.response_similarity import ResponseSimilarity

KNOWN = ("max_new_tokens", "do_sample", "temperature", "top_p", "stop", "logprobs", "extra_body")


class RemoteAdapter(ModelAdapter):
    """A model on a server."""

    def preserved_state(self) -> AbstractContextManager[None]:
        return nullcontext()

    def reader(self, granularity: Any, *parts: Any) -> PromptReader:
        if granularity in (Granularity.TOKEN, Granularity.ALL_TOKENS):
            raise ValueError(
                f"Only the server knows a remote model's tokens, not {granularity}: use WORD, SENTENCE, TURN or spans."
            )
        return RemoteReader(self.processing, granularity, *parts, bare=self.model.route == "completion")

    def check_tokenizer(self) -> None:
        """A remote model has none."""

    def check_ids(self, reading: ModelInput) -> None:
        """Whatever can be written can be sent."""

    def check_occlusion(self, occlusion: TextOcclusion) -> None:
        if isinstance(occlusion, Attend):
            raise ValueError("Attention cannot be masked on a server: use Drop() or Replace(...).")

    def room(self) -> int | None:
        return None

    def read_tokens(self, reading: ModelInput) -> int:
        return -(-len(reading.ids) // 4) + sum(tokens_of(state) for state in reading.media)


class RemoteRespondingAdapter(RemoteAdapter, RespondingAdapter):
    """A model on a server that answers each coalition.

    Raises:
        ValueError: for a similarity that looks into the model, or generation arguments that a server does not take.
    """

    def __init__(self, model: RemoteModel, similarity: ResponseSimilarity, generate: Mapping[str, Any], seed: int):
        _check_embedding(similarity)
        processing = RemoteProcessing.at(model.sampling_rate)
        super().__init__(model, processing, similarity.bound(None, None), generate, seed)
        _check_generation(self._settings)
        self.answer_tokens = int(self._settings.get("max_new_tokens", DEFAULT_MAX_NEW_TOKENS))

    def responders(self, batch_size: int, share_prefixes: bool) -> tuple[Responder, Responder]:
        greedy = RemoteResponder(self.model, arguments({**self._settings, "do_sample": False}, self.model.route))
        if not self._settings.get("do_sample"):
            return greedy, greedy
        return greedy, RemoteResponder(self.model, arguments(self._settings, self.model.route), self._seed)

    def settings(self) -> dict[str, Any]:
        drawn = {"seed": self._seed} if self._settings.get("do_sample") else {}
        return {**self._settings, "max_new_tokens": self.answer_tokens, "model": self.model.model, **drawn}

    def answer(self, target: Any, text: str, reading: ModelInput) -> ResponseTarget:
        return self.original(Original(Response(_text(target).strip()), reading))


class RemoteScoringAdapter(RemoteAdapter):
    """A model on a server that returns log-probabilities of given answers.

    Raises:
        ValueError: for a value function that needs logits, or generation arguments that a server does not take.
    """

    answer_tokens = 1

    def __init__(self, model: RemoteModel, mode: Mode, generate: Mapping[str, Any], seed: int):
        if mode not in (InferenceModes.SOFTMAX, InferenceModes.LOG_SOFTMAX):
            raise ValueError(
                f"A server gives no logits for {mode_name(mode)}: use LOG_SOFTMAX or SOFTMAX if it returns log-probabilities "
                "of given answers, or else a similarity such as ResponseSimilarity(similarity=TfIdf())."
            )
        _check_generation(generate)
        super().__init__(model, RemoteProcessing.at(model.sampling_rate))
        self._settings, self._seed = generate, seed
        self._scorer = RemoteScorer(model, generate.get("extra_body", {}), mode is InferenceModes.SOFTMAX)

    def scorer(self, mode: Mode, batch_size: int, share_prefixes: bool) -> Scorer[ScoreText]:
        return self._scorer

    def answer(self, target: Any, text: str, reading: ModelInput) -> TextTarget:
        if not _text(target).strip():
            raise ValueError("The target is empty: give a text, or None to let the model answer.")
        return self._scorer.target(target, reading)

    def own_answer(self, reading: ModelInput, generate: Mapping[str, Any]) -> TextTarget:
        seed = self._seed if self._settings.get("do_sample") else None
        responder = RemoteResponder(self.model, arguments(self._settings, self.model.route), seed)
        text = responder.first(reading)
        if not text.strip():
            raise ValueError("The model answered nothing to this prompt: give a target to explain.")
        return self.answer(text.strip() if self.model.route == "chat" else text, "", reading)


def _text(target: Any) -> str:
    if not isinstance(target, str):
        raise TypeError(f"A target of a remote model is a text, a Contrast of texts or None; got {target!r}.")
    return target


def _check_generation(settings: Mapping[str, Any]) -> None:
    unknown = [name for name in settings if name not in KNOWN]
    if unknown:
        raise ValueError(f"A remote model takes {', '.join(KNOWN)} as generation arguments; got {unknown}.")


def _check_embedding(similarity: ResponseSimilarity) -> None:
    """Raise a ValueError for embeddings that need the model itself, before any request."""
    if similarity.log_probability:
        raise ValueError(
            "A server does not score a given answer while it answers: leave log_probability out. Where the server tells how "
            "likely given answers are, explain with inference_mode=InferenceModes.LOG_SOFTMAX."
        )
    embedding = similarity.bound(None, None).embedding
    if isinstance(embedding, (Static, Contextual)) and (embedding.model is None or embedding.name != type(embedding).__name__):
        raise ValueError(
            f"{embedding.name} looks into the model that answers, which a server does not allow: use "
            "ResponseSimilarity(External(...)), or a measure of texts such as ResponseSimilarity(similarity=TfIdf())."
        )
