"""What is also in `saved/`, which later versions must read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from support.table.case import SAY, SHORT, Case, Part, Then, World
from support.table.kinds import picture, text
from support.table.readings import compared, reread, reread_answers

from interpreto_mllm import KernelShap, Patches
from interpreto_mllm.similarity import TfIdf

SAVED = Path(__file__).parents[2] / "saved"
READ: dict[str, tuple[str, Then]] = {
    "text.json": ("text: saved", reread),
    "picture.json": ("picture: saved", reread),
    "answers.json": ("text: saved answers", reread_answers),
    "text_0.1.0.json": ("text: saved", reread),
    "answers_0.1.0.json": ("text: saved answers", reread_answers),
}
"""The saved results: of which case each is, and what is read off it. Those with a version have a fingerprint and settings."""


def kept() -> list[Case]:
    """What is also in `saved/`, and the call whose checkpoint is there."""
    mode = compared(TfIdf(), generate=SAY)
    return [
        text("saved", KernelShap, SHORT, " red .", budget=40, seed=1, then=reread),
        picture("saved", KernelShap, image_granularity=Patches(2, 2), budget=30, seed=1, then=reread),
        text("saved answers", KernelShap, SHORT, None, inference_mode=mode, budget=24, seed=1, then=reread_answers),
        Case("text: checkpoint", checkpointed),
    ]


def checkpointed(world: World, path: Path | None = None) -> Mapping[str, Part]:
    """Two inputs in one call, going on from a checkpoint where there is one."""
    explainer = KernelShap(*world.recall, budget=30, seed=4, progress=False)
    first, second = explainer([SHORT, "the dog is pink . what is the dog ?"], [" red", " pink"], checkpoint=path)
    return {"first": first, "second": second}
