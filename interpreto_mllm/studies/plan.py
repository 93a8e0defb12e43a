"""What a study will cost, before it is carried out: evaluations, tokens, time and money."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from interpreto_mllm.explainers.base import AttributionExplainer
from interpreto_mllm.explainers.plan import COUNTS, Plan
from interpreto_mllm.perturbators.gradient import GradientPerturbator
from interpreto_mllm.studies.build import build_explainer, explain_sample, load_model, sample_game
from interpreto_mllm.studies.data import Sample, Samples, load_samples
from interpreto_mllm.studies.models import Loaded
from interpreto_mllm.studies.spec import ModelSpec, RunSpec

MOST_SAMPLES = 64
"""Samples of a run that are looked at; the cost of more is estimated from these, spread evenly over the data."""

TRIAL = 8
"""Evaluations by which the time of one is measured."""


@dataclass(frozen=True)
class RunPlan:
    """The most that the explanations of a run can cost; coalitions without some features are shorter, so it costs less.

    What metrics evaluate comes on top: curves about twice the number of features for each ranking, exact values all coalitions.

    Args:
        run: it.
        samples: how many there are.
        evaluations, requests, prompt_tokens, answer_tokens, thought_tokens: of all samples; see `Plan`.
        refused: how many of the samples that were looked at cannot be explained.
        problem: why the first of these cannot.
        looked_at: how many samples were read.
        seconds: for all evaluations, where the time of one is known.
        money: for all tokens, where a price is known.
    """

    run: RunSpec
    samples: int
    evaluations: int
    requests: int
    prompt_tokens: int
    answer_tokens: int
    thought_tokens: int = 0
    refused: int = 0
    problem: str = ""
    looked_at: int = 0
    seconds: float | None = None
    money: float | None = None


def plan_study(
    runs: Sequence[RunSpec],
    *,
    price: tuple[float, float] | None = None,
    seconds: float | None = None,
    measure: bool = False,
    workers: int = 1,
) -> list[RunPlan]:
    """What each run can cost at most.

    Models are loaded, as their tokenizers count, but they evaluate nothing unless `measure` says so; a server is not asked.

    Args:
        runs: of the study.
        price: per million tokens read, and per million generated.
        seconds: for one evaluation.
        measure: whether one short trial with each model and method measures that instead.
        workers: which share the evaluations.

    Raises:
        ValueError: for a model, data or method that does not load or go together; for a negative price.

    Example:
        >>> from interpreto_mllm.studies.config import Study
        >>> given = dict(name="demo", model="shipped:text", data={"name": "shipped:text", "select": {"max": 5}}, method="exact")
        >>> [run] = plan_study(Study.from_values({**given, "granularity": "sentence"}).runs(), seconds=0.01)
        >>> run.samples, run.evaluations, run.seconds
        (5, 80, 0.8)
    """
    if workers < 1 or (price is not None and min(price) < 0) or (seconds is not None and seconds < 0):
        raise ValueError(f"Prices and seconds are not negative, and there is a worker; got {price}, {seconds}, {workers}.")
    trials, known, plans = Trials(), dict[str, tuple[RunPlan, float | None]](), list[RunPlan]()
    for run in runs:
        key = run.model_copy(update={"seed": 0}).identity()
        if key not in known:
            known[key] = _planned(run, trials, measure and seconds is None)
        plan, measured = known[key]
        plans.append(_priced(replace(plan, run=run), measured if seconds is None else seconds, price, workers))
    return plans


def total(plans: Sequence[RunPlan]) -> Plan:
    """Of all runs together.

    Example:
        >>> total([])
        Plan(evaluations=0, requests=0, prompt_tokens=0, answer_tokens=0, thought_tokens=0, memory=None)
    """
    evaluations, requests, read, written, thought = (sum(getattr(one, name) for one in plans) for name in COUNTS)
    return Plan(evaluations, requests, read, written, thought)


def seconds_of_an_evaluation(explainer: AttributionExplainer, run: RunSpec, sample: Sample) -> float:
    """How long one evaluation takes, within a batch, from a short trial."""
    if isinstance(explainer.perturbator, GradientPerturbator):
        since = time.perf_counter()
        explanation = explain_sample(explainer, run, sample)
        return (time.perf_counter() - since) / max(explanation.counts.evaluations, 1)
    game = sample_game(explainer, sample)
    coalitions = torch.rand(2 * TRIAL, game.n, generator=torch.Generator().manual_seed(0)) < 0.5
    game(coalitions[:TRIAL])
    since = time.perf_counter()
    game(coalitions[TRIAL:])
    return (time.perf_counter() - since) / TRIAL


class Trials:
    """The explainers of runs; a model is held for the runs on it, and data is read once.

    Example:
        >>> from interpreto_mllm.studies.config import Study
        >>> [run] = Study.from_values(dict(name="demo", model="shipped:text", data="shipped:text", method="exact")).runs()
        >>> trials = Trials()
        >>> type(trials.explainer(run)).__name__, len(trials.samples(run))
        ('ExactShapley', 100)
    """

    def __init__(self) -> None:
        self._model: tuple[ModelSpec, Loaded] | None = None
        self._samples: dict[str, Samples] = {}

    def explainer(self, run: RunSpec) -> AttributionExplainer:
        """That of a run, on its model."""
        return build_explainer(run, self.model(run.model))

    def samples(self, run: RunSpec) -> Samples:
        """Those of a run."""
        key = run.data.model_dump_json()
        if key not in self._samples:
            self._samples[key] = load_samples(run.data)
        return self._samples[key]

    def model(self, spec: ModelSpec) -> Loaded:
        """The model, loaded unless it was the last one."""
        if self._model is None or self._model[0] != spec:
            self._model = None
            self._model = spec, load_model(spec)
        return self._model[1]


def _planned(run: RunSpec, trials: Trials, measure: bool) -> tuple[RunPlan, float | None]:
    """The plan of a run without time and money, and the seconds of an evaluation if they are measured."""
    explainer, samples = trials.explainer(run), trials.samples(run)
    step = max(len(samples) / MOST_SAMPLES, 1)
    looked_at = [samples[int(index * step)] for index in range(min(len(samples), MOST_SAMPLES))]
    plans, problems, seconds = list[Plan](), list[str](), None
    for sample in looked_at:
        try:
            if sample.problem is not None:
                raise ValueError(sample.problem)
            plans.append(explainer.plan(sample.inputs))
            if measure and seconds is None:
                seconds = seconds_of_an_evaluation(explainer, run, sample)
        except (TypeError, ValueError, OSError) as error:
            problems.append(f"{sample.identity}: {error}")
    share = len(samples) / len(looked_at)
    counts = {name: round(share * sum(getattr(one, name) for one in plans)) for name in COUNTS}
    refused, first = len(problems), problems[0] if problems else ""
    return RunPlan(run, len(samples), **counts, refused=refused, problem=first, looked_at=len(looked_at)), seconds


def _priced(plan: RunPlan, seconds: float | None, price: tuple[float, float] | None, workers: int) -> RunPlan:
    money = None
    if price is not None:
        tokens = Plan(plan.evaluations, plan.requests, plan.prompt_tokens, plan.answer_tokens, plan.thought_tokens)
        money = tokens.cost(prompt=price[0], answer=price[1])
    time_needed = None if seconds is None else plan.evaluations * seconds / workers
    return replace(plan, seconds=time_needed, money=money)
