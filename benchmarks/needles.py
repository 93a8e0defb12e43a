"""Which of many sentences holds the fact that a real model answers with: needles in haystacks, at equal numbers of evaluations.

    python benchmarks/sources.py --needles 20 100 400 --contexts 20 10 3 [--peers 20 4 1] [--out FOLDER]

Among n short sentences one, the needle, answers the question; kept are contexts in which SmolLM2-135M-Instruct answers right.
The sentences are the features, under Drop(). Measured for each method, with n evaluations, 28 at least and 100 at most: whether
the needle comes first, or among the first three; the fall of the answer's log-probability without the strongest one and three;
the rank correlation with held-out values of coin flips (LDS) of what the method predicts, by its process if it has one, and of
the sums of its scores; tokens that the model reads, also as a share of those of a plain forward for each evaluation, and of a
forward of the whole prompt for each; and CPU seconds.

What `explain()` chooses is the Gaussian process over balanced coalitions among 20 sentences, and `ScreenedShapley` among more.
Beside it: ContextCite's Lasso (Cohen-Wang et al. 2024), leaving out one sentence at a time, TokenSHAP's mean with a sentence
minus the mean without it, over ContextCite's coin flips, and FlashTrace if it is installed. With `--peers`, the others run in
so many contexts, over which all columns but those of recall are means; elsewhere `explain()` and FlashTrace run, and nothing is
held out. Every round of evaluations is kept in the folder `needles`, and never repeated, so that a stopped run goes on where it
was.
"""

from __future__ import annotations

import json
import statistics
import time
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import count as numbers
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from haystacks import Needle, make_needle
from report import Report
from torch import Tensor

from interpreto_mllm import Attribution, KernelShap
from interpreto_mllm.aggregators import (
    BanzhafAggregator,
    GaussianProcessAggregator,
    LassoAggregator,
    LeaveOneOutAggregator,
    ScreenedAggregator,
)
from interpreto_mllm.engine.call import new_call
from interpreto_mllm.explainers.auto import MOST_BALANCED_FEATURES
from interpreto_mllm.explainers.play import play
from interpreto_mllm.games.game import ModelGame
from interpreto_mllm.gaussian.fit import fit_kernel
from interpreto_mllm.gaussian.observations import Observations
from interpreto_mllm.gaussian.posterior import Posterior
from interpreto_mllm.metrics.correlations import spearman
from interpreto_mllm.perturbators import (
    BalancedPerturbator,
    BernoulliPerturbator,
    OcclusionPerturbator,
    ScreeningPerturbator,
)

HELD_OUT, MOST_LEFT_OUT, ANSWER_TOKENS = 64, 200, 16
"""Coalitions that judge, half as many in long contexts; sentences up to which each is left out in turn; tokens of an answer."""
SAMPLED_AT_ONCE = 8
"""Coalitions that are evaluated, and kept, together where they share nothing."""


class Rounds:
    """The values of a game, the log-probability of the whole answer, and what each round of them cost; kept in a file."""

    def __init__(self, game: ModelGame, path: Path, at_once: int):
        self.game, self.path, self.at_once = game, path, at_once
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = path.read_text().splitlines() if path.exists() else []
        self.rounds = [json.loads(line) for line in lines if line.endswith("}")]
        self.known = {key: value for one in self.rounds for key, value in zip(one["keys"], one["values"], strict=True)}

    def __call__(self, coalitions: Tensor) -> Tensor:
        keys = ["".join(map(str, row)) for row in coalitions.int().tolist()]
        new = [key for key in dict.fromkeys(keys) if key not in self.known]
        for some in (new[start : start + self.at_once] for start in range(0, len(new), self.at_once)):
            rows = torch.tensor([[digit == "1" for digit in key] for key in some])
            counter, started = self.game.scorer.counter, time.process_time()
            before = counter.tokens
            values = self.game(rows).sum(1).tolist()
            cost = {"tokens": counter.tokens - before, "seconds": time.process_time() - started}
            queries: Any = self.game.queries(rows)
            plain = sum(query.length for [query] in queries)
            self.rounds.append({"keys": some, "values": values, "plain": plain} | cost)
            with self.path.open("a") as file:
                file.write(json.dumps(self.rounds[-1]) + "\n")
            self.known |= dict(zip(some, values, strict=True))
        return torch.tensor([self.known[key] for key in keys], dtype=torch.float64)

    def total(self, name: str) -> float:
        """Tokens, plain tokens or seconds of all rounds."""
        return sum(one[name] for one in self.rounds)


def game_of(model: Any, tokenizer: Any, needle: Needle) -> ModelGame | None:
    """The game of a context's sentences; None where the model's answer is wrong."""
    text = " ".join(needle.sentences)

    def sources(prompt: str) -> list[tuple[int, int]]:
        spans, start = [], prompt.index(text)
        for sentence in needle.sentences:
            spans.append((start, start + len(sentence)))
            start += len(sentence) + 1
        return spans

    size = 4 if len(needle.sentences) > 200 else 16
    options: dict[str, Any] = {"granularity": sources, "generate": {"max_new_tokens": ANSWER_TOKENS}, "batch_size": size}
    explainer = KernelShap(model, tokenizer, progress=False, **options)
    game = explainer.game([{"role": "user", "content": f"Context: {text}\n\nQuery: {needle.question}"}])
    return game if needle.answer.lower() in "".join(game.question.labels).lower() else None


def logits(values: Tensor) -> Tensor:
    """Of probabilities that are given by their logarithms."""
    return values - torch.log(-torch.expm1(values.clamp(max=-1e-12)))


@dataclass(frozen=True)
class Found:
    """What a method says of the sentences, from how many evaluations, and what these cost."""

    method: str
    scores: Tensor
    evaluations: int
    cost: dict[str, float]
    process: Posterior | None = None

    @classmethod
    def of(cls, method: str, result: Attribution, rounds: Rounds, process: Posterior | None = None) -> Found:
        cost = {name: rounds.total(name) for name in ("tokens", "plain", "seconds")}
        return cls(method, result.attributions[0], result.counts.evaluations, cost, process)

    def predicted(self, coalitions: Tensor) -> Tensor:
        """Values of coalitions: the mean of the process if there is one, else the sums of the scores."""
        if self.process is None:
            return coalitions.double() @ self.scores
        return self.process.predict(coalitions.double() * 2 - 1)[:, 0]


def process_of(result: Attribution) -> Posterior:
    """The Gaussian process conditioned on the evaluations of a result."""
    observations = Observations.of_coalitions(result.evaluations.coalitions, result.evaluations.values)
    return Posterior(fit_kernel(observations), observations)


def results(game: ModelGame, folder: Path, most: int, peers: bool) -> Iterator[Found]:
    """What each method finds."""
    n, tokens = game.n, len(game.question.labels)
    budget = max(min(n, most), ScreeningPerturbator().minimum_budget(n))
    options: dict[str, Any] = {"n_features": n, "progress": False, "budget": budget}
    screens = n > MOST_BALANCED_FEATURES
    rounds = Rounds(game, folder / f"{'screened' if screens else 'balanced'}.jsonl", n)
    with new_call():
        if screens:
            ours = play(rounds, ScreeningPerturbator(), ScreenedAggregator(), **options)
        else:
            ours = play(rounds, BalancedPerturbator(), GaussianProcessAggregator(), **options)
    yield Found.of("explain()", ours, rounds, None if screens else process_of(ours))
    if not peers:
        return
    rounds = Rounds(game, folder / "coin-flips.jsonl", SAMPLED_AT_ONCE)
    flips = BernoulliPerturbator(paired=False)
    lasso = play(lambda rows: logits(rounds(rows)), flips, LassoAggregator(0.01 * tokens), **options)
    yield Found.of("ContextCite's Lasso", lasso, rounds)
    yield Found.of("TokenSHAP's difference of means", play(rounds, flips, BanzhafAggregator(), **options), rounds)
    if n <= MOST_LEFT_OUT:
        rounds = Rounds(game, folder / "leave-one-out.jsonl", n)
        everything: dict[str, Any] = options | {"budget": n + 2}
        yield Found.of("leave-one-out", play(rounds, OcclusionPerturbator(), LeaveOneOutAggregator(), **everything), rounds)


def all_results(model: Any, tokenizer: Any, game: ModelGame, folder: Path, most: int, peers: bool) -> Iterator[Found]:
    """The same, and what FlashTrace finds, which is a method for one model and not for a game."""
    yield from results(game, folder, most, peers)
    if game.n <= MOST_LEFT_OUT and find_spec("flashtrace") is not None:
        yield flash_trace(model, tokenizer, game, folder / "flash-trace.json")


def flash_trace(model: Any, tokenizer: Any, game: ModelGame, path: Path) -> Found:
    """FlashTrace's scores of the sentences, the sums of those of their tokens; kept in a file."""
    if not path.exists():
        from flashtrace import FlashTrace  # pyright: ignore[reportMissingImports]

        text, answer, started = game.prompt.text, "".join(game.question.labels), time.process_time()
        usual = model.config._attn_implementation
        model.set_attn_implementation("eager")  # it reads attentions
        try:
            trace = FlashTrace(model, tokenizer).trace(prompt=text, target=answer)
        finally:
            model.set_attn_implementation(usual)
        read = len(trace.prompt_tokens) + len(trace.generation_tokens)
        cost = {"tokens": read, "plain": read, "seconds": time.process_time() - started}
        pairs = [(token, float(score)) for token, score in zip(trace.prompt_tokens, trace.scores, strict=True)]
        path.write_text(json.dumps({"pairs": pairs, "cost": cost}))
    kept = json.loads(path.read_text())
    scores, at = torch.zeros(game.n, dtype=torch.float64), 0
    for token, score in kept["pairs"]:
        middle = at + len(token) / 2
        for place, feature in enumerate(game.features):
            scores[place] += score * (feature.spans[0][0] <= middle < feature.spans[0][1])
        at += len(token)
    return Found("FlashTrace", scores, 1, kept["cost"])


def measure(game: ModelGame, needle: Needle, folder: Path, found: Iterator[Found], judged: bool) -> Iterator[dict[str, Any]]:
    """A record for each method; without `judged` there are no held-out values."""
    n = game.n
    judging = Rounds(game, folder / "held-out.jsonl", SAMPLED_AT_ONCE)
    count = 0 if not judged else HELD_OUT if n <= MOST_LEFT_OUT else HELD_OUT // 2
    held_out = torch.rand(count, n, generator=torch.Generator().manual_seed(1000)) < 0.5
    truth, full = judging(held_out), torch.ones(1, n, dtype=torch.bool)
    queries: Any = game.queries(full)
    for one in found:
        order = one.scores.argsort(descending=True, stable=True)
        record = {"context": needle.name, "judged": judged, "n": n, "method": one.method, "evaluations": one.evaluations}
        for k in (1, 3):
            without = full.clone()
            without[0, order[:k]] = False
            record[f"drop@{k}"] = float(judging(full) - judging(without))
            record[f"top-{k}"] = float(needle.place in order[:k].tolist())
        if judged:
            record["lds"] = spearman(truth, one.predicted(held_out))
            record["lds of sums"] = spearman(truth, held_out.double() @ one.scores)
        yield record | {"whole": queries[0][0].length} | one.cost


RECALL: dict[str, Callable[[Sequence[dict[str, Any]]], str]] = {
    "needle first": lambda some: f"{sum(one['top-1'] for one in some):.0f} of {len(some)}",
    "in the top 3": lambda some: f"{sum(one['top-3'] for one in some):.0f} of {len(some)}",
}
"""Of all contexts."""
COLUMNS: dict[str, Callable[[Sequence[dict[str, Any]]], str]] = {
    "drop@1": lambda some: f"{statistics.fmean(one['drop@1'] for one in some):.2f}",
    "drop@3": lambda some: f"{statistics.fmean(one['drop@3'] for one in some):.2f}",
    "LDS": lambda some: f"{statistics.fmean(one['lds'] for one in some):.3f}",
    "LDS of sums": lambda some: f"{statistics.fmean(one['lds of sums'] for one in some):.3f}",
    "evaluations": lambda some: f"{statistics.fmean(one['evaluations'] for one in some):.0f}",
    "tokens": lambda some: f"{statistics.fmean(one['tokens'] for one in some):,.0f}",
    "of plain forwards": lambda some: f"{sum(one['tokens'] for one in some) / sum(one['plain'] for one in some):.0%}",
    "of whole prompts": lambda some: (
        f"{statistics.fmean(one['tokens'] / one['evaluations'] / one['whole'] for one in some):.0%}"
    ),
    "CPU seconds": lambda some: f"{statistics.fmean(one['seconds'] for one in some):.0f}",
}
"""Of the contexts in which all methods run."""


def show(records: Sequence[dict[str, Any]], report: Report) -> None:
    """A table for each number of sentences."""
    for n in dict.fromkeys(record["n"] for record in records):
        of_size = [record for record in records if record["n"] == n]
        rows = []
        for method in dict.fromkeys(record["method"] for record in of_size):
            some = [record for record in of_size if record["method"] == method]
            judged = [record for record in some if record["judged"]]
            means = [column(judged) if judged else "–" for column in COLUMNS.values()]
            rows.append([method, *(column(some) for column in RECALL.values()), *means])
        contexts, judged = ({record["context"] for record in of_size if record["judged"] >= least} for least in (False, True))
        title = f"needles in {n} sentences, {len(contexts)} contexts, all methods in {len(judged)}"
        report.add(title, [*RECALL, *COLUMNS], rows, f"{n} sentences")


def run(model: Any, tokenizer: Any, arguments: Namespace, out: Path) -> None:
    """Measure so many contexts of each size in which the model answers right."""
    records: list[dict[str, Any]] = []
    sizes = len(arguments.needles)
    contexts = (arguments.contexts * sizes)[:sizes]
    peers = contexts if arguments.peers is None else (arguments.peers * sizes)[:sizes]
    for n, count, all_methods in zip(arguments.needles, contexts, peers, strict=True):
        for needle, game in islice(answered(model, tokenizer, n), count):
            folder, judged = out / "needles" / needle.name, all_methods > 0
            all_methods -= 1
            found = all_results(model, tokenizer, game, folder, arguments.evaluations, judged)
            for record in measure(game, needle, folder, found, judged):
                records.append(record)
                print(json.dumps(record), flush=True)
    report = Report("needles", out)
    show(records, report)
    report.save()


def answered(model: Any, tokenizer: Any, n: int) -> Iterator[tuple[Needle, ModelGame]]:
    """The contexts in which the model answers right, without end."""
    for seed in numbers():
        needle = make_needle(n, seed)
        game = game_of(model, tokenizer, needle)
        if game is not None:
            yield needle, game
