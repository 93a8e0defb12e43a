"""Draws the plots that the documentation shows, from the shipped models: `python examples/pictures.py` writes docs/images/."""

from pathlib import Path
from typing import Any

from interpreto_mllm import (
    ExactShapley,
    Granularity,
    KernelShap,
    Patches,
    Reasoned,
    SplitOnSilence,
    punctuation,
    testbed,
    trace,
)

IMAGES = Path("docs/images")
FACTS = "the apple is red . the sky is blue . what is the apple ?"
CHAIN = "the house is like the cat . the cat is red . the car is gold . what colour is the house ?"
QUIET: dict[str, Any] = {"seed": 0, "progress": False}


def network() -> None:
    """Pairs of words that work together."""
    [explanation] = KernelShap(*testbed.load_recall(), pinned=punctuation, budget=600, **QUIET)(FACTS, "red")
    explanation.interactions().plot(IMAGES / "network.png", kind="network")


def sight() -> None:
    """A question about a picture."""
    [prompt] = testbed.sample_scene_prompts(1, things=5, seed=1, asks="colour")
    explainer = KernelShap(*testbed.load_sight(), image_granularity=Patches(3, 3), pinned=punctuation, budget=512, **QUIET)
    explainer(prompt.messages)[0].plot(IMAGES / "sight.png")


def hearing() -> None:
    """A question about a clip."""
    [prompt] = testbed.sample_clip_prompts(1, sounds=4, seed=1, asks="after")
    explainer = KernelShap(*testbed.load_hearing(), audio_granularity=SplitOnSilence(), pinned=punctuation, budget=512, **QUIET)
    explainer(prompt.messages)[0].plot(IMAGES / "hearing.png")


def watching() -> None:
    """A question about a video."""
    [prompt] = testbed.sample_video_prompts(1, frames=4, seed=0, order="after")
    ExactShapley(*testbed.load_watching(), pinned=punctuation, **QUIET)(prompt.messages)[0].plot(IMAGES / "watching.png")


def tracing() -> None:
    """From the prompt through the thoughts to the answer."""
    explainer = KernelShap(*testbed.load_thoughts(), granularity=Granularity.SENTENCE, budget=64, **QUIET)
    trace(explainer, [{"role": "user", "content": CHAIN}], Reasoned()).plot(IMAGES / "trace.png")


def main() -> None:
    for draw in (network, sight, hearing, watching, tracing):
        draw()


if __name__ == "__main__":
    main()
