"""Methods and baselines beside each other: what each metric says of them on the same prompts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from interpreto_mllm.attribution import Attribution
from interpreto_mllm.core.shown import shown
from interpreto_mllm.explainers.base import AttributionExplainer
from interpreto_mllm.games.game import ModelGame
from interpreto_mllm.games.targets import per_input
from interpreto_mllm.metrics.baselines import LEAVE_ONE_OUT, baseline_results, leave_one_out_asking
from interpreto_mllm.metrics.catalogue import find_metric
from interpreto_mllm.metrics.evaluated_game import Asking, EvaluatedGame
from interpreto_mllm.metrics.judging import judge, like, occlusion_of, other_occlusion
from interpreto_mllm.metrics.metric import Metric
from interpreto_mllm.metrics.rows import NotApplicable, rows_of
from interpreto_mllm.metrics.scoreboard import Entry, Faithfulness
from interpreto_mllm.metrics.truth_mask import Truth
from interpreto_mllm.prompts.chat import is_chat
from interpreto_mllm.results.record import Record

USUAL = ("deletion_auc", "insertion_auc", "comprehensiveness", "sufficiency", "top_k_drop", "monotonicity", "lds", "infidelity")
"""The metrics of `faithfulness` by default, with F_syn for prompts of two modalities, and those below with truths."""
AGAINST_TRUTH = ("pointing", "precision", "rank_auc", "mass_on_truth")


def faithfulness(
    explainers: Sequence[AttributionExplainer] | Mapping[str, AttributionExplainer],
    prompts: Any,
    targets: Any = None,
    *,
    metrics: Sequence[str | Metric] | None = None,
    truths: Sequence[Truth] | None = None,
    second_occlusion: Mapping[str, Any] | Literal["other"] | None = "other",
    random_orders: int = 19,
    seed: int = 0,
) -> Faithfulness:
    """Explain prompts with several methods, and judge these beside trivial baselines.

    Every coalition of a prompt is evaluated once for all metrics, methods and baselines. Random scores, the length of features,
    their position, their distance from the centre of an image, and leave-one-out are always among the methods compared.

    Args:
        explainers: of the same features and values; or names and explainers.
        prompts, targets: as for an explainer; one target for each prompt. None: the model's own answers.
        metrics: names of metrics, or metrics of your own, that cost calls, nothing, or the truth.
        truths: for each prompt which features truly caused the answer: one bool each, or a function from a feature to a bool.
        second_occlusion: options, such as `{"occlusion": Replace("…")}`, of a second game by which everything is judged again;
            "other" for one that differs from the first; None for none.
        random_orders: how many random scores each method is compared with. To be better than random at 95 %, a method must be
            better than all of 19, or at most every twentieth of more may be as good.
        seed: of random scores and coalitions.

    Raises:
        ValueError: for explainers of different features, several targets of a prompt, or metrics that need something else.

    Example:
        >>> from interpreto_mllm import KernelShap, Lime
        >>> from interpreto_mllm.testbed import load_recall
        >>> model, tokenizer = load_recall()
        >>> prompt = "the apple is red . what is the apple ?"
        >>> found = faithfulness([KernelShap(model, tokenizer), Lime(model, tokenizer)], [prompt], metrics=["lds"])
        >>> sorted(found.values("lds"))
        ['KernelShap', 'Lime', 'leave-one-out', 'length', 'position', 'random']
    """
    named = _named(explainers)
    chosen = _chosen(metrics, truths)
    if not isinstance(random_orders, int) or random_orders < 19:
        raise ValueError(f"Better than random at 95 % takes at least 19 random orders; got {shown(random_orders)}.")
    single = not isinstance(prompts, (list, tuple)) or is_chat(prompts)
    inputs = [prompts] if single else list(prompts)
    given = [_only(rows) for rows in per_input(targets, len(inputs), single, True)]
    if truths is not None and len(truths) != len(inputs):
        raise ValueError(f"{len(inputs)} prompts but {len(truths)} truths: give one for each prompt.")
    asked = None if targets is None else given
    results = {name: explainer.explain(inputs, asked) for name, explainer in named.items()}
    judges = _judges(list(named.values()), inputs[0], given[0], second_occlusion)
    entries: list[Entry] = []
    for place, (prompt, target) in enumerate(zip(inputs, given, strict=True)):
        mine = {name: each[place] for name, each in results.items()}
        _check_alike(mine)
        for explainer in judges:
            scene = _Scene(place, explainer.game(prompt, target), mine, chosen, random_orders, seed)
            entries += scene.entries(None if truths is None else truths[place])
    return Faithfulness(tuple(entries), tuple(named), {metric.name: metric for metric in chosen}, random_orders, results)


@dataclass(frozen=True, eq=False)
class _Scene:
    """One prompt under one occlusion."""

    place: int
    game: ModelGame
    results: Mapping[str, Attribution]
    metrics: Sequence[Metric]
    random_orders: int
    seed: int

    def entries(self, truth: Truth | None) -> list[Entry]:
        """What every metric says of every method and baseline."""
        evaluated = EvaluatedGame.of(self.game, list(self.results.values()))
        trivial = baseline_results(next(iter(self.results.values())), evaluated, self.random_orders, self.seed + self.place)
        everyone: list[tuple[str, int, Record]] = [(name, 0, result) for name, result in self.results.items()]
        everyone += [(name, draw, result) for name, each in trivial.items() for draw, result in enumerate(each)]
        found = self._asked(evaluated, everyone)
        for metric in self.metrics:
            if metric.cost == "calls":
                continue
            for name, draw, result in everyone if metric.cost == "truth" else everyone[: len(self.results)]:
                try:
                    found.append((name, draw, metric, metric.compute(result, truth=truth, seed=self.seed)))
                except NotApplicable:
                    continue
        where = occlusion_of(self.game)
        return [
            Entry(self.place, where, name, draw, metric.name, number, value)
            for name, draw, metric, numbers in found
            for number, value in numbers.items()
        ]

    def _asked(
        self, evaluated: EvaluatedGame, everyone: Sequence[tuple[str, int, Record]]
    ) -> list[tuple[str, int, Metric, dict[str, float]]]:
        """The metrics that cost calls, all in the same passes."""
        labels: list[tuple[str, int, Metric]] = []
        asking: list[Asking] = []
        first = next(iter(self.results.values()))
        for metric in self.metrics:
            if metric.cost == "calls" and _applies(metric, first):
                asking += [metric.asking(result, self.seed)[0] for _, _, result in everyone]
                labels += [(name, draw, metric) for name, draw, _ in everyone]
                asking.append(leave_one_out_asking(first, evaluated, metric, self.seed))
                labels.append((LEAVE_ONE_OUT, 0, metric))
        answers = evaluated.answered(asking)
        return [(*label, numbers) for label, numbers in zip(labels, answers, strict=True)]


def _only(targets: Sequence[Any] | None) -> Any:
    """The one target of a prompt, None for the model's own answer."""
    if targets is not None and len(targets) != 1:
        raise ValueError(f"faithfulness() takes one target for each prompt; got {shown(targets)}.")
    return None if targets is None else targets[0]


def _applies(metric: Metric, result: Record) -> bool:
    """Whether a metric says anything of the prompt of a result."""
    try:
        next(metric.asking(result)[0].questions)
    except NotApplicable:
        return False
    return True


def _named(explainers: Sequence[AttributionExplainer] | Mapping[str, AttributionExplainer]) -> dict[str, AttributionExplainer]:
    """Explainers by the names of their methods, numbered where these are equal."""
    if isinstance(explainers, Mapping):
        return dict(explainers)
    given = [explainers] if isinstance(explainers, AttributionExplainer) else list(explainers)
    wrong = next((one for one in given if not isinstance(one, AttributionExplainer)), None)
    if wrong is not None or not given:
        raise TypeError(f"faithfulness() takes explainers, such as KernelShap(model, tokenizer); got {shown(wrong)}.")
    kinds = [type(one).__name__ for one in given]
    return {
        kind if kinds.count(kind) == 1 else f"{kind} {kinds[: place + 1].count(kind)}": one
        for place, (kind, one) in enumerate(zip(kinds, given, strict=True))
    }


def _chosen(metrics: Sequence[str | Metric] | None, truths: Sequence[Truth] | None) -> list[Metric]:
    usual = (*USUAL, "synergy_faithfulness", *(AGAINST_TRUTH if truths is not None else ()))
    chosen = [find_metric(one) if isinstance(one, str) else one for one in (usual if metrics is None else metrics)]
    for metric in chosen:
        if metric.cost in ("exact", "repeats") or (metric.cost == "truth" and truths is None):
            what = "truths=[...], one for each prompt" if metric.cost == "truth" else "METRICS[...].compute(...)"
            raise ValueError(f"The metric {metric.name} needs more than prompts: use {what}.")
    return chosen


def _judges(
    explainers: Sequence[AttributionExplainer], prompt: Any, target: Any, second: Mapping[str, Any] | Literal["other"] | None
) -> list[AttributionExplainer]:
    """The explainers whose games judge: of the first occlusion, and of the second."""
    own = judge(explainers)
    if second is None:
        return [own]
    options = other_occlusion(own, own.game(prompt, target)) if second == "other" else dict(second)
    return [own, like(own, options)]


def _check_alike(results: Mapping[str, Attribution]) -> None:
    """Raise a ValueError for results over different features, or of several answers."""
    features = {name: [(one.text, one.spans, one.pieces) for one in result.features] for name, result in results.items()}
    first = next(iter(results))
    for name, result in results.items():
        if features[name] != features[first]:
            raise ValueError(f"{first} and {name} have different features: give all methods the same options.")
        if len(rows_of(result)) != 1:
            raise ValueError(
                f"{name} explains {result.t} targets of a prompt: faithfulness() takes one target for each prompt."
            )
