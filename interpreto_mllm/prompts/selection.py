"""Which features of a prompt are players: pinned ones are not, and groups are one each."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from interpreto_mllm.core.feature import Feature
from interpreto_mllm.core.shown import shown
from interpreto_mllm.prompts.filters import Pins, unpinned
from interpreto_mllm.prompts.prompt import TokenPrompt, merge_features
from interpreto_mllm.prompts.template_prompt import TemplatePrompt

Groups = Callable[[list[Feature]], Sequence[object]] | Sequence[object]

Cut = TypeVar("Cut", TokenPrompt, TemplatePrompt)


def selected(prompt: Cut, pinned: Pins, given: Groups | None) -> Cut:
    """The prompt without the pinned features, and with each group merged into one feature.

    Raises:
        ValueError: when nothing is left to explain, or there is not one group label per feature.
    """
    features = prompt.features
    if not features:
        raise ValueError("Nothing is left to explain: the prompt has no features at this granularity.")
    groups = given(features) if callable(given) else given
    if given is not None and (isinstance(groups, (str, Mapping)) or not isinstance(groups, Collection)):
        returned = "returned" if callable(given) else "is"
        raise TypeError(f"groups {returned} {shown(groups)}: it needs a list with one label per feature, {len(features)} here.")
    if groups is not None and len(groups) != len(features):
        raise ValueError(f"groups needs one label per feature: {len(features)} features, {len(groups)} labels.")
    wrong = next((label for label in groups or () if not isinstance(label, Hashable) or _holds_lists(label)), None)
    if wrong is not None:
        raise TypeError(f"groups has the label {shown(wrong)}, which cannot be compared: use texts, numbers or tuples of them.")
    groups = None if groups is None else list(groups)
    owner, players = merge_features(prompt.owner, features, unpinned(features, pinned), groups)
    return replace(prompt, owner=owner, features=players)


def _holds_lists(label: object) -> bool:
    """Whether a label is a tuple with something in it that cannot be compared."""
    return isinstance(label, tuple) and not all(isinstance(part, Hashable) and not _holds_lists(part) for part in label)
