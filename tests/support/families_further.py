"""Further tiny models of images or sound and text, each with the family's own processor class."""

from __future__ import annotations

from functools import cache
from typing import Any

import transformers as hf
from support.family_parts import (
    CHATML,
    IDS,
    MROPE,
    RATE,
    TEXT,
    VOCABULARY,
    WIDTH,
    Family,
    chat,
    grown,
    tokenizer,
    with_video_slot,
)
from support.zoo import wordpiece

SQUARE: dict[str, Any] = {"size": {"height": 16, "width": 16}}


@cache
def aya_vision() -> Family:
    template = chat("<image>", first="<BOS_TOKEN>")
    marks = ["<|START_OF_IMG|>", "<|END_OF_IMG|>", "<|IMG_PATCH|>", "TILE", "TILE_GLOBAL", *(f"TILE_{n}" for n in range(1, 5))]
    words = tokenizer([*CHATML, *marks], template, bos="<BOS_TOKEN>", image_token="<image>")
    images = hf.GotOcr2ImageProcessorPil(**SQUARE, max_patches=4)
    processor = hf.AyaVisionProcessor(images, words, patch_size=4, img_size=16, downsample_factor=2, chat_template=template)
    config = hf.AyaVisionConfig(
        vision_config=hf.SiglipVisionConfig(**WIDTH, image_size=16, patch_size=4, vision_use_head=False),
        text_config=hf.Cohere2Config(**TEXT, **IDS, bos_token_id=words.bos_token_id, sliding_window=1024),
        image_token_index=processor.image_token_id,
        downsample_factor=2,
    )
    return Family("aya_vision", grown(lambda: hf.AyaVisionForConditionalGeneration(config)), processor)


@cache
def idefics2() -> Family:
    template = chat(
        "<image>", start="{{ m.role | capitalize }}: ", end="<end_of_utterance>\n", answer="Assistant:", first="<s>"
    )
    named = {"image_boundary_token": "<fake_token_around_image>", "image_token": "<image>"}
    words = tokenizer(["<end_of_utterance>"], template, bos="<s>", **named)
    images = hf.Idefics2ImageProcessorPil(size={"longest_edge": 32, "shortest_edge": 16}, do_image_splitting=False)
    processor = hf.Idefics2Processor(images, words, image_seq_len=4, chat_template=template)
    perceiver = {"hidden_size": 32, "resampler_n_latents": 4, "resampler_depth": 1, "resampler_n_heads": 4}
    config = hf.Idefics2Config(
        vision_config=WIDTH | {"image_size": 32, "patch_size": 8},
        perceiver_config=perceiver | {"resampler_head_dim": 8, "num_key_value_heads": 2},
        text_config=hf.MistralConfig(**TEXT, **IDS, sliding_window=None).to_dict(),
        image_token_id=words.image_token_id,
    )
    return Family("idefics2", grown(lambda: hf.Idefics2ForConditionalGeneration(config)), processor)


@cache
def glm4v() -> Family:
    template = chat(
        "<|begin_of_image|><|image|><|end_of_image|>",
        start="<|{{ m.role }}|>\n",
        end="",
        answer="<|assistant|>\n",
        first="[gMASK]<sop>",
    )
    soft = {"image_token": "<|image|>", "video_token": "<|video|>"}
    ends = [f"<|{end}_of_{medium}|>" for medium in ("image", "video") for end in ("begin", "end")]
    words = tokenizer(["[gMASK]", "<sop>", "<|user|>", "<|assistant|>", "<|system|>", *ends], template, **soft)
    images = hf.Glm4vImageProcessorPil(patch_size=4, size={"shortest_edge": 64, "longest_edge": 4096})
    processor = with_video_slot(hf.Glm4vProcessor, images, words, chat_template=template)
    known = dict(zip(("image_start", "image_end", "video_start", "video_end"), ends, strict=True))
    ids: dict[str, Any] = {f"{name}_token_id": words.convert_tokens_to_ids(token) for name, token in known.items()}
    vision = {"depth": 1, "hidden_size": 32, "intermediate_size": 64, "num_heads": 4, "image_size": 32, "patch_size": 4}
    config = hf.Glm4vConfig(
        vision_config=vision | {"out_hidden_size": 32},
        text_config={**TEXT, **IDS, "rope_parameters": MROPE | {"partial_rotary_factor": 1.0}},
        image_token_id=words.image_token_id,
        video_token_id=words.video_token_id,
        **ids,
    )
    return Family("glm4v", grown(lambda: hf.Glm4vForConditionalGeneration(config)), processor)


@cache
def chameleon() -> Family:
    """Its images become tokens of its own vocabulary, and its processor writes a mark after the text."""
    template = chat("<image>", start="{{ m.role }}: ", end=" ", answer="", first="<s>")
    named = {"image_token": "<image>", "boi_token": "<racm3:break>", "eoi_token": "<eoss>"}
    words = tokenizer(["<reserved08706>"], template, bos="<s>", **named)
    words.sep_token = "<reserved08706>"
    images = hf.ChameleonImageProcessorPil(size={"shortest_edge": 16}, crop_size={"height": 16, "width": 16})
    processor = hf.ChameleonProcessor(images, words, image_seq_length=16, image_token="<image>")
    processor.chat_template = template
    codes = {f"IMGIMG{chr(65 + code // 10)}{chr(65 + code % 10)}Z": 440 + code for code in range(64)}
    vq = {"embed_dim": 8, "num_embeddings": 64, "latent_channels": 8, "resolution": 16, "base_channels": 32}
    config = hf.ChameleonConfig(
        **TEXT,
        **IDS,
        bos_token_id=words.bos_token_id,
        vq_config=vq | {"channel_multiplier": [1, 1, 1], "num_res_blocks": 1},
        vocabulary_map={"<image>": words.image_token_id, **codes},
    )
    return Family("chameleon", grown(lambda: hf.ChameleonForConditionalGeneration(config)), processor)


@cache
def audioflamingo3() -> Family:
    template = chat(audio="<sound>")
    words = tokenizer(CHATML, template, audio_token="<sound>")
    ears = hf.WhisperFeatureExtractor(feature_size=16, chunk_length=1, sampling_rate=RATE)
    processor = hf.AudioFlamingo3Processor(ears, words, chat_template=template)
    config = hf.AudioFlamingo3Config(
        audio_config=WIDTH | {"num_mel_bins": 16, "max_source_positions": 50},
        text_config=hf.Qwen2Config(**TEXT, **IDS).to_dict(),
        audio_token_id=words.convert_tokens_to_ids("<sound>"),
    )
    return Family("audioflamingo3", grown(lambda: hf.AudioFlamingo3ForConditionalGeneration(config)), processor, ("audio",))


@cache
def blip2() -> Family:
    """Its processor puts the tokens of the image before the text."""
    words = tokenizer([], "", bos="<s>")
    images = hf.BlipImageProcessorPil(**SQUARE)
    processor = hf.Blip2Processor(images, words, num_query_tokens=4)
    text = {"vocab_size": VOCABULARY, "hidden_size": 32, "ffn_dim": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = hf.Blip2Config(
        vision_config=WIDTH | {"image_size": 16, "patch_size": 4},
        qformer_config=WIDTH | {"encoder_hidden_size": 32, "vocab_size": VOCABULARY},
        text_config=hf.OPTConfig(**text, **IDS, word_embed_proj_dim=32, max_position_embeddings=256, bos_token_id=2).to_dict(),
        num_query_tokens=4,
        image_token_index=words.convert_tokens_to_ids("<image>"),
    )
    return Family("blip2", grown(lambda: hf.Blip2ForConditionalGeneration(config)), processor)


@cache
def instructblip() -> Family:
    words = tokenizer([], "", bos="<s>")
    processor = hf.InstructBlipProcessor(hf.BlipImageProcessorPil(**SQUARE), words, wordpiece(), num_query_tokens=4)
    config = hf.InstructBlipConfig(
        vision_config=WIDTH | {"image_size": 16, "patch_size": 4},
        qformer_config=WIDTH | {"encoder_hidden_size": 32, "vocab_size": VOCABULARY},
        text_config=hf.LlamaConfig(**TEXT, **IDS).to_dict(),
        num_query_tokens=4,
        image_token_index=words.convert_tokens_to_ids("<image>"),
    )
    return Family("instructblip", hf.InstructBlipForConditionalGeneration(config).eval(), processor)


@cache
def florence2() -> Family:
    """An encoder-decoder whose processor puts the tokens of the image before the text."""
    words = tokenizer([], "", bos="<s>", image_token="<image>")
    images: Any = hf.CLIPImageProcessorPil(size={"height": 32, "width": 32}, do_center_crop=False)
    images.image_seq_length = 5
    processor = hf.Florence2Processor(images, words)
    text = {"encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 4, "decoder_attention_heads": 4}
    text |= {"d_model": 32, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64, "vocab_size": VOCABULARY}
    stages = {"depths": [1, 1], "patch_size": [7, 3], "patch_stride": [8, 2], "patch_padding": [3, 1], "num_heads": [4, 4]}
    stages |= {"patch_prenorm": [False, True], "embed_dim": [16, 32], "num_groups": [4, 4], "window_size": 2}
    starts = {"decoder_start_token_id": 1, "bos_token_id": words.bos_token_id, "forced_eos_token_id": None}
    config = hf.Florence2Config(
        vision_config=stages | {"projection_dim": 32, "drop_path_rate": 0.0},
        text_config=hf.BartConfig(**text, **IDS, **starts, max_position_embeddings=128).to_dict(),
        image_token_id=words.image_token_id,
        decoder_start_token_id=1,
        **IDS,
    )
    return Family("florence2", grown(lambda: hf.Florence2ForConditionalGeneration(config)), processor)


@cache
def donut() -> Family:
    """It sees a page and reads no text; its decoder starts with a prompt of its own."""
    words = tokenizer(["<s_docvqa>", "<s_question>"], "", bos="<s>")
    images = hf.DonutImageProcessorPil(size={"height": 32, "width": 32}, do_align_long_axis=False)
    seen = hf.DonutSwinConfig(image_size=32, patch_size=4, embed_dim=16, depths=[1, 1], num_heads=[2, 2], window_size=2)
    text = {"d_model": 32, "decoder_layers": 2, "decoder_attention_heads": 4, "decoder_ffn_dim": 64, "vocab_size": VOCABULARY}
    written = hf.MBartConfig(**text, **IDS, is_decoder=True, add_cross_attention=True, max_position_embeddings=64)
    config = hf.VisionEncoderDecoderConfig.from_encoder_decoder_configs(seen, written, decoder_start_token_id=2, **IDS)
    model = grown(lambda: hf.VisionEncoderDecoderModel(config))
    return Family("donut", model, hf.DonutProcessor(images, words))


@cache
def mllama() -> Family:
    words = tokenizer([], "", bos="<|begin_of_text|>", image_token="<|image|>")
    images = hf.MllamaImageProcessorPil(**SQUARE, max_image_tiles=2)
    vision = {"hidden_size": 16, "num_hidden_layers": 1, "num_global_layers": 1, "attention_heads": 2, "intermediate_size": 16}
    vision |= {"image_size": 16, "patch_size": 4, "max_num_tiles": 2, "vision_output_dim": 32}
    config = hf.MllamaConfig(
        vision_config=vision | {"intermediate_layers_indices": [0], "supported_aspect_ratios": [[1, 1], [1, 2], [2, 1]]},
        text_config={**TEXT, **IDS, "cross_attention_layers": [1], "bos_token_id": 2},
        image_token_index=words.image_token_id,
    )
    return Family("mllama", hf.MllamaForConditionalGeneration(config).eval(), hf.MllamaProcessor(images, words))
