"""Images and clips in chats with a server: what it is sent for each coalition is what the local occlusions leave."""

from __future__ import annotations

import base64
import io
import itertools
import logging
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from support.misbehaving import Told, misbehaving
from support.server import Server

from interpreto_mllm import Attribution, ExactShapley, Granularity, Plan, RemoteModel, ResponseSimilarity
from interpreto_mllm.adapters.remote.requests import RemoteError
from interpreto_mllm.media import (
    CutOut,
    DropFrames,
    DropImage,
    Fill,
    Frames,
    Mute,
    Patches,
    ReplaceImage,
    Video,
    WhiteNoise,
    WholeImage,
    Windows,
)
from interpreto_mllm.similarity import TfIdf

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
SAMPLES = np.random.default_rng(1).uniform(-1.2, 1.2, 1600).astype(np.float32)
RATE = 8000
OPTIONS: dict[str, Any] = {
    "inference_mode": ResponseSimilarity(similarity=TfIdf()),
    "granularity": Granularity.TURN,
    "progress": False,
    "image_granularity": Patches(1, 2),
    "audio_granularity": Windows(100),
}


@pytest.fixture
def server() -> Iterator[Server]:
    served = Server()
    yield served
    served.stop()


def image(part: dict[str, Any]) -> np.ndarray:
    assert part["type"] == "image_url"
    kind, data = part["image_url"]["url"].split(",")
    assert kind == "data:image/png;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))


def sound(part: dict[str, Any]) -> np.ndarray:
    assert part["type"] == "input_audio" and part["input_audio"]["format"] == "wav"
    with wave.open(io.BytesIO(base64.b64decode(part["input_audio"]["data"]))) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, RATE)
        return np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")


def frames(part: dict[str, Any]) -> Video:
    assert part["type"] == "video_url"
    kind, data = part["video_url"]["url"].split(",")
    assert kind == "data:video/mp4;base64"
    return Video.of(base64.b64decode(data), Frames())


def as_sent(samples: np.ndarray) -> np.ndarray:
    return np.clip(np.round(samples * 32768), -32768, 32767).astype(np.int16)


def sent(server: Server, messages: list[dict], **options: Any) -> dict[tuple[bool, ...], list[dict]]:
    """What the server was sent for each coalition."""
    remote = RemoteModel(server.url, "m", sampling_rate=RATE)
    game = ExactShapley(remote, **{**OPTIONS, **options}).game(messages, "1")
    told = {}
    for row in itertools.product([False, True], repeat=game.n):
        game(torch.tensor([row]))
        told[row] = server.asked[-1]["messages"]
    assert len(server.asked) == len(told)
    return told


def seen(left: bool, right: bool, other: np.ndarray) -> np.ndarray:
    """The picture with the halves that are there, the other elsewhere."""
    pixels = other.copy()
    pixels[:, :4] = PIXELS[:, :4] if left else pixels[:, :4]
    pixels[:, 4:] = PIXELS[:, 4:] if right else pixels[:, 4:]
    return pixels


@pytest.mark.parametrize(
    "occlusion, other",
    [
        (None, np.broadcast_to(PIXELS.reshape(-1, 3).mean(0).round().astype(np.uint8), PIXELS.shape)),
        (Fill("red"), np.broadcast_to(np.uint8([255, 0, 0]), PIXELS.shape)),
        (ReplaceImage(PIXELS[::-1]), PIXELS[::-1]),
    ],
)
def test_an_image_is_sent_with_the_pieces_that_are_there(server: Server, occlusion: Any, other: np.ndarray) -> None:
    parts = [{"type": "text", "text": "Look:"}, {"type": "image", "image": PIXELS}, {"type": "text", "text": "What is it?"}]
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": parts}]
    told = sent(server, messages, image_occlusion=occlusion)
    assert len(told) == 16
    for (left, right, before, after), [system, user] in told.items():
        assert system == messages[0]
        texts = [part["text"] for part in user["content"] if part["type"] == "text"]
        assert texts == ["Look:"] * before + ["What is it?"] * after
        assert user["content"].index(next(p for p in user["content"] if p["type"] == "image_url")) == int(before)
        np.testing.assert_array_equal(image(user["content"][before]), seen(left, right, other))


def test_a_dropped_image_is_no_part_of_the_message(server: Server) -> None:
    first, second = PIXELS, PIXELS[:, ::-1]
    turns = [
        {"role": "user", "content": [{"type": "image", "image": first}, {"type": "text", "text": "This?"}]},
        {"role": "assistant", "content": "No."},
        {"role": "user", "content": [{"type": "image", "image": second}]},
    ]
    told = sent(server, turns, image_granularity=WholeImage(), image_occlusion=DropImage())
    assert len(told) == 8
    for (one, two, text), [asked, answered, again] in told.items():
        wanted = [first] * one
        parts = asked["content"] or []
        assert [part["type"] for part in parts] == ["image_url"] * one + ["text"] * text
        assert asked["content"] != [] and answered == turns[1]
        for part, pixels in zip(parts, wanted, strict=False):
            np.testing.assert_array_equal(image(part), pixels)
        if two:
            np.testing.assert_array_equal(image(again["content"][0]), second)
        else:
            assert again["content"] == ""


@pytest.mark.parametrize("occlusion", [Mute(), WhiteNoise(seed=3), CutOut()])
def test_a_clip_is_sent_with_the_stretches_that_are_there(server: Server, occlusion: Any) -> None:
    clip = {"type": "audio", "audio": {"array": SAMPLES, "sampling_rate": RATE}}
    told = sent(server, [{"role": "user", "content": [{"type": "text", "text": "Hear:"}, clip]}], audio_occlusion=occlusion)
    assert len(told) == 8
    full = as_sent(SAMPLES)
    for (first, last, text), [user] in told.items():
        parts = user["content"] or []
        assert [part["type"] for part in parts][:1] == ["text"] * text or not text
        heard = [sound(part) for part in parts if part["type"] == "input_audio"]
        if isinstance(occlusion, CutOut):
            wanted = np.concatenate([full[:800] if first else full[:0], full[800:] if last else full[:0]])
            assert len(heard) == (1 if len(wanted) else 0)
            np.testing.assert_array_equal(heard[0] if heard else wanted, wanted)
            continue
        [samples] = heard
        for there, stretch in ((first, slice(0, 800)), (last, slice(800, 1600))):
            if there:
                np.testing.assert_array_equal(samples[stretch], full[stretch])
            else:
                np.testing.assert_array_equal(samples[stretch], as_sent(occlusion.counterpart(SAMPLES))[stretch])


def test_results_keep_the_images_and_nothing_of_the_key(
    server: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    secret = "sk-very-secret-9876543210"
    remote = RemoteModel(server.url, "m", api_key=secret, sampling_rate=RATE)
    clip = {"type": "audio", "audio": {"array": SAMPLES, "sampling_rate": RATE}}
    parts = [{"type": "image", "image": PIXELS}, clip, {"type": "text", "text": "What?"}]
    explainer = ExactShapley(remote, **OPTIONS)
    with caplog.at_level(logging.DEBUG):
        [result] = explainer([{"role": "user", "content": parts}])
    result.save(tmp_path / "result.json")
    result.to_html(tmp_path / "result.html")
    again = Attribution.load(tmp_path / "result.json")
    assert [medium.modality for medium in again.media] == ["image", "audio"]
    assert [feature.modality for feature in again.features] == ["image", "image", "audio", "audio", "text"]
    assert server.keys == {f"Bearer {secret}"}
    for text in (caplog.text, repr(result), repr(explainer), *(file.read_text("utf-8") for file in tmp_path.iterdir())):
        assert secret not in text
    assert caplog.text


def test_a_plan_guesses_what_images_and_clips_take() -> None:
    clip = {"type": "audio", "audio": {"array": SAMPLES, "sampling_rate": RATE}}
    parts = [{"type": "image", "image": np.zeros((57, 28), dtype=np.uint8)}, clip]
    remote = RemoteModel("http://127.0.0.1:9/v1", "m", sampling_rate=RATE)
    plan = ExactShapley(remote, **OPTIONS).plan([{"role": "user", "content": parts}])
    assert plan == Plan(16, 16, 16 * (2 + 3 + 5), 16 * 32)


@pytest.mark.parametrize(
    "inputs, words",
    [
        ({"text": "a", "images": PIXELS}, "as parts of a chat"),
        (Image.fromarray(PIXELS), "as parts of a chat"),
        ([{"role": "user", "content": [{"type": "smell", "smell": 1}]}], "parts are of the type text, image, audio"),
        ([{"role": "user", "content": [{"type": "image", "image": "https://example.org/a.png"}]}], "Nothing is downloaded"),
    ],
)
def test_what_cannot_be_sent_is_refused_before_asking(inputs: Any, words: str) -> None:
    with pytest.raises((TypeError, ValueError), match=words):
        ExactShapley(RemoteModel("http://127.0.0.1:9/v1", "m"), **OPTIONS)(inputs, "x")


def test_a_video_is_sent_as_what_is_left_of_it(server: Server) -> None:
    """Each frame by itself, at its time; where no frame is left, the message is without it."""
    film = np.random.default_rng(0).integers(0, 256, (3, 4, 6, 3), dtype=np.uint8).repeat(8, 1).repeat(8, 2)
    part = {"type": "video_url", "video_url": {"frames": film, "times": [0.0, 0.5, 2.0]}}
    messages = [{"role": "user", "content": [part, {"type": "text", "text": "What happens?"}]}]
    for occlusion in (Fill("red"), DropFrames("kept")):
        pinned = {"pinned": lambda feature: feature.modality == "text"}
        told = sent(server, messages, video_granularity=Frames(), video_occlusion=occlusion, **pinned)
        server.asked.clear()
        assert len(told) == 8
        for row, [message] in told.items():
            kept = [0, 1, 2] if isinstance(occlusion, Fill) else np.flatnonzero(row).tolist()
            if not kept:
                assert message["content"] == [{"type": "text", "text": "What happens?"}]
                continue
            expected = np.stack([film[n] if row[n] else np.full_like(film[n], (255, 0, 0)) for n in kept])
            video, times = frames(message["content"][0]), np.array([0.0, 0.5, 2.0])[kept]
            assert np.abs(video.footage.frames.astype(int) - expected).mean() < 2
            np.testing.assert_allclose(video.footage.times, times - times[0], atol=2e-3)


def test_a_server_that_takes_no_videos_says_so() -> None:
    part = {"type": "video", "video": {"frames": np.zeros((2, 16, 16, 3)), "fps": 1}}
    messages = [{"role": "user", "content": [part, {"type": "text", "text": "What happens?"}]}]
    refusal = Told({"error": {"message": "Invalid value: 'video_url'."}}, 400)
    with misbehaving(lambda number, path, body: refusal) as served:
        explainer = ExactShapley(RemoteModel(served.url, "m"), **{**OPTIONS, "video_granularity": Frames()})
        with pytest.raises(RemoteError, match=r"Invalid value: 'video_url'.*which only some servers and models take"):
            explainer(messages, "1")
