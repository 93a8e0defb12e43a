"""Whole answers as rows, their tokens, and other values from the same evaluations."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from interpreto_mllm import Attribution, Contrast, ExactShapley, InferenceModes, IntegratedGradients, KernelShap, Template
from interpreto_mllm.metrics import find_metric
from interpreto_mllm.testbed import load_recall

MODEL, TOKENIZER = load_recall()
PROMPT = "the apple is red . what is the apple ?"
LOG, MEAN, SOFTMAX, PERPLEXITY, LOGIT = (
    InferenceModes.LOG_SOFTMAX,
    InferenceModes.MEAN_LOG_SOFTMAX,
    InferenceModes.SOFTMAX,
    InferenceModes.PERPLEXITY,
    InferenceModes.ANSWER_LOGIT,
)
OPTIONS: dict[str, Any] = {"progress": False, "pinned": [".", "the", "is", "what"]}
CLOSE = {"rtol": 2e-4, "atol": 1e-6}


KNOWN: dict[str, Attribution] = {}


def explained(target: Any = " red .", method: Any = ExactShapley, **options: Any) -> Attribution:
    key = repr((target, method, options))
    if key not in KNOWN:
        [KNOWN[key]] = method(MODEL, TOKENIZER, **{**OPTIONS, **options})(PROMPT, target)
    return KNOWN[key]


def by_hand(mode: InferenceModes, logs: torch.Tensor) -> torch.Tensor:
    """The value of an answer from the log-probabilities of its tokens."""
    p = logs.sum(1).exp()
    return {
        LOG: logs.sum(1),
        MEAN: logs.mean(1),
        SOFTMAX: p,
        PERPLEXITY: 1 / p ** (1 / logs.shape[1]),
        LOGIT: (p / (1 - p)).log(),
    }[mode]


@pytest.mark.parametrize("mode", [LOG, MEAN, SOFTMAX, PERPLEXITY, LOGIT])
def test_an_answer_is_worth_what_its_tokens_say(mode):
    logs = explained().values.double()
    whole = explained(rows="answer", inference_mode=mode)
    torch.testing.assert_close(whole.values[:, 0].double(), by_hand(mode, logs), **CLOSE)
    assert (whole.targets, whole.unit, whole.t) == (["red ."], "response", 1)
    assert "<h2>Answer</h2>" in whole._repr_html_()


@pytest.mark.parametrize("mode", [MEAN, SOFTMAX, PERPLEXITY])
def test_the_tokens_are_kept(mode, tmp_path):
    tokens, whole = explained(inference_mode=mode), explained(rows="answer", inference_mode=mode)
    torch.testing.assert_close(whole.attributions, tokens.span().attributions)
    whole.save(tmp_path / "whole.json")
    for result in (whole, Attribution.load(tmp_path / "whole.json")):
        again = result.tokens()
        assert torch.equal(again.attributions, tokens.attributions) and again.targets == tokens.targets
        assert again.span(0, 1).targets == ["red"] and again.unit == "token"
    assert tokens.tokens() is tokens


@pytest.mark.parametrize("rows", ["tokens", "answer"])
@pytest.mark.parametrize("mode", [LOG, SOFTMAX, PERPLEXITY])
def test_values_follow_from_those_of_another_kind(mode, rows):
    result = explained(inference_mode=mode, rows=rows)
    for other in (LOG, MEAN, SOFTMAX, PERPLEXITY, LOGIT):
        again, expected = result.rescore(other), explained(inference_mode=other, rows=rows)
        torch.testing.assert_close(again.values.double(), expected.values.double(), **CLOSE)
        assert (again.targets, again.unit, again.mode) == (expected.targets, expected.unit, expected.mode)
        if rows == "answer" and other is not LOGIT:
            torch.testing.assert_close(again.tokens().values.double(), expected.tokens().values.double(), **CLOSE)


def test_several_answers_have_a_row_each():
    given = [" red .", " blue", Contrast(" red", " blue .")]
    whole = explained(given, rows="answer")
    assert (whole.targets, whole.unit, whole.t) == (["red .", "blue", "red − blue ."], "value", 3)
    alone = [explained(one, rows="answer").attributions for one in given]
    torch.testing.assert_close(whole.attributions, torch.cat(alone), **CLOSE)
    answers = explained(given[:2], rows="answer")
    torch.testing.assert_close(
        answers.rescore(LOGIT).values, explained(given[:2], inference_mode=LOGIT).values.double(), **CLOSE
    )
    torch.testing.assert_close(explained(given[:2]).rescore(LOGIT).values, answers.rescore(LOGIT).values)


def test_earlier_evaluations_are_taken_over_in_either_form():
    whole = explained(rows="answer", method=KernelShap, budget=8)
    for rows in ("tokens", "answer"):
        [more] = KernelShap(MODEL, TOKENIZER, budget=12, rows=rows, **OPTIONS)(PROMPT, " red .", evaluations=[whole])
        assert more.counts.paid < more.counts.evaluations
        assert more.t == (2 if rows == "tokens" else 1)


def test_drawn_baselines_spread_over_whole_answers():
    baselines = {"colour": ["blue", "green", "pink"], "thing": ["sky", "cup"]}
    values = {"colour": "red", "thing": "apple"}
    template = Template("the apple is {colour} . what is the {thing} ?", values, baselines, draws=4)
    [tokens] = ExactShapley(MODEL, TOKENIZER, progress=False)(template, " red .")
    [whole] = ExactShapley(MODEL, TOKENIZER, progress=False, rows="answer")(template, " red .")
    assert whole.standard_errors is not None and tokens.span().standard_errors is not None
    torch.testing.assert_close(whole.standard_errors, tokens.span().standard_errors)
    torch.testing.assert_close(whole.tokens().standard_errors, tokens.standard_errors)


def test_gradient_methods_and_metrics_know_whole_answers():
    gradients = explained(method=IntegratedGradients, rows="answer", pinned=())
    assert gradients.t == 1 and gradients.targets == ["red ."]
    explainer = ExactShapley(MODEL, TOKENIZER, **OPTIONS)
    game, deletion = explainer.game(PROMPT, " red ."), find_metric("deletion_auc")
    found = [deletion.compute(explained(rows=rows), game) for rows in ("tokens", "answer")]
    assert found[0] == found[1]


def test_what_does_not_follow_is_said():
    with pytest.raises(ValueError, match="rows must be 'tokens' or 'answer'; got 'answers'"):
        explained(rows="answers")
    with pytest.raises(ValueError, match=r"rescore with what follows from that, InferenceModes\.LOG_SOFTMAX"):
        explained().rescore(InferenceModes.ENTROPY)
    with pytest.raises(ValueError, match="values of this result are those of logits, from which log-prob"):
        explained(inference_mode=InferenceModes.LOGITS).rescore(LOG)
    with pytest.raises(ValueError, match="are differences or values of several kinds"):
        explained(Contrast(" red", " blue")).rescore(SOFTMAX)
    sure = explained(" red")
    assert float(sure.values.max()) > -1e-6 or sure.rescore(LOGIT).t == 1
    certain = sure.evaluations.with_values(sure.values.clamp_max(-1e-8).masked_fill(sure.values > -1, -1e-9))
    with pytest.raises(ValueError, match="all but certain, so that its log-probability is too coarse for its logit"):
        sure.aggregated(certain, sure.aggregator, sure.targets, sure.estimand).rescore(LOGIT)
    with pytest.raises(ValueError, match="no tokens are stored"):
        explained(inference_mode=LOGIT).tokens()
    with pytest.raises(ValueError, match="coalitions"):
        explained(method=IntegratedGradients, pinned=()).rescore(SOFTMAX)


def test_a_span_is_of_one_answer(tmp_path):
    two, alone = explained([" red .", " green"]), explained(" red .")
    two.save(tmp_path / "two.json")
    for result in (two, Attribution.load(tmp_path / "two.json"), explained([" red .", " green"], rows="answer").tokens()):
        assert result.targets == ["red", " .", "green"]
        torch.testing.assert_close(result.span(0, 2).attributions, alone.span().attributions, **CLOSE)
        assert result.span(2).targets == ["green"] and result.span(0, 2).span().targets == ["red ."]
        for bounds in ((None, None), (1, None), (-2, 3)):
            with pytest.raises(
                ValueError, match=r"'red \.' \(rows 0:2\), 'green' \(rows 2:3\). Take one of them, such as span\(0, 2\)"
            ):
                result.span(*bounds)
    assert "whole answer</button>" not in two._repr_html_() and "whole answer</button>" in alone._repr_html_()
    played = ExactShapley(MODEL, TOKENIZER, **OPTIONS).game(PROMPT, [" red .", " green"])
    with pytest.raises(ValueError, match="3 targets that are no tokens of one answer"):
        played.to_shapiq()
