"""Images and clips as parts of a message that servers read."""

from __future__ import annotations

import base64
import io
import wave
from typing import Any

import numpy as np
from jaxtyping import Float32

from interpreto_mllm.media.clip import Clip
from interpreto_mllm.media.packing import pack_image
from interpreto_mllm.media.picture import Picture
from interpreto_mllm.media.state import State

SIDE, PER_SECOND = 28, 25
"""Pixels at the side of a square that stands for one token, and tokens in a second, where costs are guessed."""


def encoded(state: State) -> dict[str, Any]:
    """What is left of an image or a clip as a part: a PNG at a data address, or a WAV of 16 bits in base64.

    Example:
        >>> from interpreto_mllm.media import Picture
        >>> encoded(State.whole(Picture.of(np.ones((4, 4)))))["image_url"]["url"][:22]
        'data:image/png;base64,'
    """
    if isinstance(state.medium, Clip):
        data = base64.b64encode(_wav(state.rendered, state.medium.rate)).decode()
        return {"type": "input_audio", "input_audio": {"data": data, "format": "wav"}}
    return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{pack_image(state.rendered)}"}}


def tokens_of(state: State) -> int:
    """A guess at how many tokens a server makes of an image or a clip: one per 28 × 28 pixels, or per 40 ms."""
    if isinstance(state.medium, Clip):
        return -(-len(state.medium.samples) * PER_SECOND // state.medium.rate)
    assert isinstance(state.medium, Picture)
    width, height = state.medium.image.size
    return -(-width // SIDE) * -(-height // SIDE)


def _wav(samples: Float32[np.ndarray, "s"], rate: int) -> bytes:
    """Mono, 16 bits a sample; what is louder than full scale is cut off."""
    file = io.BytesIO()
    with wave.open(file, "wb") as text_submodel:
        text_submodel.setnchannels(1)
        text_submodel.setsampwidth(2)
        text_submodel.setframerate(rate)
        text_submodel.writeframes((samples * 32768).round().clip(-32768, 32767).astype("<i2").tobytes())
    return file.getvalue()
