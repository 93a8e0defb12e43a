"""Images and clips that are refused."""

from __future__ import annotations

import base64
import io
import wave
from functools import cache
from typing import Any

import numpy as np
from support.families import family
from support.multimodal import ANSWER
from support.refusals.row import CHAT, Row, explain

from interpreto_mllm import (
    Blur,
    Boxes,
    Clip,
    DropFrames,
    DropImage,
    Fill,
    KernelShap,
    Masks,
    Patches,
    Picture,
    RemoteModel,
    SpokenWords,
    Tubes,
    Video,
    Windows,
)

PHOTO = np.zeros((8, 9, 3), dtype=np.uint8)
PART = {"type": "image", "image": PHOTO}
FILM = np.zeros((3, 64, 64, 3), dtype=np.uint8)
WAVE = np.zeros(800, dtype=np.float32)
LONG = base64.b64encode(b"no image at all" * 500).decode()


def heard(samples: Any, name: str = "whisper") -> Any:
    """A clip explained."""
    subject = family(name)
    return KernelShap(subject.model, subject.processor, progress=False)({"audio": samples}, ANSWER if name == "whisper" else 1)


def clip(given: Any, *cut: Any) -> Any:
    return Clip.of(given, 8000, *cut)


def part(content: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": [{"type": "image", "image": content}, {"type": "text", "text": "what?"}]}]


def watched(*before: dict[str, Any]) -> list[dict[str, Any]]:
    """A chat with a video."""
    video = {"type": "video", "video": {"frames": FILM, "fps": 1}}
    return [{"role": "user", "content": [*before, video, {"type": "text", "text": "what?"}]}]


def recording() -> bytes:
    """A sound file."""
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", ""))
        sound.writeframes(bytes(8000))
    return file.getvalue()


@cache
def film(count: int, kind: str = "matroska") -> bytes:
    """A video file of so many frames."""
    import av

    file, noise = io.BytesIO(), np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    with av.open(file, "w", format=kind) as container:
        stream: Any = container.add_stream("libx264", rate=10)
        stream.width = stream.height = 64
        container.start_encoding()
        for number in range(count):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.roll(noise, number, 0), format="rgb24")))
        container.mux(stream.encode(None))
    return file.getvalue()


MEDIA = [
    Row("an image for a model of texts", lambda: explain(part(PHOTO)), "has a part of the type image, which"),
    Row(
        "a part without content",
        lambda: explain([{"role": "user", "content": [{"type": "image"}]}]),
        "or a list of parts; got [{'type': 'image'}]",
    ),
    Row(
        "a part of an unknown type",
        lambda: explain([{"role": "user", "content": [{"type": "smell", "smell": 1}]}]),
        "parts are of the type text, image, audio or video",
    ),
    Row("a missing file", lambda: Picture.of("nowhere.png"), "There is no image file at nowhere.png", FileNotFoundError),
    Row("a folder", lambda: clip("."), "it is a folder", FileNotFoundError),
    Row("an address", lambda: Picture.of("https://example.org/a.png"), "Nothing is downloaded: save the image"),
    Row("something else in base64", lambda: Picture.of(LONG), "The image is not an image that can be read"),
    Row("a data URL that is no base64", lambda: Picture.of("data:image/png;base64"), "of the image cannot be decoded"),
    Row(
        "a file that is open for text", lambda: Picture.of(io.StringIO("a")), "is open for text: open it with open(path, 'rb')"
    ),
    Row("an image without pixels", lambda: Picture.of(np.zeros((0, 4, 3))), "The image has no pixels"),
    Row("floats above 1", lambda: Picture.of(np.full((8, 8, 3), 255.0)), "divide by 255"),
    Row(
        "an image of four dimensions",
        lambda: Picture.of(np.zeros((1, 3, 8, 8))),
        "One image has the shape (h, w), (h, w, c) or (c, h, w)",
    ),
    Row("a number as an image", lambda: Picture.of(7), "Cannot read an image from int", TypeError),
    Row("more patches than pixels", lambda: Picture.of(PHOTO, Patches(40, 1)), "do not fit an image 9 wide and 8 high"),
    Row("no patches", lambda: Patches(0, 2), "rows must be a whole number of at least 1"),
    Row("a box that leaves the image", lambda: Picture.of(PHOTO, Boxes([(0, 0, 99, 4)])), "is empty or leaves the image"),
    Row("a box in fractions", lambda: Picture.of(PHOTO, Boxes([(0.1, 0.1, 0.4, 0.4)])), "these look like fractions of it"),
    Row("a box of three numbers", lambda: Boxes([(0, 0, 2)]), "a box is four numbers"),
    Row("masks of another size", lambda: Picture.of(PHOTO, Masks(np.ones((1, 4, 4)))), "must have the same size"),
    Row("a mask without pixels", lambda: Picture.of(PHOTO, Masks(np.zeros((1, 8, 9)))), "holds no pixel of the image"),
    Row("SAM's masks, compressed", lambda: Masks([{"segmentation": {"size": [8, 9], "counts": "a"}}]), "decode it first"),
    Row(
        "a cutter of images that returns nothing",
        lambda: Picture.of(PHOTO, lambda pixels: None),
        "returns masks of the shape (k, h, w); it returned None",
        TypeError,
    ),
    Row(
        "a class where a cutter is meant",
        lambda: Picture.of(PHOTO, Patches),
        "The image granularity must be Patches",
        TypeError,
    ),
    Row(
        "single patches dropped",
        lambda: Picture.of(PHOTO, None, DropImage()),
        "leaves out whole images, and this one is cut into 16",
    ),
    Row("an unknown colour", lambda: Fill("octarine"), "unknown colour"),
    Row("a radius of nothing", lambda: Blur(0), "a positive number of pixels; got 0"),
    Row("an empty clip", lambda: clip(np.zeros(0)), "The recording is empty"),
    Row(
        "samples as whole numbers", lambda: clip(np.ones(9, dtype=np.int64)), "Samples are floats from -1 to 1, int16 or int32"
    ),
    Row("samples above full scale", lambda: clip(np.full(9, 300.0)), "divide 16-bit samples by 32768"),
    Row("samples that are no numbers", lambda: clip(np.full(9, np.nan)), "the largest of these is nan"),
    Row("a rate of nothing", lambda: clip((WAVE, 0)), "A sampling rate is a positive number"),
    Row("a mapping without samples", lambda: clip({"rate": 8000}), "A recording as a mapping is"),
    Row(
        "a cutter of clips that returns nothing",
        lambda: clip(WAVE, lambda samples, rate: None),
        "returns a list of (start, end), in whole samples; it returned None",
        TypeError,
    ),
    Row("a segment that leaves the clip", lambda: clip(WAVE, lambda samples, rate: [(0, 900)]), "is empty or leaves the clip"),
    Row("windows shorter than a sample", lambda: clip(WAVE, Windows(0.01)), "are shorter than a sample"),
    Row("words out of order", lambda: SpokenWords([("a", 1.0, 2.0), ("b", 0.0, 1.0)]), "starts before the previous word ends"),
    Row("words after the end", lambda: clip(WAVE, SpokenWords([("a", 0.0, 3.0)])), "ends at 3 s, but the clip is 0.1 s long"),
    Row(
        "a clip longer than the processor reads",
        lambda: heard(np.zeros(40_000, dtype=np.float32)),
        "WhisperProcessor uses only its first",
    ),
    Row(
        "a clip shorter than a model's window", lambda: heard(np.full(40, 0.1, dtype=np.float32), "wav2vec2"), "is shorter than"
    ),
    Row(
        "no pixels allowed for a server",
        lambda: RemoteModel("http://localhost/v1", "a", max_pixels=0),
        "max_pixels must be a whole number of pixels",
    ),
    Row(
        "a chat for a model of images",
        lambda: KernelShap(family("vit").model, family("vit").processor)(CHAT, 0),
        "This model reads no text: give",
        TypeError,
    ),
    Row("a missing video file", lambda: Video.of("nowhere.mp4"), "There is no video file at nowhere.mp4", FileNotFoundError),
    Row("the address of a video", lambda: Video.of("https://example.org/a.mp4"), "Nothing is downloaded: save the video at"),
    Row("a text as a video file", lambda: Video.of(b"no video at all"), "is not a video that can be read"),
    Row("a sound as a video file", lambda: Video.of(recording()), "holds no video, only audio"),
    Row("a video in an unknown format", lambda: Video.of(film(4, "mp4").replace(b"avc1", b"what")), "PyAV has no decoder for"),
    Row("a video file without frames", lambda: Video.of(film(0, "avi")), "without frames"),
    Row("a video file that was cut off", lambda: Video.of(film(30)[:-1500]), "was cut off"),
    Row("a video of no frames", lambda: Video.of([]), "The video has no frames"),
    Row("one frame as a video", lambda: Video.of(PHOTO), "one frame is frames[None]"),
    Row("frames of several sizes", lambda: Video.of([PHOTO, FILM[0]]), "The frames of a video have one size"),
    Row("a number as a video", lambda: Video.of(5), "Cannot read a video from int", TypeError),
    Row(
        "times that go back",
        lambda: Video.of({"frames": FILM, "times": [0.0, 2.0, 1.0]}),
        "a number of seconds for each of its 3 frames, each later than the one before",
    ),
    Row("a video at no frames per second", lambda: Video.of({"frames": FILM, "fps": 0}), "fps of a video is a positive number"),
    Row(
        "two wishes for the frames of a file",
        lambda: Video.of({"path": "a.mp4", "fps": 1, "num_frames": 4}),
        "Give num_frames or fps of a video file, not both",
    ),
    Row(
        "parts of frames left out",
        lambda: Video.of({"frames": FILM, "fps": 1}, Tubes(2, 2), DropFrames()),
        "DropFrames() leaves out whole frames",
    ),
    Row(
        "an occlusion of images alone for a video",
        lambda: Video.of({"frames": FILM, "fps": 1}, None, DropImage()),
        "The video occlusion must be Fill(...)",
        TypeError,
    ),
    Row(
        "a span that leaves the video", lambda: Video.of({"frames": FILM, "fps": 1}, lambda f, t: [(0, 9)]), "leaves the video"
    ),
    Row(
        "a video for a model of texts and images",
        lambda: KernelShap(family("llava").model, family("llava").processor)(watched(), ANSWER),
        "has a part of the type video, which LlavaProcessor does not read",
    ),
    Row(
        "an image beside a video for SmolVLM2",
        lambda: KernelShap(family("smolvlm").model, family("smolvlm").processor)(watched(PART), ANSWER),
        "loses the images of a prompt that has videos",
    ),
]
