"""Which adapter serves a model."""

from __future__ import annotations

from typing import Any

from interpreto_mllm.adapters.base import Batching, Generation, ModelAdapter
from interpreto_mllm.adapters.causal import CausalAdapter
from interpreto_mllm.adapters.classifier import ClassifierAdapter
from interpreto_mllm.adapters.generating import GeneratingAdapter
from interpreto_mllm.adapters.local import LocalAdapter
from interpreto_mllm.adapters.remote.adapter import RemoteRespondingAdapter, RemoteScoringAdapter
from interpreto_mllm.adapters.remote.model import RemoteModel
from interpreto_mllm.adapters.responding import LocalRespondingAdapter
from interpreto_mllm.adapters.seq2seq import Seq2SeqAdapter
from interpreto_mllm.engine.queries import Mode
from interpreto_mllm.engine.text_submodel import text_submodel
from interpreto_mllm.games.modes import InferenceModes
from interpreto_mllm.prompts.processing import Processing
from interpreto_mllm.similarity.response_similarity import ResponseSimilarity

CLASSIFIER_ENDINGS = ("ForSequenceClassification", "ForImageClassification", "ForAudioClassification")
"""How the class names of classifiers end."""


def adapter_for(
    model: Any,
    tokenizer: Any,
    value_function: Mode | ResponseSimilarity,
    generation: Generation,
    batching: Batching,
) -> ModelAdapter[Any]:
    """The adapter of a model under a value function.

    Raises:
        TypeError: for a model that neither generates text nor classifies, or without its tokenizer.
        ValueError: for a value function that does not work with the model, or another model's tokenizer.
    """
    if isinstance(model, RemoteModel):
        if isinstance(value_function, ResponseSimilarity):
            return RemoteRespondingAdapter(model, value_function, generation)
        return RemoteScoringAdapter(model, value_function, generation)
    model = text_submodel(model)
    kind, processing = local_kind(model), Processing(tokenizer, model)
    if not isinstance(value_function, ResponseSimilarity):
        return kind(model, processing, value_function, generation, batching)
    if not issubclass(kind, GeneratingAdapter):
        raise ValueError(
            f"{type(model).__name__} does not answer in text, so there are no responses to compare: use InferenceModes.LOGITS, "
            "SOFTMAX or LOG_SOFTMAX."
        )
    return LocalRespondingAdapter(kind(model, processing, InferenceModes.LOG_SOFTMAX, generation, batching), value_function)


def local_kind(model: Any) -> type[LocalAdapter[Any]]:
    """The class of adapters for a transformers model.

    Raises:
        TypeError: for a model that neither generates nor classifies.
    """
    name = type(model).__name__
    if not hasattr(model, "config") or not callable(getattr(model, "get_input_embeddings", None)):
        raise TypeError(f"model must be a transformers model; got {name}.")
    if name.endswith(CLASSIFIER_ENDINGS):
        return ClassifierAdapter
    if getattr(model.config, "is_encoder_decoder", False):
        return Seq2SeqAdapter
    if model.get_output_embeddings() is not None and model.can_generate():
        return CausalAdapter
    raise TypeError(f"{name} neither generates text nor classifies; load it with an AutoModelFor… class that does.")
