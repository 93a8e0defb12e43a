"""What the tiny multimodal families are made of: a tokenizer, a chat template, sizes, pictures and clips."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from unittest import mock

import numpy as np
import torch
import transformers as hf
from PIL import Image
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers.processing_utils import transformers_module
from transformers.video_processing_utils import VideoProcessorMixin

SENTENCES = [
    "What colour is the circle? The circle is red, the square is blue.",
    "Which comes first in the clip, the high tone or the low one?",
    "Describe the picture and the sound. USER: ASSISTANT: User: Assistant: user system assistant model",
] * 4
VOCABULARY = 512


@dataclass(frozen=True)
class Family:
    """A model and its processor, ready for a prompt with the modalities named."""

    name: str
    model: Any
    processor: Any
    modalities: tuple[str, ...] = ("image",)


class NoVideos(VideoProcessorMixin):
    """Stands where a processor wants its video processor: transformers' own need torchvision, and there are no videos."""

    model_input_names: tuple[str, ...] = ()
    num_frames = fps = None


def with_video_slot(processor_class: Any, *parts: Any, video_processor: Any = None, **options: Any) -> Any:
    """A processor whose class also wants a video processor; without torchvision the base class it asks for is hidden."""
    with mock.patch.object(transformers_module, "VideoProcessorMixin", VideoProcessorMixin, create=True):
        return processor_class(*parts, video_processor=video_processor or NoVideos(), **options)


def tokenizer(specials: list[str], template: str, bos: str | None = None, **named: str) -> Any:
    """A byte-level BPE trained on a few sentences, with a family's special tokens and chat template."""
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    known = list(dict.fromkeys(["<pad>", "</s>", "<unk>", *([bos] if bos else []), *specials, *named.values()]))
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=256 + len(known) + 64, special_tokens=known, initial_alphabet=alphabet, show_progress=False
    )
    core.train_from_iterator(SENTENCES, trainer)
    if bos and bos not in template:
        core.post_processor = processors.TemplateProcessing(single=f"{bos} $A", special_tokens=[(bos, core.token_to_id(bos))])
    return hf.PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token="<pad>",
        eos_token="</s>",
        unk_token="<unk>",
        bos_token=bos,
        additional_special_tokens=specials,
        extra_special_tokens=named,
        chat_template=template,
    )


def chat(
    image: str = "",
    audio: str = "",
    start: str = "<|im_start|>{{ m.role }}\n",
    end: str = "<|im_end|>\n",
    answer: str = "<|im_start|>assistant\n",
    first: str = "",
    video: str = "",
) -> str:
    """A chat template: what opens and closes a turn, what stands for an image, a clip or a video, what asks for the answer."""
    parts = (
        "{% for p in m.content %}{% if p.type == 'image' %}"
        + image
        + "{% elif p.type == 'audio' %}"
        + audio
        + "{% elif p.type == 'video' %}"
        + video
        + "{% else %}{{ p.text }}{% endif %}{% endfor %}"
    )
    content = "{% if m.content is string %}{{ m.content }}{% else %}" + parts + "{% endif %}"
    turns = "{% for m in messages %}" + start + content + end + "{% endfor %}"
    return first + turns + "{% if add_generation_prompt %}" + answer + "{% endif %}"


CHATML = ["<|im_start|>", "<|im_end|>"]
WIDTH: dict[str, Any] = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
TEXT: dict[str, Any] = {**WIDTH, "vocab_size": VOCABULARY, "num_key_value_heads": 2, "max_position_embeddings": 1024}
IDS: dict[str, Any] = {"pad_token_id": 0, "eos_token_id": 1}
MROPE: dict[str, Any] = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 1, 1]}


def grown(build: Callable[[], Any], factor: float = 4.0, seed: int = 0) -> Any:
    """The model in evaluation mode, its matrices larger than usual, so that what it reads, sees and hears matters."""
    torch.manual_seed(seed)
    model = build().eval()
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim >= 2:
                weight.mul_(factor) if weight.any() else weight.normal_(std=0.02 * factor)
    return model


def picture(seed: int = 0, width: int = 32, height: int = 32) -> Image.Image:
    """A picture of random coloured squares."""
    squares = np.random.default_rng(seed).integers(0, 256, (height // 8, width // 8, 3), dtype=np.uint8)
    return Image.fromarray(squares.repeat(8, axis=0).repeat(8, axis=1))


RATE = 16000


FPS = 2


def film(seed: int = 0, frames: int = 4, width: int = 32, height: int = 32) -> np.ndarray:
    """A video of pictures of random coloured squares, two a second."""
    return np.stack([np.asarray(picture(100 * seed + frame, width, height)) for frame in range(frames)])


def clip(seed: int = 0, seconds: float = 0.6) -> np.ndarray:
    """A clip of tones, each a tenth of a second and of random pitch, at 16 kHz."""
    pitches = np.random.default_rng(seed).uniform(200, 4000, round(seconds * 10)).repeat(RATE // 10)
    return (0.5 * np.sin(2 * np.pi * np.cumsum(pitches) / RATE)).astype(np.float32)
