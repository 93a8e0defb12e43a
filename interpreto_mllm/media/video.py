"""A video of the prompt with its pieces, and what is left of it when some pieces are absent."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Bool, UInt8

from interpreto_mllm.core.content import digest
from interpreto_mllm.core.feature import Feature
from interpreto_mllm.media.footage import Footage
from interpreto_mllm.media.image_occlusion import Fill, ImageOcclusion
from interpreto_mllm.media.packing import describe, pack_image, pack_regions, revive, unpack_image, unpack_regions
from interpreto_mllm.media.read_video import Sampler, Wish, read_video
from interpreto_mllm.media.regions import Regions
from interpreto_mllm.media.video_granularity import (
    TimeSpans,
    Tube,
    VideoGranularity,
    VideoSegmenter,
    check_video_granularity,
    pieces_of,
)
from interpreto_mllm.media.video_occlusion import Painted, VideoOcclusion, check_video_occlusion

RENDERED_BYTES = 2**26
"""Memory for the renderings of one video that are remembered."""


@dataclass(frozen=True, eq=False)
class Video:
    """A video cut into `k` pieces. A pixel of a frame is present when a present piece covers it, or when no piece does.

    Args:
        footage: its frames and their times.
        tubes: the pieces: stretches of frames, and which region of these each goes through.
        regions: the parts of a frame.
        labels: names of the pieces.
        occlusion: how absent pieces disappear; None when a result was loaded and the class of its occlusion was not found.
        notes: what was chosen or changed when it was read.

    Raises:
        ValueError: for pieces that are empty or leave the video, and for an occlusion that cannot hide these pieces.

    Example:
        >>> from interpreto_mllm.media import Fill, Frames
        >>> frames = np.full((2, 2, 2, 3), 9, dtype=np.uint8)
        >>> video = Video.of({"frames": frames, "fps": 2}, Frames(), Fill("white"))
        >>> video.render(np.array([True, False])).frames[:, 0, 0, 0].tolist()
        [9, 255]
        >>> [(feature.text, feature.time) for feature in video.features(0)]
        [('frame 1 (0.00 s)', (0.0, 0.5)), ('frame 2 (0.50 s)', (0.5, 1.0))]
    """

    footage: Footage
    tubes: tuple[Tube, ...]
    regions: Regions
    labels: tuple[str, ...]
    occlusion: VideoOcclusion | ImageOcclusion | None
    notes: tuple[str, ...] = ()

    modality: ClassVar[str] = "video"

    def __post_init__(self) -> None:
        if not self.tubes or len(self.tubes) != len(self.labels):
            raise ValueError(f"A video needs a piece and every piece a label; got {len(self.tubes)} and {len(self.labels)}.")
        for tube, label in zip(self.tubes, self.labels, strict=True):
            if not 0 <= tube.first < tube.end <= self.footage.count or not self.regions.sizes[tube.region]:
                raise ValueError(
                    f"The piece {label!r}, frames {tube.first} to {tube.end}, is empty or leaves the video, which has "
                    f"{self.footage.count} frames."
                )
        if self._hiding is not None:
            self._hiding.check(self.tubes, self.regions)

    @classmethod
    def of(
        cls,
        given: Any,
        granularity: VideoGranularity | VideoSegmenter | None = None,
        occlusion: VideoOcclusion | ImageOcclusion | None = None,
        sample: Sampler | None = None,
    ) -> Video:
        """Read a video and cut it.

        Args:
            given: a video file as a path, `file://` address, bytes, an open file, a data URL or base64; an array or tensor of
                shape `t h w c` or `t c h w`; a list of images or of pairs (image, seconds); a mapping {"frames", "times"} or
                {"frames", "fps"}, or {"path"} with "fps" or "num_frames" to be shown; or a `Video`, which is returned
                unchanged.
            granularity: what a piece is: `TimeSpans()` by default, or a callable from frames and their seconds to (start, end),
                or (start, end, mask), in frames.
            occlusion: how an absent piece disappears: `Fill("mean")` by default.
            sample: chooses the frames of a file that are shown; all of them by default.

        Raises:
            FileNotFoundError, ImportError, TypeError, ValueError: for what cannot be read or cut; the message says why.
        """
        if isinstance(given, Video):
            return given
        granularity = check_video_granularity(TimeSpans() if granularity is None else granularity)
        occlusion = check_video_occlusion(Fill() if occlusion is None else occlusion)
        read = read_video(given, every_frame if sample is None else sample)
        pieces = pieces_of(granularity, read.footage)
        return cls(read.footage, pieces.tubes, pieces.regions, pieces.labels, occlusion, read.notes)

    def render(self, present: Bool[np.ndarray, "pieces"]) -> Footage | None:
        """What the model is shown when only these pieces are present; None when the video is left out of the prompt.

        Raises:
            ValueError: when it is not known how absent pieces disappear.
        """
        if self._hiding is None:
            raise ValueError("This video was loaded without its occlusion: import the module that defines it before loading.")
        if present.all():
            return self.footage
        pieces = present.tobytes()
        if pieces not in self._rendered:
            there = self._there(present)
            self._remember(pieces, self.footage if there.all() else self._left(there))
        return self._rendered[pieces]

    @property
    def size(self) -> tuple[Any, ...]:
        """What decides how many tokens the whole takes."""
        return self.footage.size

    @property
    def keeps_size(self) -> bool:
        """Whether what is left always has the frames and times of the whole, so that it takes as many tokens."""
        return self._hiding is not None and self._hiding.keeps_size

    def key(self, present: Bool[np.ndarray, "pieces"]) -> bytes:
        """Equal exactly for states, of this video or another, that render equal; each is rendered once to find out."""
        pieces = present.tobytes()
        if pieces not in self._keys:
            rendered = self.render(present)
            content = () if rendered is None else (str(rendered.size), rendered.frames.reshape(-1).data)
            self._keys[pieces] = digest(self.modality, *content)
        return self._keys[pieces]

    def features(self, medium: int, role: str | None = None, turn: int | None = None) -> list[Feature]:
        """The pieces as features.

        Args:
            medium: index of this video among the images, clips and videos of the prompt.
            role: role of its chat message.
            turn: index of its chat message.
        """
        boxes = self.regions.boxes
        whole = [bool(self.regions.cover[:, region].all()) for region in range(self.regions.count)]
        return [
            Feature(
                label,
                role=role,
                turn=turn,
                modality=self.modality,
                pieces=((medium, piece),),
                box=None if whole[tube.region] else boxes[tube.region],
                time=self.footage.span(tube.first, tube.end),
            )
            for piece, (label, tube) in enumerate(zip(self.labels, self.tubes, strict=True))
        ]

    @cached_property
    def stretches(self) -> list[tuple[int, int, tuple[int, ...]]]:
        """The video cut wherever its pieces change: the first frame of each stretch, the one after its last, its pieces."""
        edges = sorted({0, self.footage.count, *(edge for tube in self.tubes for edge in tube[:2])})
        return [
            (first, end, tuple(piece for piece, tube in enumerate(self.tubes) if tube.first <= first < tube.end))
            for first, end in pairwise(edges)
        ]

    @cached_property
    def areas(self) -> list[tuple[int, int, int, tuple[int, ...]]]:
        """The stretches cut wherever the pieces that cover a pixel change: first frame, end, area of `regions`, pieces."""
        return [
            (first, end, area, tuple(piece for piece in pieces if self.regions.cover[area, self.tubes[piece].region]))
            for first, end, pieces in self.stretches
            for area in range(len(self.regions.cover))
        ]

    def only(self, piece: int | None) -> Bool[np.ndarray, "frames height width"]:
        """The pixels of a piece that are of none before it; none for None, and those of no piece for a number past the last."""
        inside = np.zeros(self.footage.frames.shape[:3], dtype=bool)
        for first, end, area, pieces in self.areas:
            owner = pieces[0] if pieces else len(self.tubes)
            if piece is not None and owner == piece:
                inside[first:end] |= self.regions.area == area
        return inside

    def to_data(self) -> dict[str, Any]:
        """Everything, as JSON can hold it."""
        from PIL import Image

        return {
            "modality": self.modality,
            "frames": [pack_image(Image.fromarray(frame)) for frame in self.footage.frames],
            "indices": list(self.footage.indices),
            "rate": self.footage.rate,
            "total": self.footage.total,
            "tubes": [list(tube) for tube in self.tubes],
            "regions": pack_regions(self.regions),
            "labels": list(self.labels),
            "occlusion": describe(self.occlusion),
        }

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> Video:
        """Inverse of `to_data`. Import your own occlusion class first, else the video can only be displayed."""
        frames = np.stack([np.asarray(unpack_image(frame)) for frame in data["frames"]])
        footage = Footage(frames, tuple(data["indices"]), data["rate"], data["total"])
        occlusion = revive(VideoOcclusion, data["occlusion"]) or revive(ImageOcclusion, data["occlusion"])
        tubes = tuple(Tube(*tube) for tube in data["tubes"])
        return cls(footage, tubes, unpack_regions(data["regions"]), tuple(data["labels"]), occlusion)

    def _there(self, present: Bool[np.ndarray, "pieces"]) -> Bool[np.ndarray, "frames height width"]:
        """Which pixels are present."""
        there = np.empty(self.footage.frames.shape[:3], dtype=bool)
        cover = self.regions.cover
        for first, end, pieces in self.stretches:
            regions = [self.tubes[piece].region for piece in pieces]
            kept = [self.tubes[piece].region for piece in pieces if present[piece]]
            lit = np.logical_or(cover[:, kept].any(1), ~cover[:, regions].any(1))
            there[first:end] = lit[self.regions.area]
        return there

    def _left(self, there: Bool[np.ndarray, "frames height width"]) -> Footage | None:
        if self._counterpart is not None:
            return self.footage.with_frames(np.where(there[..., None], self.footage.frames, self._counterpart))
        assert self._hiding is not None
        return self._hiding.left(self.footage, there)

    @cached_property
    def _hiding(self) -> VideoOcclusion | None:
        """How pieces disappear from a video."""
        return Painted(self.occlusion) if isinstance(self.occlusion, ImageOcclusion) else self.occlusion

    @cached_property
    def _counterpart(self) -> UInt8[np.ndarray, "frames height width 3"] | None:
        """What an occlusion of images shows where pieces are absent."""
        return self._hiding.counterpart(self.footage) if isinstance(self._hiding, Painted) else None

    @cached_property
    def _keys(self) -> dict[bytes, bytes]:
        return {}

    @cached_property
    def _rendered(self) -> dict[bytes, Footage | None]:
        """Renderings that are remembered, by the pieces in them."""
        return {}

    def _remember(self, pieces: bytes, footage: Footage | None) -> None:
        """Keep a rendering, and forget the oldest ones beyond `RENDERED_BYTES`."""
        self._rendered[pieces] = footage
        while len(self._rendered) > 1 and len(self._rendered) * self.footage.frames.nbytes > RENDERED_BYTES:
            self._rendered.pop(next(iter(self._rendered)), None)


def every_frame(metadata: dict[str, Any], wish: Wish) -> tuple[list[int], str]:
    """As many frames at equal distances as are wished for, all by default.

    Example:
        >>> every_frame({"total_num_frames": 9, "fps": 3.0}, Wish(rate=1.0))
        ([0, 4, 8], 'as asked')
    """
    total = metadata["total_num_frames"]
    wanted = wish.frames if wish.rate is None else round(total / metadata["fps"] * wish.rate)
    if wanted is None:
        return list(range(total)), ""
    return np.linspace(0, total - 1, min(total, max(1, wanted))).round().astype(int).tolist(), "as asked"
