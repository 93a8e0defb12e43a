"""Integrated gradients against captum, interpreto and inseq, in one run, on the same model, prompt, answer, steps and baseline.

`make bench` runs it; alone, `python benchmarks/gradients.py --inseq PYTHON`, with a Python that has inseq (which needs other
versions of libraries). All take turns, and each has the least of several times, in seconds of the processor, which others on
the machine lengthen least. Completeness is the referee of numbers: how far scores are from v(N) − v(∅).
"""

from __future__ import annotations

import argparse
import copy
import json
import subprocess
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
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
    Case("vocabulary 8k", 8192, 32, 16),
    Case("vocabulary 32k", 32768, 32, 16),
]
PEERS = {"captum": "captum 0.9", "interpreto": "interpreto 0.5", "inseq": "inseq 0.7"}
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


@contextmanager
def inseq(python: str, model: LlamaForCausalLM, tokenizer: Any, job: dict[str, Any]) -> Iterator[Callable[[], float]]:
    """inseq in a process of its own: each call takes integrated gradients once, and gives its seconds."""
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        command = [python, str(Path(__file__).with_name("inseq_process.py"))]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdin is not None and process.stdout is not None
            given, answers = process.stdin, process.stdout

            def run() -> float:
                given.write(json.dumps({**job, "folder": folder}) + "\n")
                given.flush()
                line = answers.readline()
                while line and not line.startswith('{"seconds"'):
                    line = answers.readline()
                if not line:
                    raise RuntimeError(f"inseq failed under {python}: what it printed is above.")
                return float(json.loads(line)["seconds"])

            yield run
            given.close()


def taken(work: Contender, results: list[Any]) -> float:
    """Seconds of the processor; the result is added to the list."""
    started = time.process_time()
    results.append(work())
    return time.process_time() - started


def measure(case: Case, arguments: argparse.Namespace) -> dict[str, Any]:
    """Times of all contenders, which take turns, and how far those with numbers are from complete."""
    model, tokenizer = make_model(case.vocabulary, arguments.device)
    generator = torch.Generator().manual_seed(1)
    words = [f"w{index}" for index in torch.randint(3, case.vocabulary, (case.prompt + case.answer,), generator=generator)]
    prompt, answer = " ".join(words[: case.prompt]), " ".join(words[case.prompt :])
    whole = ours(model, tokenizer, prompt, answer, whole_answer=True, batch_size=arguments.batch_size)
    rows = ours(model, tokenizer, prompt, answer, batch_size=arguments.batch_size)
    theirs = captum(model, tokenizer, prompt, answer)
    others = interpreto(model, tokenizer, prompt, answer, arguments.batch_size)
    works: dict[str, Contender] = {"whole answer": whole, "all rows": rows, "captum": theirs, "interpreto": others}
    found: dict[str, list[Any]] = {name: [] for name in works}
    contenders: dict[str, Callable[[], float]] = {name: partial(taken, work, found[name]) for name, work in works.items()}
    seconds: dict[str, list[float]] = {}
    job = {"prompt": prompt, "answer": answer, "steps": STEPS, "threads": arguments.threads}
    with inseq(arguments.inseq, model, tokenizer, job) if arguments.inseq else nullcontext() as inseqs:
        if inseqs is not None:
            contenders["inseq"] = inseqs
        for turn in range(arguments.runs):
            for name, run in contenders.items():
                seconds.setdefault(name, []).append(run())
                print(f"{case.name}, run {turn + 1}, {name}: {seconds[name][-1]:.2f} s", flush=True)
    least = {name: min(times) for name, times in seconds.items()}
    last = [found[name][-1] for name in ("all rows", "captum", "whole answer")]
    return {"case": case, "seconds": least, **numbers(*last)}


def numbers(rows: Any, theirs: Any, whole: Any) -> dict[str, Any]:
    """How far scores are from captum's, relative to the largest, and both from complete."""
    theirs = theirs.double().cpu()
    gap = (theirs.sum(1) - (rows.full - rows.empty)).abs().max()
    return {
        "difference": float((rows.attributions - theirs).abs().max() / rows.attributions.abs().max()),
        "gaps": (float(rows.completeness_gap.abs().max()), float(gap)),
        "passes": (rows.counts.forwards, rows.counts.backwards, whole.counts.backwards),
    }


def show(results: list[dict[str, Any]]) -> None:
    """The tables: times of peers as multiples of ours, and the numbers."""
    report = Report("gradients")
    for kind in ("whole answer", "all rows"):
        lines = []
        for result in results:
            mine = result["seconds"][kind]
            ratios = [f"{result['seconds'][peer] / mine:.1f}×" if peer in result["seconds"] else "–" for peer in PEERS]
            lines.append([result["case"].name, f"{mine:.2f} s", *ratios])
        report.add(f"integrated gradients, {kind}", ["ours", *PEERS.values()], lines, kind)
    lines = []
    for result in results:
        (own, theirs), (forwards, rows, whole) = result["gaps"], result["passes"]
        passes = [str(forwards), str(rows), str(whole)]
        lines.append([result["case"].name, *passes, f"{result['difference']:.0e}", f"{own:.2g}", f"{theirs:.2g}"])
    columns = [
        "forwards",
        "backwards, all rows",
        "backwards, whole answer",
        "difference from captum",
        "our gap",
        "captum's gap",
    ]
    report.add("integrated gradients", columns, lines, "numbers")
    report.save()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch-size", type=int, default=STEPS)
    parser.add_argument("--runs", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1, help="of the processor")
    parser.add_argument("--inseq", help="a Python that has inseq")
    parser.add_argument("--only", help="run only the cases whose name contains this")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    warnings.filterwarnings("ignore")
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    cases = [case for case in CASES if not arguments.only or arguments.only in case.name]
    print(f"Integrated gradients of {STEPS} steps, 32-token prompts, 16-token answers, hidden 256 × 4 layers", flush=True)
    show([measure(case, arguments) for case in cases])


if __name__ == "__main__":
    main()
