"""Results in the forms of shap, by a stand-in, and of captum; `make interop` runs the real packages."""

from __future__ import annotations

import sys
from dataclasses import replace
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from interpreto_mllm import Attribution, ExactShapley, Patches, Picture, play
from interpreto_mllm.aggregators import ShapleyAggregator
from interpreto_mllm.perturbators import ExactPerturbator

PROMPT, TARGET = "the apple is red . what is it ?", " red ."


@pytest.fixture(scope="module")
def result(recall: Any) -> Attribution:
    [found] = ExactShapley(*recall, pinned=["the", "is", "?"], progress=False)(PROMPT, TARGET)
    return found


@pytest.fixture
def shap(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("shap")
    module.Explanation = lambda values, **others: SimpleNamespace(values=values, **others)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "shap", module)


@pytest.mark.usefixtures("shap")
def test_an_explanation_of_shap_has_the_scores_targets_last(result: Attribution) -> None:
    several, single = result.to_shap(), result.span().to_shap()
    np.testing.assert_array_equal(several.values, result.attributions.T.numpy())
    np.testing.assert_array_equal(several.base_values, result.empty.numpy())
    assert several.output_names == ["red", " ."] and several.error_std.shape == (5, 2)
    assert single.values.shape == (5,) and single.base_values == pytest.approx(float(result.empty.sum()))
    assert single.base_values + single.values.sum() == pytest.approx(float(result.full.sum()))
    assert "".join(single.data).split() == [feature.text for feature in result.features] == single.feature_names
    assert replace(result, standard_errors=None).to_shap().error_std is None


@pytest.mark.usefixtures("shap")
def test_an_explanation_of_pixels_adds_up_to_the_scores() -> None:
    picture = Picture.of(np.arange(144, dtype=np.uint8).reshape(6, 8, 3), Patches(2, 2))
    scores = torch.tensor([[1.0, -2.0, 4.0, 0.5], [-1.0, 2.0, -4.0, -0.5]], dtype=torch.float64)
    game = lambda s: s.double() @ scores.T  # noqa: E731
    both = play(game, ExactPerturbator(), ShapleyAggregator(), n_features=4, progress=False)
    both = replace(both, features=picture.features(0), media=(picture,), unit="token", mode="log_softmax")
    single = both.span(0, 1).to_shap(image=0)
    assert single.values.shape == (1, 6, 8, 1) and (single.data[0] == np.asarray(picture.image)).all()
    np.testing.assert_allclose(single.values[0, ..., 0], np.kron([[1.0, -2.0], [4.0, 0.5]], np.ones((3, 4))) / 12)
    np.testing.assert_allclose(both.to_shap(image=0).values[0, :, :, 0, 1], -single.values[0, ..., 0])
    for wrong in (1, -1):
        with pytest.raises(ValueError, match=f"There is no image {wrong}: the prompt has 1, from 0"):
            both.to_shap(image=wrong)


def test_a_result_of_captum_has_the_scores_of_tokens_and_of_the_whole_answer(result: Attribution) -> None:
    found = result.to_captum()
    assert type(found).__name__ == "LLMAttributionResult"
    torch.testing.assert_close(found.token_attr, result.attributions.float())
    torch.testing.assert_close(found.seq_attr, result.span().attributions[0].float())
    torch.testing.assert_close(found.output_probs, result.full.exp().float())
    assert (found.input_tokens, found.output_tokens) == ([feature.text for feature in result.features], ["red", " ."])
    one = result.to_captum(target=1)
    torch.testing.assert_close(one.seq_attr, result.attributions[1].float())
    assert (one.output_tokens, one.token_attr) == ([" ."], None)
    figure, axes = found.plot_token_attr(show=False)
    assert [label.get_text() for label in axes.get_yticklabels()] == ["red", " ."]
    figure.clear()


def test_what_captum_has_no_form_for_is_refused(result: Attribution) -> None:
    classes = replace(result, unit="class")
    with pytest.raises(ValueError, match="2 targets that are no tokens of one answer: give target"):
        classes.to_captum()
    torch.testing.assert_close(classes.to_captum(target=0).seq_attr, result.attributions[0].float())
    with pytest.raises(ValueError, match="There is no target 2"):
        result.to_captum(target=2)


def test_a_missing_package_names_the_extra(result: Attribution, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, call in (("shap", result.to_shap), ("captum", result.to_captum)):
        for module in [one for one in sys.modules if one.split(".")[0] == name]:
            monkeypatch.delitem(sys.modules, module)
        monkeypatch.setitem(sys.modules, name, None)
        with pytest.raises(ImportError, match=rf"{call.__name__}\(\) needs {name}: pip install 'interpreto_mllm\[interop\]'"):
            call()
