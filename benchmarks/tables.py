"""Games as tables of all 2^n values, computed once and kept in results/games/."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from synthetic import GAMES, Game
from torch import Tensor

from interpreto_mllm.aggregators import ShapleyAggregator
from interpreto_mllm.explainers.play import play
from interpreto_mllm.perturbators import ExactPerturbator

RESULTS = Path(__file__).parent / "results"


class Tabulated:
    """A game with a table of its values, indexed by the coalition's binary code, and its exact Shapley values."""

    def __init__(self, path: Path):
        content = np.load(path)
        self.path, self.values, self.truth = path, torch.from_numpy(content["values"]), torch.from_numpy(content["phi"])
        self.n = len(self.truth)
        self._place = 1 << torch.arange(self.n)

    def __call__(self, coalitions: Tensor) -> Tensor:
        return self.values[coalitions.long() @ self._place]

    @staticmethod
    def make(game: Game, n: int, path: Path) -> None:
        """Evaluate a game on every coalition and save the table."""
        coalitions = (torch.arange(2**n)[:, None] & (1 << torch.arange(n))) > 0
        values = torch.cat([game(chunk) for chunk in coalitions.split(2**16)]).double()[:, 0]
        place = 1 << torch.arange(n)
        exact = play(lambda c: values[c.long() @ place], ExactPerturbator(), ShapleyAggregator(), n_features=n, progress=False)
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(path, values=values.numpy(), phi=exact.attributions[0].numpy())


def synthetic_games(n: int, seed: int) -> Iterator[tuple[str, Game]]:
    """One game of each synthetic kind."""
    for name, make in GAMES.items():
        yield name, make(n, seed)


def _recall_games(n: int, seed: int, **options: Any) -> Iterator[tuple[str, Game]]:
    """A game of the shipped model on a prompt of `n` words; punctuation is pinned."""
    from interpreto_mllm import KernelShap, punctuation
    from interpreto_mllm.testbed import load_recall, sample_fact_prompts

    explainer = KernelShap(*load_recall(), pinned=punctuation, batch_size=256, progress=False, **options)
    for prompt in sample_fact_prompts(1000, facts=max(1, n // 4 - 1), seed=seed):
        game = explainer.game(prompt.prompt, None if options else " " + prompt.answer)
        if game.n == n:
            yield "recall", game
            return


def model_games(n: int, seed: int) -> Iterator[tuple[str, Game]]:
    """The log-probability of the shipped model's answer."""
    yield from _recall_games(n, seed)


def response_games(n: int, seed: int) -> Iterator[tuple[str, Game]]:
    """Cosine similarity of the shipped model's answers to its answer to the whole prompt."""
    from interpreto_mllm import ResponseSimilarity

    yield from _recall_games(n, seed, inference_mode=ResponseSimilarity(generate={"max_new_tokens": 4}))


WORDS = 4
"""Words in a question about a picture or a clip; the other features are pieces of it."""


def _media_game(n: int, loaded: tuple[Any, Any], prompts: list[Any], **cut: Any) -> Game:
    """A game of a shipped model on the first prompt with `n` pieces and words; punctuation and articles are pinned."""
    from interpreto_mllm import Feature, KernelShap, punctuation

    def pinned(feature: Feature) -> bool:
        return punctuation(feature) or feature.text == "the"

    explainer = KernelShap(*loaded, pinned=pinned, batch_size=256, progress=False, **cut)
    games = (explainer.game(prompt.messages, prompt.answer) for prompt in prompts)
    return next(game for game in games if game.n == n)


def sight_games(n: int, seed: int) -> Iterator[tuple[str, Game]]:
    """The log-probability of the shipped model's answer to a question of four words about a picture in two rows of patches."""
    from interpreto_mllm import Patches
    from interpreto_mllm.testbed import load_sight, sample_scene_prompts

    prompts = sample_scene_prompts(100, things=5, seed=seed)
    yield "sight", _media_game(n, load_sight(), prompts, image_granularity=Patches(2, (n - WORDS) // 2))


def hearing_games(n: int, seed: int) -> Iterator[tuple[str, Game]]:
    """The log-probability of the shipped model's answer to a question of four words about a clip in equal windows."""
    from interpreto_mllm import Windows
    from interpreto_mllm.testbed import load_hearing, sample_clip_prompts

    prompts = sample_clip_prompts(100, sounds=4, seed=seed)
    yield "hearing", _media_game(n, load_hearing(), prompts, audio_granularity=Windows(ceil(2000 / (n - WORDS))))


SOURCES = {
    "model": model_games,
    "response": response_games,
    "sight": sight_games,
    "hearing": hearing_games,
    "synthetic": synthetic_games,
}


def tables(source: str, n: int, seed: int) -> Iterator[tuple[str, Tabulated]]:
    """The games of a source, by name."""
    listed = sorted((RESULTS / "games").glob(f"{source}-{n}-{seed}-*.npz"))
    if len(listed) < (len(GAMES) if source == "synthetic" else 1):
        for name, game in SOURCES[source](n, seed):
            Tabulated.make(game, n, RESULTS / "games" / f"{source}-{n}-{seed}-{name.replace(' ', '_')}.npz")
        listed = sorted((RESULTS / "games").glob(f"{source}-{n}-{seed}-*.npz"))
    for path in listed:
        yield path.stem.split("-", 3)[3].replace("_", " "), Tabulated(path)
