"""Which frames of a video file a model is shown: those that its processor would take."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from interpreto_mllm.media.read_video import Wish
from interpreto_mllm.media.video import every_frame

ASKING = '{"path": ..., "num_frames": 16} or {"path": ..., "fps": 2} shows fewer'


@dataclass(frozen=True, eq=False)
class FrameSampling:
    """Chooses frames as a model's video processor does.

    Args:
        processor: the video processor, whose `sample_frames` is called, on a copy where its own settings are in the way.
    """

    processor: Any

    def __call__(self, metadata: dict[str, Any], wish: Wish) -> tuple[list[int], str]:
        """The numbers of the frames that are shown, and why these.

        All frames are shown where the processor samples none by itself and nothing is wished for.
        """
        settings = {name: getattr(self.processor, name, None) for name in ("num_frames", "fps")}
        if wish.frames is not None or wish.rate is not None:
            said = f"num_frames={wish.frames}" if wish.rate is None else f"fps={wish.rate:g}"
            for processor in self._asked(wish):
                if chosen := self._chosen(processor, metadata, num_frames=wish.frames, fps=wish.rate):
                    return chosen, f"as asked by {said}"
            return every_frame(metadata, wish)[0], f"at equal distances, as asked by {said}"
        name, own = type(self.processor).__name__, {key: value for key, value in settings.items() if value is not None}
        if not own and not getattr(self.processor, "do_sample_frames", False):
            return every_frame(metadata, wish)[0], f"as {name} chooses none by itself; {ASKING}"
        if chosen := self._chosen(self.processor, metadata):
            return chosen, f"as {name} chooses ({', '.join(f'{key}={value:g}' for key, value in own.items()) or 'by default'})"
        return every_frame(metadata, wish)[0], f"which {name} cannot choose from"

    def _asked(self, wish: Wish) -> Iterator[Any]:
        """The processor without the setting that would go before what is wished for, and as it is."""
        other = copy.copy(self.processor)
        setattr(other, "num_frames" if wish.frames is None else "fps", None)
        yield from (other, self.processor)

    @staticmethod
    def _chosen(processor: Any, metadata: dict[str, Any], **wish: Any) -> list[int] | None:
        """The frames that a processor takes; None where it takes none of these."""
        try:
            given = processor.sample_frames(metadata=_metadata(metadata), **wish)
            chosen = sorted({int(index) for index in given})
        except Exception:  # a processor fails in its own ways on a video that is too short, or settings that it lacks
            return None
        return chosen if chosen and chosen[0] >= 0 and chosen[-1] < metadata["total_num_frames"] else None


def _metadata(metadata: dict[str, Any]) -> Any:
    """In the form that processors of transformers want."""
    try:
        from transformers.video_utils import VideoMetadata
    except ImportError:
        return metadata
    return VideoMetadata(**{**metadata, "frames_indices": None})
