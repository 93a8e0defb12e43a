"""The similarity game against the usual loop, which calls `generate` once per coalition.

Run `python benchmarks/responses.py`. Prints a table and writes `benchmarks/results/responses.json`: the time of both on the
same model, prompt and coalitions, whether they give the same answers, and the time per coalition spent outside the model.
"""

from __future__ import annotations

import argparse
import functools
import json
import time
import unittest.mock
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from report import Report
from speed import make_model
from transformers.utils import logging as transformers_logging

from interpreto_mllm import Attribution, KernelShap, ResponseSimilarity
from interpreto_mllm.engine.generation import CausalGenerator
from interpreto_mllm.similarity import TfIdf

RESULTS = Path(__file__).parent / "results" / "responses.json"
CONTEXT, FEATURES, NEW = 200, 16, 32


def words(count: int, vocabulary: int, seed: int) -> list[str]:
    """Random words of the tokenizer, one token each."""
    drawn = torch.randint(3, vocabulary, (count,), generator=torch.Generator().manual_seed(seed))
    return [f"w{index}" for index in drawn.tolist()]


def make_explainer(model: Any, tokenizer: Any, context: int, evaluations: int, new: int, batch: int = 32) -> KernelShap:
    """Answers are compared as texts, so that the time is that of generation."""
    mode = ResponseSimilarity(similarity=TfIdf(), generate={"max_new_tokens": new})
    options: dict[str, Any] = {"budget": evaluations, "pinned": range(context), "batch_size": batch, "progress": False}
    return KernelShap(model, tokenizer, inference_mode=mode, **options)


def one_by_one(model: Any, explainer: KernelShap, prompt: str, explanation: Attribution) -> list[list[int]]:
    """The loop: each coalition is processed in full and answered alone."""
    readings = explainer.game(prompt, "w9").prompt.inputs_for(explanation.coalitions)
    said = []
    with torch.no_grad():
        for [reading] in readings:
            ids = torch.from_numpy(reading.ids)[None]
            whole = model.generate(
                input_ids=ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=NEW, pad_token_id=0
            )
            said.append(whole[0, ids.shape[1] :].tolist())
    return said


def measure_speed(evaluations: int, runs: int) -> dict[str, Any]:
    """Times of both loops on a prompt of `CONTEXT` shared and `FEATURES` explained words."""
    model, tokenizer = make_model(8192, "cpu")
    model.generation_config.eos_token_id = None
    prompt = " ".join(words(CONTEXT + FEATURES, 8192, 1))
    explainer = make_explainer(model, tokenizer, CONTEXT, evaluations, NEW)
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        [explanation] = explainer(prompt)
        times.append(time.perf_counter() - start)
    start = time.perf_counter()
    said = one_by_one(model, explainer, prompt, explanation)
    loop = time.perf_counter() - start
    assert explanation.responses is not None
    same = sum(tokenizer.decode(a) == b for a, b in zip(said, explanation.responses.texts, strict=True))
    return {"evaluations": evaluations, "ours": min(times), "loop": loop, "same_answers": same}


class Stopwatch:
    """CPU time spent inside the timed functions."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def calls(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, with its calls timed."""

        @functools.wraps(function)
        def timed(*positional: Any, **named: Any) -> Any:
            start = time.process_time()
            try:
                return function(*positional, **named)
            finally:
                self.seconds += time.process_time() - start

        return timed

    def steps(self, function: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
        """The generator function, with the time until each of its items added."""

        def timed(*positional: Any, **named: Any) -> Iterator[Any]:
            items = function(*positional, **named)
            following = self.calls(lambda: next(items, None))
            while (item := following()) is not None:
                yield item

        return timed


def measure_overhead(evaluations: int, runs: int) -> dict[str, Any]:
    """CPU milliseconds per coalition, on one thread: outside the model's forward, and outside generation as a whole."""
    model, tokenizer = make_model(512, "cpu")
    torch.set_num_threads(1)
    forwards, answering = Stopwatch(), Stopwatch()
    model.forward = forwards.calls(model.forward)
    generate = CausalGenerator.generate
    explainer = make_explainer(model, tokenizer, 0, evaluations, 8, batch=128)
    forward, answer = [], []
    with unittest.mock.patch.object(CausalGenerator, "generate", answering.steps(generate)):
        for _ in range(runs):
            forwards.seconds, answering.seconds, start = 0.0, 0.0, time.process_time()
            [explanation] = explainer(" ".join(words(24, 512, 2)))
            whole = time.process_time() - start
            forward.append((whole - forwards.seconds) * 1000 / explanation.counts.evaluations)
            answer.append((whole - answering.seconds) * 1000 / explanation.counts.evaluations)
    return {"evaluations": evaluations, "outside_forward_ms": min(forward), "outside_answering_ms": min(answer)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--evaluations", type=int, default=256)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=2)
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    transformers_logging.set_verbosity_error()
    torch.set_num_threads(arguments.threads)
    speed, overhead = measure_speed(arguments.evaluations, arguments.runs), measure_overhead(1000, arguments.runs + 1)
    print(f"{NEW} new tokens after {CONTEXT} shared and {FEATURES} explained ones ({arguments.threads} threads)")
    columns = ["ours", "one generate each", "times faster", "same answers", "outside forward", "outside answering"]
    row = [
        str(speed["evaluations"]),
        f"{speed['ours']:.2f} s",
        f"{speed['loop']:.2f} s",
        f"{speed['loop'] / speed['ours']:.1f}×",
        f"{speed['same_answers']} of {speed['evaluations']}",
        f"{overhead['outside_forward_ms']:.3f} ms each",
        f"{overhead['outside_answering_ms']:.3f} ms each",
    ]
    report = Report("responses")
    report.add("evaluations", columns, [row], "responses")
    report.save()
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps({"speed": speed, "overhead": overhead}, indent=2) + "\n")


if __name__ == "__main__":
    main()
