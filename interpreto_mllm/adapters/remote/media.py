"""Images, clips and videos as parts of a message to a server."""

from __future__ import annotations

import base64
import io
import wave
from fractions import Fraction
from typing import Any

import numpy as np
from jaxtyping import Float32

from interpreto_mllm.core.optional import optional
from interpreto_mllm.media.clip import Clip
from interpreto_mllm.media.footage import Footage
from interpreto_mllm.media.packing import pack_image
from interpreto_mllm.media.picture import Picture
from interpreto_mllm.media.state import State
from interpreto_mllm.media.video import Video

PIXELS_PER_TOKEN_SIDE = 28
"""A square of this many pixels a side is taken for one token when costs are estimated."""

TOKENS_PER_SECOND = 25
"""Of audio, when costs are estimated."""

CLOCK = 90_000
"""Ticks per second of the times of frames in a video file."""

FAITHFUL = {"crf": "8", "g": "1", "bf": "0"}
"""Settings of H.264 with hardly any loss, and with each frame by itself, so that none shows what is absent from it."""


def encoded(state: State) -> dict[str, Any]:
    """A part of a message: an image as a PNG data URL, a clip as 16-bit WAV in base64, or a video as an MP4 data URL.

    Example:
        >>> from interpreto_mllm.media import Picture
        >>> encoded(State.whole(Picture.of(np.ones((4, 4)))))["image_url"]["url"][:22]
        'data:image/png;base64,'
    """
    if isinstance(state.medium, Clip):
        data = base64.b64encode(_wav(state.rendered, state.medium.rate)).decode()
        return {"type": "input_audio", "input_audio": {"data": data, "format": "wav"}}
    if isinstance(state.medium, Video):
        data = base64.b64encode(_mp4(state.rendered)).decode()
        return {"type": "video_url", "video_url": {"url": f"data:video/mp4;base64,{data}"}}
    return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{pack_image(state.rendered)}"}}


def tokens_of(state: State) -> int:
    """An estimate of the tokens of a medium: one per 28 × 28 pixels of an image or of two frames, or per 40 ms."""
    if isinstance(state.medium, Clip):
        return -(-len(state.medium.samples) * TOKENS_PER_SECOND // state.medium.rate)
    if isinstance(state.medium, Video):
        count, height, width, _ = state.medium.footage.frames.shape
        return -(-count // 2) * _of_pixels(width, height)
    assert isinstance(state.medium, Picture)
    return _of_pixels(*state.medium.size)


def _of_pixels(width: int, height: int) -> int:
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


def _mp4(footage: Footage) -> bytes:
    """H.264, each frame at its time."""
    av = optional("av", "Sending a video to a server", "video")
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=max(1, round(footage.count / footage.seconds)), options=FAITHFUL)
        stream.height, stream.width = footage.frames.shape[1:3]
        stream.pix_fmt = "yuv444p"  # with the colour of every pixel, and for sides of any length
        stream.codec_context.time_base = Fraction(1, CLOCK)
        stream.codec_context.thread_count = 1
        for pixels, seconds in zip(footage.frames, footage.times, strict=True):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = round((seconds - footage.times[0]) * CLOCK), Fraction(1, CLOCK)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()
