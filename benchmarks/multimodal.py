"""Speed on a vision-language model: against one processor call and one forward per coalition, and against captum.

Run `python benchmarks/multimodal.py`. Prints a table and writes `benchmarks/results/multimodal.json`: encoder calls,
forwards, tokens and time of the same coalitions of three games, in one run. The plain path is what captum's `ImageMaskInput`
does; captum itself can only explain the image alone.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from report import Report
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)
from transformers.utils import logging as transformers_logging

from interpreto_mllm import ExactShapley, KernelShap, Patches
from interpreto_mllm.engine.packed import PackedScorer
from interpreto_mllm.testbed import load_sight, sample_scene_prompts

RESULTS = Path(__file__).parent / "results" / "multimodal.json"
SIDE, PATCH, WORDS, EXACT = 112, 8, 16, 11
ANSWER = "w3 w4 w5 w6"


@dataclass(frozen=True)
class Case:
    """A game: whether words are players, in how many rows and columns of regions the image is (0 for none), and evaluations."""

    name: str
    words: bool
    grid: int
    evaluations: int


CASES = [
    Case("image fixed, 16 words", True, 0, 128),
    Case("joint, 4 regions + 16 words", True, 2, 128),
    Case("joint, 16 regions + 16 words", True, 4, 128),
    Case("words fixed, 16 regions", False, 4, 128),
]


def make_model() -> tuple[Any, Any]:
    """A LLaVA with random weights: vision 4 × 128 on 196 patches, language 4 × 256; one token per word."""
    torch.manual_seed(0)
    words = ["<pad>", "<s>", "</s>", "<image>", *(f"w{index}" for index in range(4000))]
    backend = Tokenizer(models.WordLevel({word: index for index, word in enumerate(words)}, unk_token="<pad>"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        extra_special_tokens={"image_token": "<image>"},
    )
    images = CLIPImageProcessorPil(size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE})
    processor = LlavaProcessor(
        images, tokenizer, patch_size=PATCH, vision_feature_select_strategy="default", num_additional_image_tokens=1
    )
    seeing = CLIPVisionConfig(
        hidden_size=128, intermediate_size=512, num_hidden_layers=4, num_attention_heads=4, image_size=SIDE, patch_size=PATCH
    )
    reading = LlamaConfig(
        vocab_size=len(words), hidden_size=256, intermediate_size=1024, num_hidden_layers=4, num_attention_heads=4,
        max_position_embeddings=1024, pad_token_id=0, bos_token_id=1, eos_token_id=2,
    )  # fmt: skip
    config = LlavaConfig(vision_config=seeing, text_config=reading, image_token_index=3)
    return LlavaForConditionalGeneration(config).eval(), processor


class Seen:
    """Counts the images encoded, and the forwards and tokens of the language model."""

    def __init__(self, model: Any):
        self.images = self.forwards = self.tokens = 0
        self.hooks = [
            model.model.vision_tower.register_forward_pre_hook(self._see, with_kwargs=True),
            model.model.language_model.register_forward_hook(self._read, with_kwargs=True),
        ]

    def _see(self, module: Any, args: tuple, kwargs: dict) -> None:
        self.images += len(kwargs.get("pixel_values", args[0] if args else ()))

    def _read(self, module: Any, args: tuple, kwargs: dict, output: Any) -> None:
        self.forwards += 1
        self.tokens += output.last_hidden_state.shape[:2].numel()

    def stop(self) -> None:
        for hook in self.hooks:
            hook.remove()


def captum_run(model: Any, processor: Any, image: Image.Image, text: str, case: Case) -> Callable[[], object]:
    """captum's KernelShap over the patches, in its best correct mode."""
    from captum.attr import KernelShap as CaptumKernelShap
    from captum.attr import LLMAttribution
    from captum.attr._utils.interpretable_input import ImageMaskInput

    edge = SIDE // case.grid
    mask = torch.arange(SIDE).div(edge, rounding_mode="floor")
    given = ImageMaskInput(
        image=image,
        mask=(mask[:, None] * case.grid + mask[None]).int(),
        processor_fn=lambda seen: processor(text=text, images=seen, return_tensors="pt"),
    )
    attribution = LLMAttribution(CaptumKernelShap(model), processor.tokenizer)
    arguments = {"target": ANSWER, "n_samples": case.evaluations, "forward_in_tokens": False, "show_progress": False}
    return lambda: attribution.attribute(given, **arguments)


def timed(model: Any, work: Callable[[], Any], runs: int) -> dict[str, Any]:
    """The shortest time of some runs, and the counts of one."""
    seen = Seen(model)
    result = work()
    counts = {"images": seen.images, "forwards": seen.forwards, "tokens": seen.tokens}
    seen.stop()
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        result = work()
        times.append(time.perf_counter() - start)
    return {"seconds": min(times), **counts, "values": getattr(result, "__getitem__", lambda _: None)(0)}


def measure(case: Case, batch: int, runs: int) -> dict[str, Any]:
    """Times and counts of one case."""
    model, processor = make_model()
    generator = np.random.default_rng(0)
    image = Image.fromarray(generator.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8))
    text = "<image> " + " ".join(f"w{index}" for index in generator.integers(100, 4000, WORDS))
    pinned = (lambda f: f.modality == "image") if not case.grid else (lambda f: f.modality == "text") if not case.words else ()

    def ours(share: bool) -> Callable[[], Any]:
        options: dict[str, Any] = {"budget": case.evaluations, "batch_size": batch, "progress": False, "pinned": pinned}
        grid = Patches(max(case.grid, 1), max(case.grid, 1))
        return lambda: KernelShap(model, processor, image_granularity=grid, share_prefixes=share, **options)(
            {"text": text, "images": [image]}, " " + ANSWER
        )

    contenders = {"ours": ours(True), "plain": ours(False)}
    if not case.words:
        contenders["captum"] = captum_run(model, processor, image, text, case)
    results = {name: timed(model, work, runs if name == "ours" else 1) for name, work in contenders.items()}
    fast, slow = results["ours"].pop("values").values, results["plain"].pop("values").values
    results.get("captum", {}).pop("values", None)
    return {**asdict(case), "difference": float((fast - slow).abs().max()), "results": results}


def packed_or_not(name: str, explainer: Any, inputs: dict[str, Any], answer: str) -> list[list[str]]:
    """What a game costs with several prompts in a row, and with one in each; the model is known by then."""
    rows, capacity = [], PackedScorer._capacity
    explainer(inputs, answer)
    for packs in (True, False):
        PackedScorer._capacity = capacity if packs else lambda self, queries: 0
        started = time.process_time()
        [result] = explainer(inputs, answer)
        seconds = time.process_time() - started
        counts = [f"{number:,}" for number in (result.counts.evaluations, result.counts.forwards, result.counts.tokens)]
        rows.append([name if packs else "", "packed" if packs else "one a row", *counts, f"{seconds:.2f}"])
    PackedScorer._capacity = capacity
    return rows


def show_packed(report: Report) -> None:
    """Games in which prompts share an image: on the seeing model that ships, and on the LLaVA of the other table."""
    [scene] = sample_scene_prompts(1, seed=3)
    seeing = ExactShapley(*load_sight(), image_granularity=Patches(1, 2), progress=False)
    rows = packed_or_not(
        "seeing model, 2 regions and words", seeing, {"text": scene.text, "images": [scene.image]}, scene.answer
    )
    model, processor = make_model()
    text = "<image> " + " ".join(f"w{index}" for index in range(100, 100 + EXACT))
    image = Image.fromarray(np.zeros((SIDE, SIDE, 3), np.uint8))
    explainer = ExactShapley(model, processor, pinned=lambda feature: feature.modality == "image", progress=False)
    rows += packed_or_not(f"LLaVA, image fixed, {EXACT} words", explainer, {"text": text, "images": [image]}, " " + ANSWER)
    report.add("packing", ["rows", "evaluations", "forwards", "tokens", "CPU seconds"], rows, "packing")


def show(rows: list[dict[str, Any]]) -> None:
    """The table: counts, and each contender's time as a multiple of ours."""
    print("One game on a LLaVA (vision 4 × 128, language 4 × 256, 196 image tokens), CPU")
    cells = []
    for row in rows:
        ours = row["results"]["ours"]["seconds"]
        for index, (name, cost) in enumerate(row["results"].items()):
            counts = [f"{cost[key]:,}" for key in ("images", "forwards", "tokens")]
            ratio = f"{cost['seconds'] / ours:.1f}×"
            cells.append([row["name"] if not index else "", name, *counts, f"{cost['seconds']:.2f}", ratio])
    report = Report("multimodal")
    report.add("game", ["path", "images encoded", "forwards", "tokens", "seconds", "× ours"], cells, "multimodal")
    show_packed(report)
    report.save()
    worst = max(row["difference"] for row in rows)
    print(f"Largest difference between the values of ours and the plain path: {worst:.1e}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--runs", type=int, default=2)
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    transformers_logging.set_verbosity_error()
    rows = [measure(case, arguments.batch_size, arguments.runs) for case in CASES]
    show(rows)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps({"cases": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
