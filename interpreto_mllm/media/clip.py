"""A clip of the prompt with its segments, and what is left of it when some segments are absent."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Bool, Float32

from interpreto_mllm.core.content import digest
from interpreto_mllm.core.feature import Feature
from interpreto_mllm.media.audio_granularity import (
    AudioGranularity,
    AudioSegmenter,
    Windows,
    check_audio_granularity,
    read_segments,
    timed,
)
from interpreto_mllm.media.audio_occlusion import AudioOcclusion, Mute, check_audio_occlusion
from interpreto_mllm.media.packing import describe, pack_samples, revive, unpack_samples
from interpreto_mllm.media.waveform import read_noted_audio


@dataclass(frozen=True, eq=False)
class Clip:
    """A recording cut into `k` segments. A sample is present when a present segment covers it, or when no segment does.

    Args:
        samples: mono.
        rate: samples per second.
        segments: start and end (exclusive) of each, in samples; they may overlap and need not cover the clip.
        labels: names of the segments.
        occlusion: how absent segments disappear; None when a result was loaded and the class of its occlusion was not found.
        notes: what was changed when it was read.

    Raises:
        ValueError: for segments that are empty or leave the clip.

    Example:
        >>> import numpy as np
        >>> from interpreto_mllm.media import CutOut, Windows
        >>> clip = Clip.of(np.array([0.25, 0.5, 0.75, 1.0]), 4, Windows(500), CutOut())
        >>> clip.render(np.array([False, True])).tolist()
        [0.75, 1.0]
        >>> [(feature.text, feature.time) for feature in clip.features(0)]
        [('0.00–0.50 s', (0.0, 0.5)), ('0.50–1.00 s', (0.5, 1.0))]
    """

    samples: Float32[np.ndarray, "s"]
    rate: int
    segments: tuple[tuple[int, int], ...]
    labels: tuple[str, ...]
    occlusion: AudioOcclusion | None
    notes: tuple[str, ...] = ()

    modality: ClassVar[str] = "audio"

    def __post_init__(self) -> None:
        if not self.segments or len(self.segments) != len(self.labels):
            raise ValueError(
                f"A clip needs a segment and every segment a label; got {len(self.segments)} and {len(self.labels)}."
            )
        for (start, end), label in zip(self.segments, self.labels, strict=True):
            if not 0 <= start < end <= len(self.samples):
                raise ValueError(
                    f"The segment {label!r} from sample {start} to {end} is empty or leaves the clip, which has "
                    f"{len(self.samples)} samples."
                )

    @classmethod
    def of(
        cls,
        given: Any,
        rate: int,
        granularity: AudioGranularity | AudioSegmenter | None = None,
        occlusion: AudioOcclusion | None = None,
    ) -> Clip:
        """Read a recording and cut it.

        Args:
            given: a sound file as a path, `file://` address, bytes, an open file (which is left as it was), a data URL or
                base64; a pair (samples, rate) or a mapping {"array", "sampling_rate"}; an array or tensor of shape `s`, `c s`
                or `s c`, taken to be at the wanted rate; or a `Clip` at that rate, which is returned unchanged. Channels are
                averaged and other rates resampled, each with a logged warning and a note.
            rate: samples per second that the model wants.
            granularity: what a segment is: `Windows(500)` by default, or a callable from samples and rate to (start, end)
                pairs.
            occlusion: how an absent segment disappears: `Mute()` by default.

        Raises:
            FileNotFoundError, TypeError, ValueError: for what cannot be read or cut; the message says why.
        """
        if isinstance(given, Clip):
            if given.rate != rate:
                raise ValueError(
                    f"The clip was read at {given.rate} samples per second, the model wants {rate}: Clip.of(..., {rate})."
                )
            return given
        granularity = check_audio_granularity(Windows() if granularity is None else granularity)
        occlusion = check_audio_occlusion(Mute() if occlusion is None else occlusion)
        read = read_noted_audio(given, rate)
        segments = read_segments(granularity(read.samples, rate))
        labels = granularity.labels if isinstance(granularity, AudioGranularity) else timed
        return cls(read.samples, rate, tuple(segments), labels(segments, rate), occlusion, read.notes)

    @property
    def seconds(self) -> float:
        """Its length in seconds."""
        return len(self.samples) / self.rate

    def render(self, present: Bool[np.ndarray, "pieces"]) -> Float32[np.ndarray, "resampled"] | None:
        """What the model hears when only these segments are present; None when nothing is left of the clip.

        Raises:
            ValueError: when it is not known how absent segments disappear.
        """
        if self.occlusion is None:
            raise ValueError("This clip was loaded without its occlusion: import the module that defines it before loading.")
        there = self._uncovered.copy()
        for (start, end), here in zip(self.segments, present, strict=True):
            there[start:end] |= here
        if there.all():
            return self.samples
        if self._counterpart is None:
            return self.samples[there] if there.any() else None
        return np.where(there, self.samples, self._counterpart)

    @property
    def size(self) -> int:
        """How many samples it has."""
        return len(self.samples)

    @property
    def keeps_size(self) -> bool:
        """Whether what is left always has the size of the whole, so that it takes as many tokens."""
        return self._counterpart is not None

    def key(self, present: Bool[np.ndarray, "pieces"]) -> bytes:
        """Equal exactly for states, of this clip or another, that render equal; each is rendered once to find out."""
        pieces = present.tobytes()
        if pieces not in self._keys:
            rendered = self.render(present)
            content = () if rendered is None else (self.rate, (rendered + 0.0).tobytes())  # -0.0 and 0.0 are one sample
            self._keys[pieces] = digest(self.modality, *content)
        return self._keys[pieces]

    def features(self, medium: int, role: str | None = None, turn: int | None = None) -> list[Feature]:
        """The segments as features.

        Args:
            medium: index of this clip among the images and clips of the prompt.
            role: role of its chat message.
            turn: index of its chat message.
        """
        return [
            Feature(
                label,
                role=role,
                turn=turn,
                modality="audio",
                pieces=((medium, piece),),
                time=(start / self.rate, end / self.rate),
            )
            for piece, (label, (start, end)) in enumerate(zip(self.labels, self.segments, strict=True))
        ]

    @cached_property
    def areas(self) -> list[tuple[int, int, tuple[int, ...]]]:
        """The clip cut wherever the segments that cover it change: start and end of each area, and its segments."""
        edges = sorted({0, len(self.samples), *(edge for segment in self.segments for edge in segment)})
        return [
            (left, right, tuple(k for k, (start, end) in enumerate(self.segments) if start <= left < end))
            for left, right in pairwise(edges)
        ]

    def to_data(self) -> dict[str, Any]:
        """Everything, as JSON can hold it."""
        return {
            "modality": self.modality,
            "samples": pack_samples(self.samples),
            "rate": self.rate,
            "segments": [list(segment) for segment in self.segments],
            "labels": list(self.labels),
            "occlusion": describe(self.occlusion),
        }

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> Clip:
        """Inverse of `to_data`. Import your own occlusion class first, else the clip can only be displayed."""
        segments = tuple((start, end) for start, end in data["segments"])
        occlusion = revive(AudioOcclusion, data["occlusion"])
        return cls(unpack_samples(data["samples"]), data["rate"], segments, tuple(data["labels"]), occlusion)

    @cached_property
    def _uncovered(self) -> Bool[np.ndarray, "s"]:
        covered = np.zeros(len(self.samples), dtype=bool)
        for start, end in self.segments:
            covered[start:end] = True
        return ~covered

    @cached_property
    def _counterpart(self) -> Float32[np.ndarray, "s"] | None:
        assert self.occlusion is not None
        return self.occlusion.counterpart(self.samples)

    @cached_property
    def _keys(self) -> dict[bytes, bytes]:
        return {}
