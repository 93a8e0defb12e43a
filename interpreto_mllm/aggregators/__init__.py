"""What turns the values of coalitions into attributions."""

from interpreto_mllm.aggregators.aggregator import Aggregator, Estimate
from interpreto_mllm.aggregators.banzhaf import BanzhafAggregator
from interpreto_mllm.aggregators.complementary import ComplementaryAggregator
from interpreto_mllm.aggregators.gaussian_process import GaussianProcessAggregator
from interpreto_mllm.aggregators.gradient import (
    GradientAggregator,
    GradientVarianceAggregator,
    MeanGradientAggregator,
    PathAggregator,
    RelevanceAggregator,
    SquaredGradientAggregator,
)
from interpreto_mllm.aggregators.kernel import KernelAggregator
from interpreto_mllm.aggregators.lasso import LassoAggregator
from interpreto_mllm.aggregators.leave_one_out import LeaveOneOutAggregator
from interpreto_mllm.aggregators.lime import LimeAggregator
from interpreto_mllm.aggregators.marginal import MarginalAggregator
from interpreto_mllm.aggregators.owen import OwenAggregator
from interpreto_mllm.aggregators.ridge_surrogate import RidgeAggregator
from interpreto_mllm.aggregators.screened import ScreenedAggregator
from interpreto_mllm.aggregators.shapley import ShapleyAggregator
from interpreto_mllm.aggregators.sobol import SobolAggregator

__all__ = [
    "Aggregator",
    "BanzhafAggregator",
    "ComplementaryAggregator",
    "Estimate",
    "GaussianProcessAggregator",
    "GradientAggregator",
    "GradientVarianceAggregator",
    "KernelAggregator",
    "LassoAggregator",
    "LeaveOneOutAggregator",
    "LimeAggregator",
    "MarginalAggregator",
    "MeanGradientAggregator",
    "OwenAggregator",
    "PathAggregator",
    "RelevanceAggregator",
    "RidgeAggregator",
    "ScreenedAggregator",
    "ShapleyAggregator",
    "SobolAggregator",
    "SquaredGradientAggregator",
]
