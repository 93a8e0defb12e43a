"""What the explainer must know of a remote model."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from interpreto_mllm.games.answering import AnsweringKind
from interpreto_mllm.games.targets import Answer
from interpreto_mllm.games.voices import Voice
from interpreto_mllm.prompts.granularity import Granularity
from interpreto_mllm.prompts.occlusion import Attend, Occlusion, Reading
from interpreto_mllm.prompts.processing import Processing
from interpreto_mllm.prompts.reader import PromptReader
from interpreto_mllm.remote.characters import CharacterReader, Characters
from interpreto_mllm.remote.model import RemoteModel
from interpreto_mllm.remote.voice import RemoteVoice
from interpreto_mllm.responses import Response
from interpreto_mllm.similarity.embeddings import Contextual, Static
from interpreto_mllm.similarity.response_similarity import ResponseSimilarity

KNOWN = ("max_new_tokens", "do_sample", "temperature", "top_p", "stop", "extra_body")


class RemoteKind(AnsweringKind):
    """A model on a server, asked to answer again.

    Raises:
        ValueError: for a value function that needs logits, or generation arguments that a server does not take.
    """

    def __init__(self, model: RemoteModel, similarity: object, generate: Mapping[str, Any], seed: int):
        if not isinstance(similarity, ResponseSimilarity):
            raise ValueError(
                "A remote model gives answers and no logits: use inference_mode=ResponseSimilarity(...), for example "
                "ResponseSimilarity(similarity=TfIdf()) or ResponseSimilarity(External(...))."
            )
        _check_embedding(similarity)
        super().__init__(model, Processing(Characters(), None), similarity.bound(None, None), generate, seed)
        unknown = [name for name in self._settings if name not in KNOWN]
        if unknown:
            raise ValueError(f"A remote model takes {', '.join(KNOWN)} as generation arguments; got {unknown}.")
        self._sampled = bool(self._settings.get("do_sample"))
        self.answer_tokens = int(self._settings.get("max_new_tokens", 32))

    def lent(self) -> AbstractContextManager[None]:
        return nullcontext()

    def reader(self, granularity: Any, *parts: Any) -> PromptReader:
        if granularity in (Granularity.TOKEN, Granularity.ALL_TOKENS):
            raise ValueError(
                f"Only the server knows a remote model's tokens, not {granularity}: use WORD, SENTENCE, TURN or spans."
            )
        return CharacterReader(self.processing, granularity, *parts, bare=self.model.route == "completion")

    def check_tokenizer(self) -> None:
        """A remote model has none."""

    def check_ids(self, reading: Reading) -> None:
        """Whatever can be written can be sent."""

    def check_occlusion(self, occlusion: Occlusion) -> None:
        if isinstance(occlusion, Attend):
            raise ValueError("Attention cannot be masked on a server: use Drop() or Replace(...).")

    def room(self) -> int | None:
        return None

    def read_tokens(self, reading: Reading) -> int:
        return -(-len(reading.ids) // 4)

    def voices(self, batch_size: int, share_prefixes: bool) -> tuple[Voice, Voice]:
        kept = {name: self._settings[name] for name in ("top_p", "stop", "extra_body") if name in self._settings}
        told = {"max_tokens": self.answer_tokens, **kept}
        greedy = RemoteVoice(self.model, {**told, "temperature": 0.0})
        if not self._sampled:
            return greedy, greedy
        drawn = {**told, "temperature": self._settings.get("temperature", 1.0)}
        return greedy, RemoteVoice(self.model, drawn, self._seed)

    def settings(self) -> dict[str, Any]:
        drawn = {"seed": self._seed} if self._sampled else {}
        return {**self._settings, "max_new_tokens": self.answer_tokens, "model": self.model.model, **drawn}

    def answer(self, target: Any, text: str, reading: Reading) -> Answer:
        if not isinstance(target, str):
            raise TypeError(f"A target of a remote model is a text, a Contrast of texts or None; got {target!r}.")
        return self.original(Response(target.strip()), reading)


def _check_embedding(similarity: ResponseSimilarity) -> None:
    """Raise a ValueError for an embedding that looks into the model, before anything is asked of it."""
    embedding = similarity.bound(None, None).embedding
    if isinstance(embedding, (Static, Contextual)) and (embedding.model is None or embedding.name != type(embedding).__name__):
        raise ValueError(
            f"{embedding.name} looks into the model that answers, which a server does not allow: use "
            "ResponseSimilarity(External(...)), or a measure of texts such as ResponseSimilarity(similarity=TfIdf())."
        )
