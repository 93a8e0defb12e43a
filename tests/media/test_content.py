"""Keys are made of content: the same in every process and for every copy, and different wherever the content is."""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import subprocess
import sys

import numpy as np
import pytest
import torch

from interpreto_mllm import Boxes, Clip, CutOut, DropImage, Fill, Patches, Picture, Windows
from interpreto_mllm.engine.decoding import draw_seed
from interpreto_mllm.media.encoded import Encoded
from interpreto_mllm.media.state import Medium, State
from interpreto_mllm.prompts.model_input import ModelInput

PHOTO = np.random.default_rng(0).integers(0, 256, (5, 8, 3), dtype=np.uint8)
WAVE = np.random.default_rng(1).uniform(-0.5, 0.5, 900).astype(np.float32)
PIXELS = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(2))


def encoded(pixels: torch.Tensor, pieces: tuple[int, ...] = (0, 1, 2), ids: tuple[int, ...] = (5, 6)) -> Encoded:
    return Encoded("image", {"pixel_values": pixels}, {"pixel_values": pieces}, {"input_ids": torch.tensor([ids])})


MEDIA = {
    "picture": lambda: Picture.of(PHOTO.copy(), Patches(1, 2)),
    "picture that is dropped": lambda: Picture.of(PHOTO.copy(), Boxes([(0, 0, 8, 5)]), DropImage()),
    "clip": lambda: Clip.of(WAVE.copy(), 1000, Windows(450)),
    "clip that is cut out": lambda: Clip.of(WAVE.copy(), 1000, Windows(450), CutOut()),
    "encoded": lambda: encoded(PIXELS.clone()),
}


@pytest.mark.parametrize("name", MEDIA)
def test_copies_share_their_keys(name: str) -> None:
    one, other = MEDIA[name](), MEDIA[name]()
    for present in map(np.array, itertools.product([False, True], repeat=len(one.labels))):
        assert State(one, present).key == State(other, present).key
        assert State(one, present).size == State(other, present).size


def test_equal_renderings_of_different_cuts_share_their_keys() -> None:
    plain, red = Picture.of(PHOTO), Picture.of(PHOTO, Patches(1, 2), Fill("red"))
    assert State.whole(plain).key == State.whole(red).key
    assert State.whole(Clip.of(WAVE, 1000)).key == State.whole(Clip.of(WAVE, 1000, Windows(100), CutOut())).key


def test_different_content_never_shares_a_key() -> None:
    one_pixel = PHOTO.copy()
    one_pixel[4, 7, 2] ^= 1
    one_sample = WAVE.copy()
    one_sample[-1] += 2**-20
    media: list[Medium] = [
        Picture.of(PHOTO),
        Picture.of(one_pixel),
        Picture.of(PHOTO.reshape(8, 5, 3)),  # the same bytes in another shape
        Clip.of(WAVE, 1000),
        Clip.of(WAVE, 2000),
        Clip.of(one_sample, 1000),
        Clip.of(np.frombuffer(PHOTO.tobytes(), dtype=np.uint8).astype(np.float32) / 255, 1000),
        encoded(PIXELS),
        encoded(-PIXELS),
        encoded(PIXELS.reshape(2, 3, 2, 8)),
        encoded(PIXELS, (0, 2)),
        encoded(PIXELS, ids=(5, 7)),
        Encoded("audio", {"pixel_values": PIXELS}, {"pixel_values": (0, 1, 2)}, {"input_ids": torch.tensor([[5, 6]])}),
    ]
    assert len({State.whole(medium).key for medium in media}) == len(media)


def test_draws_are_seeded_by_content_alone() -> None:
    """The number was written down in another process; hashes of Python, addresses and the order of calls are not in it."""
    half = [State(MEDIA[name](), np.array([True, False])) for name in ("picture", "clip")]
    ready = State.whole(encoded(torch.arange(96.0).reshape(2, 3, 4, 4)))
    input = ModelInput(np.array([5, 6]), np.array([True, False]), np.array([0, 1]), (*half, ready))
    assert draw_seed(3, input) == 3706546390442062


DRAWN = """
import json
from interpreto_mllm import KernelShap, Patches, ResponseSimilarity, Windows
from interpreto_mllm.testbed import load_hearing, load_sight, sample_clip_prompts, sample_scene_prompts
mode = ResponseSimilarity(generate={"do_sample": True, "temperature": 3.0, "max_new_tokens": 2})
options = dict(inference_mode=mode, budget=12, seed=3, progress=False)
options |= dict(image_granularity=Patches(3, 3), audio_granularity=Windows(400))
results = [
    KernelShap(*load_sight(), **options)(sample_scene_prompts(1, seed=21, asks="colour")[0].messages)[0],
    KernelShap(*load_hearing(), **options)(sample_clip_prompts(1, sounds=4, seed=22, asks="first")[0].messages)[0],
]
print(json.dumps([result.attributions.tolist() for result in results]))
"""


@pytest.mark.thorough
def test_drawn_answers_are_the_same_in_every_process() -> None:
    with subprocess.Popen([sys.executable, "-c", DRAWN], stdout=subprocess.PIPE, text=True) as process:
        here = io.StringIO()
        with contextlib.redirect_stdout(here):
            exec(DRAWN, {})
        there = process.communicate(timeout=300)[0]
    first = json.loads(here.getvalue())
    assert first == json.loads(there)
    assert all(np.ptp(scores) > 0 for scores in first)
