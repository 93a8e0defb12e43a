"""Games in the form of shapiq, by a stand-in; `make interop` runs the real package."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from support.zoo import build, byte_bpe, wordpiece

from interpreto_mllm import ExactShapley, InferenceModes, KernelShap, TopMass
from interpreto_mllm.games.game import ModelGame

PROMPT, TARGET = "the sky is blue and the sky", " is Paris"


@pytest.fixture(autouse=True)
def shapiq(monkeypatch: pytest.MonkeyPatch) -> None:
    class Game:
        def __init__(self, n_players: int, *, normalize: bool, player_names: list[str]):
            self.n_players, self.normalize, self.player_names = n_players, normalize, player_names

        def __call__(self, coalitions: np.ndarray) -> np.ndarray:
            return self.value_function(coalitions)  # type: ignore[attr-defined]

    module = ModuleType("shapiq")
    module.Game = Game  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "shapiq", module)


def game(mode: Any = InferenceModes.LOG_SOFTMAX, **options: Any) -> ModelGame:
    return KernelShap(build("llama"), byte_bpe(), inference_mode=mode, progress=False, **options).game(PROMPT, TARGET)


@pytest.mark.parametrize(
    ("mode", "whole"),
    [
        (InferenceModes.LOG_SOFTMAX, lambda values: values.sum(1)),
        (InferenceModes.SOFTMAX, lambda values: values.prod(1)),
        (InferenceModes.PERPLEXITY, lambda values: values.log().mean(1).exp()),
        (TopMass(2), lambda values: values.mean(1)),
    ],
)
def test_its_values_are_those_of_the_game(mode: Any, whole: Any) -> None:
    played = game(mode)
    rows = np.array([[0] * 7, [1] * 7, [1, 0, 1, 0, 1, 0, 1], [1] * 7], dtype=bool)
    values = played(torch.from_numpy(rows)).double()
    np.testing.assert_allclose(played.to_shapiq()(rows), whole(values).numpy(), rtol=1e-5)
    np.testing.assert_allclose(played.to_shapiq(target=1)(rows), values[:, 1].numpy(), rtol=1e-5)


def test_each_coalition_is_evaluated_once_and_players_have_names() -> None:
    played = game(granularity=[(0, 3), (3, 7), (7, 15)])
    theirs, forwards = played.to_shapiq(), played.scorer.counter
    rows = np.array([[0, 0, 0], [1, 1, 1], [1, 0, 1]], dtype=bool)
    first = theirs(rows)
    before = forwards.tokens
    np.testing.assert_array_equal(theirs(rows[[2, 0]].astype(int)), first[[2, 0]])
    assert forwards.tokens == before
    assert (theirs.n_players, theirs.normalize) == (3, False)
    assert game().to_shapiq().player_names == ["the (0)", "sky (1)", "is", "blue", "and", "the (5)", "sky (6)"]


def test_targets_that_are_not_one_answer_must_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    classes = ExactShapley(build("bert"), wordpiece(), progress=False).game("the sky", [0, 2])
    with pytest.raises(ValueError, match="2 targets that are no tokens of one answer: give target"):
        classes.to_shapiq()
    rows = np.eye(2, dtype=bool)
    np.testing.assert_allclose(classes.to_shapiq(target=0)(rows), classes(torch.from_numpy(rows))[:, 0].numpy())
    with pytest.raises(ValueError, match="There is no target 3: the game has 2, from 0"):
        classes.to_shapiq(target=3)
    monkeypatch.setitem(sys.modules, "shapiq", None)
    with pytest.raises(ImportError, match=r"to_shapiq\(\) needs shapiq: pip install 'interpreto_mllm\[interop\]'"):
        game().to_shapiq()
