"""Which adapter serves a model of transformers."""

from __future__ import annotations

from typing import Any

from interpreto_mllm.adapters.base import ModelAdapter
from interpreto_mllm.adapters.causal import CausalAdapter
from interpreto_mllm.adapters.classifier import ClassifierAdapter
from interpreto_mllm.adapters.seq2seq import Seq2SeqAdapter
from interpreto_mllm.prompts.processing import Processing

CLASSIFIERS = ("ForSequenceClassification", "ForImageClassification", "ForAudioClassification")
"""How the names of classifiers end."""


def local_adapter(model: Any, processing: Processing) -> ModelAdapter:
    """The kind of a transformers model.

    Raises:
        TypeError: for a model that neither generates nor classifies.
    """
    name = type(model).__name__
    if not hasattr(model, "config") or not callable(getattr(model, "get_input_embeddings", None)):
        raise TypeError(f"model must be a transformers model; got {name}.")
    if name.endswith(CLASSIFIERS):
        return ClassifierAdapter(model, processing)
    if getattr(model.config, "is_encoder_decoder", False):
        return Seq2SeqAdapter(model, processing)
    if model.get_output_embeddings() is not None and model.can_generate():
        return CausalAdapter(model, processing)
    raise TypeError(f"{name} neither generates text nor classifies; load it with an AutoModelFor… class that does.")
