"""Tiny models of the image-text families of transformers with random weights, each with the family's own processor class."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from functools import cache
from typing import Any, ClassVar
from unittest import mock

import numpy as np
import transformers as hf
from support.family_parts import CHATML, IDS, MROPE, TEXT, WIDTH, Family, chat, grown, tokenizer, with_video_slot
from support.torchvision_stand_in import video_processor
from transformers.models.siglip2.image_processing_pil_siglip2 import Siglip2ImageProcessorKwargs


@cache
def llava() -> Family:
    template = chat("<image>\n", start="{{ m.role | upper }}: ", end=" ", answer="ASSISTANT:")
    words = tokenizer([], template, bos="<s>", image_token="<image>")
    images = hf.CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    processor = hf.LlavaProcessor(
        images,
        words,
        patch_size=8,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=template,
    )
    config = hf.LlavaConfig(
        vision_config=hf.CLIPVisionConfig(**WIDTH, image_size=32, patch_size=8),
        text_config=hf.LlamaConfig(**TEXT, **IDS),
        image_token_index=words.image_token_id,
        image_seq_length=16,
    )
    return Family("llava", grown(lambda: hf.LlavaForConditionalGeneration(config)), processor)


@cache
def llava_next() -> Family:
    template = chat("<image>\n", start="{{ m.role | upper }}: ", end=" ", answer="ASSISTANT:")
    words = tokenizer([], template, bos="<s>", image_token="<image>")
    grid = [[16, 16], [16, 32], [32, 16], [32, 32]]
    images = hf.LlavaNextImageProcessorPil(
        size={"shortest_edge": 16}, crop_size={"height": 16, "width": 16}, image_grid_pinpoints=grid
    )
    processor = hf.LlavaNextProcessor(
        images,
        words,
        patch_size=4,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=template,
    )
    config = hf.LlavaNextConfig(
        vision_config=hf.CLIPVisionConfig(**WIDTH, image_size=16, patch_size=4),
        text_config=hf.LlamaConfig(**TEXT, **IDS),
        image_token_index=words.image_token_id,
        image_grid_pinpoints=grid,
    )
    return Family("llava_next", grown(lambda: hf.LlavaNextForConditionalGeneration(config)), processor)


@cache
def llava_onevision() -> Family:
    template = chat("<image>\n", start="<|im_start|>{{ m.role }} ", end="<|im_end|>", video="<video>\n")
    words = tokenizer(CHATML, template, image_token="<image>", video_token="<video>")
    grid = [[16, 16], [16, 32], [32, 16], [32, 32]]
    images = hf.LlavaOnevisionImageProcessorPil(size={"height": 16, "width": 16}, image_grid_pinpoints=grid)
    processor = with_video_slot(
        hf.LlavaOnevisionProcessor,
        images,
        words,
        video_processor=video_processor("llava_onevision", "LlavaOnevisionVideoProcessor")(size={"height": 16, "width": 16}),
        num_image_tokens=16,
        vision_feature_select_strategy="full",
        chat_template=template,
    )
    config = hf.LlavaOnevisionConfig(
        vision_config=hf.SiglipVisionConfig(**WIDTH, image_size=16, patch_size=4, vision_use_head=False),
        text_config=hf.Qwen2Config(**TEXT, **IDS),
        image_token_index=words.image_token_id,
        video_token_index=words.video_token_id,
        image_grid_pinpoints=grid,
    )
    return Family("llava_onevision", grown(lambda: hf.LlavaOnevisionForConditionalGeneration(config)), processor)


QWEN_VISION, QWEN_VIDEO = ("<|vision_start|>" + token + "<|vision_end|>" for token in ("<|image_pad|>", "<|video_pad|>"))


def _qwen(processor_class: Any, videos: tuple[str, str] = ("qwen2_vl", "Qwen2VLVideoProcessor")) -> tuple[Any, dict[str, Any]]:
    """The processor of the Qwen-VL families, and the ids that their configs want."""
    template = chat(QWEN_VISION, video=QWEN_VIDEO)
    tokens = {"image_token": "<|image_pad|>", "video_token": "<|video_pad|>"}
    ends = {"vision_start_token": "<|vision_start|>", "vision_end_token": "<|vision_end|>"}
    words = tokenizer(CHATML, template, **tokens, **ends)
    size = {"shortest_edge": 64, "longest_edge": 4096}
    images = hf.Qwen2VLImageProcessorPil(patch_size=4, merge_size=2, size=size)
    frames = video_processor(*videos)(patch_size=4, merge_size=2, size=size, cap_pixels_per_frame=False)
    processor = with_video_slot(processor_class, images, words, video_processor=frames, chat_template=template)
    return processor, {f"{name}_id": words.convert_tokens_to_ids(token) for name, token in {**tokens, **ends}.items()}


@cache
def qwen2_vl() -> Family:
    processor, ids = _qwen(hf.Qwen2VLProcessor)
    vision: dict[str, Any] = {"depth": 2, "embed_dim": 32, "hidden_size": 32, "num_heads": 4, "patch_size": 4}
    config = hf.Qwen2VLConfig(vision_config=vision, text_config={**TEXT, **IDS, "rope_parameters": MROPE}, **ids)
    return Family("qwen2_vl", grown(lambda: hf.Qwen2VLForConditionalGeneration(config)), processor)


@cache
def qwen2_5_vl() -> Family:
    processor, ids = _qwen(hf.Qwen2_5_VLProcessor)
    vision: dict[str, Any] = {"depth": 2, "hidden_size": 32, "intermediate_size": 64, "num_heads": 4, "patch_size": 4}
    vision |= {"out_hidden_size": 32, "window_size": 16, "fullatt_block_indexes": [1]}
    config = hf.Qwen2_5_VLConfig(vision_config=vision, text_config={**TEXT, **IDS, "rope_parameters": MROPE}, **ids)
    return Family("qwen2_5_vl", grown(lambda: hf.Qwen2_5_VLForConditionalGeneration(config)), processor)


@cache
def qwen3_vl() -> Family:
    processor, ids = _qwen(hf.Qwen3VLProcessor, ("qwen3_vl", "Qwen3VLVideoProcessor"))
    vision: dict[str, Any] = {"depth": 2, "hidden_size": 32, "intermediate_size": 64, "num_heads": 4, "patch_size": 4}
    vision |= {"out_hidden_size": 32, "num_position_embeddings": 64, "deepstack_visual_indexes": [0]}
    text = {**TEXT, **IDS, "head_dim": 8, "rope_parameters": MROPE}
    config = hf.Qwen3VLConfig(vision_config=vision, text_config=text, **ids)
    return Family("qwen3_vl", grown(lambda: hf.Qwen3VLForConditionalGeneration(config)), processor)


def _idefics3(processor: Callable[..., Any], images: Any, vision: Any, config_class: Any) -> tuple[Any, Any]:
    """Processor and config of Idefics3 and of SmolVLM, which is the same with other classes."""
    template = chat(
        "<image>", start="{{ m.role | capitalize }}:", end="<end_of_utterance>\n", answer="Assistant:", first="<|im_start|>"
    )
    grid = [f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7)]
    tags = ["<fake_token_around_image>", "<global-img>", "<end_of_utterance>", *grid]
    words = tokenizer([*CHATML, *tags], template, image_token="<image>")
    built = processor(
        images(size={"longest_edge": 32}, max_image_size={"longest_edge": 16}), words, image_seq_len=4, chat_template=template
    )
    config = config_class(
        vision_config=vision(**WIDTH, image_size=16, patch_size=4),
        text_config=hf.LlamaConfig(**TEXT, **IDS),
        image_token_id=words.image_token_id,
        scale_factor=2,
        pad_token_id=0,
    )
    return built, config


@cache
def idefics3() -> Family:
    processor, config = _idefics3(
        hf.Idefics3Processor, hf.Idefics3ImageProcessorPil, hf.Idefics3VisionConfig, hf.Idefics3Config
    )
    return Family("idefics3", grown(lambda: hf.Idefics3ForConditionalGeneration(config)), processor)


@cache
def smolvlm() -> Family:
    def processor_class(*parts: Any, **options: Any) -> Any:
        return with_video_slot(hf.SmolVLMProcessor, *parts, video_processor=frames, **options)

    frames = video_processor("smolvlm", "SmolVLMVideoProcessor")(
        size={"longest_edge": 16}, max_image_size={"longest_edge": 16}, num_frames=8, fps=2
    )

    processor, config = _idefics3(processor_class, hf.SmolVLMImageProcessorPil, hf.SmolVLMVisionConfig, hf.SmolVLMConfig)
    return Family("smolvlm", grown(lambda: hf.SmolVLMForConditionalGeneration(config)), processor)


@cache
def gemma3() -> Family:
    template = chat(
        "<start_of_image>",
        start="<start_of_turn>{{ 'model' if m.role == 'assistant' else m.role }}\n",
        end="<end_of_turn>\n",
        answer="<start_of_turn>model\n",
        first="<bos>",
    )
    named = {"boi_token": "<start_of_image>", "eoi_token": "<end_of_image>", "image_token": "<image_soft_token>"}
    words = tokenizer(["<start_of_turn>", "<end_of_turn>"], template, bos="<bos>", **named)
    images = hf.Gemma3ImageProcessorPil(size={"height": 32, "width": 32})
    processor = hf.Gemma3Processor(images, words, image_seq_length=16, chat_template=template)
    config = hf.Gemma3Config(
        vision_config=hf.SiglipVisionConfig(**WIDTH, image_size=32, patch_size=4, vision_use_head=False),
        text_config=hf.Gemma3TextConfig(
            **TEXT, **IDS, head_dim=8, sliding_window=8, layer_types=["sliding_attention", "full_attention"]
        ),
        mm_tokens_per_image=16,
        boi_token_index=words.boi_token_id,
        eoi_token_index=words.eoi_token_id,
        image_token_index=words.image_token_id,
    )
    return Family("gemma3", grown(lambda: hf.Gemma3ForConditionalGeneration(config)), processor)


@cache
def paligemma() -> Family:
    template = chat("<image>", start="", end="", answer="")
    words = tokenizer([], template, bos="<bos>", image_token="<image>")
    images: Any = hf.SiglipImageProcessorPil(size={"height": 32, "width": 32})
    images.image_seq_length = 16
    processor = hf.PaliGemmaProcessor(images, words, chat_template=template)
    text: dict[str, Any] = TEXT | {"vocab_size": len(words), "head_dim": 8}
    vision: dict[str, Any] = WIDTH | {"projection_dim": 32}
    config = hf.PaliGemmaConfig(
        vision_config=hf.SiglipVisionConfig(**vision, image_size=32, patch_size=8, vision_use_head=False),
        text_config=hf.GemmaConfig(**text, **IDS),
        image_token_index=words.image_token_id,
        projection_dim=32,
        hidden_size=32,
    )
    return Family("paligemma", grown(lambda: hf.PaliGemmaForConditionalGeneration(config)), processor)


@cache
def internvl() -> Family:
    template = chat("<IMG_CONTEXT>\n", video="<video>\n")
    named = {"start_image_token": "<img>", "end_image_token": "</img>", "context_image_token": "<IMG_CONTEXT>"}
    words = tokenizer(CHATML, template, **named, video_token="<video>")
    images = hf.GotOcr2ImageProcessorPil(size={"height": 16, "width": 16}, max_patches=4)
    frames = video_processor("internvl", "InternVLVideoProcessor")(size={"height": 16, "width": 16})
    processor = with_video_slot(
        hf.InternVLProcessor, images, words, video_processor=frames, image_seq_length=4, chat_template=template
    )
    config = hf.InternVLConfig(
        vision_config=hf.InternVLVisionConfig(**WIDTH, image_size=16, patch_size=4),
        text_config=hf.Qwen2Config(**TEXT, **IDS),
        image_token_id=words.context_image_token_id,
        image_seq_length=4,
    )
    return Family("internvl", grown(lambda: hf.InternVLForConditionalGeneration(config)), processor)


def _pixtral_processor_class() -> Any:
    """Its module imports a helper from the file that needs torchvision; the file without has the same helper."""
    pillow = importlib.import_module("transformers.models.pixtral.image_processing_pil_pixtral")
    with mock.patch.dict(sys.modules, {"transformers.models.pixtral.image_processing_pixtral": pillow}):
        return importlib.import_module("transformers.models.pixtral.processing_pixtral").PixtralProcessor


def _pixtral(merge: int) -> tuple[Any, Any, int]:
    """The processor that Pixtral and Mistral 3 share, their vision config and the id of an image's token."""
    template = chat(
        "[IMG]",
        start="{{ '[INST]' if m.role == 'user' }}",
        end="{{ '[/INST]' if m.role == 'user' else '</s>' }}",
        answer="",
        first="<s>",
    )
    words = tokenizer(["[INST]", "[/INST]", "[IMG]", "[IMG_BREAK]", "[IMG_END]"], template, bos="<s>")
    images = hf.PixtralImageProcessorPil(size={"longest_edge": 32}, patch_size={"height": 4, "width": 4})
    processor = _pixtral_processor_class()(images, words, patch_size=4, spatial_merge_size=merge, chat_template=template)
    vision: dict[str, Any] = WIDTH | {"head_dim": 8, "image_size": 32, "patch_size": 4}
    return processor, hf.PixtralVisionConfig(**vision), processor.image_token_id


@cache
def pixtral() -> Family:
    processor, vision, token = _pixtral(merge=1)
    config = hf.LlavaConfig(
        vision_config=vision,
        text_config=hf.MistralConfig(**TEXT, **IDS, head_dim=8, sliding_window=None),
        image_token_index=token,
        vision_feature_select_strategy="full",
        vision_feature_layer=-1,
    )
    return Family("pixtral", grown(lambda: hf.LlavaForConditionalGeneration(config)), processor)


@cache
def mistral3() -> Family:
    processor, vision, token = _pixtral(merge=2)
    text = hf.MistralConfig(**TEXT, **IDS, head_dim=8, sliding_window=None)
    config = hf.Mistral3Config(vision_config=vision, text_config=text, image_token_index=token, spatial_merge_size=2)
    return Family("mistral3", grown(lambda: hf.Mistral3ForConditionalGeneration(config)), processor)


class Lfm2VlImagesKwargs(Siglip2ImageProcessorKwargs, total=False):
    """What LFM2-VL's processor also asks of its image processor."""

    return_row_col_info: bool


class Lfm2VlImageProcessorPil(hf.Siglip2ImageProcessorPil):
    """LFM2-VL's own image processor needs torchvision; Siglip 2's gives the same kinds of tensors for a picture of one tile."""

    valid_kwargs = Lfm2VlImagesKwargs
    tile_size = 32
    downsample_factor = 2
    encoder_patch_size = 4
    use_thumbnail = True
    model_input_names: ClassVar[Any] = [
        *hf.Siglip2ImageProcessorPil.model_input_names,
        "image_rows",
        "image_cols",
        "image_sizes",
    ]

    def preprocess(self, images: Any, **options: Any) -> hf.BatchFeature:
        """One tile each, and the size in pixels that the processor counts tokens from."""
        options.pop("return_row_col_info", None)
        flat = [image for row in images for image in row]
        encoded = super().preprocess(flat, **options)
        ones = [1] * len(flat)
        sizes = [[side * self.patch_size for side in shape] for shape in np.asarray(encoded["spatial_shapes"]).tolist()]
        return hf.BatchFeature({**encoded, "image_rows": ones, "image_cols": ones, "image_sizes": sizes})


@cache
def lfm2_vl() -> Family:
    template = chat("<image>", first="<|startoftext|>")
    rows = [f"<|img_row_{row}_col_{column}|>" for row in range(1, 4) for column in range(1, 4)]
    named = {"image_start_token": "<|image_start|>", "image_end_token": "<|image_end|>"}
    named |= {"image_token": "<image>", "image_thumbnail_token": "<|img_thumbnail|>"}
    words = tokenizer([*CHATML, *rows], template, bos="<|startoftext|>", **named)
    processor = hf.Lfm2VlProcessor(Lfm2VlImageProcessorPil(patch_size=4, max_num_patches=64), words, chat_template=template)
    text = hf.Lfm2Config(**TEXT, **IDS, layer_types=["conv", "full_attention"], block_auto_adjust_ff_dim=False)
    config = hf.Lfm2VlConfig(
        vision_config=hf.Siglip2VisionConfig(**WIDTH, patch_size=4, num_patches=64, vision_use_head=False),
        text_config=text,
        image_token_id=words.image_token_id,
        projector_hidden_size=64,
        downsample_factor=2,
    )
    return Family("lfm2_vl", grown(lambda: hf.Lfm2VlForConditionalGeneration(config)), processor)
