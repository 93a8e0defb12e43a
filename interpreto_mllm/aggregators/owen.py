"""Owen values: Shapley values of features that come and go in groups."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from interpreto_mllm.aggregators.aggregator import Aggregator, Estimate
from interpreto_mllm.aggregators.requirements import require
from interpreto_mllm.core.coalitions import coalition_keys
from interpreto_mllm.core.design import Design
from interpreto_mllm.core.evaluations import Evaluations
from interpreto_mllm.core.hierarchy import FeatureGroup


class OwenAggregator(Aggregator):
    """The mean marginal of each feature over the orders in which the members of every group, at every level, stay together.

    From Owen, "Values of games with a priori unions", 1977, applied at each level (Winter, 1989). Where every coalition
    that such an order can pass through was evaluated, the value is exact. Otherwise it is read off the chains drawn by
    `HierarchicalPerturbator`: a step of a chain that adds exactly one group is a marginal of that group, steps are
    averaged with their weights, and from the top down each group's value is shared among its children, their means plus
    an equal part of what the means leave over. So the attributions always sum to v(N) − v(∅); a group never opened
    gives its children equal parts.

    Standard errors are zero where the value is exact, and there are none where it is not: chains share the contexts of the
    levels above, most groups are seen in a single pair of them, and by how much the equal parts of a group never opened are
    wrong, no chain can tell. Compare a second seed instead.

    Args:
        groups: nested lists of feature indices, such as `[[0, 1, 2], [[3, 4], [5]]]`.

    Raises:
        ValueError: for groups that do not hold each feature exactly once, or evaluations without chains that follow the groups.

    Example:
        >>> from interpreto_mllm.evaluation.session import SamplingSession
        >>> from interpreto_mllm.perturbators import HierarchicalPerturbator
        >>> groups, hand = [[0, 1], [2]], SamplingSession(HierarchicalPerturbator([[0, 1], [2]]), 3, 8, seed=0)
        >>> while (coalitions := hand.missing()) is not None:
        ...     hand.record(coalitions, (coalitions[:, :1] & (coalitions[:, 1:2] | coalitions[:, 2:])).double())
        >>> OwenAggregator(groups).aggregate(hand.evaluations()).attributions.tolist()
        [[0.75, 0.25, 0.0]]
    """

    estimand = "Owen value"

    def __init__(self, groups: Sequence[Any]):
        self.groups = groups
        self._root = FeatureGroup.of(groups)

    def aggregate(self, evaluations: Evaluations) -> Estimate:
        """Attributions of the `n` features for each of the `t` targets, with standard errors (zero) where they are exact."""
        self._root.require(evaluations.n)
        exact = self._exact(evaluations)
        if exact is not None:
            return Estimate(exact, torch.zeros_like(exact), exact=True)
        needed = "chains of coalitions that follow its groups"
        chained = evaluations.design in (Design.HIERARCHY, Design.ORDERS, Design.UNKNOWN)
        require(chained, evaluations, self, needed, "HierarchicalPerturbator over the same groups or ExactPerturbator")
        means = self._means(evaluations)
        if not means:
            raise ValueError(
                f"None of the {len(evaluations.draws)} draws adds one of the groups to a coalition that keeps groups whole. "
                "Draw with HierarchicalPerturbator over the same groups, or with ExactPerturbator."
            )
        attributions = torch.zeros(evaluations.values.shape[1], evaluations.n, dtype=torch.float64)
        share = {self._root: evaluations.full - evaluations.empty}
        for node in self._root.walk():
            if node.children:
                share.update(_split(share[node], node, means))
            else:
                attributions[:, node.members[0]] = share[node]
        return Estimate(attributions)

    def _exact(self, evaluations: Evaluations) -> Float[Tensor, "t n"] | None:
        """Sums over all contexts of each feature; None when some were not evaluated."""
        if self._root.count_consistent() > len(evaluations.coalitions):
            return None
        row_of = {key: row for row, key in enumerate(coalition_keys(evaluations.coalitions))}
        attributions = torch.zeros(evaluations.values.shape[1], evaluations.n, dtype=torch.float64)
        for feature, contexts, weights in self._root.contexts(evaluations.n):
            joined = contexts.clone()
            joined[:, feature] = True
            rows = torch.tensor([row_of.get(key, -1) for key in coalition_keys(torch.cat([contexts, joined]))])
            if (rows < 0).any():
                return None
            without, having = evaluations.values[rows].double().chunk(2)
            attributions[:, feature] = weights @ (having - without)
        return attributions

    def _means(self, evaluations: Evaluations) -> dict[FeatureGroup, Float[Tensor, "t"]]:
        """Weighted mean marginal of every group that some step of a chain adds.

        Raises:
            ValueError: when a group is added to a coalition that holds another in part: the chains follow other groups.
        """
        order = evaluations.chains.argsort(stable=True)
        chains, draws, weights = evaluations.chains[order], evaluations.draws[order], evaluations.weights[order]
        if evaluations.design is not Design.HIERARCHY:
            weights = torch.ones_like(weights)
        steps = ((chains[1:] == chains[:-1]) & (chains[1:] >= 0)).nonzero()[:, 0]
        before, after = evaluations.coalitions[draws[steps]], evaluations.coalitions[draws[steps + 1]]
        added = torch.where((before & ~after).any(1, keepdim=True), False, after & ~before)
        gains, weights = evaluations.values[draws[steps + 1]] - evaluations.values[draws[steps]], weights[steps + 1]
        steps_of: dict[bytes, list[int]] = {}
        for step, key in enumerate(coalition_keys(added)):
            steps_of.setdefault(key, []).append(step)
        means: dict[FeatureGroup, Tensor] = {}
        for node, around in _surroundings(self._root, evaluations.n):
            taken = steps_of.get(node.mask(evaluations.n).numpy().tobytes())
            if taken is None:
                continue
            held = before[taken].double() @ around.double()
            if ((held > 0) & (held < around.sum(0))).any():
                raise ValueError(
                    "The chains of these evaluations break up the groups. Draw with HierarchicalPerturbator over these groups."
                )
            weight = weights[taken].double()
            means[node] = weight @ gains[taken].double() / weight.sum()
        return means


def _surroundings(root: FeatureGroup, n: int) -> list[tuple[FeatureGroup, Tensor]]:
    """Each group below the root, with the groups beside it and its ancestors as columns of a matrix `Bool[n b]`."""
    found: list[tuple[FeatureGroup, Tensor]] = []
    waiting = [(root, torch.zeros(n, 0, dtype=torch.bool))]
    while waiting:
        node, around = waiting.pop()
        masks = [child.mask(n) for child in node.children]
        for index, child in enumerate(node.children):
            beside = torch.stack(masks[:index] + masks[index + 1 :], dim=1)
            found.append((child, torch.cat([around, beside], dim=1)))
            waiting.append(found[-1])
    return found


def _split(whole: Tensor, node: FeatureGroup, means: dict[FeatureGroup, Tensor]) -> dict[FeatureGroup, Tensor]:
    """Values of the node's children: their means, plus equal parts of the rest, for those without a mean if there are any."""
    known = {child: means[child] for child in node.children if child in means}
    rest = whole - sum(known.values(), torch.zeros_like(whole))
    takers = [child for child in node.children if child not in known] or list(node.children)
    return {
        child: known.get(child, torch.zeros_like(whole)) + (rest / len(takers) if child in takers else 0)
        for child in node.children
    }
