"""Explain three answers of the shipped models, about a text, a picture and a clip: in the terminal, as pages, as pictures."""

import logging
from pathlib import Path
from typing import Any

from transformers.utils import logging as transformers_logging

from interpreto_mllm import KernelShap, Patches, Replace, SplitOnSilence, punctuation
from interpreto_mllm.testbed import load_hearing, load_recall, load_sight, sample_clip_prompts, sample_scene_prompts

QUESTION = "the apple is red . the sky is blue . what is the apple ?"
OUTPUT = Path("demo_output")


def explain(name: str, model: Any, processor: Any, inputs: Any, **options: Any) -> None:
    """Explain what the model answers, show it, and write a page and a picture."""
    [explanation] = KernelShap(model, processor, pinned=punctuation, budget=512, seed=0, **options)(inputs)
    answer = explanation.span()
    answer.show()
    answer.to_html(OUTPUT / f"{name}.html", answer.interactions())
    answer.plot(OUTPUT / f"{name}.png")
    print(f"\nWritten: {OUTPUT / name}.html and {OUTPUT / name}.png\n")


def main() -> None:
    transformers_logging.set_verbosity_error()  # no messages about kernels that these small models do not need
    transformers_logging.disable_progress_bar()
    logging.getLogger("interpreto_mllm").setLevel(logging.ERROR)
    OUTPUT.mkdir(exist_ok=True)
    explain("text", *load_recall(), QUESTION, occlusion=Replace("<unk>"))
    [scene] = sample_scene_prompts(1, things=5, seed=1, asks="colour")
    explain("image", *load_sight(), scene.messages, image_granularity=Patches(3, 3))
    [clip] = sample_clip_prompts(1, sounds=4, seed=1, asks="after")
    explain("audio", *load_hearing(), clip.messages, audio_granularity=SplitOnSilence())


if __name__ == "__main__":
    main()
