"""What a model returns: what its forward declares, or what it gives for a few tokens."""

from __future__ import annotations

import inspect
import logging
import re
from typing import Any

import numpy as np
import torch
from jaxtyping import Shaped
from torch import Tensor

from interpreto_mllm.engine.device import input_device
from interpreto_mllm.engine.preserved_state import preserved_state
from interpreto_mllm.engine.vocabulary import vocabulary_size
from interpreto_mllm.prompts.processing import Processing

logger = logging.getLogger(__name__)

TOKENS = 3
"""Tokens of a tiny text, before its end token."""

CLASSIFIER_OUTPUT = re.compile(r"(Sequence|Image)ClassifierOutput")
"""What the forwards of transformers' classifiers of whole inputs are declared to return."""

LANGUAGE_MODEL_OUTPUT = re.compile(r"LM(HeadModel)?Output")
"""What those of its language models are."""

PIXELS = 32
"""Height and width of a tiny image, before the processor."""


def classes_of(model: Any, processing: Processing) -> int | None:
    """How many classes a classifier of whole texts, images or clips has; None for a model that is none.

    Args:
        model: a model of transformers, or a wrapper of one.
        processing: its tokenizer or processor.
    """
    declared = _declared(model)
    if LANGUAGE_MODEL_OUTPUT.search(declared):
        return None
    if CLASSIFIER_OUTPUT.search(declared):
        return int(model.config.num_labels)
    logits = getattr(tiny_output(model, processing), "logits", None)
    return int(logits.shape[1]) if logits is not None and logits.ndim == 2 else None


def _declared(model: Any) -> str:
    """The type that a model's forward is declared to return; empty where it is not, as of wrappers."""
    returned = inspect.signature(model.forward).return_annotation
    return "" if returned is inspect.Signature.empty else str(returned)


def tiny_output(model: Any, processing: Processing) -> Any:
    """The output of one forward over a few tokens, a blank image or a second of silence; None where the model refuses it.

    Args:
        model: a model of transformers, or a wrapper of one.
        processing: its tokenizer or processor; only models that read no text need it.
    """
    with preserved_state(model):
        try:
            return model(**_tiny_inputs(model, processing))
        except Exception as error:  # a model may refuse a text or an image alone in any way it likes
            logger.info("%s cannot read a tiny input (%s).", type(model).__name__, error)
            return None


def _tiny_inputs(model: Any, processing: Processing) -> dict[str, Shaped[Tensor, "..."]]:
    media: dict[str, Shaped[Tensor, "..."]] = {}
    if processing.modalities and (processing.side_by_side or not processing.reads_text):
        media = blank(processing)
        if not processing.side_by_side:
            return media
    vocabulary = vocabulary_size(model) or 256
    ends = getattr(model.config, "eos_token_id", None)
    end = ends[0] if isinstance(ends, (list, tuple)) and ends else ends
    ids = [(vocabulary // 2 + index) % vocabulary for index in range(TOKENS)]
    ids += [end] if isinstance(end, int) and 0 <= end < vocabulary else []  # BART's classifiers pool the end token
    tensor = torch.tensor([ids], device=input_device(model))
    return {"input_ids": tensor, "attention_mask": torch.ones_like(tensor), **media}


def blank(processing: Processing) -> dict[str, Shaped[Tensor, "..."]]:
    """What a model is given for a blank image, or for a second of silence."""
    if "image" in processing.modalities:
        from PIL import Image

        given = dict(processing.processor(images=Image.new("RGB", (PIXELS, PIXELS)), return_tensors="pt"))
    else:
        rate = processing.rate or 16_000
        given = dict(processing.processor(np.zeros(rate, np.float32), sampling_rate=rate, return_tensors="pt"))
    return {name: processing.moved(tensor) for name, tensor in given.items()}
