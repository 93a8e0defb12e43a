"""A tiny Llama with a tokenizer of bytes, as a folder for transformers and vLLM and as a file for llama.cpp."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

TEXT = "the apple is red . the sky is blue . what is the apple ? what is the sky ? answer the question . it is red , blue ."
TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{{ message.role }}\n{{ message.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant\n{% endif %}"
)
HEADS, WIDTH, LAYERS, POSITIONS = 2, 64, 2, 512
BYTES = 258
"""Ids of the special tokens and of single bytes lie below."""


def make(folder: Path) -> tuple[Any, Any]:
    """The model and its tokenizer, saved in the folder: weights of a fixed seed, large enough that every word matters."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = _tokenizer()
    ends = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id, "pad_token_id": None}
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        intermediate_size=128,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=HEADS,
        max_position_embeddings=POSITIONS,
        initializer_range=0.3,
        **ends,
    )
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        model = LlamaForCausalLM(config).eval()
    model.lm_head.weight.data[:BYTES] = 0  # it answers in words rather than in bytes
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    np.savez(folder / "weights.npz", **{name: tensor.numpy() for name, tensor in model.state_dict().items()})
    return model, tokenizer


def _tokenizer() -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=BYTES + 42, special_tokens=["<s>", "</s>"], initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator([TEXT], trainer)
    tokenizer.post_processor = processors.TemplateProcessing("<s> $A", special_tokens=[("<s>", 0)])
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>")
    fast.chat_template = TEMPLATE
    return fast


def write_gguf(folder: Path, file: Path) -> None:
    """What `make` saved, as one file for llama.cpp; run by the Python that has `gguf`."""
    import gguf

    config = json.loads((folder / "config.json").read_text())
    spelled = json.loads((folder / "tokenizer.json").read_text())["model"]
    weights = np.load(folder / "weights.npz")
    writer = gguf.GGUFWriter(file, "llama")
    writer.add_context_length(POSITIONS)
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_rope_dimension_count(config["hidden_size"] // HEADS)
    writer.add_rope_freq_base(10000.0)
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(config["vocab_size"])
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(sorted(spelled["vocab"], key=spelled["vocab"].get))
    control, normal = gguf.TokenType.CONTROL, gguf.TokenType.NORMAL
    writer.add_token_types([control if index < 2 else normal for index in range(config["vocab_size"])])
    writer.add_token_merges([" ".join(pair) for pair in spelled["merges"]])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
    writer.add_add_bos_token(True)
    writer.add_chat_template(TEMPLATE)
    for name in weights.files:
        writer.add_tensor(_renamed(name), _laid(name, weights[name]))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _renamed(name: str) -> str:
    parts = {
        "model.embed_tokens": "token_embd",
        "model.norm": "output_norm",
        "lm_head": "output",
        "model.layers": "blk",
        "input_layernorm": "attn_norm",
        "post_attention_layernorm": "ffn_norm",
        "self_attn.q_proj": "attn_q",
        "self_attn.k_proj": "attn_k",
        "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output",
        "mlp.gate_proj": "ffn_gate",
        "mlp.up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down",
    }
    for old, new in parts.items():
        name = name.replace(old, new)
    return name


def _laid(name: str, weight: np.ndarray) -> np.ndarray:
    """Rotated in pairs that lie side by side, as llama.cpp has them, where transformers rotates halves."""
    if "q_proj" not in name and "k_proj" not in name:
        return weight
    return weight.reshape(HEADS, 2, -1, weight.shape[1]).swapaxes(1, 2).reshape(weight.shape)


if __name__ == "__main__":
    import sys

    write_gguf(Path(sys.argv[1]), Path(sys.argv[2]))
