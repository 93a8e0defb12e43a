"""Reads recordings as mono samples at the rate that a model wants."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float32, Shaped

from interpreto_mllm.media.files import local_path

logger = logging.getLogger(__name__)

MAX_CHANNELS = 8
"""A longer axis holds samples."""

MAX_AMPLITUDE = 2.0
"""Full scale is 1; larger values are a mistake in units, not clipping."""


def read_audio(given: Any, rate: int) -> Float32[np.ndarray, "s"]:
    """Mono samples at the wanted rate. Averaging channels and resampling each log a warning.

    Args:
        given: the path of a file, a mapping {"array", "sampling_rate"}, or an array or tensor of shape `s`, `c s` or `s c`,
            which must be at the wanted rate already. Samples are floats from -1 to 1, or int16 or int32.
        rate: the wanted rate, in samples per second.

    Raises:
        FileNotFoundError: when there is no such file.
        ImportError: where reading a file or resampling needs the extra `audio`.
        TypeError: for something that is not a recording.
        ValueError: for a file that cannot be read, an empty recording, and values, shapes or rates that cannot be right.

    Example:
        >>> import numpy as np
        >>> read_audio(np.array([0, 16384], dtype=np.int16), 16_000).tolist()
        [0.0, 0.5]
    """
    own_rate: Any = rate
    if isinstance(given, (str, os.PathLike)):
        given, own_rate = _file(given)
    elif isinstance(given, Mapping):
        if not {"array", "sampling_rate"} <= set(given):
            raise ValueError(
                f'A recording as a mapping is {{"array": ..., "sampling_rate": ...}}; this one has {sorted(given)}.'
            )
        given, own_rate = given["array"], given["sampling_rate"]
    if isinstance(own_rate, bool) or not isinstance(own_rate, (int, float, np.integer)) or not own_rate > 0:
        raise ValueError(f"A sampling rate is a positive number of samples per second; got {own_rate!r}.")
    samples = _mono(_floats(given))
    return samples if own_rate == rate else _resampled(samples, float(own_rate), rate)


def _file(given: str | os.PathLike[str]) -> tuple[Shaped[np.ndarray, "..."], int]:
    path = local_path(given, "audio")
    try:
        import soundfile
    except ImportError as error:
        raise ImportError("Audio files need soundfile: pip install interpreto_mllm[audio]") from error
    try:
        return soundfile.read(path, dtype="float32", always_2d=True)
    except soundfile.SoundFileError as error:
        raise ValueError(f"{path} is not a recording that can be read: {error}") from error


def _floats(given: Any) -> Float32[np.ndarray, "..."]:
    """Samples as floats, of which 1 is full scale."""
    if hasattr(given, "detach"):
        given = given.detach().cpu()
        given = (given.float() if given.is_floating_point() else given).numpy()
    if isinstance(given, (list, tuple)):
        given = np.asarray(given)
    if not isinstance(given, np.ndarray):
        raise TypeError(
            f"Cannot read a recording from {type(given).__name__}: give an array of samples, a mapping "
            '{"array", "sampling_rate"} or the path of a file.'
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
    if samples.shape[channels[0]] > 1:
        logger.warning("The recording has %d channels: explaining their mean.", samples.shape[channels[0]])
    return samples.mean(axis=channels[0], dtype=np.float64).astype(np.float32)


def _resampled(samples: Float32[np.ndarray, "s"], own: int | float, rate: int) -> Float32[np.ndarray, "resampled"]:
    try:
        import soxr
    except ImportError as error:
        raise ImportError(
            f"The recording has {own:g} samples per second and the model wants {rate}; resampling needs soxr: "
            "pip install interpreto_mllm[audio]"
        ) from error
    logger.warning("The recording has %g samples per second, the model wants %d: resampled.", own, rate)
    resampled = soxr.resample(samples, own, rate)
    if not len(resampled):
        raise ValueError(f"The recording is too short to be resampled: {len(samples)} samples at {own:g} per second.")
    return resampled
