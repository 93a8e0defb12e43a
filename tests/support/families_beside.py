"""Tiny models that read an image beside a text: scores of the two, as CLIP's, and classes, as ViLT's."""

from __future__ import annotations

from functools import cache
from typing import Any

import transformers as hf
from support.family_parts import WIDTH, Family, grown
from support.zoo import VOCABULARY, wordpiece

POSITIONS = 24
VISION: dict[str, Any] = WIDTH | {"image_size": 32, "patch_size": 8}
SQUARE: dict[str, Any] = {"size": {"height": 32, "width": 32}}


def _text() -> tuple[Any, dict[str, Any]]:
    """A tokenizer, and the settings of what reads its texts."""
    words = wordpiece()
    ids = {"bos_token_id": words.cls_token_id, "eos_token_id": words.sep_token_id, "pad_token_id": words.pad_token_id}
    return words, {**WIDTH, **ids, "vocab_size": VOCABULARY, "max_position_embeddings": POSITIONS}


@cache
def clip() -> Family:
    words, text = _text()
    words.model_input_names = ["input_ids", "attention_mask"]
    config = hf.CLIPConfig(text_config=text, vision_config=VISION, projection_dim=16)
    images = hf.CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=SQUARE["size"])
    return Family("clip", grown(lambda: hf.CLIPModel(config)), hf.CLIPProcessor(images, words))


@cache
def siglip() -> Family:
    """Its texts are filled up, without a mask, and the last place is pooled."""
    words, text = _text()
    words.model_input_names = ["input_ids"]
    config = hf.SiglipConfig(text_config=text | {"projection_size": 32}, vision_config=VISION)
    return Family(
        "siglip", grown(lambda: hf.SiglipModel(config)), hf.SiglipProcessor(hf.SiglipImageProcessorPil(**SQUARE), words)
    )


@cache
def vilt() -> Family:
    words, text = _text()
    config = hf.ViltConfig(
        **text, image_size=32, patch_size=8, num_labels=4, id2label=dict(enumerate(["yes", "no", "2", "red"]))
    )
    images = hf.ViltImageProcessorPil(size={"shortest_edge": 32}, size_divisor=8)
    return Family("vilt", grown(lambda: hf.ViltForQuestionAnswering(config)), hf.ViltProcessor(images, words))


def _blip() -> tuple[Any, Any]:
    words, text = _text()
    text |= {"sep_token_id": words.sep_token_id, "encoder_hidden_size": 32}
    config = hf.BlipConfig(text_config=text, vision_config=VISION, image_text_hidden_size=16, projection_dim=16)
    return config, hf.BlipProcessor(hf.BlipImageProcessorPil(**SQUARE), words)


@cache
def blip_retrieval() -> Family:
    config, processor = _blip()
    return Family("blip_retrieval", grown(lambda: hf.BlipForImageTextRetrieval(config)), processor)


@cache
def blip_answering() -> Family:
    config, processor = _blip()
    return Family("blip_answering", hf.BlipForQuestionAnswering(config).eval(), processor)
