"""Reads recordings as mono samples at the rate that a model wants."""

from __future__ import annotations

import io
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float32, Shaped

from interpreto_mllm.core.shown import shown
from interpreto_mllm.media.announced import held_fraction
from interpreto_mllm.media.files import content_of, local_path, unwrapped

logger = logging.getLogger(__name__)

MAX_CHANNELS = 8
"""A longer axis holds samples."""

MAX_AMPLITUDE = 2.0
"""Full scale is 1; larger values are a mistake in units, not clipping."""


@dataclass(frozen=True)
class ReadAudio:
    """Mono samples as they were read, and what their reader must know of them."""

    samples: Float32[np.ndarray, "s"]
    notes: tuple[str, ...] = ()


def read_audio(given: Any, rate: int) -> Float32[np.ndarray, "s"]:
    """Mono samples at the wanted rate. Averaging channels and resampling each log a warning.

    Args:
        given: a sound file as a path, bytes, an open file, a data URL or base64; a pair (samples, rate) or a mapping {"array",
            "sampling_rate"}; or an array or tensor of shape `s`, `c s` or `s c`, which must be at the wanted rate already.
            Samples are floats from -1 to 1, or int16 or int32.
        rate: the wanted rate, in samples per second.

    Raises:
        FileNotFoundError: when there is no such file.
        ImportError: where reading a file or resampling needs the extra `audio`.
        TypeError: for something that is not a recording.
        ValueError: for a file that cannot be read or was cut off, an empty recording, and values, shapes or rates that cannot
            be right.

    Example:
        >>> import numpy as np
        >>> read_audio(np.array([0, 16384], dtype=np.int16), 16_000).tolist()
        [0.0, 0.5]
    """
    return read_noted_audio(given, rate).samples


def read_noted_audio(given: Any, rate: int) -> ReadAudio:
    """Like `read_audio`, with notes of what was changed."""
    given, own_rate = _with_rate(given, rate)
    if isinstance(own_rate, bool) or not isinstance(own_rate, (int, float, np.number)) or not 0 < own_rate < np.inf:
        raise ValueError(f"A sampling rate is a positive number of samples per second; got {shown(own_rate)}.")
    floats, notes = _floats(given), []
    samples = _mono(floats)
    if floats.size > samples.size:
        notes.append(f"The recording has {floats.size // samples.size} channels: explaining their mean.")
    if own_rate != rate:
        notes.append(f"The recording has {own_rate:g} samples per second, the model wants {rate}: resampled.")
        samples = _resampled(samples, float(own_rate), rate)
    for note in notes:
        logger.warning(note)
    return ReadAudio(samples, tuple(notes))


def _with_rate(given: Any, rate: int) -> tuple[Any, Any]:
    """The samples of what was given, and how many there are per second."""
    if isinstance(given, Mapping) and "sampling_rate" in given and ("array" in given or "raw" in given):
        return given["array"] if "array" in given else given["raw"], given["sampling_rate"]
    given = unwrapped(given)
    if isinstance(given, Mapping):
        raise ValueError(f'A recording as a mapping is {{"array": ..., "sampling_rate": ...}}; this one has {shown([*given])}.')
    if isinstance(given, (list, tuple)) and len(given) == 2 and (pair := _samples_first(given)) is not None:
        return pair
    content, name = content_of(given, "audio"), "The recording"
    if content is None and isinstance(given, (str, os.PathLike)):
        path = local_path(given, "audio")
        content, name = path.read_bytes(), str(path)
    return (given, rate) if content is None else _decoded(content, name)


def _samples_first(pair: Sequence[Any]) -> tuple[Any, Any] | None:
    """(samples, rate), of a pair in this order or the other; None where both are numbers, or neither is."""
    numbers = [isinstance(one, (int, float, np.number)) for one in pair]
    return None if numbers[0] == numbers[1] else (pair[0], pair[1]) if numbers[1] else (pair[1], pair[0])


def _decoded(content: bytes, name: str) -> tuple[Shaped[np.ndarray, "..."], int]:
    """Samples and rate of a sound file."""
    try:
        import soundfile
    except ImportError as error:
        raise ImportError("Audio files need soundfile: pip install interpreto_mllm[audio]") from error
    try:
        with soundfile.SoundFile(io.BytesIO(content)) as file:
            announced = file.frames if file.format == "FLAC" else 0
            samples, rate = file.read(dtype="float32", always_2d=True), file.samplerate
    except (soundfile.SoundFileError, OSError, ValueError) as error:
        reason = str(error).split(": ", 1)[-1] if name == "The recording" else str(error)
        raise ValueError(f"{name} is not a recording that can be read: {reason}") from error
    held = min(held_fraction(content), len(samples) / announced if announced else 1.0)
    if held < 1:
        total = f" of {len(samples) / held / rate:.2f} s" if held else ""
        raise ValueError(
            f"{name} was cut off: {len(samples) / rate:.2f} s{total} are there. Give the whole file, or what is left of it as "
            "(samples, rate)."
        )
    return samples, rate


def _floats(given: Any) -> Float32[np.ndarray, "..."]:
    """Samples as floats, of which 1 is full scale."""
    if hasattr(given, "detach"):
        given = given.detach().cpu()
        given = (given.float() if given.is_floating_point() else given).numpy()
    if isinstance(given, (list, tuple)):
        try:
            given = np.asarray(given)
        except ValueError as error:
            raise ValueError("The recording is a list whose parts differ in length: give one array of samples.") from error
    if not isinstance(given, np.ndarray):
        raise TypeError(
            f"Cannot read a recording from {type(given).__name__}: give an array of samples, (samples, rate), a mapping "
            '{"array", "sampling_rate"}, or a file as a path, bytes, an open file, a data URL or base64.'
        )
    if 0 in given.shape:
        raise ValueError(f"The recording is empty: its shape is {given.shape}.")
    if given.dtype in (np.int16, np.int32):
        return (given / -float(np.iinfo(given.dtype).min)).astype(np.float32)
    if not np.issubdtype(given.dtype, np.floating):
        raise ValueError(f"Samples are floats from -1 to 1, int16 or int32; got {given.dtype}.")
    peak = float(np.abs(given).max())
    if not peak <= MAX_AMPLITUDE:
        hint = " or infinite" if np.isinf(peak) else "" if np.isnan(peak) else ": divide 16-bit samples by 32768"
        raise ValueError(f"Samples are floats from -1 to 1; the largest of these is {peak:g}{hint}.")
    return given.astype(np.float32)


def _mono(samples: Float32[np.ndarray, "..."]) -> Float32[np.ndarray, "s"]:
    if samples.ndim == 1:
        return samples
    channels = [axis for axis, length in enumerate(samples.shape) if length <= MAX_CHANNELS]
    if samples.ndim != 2 or len(channels) != 1:
        raise ValueError(
            f"A recording has the shape (samples,), (channels, samples) or (samples, channels), at most {MAX_CHANNELS} "
            f"channels; got {samples.shape}."
        )
    return samples.mean(axis=channels[0], dtype=np.float64).astype(np.float32)


def _resampled(samples: Float32[np.ndarray, "s"], own: int | float, rate: int) -> Float32[np.ndarray, "resampled"]:
    try:
        import soxr
    except ImportError as error:
        raise ImportError(
            f"The recording has {own:g} samples per second and the model wants {rate}; resampling needs soxr: "
            "pip install interpreto_mllm[audio]"
        ) from error
    resampled = soxr.resample(samples, own, rate)
    if not len(resampled):
        raise ValueError(f"The recording is too short to be resampled: {len(samples)} samples at {own:g} per second.")
    return resampled
