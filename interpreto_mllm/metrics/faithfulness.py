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
from interpreto_mllm.metrics.baselines import baseline_results
from interpreto_mllm.metrics.catalogue import find_metric
from interpreto_mllm.metrics.evaluated_game import Asking, EvaluatedGame
from interpreto_mllm.metrics.judging import judge, like, occlusion_of, other_occlusion, other_seeds
from interpreto_mllm.metrics.metric import Metric
from interpreto_mllm.metrics.rows import NotApplicable, rows_of
from interpreto_mllm.metrics.scoreboard import Entry, Faithfulness
from interpreto_mllm.metrics.truth_mask import Truth
from interpreto_mllm.prompts.chat import is_chat
from interpreto_mllm.results.record import Record

USUAL = ("deletion_auc", "insertion_auc", "comprehensiveness", "sufficiency", "top_k_drop", "monotonicity", "lds", "infidelity")
"""The metrics of `faithfulness` by default, with F_syn for prompts of two modalities, and those below with truths."""
PARAPHRASES = "paraphrase_sensitivity"
AGAINST_TRUTH = ("pointing", "precision", "rank_auc", "mass_on_truth")


def faithfulness(
    explainers: Sequence[AttributionExplainer] | Mapping[str, AttributionExplainer],
    prompts: Any,
    targets: Any = None,
    *,
    metrics: Sequence[str | Metric] | None = None,
    truths: Sequence[Truth] | None = None,
    paraphrases: Sequence[Sequence[Any]] | None = None,
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
        metrics: names of metrics, or metrics of your own, all but those against exact values. `seed_sensitivity` explains again
            with two further seeds.
        truths: for each prompt which features truly caused the answer: one bool each, or a function from a feature to a bool.
        paraphrases: for each prompt other ways to say it, for `paraphrase_sensitivity`.
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
    chosen = _chosen(metrics, truths, paraphrases)
    if not isinstance(random_orders, int) or random_orders < 19:
        raise ValueError(f"Better than random at 95 % takes at least 19 random orders; got {shown(random_orders)}.")
    single = not isinstance(prompts, (list, tuple)) or is_chat(prompts)
    inputs = [prompts] if single else list(prompts)
    given = [_only(rows) for rows in per_input(targets, len(inputs), single, True)]
    for what, each in (("truths", truths), ("paraphrases", paraphrases)):
        if each is not None and len(each) != len(inputs):
            raise ValueError(f"{len(inputs)} prompts but {len(each)} {what}: give one for each prompt.")
    asked = None if targets is None else given
    results = {name: explainer.explain(inputs, asked) for name, explainer in named.items()}
    repeated = _repeated(named, inputs, given, asked, results, chosen, paraphrases)
    judges = _judges(list(named.values()), inputs[0], given[0], second_occlusion)
    entries: list[Entry] = []
    for place, (prompt, target) in enumerate(zip(inputs, given, strict=True)):
        mine = {name: each[place] for name, each in results.items()}
        _check_alike(mine)
        again = {key: each[place] for key, each in repeated.items()}
        games = {occlusion_of(game): game for game in (explainer.game(prompt, target) for explainer in judges[::-1])}
        for game in [*games.values()][::-1]:
            scene = _Scene(place, game, mine, again, chosen, random_orders, seed)
            entries += scene.entries(None if truths is None else truths[place])
    return Faithfulness(tuple(entries), tuple(named), {metric.name: metric for metric in chosen}, random_orders, results)


@dataclass(frozen=True, eq=False)
class _Scene:
    """One prompt under one occlusion."""

    place: int
    game: ModelGame
    results: Mapping[str, Attribution]
    repeated: Mapping[tuple[str, str], Sequence[Attribution]]
    metrics: Sequence[Metric]
    random_orders: int
    seed: int

    def entries(self, truth: Truth | None) -> list[Entry]:
        """What every metric says of every method and baseline."""
        evaluated = EvaluatedGame.of(self.game, list(self.results.values()))
        trivial = baseline_results(next(iter(self.results.values())), evaluated, self.random_orders, self.seed + self.place)
        everyone: list[tuple[str, int, Record]] = [(name, 0, rows_of(result)[0]) for name, result in self.results.items()]
        everyone += [(name, draw, result) for name, each in trivial.items() for draw, result in enumerate(each)]
        found = self._asked(evaluated, everyone)
        for metric in self.metrics:
            if metric.cost == "calls":
                continue
            for name, draw, result in everyone if metric.cost == "truth" else everyone[: len(self.results)]:
                try:
                    again = self.repeated.get((metric.name, name), ())
                    found.append((name, draw, metric, metric.compute(result, truth=truth, repeated=again)))
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
        """The metrics that cost calls, all in one pass."""
        labels: list[tuple[str, int, Metric]] = []
        asking: list[Asking] = []
        for metric in (metric for metric in self.metrics if metric.cost == "calls"):
            able = [each for each in everyone if _applies(metric, each[2])]
            asking += [metric.asking(result, self.seed)[0] for _, _, result in able]
            labels += [(name, draw, metric) for name, draw, _ in able]
        answers = evaluated.answered(asking)
        return [(*label, numbers) for label, numbers in zip(labels, answers, strict=True)]


def _only(targets: Sequence[Any] | None) -> Any:
    """The one target of a prompt, None for the model's own answer."""
    if targets is not None and len(targets) != 1:
        raise ValueError(f"faithfulness() takes one target for each prompt; got {shown(targets)}.")
    return None if targets is None else targets[0]


def _applies(metric: Metric, result: Record) -> bool:
    """Whether a metric says anything of a result."""
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


def _repeated(
    explainers: Mapping[str, AttributionExplainer],
    inputs: Sequence[Any],
    given: Sequence[Any],
    asked: Any,
    results: Mapping[str, Sequence[Attribution]],
    metrics: Sequence[Metric],
    paraphrases: Sequence[Sequence[Any]] | None,
) -> dict[tuple[str, str], list[list[Attribution]]]:
    """The further explanations of each prompt that metrics need, by the names of the metric and the method."""
    found = {}
    for metric in (metric for metric in metrics if metric.cost == "repeats"):
        for name, explainer in explainers.items():
            if metric.name == PARAPHRASES and paraphrases is not None:
                ways = zip(paraphrases, given, strict=True)
                found[metric.name, name] = [explainer.explain(list(each), [target] * len(each)) for each, target in ways]
            else:
                found[metric.name, name] = other_seeds(explainer, inputs, asked, results[name])
    return found


def _chosen(
    metrics: Sequence[str | Metric] | None, truths: Sequence[Truth] | None, paraphrases: Sequence[Sequence[Any]] | None
) -> list[Metric]:
    usual = (*USUAL, "synergy_faithfulness", *(AGAINST_TRUTH if truths is not None else ()))
    chosen = [find_metric(one) if isinstance(one, str) else one for one in (usual if metrics is None else metrics)]
    for metric in chosen:
        needs = {"truth": "truths=[...], one for each prompt", "exact": "METRICS[...].compute(..., exact=...)"}
        needs |= {"repeats": "paraphrases=[[...], ...], some for each prompt"} if metric.name == PARAPHRASES else {}
        given = (metric.cost == "truth" and truths is not None) or (metric.cost == "repeats" and paraphrases is not None)
        if metric.cost in needs and not given:
            raise ValueError(f"The metric {metric.name} needs more than prompts: use {needs[metric.cost]}.")
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
