"""What an explainer needs for gradients: checks of its model and options, and the games whose features are present in part."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import fields
from typing import Any

import torch

from interpreto_mllm.adapters.base import ModelAdapter
from interpreto_mllm.adapters.local import LocalAdapter
from interpreto_mllm.adapters.presences import Presences, Whereabouts
from interpreto_mllm.adapters.remote.model import RemoteModel
from interpreto_mllm.engine.backward_rules import BackwardRules
from interpreto_mllm.explainers.options import Settings
from interpreto_mllm.games.modes import InferenceModes
from interpreto_mllm.perturbators.gradient import GradientPerturbator, InputPerturbator
from interpreto_mllm.perturbators.perturbator import Perturbator
from interpreto_mllm.prompts.occlusion import Replace
from interpreto_mllm.prompts.prompt import Prompt
from interpreto_mllm.similarity.response_similarity import ResponseSimilarity

OPTIONS = ("baseline", "layer", "whole_answer", "batched_rows", "gradient_checkpointing")
"""Those of gradient methods alone."""


def check_gradients(model: Any, mode: Any, perturbator: Perturbator, settings: Settings, method: str) -> None:
    """Raise a ValueError for a model, a value function or options that a method cannot be used with."""
    if not isinstance(perturbator, GradientPerturbator):
        defaults = {field.name: field.default for field in fields(Settings)}
        given = [name for name in OPTIONS if getattr(settings, name) is not defaults[name]]
        if given:
            raise ValueError(
                f"{given[0]} is an option of gradient methods such as IntegratedGradients, and {method} evaluates coalitions: "
                "leave it out. (Their occlusion says what stands for absent features; explanation.span() joins rows.)"
            )
        return
    if isinstance(model, RemoteModel):
        raise ValueError(
            f"{method} needs gradients, which a served model does not give: load the model with transformers, or use a method "
            "that evaluates coalitions, such as KernelShap."
        )
    if mode is InferenceModes.KL and isinstance(perturbator, InputPerturbator):
        raise ValueError(
            f"KL compares with the prediction after the whole prompt, where its gradient is zero, and {method} takes the "
            "gradient there: use IntegratedGradients, GradientShap or a method that evaluates coalitions, such as KernelShap."
        )
    if settings.num_trials > 1:
        raise ValueError(
            f"num_trials repeats the sampling of coalitions, of which {method} has none: give more points instead, by its own "
            "arguments or budget=...."
        )
    if isinstance(mode, ResponseSimilarity):
        raise ValueError(
            f"{method} needs gradients, and answers that are generated anew have none: use InferenceModes.LOGITS, SOFTMAX or "
            "LOG_SOFTMAX, a callable of differentiable operations, or a method that evaluates coalitions, such as KernelShap."
        )
    if settings.occlusion is not None and not isinstance(settings.occlusion, Replace):
        raise ValueError(
            f"{method} moves embeddings, and {settings.occlusion!r} has none in the place of what is absent: give `baseline`, "
            "or Replace(...) as the occlusion."
        )
    if settings.occlusion is not None and settings.baseline is not None:
        raise ValueError("Give either baseline or occlusion=Replace(...): both say what the features of a text move from.")


@contextmanager
def working(adapter: ModelAdapter[Any], presences: Presences | None) -> Iterator[None]:
    """Within, the model may be used, and gradients may be taken where a method needs them, also under torch.inference_mode."""
    with nullcontext() if presences is None else torch.inference_mode(False), adapter.preserved_state():
        yield


def presences_for(
    adapter: ModelAdapter[Any],
    perturbator: Perturbator,
    settings: Settings,
    rules: BackwardRules,
    read: Callable[[Any], list[Prompt]],
) -> Presences | None:
    """What makes games of presences, None for methods that evaluate coalitions.

    Raises:
        ValueError: for a model of which no gradients can be taken, or a layer that it does not have.
    """
    if not isinstance(perturbator, GradientPerturbator):
        return None
    assert isinstance(adapter, LocalAdapter)
    given = settings.baseline if settings.baseline is not None else settings.occlusion
    where = Whereabouts(
        perturbator.start if given is None else given,  # type: ignore[arg-type]
        settings.layer,
        settings.whole_answer or settings.rows == "answer",
        settings.batched_rows,
        settings.gradient_checkpointing,
        rules,
        settings.seed,
    )
    return Presences(adapter, where, lambda given: read(given)[0])
