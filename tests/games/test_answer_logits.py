"""The logit of the whole answer's probability as a value, against plain forwards."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from support.zoo import build, byte_bpe, plain_ids, plain_values, wordpiece

from interpreto_mllm import (
    AttributionExplainer,
    Contrast,
    ExactShapley,
    InferenceModes,
    IntegratedGradients,
    KernelShap,
    RemoteModel,
    TopK,
)
from interpreto_mllm.games.modes import Joint, logit_of_product

PROMPT = "the sky is blue"
CLOSE = {"atol": 2e-4, "rtol": 1e-4}
MODE = InferenceModes.ANSWER_LOGIT


def by_hand(log_probabilities: torch.Tensor) -> float:
    """log p − log(1 − p), of the logarithms of the tokens' probabilities."""
    p = float(log_probabilities.double().sum().exp())
    return float(torch.tensor(p).double().log() - torch.tensor(1 - p).double().log())


@pytest.mark.parametrize("family", ["llama", "t5", "bert"])
def test_an_answer_has_one_row_which_is_the_logit_of_its_probability(family: str) -> None:
    model, tokenizer = build(family), wordpiece() if family == "bert" else byte_bpe()
    target = [2] if family == "bert" else tokenizer.encode(" is Paris")
    replacement = [tokenizer.mask_token_id] if family == "bert" else None
    given = target[0] if family == "bert" else target
    [result] = ExactShapley(model, tokenizer, inference_mode=MODE, progress=False)(PROMPT, given)
    assert (result.t, result.mode, result.unit) == (1, "answer_logit", "class" if family == "bert" else "response")
    ids = tokenizer.encode(PROMPT)
    for coalition, value in zip(result.coalitions.tolist(), result.values, strict=True):
        left = plain_ids(ids, result.features, coalition, replacement) or [tokenizer.bos_token_id]
        assert float(value) == pytest.approx(by_hand(plain_values(model, left, target)), abs=2e-4)
    assert float(result.efficiency_gap.abs().max()) < 1e-6


def test_several_answers_and_contrasts_are_rows_of_their_own() -> None:
    model, tokenizer = build("llama"), byte_bpe()
    explainer = ExactShapley(model, tokenizer, inference_mode=MODE, progress=False)
    answers = [" is Paris", " Paris", Contrast(" is Paris", " Paris")]
    [together] = explainer(PROMPT, answers)
    assert together.targets == [" is Paris", " Paris", "is Paris − Paris"]
    for row in range(2):
        [alone] = explainer(PROMPT, answers[row])
        torch.testing.assert_close(together.values[:, [row]], alone.values, **CLOSE)
    torch.testing.assert_close(together.values[:, 2], together.values[:, 0] - together.values[:, 1], **CLOSE)
    with pytest.raises(ValueError, match="each target here is a whole answer"):
        explainer(PROMPT, answers[:2])[0].span()


def test_certain_answers_stay_finite() -> None:
    logits = torch.tensor([[80.0, 80.0], [-80.0, 3.0], [900.0, 900.0], [0.0, 0.0]])
    found = logit_of_product(logits)
    assert found.isfinite().all() and float(found[0]) == pytest.approx(80 - torch.tensor(2.0).log().item(), abs=1e-6)
    assert float(found[3]) == pytest.approx(-torch.tensor(3.0).log().item())
    assert Joint.of("answer_logit")(logits[:, :1]).tolist() == logits[:, 0].tolist()
    sure = torch.zeros(1, 50)
    sure[0, 3] = 60.0
    assert float(MODE(sure, torch.tensor([3]))) == pytest.approx(60 - torch.tensor(49.0).log().item())


def test_rules_see_one_target_and_results_make_themselves_again() -> None:
    model, tokenizer = build("llama"), byte_bpe()
    explainer = KernelShap(model, tokenizer, inference_mode=MODE, budget=16, until=TopK(1), progress=False)
    [result] = explainer(PROMPT, " is Paris")
    assert result.settings is not None
    [again] = AttributionExplainer.from_settings(model, tokenizer, result.settings, progress=False)(PROMPT, " is Paris")
    assert again.attributions.equal(result.attributions)


@pytest.mark.parametrize("options", [{}, {"whole_answer": True}], ids=str)
def test_gradient_methods_take_it_too(options: dict[str, Any]) -> None:
    model, tokenizer = build("llama"), byte_bpe()
    explainer = IntegratedGradients(model, tokenizer, inference_mode=MODE, steps=150, progress=False, **options)
    [result] = explainer(PROMPT, " is Paris")
    [whole] = KernelShap(model, tokenizer, inference_mode=MODE, budget=10, progress=False)(PROMPT, " is Paris")
    torch.testing.assert_close(result.full, whole.full, **CLOSE)
    assert result.completeness_gap is not None and result.t == 1
    assert float(result.completeness_gap.abs().max()) < 0.02 * float((result.full - result.empty).abs().max())


def test_a_server_is_refused() -> None:
    with pytest.raises(ValueError, match="no logits for answer_logit"):
        KernelShap(RemoteModel("http://127.0.0.1:9", "none"), inference_mode=MODE)
