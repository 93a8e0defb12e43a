"""Cases of one kind each: a text, a picture, a clip, a served model, a game without a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from support.table.case import CHAT, FACT, Case, Part, Then, World, single

from interpreto_mllm import AttributionExplainer, Patches, RemoteModel, Windows, play, punctuation


def text(
    name: str,
    method: Callable[..., AttributionExplainer],
    prompt: Any = FACT,
    target: Any = " red",
    *,
    then: Then = single,
    sensitive: str = "",
    fault: str = "",
    **options: Any,
) -> Case:
    """A prompt of the text model."""

    def compute(world: World) -> Mapping[str, Part]:
        [result] = method(*world.recall, progress=False, **options)(prompt, target)
        return then(result)

    return Case(f"text: {name}", compute, sensitive, fault)


def picture(
    name: str,
    method: Callable[..., AttributionExplainer],
    target: Any = "answer",
    *,
    plain: bool = False,
    then: Then = single,
    sensitive: str = "",
    fault: str = "",
    **options: Any,
) -> Case:
    """The picture and its question: a chat, or a plain text with a placeholder."""

    def compute(world: World) -> Mapping[str, Part]:
        settings = {"image_granularity": Patches(3, 3), "pinned": punctuation, "progress": False, **options}
        prompt = {"text": world.scene.text, "images": [world.scene.image]} if plain else world.scene.messages
        asked = world.scene.answer if target == "answer" else target
        [result] = method(*world.sight, **settings)(prompt, asked)
        return then(result)

    return Case(f"picture: {name}", compute, sensitive, fault)


def sound(
    name: str,
    method: Callable[..., AttributionExplainer],
    target: Any = "answer",
    *,
    then: Then = single,
    sensitive: str = "",
    fault: str = "",
    **options: Any,
) -> Case:
    """The clip and its question."""

    def compute(world: World) -> Mapping[str, Part]:
        settings = {"audio_granularity": Windows(500), "pinned": punctuation, "progress": False, **options}
        asked = world.clip.answer if target == "answer" else target
        [result] = method(*world.hearing, **settings)(world.clip.messages, asked)
        return then(result)

    return Case(f"clip: {name}", compute, sensitive, fault)


def remote(
    name: str,
    method: Callable[..., AttributionExplainer],
    prompt: Any = CHAT,
    target: Any = None,
    *,
    route: Any = "chat",
    sensitive: str = "",
    **options: Any,
) -> Case:
    """A prompt of the served text model."""

    def compute(world: World) -> Mapping[str, Part]:
        model = RemoteModel(world.server.url, "recall", route=route)
        [result] = method(model, progress=False, **options)(prompt, target)
        return single(result)

    return Case(f"remote: {name}", compute, sensitive)


def game(
    name: str, perturbator: Any, aggregator: Any, *, n: int = 9, then: Then = single, sensitive: str = "", **options: Any
) -> Case:
    """A game without a model."""

    def compute(world: World) -> Mapping[str, Part]:
        return then(play(bent_game(n), perturbator, aggregator, n_features=n, progress=False, **options))

    return Case(f"play: {name}", compute, sensitive)


def bent_game(n: int) -> Callable[[torch.Tensor], torch.Tensor]:
    """A game of two targets in which everything interacts, of operations that round alike in any batch."""
    generator = torch.Generator().manual_seed(n)
    inner = torch.randn(n, 12, generator=generator, dtype=torch.float64)
    outer = torch.randn(12, 2, generator=generator, dtype=torch.float64)

    def values(coalitions: torch.Tensor) -> torch.Tensor:
        hidden = torch.full((len(coalitions), 12), -0.3, dtype=torch.float64)
        for column, weights in zip(coalitions.double().T, inner, strict=True):
            hidden = hidden + column[:, None] * weights
        bent = hidden / (1 + hidden.abs())
        total = torch.zeros(len(coalitions), 2, dtype=torch.float64)
        for column, weights in zip(bent.T, outer, strict=True):
            total = total + column[:, None] * weights
        return total

    return values
