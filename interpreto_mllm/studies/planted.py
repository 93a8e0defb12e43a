"""Prompts of the shipped models as rows, with the causes of their answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from interpreto_mllm.studies.causes import Causes
from interpreto_mllm.studies.names import check_arguments
from interpreto_mllm.studies.spec import DataSpec
from interpreto_mllm.testbed import (
    ClipPrompt,
    FactPrompt,
    ScenePrompt,
    VideoPrompt,
    sample_clip_prompts,
    sample_fact_prompts,
    sample_scene_prompts,
    sample_video_prompts,
)

COUNT = 100
"""How many prompts there are unless said otherwise."""

INPUTS, TRUTH = "inputs", "truth"
"""Columns that hold what is explained, and its causes."""


def _of_facts(prompt: FactPrompt) -> tuple[str, Causes]:
    given = prompt.prompt
    text = given if isinstance(given, str) else "\n".join(message["content"] for message in given)
    return text, Causes(words=prompt.causes)


def _of_scene(prompt: ScenePrompt) -> tuple[str, Causes]:
    return prompt.question.text, Causes(texts=tuple(word.text for word in prompt.question.words), boxes=prompt.cells)


def _of_clip(prompt: ClipPrompt) -> tuple[str, Causes]:
    return prompt.question.text, Causes(texts=tuple(word.text for word in prompt.question.words), times=prompt.spans)


def _of_video(prompt: VideoPrompt) -> tuple[str, Causes]:
    return prompt.question.text, Causes(texts=tuple(word.text for word in prompt.question.words), times=prompt.spans)


PLANTED: Mapping[str, tuple[Callable[..., list[Any]], Callable[[Any], tuple[str, Causes]]]] = {
    "text": (sample_fact_prompts, _of_facts),
    "vision": (sample_scene_prompts, _of_scene),
    "audio": (sample_clip_prompts, _of_clip),
    "video": (sample_video_prompts, _of_video),
}
"""What samples prompts, and gives the text and the causes of one."""


class PlantedRows:
    """A shipped model's prompts as rows; images and clips are drawn when their row is asked for.

    "regions" is the number of cells or sounds that hold the answer: none where the question is about something absent.

    Args:
        prompts: the prompts.
        told: gives the text and the causes of one.
    """

    columns = ("text", "answer", "regions", INPUTS, TRUTH)

    def __init__(self, prompts: list[Any], told: Callable[[Any], tuple[str, Causes]]):
        self._prompts, self._told = prompts, told

    def __len__(self) -> int:
        return len(self._prompts)

    def __getitem__(self, index: int) -> dict[str, Any]:
        prompt = self._prompts[index]
        inputs = prompt.prompt if isinstance(prompt, FactPrompt) else prompt.messages
        return {**self._told_of(prompt), INPUTS: inputs}

    def select_columns(self, columns: list[str]) -> list[dict[str, Any]]:
        """The rows without what is explained."""
        return [self._told_of(prompt) for prompt in self._prompts]

    def _told_of(self, prompt: Any) -> dict[str, Any]:
        text, causes = self._told(prompt)
        return {"text": text, "answer": prompt.answer, "regions": len(causes.boxes) + len(causes.times), TRUTH: causes}


def planted_rows(kind: str, data: DataSpec) -> PlantedRows:
    """The rows of a shipped model's prompts.

    Args:
        kind: "text", "vision", "audio" or "video".
        data: whose arguments are those of the function that samples prompts.

    Raises:
        ValueError: for an argument that there is not, or that it refuses.
    """
    sample, told = PLANTED[kind]
    arguments = {"count": max(COUNT, data.select.start + (data.select.max or 0)), **data.arguments}
    check_arguments(f"data {data.name!r}", sample, arguments)
    return PlantedRows(sample(**arguments), told)
