"""The work of a study in pieces that any process can do: a sample explained, or some coalitions of one evaluated."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from jaxtyping import Bool
from torch import Tensor

from interpreto_mllm.attribution import Attribution
from interpreto_mllm.core.counts import Counts
from interpreto_mllm.core.evaluations import Evaluations
from interpreto_mllm.evaluation.blocks import Blocks, Elsewhere, in_blocks, known_of
from interpreto_mllm.results.archive import written
from interpreto_mllm.studies.build import explain_sample, sample_game
from interpreto_mllm.studies.data import Sample
from interpreto_mllm.studies.held import held_explainer, held_game
from interpreto_mllm.studies.kept_game import KeptGame
from interpreto_mllm.studies.measured import Measured, measured
from interpreto_mllm.studies.metrics import find_metric
from interpreto_mllm.studies.outcomes import Failure, Outcome, failed
from interpreto_mllm.studies.spec import RunSpec

Send = Callable[[RunSpec, Sample, Sequence[Bool[Tensor, "_ _"]]], Iterator[Evaluations]]
"""Has blocks of coalitions of a sample evaluated by other workers."""


@dataclass(frozen=True)
class SampleTask:
    """Explains a sample.

    Args:
        run: how.
        sample: what.
        checkpoint: the file that keeps its evaluations until it is done; where its folder is not to be seen, none are kept.
    """

    run: RunSpec
    sample: Sample
    checkpoint: Path | None = None

    def __call__(self, send: Send | None = None) -> Outcome:
        """What became of it.

        Args:
            send: evaluates its coalitions; this process does unless given.
        """
        since = time.perf_counter()
        try:
            explainer = held_explainer(self.run)
            metrics = [find_metric(one) for one in self.run.metric_specs()]
        except Exception as error:
            failure = Failure.of(error)
            return replace(failed(self.sample.identity, failure), unusable=failure)
        try:
            with self._blocks(explainer, send):
                explanation = explain_sample(explainer, self.run, self.sample, self._kept())
            found = measured(explanation, metrics, self.sample.truth, self.run.seed, lambda: self._game(explainer))
        except Exception as error:
            return failed(self.sample.identity, Failure.of(error), {"seconds": time.perf_counter() - since})
        costs = {**_costs(explanation.counts), "paid_for_metrics": found.paid, "seconds": time.perf_counter() - since}
        return Outcome(self.sample.identity, _content(self.sample, explanation, found), _archive(explanation), costs)

    def _blocks(self, explainer: Any, send: Send | None) -> AbstractContextManager[None]:
        """Blocks of one batch each; a server's values do not depend on what is asked beside them."""
        if self.run.model.url is not None:
            return nullcontext()
        elsewhere: Elsewhere | None = None if send is None else lambda blocks: send(self.run, self.sample, blocks)
        return in_blocks(Blocks(explainer.settings.batch_size, elsewhere))

    def _kept(self) -> Path | None:
        """The checkpoint; None where its folder is not to be seen."""
        return self.checkpoint if self.checkpoint is not None and self.checkpoint.parent.is_dir() else None

    def _game(self, explainer: Any) -> KeptGame:
        checkpoint = self._kept()
        path = None if checkpoint is None else checkpoint.with_suffix(".metrics")
        return KeptGame(sample_game(explainer, self.sample), explainer.settings.batch_size, path)


@dataclass(frozen=True)
class BlockTask:
    """Evaluates coalitions of a sample.

    Args:
        run, sample: whose game it is.
        coalitions: a block of it.
    """

    run: RunSpec
    sample: Sample
    coalitions: Bool[Tensor, "p n"]

    def __call__(self) -> Evaluations | Failure:
        """The evaluations with everything that the game knows of them, or why there are none."""
        try:
            return known_of(held_game(self.run, self.sample), self.coalitions)
        except Exception as error:
            return Failure.of(error)


def _costs(counts: Counts) -> dict[str, Any]:
    names = ("evaluations", "paid", "forwards", "tokens", "trials", "backwards")
    return {name: getattr(counts, name) for name in names}


def _archive(explanation: Attribution) -> bytes:
    """The result without what the execution cost, which differs from one to the next and is kept apart."""
    counts = explanation.counts
    return written(replace(explanation, counts=Counts(counts.evaluations, counts.evaluations, saved=counts.saved)))


def _content(sample: Sample, explanation: Attribution, found: Measured) -> dict[str, Any]:
    errors, fingerprint = explanation.standard_errors, explanation.evaluations.fingerprint
    return {
        "identity": sample.identity,
        "status": "done",
        "method": explanation.method,
        "estimand": explanation.estimand,
        "mode": explanation.mode,
        "targets": list(explanation.targets),
        "features": [{"text": one.text, "modality": one.modality} for one in explanation.features],
        "empty": explanation.empty.tolist(),
        "full": explanation.full.tolist(),
        "attributions": explanation.attributions.tolist(),
        "standard_errors": None if errors is None else [[_finite(one) for one in row] for row in errors.tolist()],
        "evaluations": explanation.counts.evaluations,
        "notes": list(explanation.notes),
        **found.content(),
        "game": None if fingerprint is None else dict(fingerprint),
    }


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None
