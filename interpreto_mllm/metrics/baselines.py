"""What an explanation has to be better than: scores that know nothing of the model, and leave-one-out."""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from interpreto_mllm.core.evaluations import Evaluations
from interpreto_mllm.core.feature import Feature
from interpreto_mllm.media import Picture
from interpreto_mllm.metrics.evaluated_game import EvaluatedGame
from interpreto_mllm.metrics.feature_sizes import feature_sizes
from interpreto_mllm.metrics.rows import column_of, rows_of
from interpreto_mllm.results.record import Record

RANDOM, LENGTH, POSITION, CENTRE, LEAVE_ONE_OUT = "random", "length", "position", "centre of the image", "leave-one-out"
BASELINES = (RANDOM, LENGTH, POSITION, CENTRE, LEAVE_ONE_OUT)
"""The names of all of them; the centre only where the prompt has an image."""


def baseline_results(record: Record, game: EvaluatedGame, random_orders: int, seed: int) -> dict[str, list[Record]]:
    """Results of one row with the scores of each baseline; of the random one, several.

    But for leave-one-out they know nothing of the model; they are positive and add up to v(N) − v(∅), so that they are as large
    as those of an efficient method.

    Args:
        record: any result of the prompt.
        game: of the prompt.
        random_orders: how many random ones there are.
        seed: of the random ones.
    """
    generator = torch.Generator().manual_seed(seed)
    random = [-torch.rand(record.n, generator=generator).double().clamp_min(1e-9).log() for _ in range(random_orders)]
    scores = {RANDOM: random, LENGTH: [feature_sizes(record)], POSITION: [torch.arange(1, record.n + 1).double()]}
    if any(isinstance(medium, Picture) for medium in record.media):
        scores[CENTRE] = [torch.tensor([_centrality(feature, record) for feature in record.features]).double()]
    n = record.n
    ends = torch.stack([torch.zeros(n, dtype=torch.bool), torch.ones(n, dtype=torch.bool)])
    values = column_of(record, 0, game(torch.cat([ends, ~torch.eye(n, dtype=torch.bool)])))
    row = _bare_row(record, ends, values[:2])
    found = {name: [_scored(row, name, each) for each in given] for name, given in scores.items()}
    lost = (values[1] - values[2:])[None]
    return {**found, LEAVE_ONE_OUT: [replace(row, attributions=lost, method=LEAVE_ONE_OUT, estimand=LEAVE_ONE_OUT)]}


def _bare_row(record: Record, ends: Bool[Tensor, "2 n"], values: Float[Tensor, "2"]) -> Record:
    """The first row of a result, of whose game only v(∅) and v(N) are known."""
    none = torch.zeros(0, dtype=torch.int64)
    evaluations = Evaluations(ends, values[:, None], none, none.double(), none)
    return replace(rows_of(record)[0], evaluations=evaluations, standard_errors=None, notes=(), settings=None, normalisation="")


def _scored(row: Record, name: str, scores: Float[Tensor, "n"]) -> Record:
    share = scores / scores.sum().clamp_min(1e-300)
    return replace(row, attributions=(share * float(row.full - row.empty))[None], method=name, estimand="baseline")


def _centrality(feature: Feature, record: Record) -> float:
    """How near the middle of a feature is to that of its image: 1 there, 0 in a corner; of other features 0."""
    picture = record.media[feature.pieces[0][0]] if feature.pieces and record.media else None
    if feature.box is None or not isinstance(picture, Picture):
        return 0.0
    left, top, right, bottom = feature.box
    width, height = picture.image.size
    away = ((left + right) / width - 1) ** 2 + ((top + bottom) / height - 1) ** 2
    return 1 - (away / 2) ** 0.5
