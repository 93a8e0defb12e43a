"""A tiny Llava as a folder for servers: it sees, and its template takes tools, documents, calls, results and thoughts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import transformers as hf
from safetensors.torch import load_file, save_file
from support.family_parts import IDS, grown, tokenizer

TEMPLATE = (
    "<s>{% if tools %}<tools>{% for t in tools %}{{ t | tojson }}\n{% endfor %}</tools>{% endif %}"
    "{% for d in documents or [] %}[{{ d.id }}] {{ d.text }}\n{% endfor %}"
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{% if m.reasoning_content %}<think>{{ m.reasoning_content }}</think>{% endif %}"
    "{% if m.content is string %}{{ m.content }}{% else %}{% for p in m.content or [] %}"
    "{% if p.type == 'image' %}<image>\n{% else %}{{ p.text }}{% endif %}{% endfor %}{% endif %}"
    "{% for c in m.tool_calls or [] %}{{ c.function.name }}({{ c.function.arguments | tojson }}){% endfor %}<|im_end|>\n"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
WIDTH: dict[str, Any] = {"hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
"""Heads of 32, the least that vLLM has kernels for."""


def make(folder: Path) -> tuple[Any, Any]:
    """The model and its processor, saved in the folder."""
    words = tokenizer(["<|im_start|>", "<|im_end|>"], TEMPLATE, bos="<s>", image_token="<image>")
    words.add_tokens(["<think>", "</think>"])
    images = hf.CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    options: dict[str, Any] = {"vision_feature_select_strategy": "default", "num_additional_image_tokens": 1}
    processor = hf.LlavaProcessor(images, words, patch_size=8, chat_template=TEMPLATE, **options)
    text: dict[str, Any] = {"vocab_size": len(words), "num_key_value_heads": 2, "max_position_embeddings": 1024}
    config = hf.LlavaConfig(
        vision_config=hf.CLIPVisionConfig(**WIDTH, image_size=32, patch_size=8),
        text_config=hf.LlamaConfig(**WIDTH, **text, **IDS),
        image_token_index=words.image_token_id,
        image_seq_length=16,
    )
    model = grown(lambda: hf.LlavaForConditionalGeneration(config), 8.0)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    file = folder / "model.safetensors"
    save_file({_as_vllm_has_it(name): tensor for name, tensor in load_file(file).items()}, file, {"format": "pt"})
    return model, processor


def _as_vllm_has_it(name: str) -> str:
    """The former name of a weight, which transformers reads as well."""
    return name.replace("vision_tower.", "vision_tower.vision_model.") if "vision_model" not in name else name
