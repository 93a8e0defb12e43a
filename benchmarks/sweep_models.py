"""Every text family of transformers as a tiny model with random weights, built from its own config class."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import torch
import transformers as hf
from sweep_configs import VARIANTS, Family, NotText, small_config, zoo
from transformers.models.auto import modeling_auto

KINDS = {
    "causal": modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    "seq2seq": modeling_auto.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES,
    "classifier": modeling_auto.MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES,
}


def families() -> Iterator[Family]:
    """All classes of the auto mappings, each once, with the variants; of several types of a class, the shortest name."""
    for kind, mapping in KINDS.items():
        types: dict[str, list[str]] = {}
        for model_type, names in mapping.items():
            for name in [names] if isinstance(names, str) else names:
                types.setdefault(name, []).append(model_type)
        for name, found in types.items():
            yield Family(kind, min(found, key=len), name)
            for variant in VARIANTS.get(name, {}) if kind == "causal" else {}:
                yield Family(kind, min(found, key=len), name, variant)


def tokenizer_of(family: Family, config: Any) -> Any:
    """WordPiece for what reads in both directions, Llama's kind where a text begins with a token, GPT-2's kind otherwise."""
    if family.kind == "classifier" and not hasattr(config, "num_key_value_heads"):
        return zoo.wordpiece()
    if family.kind == "seq2seq":
        return zoo.wordpiece()
    return zoo.sentencepiece_like() if sum(map(ord, family.model)) % 2 else zoo.byte_bpe()


def build(family: Family, scale: float, seed: int = 0) -> tuple[Any, Any]:
    """The model, its matrices multiplied by `scale` so that what it reads matters, and its tokenizer."""
    torch.manual_seed(seed)
    draft = hf.CONFIG_MAPPING[family.type]
    tokenizer = tokenizer_of(family, draft())
    ending = tokenizer.sep_token_id if tokenizer.sep_token_id is not None else tokenizer.eos_token_id
    config = small_config(family, ending)
    model = getattr(hf, family.model)(config).eval()
    _make_all_weights_matter(model, scale)
    accepted = inspect.signature(model.forward).parameters
    if "input_ids" not in accepted and "kwargs" not in accepted:
        raise NotText("its forward takes no input_ids")
    return model, tokenizer


def _make_all_weights_matter(model: Any, scale: float) -> None:
    """Multiply matrices, and fill what is zero here but not in published checkpoints: biases, and the embedding of padding."""
    modules = [part for part in model.modules() if isinstance(part, torch.nn.modules.conv._ConvNd)]
    convolutions = {id(part.weight) for part in modules if max(part.kernel_size) > 1}
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.ndim >= 2 and id(weight) not in convolutions and "A_log" not in name:
                weight.mul_(scale)
            elif name.endswith("bias") and not weight.any():
                weight.normal_(std=0.1)
        for part in model.modules():
            if isinstance(part, torch.nn.Embedding) and part.padding_idx is not None:
                part.weight[part.padding_idx].normal_(std=float(part.weight.std()))
