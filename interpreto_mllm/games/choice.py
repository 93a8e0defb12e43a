"""Which kind a model is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from interpreto_mllm.engine.query import Mode
from interpreto_mllm.engine.writer import writer
from interpreto_mllm.games.answering import RespondingKind
from interpreto_mllm.games.kinds import ModelKind, model_kind
from interpreto_mllm.prompts.processing import Processing
from interpreto_mllm.remote.kind import RemoteAnsweringKind, RemoteScoringKind
from interpreto_mllm.remote.model import RemoteModel
from interpreto_mllm.similarity.response_similarity import ResponseSimilarity


def choose_kind(
    model: Any, tokenizer: Any, mode: Mode | ResponseSimilarity, generate: Mapping[str, Any], seed: int
) -> ModelKind:
    """The kind of a model under a value function.

    Raises:
        TypeError: for a model that neither generates text nor classifies.
        ValueError: for a value function that the model cannot serve.
    """
    if isinstance(model, RemoteModel):
        if isinstance(mode, ResponseSimilarity):
            return RemoteAnsweringKind(model, mode, generate, seed)
        return RemoteScoringKind(model, mode, generate, seed)
    model = writer(model)
    kind = model_kind(model, Processing(tokenizer, model))
    return RespondingKind(kind, mode, generate, seed) if isinstance(mode, ResponseSimilarity) else kind
