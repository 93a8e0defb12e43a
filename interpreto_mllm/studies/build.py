"""From a run to its parts: the explainer on a loaded model, and the explanation of a sample."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from interpreto_mllm.attribution import Attribution
from interpreto_mllm.core.callbacks import Callback
from interpreto_mllm.explainers.base import AttributionExplainer
from interpreto_mllm.games.game import ModelGame
from interpreto_mllm.perturbators.gradient import GradientPerturbator
from interpreto_mllm.similarity.tf_idf import TfIdfCosine
from interpreto_mllm.studies.data import Sample, corpus
from interpreto_mllm.studies.methods import find_method, resolved_method
from interpreto_mllm.studies.models import Loaded, ModelProblem, load_model
from interpreto_mllm.studies.options import explainer_options, is_corpus_measure
from interpreto_mllm.studies.spec import MethodSpec, RunSpec

__all__ = ["ModelProblem", "build_explainer", "explain_sample", "load_model", "method_explainer", "sample_game"]


def build_explainer(run: RunSpec, model: Loaded, callbacks: Sequence[Callback] = ()) -> AttributionExplainer:
    """The explainer of a run.

    Args:
        run: it.
        model: as `load_model` gives it.
        callbacks: told of each round and batch.

    Raises:
        TypeError, ValueError: for a method or options that do not go with the model.

    Example:
        >>> from interpreto_mllm.studies.config import Study
        >>> study = dict(name="demo", model="shipped:text", data="shipped:text", method="limited_cc", budget=40)
        >>> [run] = Study.from_values(study).runs()
        >>> explainer = build_explainer(run, load_model(run.model))
        >>> explain_sample(explainer, run, Sample("0", "the apple is red . what is the apple ?", "red")).method
        'ComplementaryShapley'
    """
    texts = corpus(run.data) if is_corpus_measure(run.method.call.get("similarity")) else None
    return method_explainer(run.method, run.seed, *model, callbacks=callbacks, texts=texts)


def method_explainer(
    method: MethodSpec,
    seed: int,
    model: Any,
    processor: Any = None,
    *,
    progress: bool = False,
    callbacks: Sequence[Callback] = (),
    texts: TfIdfCosine | None = None,
) -> AttributionExplainer:
    """The explainer of a method on a model.

    Args:
        method: with its arguments and options.
        seed: of all randomness.
        model, processor: as `load_model` gives them.
        progress: whether a bar is shown.
        callbacks: told of each round and batch.
        texts: tf–idf over the words of the data, where the similarity asks for it.
    """
    method = resolved_method(method)
    options: dict[str, Any] = {**explainer_options(method.call, seed, texts), "progress": progress, "callbacks": callbacks}
    return find_method(method.name)(model, processor, **method.arguments, **options)  # pyright: ignore[reportCallIssue]


def explain_sample(
    explainer: AttributionExplainer, run: RunSpec, sample: Sample, checkpoint: str | os.PathLike[str] | None = None
) -> Attribution:
    """The explanation of a sample, on the scale of the run's normaliser if it has one.

    Args:
        explainer: of the run.
        run, sample: which.
        checkpoint: a file that keeps the evaluations; gradient methods keep none.

    Raises:
        TypeError, ValueError: for a sample that cannot be explained.
    """
    _check(sample)
    kept = None if isinstance(explainer.perturbator, GradientPerturbator) else checkpoint
    [explanation] = explainer.explain(sample.inputs, sample.targets, checkpoint=kept)
    normaliser = run.method.call.get("normaliser")
    return explanation if normaliser is None else explanation.normalized(str(normaliser))


def sample_game(explainer: AttributionExplainer, sample: Sample) -> ModelGame:
    """The game of a sample.

    Raises:
        TypeError, ValueError: for a sample that cannot be explained.
    """
    _check(sample)
    return explainer.game(sample.inputs, sample.targets)


def _check(sample: Sample) -> None:
    if sample.problem is not None:
        raise ValueError(sample.problem)
