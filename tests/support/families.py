"""The multimodal families by name, a prompt for each, and what a caller must know of them.

Found by reading transformers 5.23 and by running; `test_families.py` holds the families to it.

The seam. For every family that chats, `model.get_decoder()` is the module that is given `inputs_embeds`, the media merged
in, by keyword. Calling it again with the keywords it was given (less `past_key_values`) and then `model.lm_head` gives
the logits bit for bit, and so does calling the model without pixels and clips while a pre-hook puts those keywords back.
With `inputs_embeds` alone that holds only where position ids are plain: the multi-axis ones need the grid, and Qwen3-VL's
decoder also wants features for its first layers.

| family          | an image, a clip in the chat | soft token           | besides embeddings and mask the decoder is given   |
|-----------------|------------------------------|----------------------|----------------------------------------------------|
| llava           | `<image>`                    | the same             |                                                    |
| llava_onevision | `<image>`                    | the same             |                                                    |
| qwen2_vl        | `<|image_pad|>`              | the same             | position_ids (3, b, l)                             |
| qwen2_5_vl      | `<|image_pad|>`              | the same             | position_ids (3, b, l)                             |
| qwen3_vl        | `<|image_pad|>`              | the same             | position_ids (3, b, l), visual_pos_masks,          |
|                 |                              |                      | deepstack_visual_embeds, a list                    |
| idefics3        | `<image>`                    | the same, in tiles   | a new past_key_values                              |
| smolvlm         | `<image>`                    | the same, in tiles   | a new past_key_values                              |
| gemma3          | `<start_of_image>`           | `<image_soft_token>` | (the mask is a mapping, two-way inside an image)   |
| paligemma       | `<image>`                    | the same             | position_ids (b, l) from 1 (and a 4-d mask)      |
| internvl        | `<IMG_CONTEXT>`              | the same             |                                                    |
| pixtral         | `[IMG]`                      | the same, in rows    |                                                    |
| mistral3        | `[IMG]`                      | the same, in rows    |                                                    |
| lfm2_vl         | `<image>`                    | the same             |                                                    |
| qwen2_audio     | `<|AUDIO|>`                  | the same             |                                                    |
| granite_speech  | `<|audio|>`                  | the same             |                                                    |
| voxtral         | `[AUDIO]`                    | the same             |                                                    |
| qwen2_5_omni    | `<|IMAGE|>`, `<|AUDIO|>`     | the same             | position_ids (3, b, l)                             |

- The soft id is `config.image_token_id` or `config.audio_token_id` everywhere; Gemma 3's processor calls another one
  `image_token_id`.
- `processor(..., return_offsets_mapping=True, return_text_replacement_offsets=True)` works everywhere and says which
  characters of the rendered chat became which of the expanded text, and where every token lies in the latter.
- Qwen2-VL, Qwen2.5-VL and Qwen3-VL return `mm_token_type_ids`, Gemma 3 and PaliGemma `token_type_ids`. They grow with the
  answer: by zeros, by ones for PaliGemma, whose prompt is read in both directions (zeros would make the answer part of
  it). Without them Qwen2.5-VL and Gemma 3 silently give other logits, Qwen2-VL and Qwen3-VL an error; Qwen2.5-Omni
  silently does so without a mask.
- PaliGemma's processor puts `<bos>` after the last image and a line end after the text, and returns `labels`, to be left
  out.
- The Qwen families that see remember `rope_deltas` on the module inside the model, which a forward pass changes.
- `logits_to_keep` is ignored, without an error, by Qwen2-Audio, Qwen2.5-Omni and Whisper.
- Several images given to LLaVA-OneVision as `[[a, b]]` get fewer tokens each than as `[a, b]`.
- Whisper has no chat: the clip goes to the encoder, text to the decoder; `encoder_outputs=` gives the same logits bit for
  bit.

Not transformers' own, because torchvision and torchaudio cannot be had for a CPU here: the slot for a video processor
stays empty, LFM2-VL's image processor is Siglip 2's, Granite Speech's spectrogram is torch's, and Pixtral's processor is
imported past its import of torchvision. Voxtral's processor chats and hears only through mistral-common's tokenizer,
which needs numpy below 2.4 for this Python and has no offsets; here it has a plain tokenizer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import transformers as hf
from support import families_audio, families_further, families_image
from support.family_parts import FPS, RATE, Family, clip, film, picture

QUESTION = "What colour is the circle?"
IMAGE_TEXT = (
    "llava",
    "llava_next",
    "llava_onevision",
    "qwen2_vl",
    "qwen2_5_vl",
    "qwen3_vl",
    "idefics3",
    "smolvlm",
    "gemma3",
    "paligemma",
    "internvl",
    "pixtral",
    "mistral3",
    "lfm2_vl",
)
AUDIO_TEXT = ("qwen2_audio", "granite_speech", "voxtral")
CHATTING = (*IMAGE_TEXT, *AUDIO_TEXT, "qwen2_5_omni")
FURTHER = ("aya_vision", "idefics2", "glm4v", "chameleon", "audioflamingo3")
"""Families that chat too, and are like one of those in all that the engines count on; Chameleon makes tokens of its images."""
REPRESENTATIVE = ("llava", "qwen3_vl", "idefics3", "paligemma", "qwen2_audio", "qwen2_5_omni")
"""One of each kind: plain positions, positions of several axes and layers that images feed, images in tiles, attention both
ways, sound, and images with sound."""
VIDEO = ("qwen2_5_vl", "qwen3_vl", "smolvlm", "llava_onevision", "internvl")
"""Families that watch videos."""
CLASSIFIERS = ("vit", "ast", "wav2vec2")


def family(name: str) -> Family:
    """The family of that name, built once."""
    of_name = (getattr(module, name, None) for module in (families_image, families_audio, families_further))
    builder: Callable[[], Family] = next(builder for builder in of_name if builder is not None)
    return builder()


def watching(name: str) -> Family:
    """The family of that name, for prompts with videos."""
    return replace(family(name), modalities=("video",))


def video(seed: int = 0, frames: int = 4) -> dict[str, Any]:
    """A video as a part of a chat holds it."""
    return {"frames": film(seed, frames), "fps": FPS}


def conversation(
    subject: Family,
    question: str = QUESTION,
    pictures: Sequence[int] = (0,),
    clips: Sequence[int] = (0,),
    videos: Sequence[int] = (0,),
) -> list[dict]:
    """One turn of a user: media of these seeds, as far as the family takes them, and then the question."""
    content: list[dict[str, Any]] = [
        {"type": "image", "image": picture(seed)} for seed in pictures if "image" in subject.modalities
    ]
    content += [{"type": "audio", "audio": clip(seed)} for seed in clips if "audio" in subject.modalities]
    content += [{"type": "video", "video": video(seed)} for seed in videos if "video" in subject.modalities]
    return [{"role": "user", "content": [*content, {"type": "text", "text": question}]}]


def encoded(subject: Family, messages: list[dict], **options: Any) -> hf.BatchFeature:
    """The chat rendered, and what the processor makes of it and of its media, ready for the model."""
    text = subject.processor.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    parts = [part for message in messages for part in message["content"]]
    media: dict[str, Any] = {}
    if "image" in subject.modalities:
        media["images"] = [part["image"] for part in parts if part["type"] == "image"]
    if "audio" in subject.modalities:
        media |= {"audio": [part["audio"] for part in parts if part["type"] == "audio"], "sampling_rate": RATE}
    encoding = subject.processor(text=text, return_tensors="pt", **media, **options)
    encoding.pop("labels", None)  # PaliGemma's processor always returns them
    return encoding
