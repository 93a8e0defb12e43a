"""Classes are found under the names they had before, with a warning, and files that hold those names load."""

from __future__ import annotations

import importlib

import numpy as np
import pytest

import interpreto_mllm
import interpreto_mllm.media
from interpreto_mllm import Clip, Mute, Patches, Picture, ReplaceImage, SplitOnSilence, SpokenWords, WhiteNoise

NAMES = {"Noise": WhiteNoise, "Other": ReplaceImage, "Silence": Mute, "Silences": SplitOnSilence, "Words": SpokenWords}


@pytest.mark.parametrize("module", ["interpreto_mllm", "interpreto_mllm.media"])
@pytest.mark.parametrize("old", NAMES)
def test_old_names_warn(module: str, old: str) -> None:
    with pytest.warns(DeprecationWarning, match=f"^{old} is now called {NAMES[old].__name__}.$"):
        assert getattr(importlib.import_module(module), old) is NAMES[old]
    assert old not in importlib.import_module(module).__all__


def test_old_names_can_be_imported() -> None:
    with pytest.warns(DeprecationWarning, match="Words is now called SpokenWords"):
        from interpreto_mllm import Words  # type: ignore[attr-defined]
    assert Words([("a", 0.1, 0.2)]) == SpokenWords([("a", 0.1, 0.2)])


def test_pieces_of_a_picture_may_be_called_masks() -> None:
    image, masks = Picture.of(np.zeros((4, 4))).image, np.eye(4, dtype=bool)[:, None].repeat(4, 1)
    with pytest.warns(DeprecationWarning, match="^The argument masks of Picture is now called regions.$"):
        old = Picture(image=image, masks=masks, labels=("a", "b", "c", "d"), occlusion=None)  # type: ignore[call-arg]
    assert (old.masks == Picture(image, masks, ("a", "b", "c", "d"), None).masks).all()  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="regions"):
        Picture(image, masks, ("a", "b", "c", "d"), None, masks=masks)  # type: ignore[call-arg]


def test_unknown_names_are_errors() -> None:
    for module in (interpreto_mllm, interpreto_mllm.media):
        with pytest.raises(AttributeError, match=f"module '{module.__name__}' has no attribute 'Nonsense'"):
            _ = module.Nonsense  # type: ignore[attr-defined]


def test_files_with_old_names_load() -> None:
    wave = np.linspace(-1, 1, 400, dtype=np.float32)
    for old, occlusion in (("Silence", Mute()), ("Noise", WhiteNoise(3, 0.5))):
        clip = Clip.of(wave, 1000, occlusion=occlusion)
        data = clip.to_data()
        data["occlusion"]["kind"] = old
        assert Clip.from_data(data).occlusion == occlusion
    picture = Picture.of(np.zeros((5, 7)), Patches(1, 2), ReplaceImage(np.eye(9)))
    data = picture.to_data()
    data["occlusion"]["kind"] = "Other"
    found, nothing = Picture.from_data(data), np.array([False, False])
    assert isinstance(found.occlusion, ReplaceImage)
    assert found.key(nothing) == picture.key(nothing)
