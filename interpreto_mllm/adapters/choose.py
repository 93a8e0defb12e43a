"""Which kind a model is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from interpreto_mllm.adapters.base import ModelAdapter
from interpreto_mllm.adapters.local import local_adapter
from interpreto_mllm.adapters.remote.adapter import RemoteRespondingAdapter, RemoteScoringAdapter
from interpreto_mllm.adapters.remote.model import RemoteModel
from interpreto_mllm.adapters.responding import LocalRespondingAdapter
from interpreto_mllm.engine.queries import Mode
from interpreto_mllm.engine.text_submodel import text_submodel
from interpreto_mllm.prompts.processing import Processing
from interpreto_mllm.similarity.response_similarity import ResponseSimilarity


def choose_adapter(
    model: Any, tokenizer: Any, mode: Mode | ResponseSimilarity, generate: Mapping[str, Any], seed: int
) -> ModelAdapter:
    """The kind of a model under a value function.

    Raises:
        TypeError: for a model that neither generates text nor classifies.
        ValueError: for a value function that the model cannot serve.
    """
    if isinstance(model, RemoteModel):
        if isinstance(mode, ResponseSimilarity):
            return RemoteRespondingAdapter(model, mode, generate, seed)
        return RemoteScoringAdapter(model, mode, generate, seed)
    model = text_submodel(model)
    kind = local_adapter(model, Processing(tokenizer, model))
    return LocalRespondingAdapter(kind, mode, generate, seed) if isinstance(mode, ResponseSimilarity) else kind
