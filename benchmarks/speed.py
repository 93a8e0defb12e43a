"""Speed against captum, interpreto and the ideal, in one run, on the same model, prompt and number of evaluations.

    python benchmarks/speed.py [--device cuda] [--out FOLDER]

Prints each row as it comes, done in five minutes on two cores, and writes `benchmarks/results/speed.json`. The ideal is one
plain batched forward over the same distinct sequences, with logits only where the target is. Where there is a GPU, a Llama of
one billion parameters with random weights is measured on it as well, in bfloat16. Peers that are not installed are left out.
"""

from __future__ import annotations

import argparse
import copy
import json
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path

import torch
from report import Report
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from transformers.utils import logging as transformers_logging

from interpreto_mllm import ExactShapley, KernelShap, Replace

RESULTS = Path(__file__).parent / "results" / "speed.json"
FILLER = "w3"


@dataclass(frozen=True)
class Case:
    """One row of the table: a prompt of `context` fixed words and `features` words to explain, and `target` tokens to score."""

    name: str
    vocabulary: int
    context: int
    features: int
    target: int
    evaluations: int
    exact: bool = False
    size: str = "small"


@dataclass(frozen=True)
class Size:
    """A Llama: its hidden size and layers, the heads of queries and of keys, the size within its layers, and its dtype."""

    hidden: int
    layers: int
    heads: int
    key_heads: int
    inner: int
    dtype: torch.dtype


SIZES = {
    "small": Size(256, 4, 4, 4, 1024, torch.float32),
    "billion": Size(2048, 18, 32, 8, 8192, torch.bfloat16),
}
CASES = [
    Case("64-token prompt, vocabulary 8k", 8192, 0, 64, 16, 256),
    Case("64-token prompt, vocabulary 64k", 65536, 0, 64, 16, 128),
    Case("512 fixed tokens, then 16 features", 8192, 512, 16, 16, 128),
    Case("exact, 12 features, one-token answer", 8192, 0, 12, 1, 4096, exact=True),
]
ON_A_GPU = [
    Case("1B parameters, bf16, 64-token prompt", 32768, 0, 64, 16, 256, size="billion"),
    Case("1B parameters, bf16, 512 fixed tokens, then 16 features", 32768, 512, 16, 16, 256, size="billion"),
]
LONGEST = 6.0
"""Seconds of a run, from which on it is not repeated."""


def make_model(case: Case, device: str) -> tuple[LlamaForCausalLM, PreTrainedTokenizerFast]:
    """A Llama with random weights, and a tokenizer with one token a word."""
    torch.manual_seed(0)
    size, vocabulary = SIZES[case.size], case.vocabulary
    config = LlamaConfig(
        vocab_size=vocabulary + 8,
        hidden_size=size.hidden,
        intermediate_size=size.inner,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        num_key_value_heads=size.key_heads,
        max_position_embeddings=1024,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )
    words = {"<pad>": 0, "<s>": 1, "</s>": 2} | {f"w{index}": index for index in range(3, vocabulary)}
    backend = Tokenizer(models.WordLevel(words, unk_token="<pad>"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="<pad>", bos_token="<s>", eos_token="</s>")
    with torch.device(device):
        model = LlamaForCausalLM(config).eval().to(size.dtype)
    return model.to(device), tokenizer


def best_of(runs: int, work: Callable[[], object], device: str) -> float:
    """The shortest of several runs, in seconds; machines are shared, so the minimum is the least disturbed."""
    times: list[float] = []
    while len(times) < runs and (not times or min(times) < LONGEST):
        start = time.perf_counter()
        work()
        if device.startswith("cuda"):
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return min(times)


def ideal(
    model: LlamaForCausalLM, sequences: list[list[int]], target: list[int], batch: int, device: str
) -> Callable[[], None]:
    """A plain batched forward over the sequences."""

    def run() -> None:
        ids = torch.tensor([[*sequence, *target[:-1]] for sequence in sequences], device=device)
        wanted = torch.tensor(target, device=device)[None, :, None]
        with torch.no_grad():
            for rows in ids.split(batch):
                logits = model(input_ids=rows, use_cache=False, logits_to_keep=len(target)).logits.float()
                logits.log_softmax(-1).gather(-1, wanted.expand(len(rows), -1, -1)).cpu()

    return run


def captum_run(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, case: Case, words: list[str], answer: str
) -> Callable[[], object]:
    """captum's KernelShap in its best correct mode: the whole target in one forward, no token-by-token cache."""
    from captum.attr import KernelShap as CaptumKernelShap
    from captum.attr import LLMAttribution, TextTemplateInput

    fixed, scored = words[: case.context], words[case.context :]
    template = " ".join([*fixed, *["{}"] * len(scored)])
    given = TextTemplateInput(template=template, values=scored, baselines=[FILLER] * len(scored))
    attribution = LLMAttribution(CaptumKernelShap(model), tokenizer)
    arguments = {"target": answer, "n_samples": case.evaluations, "forward_in_tokens": False, "show_progress": False}
    return lambda: attribution.attribute(given, **arguments)


def interpreto_run(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, case: Case, words: list[str], answer: str, batch: int
) -> Callable[[], object]:
    """interpreto's KernelShap on copies, because it changes the tokenizer and the model it is given."""
    import interpreto
    from interpreto.attributions import InferenceModes

    method = interpreto.KernelShap(
        copy.deepcopy(model),
        copy.deepcopy(tokenizer),
        batch_size=batch,
        n_perturbations=case.evaluations,
        inference_mode=InferenceModes.LOG_SOFTMAX,
        granularity=interpreto.Granularity.WORD,
    )
    prompt, target = " ".join(words), " " + answer
    return lambda: method(prompt, target)


def measure(case: Case, device: str, batch: int, runs: int) -> dict:
    """Times and counts of one case."""
    model, tokenizer = make_model(case, device)
    generator = torch.Generator().manual_seed(1)
    drawn = torch.randint(3, case.vocabulary, (case.context + case.features + case.target,), generator=generator).tolist()
    words = [f"w{index}" for index in drawn[: case.context + case.features]]
    if case.exact:
        words = [f"w{index}" for index in torch.randint(3, case.vocabulary, (60,), generator=generator).tolist()]
    answer = " ".join(f"w{index}" for index in drawn[-case.target :])
    method = ExactShapley if case.exact else KernelShap
    options: dict = {"batch_size": batch, "occlusion": Replace(FILLER), "progress": False, "budget": case.evaluations}
    if case.exact:
        options["groups"] = [index // 5 for index in range(60)]
    elif case.context:
        options["pinned"] = range(case.context)
    explainer = method(model, tokenizer, **options)
    [result] = explainer(" ".join(words), answer)
    readings = explainer.game(" ".join(words), answer).prompt.inputs_for(result.coalitions)
    sequences = [row[0].ids.tolist() for row in readings]
    target = tokenizer.encode(answer, add_special_tokens=False)
    contenders = {
        "ours": lambda: explainer(" ".join(words), answer),
        "ideal": ideal(model, sequences, target, batch, device),
    }
    if not case.exact and find_spec("captum"):
        contenders["captum"] = captum_run(model, tokenizer, case, words, answer)
    if not case.exact and find_spec("interpreto"):
        contenders["interpreto"] = interpreto_run(model, tokenizer, case, words, answer, batch)
    seconds = {name: best_of(runs, work, device) for name, work in contenders.items()}
    plain = sum(len(sequence) + len(target) - 1 for sequence in sequences)
    return {
        **asdict(case),
        "seconds": seconds,
        "evaluated": len(sequences),
        "forwards": result.counts.forwards,
        "tokens": result.counts.tokens,
        "plain_tokens": plain,
    }


COLUMNS = ["evaluations", "forwards", "tokens (plain)", "ours", "ideal", "captum 0.9", "interpreto 0.5"]
ABOUT = "Time as a multiple of interpreto_mllm's; the ideal is one plain batched forward over the same distinct sequences."


def cells(row: dict) -> list[str]:
    """A row of the table: each contender's time as a multiple of ours."""
    ours = row["seconds"]["ours"]
    contenders = ("ideal", "captum", "interpreto")
    ratios = [f"{row['seconds'][name] / ours:.2f}×" if name in row["seconds"] else "–" for name in contenders]
    tokens = f"{row['tokens']:,} ({row['plain_tokens']:,})"
    return [row["name"], str(row["evaluated"]), str(row["forwards"]), tokens, f"{ours:.2f} s", *ratios]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--runs", type=int, default=2, help="of each contender; long ones are not repeated")
    parser.add_argument("--threads", type=int, default=2, help="of the processor")
    parser.add_argument("--only", help="run only the cases whose name contains this")
    parser.add_argument("--out", type=Path, help="a folder for the table and a page")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    warnings.filterwarnings("ignore")
    transformers_logging.set_verbosity_error()
    tasks = [(case, arguments.device) for case in CASES]
    tasks += [(case, "cuda") for case in ON_A_GPU if torch.cuda.is_available()]
    results: list[dict] = []

    def rows() -> Iterator[list[str]]:
        for case, device in tasks:
            if not arguments.only or arguments.only in case.name:
                results.append({"device": device, **measure(case, device, arguments.batch_size, arguments.runs)})
                yield cells(results[-1])

    where = f"{arguments.threads} threads" if arguments.device == "cpu" else arguments.device
    print(f"{ABOUT} ({where}; hidden 256 × 4 layers unless it says otherwise)")
    report = Report("speed", arguments.out)
    report.stream("case", COLUMNS, rows(), "speed")
    report.save()
    report.page("speed", ABOUT, facts=[where, f"torch {torch.__version__}"])
    if not arguments.only:
        RESULTS.parent.mkdir(exist_ok=True)
        path = RESULTS.with_stem(f"speed-{arguments.device}") if arguments.device != "cpu" else RESULTS
        path.write_text(json.dumps({"device": arguments.device, "cases": results}, indent=2) + "\n")


if __name__ == "__main__":
    main()
