"""Makes the result pages of the gallery whenever the site is built, from the models that ship with the package."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from frames import frame
from mkdocs.structure.files import File, Files

from interpreto_mllm import (
    ExactShapley,
    GaussianProcessShapley,
    Granularity,
    InferenceModes,
    KernelShap,
    Occlusion,
    Patches,
    PermutationShapley,
    Reasoned,
    Sources,
    Summary,
    compare,
    punctuation,
    testbed,
)

FACTS = "the apple is red . the sky is blue . the grass is green . what is the apple ?"
QUIET: dict[str, Any] = {"seed": 0, "progress": False}
Writer = Callable[[Path], None]


def text(path: Path) -> None:
    """Words of a text, and an answer of several tokens: pick one, or drag over some."""
    explainer = GaussianProcessShapley(*testbed.load_recall(), pinned=punctuation, budget=300, **QUIET)
    [explanation] = explainer(FACTS, "the apple is red .")
    explanation.to_html(path)


def interactions(path: Path) -> None:
    """Pairs of words that are worth more together than apart, as arcs and as a list."""
    [explanation] = GaussianProcessShapley(*testbed.load_recall(), pinned=punctuation, budget=500, **QUIET)(FACTS)
    explanation.to_html(path, explanation.span().interactions())


def chat(path: Path) -> None:
    """Sentences of a chat with an earlier answer."""
    messages = [
        {"role": "system", "content": "answer in one word ."},
        {"role": "user", "content": "the lamp is grey . the car is gold ."},
        {"role": "assistant", "content": "ok ."},
        {"role": "user", "content": "the door is pink . what is the lamp ?"},
    ]
    explainer = ExactShapley(*testbed.load_recall(), granularity=Granularity.SENTENCE, roles=("user", "assistant"), **QUIET)
    [explanation] = explainer(messages, "grey")
    explanation.to_html(path)


def tool_call(path: Path) -> None:
    """Whose wish was the call: the user's, or that of a text which a tool brought in?"""
    [prompt] = testbed.sample_injections(1, seed=3)
    explainer = ExactShapley(
        *testbed.load_caller(), granularity=Granularity.SENTENCE, roles=("user", "assistant", "tool"), **QUIET
    )
    [explanation] = explainer(prompt.chat, prompt.injected)
    explanation.to_html(path)


def documents(path: Path) -> None:
    """Which of the documents did the answer come from?"""
    sources = Sources(
        {"market": "the apple is red . the lamp is gold .", "sailor": "the sky is blue .", "garden": "the grass is green ."}
    )
    prompt = "the apple is red . the lamp is gold . the sky is blue . the grass is green . what is the lamp ?"
    [explanation] = ExactShapley(*testbed.load_recall(), granularity=sources, **QUIET)(prompt, "gold")
    explanation.to_html(path)


def thoughts(path: Path) -> None:
    """Did the thought or the prompt decide?"""
    facts = "the house is like the cat . the cat is red . the car is gold . what colour is the house ?"
    explainer = KernelShap(*testbed.load_thoughts(), granularity=Granularity.SENTENCE, budget=64, **QUIET)
    [explanation] = explainer([{"role": "user", "content": facts}], Reasoned())
    explanation.to_html(path)


def picture(path: Path) -> None:
    """Regions of a picture and words of the question, with the pairs that act together."""
    [prompt] = testbed.sample_scene_prompts(1, asks="colour", seed=1)
    explainer = GaussianProcessShapley(*testbed.load_sight(), image_granularity=Patches(4, 4), budget=600, **QUIET)
    [explanation] = explainer({"text": prompt.text, "images": prompt.image})
    explanation.to_html(path, explanation.span().interactions())


def clip(path: Path) -> None:
    """Stretches of a clip: click one to hear it."""
    [prompt] = testbed.sample_clip_prompts(1, asks="first", seed=1)
    explainer = GaussianProcessShapley(*testbed.load_hearing(), budget=400, **QUIET)
    [explanation] = explainer({"text": prompt.text, "audio": {"array": prompt.audio, "sampling_rate": 16_000}})
    explanation.to_html(path)


def video(path: Path) -> None:
    """Frames of a video: which of them decide?"""
    [prompt] = testbed.sample_video_prompts(1, frames=5, seed=4, order="after")
    explainer = GaussianProcessShapley(*testbed.load_watching(), pinned=punctuation, budget=300, **QUIET)
    [explanation] = explainer(prompt.messages)
    explanation.to_html(path, explanation.span().interactions())


def responses(path: Path) -> None:
    """What the model answers to each part of the prompt, as a table that sorts and filters."""
    options: dict[str, Any] = {"granularity": Granularity.SENTENCE, "inference_mode": InferenceModes.SIMILARITY}
    [explanation] = ExactShapley(*testbed.load_recall(), **options, **QUIET)(FACTS)
    explanation.to_html(path)


def comparison(path: Path) -> None:
    """Three methods side by side."""
    model = testbed.load_recall()
    prompt = ("the apple is red . the sky is blue . what is the apple ?", " red")
    options: dict[str, Any] = {"pinned": ["."], **QUIET}
    methods = (ExactShapley(*model, **options), PermutationShapley(*model, budget=200, **options), Occlusion(*model, **options))
    compare([explanation for method in methods for explanation in method(*prompt)]).to_html(path)


def summary(path: Path) -> None:
    """Many prompts at once: which words matter."""
    prompts = testbed.sample_fact_prompts(24, facts=2, seed=0)
    explainer = KernelShap(*testbed.load_recall(), pinned=punctuation, budget=120, **QUIET)
    Summary(explainer([prompt.prompt for prompt in prompts], [f" {prompt.answer}" for prompt in prompts])).to_html(path)


KINDS = (text, chat, tool_call, documents, thoughts, picture, clip, video, responses, interactions, comparison, summary)
PAGES: dict[str, Writer] = {page.__name__: page for page in KINDS}


def on_files(files: Files, config: Any) -> Files:
    """Adds a page of each kind, and the gallery that shows them."""
    frames = []
    with tempfile.TemporaryDirectory() as folder:
        for name, write in PAGES.items():
            path = Path(folder) / f"{name}.html"
            write(path)
            files.append(File.generated(config, f"gallery/{name}.html", content=path.read_text(encoding="utf-8")))
            title, told = name.replace("_", " ").capitalize(), str(write.__doc__).strip()
            shown = frame(f"{name}.html", title, fitted=True)
            frames.append(f"## {title}\n\n{told} [On its own]({name}.html){{target=_blank}}\n\n{shown}\n")
    about = (
        "# Gallery\n\nEach frame is a page as `explanation.to_html(path)` writes it, of the models that ship with the package, "
        "made when this site was built: pick tokens, drag over several, pick words or regions, search, save.\n\n"
    )
    files.append(File.generated(config, "gallery/index.md", content=about + "\n".join(frames)))
    return files
