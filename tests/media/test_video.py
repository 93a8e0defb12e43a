"""Videos: how they are read and cut, and what is left of them without some pieces."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from interpreto_mllm import Blur, DropFrames, Fill, Frames, Freeze, ReplaceImage, TimeSpans, Tubes, Video, WholeVideo
from interpreto_mllm.media.read_video import Wish
from interpreto_mllm.media.state import State
from interpreto_mllm.media.video import every_frame

RNG = np.random.default_rng(0)
FILM = RNG.integers(0, 256, (5, 8, 6, 3), dtype=np.uint8)
GIVEN = {"frames": FILM, "fps": 2.0}


def encoded(count: int = 12, rate: int = 6, suffix: str = "mp4", codec: str = "mpeg4") -> bytes:
    """A file with a video whose frames grow lighter."""
    av = pytest.importorskip("av")
    file = io.BytesIO()
    with av.open(file, "w", format={"mkv": "matroska"}.get(suffix, suffix)) as container:
        stream = container.add_stream(codec, rate=rate)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(count):
            grey = np.full((48, 64, 3), 20 * number, dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(grey, format="rgb24")))
        container.mux(stream.encode(None))
    return file.getvalue()


def left(video: Video, *present: bool) -> Any:
    return video.render(np.array(present))


def test_ways_to_give_frames_are_the_same_video() -> None:
    pictures = [Image.fromarray(frame) for frame in FILM]
    times = [0.0, 0.5, 1.0, 1.5, 2.0]
    forms = [
        GIVEN,
        {"frames": torch.from_numpy(FILM).permute(0, 3, 1, 2), "times": times},
        {"array": FILM / 255, "fps": 2},
        {"video": pictures, "fps": 2},
        list(zip(pictures, times, strict=True)),
    ]
    keys = {State.whole(Video.of(form)).key for form in forms}
    assert len(keys) == 1
    assert Video.of(GIVEN).footage.times == tuple(times) and not Video.of(GIVEN).notes
    told = Video.of(FILM)
    assert told.footage.times[1] == pytest.approx(1 / 24) and "24 frames per second are assumed" in told.notes[0]
    assert Video.of(told) is told


def test_uneven_times_are_kept_to_the_millisecond() -> None:
    video = Video.of({"frames": FILM[:3], "times": (0.25, 0.5, 3.125)}, Frames())
    assert video.footage.times == (0.25, 0.5, 3.125)
    *earlier, last = [feature.time for feature in video.features(0)]
    assert earlier == [(0.25, 0.5), (0.5, 3.125)] and last == (3.125, pytest.approx(4.5625, abs=1e-3))


@pytest.mark.parametrize("suffix, codec", [("mp4", "mpeg4"), ("mkv", "libx264")])
def test_frames_of_a_file_are_those_that_are_sampled(suffix: str, codec: str, tmp_path: Any) -> None:
    content = encoded(suffix=suffix, codec=codec)
    path = tmp_path / f"film.{suffix}"
    path.write_bytes(content)
    asked: list[Any] = []

    def sample(metadata: dict[str, Any], wish: Wish) -> tuple[list[int], str]:
        asked.append((metadata["total_num_frames"], metadata["fps"], metadata["duration"], wish))
        return every_frame(metadata, wish)

    video = Video.of({"path": str(path), "num_frames": 4}, Frames(), sample=sample)
    assert asked == [(12, 6.0, 2.0, Wish(4))]
    assert video.footage.indices == (0, 4, 7, 11) and video.footage.times == (0.0, 4 / 6, 7 / 6, 11 / 6)
    assert np.abs(video.footage.frames.astype(int).mean((1, 2, 3)) - [0, 80, 140, 220]).max() < 4
    assert video.notes == ("4 of its 12 frames are shown, as asked",)
    assert State.whole(Video.of({"data": content, "num_frames": 4})).key == State.whole(video).key
    assert Video.of({"url": path.as_uri(), "fps": 3.0}).footage.count == 6
    assert len(Video.of(path).footage.frames) == 12


def test_pieces_cover_time_and_place() -> None:
    seconds = [feature.time for feature in Video.of(GIVEN, TimeSpans(1.0)).features(0)]
    assert seconds == [(0.0, 1.0), (1.0, 2.0), (2.0, 2.5)]
    assert len(Video.of(GIVEN).tubes) == 5, "no span without a frame"
    assert [tube[:2] for tube in Video.of(GIVEN, TimeSpans(count=2)).tubes] == [(0, 3), (3, 5)]
    tubes = Video.of(GIVEN, Tubes(2, 3, count=2)).features(1, "user", 3)
    assert len(tubes) == 12 and tubes[7].text == "1.50–2.50 s, row 1, column 2"
    assert (tubes[7].box, tubes[7].time, tubes[7].pieces) == ((2, 0, 4, 4), (1.5, 2.5), ((1, 7),))
    assert {(one.role, one.turn, one.modality) for one in tubes} == {("user", 3, "video")}
    whole = Video.of(GIVEN, WholeVideo()).features(0)
    assert [(one.text, one.box) for one in whole] == [("video", None)]
    corner = np.zeros((8, 6), dtype=bool)
    corner[0, 0] = True
    own = Video.of(GIVEN, lambda frames, times: [(0, 2), (1, 5, corner)])
    assert [one.box for one in own.features(0)] == [None, (0, 0, 1, 1)]


@pytest.mark.parametrize("occlusion", [Fill("mean"), Fill("red"), Blur(1.0), ReplaceImage(FILM[0, :, ::-1]), Freeze()])
def test_absent_pixels_are_hidden_one_by_one(occlusion: Any) -> None:
    """A slow second way: pixel by pixel."""
    video = Video.of(GIVEN, Tubes(2, 2, count=2), occlusion)
    present = np.array([True, False, True, True, False, True, False, True])
    shown = left(video, *present)
    mean = FILM.reshape(-1, 3).mean(0).round().astype(np.uint8)
    for frame, row, column in np.ndindex(5, 8, 6):
        there = [bool(present[4 * (time >= 3) + 2 * (row >= 4) + (column >= 3)]) for time in range(5)]
        if there[frame]:
            expected = FILM[frame, row, column]
        elif isinstance(occlusion, Freeze):
            seen = [time for time in range(frame, -1, -1) if there[time]] or [time for time in range(5) if there[time]]
            expected = FILM[seen[0], row, column] if seen else mean
        elif occlusion == Fill("mean"):
            expected = mean
        else:
            expected = occlusion.counterpart(FILM[frame])[row, column]
        assert shown.frames[frame, row, column].tolist() == np.asarray(expected).tolist()
    assert shown.size == video.footage.size and video.keeps_size
    assert left(video, *[True] * 8) is video.footage


def test_dropped_frames_close_up_or_keep_their_times() -> None:
    closed, kept = (Video.of(GIVEN, Frames(), DropFrames(times)) for times in ("closed", "kept"))
    present = (True, False, False, True, True)
    for video, times, seconds in ((closed, (0.0, 0.5, 1.0), 1.5), (kept, (0.0, 1.5, 2.0), 2.5)):
        shown = left(video, *present)
        assert (shown.frames == FILM[[0, 3, 4]]).all()
        assert shown.times == times and shown.seconds == seconds
        assert left(video, *[False] * 5) is None and not video.keeps_size
        assert State(video, np.zeros(5, dtype=bool)).dropped
    assert closed.key(np.array(present)) != kept.key(np.array(present))


def test_states_that_look_alike_have_one_key() -> None:
    still = np.repeat(FILM[:1], 3, axis=0)
    video = Video.of({"frames": still, "fps": 1.0}, Frames(), Freeze())
    assert len({video.key(np.array(row, dtype=bool)) for row in np.ndindex(2, 2, 2) if any(row)}) == 1
    other = Video.of({"frames": still, "fps": 2.0}, Frames(), Freeze())
    assert State.whole(video).key != State.whole(other).key, "times are told to models"


@pytest.mark.parametrize("occlusion", [Fill(), Freeze(), DropFrames("kept"), Blur(2)])
def test_a_video_is_saved_without_loss(occlusion: Any) -> None:
    video = Video.of(GIVEN, Frames(), occlusion)
    again = Video.from_data(json.loads(json.dumps(video.to_data())))
    assert again.occlusion == occlusion and again.labels == video.labels and again.tubes == video.tubes
    for row in np.ndindex(2, 2, 2, 2, 2):
        assert again.key(np.array(row, dtype=bool)) == video.key(np.array(row, dtype=bool))
