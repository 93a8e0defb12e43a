"""Clips: read at the model's rate and never silently changed, cut as asked, and rendered sample by sample."""

from __future__ import annotations

import cmath
import itertools
import json
import logging
import math
import sys

import numpy as np
import pytest
import torch

from interpreto_mllm import Clip, CutOut, MeanLevel, Mute, SplitOnSilence, SpokenWords, WhiteNoise, WholeClip, Windows
from interpreto_mllm.media import AudioGranularity, AudioOcclusion

RNG = np.random.default_rng(0)
RATE = 1000
WAVE = (RNG.standard_normal(1100) * 0.2).astype(np.float32)
GRANULARITIES: dict[str, AudioGranularity] = {
    "windows": Windows(250),
    "silences": SplitOnSilence(),
    "words": SpokenWords([("a", 0.1, 0.3), ("b", 0.3, 0.5), ("c", 0.9, 1.15)]),
    "refined": SpokenWords([("a", 0.1, 0.3), ("b", 0.35, 0.5)], refine=True),
    "whole": WholeClip(),
}
OCCLUSIONS: dict[str, AudioOcclusion] = {
    "silence": Mute(),
    "noise": WhiteNoise(3, 0.5),
    "mean": MeanLevel(),
    "cut": CutOut(),
}


def states(k: int):
    return [np.array(state) for state in itertools.product([False, True], repeat=k)]


def slow(clip: Clip, state: np.ndarray, hidden: np.ndarray | None) -> list[float] | None:
    heard = []
    for index, sample in enumerate(clip.samples.tolist()):
        covering = [k for k, (start, end) in enumerate(clip.segments) if start <= index < end]
        if not covering or any(state[k] for k in covering):
            heard.append(sample)
        elif hidden is not None:
            heard.append(float(hidden[index]))
    return heard or None


@pytest.mark.parametrize("granularity", GRANULARITIES)
@pytest.mark.parametrize("occlusion", OCCLUSIONS)
def test_every_state_is_rendered_sample_by_sample(granularity, occlusion):
    clip = Clip.of(WAVE, RATE, GRANULARITIES[granularity], OCCLUSIONS[occlusion])
    hidden = OCCLUSIONS[occlusion].counterpart(WAVE)
    for state in states(len(clip.labels)):
        rendered = clip.render(state)
        assert (None if rendered is None else rendered.tolist()) == slow(clip, state, hidden)


def test_overlapping_segments_and_keys():
    def overlapping(samples, rate):
        return [(0, 600), (200, 400), (500, 900)]

    alike = np.zeros(1100, dtype=np.float32)
    alike[500:600] = 0.5
    for samples, occlusion in itertools.product((WAVE, alike, alike * 0), OCCLUSIONS.values()):
        clip = Clip.of(samples, RATE, overlapping, occlusion)
        rendered = {state.tobytes(): clip.render(state) for state in states(3)}
        for state in states(3):
            heard = rendered[state.tobytes()]
            assert (None if heard is None else heard.tolist()) == slow(clip, state, occlusion.counterpart(samples))
        for one, two in itertools.combinations(states(3), 2):
            a, b = rendered[one.tobytes()], rendered[two.tobytes()]
            assert (clip.key(one) == clip.key(two)) == np.array_equal(a, b)  # type: ignore[arg-type]


def test_cutting_everything_out_leaves_no_clip():
    clip = Clip.of(WAVE, RATE, Windows(250), CutOut())
    assert clip.render(np.zeros(len(clip.labels), dtype=bool)) is None
    assert clip.key(np.zeros(len(clip.labels), dtype=bool)) != clip.key(np.ones(len(clip.labels), dtype=bool))


def test_noise_is_seeded_and_as_loud_as_asked():
    one, again, other = WhiteNoise(1).counterpart(WAVE), WhiteNoise(1).counterpart(WAVE), WhiteNoise(2).counterpart(WAVE)
    assert (one == again).all() and (one != other).any()
    assert math.isclose(np.sqrt((one**2).mean()), np.sqrt((WAVE**2).mean()), rel_tol=0.1)
    assert np.isclose(MeanLevel().counterpart(WAVE), sum(WAVE.tolist()) / len(WAVE)).all()


@pytest.mark.parametrize("length, milliseconds", [(1100, 250), (1000, 250), (10, 3), (44_100, 333.3), (5, 100)])
def test_windows_partition_the_clip_evenly(length, milliseconds):
    segments = Windows(milliseconds)(np.zeros(length, dtype=np.float32), RATE)
    assert [start for start, _ in segments] == [0, *[end for _, end in segments[:-1]]] and segments[-1][1] == length
    size = milliseconds * RATE / 1000
    assert all(abs(end - start - size) <= 1 for start, end in segments[:-1])
    last = segments[-1][1] - segments[-1][0]
    assert len(segments) == 1 or size / 2 - 1 <= last <= size * 1.5 + 1


def test_silences_are_found_by_loudness_and_cut_in_the_middle():
    rate = 8000
    loud = np.sin(np.arange(8000) * 0.3).astype(np.float32)
    loud[1600:2400] *= 0.001  # 100 ms, 60 dB down: a pause
    loud[4000:4640] *= 0.001  # 80 ms: too short
    loud[6000:6800] *= 0.1  # 20 dB down: not quiet enough
    assert SplitOnSilence()(loud, rate) == [(0, 2000), (2000, 8000)]
    assert SplitOnSilence(pause=70)(loud, rate) == [(0, 2000), (2000, 4320), (4320, 8000)]
    assert [cut for _, cut in SplitOnSilence(decibels=15, pause=70)(loud, rate)] == [2000, 4320, 6400, 8000]
    edges = np.concatenate([np.zeros(1600), loud, np.zeros(1600)]).astype(np.float32)
    assert SplitOnSilence()(edges, rate) == [(0, 3600), (3600, 11200)]
    for flat in (np.zeros(900, dtype=np.float32), np.ones(900, dtype=np.float32)):
        assert SplitOnSilence()(flat, rate) == [(0, 900)]


def naive_flux(samples: np.ndarray, rate: int, time: int) -> float:
    """Fourier sums written out."""
    width = round(0.02 * rate)

    def sample(index: int) -> float:
        return float(samples[index]) if 0 <= index < len(samples) else 0.0

    def loudness(sign: int, k: int) -> float:
        total = 0j
        for i in range(width):
            index = time + i if sign > 0 else time - 1 - i
            weight = math.cos(math.pi / 2 * i / width) ** 2
            total += sample(index) * weight * cmath.exp(-2j * math.pi * k * index / width)
        return math.sqrt(abs(total))

    bins = range(width // 2 + 1)
    return sum(abs(loudness(1, k) - loudness(-1, k)) for k in bins) / len(bins)


def test_refined_boundaries_are_where_the_spectrum_changes_most():
    given = [("a", 0.1, 0.3), ("b", 0.35, 0.5)]
    refined = Clip.of(WAVE, RATE, SpokenWords(given, refine=True, reach=20))
    edges = [100, 300, 350, 500]
    bounds = [(80, 120), (280, 320), (330, 370), (480, 520)]
    best = [max(range(low, high + 1), key=lambda time: naive_flux(WAVE, RATE, time)) for low, high in bounds]
    assert [edge for segment in refined.segments for edge in segment] == best != edges
    assert refined.labels == ("a", "b")


@pytest.mark.parametrize("off", [-0.045, -0.02, 0.0, 0.03, 0.049])
def test_refined_boundaries_find_the_true_ones(off):
    rate, time = 16_000, np.arange(16_000) / 16_000
    vowels = [sum(np.sin(2 * np.pi * pitch * k * time) / k for k in range(1, 9)) for pitch in (110, 160)]
    speech = np.where(time < 0.2, 0, np.where(time < 0.5, vowels[0], np.where(time < 0.7, vowels[1], 0))) * 0.2
    speech = speech + RNG.standard_normal(16_000) * 0.001
    words = SpokenWords([("one", 0.2 + off, 0.5 - off), ("two", 0.5 - off, 0.7 + off)], refine=True)
    [(a, b), (c, d)] = words(speech.astype(np.float32), rate)
    assert b == c
    assert np.abs(np.array([a, b, d]) / rate - [0.2, 0.5, 0.7]).max() <= 0.006


def test_refined_boundaries_keep_their_order_and_silence_moves_nothing():
    close = [("a", 0.1, 0.11), ("b", 0.112, 0.115), ("c", 0.115, 0.9)]
    [(a, b), (c, d), (e, f)] = SpokenWords(close, refine=True)(WAVE, RATE)
    assert 0 < a < b < c < d == e < f
    silent = np.zeros(1000, dtype=np.float32)
    assert SpokenWords(close, refine=True)(silent, RATE) == SpokenWords(close)(silent, RATE)
    assert SpokenWords([("all", 0.0, 1.0)], refine=True)(silent, RATE) == [(0, 1000)]


def test_features_know_clip_time_segment_role_and_turn():
    [first, second] = Clip.of(WAVE, RATE, SpokenWords([("hey", 0.1, 0.3), ("you", 0.3, 0.55)])).features(1, "user", 2)
    assert (first.text, first.modality, first.pieces, first.time) == ("hey", "audio", ((1, 0),), (0.1, 0.3))
    assert (second.text, second.role, second.turn, second.time) == ("you", "user", 2, (0.3, 0.55))
    assert Clip.of(WAVE, RATE, WholeClip()).labels == ("clip",)
    assert Clip.of(WAVE, RATE, Windows(600)).labels == ("0.00–0.60 s", "0.60–1.10 s")


def samples_of(given, rate: int = RATE) -> np.ndarray:
    return Clip.of(given, rate, WholeClip()).samples


def test_every_form_of_a_recording_is_read(tmp_path, caplog):
    soundfile = pytest.importorskip("soundfile")
    soundfile.write(tmp_path / "clip.wav", WAVE, RATE, subtype="FLOAT")
    soundfile.write(tmp_path / "clip.flac", WAVE, RATE)
    with caplog.at_level(logging.INFO):
        for form in (
            WAVE,
            WAVE.astype(np.float64),
            WAVE.tolist(),
            WAVE[None],
            WAVE[:, None],
            torch.from_numpy(WAVE),
            {"array": WAVE, "sampling_rate": RATE, "path": None},
            {"array": torch.from_numpy(WAVE), "sampling_rate": float(RATE)},
            tmp_path / "clip.wav",
            str(tmp_path / "clip.wav"),
            (tmp_path / "clip.wav").as_uri(),
        ):
            assert (samples_of(form) == WAVE).all()
        assert np.abs(samples_of(tmp_path / "clip.flac") - WAVE).max() < 1e-4
        shorts = np.array([-32768, 0, 16384], dtype=np.int16)
        assert samples_of(shorts).tolist() == [-1.0, 0.0, 0.5]
        assert samples_of(shorts.astype(np.int32) * 65536).tolist() == [-1.0, 0.0, 0.5]
    assert caplog.records == []


def test_channels_are_averaged_and_it_is_said(caplog):
    stereo = np.stack([WAVE, WAVE[::-1]])
    mean = [(a + b) / 2 for a, b in zip(WAVE.tolist(), WAVE[::-1].tolist(), strict=True)]
    for form in (stereo, stereo.T, torch.from_numpy(stereo)):
        caplog.clear()
        assert np.allclose(samples_of(form), mean, atol=1e-7)
        assert "2 channels: explaining their mean" in caplog.text


@pytest.mark.parametrize("own", [8000, 22_050, 44_100])
def test_other_rates_are_resampled_and_it_is_said(own, caplog):
    pytest.importorskip("soxr")
    wave = 0.5 * np.sin(2 * np.pi * 440 * np.arange(own) / own)
    resampled = samples_of({"array": wave, "sampling_rate": own}, 16_000)
    assert f"{own} samples per second, the model wants 16000: resampled" in caplog.text
    assert abs(len(resampled) - 16_000) <= 1
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)
    assert np.abs(resampled - expected)[500:-500].max() < 2e-3


def test_a_clip_is_taken_as_it_is_at_its_own_rate_only():
    clip = Clip.of(WAVE, RATE)
    assert Clip.of(clip, RATE) is clip
    with pytest.raises(ValueError, match="read at 1000 samples per second, the model wants 16000"):
        Clip.of(clip, 16_000)


@pytest.mark.parametrize(
    "given, error, words",
    [
        (np.zeros(0), ValueError, "recording is empty"),
        (np.zeros((2, 0)), ValueError, "recording is empty"),
        (np.full(9, 3000.0), ValueError, "the largest of these is 3000: divide 16-bit samples by 32768"),
        (np.full(9, np.nan), ValueError, "the largest of these is nan"),
        (np.full(9, np.inf), ValueError, "infinite"),
        (np.zeros(9, dtype=np.uint8), ValueError, "got uint8"),
        (np.zeros((3, 4)), ValueError, "at most 8 channels"),
        (np.zeros((2, 99, 2)), ValueError, "at most 8 channels"),
        ({"array": WAVE}, ValueError, r"this one has \['array'\]"),
        ({"array": WAVE, "sampling_rate": 0}, ValueError, "positive number of samples per second; got 0"),
        ({"array": WAVE, "sampling_rate": "16k"}, ValueError, "got '16k'"),
        ("nowhere.wav", FileNotFoundError, "no audio file at nowhere.wav"),
        ("https://example.org/a.wav", ValueError, "Nothing is downloaded"),
        (b"RIFF", ValueError, "The recording is not a recording that can be read"),
        (None, TypeError, "Cannot read a recording from NoneType"),
    ],
)
def test_what_cannot_be_read_is_told(given, error, words):
    with pytest.raises(error, match=words):
        Clip.of(given, RATE)


def test_corrupt_files_are_told(tmp_path):
    pytest.importorskip("soundfile")
    (tmp_path / "text.wav").write_text("no recording")
    with pytest.raises(ValueError, match=r"text\.wav is not a recording"):
        Clip.of(tmp_path / "text.wav", RATE)


@pytest.mark.parametrize(
    "make, error, words",
    [
        (lambda: Windows(0), ValueError, "must be a positive number; got 0"),
        (lambda: Clip.of(WAVE, RATE, Windows(0.5)), ValueError, "shorter than a sample"),
        (lambda: SplitOnSilence(pause=-1), ValueError, "pause must be a positive number"),
        (lambda: SpokenWords([]), ValueError, "there are no words"),
        (lambda: SpokenWords([("a", 0.2, 0.2)]), ValueError, "'a' from 0.2 to 0.2 s is empty"),
        (
            lambda: SpokenWords([("a", 0.2, 0.5), ("b", 0.4, 0.6)]),
            ValueError,
            "'b' from 0.4 .* starts before the previous word ends, at 0.5 s",
        ),
        (lambda: Clip.of(WAVE, RATE, SpokenWords([("a", 0.2, 1.3)])), ValueError, "ends at 1.3 s, but the clip is 1.1 s long"),
        (lambda: Clip.of(WAVE, RATE, lambda samples, rate: [(5, 5)]), ValueError, "is empty or leaves the clip"),
        (lambda: Clip.of(WAVE, RATE, lambda samples, rate: []), ValueError, "needs a segment"),
        (lambda: Clip.of(WAVE, RATE, "words"), TypeError, "must be Windows"),  # type: ignore[arg-type]
        (lambda: Clip.of(WAVE, RATE, Windows(100), "silence"), TypeError, "must be Mute"),  # type: ignore[arg-type]
        (lambda: WhiteNoise(level=0), ValueError, "positive multiple"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_cuts_and_occlusions_that_cannot_work_are_told(make, error, words):
    with pytest.raises(error, match=words):
        make()


@pytest.mark.parametrize("granularity", GRANULARITIES)
@pytest.mark.parametrize("occlusion", OCCLUSIONS)
def test_data_gives_back_the_same_clip(granularity, occlusion):
    clip = Clip.of(WAVE, RATE, GRANULARITIES[granularity], OCCLUSIONS[occlusion])
    again = Clip.from_data(json.loads(json.dumps(clip.to_data())))
    assert (again.samples == clip.samples).all() and again.samples.dtype == np.float32
    assert (again.rate, again.segments, again.labels) == (clip.rate, clip.segments, clip.labels)
    assert again.occlusion == clip.occlusion
    assert all(np.array_equal(again.render(s), clip.render(s)) for s in states(len(clip.labels)))  # type: ignore[arg-type]


def test_missing_libraries_name_the_extra(tmp_path, monkeypatch):
    (tmp_path / "clip.wav").write_bytes(b"")
    for name, given in (("soundfile", tmp_path / "clip.wav"), ("soxr", {"array": WAVE, "sampling_rate": 8000})):
        monkeypatch.setitem(sys.modules, name, None)
        with pytest.raises(ImportError, match=r"pip install interpreto_mllm\[audio\]"):
            Clip.of(given, RATE)
