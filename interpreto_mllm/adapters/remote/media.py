"""Images and clips as parts of a message to a server."""

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

PIXELS_PER_TOKEN_SIDE = 28
"""A square of this many pixels a side is taken for one token when costs are estimated."""

TOKENS_PER_SECOND = 25
"""Of audio, when costs are estimated."""


def encoded(state: State) -> dict[str, Any]:
    """A part of a message: an image as a PNG data URL, or a clip as 16-bit WAV in base64.

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
    """An estimate of the tokens of an image or a clip: one per 28 × 28 pixels, or per 40 ms."""
    if isinstance(state.medium, Clip):
        return -(-len(state.medium.samples) * TOKENS_PER_SECOND // state.medium.rate)
    assert isinstance(state.medium, Picture)
    width, height = state.medium.size
    return -(-width // PIXELS_PER_TOKEN_SIDE) * -(-height // PIXELS_PER_TOKEN_SIDE)


def _wav(samples: Float32[np.ndarray, "s"], rate: int) -> bytes:
    """Mono, 16 bits per sample, clipped at full scale."""
    file = io.BytesIO()
    with wave.open(file, "wb") as recording:
        recording.setnchannels(1)
        recording.setsampwidth(2)
        recording.setframerate(rate)
        recording.writeframes((samples * 32768).round().clip(-32768, 32767).astype("<i2").tobytes())
    return file.getvalue()
