"""Which features of a prompt are players: pinned ones are not, and groups are one each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from interpreto_mllm.core.feature import Feature
from interpreto_mllm.prompts.filters import Pins, unpinned
from interpreto_mllm.prompts.prompt import TokenPrompt, merge_features
from interpreto_mllm.prompts.template import TemplatePrompt

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
    if groups is not None and len(groups) != len(features):
        raise ValueError(f"groups needs one label per feature: {len(features)} features, {len(groups)} labels.")
    owner, players = merge_features(prompt.owner, features, unpinned(features, pinned), groups)
    return replace(prompt, owner=owner, features=players)
