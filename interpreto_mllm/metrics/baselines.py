"""What an explanation has to be better than: scores that know nothing of the model, and leave-one-out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from interpreto_mllm.core.evaluations import Evaluations
from interpreto_mllm.core.feature import Feature
from interpreto_mllm.media import Picture
from interpreto_mllm.metrics.evaluated_game import Asking, EvaluatedGame, Questions
from interpreto_mllm.metrics.feature_sizes import feature_sizes
from interpreto_mllm.metrics.metric import Metric
from interpreto_mllm.metrics.rows import column_of, rows_of
from interpreto_mllm.results.record import Record

RANDOM, LENGTH, POSITION, CENTRE, LEAVE_ONE_OUT = "random", "length", "position", "centre of the image", "leave-one-out"
BASELINES = (RANDOM, LENGTH, POSITION, CENTRE, LEAVE_ONE_OUT)
"""The names of all of them; the centre only where the prompt has an image."""


def baseline_results(record: Record, game: EvaluatedGame, random_orders: int, seed: int) -> dict[str, list[Record]]:
    """Results of one row with the scores of each baseline that knows nothing of the model; of the random one, several.

    Scores are positive and add up to v(N) − v(∅), so that they are as large as those of an efficient method.

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
    row = _bare_row(record, game)
    return {name: [_scored(row, name, each) for each in given] for name, given in scores.items()}


def leave_one_out_asking(record: Record, game: EvaluatedGame, metric: Metric, seed: int) -> Asking:
    """What asks first for the value without each feature, and then for what a metric wants of these scores."""
    return asking_leave_one_out(_bare_row(record, game), lambda scored: metric.function(scored, seed))


def asking_leave_one_out(row: Record, then: Callable[[Record], Questions]) -> Asking:
    """What asks for the value without each feature, and goes on with the result of these scores."""

    def questions() -> Questions:
        n = row.n
        values = yield torch.cat([torch.ones(1, n, dtype=torch.bool), ~torch.eye(n, dtype=torch.bool)])
        scored = replace(row, attributions=(values[0] - values[1:])[None], method=LEAVE_ONE_OUT, estimand="leave-one-out")
        return (yield from then(scored))

    return Asking(row, 0, questions())


def _bare_row(record: Record, game: EvaluatedGame) -> Record:
    """The first row of a result, of whose game only v(∅) and v(N) are known."""
    row = rows_of(record)[0]
    ends = torch.stack([torch.zeros(row.n, dtype=torch.bool), torch.ones(row.n, dtype=torch.bool)])
    none = torch.zeros(0, dtype=torch.int64)
    values = column_of(record, 0, game(ends))[:, None]
    evaluations = Evaluations(ends, values, none, none.double(), none)
    return replace(row, evaluations=evaluations, standard_errors=None, notes=(), settings=None, normalisation="")


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
