"""What a study will cost, and what is found before anything is spent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from interpreto_mllm.explainers.base import AttributionExplainer
from interpreto_mllm.studies import plan as planning
from interpreto_mllm.studies.build import build_explainer, explain_sample
from interpreto_mllm.studies.config import Study
from interpreto_mllm.studies.data import load_samples
from interpreto_mllm.studies.plan import plan_study, total
from interpreto_mllm.studies.validation import check_study

FEW = {"name": "shipped:text", "select": {"max": 3}, "arguments": {"facts": 1}}


def study(**given: Any) -> Study:
    return Study.from_values({"name": "s", "model": "shipped:text", "data": FEW, "method": "KernelShap", **given})


@pytest.fixture
def silent_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is evaluated."""
    monkeypatch.setattr(AttributionExplainer, "explain", lambda *arguments, **named: pytest.fail("a model was asked"))
    monkeypatch.setattr(AttributionExplainer, "game", lambda *arguments, **named: pytest.fail("a model was asked"))


@pytest.mark.usefixtures("silent_models")
def test_the_plan_is_the_sum_of_the_plans_of_the_samples(recall: Any) -> None:
    runs = study(budget=[16, 0.5], seed=[0, 1]).runs()
    plans = plan_study(runs, price=(2.0, 8.0), seconds=0.01, workers=2)
    assert [one.run for one in plans] == runs
    for one in plans[::2]:
        explainer = build_explainer(one.run, recall)
        alone = [explainer.plan(sample.inputs) for sample in load_samples(one.run.data)]
        assert (one.samples, one.looked_at, one.refused) == (3, 3, 0)
        assert one.evaluations == sum(plan.evaluations for plan in alone)
        assert one.prompt_tokens == sum(plan.prompt_tokens for plan in alone)
        assert one.money == pytest.approx(sum(plan.cost(prompt=2.0, answer=8.0) for plan in alone))
        assert one.seconds == pytest.approx(one.evaluations * 0.01 / 2)
    assert total(plans).evaluations == sum(one.evaluations for one in plans)


def test_no_run_costs_more_than_its_plan(recall: Any) -> None:
    [run] = study(method="limited_neyman", budget=20).runs()
    [planned] = plan_study([run])
    explainer = build_explainer(run, recall)
    explained = [explain_sample(explainer, run, sample) for sample in load_samples(run.data)]
    assert 0 < sum(one.counts.evaluations for one in explained) <= planned.evaluations == 60
    assert sum(one.counts.tokens for one in explained) <= planned.prompt_tokens
    assert (planned.seconds, planned.money) == (None, None)


@pytest.mark.usefixtures("silent_models")
def test_many_samples_are_estimated_from_some(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "MOST_SAMPLES", 4)
    [planned] = plan_study(study(data={**FEW, "select": {"max": 10}}, budget=8).runs())
    assert (planned.samples, planned.looked_at, planned.evaluations) == (10, 4, 80)


def test_the_time_of_an_evaluation_is_measured() -> None:
    planned = plan_study(study(budget=8, method=["KernelShap", "Saliency"], seed=[0, 1]).runs(), measure=True)
    assert all(one.seconds is not None and one.seconds > 0 for one in planned)
    assert planned[0].seconds == planned[1].seconds


@pytest.mark.usefixtures("silent_models")
def test_samples_that_cannot_be_explained_are_counted() -> None:
    [planned] = plan_study(study(method="exact", data={**FEW, "arguments": {"facts": 6}}).runs())
    assert (planned.refused, planned.evaluations) == (3, 0)
    assert "Exact values of" in planned.problem
    with pytest.raises(ValueError, match="Prices and seconds are not negative"):
        plan_study([], price=(-1.0, 0.0))


def test_a_study_is_checked_with_its_data_and_models(tmp_path: Path) -> None:
    assert check_study(study(budget=8), data=True, model=True) == []
    (tmp_path / "rows.csv").write_text("prompt,x\nthe apple is red .,1\n,2\n,3\n,4\n,5\n")
    rows = {"name": str(tmp_path / "rows.csv")}
    found = [str(one) for one in check_study(study(data=[FEW, rows]), data=True)]
    assert found[0] == "data[1]: Row 1 cannot be explained: The column 'prompt' holds no text: None."
    assert len(found) == 4 and found[3] == "data[1]: and 1 more of 5 rows."
    assert check_study(study(data="gone.csv")) == []
    assert "data: data: there is no file or folder gone.csv" in str(check_study(study(data="gone.csv"), data=True)[0])
    [problem] = check_study(study(model=["shipped:text", "./gone"], budget=8), model=True)
    assert str(problem).startswith("model[1]: model: there is no folder ./gone")
    [problem] = check_study(study(budget=2, seed=[0, 1]), model=True)
    assert "KernelShap, budget 2, on shipped:text with shipped:text: KernelPerturbator needs a budget of at least" in str(
        problem
    )
