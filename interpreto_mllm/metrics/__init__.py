"""Numbers that say how good an explanation is, and whether methods differ by them."""

from interpreto_mllm.metrics.baselines import BASELINES
from interpreto_mllm.metrics.catalogue import METRICS, find_metric
from interpreto_mllm.metrics.comparison import MethodComparison, PairedDifference, compare_methods
from interpreto_mllm.metrics.evaluated_game import EvaluatedGame
from interpreto_mllm.metrics.faithfulness import faithfulness
from interpreto_mllm.metrics.metric import Metric
from interpreto_mllm.metrics.rows import NotApplicable
from interpreto_mllm.metrics.scoreboard import Entry, Faithfulness, Standing

__all__ = [
    "BASELINES",
    "METRICS",
    "Entry",
    "EvaluatedGame",
    "Faithfulness",
    "MethodComparison",
    "Metric",
    "NotApplicable",
    "PairedDifference",
    "Standing",
    "compare_methods",
    "faithfulness",
    "find_metric",
]
