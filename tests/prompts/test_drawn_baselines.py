"""Templates of which some combinations of baselines are drawn: the spread over these is part of the standard errors."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from support import zoo

from interpreto_mllm import (
    Attribution,
    ExactShapley,
    InferenceModes,
    KernelShap,
    ResponseSimilarity,
    Template,
    Tolerance,
    TopK,
)
from interpreto_mllm.aggregators.errors import moderated
from interpreto_mllm.core.evaluations import Evaluations
from interpreto_mllm.similarity import ExactMatch, TfIdf

TOKENIZER, LLAMA = zoo.byte_bpe(), zoo.build("llama")
VALUES = {"name": "Ada", "place": "Rome"}
LISTS = {"name": ["He", "We", "She", "It"], "place": ["town", "woods", "bed", "time", "vain", "all", "fun"]}
OPTIONS = {"progress": False}


def template(draws: int = 5, seed: int = 3) -> Template:
    return Template("{name} in {place}", VALUES, LISTS, draws=draws, seed=seed)


def each_alone(given: Template, target: str, **options) -> torch.Tensor:
    """The exact scores under each combination of baselines that is drawn, on its own."""
    explainer = ExactShapley(LLAMA, TOKENIZER, **OPTIONS, **options)
    alone = [Template(given.text, given.values, row) for row in given.baseline_rows]
    return torch.stack([one.attributions for one in explainer(alone, [target] * len(alone))])


def test_standard_errors_are_the_spread_over_the_combinations():
    [found] = ExactShapley(LLAMA, TOKENIZER, **OPTIONS)(template(), " red!")
    alone = each_alone(template(), " red!")
    torch.testing.assert_close(found.attributions, alone.mean(0), atol=1e-5, rtol=0)
    torch.testing.assert_close(found.standard_errors, moderated(alone.var(0) / 5, 4).sqrt(), atol=1e-5, rtol=1e-4)
    assert not found.exact and "exact" not in repr(found)
    assert "5 of the 28 combinations of baselines, whose spread is part of the standard errors" in found.notes[0]
    [every] = ExactShapley(LLAMA, TOKENIZER, **OPTIONS)(template(28), " red!")
    assert every.exact and not every.standard_errors.any() and not every.notes


def test_the_whole_answer_is_as_uncertain_as_its_tokens_together():
    [found] = ExactShapley(LLAMA, TOKENIZER, **OPTIONS)(template(), " red!")
    whole = each_alone(template(), " red!").sum(1, keepdim=True)
    expected = moderated(whole.var(0) / 5, 4).sqrt()
    torch.testing.assert_close(found.span().standard_errors, expected, atol=1e-5, rtol=1e-4)
    assert not found.span().exact
    assert found.interactions().standard_errors[0, 0, 1] > 0


def test_of_probabilities_too():
    """Those of tokens are means over the combinations, and their product is no mean: the jackknife by hand."""
    [found] = ExactShapley(LLAMA, TOKENIZER, inference_mode=InferenceModes.SOFTMAX, **OPTIONS)(template(), " red!")
    repeats = found.evaluations.repeats
    left_out = [torch.cat([repeats[:k], repeats[k + 1 :]]).mean(0).prod(1, keepdim=True) for k in range(5)]
    aggregator = found.aggregator
    scores = torch.stack([aggregator.aggregate(found.evaluations.with_values(values)).attributions for values in left_out])
    variance = 4 / 5 * (scores - scores.mean(0)).square().sum(0)
    torch.testing.assert_close(found.span().standard_errors, moderated(variance, 4).sqrt(), atol=1e-7, rtol=1e-3)


def test_a_function_of_the_values_is_as_uncertain_as_its_pseudo_values():
    repeats = torch.rand(6, 4, 2, generator=torch.Generator().manual_seed(0)).double()
    none = torch.zeros(0, dtype=torch.int64)
    every = torch.tensor([[0, 0], [1, 1], [0, 1], [1, 0]]).bool()
    known = Evaluations(every, repeats.mean(0), none, none.double(), none, repeats=repeats)
    summed = known.mapped(lambda values: values.sum(1, keepdim=True))
    torch.testing.assert_close(summed.repeats, repeats.sum(2, keepdim=True))
    torch.testing.assert_close(summed.values, summed.repeats.mean(0))
    single = replace(known, repeats=repeats[:1]).mapped(lambda values: values.prod(1, keepdim=True))
    assert single.repeats.shape == (1, 4, 1)


def test_one_combination_shows_nothing_of_the_others():
    [found] = ExactShapley(LLAMA, TOKENIZER, **OPTIONS)(template(1), " red")
    assert found.standard_errors is None and not found.exact
    assert found.span().standard_errors is None and found.interactions().standard_errors is None


def test_intervals_hold_what_all_combinations_give():
    explainer = ExactShapley(LLAMA, TOKENIZER, **OPTIONS)
    [every, *some] = explainer([template(28), *(template(7, seed) for seed in range(24))], [" red"] * 25)
    off = torch.stack([(one.attributions - every.attributions).abs() / one.standard_errors for one in some])
    assert (off < 1.96).double().mean() > 0.85
    assert off.square().mean().sqrt() > 0.2


def test_a_pinned_slot_needs_no_baselines():
    [found] = ExactShapley(LLAMA, TOKENIZER, pinned=["Rome"], **OPTIONS)(template(), " red")
    assert found.exact and not found.notes
    alone = [Template("{name} in Rome", {"name": "Ada"}, {"name": name}) for name in LISTS["name"]]
    each = ExactShapley(LLAMA, TOKENIZER, **OPTIONS)(alone, [" red"] * 4)
    torch.testing.assert_close(found.attributions, sum(one.attributions for one in each) / 4, atol=1e-5, rtol=0)


def test_the_spread_is_in_files_checkpoints_and_what_is_taken_over(tmp_path: Path):
    explainer = ExactShapley(LLAMA, TOKENIZER, **OPTIONS)
    [found] = explainer(template(), " red", checkpoint=tmp_path / "run.json")
    found.save(tmp_path / "one.json")
    loaded = Attribution.load(tmp_path / "one.json")
    assert loaded.standard_errors.equal(found.standard_errors)
    for again in (
        explainer(template(), " red", evaluations=[loaded]),
        explainer(template(), " red", checkpoint=tmp_path / "run.json"),
    ):
        assert again[0].counts.paid == 0 and again[0].standard_errors.equal(found.standard_errors)
    forgotten = replace(found, evaluations=replace(found.evaluations, repeats=None))
    with pytest.raises(ValueError, match="hold no values for each of the drawn baselines"):
        explainer(template(), " red", evaluations=[forgotten])


def test_answers_under_drawn_baselines_spread_too():
    similarity = ResponseSimilarity(similarity=TfIdf(), generate={"max_new_tokens": 2}, log_probability=True)
    [found] = ExactShapley(LLAMA, TOKENIZER, inference_mode=similarity, **OPTIONS)(template(), "red")
    assert found.evaluations.repeats.shape == (5, 4, 1)
    torch.testing.assert_close(found.evaluations.repeats.mean(0), found.values)
    other = found.rescore(ResponseSimilarity(similarity=ExactMatch()))
    assert other.evaluations.repeats.shape == (5, 4, 1) and not other.exact
    assert not found.rescore(InferenceModes.LOG_SOFTMAX).exact


def test_a_rule_judges_the_spread():
    lists = {slot: [f"{slot}{number}" for number in range(4)] for slot in "abcdef"}
    given = Template(" ".join(f"{{{slot}}}" for slot in "abcdef"), dict.fromkeys("abcdef", "sky"), lists, draws=4)
    options = {**OPTIONS, "budget": 64}
    [full] = KernelShap(LLAMA, TOKENIZER, **options)(given, " red blue")
    errors = float(full.span().standard_errors.norm() / full.span().attributions.norm())
    [met] = KernelShap(LLAMA, TOKENIZER, until=Tolerance(errors / 2), **options)(given, " red blue")
    assert met.counts.evaluations == 64 and "was not met" in " ".join(met.notes)
    assert KernelShap(LLAMA, TOKENIZER, until=TopK(6), **options)(given, " red blue")[0].counts.evaluations < 64
