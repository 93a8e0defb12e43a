"""Images and recordings as people have them: bytes, open files, base64, data URLs, what other libraries wrap around them."""

from __future__ import annotations

import base64
import contextlib
import io
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from interpreto_mllm import Clip, Patches, Picture, SpokenWords, Windows

PHOTO = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
RATE = 8000
WAVE = (np.random.default_rng(1).uniform(-0.5, 0.5, 4000) * 32768).round() / 32768
RUN = pytest.mark.usefixtures("unchecked")


def png() -> bytes:
    file = io.BytesIO()
    Image.fromarray(PHOTO).save(file, "PNG")
    return file.getvalue()


def wav(kept: int | None = None) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as recording:
        recording.setparams((1, 2, RATE, 0, "NONE", ""))
        recording.writeframes((WAVE * 32768).astype("<i2").tobytes())
    return file.getvalue()[:kept]


def closed_after(given: Any) -> Any:
    """A context that closes what can be closed."""
    return contextlib.closing(given) if hasattr(given, "close") else contextlib.nullcontext(given)


FORMS = {
    "bytes": lambda content, path: content,
    "a file in memory": lambda content, path: io.BytesIO(content),
    "an open file": lambda content, path: path.open("rb"),
    "base64": lambda content, path: base64.b64encode(content).decode(),
    "base64 in lines": lambda content, path: base64.encodebytes(content).decode(),
    "base64 for addresses": lambda content, path: base64.urlsafe_b64encode(content).decode().rstrip("="),
    "a data URL": lambda content, path: f"data:x/y;base64,{base64.b64encode(content).decode()}",
    "a row of a data set": lambda content, path: {"bytes": content, "path": None},
    "the name of one": lambda content, path: {"bytes": None, "path": str(path)},
    "a part of a protocol": lambda content, path: {"data": base64.b64encode(content).decode(), "format": "wav"},
    "an address in one": lambda content, path: {"url": f"data:x/y;base64,{base64.b64encode(content).decode()}"},
    "a file address": lambda content, path: path.as_uri(),
}


@pytest.mark.parametrize("form", FORMS)
def test_files_in_every_form(form: str, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png())
    with closed_after(FORMS[form](png(), tmp_path / "a.png")) as given:
        assert (np.asarray(Picture.of(given).image) == PHOTO).all()
    pytest.importorskip("soundfile")
    (tmp_path / "a.wav").write_bytes(wav())
    with closed_after(FORMS[form](wav(), tmp_path / "a.wav")) as given:
        assert (Clip.of(given, RATE).samples == WAVE.astype(np.float32)).all()


def test_an_open_file_is_left_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"head" + png())
    with (tmp_path / "a.png").open("rb") as file:
        file.seek(4)
        for _ in range(2):
            assert (np.asarray(Picture.of(file).image) == PHOTO).all()
            assert file.tell() == 4 and not file.closed


@pytest.mark.parametrize(
    "given",
    [
        (WAVE.astype(np.float32), RATE),
        (RATE, WAVE.astype(np.float32)),
        (WAVE, np.int64(RATE)),
        {"raw": WAVE, "sampling_rate": RATE},
        {"array": WAVE.tolist(), "sampling_rate": float(RATE)},
    ],
)
@RUN
def test_samples_with_their_rate(given: Any) -> None:
    assert (Clip.of(given, RATE).samples == WAVE.astype(np.float32)).all()


def test_two_samples_are_no_pair_of_samples_and_rate() -> None:
    assert Clip.of([0.25, 0.5], RATE, Windows(0.125)).samples.tolist() == [0.25, 0.5]


def test_recordings_that_were_cut_off(tmp_path: Path) -> None:
    soundfile = pytest.importorskip("soundfile")
    with pytest.raises(ValueError, match=r"was cut off: 0\.06 s of 0\.50 s are there\. Give the whole file"):
        Clip.of(wav(1004), RATE)
    soundfile.write(tmp_path / "a.flac", np.random.default_rng(0).uniform(-1, 1, 40000), RATE)
    (tmp_path / "a.flac").write_bytes((tmp_path / "a.flac").read_bytes()[:30000])
    with pytest.raises(ValueError, match=r"was cut off|can be read: .*lost sync"):
        Clip.of(tmp_path / "a.flac", RATE)
    streamed = bytearray(wav())
    streamed[40:44] = b"\xff\xff\xff\xff"  # a length that was not known when the header was written
    assert len(Clip.of(bytes(streamed), RATE).samples) == len(WAVE)


def test_of_several_frames_or_pages_one_is_read_with_a_note() -> None:
    frames = [Image.fromarray(PHOTO), Image.fromarray(255 - PHOTO)]
    for kind, noun in (("GIF", "frame"), ("TIFF", "page"), ("WEBP", "frame")):
        file = io.BytesIO()
        frames[0].save(file, kind, save_all=True, append_images=frames[1:])
        picture = Picture.of(file.getvalue())
        assert picture.notes[0].startswith(f"{noun} 1 of 2 {noun}s is explained; to explain another")
    with Image.open(io.BytesIO(file.getvalue())) as given:
        given.seek(1)
        assert Picture.of(given).notes[0].startswith("frame 2 of 2")


LONG = base64.b64encode(b"no image at all " * 500).decode()
TOLD = {
    "base64 of something else": (LONG, "not an? (image|recording) that can be read"),
    "a data URL without data": ("data:image/png;base64", "cannot be decoded"),
    "a data URL that is no base64": (f"data:image/png;base64,{'é?' * 4000}", "cannot be decoded"),
    "a long name": ("photos/" * 2000 + "a.png", "There is no"),
    "a closed file": (closed := io.BytesIO(b"x"), "is closed: open it with"),
    "an empty file": (io.BytesIO(), "has nothing to read"),
    "a file open for text": (io.StringIO("text"), "is open for text"),
    "bytes": (b"\x00" * 5000, "not an? (image|recording) that can be read"),
    "a mapping": ({"pixels": LONG}, "Cannot read an image|this one has"),
}
closed.close()


@pytest.mark.parametrize("name", TOLD)
@pytest.mark.parametrize("read", [Picture.of, lambda given: Clip.of(given, RATE)])
@RUN
def test_what_cannot_be_read_is_told_without_its_content(name: str, read: Any) -> None:
    pytest.importorskip("soundfile")
    given, words = TOLD[name]
    with pytest.raises((ValueError, FileNotFoundError, TypeError), match=words) as raised:
        read(given)
    assert len(str(raised.value)) < 400


def test_words_whose_ends_are_open() -> None:
    said = SpokenWords([("a", None, 0.1), ("b", 0.1, None), ("c", 0.3, None)])
    assert Clip.of(WAVE, RATE, said).segments == ((0, 800), (800, 2400), (2400, 4000))
    recognised = [{"text": " a", "timestamp": (0.0, 0.2)}, {"text": " b", "timestamp": (0.2, None)}]
    clip = Clip.of(WAVE, RATE, SpokenWords(recognised))
    assert clip.labels == (" a", " b") and clip.segments == ((0, 1600), (1600, 4000))
    with pytest.raises(ValueError, match=r"'b' begins at 0\.6 s, but the clip is 0\.5 s long"):
        Clip.of(WAVE, RATE, SpokenWords([("a", 0.0, 0.2), ("b", 0.6, None)]))
    with pytest.raises(ValueError, match="is no word; a word is"):
        SpokenWords([("a", 0.0)])


@pytest.mark.parametrize("returned", [None, 7, [(0.5, 2)], [(0,)], "ab"])
@RUN
def test_granularities_that_return_something_else(returned: Any) -> None:
    with pytest.raises(TypeError, match="An audio granularity returns a list"):
        Clip.of(WAVE, RATE, lambda samples, rate: returned)
    with pytest.raises((TypeError, ValueError), match=r"[mM]ask"):
        Picture.of(PHOTO, lambda pixels: returned)


@RUN
def test_numbers_of_numpy() -> None:
    assert len(Picture.of(PHOTO, Patches(np.int64(2), np.int32(3))).labels) == 6
    assert len(Clip.of(WAVE, RATE, Windows(np.float32(250))).segments) == 2
