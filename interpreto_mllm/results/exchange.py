"""Results in the forms of shap and captum."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from interpreto_mllm.core.labels import joined
from interpreto_mllm.core.optional import optional
from interpreto_mllm.media import Picture
from interpreto_mllm.results.record import Record


def to_shap(record: Record, image: int | None = None) -> Any:
    """A `shap.Explanation` of the features, or of the pixels of one image.

    Args:
        record: the result.
        image: number of the image among the images of the prompt, from 0.

    Raises:
        ImportError: without shap.
        ValueError: when there is no such image.
    """
    shap = optional("shap", "to_shap()", "interop")
    several = record.t > 1
    base = record.empty.numpy() if several else float(record.empty[0])
    names = list(record.targets) if several else None  # shap takes no name of a single one
    if image is not None:
        values, shown = _pixels(record, image)
        values = rearrange(values, "t height width -> 1 height width 1 t") if several else rearrange(values, "1 h w -> 1 h w 1")
        return shap.Explanation(values, base_values=np.array([base]), data=shown[None], output_names=names)
    errors = record.standard_errors
    return shap.Explanation(
        _last(record.attributions, several),
        base_values=base,
        data=np.array([f"{feature.text} " for feature in record.features]),
        feature_names=[feature.text for feature in record.features],
        output_names=names,
        error_std=None if errors is None else _last(errors, several),
        compute_time=record.counts.seconds,
    )


def _last(scores: Float[Tensor, "t n"], several: bool) -> np.ndarray:
    """The scores as shap has them: targets last, and no axis for a single one."""
    return scores.double().T.numpy() if several else scores[0].double().numpy()


def _pixels(record: Record, image: int) -> tuple[np.ndarray, np.ndarray]:
    """The score of each target at each pixel, and the pixels. The score of a feature is spread evenly over its pixels."""
    places = [place for place, medium in enumerate(record.media) if isinstance(medium, Picture)]
    if not 0 <= image < len(places):
        raise ValueError(f"There is no image {image}: the prompt has {len(places)}, from 0.")
    picture = record.media[places[image]]
    assert isinstance(picture, Picture)
    shown = np.asarray(picture.image)
    scores = np.zeros((record.t, *shown.shape[:2]))
    for index, feature in enumerate(record.features):
        masks = [picture.masks[piece] for medium, piece in feature.pieces if medium == places[image]]
        if masks:
            covered = np.any(masks, axis=0)
            scores[:, covered] += record.attributions[:, index].double().numpy()[:, None] / covered.sum()
    return scores, shown


def to_captum(record: Record, target: int | None = None) -> Any:
    """A `captum.attr.LLMAttributionResult`, with its plots.

    Args:
        record: the result.
        target: the row that is its sequence; the whole answer when None.

    Raises:
        ImportError: without captum.
        ValueError: for a result of several classes or answers without a `target`, or when there is no such one.
    """
    captum = optional("captum.attr", "to_captum()", "interop")
    of_tokens = record.unit == "token" and target is None
    if target is None and record.t > 1 and not of_tokens:
        raise ValueError(f"This result has {record.t} targets that are no tokens of one answer: give target, from 0.")
    if target is not None and not 0 <= target < record.t:
        raise ValueError(f"There is no target {target}: the result has {record.t}, from 0.")
    whole = record.span() if of_tokens else record
    probabilities = {"log_softmax": torch.exp, "softmax": torch.clone}.get(record.mode)
    return captum.LLMAttributionResult(
        input_tokens=[feature.text for feature in record.features],
        output_tokens=list(record.targets) if of_tokens else [joined([record.targets[target or 0]])],
        seq_attr=whole.attributions[target or 0].float(),
        token_attr=record.attributions.float() if of_tokens else None,
        output_probs=probabilities(record.full).float() if of_tokens and probabilities else None,
    )
