"""shap and shapiq on our results and games, and models quantised by torchao: make interop.

The two take long to import and bring a compiler with them; the third is imported by transformers and PEFT once it is there.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch
from support.zoo import build, byte_bpe, plain_ids, plain_values

from interpreto_mllm import ExactShapley, KernelShap
from interpreto_mllm.core.indices import INDICES
from interpreto_mllm.testbed import load_sight, sample_scene_prompts

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    shap = pytest.importorskip("shap", reason="make interop installs it")
    shapiq = pytest.importorskip("shapiq", reason="make interop installs it")

pytestmark = pytest.mark.filterwarnings("ignore")
PROMPT, TARGET = "the apple is red . what is it ?", " red ."


@pytest.fixture(scope="module")
def explainer(recall: Any) -> ExactShapley:
    return ExactShapley(*recall, pinned=["the", "is", "?"], progress=False)


def test_shapiq_finds_our_shapley_values_and_interactions(explainer: ExactShapley) -> None:
    game, [ours] = explainer.game(PROMPT, TARGET), explainer(PROMPT, TARGET)
    theirs = shapiq.KernelSHAP(n=game.n).approximate(2**game.n, game.to_shapiq())
    np.testing.assert_allclose(theirs.get_n_order_values(1), ours.span().attributions[0].numpy(), atol=1e-5)
    exact = shapiq.ExactComputer(game.to_shapiq(target=0), n_players=game.n)
    np.testing.assert_allclose(exact("SV", 1).get_n_order_values(1), ours.attributions[0].numpy(), atol=1e-5)
    pairs, expected = exact("SII", 2).get_n_order_values(2), ours.interactions().values[0].numpy()
    np.testing.assert_allclose(np.triu(pairs, 1), np.triu(expected, 1), atol=1e-5)
    for order in (2, 3):
        for index in INDICES:
            values, found = exact({"Möbius": "Moebius"}.get(index, index), order), ours.interactions(order, index)
            known = [values[tuple(members)] for members in found.sets.tolist()]
            np.testing.assert_allclose(found.scores[0].numpy(), known, atol=1e-5)


def test_shap_draws_our_texts(explainer: ExactShapley) -> None:
    [ours] = explainer(PROMPT, TARGET)
    for result, shape in ((ours, (5, 2)), (ours.span(), (5,))):
        explanation = result.to_shap()
        assert explanation.shape == shape
        page = shap.plots.text(explanation, display=False)
        assert all(feature.text in page for feature in result.features)


def test_shap_draws_our_images() -> None:
    model, processor = load_sight()
    [scene] = sample_scene_prompts(1, asks="colour", seed=1)
    explainer = KernelShap(model, processor, budget=30, progress=False)
    [ours] = explainer({"text": scene.text, "images": [scene.image]}, scene.answer + " .")
    for result in (ours, ours.span()):
        explanation = result.to_shap(image=0)
        of_image = [index for index, feature in enumerate(result.features) if feature.modality == "image"]
        np.testing.assert_allclose(explanation.values.sum(), result.attributions[:, of_image].sum().item(), atol=1e-6)
        shap.plots.image(explanation, show=False)


@pytest.mark.parametrize("kind", ["Int8WeightOnlyConfig", "Int8DynamicActivationInt8WeightConfig"])
def test_models_quantised_by_torchao_have_the_values_of_plain_forwards(kind: str) -> None:
    torchao = pytest.importorskip("torchao.quantization", reason="make interop installs it")
    model, tokenizer = build("llama"), byte_bpe()
    torchao.quantize_(model, getattr(torchao, kind)())
    prompt, target = "the sky is blue", [20, 30]
    [result] = KernelShap(model, tokenizer, progress=False)(prompt, target)
    ids = tokenizer.encode(prompt)
    rows = [plain_ids(ids, result.features, row) or [tokenizer.bos_token_id] for row in result.coalitions.tolist()]
    expected = torch.stack([plain_values(model, row, target) for row in rows])
    torch.testing.assert_close(result.values, expected, atol=1e-4, rtol=1e-4)
    assert any("quantises what its layers read" in note for note in result.notes) == ("Activation" in kind)
    [plain] = KernelShap(build("llama"), tokenizer, progress=False)(prompt, target)
    assert plain.fingerprint != result.fingerprint
    [again] = KernelShap(model, tokenizer, progress=False)(prompt, target, evaluations=[result])
    assert again.counts.paid == 0
