"""Tiny models of the families that relevance is tested on: biases and gains are drawn too, so that none is without effect."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import transformers as hf

SIZES: dict[str, Any] = dict(
    vocab_size=50, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=48,
    max_position_embeddings=64, initializer_range=0.3, pad_token_id=0, bos_token_id=1, eos_token_id=2,
)  # fmt: skip
GROUPED: dict[str, Any] = dict(SIZES, num_key_value_heads=2)
ENDS: dict[str, Any] = dict(bos_token_id=1, eos_token_id=2, pad_token_id=0)

MAKERS: dict[str, Callable[[], Any]] = {
    "llama": lambda: hf.LlamaForCausalLM(hf.LlamaConfig(**GROUPED, attention_bias=True, mlp_bias=True)),
    "mistral": lambda: hf.MistralForCausalLM(hf.MistralConfig(**GROUPED, sliding_window=4)),
    "qwen2": lambda: hf.Qwen2ForCausalLM(hf.Qwen2Config(**GROUPED)),
    "qwen3": lambda: hf.Qwen3ForCausalLM(hf.Qwen3Config(**GROUPED, head_dim=8)),
    "gemma": lambda: hf.GemmaForCausalLM(hf.GemmaConfig(**GROUPED, head_dim=8)),
    "gemma2": lambda: hf.Gemma2ForCausalLM(
        hf.Gemma2Config(**GROUPED, head_dim=8, attn_logit_softcapping=2.0, final_logit_softcapping=3.0)
    ),
    "gemma3": lambda: hf.Gemma3ForCausalLM(hf.Gemma3TextConfig(**GROUPED, head_dim=8)),
    "gpt2": lambda: hf.GPT2LMHeadModel(
        hf.GPT2Config(vocab_size=50, n_embd=32, n_layer=2, n_head=4, n_positions=64, initializer_range=0.3, **ENDS)
    ),
    "bert": lambda: hf.BertForSequenceClassification(hf.BertConfig(**SIZES)),
    "bert, masked": lambda: hf.BertForMaskedLM(hf.BertConfig(**SIZES)),
    "roberta": lambda: hf.RobertaForSequenceClassification(hf.RobertaConfig(**SIZES)),
    "distilbert": lambda: hf.DistilBertForSequenceClassification(
        hf.DistilBertConfig(vocab_size=50, dim=32, n_layers=2, n_heads=4, hidden_dim=48, initializer_range=0.3)
    ),
    "phi": lambda: hf.PhiForCausalLM(hf.PhiConfig(**SIZES)),
    "phi3": lambda: hf.Phi3ForCausalLM(hf.Phi3Config(**SIZES)),
    "opt": lambda: hf.OPTForCausalLM(
        hf.OPTConfig(vocab_size=50, hidden_size=32, word_embed_proj_dim=32, num_hidden_layers=2, num_attention_heads=4,
                     ffn_dim=48, init_std=0.3, **ENDS)
    ),
    "gptj": lambda: hf.GPTJForCausalLM(hf.GPTJConfig(vocab_size=50, n_embd=32, n_layer=2, n_head=4, rotary_dim=4, **ENDS)),
    "gpt_neox": lambda: hf.GPTNeoXForCausalLM(hf.GPTNeoXConfig(**SIZES)),
    "lfm2": lambda: hf.Lfm2ForCausalLM(hf.Lfm2Config(**GROUPED, layer_types=["conv", "full_attention"])),
    "t5": lambda: hf.T5ForConditionalGeneration(
        hf.T5Config(vocab_size=50, d_model=32, d_ff=48, d_kv=8, num_layers=2, num_heads=4, feed_forward_proj="gated-gelu",
                    decoder_start_token_id=0)
    ),
    "bart": lambda: hf.BartForConditionalGeneration(
        hf.BartConfig(vocab_size=50, d_model=32, encoder_layers=2, decoder_layers=2, encoder_attention_heads=4, init_std=0.3,
                      decoder_attention_heads=4, encoder_ffn_dim=48, decoder_ffn_dim=48, **ENDS)
    ),
    "bloom": lambda: hf.BloomForCausalLM(hf.BloomConfig(vocab_size=50, hidden_size=32, n_layer=2, n_head=4)),
    "mamba": lambda: hf.MambaForCausalLM(hf.MambaConfig(vocab_size=50, hidden_size=32, num_hidden_layers=2)),
    "mixtral": lambda: hf.MixtralForCausalLM(hf.MixtralConfig(**GROUPED, num_local_experts=4)),
}  # fmt: skip
"""The last three have operations without rules."""


def make(family: str) -> Any:
    """A model with weights of a fixed seed."""
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        model = MAKERS[family]().eval()
        for name, parameter in model.named_parameters():
            if parameter.ndim == 1:
                parameter.data += torch.randn_like(parameter) * (1.0 if name.endswith("bias") else 0.3)
    return model


def without_biases(model: Any) -> Any:
    """The same model with biases of zero."""
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            parameter.data.zero_()
    return model
