"""Numbers that say how good an explanation is."""

from interpreto_mllm.metrics.catalogue import METRICS, find_metric
from interpreto_mllm.metrics.evaluated_game import EvaluatedGame
from interpreto_mllm.metrics.metric import Metric
from interpreto_mllm.metrics.rows import NotApplicable

__all__ = ["METRICS", "EvaluatedGame", "Metric", "NotApplicable", "find_metric"]
