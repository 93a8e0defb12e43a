"""Results with given scores, for tests of what is shown."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import torch

from interpreto_mllm import Patches
from interpreto_mllm.aggregators import Aggregator, Estimate
from interpreto_mllm.attribution import Attribution
from interpreto_mllm.core.evaluations import Evaluations
from interpreto_mllm.core.feature import Feature
from interpreto_mllm.media import Clip, Picture, SplitOnSilence


class Given(Aggregator):
    """The scores are the values of the coalitions after the first two, and their sum for a sum of targets."""

    estimand = "Shapley value"

    def aggregate(self, evaluations: Evaluations) -> Estimate:
        scores = evaluations.values[2:].T.contiguous()
        return Estimate(scores, scores.abs() / 8)


def explained(scores: list[list[float]], features: list[Feature], text: str = "", unit: str = "token", **named) -> Attribution:
    n, values = len(features), torch.tensor(scores, dtype=torch.float64).T
    coalitions = torch.cat([torch.zeros(1, n), torch.ones(1, n), 1 - torch.eye(n)]).bool()
    ends = torch.stack([torch.full_like(values[0], -3.0), torch.full_like(values[0], -0.5)])
    draws = torch.zeros(0, dtype=torch.int64)
    evaluations = Evaluations(coalitions, torch.cat([ends, values]), draws, torch.zeros(0).double(), draws)
    return Attribution.from_evaluations(
        evaluations, Given(), features=features, text=text, mode="log_softmax", unit=unit, **named  # type: ignore[arg-type]
    )  # fmt: skip


def worded(text: str, **named) -> list[Feature]:
    return [Feature(found.group(), (found.span(),), **named) for found in re.finditer(r"\S+", text)]


def chat_with_media() -> Attribution:
    """A chat with two images and a clip."""
    noise = np.random.default_rng(0)
    media = [
        Picture.of(noise.integers(0, 256, (32, 48, 3), dtype=np.uint8), Patches(2, 3)),
        Clip.of((noise.standard_normal(1600) * 0.2).astype(np.float32), 1000, SplitOnSilence()),
        Picture.of(noise.integers(0, 256, (48, 48, 3), dtype=np.uint8), Patches(2, 2)),
    ]
    text = "<u>look here</u><a>yes</a><u>and now ?</u><a>"
    turn = {"look": 0, "here": 0, "and": 2, "now": 2}
    spoken = [
        Feature(word, ((text.index(word), text.index(word) + len(word)),), role="user", turn=index)
        for word, index in turn.items()
    ]
    features = [one for index, medium in enumerate(media) for one in medium.features(index, "user", 2 * (index // 2))] + spoken
    scores = [[0.1 * (-1) ** i * (i + 1 + k) for i in range(len(features))] for k in range(3)]
    return replace(explained(scores, features, text), media=tuple(media))
