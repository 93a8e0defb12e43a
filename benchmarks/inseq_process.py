"""inseq's integrated gradients in a process of its own: needs only inseq, so that it can run under another Python.

Reads a job {"folder", "prompt", "answer", "steps", "runs", "threads"} and writes a line {"seconds", "version"}.
"""

from __future__ import annotations

import json
import sys
import time
import warnings

import inseq
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer


def main() -> None:
    warnings.filterwarnings("ignore")
    job = json.load(sys.stdin)
    torch.set_num_threads(job["threads"])
    model = AutoModelForCausalLM.from_pretrained(job["folder"]).eval()
    tokenizer = AutoTokenizer.from_pretrained(job["folder"])
    method = inseq.load_model(model, "integrated_gradients", tokenizer=tokenizer)
    whole, seconds = f"{job['prompt']} {job['answer']}", []
    for _ in range(job["runs"]):
        started = time.perf_counter()
        method.attribute(job["prompt"], whole, n_steps=job["steps"], step_scores=[], show_progress=False, device="cpu")
        seconds.append(time.perf_counter() - started)
    print(json.dumps({"seconds": min(seconds), "version": inseq.__version__}))


if __name__ == "__main__":
    main()
