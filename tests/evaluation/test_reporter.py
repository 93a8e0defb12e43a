"""Callbacks are told of each round, each batch and the end, and results of the seconds by stage."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch

from interpreto_mllm import (
    Attribution,
    Callback,
    IntegratedGradients,
    JsonLines,
    KernelShap,
    NeymanShapley,
    Progress,
    Tolerance,
    play,
)
from interpreto_mllm.aggregators import ComplementaryAggregator, KernelAggregator, PathAggregator
from interpreto_mllm.core.callbacks import ProgressBar
from interpreto_mllm.core.counts import Counts, Stages, Stopwatch
from interpreto_mllm.perturbators import KernelPerturbator, NeymanPerturbator, UniformPerturbator

PROMPTS = ["the apple is red . what is the apple ?", "the sky is blue ."]


class Heard(Callback):
    """Everything that it was told."""

    def __init__(self) -> None:
        self.events: list[tuple[str, Progress]] = []

    def on_round(self, progress: Progress) -> None:
        self.events.append(("round", progress))

    def on_batch(self, progress: Progress) -> None:
        self.events.append(("batch", progress))

    def on_done(self, progress: Progress) -> None:
        self.events.append(("done", progress))


def test_each_round_each_batch_and_the_end_are_told(recall: Any, tmp_path: Path) -> None:
    heard, lines = Heard(), JsonLines(tmp_path / "log.jsonl")
    explainer = KernelShap(*recall, budget=30, batch_size=8, callbacks=[heard, lines], progress=False)
    results = explainer(PROMPTS, " red")
    names, told = zip(*heard.events, strict=True)
    assert (names[0], names[-1], names.count("round"), names.count("done")) == ("round", "done", 2, 1)
    rounds = [progress for name, progress in heard.events if name == "round"]
    assert [(one.rounds, one.coalitions, one.evaluations) for one in rounds] == [(1, 4, 0), (2, 30 + 30 - 4, 4)]
    assert [one.evaluations for one in told] == sorted(one.evaluations for one in told)
    assert told[-1].evaluations == told[-1].budget == 60 == sum(result.counts.paid for result in results)
    assert abs(told[-1].forwards - sum(result.counts.forwards for result in results)) <= 1 < told[-1].forwards
    assert [one.finished for one in told] == [False] * (len(told) - 1) + [True]
    written = [json.loads(line) for line in lines.path.read_text(encoding="utf-8").splitlines()]
    assert [(line.pop("event"), line.pop("stages").keys()) for line in written] == [
        (name, asdict(Stages()).keys()) for name in names
    ]
    assert [{**asdict(one), "stages": None} for one in told] == [{**line, "stages": None} for line in written]


def test_gradient_methods_count_points_and_end_at_their_budget(recall: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    heard, bars = Heard(), list[dict[str, Any]]()
    monkeypatch.setattr("tqdm.auto.tqdm", lambda **options: bars.append(options) or mock.Mock(n=0))
    IntegratedGradients(*recall, steps=4, batch_size=2, callbacks=[heard])(PROMPTS[1], " red")
    assert [progress.evaluations for _, progress in heard.events] == [0, 0, 0, 2, 4, 4]
    assert {(progress.budget, progress.unit) for _, progress in heard.events} == {(4, "point")}
    assert [(bar["total"], bar["unit"]) for bar in bars] == [(4, "point")]


@pytest.mark.parametrize(
    "tolerance, said", [(99.0, "Stopped after 32 of 64 points, 32 saved"), (1e-9, "64 of 64 points spent")]
)
def test_stop_rules_speak_of_points(tolerance: float, said: str) -> None:
    game = lambda z: (z @ torch.tensor([1.0, 2.0, 3.0]).double()).square()  # noqa: E731
    found = play(game, UniformPerturbator(64), PathAggregator(), n_features=3, until=Tolerance(tolerance))
    assert any(said in note for note in found.notes) and not any("evaluations" in note for note in found.notes)


def test_an_adaptive_method_has_a_round_for_each_of_its_own() -> None:
    heard = Heard()
    game = lambda s: (s.double() @ torch.arange(6).double()).square()  # noqa: E731
    parts = NeymanPerturbator(), ComplementaryAggregator()
    result = play(game, *parts, n_features=6, budget=60, progress=False, callbacks=[heard])
    rounds = [progress.rounds for name, progress in heard.events if name == "round"]
    assert rounds == list(range(1, len(rounds) + 1)) and len(rounds) > 2
    assert heard.events[-1][1].evaluations == result.counts.paid and heard.events[-1][1].forwards == 0


def test_seconds_are_told_by_stage_and_kept_in_files(recall: Any, tmp_path: Path) -> None:
    heard = Heard()
    results = KernelShap(*recall, budget=20, callbacks=[heard], progress=False)(PROMPTS, " red")
    last = heard.events[-1][1].stages
    for result in results:
        stages = result.counts.stages
        assert min(stages.reading, stages.model, stages.aggregation) > 0
        assert result.counts.seconds == pytest.approx(stages.total)
    whole = sum(result.counts.stages.model for result in results)
    assert whole == pytest.approx(last.model) and last.reading > 0
    results[0].save(tmp_path / "result.json")
    assert Attribution.load(tmp_path / "result.json").counts == results[0].counts
    [again] = KernelShap(*recall, budget=20, progress=False)(PROMPTS[0], " red", evaluations=results[:1])
    assert again.counts.paid == 0 < again.counts.seconds
    assert Counts.from_data({"evaluations": 3}) == Counts(3)


def test_every_moment_belongs_to_one_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter([0.0, 1.0, 3.0, 7.0, 15.0])
    monkeypatch.setattr("time.perf_counter", lambda: next(now))
    watch = Stopwatch()
    watch.enter("model")
    watch.enter("aggregation")
    watch.enter("model")
    assert watch.stages == Stages(reading=1.0, model=2.0 + 8.0, aggregation=4.0)


def test_an_error_in_a_callback_ends_the_call_and_loses_nothing(recall: Any) -> None:
    class Impatient(Heard):
        def on_batch(self, progress: Progress) -> None:
            super().on_batch(progress)
            if progress.evaluations > 10:
                raise TimeoutError("long enough")

    impatient = Impatient()
    explainer = NeymanShapley(*recall, budget=60, batch_size=8, callbacks=[impatient], progress=False)
    with pytest.raises(TimeoutError, match="long enough"):
        explainer(PROMPTS[0], " red")
    assert explainer.unfinished is not None and len(explainer.unfinished[0].values) > 10
    assert impatient.events[-1][0] == "done" and not impatient.events[-1][1].finished
    [resumed] = NeymanShapley(*recall, budget=60, progress=False)(PROMPTS[0], " red", evaluations=explainer.unfinished)
    assert resumed.counts.paid == 60 - len(explainer.unfinished[0].values)


def test_the_bar_counts_evaluations_and_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    bars: list[Any] = []

    class Bar:
        def __init__(self, total: int, **_: Any):
            self.total, self.n, self.closed = total, 0, False
            bars.append(self)

        def update(self, more: int) -> None:
            self.n += more

        def close(self) -> None:
            self.closed = True

    monkeypatch.setattr("tqdm.auto.tqdm", Bar)
    game = lambda s: s.sum(1).double()  # noqa: E731
    for progress in (True, False):
        play(game, KernelPerturbator(), KernelAggregator(), n_features=8, budget=40, progress=progress)
    [bar] = bars
    assert (bar.total, bar.n, bar.closed) == (40, 40, True)
    ProgressBar().on_done(Progress())


def test_what_is_no_callback_is_refused(recall: Any) -> None:
    for wrong in (print, [print], Heard(), [Heard]):
        with pytest.raises(TypeError, match=r"callbacks must be a list of objects derived from interpreto_mllm\.Callback"):
            KernelShap(*recall, callbacks=wrong)  # type: ignore[arg-type]


def test_callbacks_and_devices_are_no_part_of_a_result(recall: Any) -> None:
    [result] = KernelShap(*recall, budget=20, callbacks=[Heard()], device="cpu", progress=False)(PROMPTS[0], " red")
    assert result.settings is not None and not {"callbacks", "device"} & result.settings.options.keys()
    [again] = KernelShap.from_settings(*recall, result.settings)(PROMPTS[0], " red")
    assert torch.equal(again.attributions, result.attributions)
