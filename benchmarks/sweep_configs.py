"""Small configs for the families of the sweep: one recipe by the names of settings, and what single families need beside it."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import transformers as hf

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from support import zoo

MEDIA = ("vision", "image", "audio", "video", "codec", "encodec", "depth", "speech", "qformer", "acoustic", "projector")
"""A config with a part of such a name belongs to a model that also reads images or sounds: no text family."""


@dataclass(frozen=True)
class Family:
    """A class of model to build: its kind, its type in transformers, its class, and a variant of its config ("" for none)."""

    kind: str
    type: str
    model: str
    variant: str = ""

    @property
    def name(self) -> str:
        """As in the tables: the model's class, and its variant."""
        return f"{self.model} ({self.variant})" if self.variant else self.model

    @property
    def key(self) -> str:
        """As in the results."""
        return f"{self.kind}/{self.name}"


VARIANTS: dict[str, dict[str, dict[str, Any]]] = {
    "BertLMHeadModel": {"is_decoder": {"is_decoder": True}},
    "BertGenerationDecoder": {"is_decoder": {"is_decoder": True}},
    "BigBirdForCausalLM": {"is_decoder": {"is_decoder": True}},
    "CamembertForCausalLM": {"is_decoder": {"is_decoder": True}},
    "Data2VecTextForCausalLM": {"is_decoder": {"is_decoder": True}},
    "ElectraForCausalLM": {"is_decoder": {"is_decoder": True}},
    "ErnieForCausalLM": {"is_decoder": {"is_decoder": True}},
    "MegatronBertForCausalLM": {"is_decoder": {"is_decoder": True}},
    "RemBertForCausalLM": {"is_decoder": {"is_decoder": True}},
    "RobertaForCausalLM": {"is_decoder": {"is_decoder": True}},
    "RobertaPreLayerNormForCausalLM": {"is_decoder": {"is_decoder": True}},
    "RoCBertForCausalLM": {"is_decoder": {"is_decoder": True}},
    "RoFormerForCausalLM": {"is_decoder": {"is_decoder": True}},
    "XLMRobertaForCausalLM": {"is_decoder": {"is_decoder": True}},
    "XLMRobertaXLForCausalLM": {"is_decoder": {"is_decoder": True}},
    "XmodForCausalLM": {"is_decoder": {"is_decoder": True}},
    "DeepseekV4ForCausalLM": {
        "compressing": {"compress_rates": {"compressed_sparse_attention": 4, "heavily_compressed_attention": 8}}
    },
    "FalconForCausalLM": {"alibi": {"alibi": True}},
    "Phi3ForCausalLM": {
        "longrope": {
            "rope_parameters": {
                "rope_type": "longrope",
                "rope_theta": 10000.0,
                "short_factor": [1.0] * 4,
                "long_factor": [4.0] * 4,
                "factor": 8.0,
                "original_max_position_embeddings": 58,
            },
            "original_max_position_embeddings": 58,
        }
    },
}
"""Settings under which a class computes something else, each run as a family of its own."""

HIDDEN, INNER, LAYERS, HEADS, GROUPS, HEAD = 32, 64, 2, 4, 2, 8
WINDOW = 24
"""Tokens that a layer sees back: more than the sweep's short prompt has, fewer than its long one."""

SIZES: dict[str, int] = {
    **dict.fromkeys(["vocab_size", "vocab_size_per_layer_input", "src_vocab_size", "tgt_vocab_size"], zoo.VOCABULARY),
    **dict.fromkeys(["hidden_size", "d_model", "n_embd", "dim", "emb_dim", "embed_dim", "word_embed_proj_dim"], HIDDEN),
    **dict.fromkeys(["embedding_size", "input_embedding_size", "output_embedding_size", "dim_model", "n_embed"], HIDDEN),
    **dict.fromkeys(["bottleneck_size", "intra_bottleneck_size", "true_hidden_size", "lru_width"], HIDDEN),
    **dict.fromkeys(["intermediate_size", "ffn_dim", "d_ff", "dff", "dim_ff", "hidden_dim", "ffn_hidden_size"], INNER),
    **dict.fromkeys(
        ["encoder_ffn_dim", "decoder_ffn_dim", "d_inner", "intermediate_size_mlp", "dense_intermediate_size"], INNER
    ),
    **dict.fromkeys(["moe_intermediate_size", "shared_expert_intermediate_size", "expert_ffn_hidden_size"], HIDDEN),
    **dict.fromkeys(["shared_intermediate_size", "moe_shared_expert_intermediate_size", "moe_latent_size"], HIDDEN),
    **dict.fromkeys(["num_hidden_layers", "n_layer", "n_layers", "num_layers", "encoder_layers", "decoder_layers"], LAYERS),
    **dict.fromkeys(["num_decoder_layers", "num_encoder_layers"], LAYERS),
    **dict.fromkeys(["num_attention_heads", "n_head", "n_heads", "num_heads", "encoder_attention_heads"], HEADS),
    **dict.fromkeys(["decoder_attention_heads", "num_encoder_attention_heads", "num_decoder_attention_heads"], HEADS),
    **dict.fromkeys(["linear_num_value_heads", "linear_num_key_heads", "swa_num_attention_heads"], HEADS),
    **dict.fromkeys(["num_key_value_heads", "swa_num_key_value_heads", "num_global_key_value_heads"], GROUPS),
    **dict.fromkeys(["head_dim", "v_head_dim", "qk_nope_head_dim", "qk_rope_head_dim", "d_kv", "dim_head"], HEAD),
    **dict.fromkeys(["linear_key_head_dim", "linear_value_head_dim", "kv_channels", "index_head_dim", "d_head"], HEAD),
    **dict.fromkeys(["global_head_dim", "swa_head_dim", "swa_v_head_dim", "attention_head_dim"], HEAD),
    **dict.fromkeys(["kv_lora_rank", "q_lora_rank", "o_lora_rank"], 16),
    **dict.fromkeys(["qk_head_dim"], 2 * HEAD),
    **dict.fromkeys(["num_experts", "n_routed_experts", "num_local_experts", "moe_num_experts"], 4),
    **dict.fromkeys(["num_experts_per_tok", "moe_k", "moe_topk", "top_k_experts", "moe_top_k"], 2),
    **dict.fromkeys(["n_group", "topk_group", "n_shared_experts", "num_shared_experts", "first_k_dense_replace"], 1),
    **dict.fromkeys(["max_position_embeddings", "n_positions", "n_ctx", "max_seq_len", "max_source_positions"], 256),
    **dict.fromkeys(["max_target_positions", "max_encoder_position_embeddings", "max_decoder_position_embeddings"], 256),
    **dict.fromkeys(["max_sequence_length"], 256),
    **dict.fromkeys(["sliding_window", "attention_window_size", "local_attention", "window_size"], WINDOW),
    **dict.fromkeys(["mamba_n_heads", "mamba_num_heads", "n_mamba_heads"], 4),
    **dict.fromkeys(["mamba_d_head", "mamba_head_dim"], 16),
    **dict.fromkeys(["mamba_d_state", "state_size", "ssm_state_size"], 8),
    **dict.fromkeys(["mamba_n_groups", "n_groups", "mamba_ngroups"], 1),
    **dict.fromkeys(["mamba_d_ssm"], HIDDEN * 2),
    **dict.fromkeys(["mamba_chunk_size", "chunk_size"], 8),
    **dict.fromkeys(["mamba_dt_rank", "time_step_rank"], 4),
    **dict.fromkeys(["hidden_size_per_layer_input", "laurel_rank"], 8),
    "index_n_heads": 16,
    "index_topk": 4,
    **dict.fromkeys(["entity_vocab_size", "pronunciation_vocab_size", "shape_vocab_size"], zoo.VOCABULARY),
    **dict.fromkeys(["entity_emb_size", "d_latents", "num_latents", "pronunciation_embed_dim", "shape_embed_dim"], HIDDEN),
    **dict.fromkeys(["linear_head_dim"], HEAD),
    **dict.fromkeys(["linear_num_heads", "num_self_attention_heads", "num_cross_attention_heads"], HEADS),
    **dict.fromkeys(["num_self_attends_per_block"], LAYERS),
    **dict.fromkeys(["num_kv_shared_layers", "num_nextn_predict_layers", "num_mtp_layers"], 0),
}
"""Numbers of a small model, by the names that configs give them; only those that a config has, as a number, are set."""

IDS = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 2}
LAYER_LISTS = ("layer_types", "layers_block_type", "mlp_layer_types")
LEFT_ALONE = object()
EXCEPTIONS: dict[str, dict[str, Any]] = {
    "bamba": {"attn_layer_indices": [1]},
    "codegen": {"rotary_dim": 4},
    "cohere_compass_text": {
        "rope_parameters": {
            kind: {"rope_type": "default", "rope_theta": 10000.0} for kind in ("full_attention", "sliding_attention")
        },
        "layer_types": ["sliding_attention", "full_attention"],
    },
    "dbrx": {"attn_config": {"kv_n_heads": GROUPS, "rope_theta": 10000.0, "clip_qkv": 8.0}},
    "deepseek_v2": {"num_experts_per_tok": 2},
    "dots1": {"n_routed_experts": 4, "n_shared_experts": 1, "num_experts_per_tok": 2, "n_group": 1, "topk_group": 1},
    "esm": {"vocab_size": zoo.VOCABULARY, "mask_token_id": 4},
    "funnel": {"block_sizes": [1, 1, 1], "block_repeats": [1, 1, 1]},
    "gpt_neo": {"attention_types": [[["global", "local"], 1]], "attention_layers": ["global", "local"]},
    "gptj": {"rotary_dim": 4},
    "gemma3n_text": {"intermediate_size": INNER, "activation_sparsity_pattern": [0.0, 0.0]},
    "granitemoehybrid": {"layer_types": ["mamba", "attention"]},
    "hunyuan_v1_dense": {"head_dim": HEAD},
    "hunyuan_v1_moe": {"head_dim": HEAD},
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1, "expert_layer_period": 2, "expert_layer_offset": 1},
    "led": {"attention_window": [8, 8]},
    "lfm2_moe": {"layer_types": ["conv", "full_attention"], "num_dense_layers": 1},
    "lilt": {"hidden_size": 48},
    "mamba2": {"num_heads": 8, "head_dim": 8},
    "ministral": {"head_dim": HEAD},
    "mistral4": {"head_dim": 2 * HEAD},
    "nemotron": {"num_key_value_heads": GROUPS},
    "reformer": {"axial_pos_embds": False, "attn_layers": ["local", "lsh"]},
    "recurrent_gemma": {"block_types": ["recurrent", "attention"]},
    "qwen4_exp_text": {
        "indexer_n_heads": 2,
        "indexer_kv_heads": 1,
        "indexer_head_dim": HEAD,
        "indexer_budget": 8,
        "indexer_compress_ratio": 4,
    },
    "xlstm": {"hidden_size": 128, "embedding_dim": 128, "num_blocks": LAYERS},
    "xmod": {"default_language": "en_XX"},
    "zamba": {"layers_block_type": ["linear_attention", "hybrid", "linear_attention", "hybrid"], "num_hidden_layers": 4},
    "zaya": {"num_experts_per_tok": 1},
}
"""By the type of the config, what the general recipe does not know.

`LEFT_ALONE` is for a setting that the config must find by itself.
"""


ALWAYS: dict[str, dict[str, Any]] = {"ReformerModelWithLMHead": {"is_decoder": True}}
"""By class, what it cannot be built without."""


class NotText(ValueError):
    """The class reads more than text."""


def small_config(family: Family, eos: int) -> Any:
    """The family's config with few and small layers, one of each kind that the family has."""
    config_class = _config_class(family)
    if config_class is hf.EncoderDecoderConfig:
        return _two_berts(eos)
    if not _only_text(config_class):
        raise NotText(f"{config_class.__name__} also configures {', '.join(config_class.sub_configs)}")
    given = _settings(family, config_class(), getattr(config_class, "sub_configs", {}))
    given |= IDS | {"eos_token_id": eos, "num_labels": 3} | EXCEPTIONS.get(config_class.model_type, {})
    given |= ALWAYS.get(family.model, {}) | VARIANTS.get(family.model, {}).get(family.variant, {})
    return config_class(**{name: value for name, value in given.items() if value is not LEFT_ALONE})


def _two_berts(eos: int) -> Any:
    parts = [hf.BertConfig(**zoo.SMALL, max_position_embeddings=256, pad_token_id=0) for _ in range(2)]
    config = hf.EncoderDecoderConfig.from_encoder_decoder_configs(*parts)
    config.pad_token_id, config.decoder_start_token_id, config.eos_token_id = 0, 2, eos
    return config


def _config_class(family: Family) -> Any:
    """What the class itself says its config is: composite types give their text part to some classes."""
    declared = getattr(getattr(hf, family.model), "config_class", None)
    return declared or hf.CONFIG_MAPPING[family.type]


def _settings(family: Family, default: Any, parts: Any) -> dict[str, Any]:
    """What to give a config class so that it describes a small model: sizes, layers of each kind, and the same of its parts."""
    written = default.to_dict()
    aliases = getattr(type(default), "attribute_map", {})
    given: dict[str, Any] = {}
    for name, value in SIZES.items():
        canonical = aliases.get(name, name)
        if isinstance(written.get(canonical), int) and not isinstance(written[canonical], bool):
            given[canonical] = value
    groups, heads = written.get("num_key_value_heads"), written.get("num_attention_heads")
    if "num_key_value_heads" in given and groups in (heads, 1):
        given["num_key_value_heads"] = HEADS if groups == heads else 1
    given |= _layers(written, aliases.get("num_hidden_layers", "num_hidden_layers"))
    for name, part in parts.items():
        part_default = getattr(default, name, None)
        if part_default is not None:
            part = type(part_default) if part is hf.AutoConfig else part
            given[name] = part(**_settings(family, part_default, getattr(part, "sub_configs", {})))
    return given


def _layers(written: dict[str, Any], count: str) -> dict[str, Any]:
    """The first layer of each kind, by all lists that name kinds of layers; two layers where there is one kind."""
    lists = {name: written[name] for name in LAYER_LISTS if isinstance(written.get(name), list) and written[name]}
    if not lists:
        return {}
    length = max(len(kinds) for kinds in lists.values())
    lists = {name: kinds for name, kinds in lists.items() if len(kinds) == length}
    chosen = sorted({kinds.index(kind) for kinds in lists.values() for kind in kinds})
    chosen = chosen if len(chosen) > 1 else chosen * LAYERS
    given: dict[str, Any] = {name: [kinds[index] for index in chosen] for name, kinds in lists.items()}
    if isinstance(written.get(count), int):
        given[count] = len(chosen)
    return given


def _only_text(config_class: Any) -> bool:
    """Whether neither the config nor a part of it describes what reads images or sounds."""
    parts = getattr(config_class, "sub_configs", {})
    named = any(medium in name for name in parts for medium in MEDIA)
    return not named and all(part is hf.AutoConfig or _only_text(part) for part in parts.values())
