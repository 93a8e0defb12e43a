"""Integrated gradients against captum, interpreto and inseq, in one run, on the same model, prompt, answer, steps and baseline.

Run `python benchmarks/gradients.py`, with `--inseq PYTHON` for a Python that has inseq (with other versions of libraries).
Completeness is the referee of numbers: how far the scores of the whole answer are from v(N) − v(∅).
"""

from __future__ import annotations

import argparse
import copy
import json
import subprocess
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from report import Report
from speed import make_model
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast
from transformers.utils import logging as transformers_logging

from interpreto_mllm import Granularity, IntegratedGradients

STEPS, BASELINE = 50, 0
"""captum's number of steps, and the token of its baseline."""


@dataclass(frozen=True)
class Case:
    """One row of the table: a prompt of so many words, and an answer of so many tokens."""

    name: str
    vocabulary: int
    prompt: int
    answer: int


CASES = [
    Case("32-token prompt, vocabulary 8k", 8192, 32, 16),
]
PEERS = ("captum", "interpreto", "inseq")
Contender = Callable[[], Any]


def ours(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, prompt: str, answer: str, **options: Any) -> Contender:
    """Integrated gradients of every token, as captum takes them."""
    explainer = IntegratedGradients(
        model,
        tokenizer,
        steps=STEPS,
        baseline=BASELINE,
        granularity=Granularity.ALL_TOKENS,
        progress=False,
        **options,
    )
    return lambda: explainer(prompt, answer)[0]


def captum(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, prompt: str, answer: str) -> Contender:
    """captum's, one token of the answer after the other; its answer has a row for each and their sum."""
    from captum.attr import LayerIntegratedGradients, LLMGradientAttribution, TextTokenInput

    layer = LayerIntegratedGradients(model, model.get_input_embeddings())
    attribution = LLMGradientAttribution(layer, tokenizer)
    given = TextTokenInput(prompt, tokenizer, baselines=BASELINE)
    return lambda: attribution.attribute(given, target=answer, n_steps=STEPS).token_attr


def interpreto(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, prompt: str, answer: str, batch: int) -> Contender:
    """interpreto's, on copies, because it changes the tokenizer and the model it is given."""
    import interpreto
    from interpreto.attributions import InferenceModes

    method = interpreto.IntegratedGradients(
        copy.deepcopy(model),
        copy.deepcopy(tokenizer),
        batch_size=batch,
        n_perturbations=STEPS,
        inference_mode=InferenceModes.LOG_SOFTMAX,
        granularity=interpreto.Granularity.WORD,
    )
    return lambda: method(prompt, " " + answer)


def inseq(python: str, model: LlamaForCausalLM, tokenizer: Any, prompt: str, answer: str, runs: int, threads: int) -> float:
    """Seconds of inseq's, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        job = json.dumps(
            {"folder": folder, "prompt": prompt, "answer": answer, "steps": STEPS, "runs": runs, "threads": threads}
        )
        script = Path(__file__).with_name("inseq_process.py")
        done = subprocess.run([python, str(script)], input=job, capture_output=True, text=True, check=True)
    return float(json.loads(done.stdout.splitlines()[-1])["seconds"])


def cpu_seconds(runs: int, work: Contender) -> float:
    """The least of several runs, in seconds of the processor, which others on the machine do not lengthen."""
    seconds = []
    for _ in range(runs):
        started = time.process_time()
        work()
        seconds.append(time.process_time() - started)
    return min(seconds)


def measure(case: Case, arguments: argparse.Namespace) -> dict[str, Any]:
    """Times of all contenders, and how far those with numbers are from complete."""
    model, tokenizer = make_model(case.vocabulary, arguments.device)
    generator = torch.Generator().manual_seed(1)
    words = [f"w{index}" for index in torch.randint(3, case.vocabulary, (case.prompt + case.answer,), generator=generator)]
    prompt, answer = " ".join(words[: case.prompt]), " ".join(words[case.prompt :])
    options = {"batch_size": arguments.batch_size}
    contenders: dict[str, Contender] = {
        "whole answer": ours(model, tokenizer, prompt, answer, whole_answer=True, **options),
        "all rows": ours(model, tokenizer, prompt, answer, **options),
        "captum": captum(model, tokenizer, prompt, answer),
        "interpreto": interpreto(model, tokenizer, prompt, answer, arguments.batch_size),
    }
    seconds = {name: cpu_seconds(arguments.runs, work) for name, work in contenders.items()}
    if arguments.inseq:
        seconds["inseq"] = inseq(arguments.inseq, model, tokenizer, prompt, answer, arguments.runs, arguments.threads)
    rows, theirs = contenders["all rows"](), contenders["captum"]().double().cpu()
    difference = float((rows.attributions - theirs).abs().max() / rows.attributions.abs().max())
    gap = (theirs.sum(1) - (rows.full - rows.empty)).abs().max()
    return {
        "case": case,
        "seconds": seconds,
        "difference": difference,
        "gaps": (float(rows.completeness_gap.abs().max()), float(gap)),
        "passes": (rows.counts.forwards, rows.counts.backwards, contenders["whole answer"]().counts.backwards),
    }


def show(results: list[dict[str, Any]], where: str) -> None:
    """The tables: times of peers as multiples of ours, and the numbers."""
    print(f"Integrated gradients of {STEPS} steps, 16-token answers ({where}, hidden 256 × 4 layers)")
    report = Report("gradients")
    for kind in ("whole answer", "all rows"):
        lines = []
        for result in results:
            mine = result["seconds"][kind]
            ratios = [f"{result['seconds'][peer] / mine:.1f}×" if peer in result["seconds"] else "–" for peer in PEERS]
            lines.append([result["case"].name, f"{mine:.2f} s", *ratios])
        report.add(f"integrated gradients, {kind}", ["ours", "captum 0.9", "interpreto 0.5", "inseq 0.7"], lines, kind)
    lines = []
    for result in results:
        (own, theirs), (forwards, rows, whole) = result["gaps"], result["passes"]
        passes = [str(forwards), str(rows), str(whole)]
        lines.append([result["case"].name, *passes, f"{result['difference']:.0e}", f"{own:.0e}", f"{theirs:.0e}"])
    columns = ["forwards", "backwards, rows", "backwards, whole", "difference from captum", "our gap", "captum's gap"]
    report.add("integrated gradients", columns, lines, "numbers")
    report.save()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch-size", type=int, default=STEPS)
    parser.add_argument("--runs", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2, help="of the processor")
    parser.add_argument("--inseq", help="a Python that has inseq")
    parser.add_argument("--only", help="run only the cases whose name contains this")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    warnings.filterwarnings("ignore")
    transformers_logging.set_verbosity_error()
    cases = [case for case in CASES if not arguments.only or arguments.only in case.name]
    show([measure(case, arguments) for case in cases], f"{arguments.threads} threads")


if __name__ == "__main__":
    main()
