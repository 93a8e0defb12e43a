"""The games by which explanations are judged: the one they are of, and the same prompt under another occlusion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import fields, replace
from typing import Any

from interpreto_mllm.aggregators import KernelAggregator
from interpreto_mllm.attribution import Attribution
from interpreto_mllm.core.modalities import modalities_of
from interpreto_mllm.explainers.base import AttributionExplainer
from interpreto_mllm.explainers.gradient_games import OPTIONS
from interpreto_mllm.games.game import ModelGame
from interpreto_mllm.media import Fill, Mute, WhiteNoise
from interpreto_mllm.media.encoded import Encoded
from interpreto_mllm.perturbators import GradientPerturbator, KernelPerturbator
from interpreto_mllm.prompts.occlusion import Drop, Replace
from interpreto_mllm.prompts.prompt import TokenPrompt

STAND_IN = "…"
"""What stands for an absent feature of a text where the tokenizer has no mask token."""


def judge(explainers: Sequence[AttributionExplainer]) -> AttributionExplainer:
    """The explainer whose game it is: the first that evaluates coalitions, or one like the first that does."""
    for explainer in explainers:
        if not isinstance(explainer.perturbator, GradientPerturbator):
            return explainer
    return like(explainers[0], {})


def like(explainer: AttributionExplainer, options: Mapping[str, Any]) -> AttributionExplainer:
    """An explainer of the same features and values that evaluates coalitions, with some options changed."""
    own = {field.name: getattr(explainer.settings, field.name) for field in fields(explainer.settings)}
    kept = {name: value for name, value in own.items() if name not in (*OPTIONS, "until", "budget", "num_trials")}
    if isinstance(explainer.perturbator, GradientPerturbator):
        kept.pop("occlusion")
    parts = {"perturbator": KernelPerturbator(), "aggregator": KernelAggregator()}
    return AttributionExplainer(explainer.model, explainer.tokenizer, **parts, **{**kept, **options})


def other_seeds(
    explainer: AttributionExplainer, inputs: Sequence[Any], targets: Any, results: Sequence[Attribution], count: int = 2
) -> list[list[Attribution]]:
    """For each input the results of so many further seeds of the sampling. What was evaluated before is not evaluated again."""
    found = []
    for number in range(1, count + 1):
        again = copy(explainer)
        again.settings = replace(explainer.settings, seed=explainer.settings.seed + number)
        sampled = not isinstance(explainer.perturbator, GradientPerturbator)
        found.append(again.explain(inputs, targets, evaluations=results if sampled else None))
    return [list(each) for each in zip(*found, strict=True)]


def occlusion_of(game: ModelGame) -> str:
    """How absent features disappear, such as "Drop()" or "Drop(), Fill('mean')"."""
    prompt, present = game.prompt, modalities_of(game.features)
    found = [media.occlusion for media in prompt.media if not isinstance(media, Encoded)]
    if isinstance(prompt, TokenPrompt) and any(name in ("text", "mixed") for name in present):
        found = [prompt.occlusion, *found]
    return ", ".join(dict.fromkeys(_named(one) for one in found)) or "baselines"


def _named(occlusion: Any) -> str:
    """An occlusion with what it was given, without what it read off the tokenizer and what is left at its default."""
    if isinstance(occlusion, Replace):
        return "Replace()" if occlusion.replacement is None else f"Replace({occlusion.replacement!r})"
    return "Drop()" if occlusion == Drop() else repr(occlusion)


def other_occlusion(explainer: AttributionExplainer, game: ModelGame) -> dict[str, Any]:
    """Options under which absent features disappear in another way.

    A text's are replaced where they were dropped, and dropped where they were replaced; an image's are black where they had its
    mean colour, else the mean colour, and so are a video's; a clip's are noise where they were silent, else silent.
    """
    settings, tokenizer = explainer.settings, explainer.tokenizer
    tokenizer = tokenizer.tokenizer if hasattr(tokenizer, "tokenizer") else tokenizer
    masked = tokenizer is not None and getattr(tokenizer, "mask_token", None) is not None
    is_replaced = isinstance(game.prompt, TokenPrompt) and isinstance(game.prompt.occlusion, Replace)
    image, audio, video = settings.image_occlusion, settings.audio_occlusion, settings.video_occlusion
    return {
        "occlusion": Drop() if is_replaced else Replace() if masked else Replace(STAND_IN),
        "image_occlusion": Fill("black") if image is None or image == Fill("mean") else Fill("mean"),
        "audio_occlusion": WhiteNoise() if audio is None or isinstance(audio, Mute) else Mute(),
        "video_occlusion": Fill("black") if video is None or video == Fill("mean") else Fill("mean"),
    }
