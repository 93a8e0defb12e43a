"""Groups of features by what they have in common."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from interpreto_mllm.core.feature import Feature
from interpreto_mllm.core.numbers import is_whole
from interpreto_mllm.core.shown import shown


def group_members(features: Sequence[Feature], group: str | Collection[int] | Callable[[Feature], bool]) -> tuple[int, ...]:
    """The features of a group, ascending.

    Args:
        features: all of them.
        group: the name of a modality, a role, a source, a label or a part, indices, or a callable from a feature to whether
            it belongs.

    Raises:
        ValueError: for a name that no feature has, indices that do not exist, or a group of nobody.

    Example:
        >>> group_members([Feature("a"), Feature("b", modality="image"), Feature("c", role="user")], "text")
        (0, 2)
    """
    if isinstance(group, str):
        found = [number for number, feature in enumerate(features) if group in _names(feature)]
        if not found:
            names = sorted({name for feature in features for name in _names(feature)})
            raise ValueError(
                f"No feature is {group!r}; there are {', '.join(map(repr, names))}. Indices of features work, too."
            )
        return tuple(found)
    if callable(group):
        found = [number for number, feature in enumerate(features) if group(feature)]
    elif isinstance(group, Collection) and all(map(is_whole, group)):
        found = sorted({int(number) for number in group})
        wrong = [number for number in found if not 0 <= number < len(features)]
        if wrong:
            raise ValueError(
                f"There is no feature {wrong[0]}: this result has {len(features)}, numbered 0 to {len(features) - 1}."
            )
    else:
        raise ValueError(
            "A group of features is the name of a modality, a role or a source, a list of indices, or a callable from a "
            f"feature to whether it belongs; got {shown(group)}."
        )
    if not found:
        raise ValueError("A group of features is empty: give one with a feature in it.")
    return tuple(found)


def _names(feature: Feature) -> set[str]:
    return {name for name in (feature.modality, feature.role, feature.source, feature.label, feature.part) if name is not None}
