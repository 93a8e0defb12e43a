"""Questions to results, and parts of answers, that are refused."""

from __future__ import annotations

from typing import Any

from support.refusals.row import SKY, Row, bpe, explain, llama

from interpreto_mllm import (
    AnswerSpan,
    Attribution,
    Contrast,
    ExactShapley,
    InferenceModes,
    KernelShap,
    Lime,
    Occlusion,
    Ridge,
    TopPairs,
    play,
)
from interpreto_mllm.aggregators import KernelAggregator
from interpreto_mllm.perturbators import KernelPerturbator


def first(word: str = " x", method: Any = ExactShapley, **options: Any) -> Attribution:
    """A small result."""
    return method(llama(), bpe(), progress=False, **options)(SKY, word)[0]


def thousand() -> Attribution:
    """A result of a thousand features."""
    game = lambda coalitions: coalitions[:, 0].double()  # noqa: E731
    return play(game, KernelPerturbator(), KernelAggregator(), n_features=1000, budget=1002, progress=False)


READINGS = [
    Row("interactions of four features", lambda: first().interactions(order=4), "order must be 2 (pairs", after=True),
    Row("an unknown index", lambda: first().interactions(index="Shapley"), "index must be one of 'SII'", after=True),
    Row(
        "more of the strongest pairs than there are",
        lambda: first().interactions(top=7),
        "top must be from 1 to 6, the number of pairs of 4 features; got 7",
        after=True,
    ),
    Row(
        "interactions that cannot be held",
        lambda: thousand().interactions(order=3),
        "166,167,000 triples of 1,000 features for 1 target take 6.6 GB: ask for the strongest with top=100",
    ),
    Row(
        "triples from coalitions that follow a fixed rule",
        lambda: first(method=Occlusion).interactions(order=3),
        "explain with GaussianProcessShapley or KernelShap",
        after=True,
    ),
    Row(
        "a block of a modality that is not there",
        lambda: first().interactions().between("text", "image"),
        "No feature is 'image'; there are 'text'",
        after=True,
    ),
    Row(
        "a block of groups that share a feature",
        lambda: first().interactions().between([0, 1], [1, 2]),
        "Groups must not share features",
        after=True,
    ),
    Row(
        "a matrix of triples",
        lambda: first().interactions(order=3).plot(kind="matrix"),
        "plot kind='bars' or kind='network'",
        after=True,
    ),
    Row("`TopPairs` of no pair", lambda: TopPairs(0), "TopPairs takes a number of pairs of at least 1"),
    Row("another kind of rows", lambda: explain(SKY, rows="words"), "rows must be 'tokens' or 'answer'"),
    Row(
        "a span of several answers",
        lambda: KernelShap(llama(), bpe(), budget=12)(SKY, [" a b", " c"])[0].span(),
        "span() joins tokens of one answer, and rows 0:4 are of several",
        after=True,
    ),
    Row(
        "a part that is not in the answer",
        lambda: AnswerSpan("the sky is blue", "green"),
        "The span 'green' does not occur in the answer",
    ),
    Row(
        "a part that is there twice",
        lambda: AnswerSpan("red red", "red"),
        "occurs 2 times in the answer 'red red': give (start, end)",
    ),
    Row(
        "a part of an answer where whole answers are compared",
        lambda: KernelShap(llama(), bpe(), inference_mode=InferenceModes.SIMILARITY)(SKY, AnswerSpan("a b", "a")),
        "parts are of the log-probabilities of answers; give the whole target",
        TypeError,
    ),
    Row(
        "log-probabilities from logits",
        lambda: first(inference_mode=InferenceModes.LOGITS).rescore(InferenceModes.LOG_SOFTMAX),
        "from which log-probabilities do not follow: explain again",
        after=True,
    ),
    Row(
        "probabilities from a contrast",
        lambda: first(Contrast(" x", " y")).rescore(InferenceModes.SOFTMAX),  # type: ignore[arg-type]
        "differences or values of several kinds",
        after=True,
    ),
    Row("a ridge below zero", lambda: Ridge(llama(), bpe(), penalty=-1), "penalty must be a number, at least 0"),
    Row(
        "a class where a surrogate is meant",
        lambda: Lime(llama(), bpe(), surrogate=KernelAggregator),  # type: ignore[arg-type]
        "surrogate must be a callable from presences, values and weights",
        TypeError,
    ),
    Row(
        "a surrogate that gives something else",
        lambda: first(method=Lime, surrogate=lambda present, values, weights: values),
        "gives one number for each of the 4 features",
        after=True,
    ),
]
