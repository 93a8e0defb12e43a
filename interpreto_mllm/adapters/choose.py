"""Which adapter serves a model."""

from __future__ import annotations

import inspect
from dataclasses import replace
from typing import Any

from torch.nn import DataParallel
from torch.nn.parallel import DistributedDataParallel

from interpreto_mllm.adapters.base import Batching, Generation, ModelAdapter
from interpreto_mllm.adapters.beside import kind_beside
from interpreto_mllm.adapters.causal import CausalAdapter
from interpreto_mllm.adapters.classifier import ClassifierAdapter
from interpreto_mllm.adapters.generating import GeneratingAdapter
from interpreto_mllm.adapters.local import LocalAdapter
from interpreto_mllm.adapters.made_of_both import made_of_both
from interpreto_mllm.adapters.positional import AnswerSpanAdapter, MaskedAdapter, PositionAdapter, TokenClassifierAdapter
from interpreto_mllm.adapters.remote.adapter import RemoteRespondingAdapter, RemoteScoringAdapter
from interpreto_mllm.adapters.remote.model import RemoteModel
from interpreto_mllm.adapters.responding import LocalRespondingAdapter
from interpreto_mllm.adapters.seq2seq import Seq2SeqAdapter
from interpreto_mllm.engine.queries import Mode
from interpreto_mllm.engine.signature import forward_parameters
from interpreto_mllm.engine.text_submodel import text_submodel
from interpreto_mllm.engine.tiny_forward import classes_of, tiny_output
from interpreto_mllm.engine.turns import turn
from interpreto_mllm.games.modes import InferenceModes
from interpreto_mllm.prompts.processing import Processing
from interpreto_mllm.similarity.response_similarity import ResponseSimilarity

SIDE_BY_SIDE = (
    "a model that reads an image and a text side by side, and gives neither a score nor classes of the two, like BLIP's "
    "question answering and captions"
)

SHARDING = "torch.distributed.fsdp"
"""The package of classes that shard a model, of wrappers and of those that a model is turned into."""

OTHER_OUTPUTS = {
    "start_logits": "a model of extractive question answering that reads more than text, or not in one piece",
    "logits_per_image": "a model that scores pairs of images and texts without a processor for both",
    "logits": "a model with an output for each token, pixel or frame",
    "last_hidden_state": "an encoder or decoder without a head",
}
"""Kinds of models that are not explained, by the outputs that they give."""


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
    model = _on_one_device(model)
    _check_model(model)
    model = text_submodel(model)
    processing = Processing(tokenizer, model)
    processing = replace(processing, side_by_side=_reads_side_by_side(model, processing))
    with turn(model):
        kind = local_kind(model, processing)
    if generation.arguments and not issubclass(kind, GeneratingAdapter):
        raise ValueError(f"{type(model).__name__} generates nothing: leave `generate` out.")
    if not isinstance(value_function, ResponseSimilarity):
        return kind(model, processing, value_function, generation, batching)
    if not issubclass(kind, GeneratingAdapter):
        raise ValueError(
            f"{type(model).__name__} does not answer in text, so there are no responses to compare: use InferenceModes.LOGITS, "
            "SOFTMAX or LOG_SOFTMAX."
        )
    generation = replace(generation, arguments={**generation.arguments, **value_function.generate})
    return LocalRespondingAdapter(kind(model, processing, InferenceModes.LOG_SOFTMAX, generation, batching), value_function)


def _on_one_device(model: Any) -> Any:
    """The model in a wrapper that splits batches among devices, which give it no other values."""
    while isinstance(model, (DataParallel, DistributedDataParallel)):
        model = model.module
    return model


def local_kind(model: Any, processing: Processing) -> type[LocalAdapter[Any]]:
    """The class of adapters for a transformers model, by what it returns.

    Args:
        model: it, or a wrapper of it.
        processing: its tokenizer or processor.

    Raises:
        TypeError: for a model that neither generates nor classifies; the message says what it is where that is known.
    """
    name = type(model).__name__
    _check_model(model)
    if (both := made_of_both(model, processing)) is not None:
        raise TypeError(
            f"{name} reads {both!r}, which its processor makes of the text and the images together; models whose images "
            "only stand for tokens of the prompt are supported, such as LLaVA, Qwen-VL, Gemma 3 and Idefics 3."
        )
    if processing.side_by_side:
        if (beside := kind_beside(tiny_output(model, processing))) is not None:
            return beside
        raise TypeError(_unsupported(name, SIDE_BY_SIDE))
    if classes_of(model, processing) is not None:
        return ClassifierAdapter
    if getattr(model.config, "is_encoder_decoder", False) and model.can_generate():
        return Seq2SeqAdapter
    if model.get_output_embeddings() is not None and model.can_generate():
        return CausalAdapter
    output = tiny_output(model, processing)
    if (kind := _positional(model, processing, output)) is not None:
        return kind
    choices = "MultipleChoice" in str(inspect.signature(model.forward).return_annotation)
    raise TypeError(_unsupported(name, "a model that chooses between several texts" if choices else _described(output)))


def _check_model(model: Any) -> None:
    """Raise an error unless this is a model with weights.

    Raises:
        TypeError: for something else.
        ValueError: for a model on the meta device, whose weights were never loaded, or a sharded one.
    """
    if isinstance(model, type) or not hasattr(model, "config") or not callable(getattr(model, "get_input_embeddings", None)):
        hint = f"the class {model.__name__}: give an instance of it" if isinstance(model, type) else type(model).__name__
        raise TypeError(f"model must be a transformers model; got {hint}.")
    if any(base.__module__.startswith(SHARDING) for part in model.modules() for base in type(part).__mro__):
        raise ValueError(
            f"{type(model).__name__} is sharded by FSDP: each process holds a part of every weight, and all would have to make "
            "every forward at the same time. Explain the model before it is wrapped, load it with device_map='auto' to spread "
            "it over several devices, or use DistributedDataParallel, whose model is explained."
        )
    offloaded = any(
        hasattr(module, "_hf_hook") for module in model.modules()
    )  # accelerate brings its weights when they are used
    if not offloaded and any(parameter.is_meta for parameter in model.parameters()):
        raise ValueError(
            f"{type(model).__name__} is on the meta device: it has no weights. Load it with from_pretrained, and not within "
            "torch.device('meta') or init_empty_weights()."
        )


def _reads_side_by_side(model: Any, processing: Processing) -> bool:
    """Whether the processor gives a text, and an image that has no place in it."""
    return (
        hasattr(model, "config")
        and "image" in processing.modalities
        and processing.tokenizer is not None
        and not processing.soft_ids
        and {"input_ids", "pixel_values"} <= forward_parameters(model)
    )


def _unsupported(name: str, what: str) -> str:
    return (
        f"{name} neither generates text nor classifies{f': it is {what}' if what else ''}. Load it with an AutoModelFor… class "
        "that does: causal and encoder-decoder language models, with images and audio or without, classifiers of texts, images "
        "and clips, models that compare an image and a text or classify both, masked language models, token classification and "
        "extractive question answering are supported."
    )


def _positional(model: Any, processing: Processing, output: Any) -> type[PositionAdapter] | None:
    """The adapter of a model with an output for each position of a text."""
    if processing.modalities or model.config.is_encoder_decoder:
        return None
    if all(getattr(output, name, None) is not None for name in ("start_logits", "end_logits")):
        return AnswerSpanAdapter if output.start_logits.ndim == 2 else None
    logits = getattr(output, "logits", None)
    if logits is None or logits.ndim != 3:
        return None
    if model.get_output_embeddings() is not None:
        return MaskedAdapter
    return TokenClassifierAdapter if logits.shape[-1] == model.config.num_labels else None


def _described(output: Any) -> str:
    """What kind of model gives an output, in words; empty where that is unknown."""
    return next((words for name, words in OTHER_OUTPUTS.items() if getattr(output, name, None) is not None), "")
