"""inseq's integrated gradients in a process of its own: needs only inseq, so that it can run under another Python.

Reads jobs {"folder", "prompt", "answer", "steps", "threads"} with the same folder, a line each, and writes a line {"seconds",
"version"} for each; the seconds are the processor's.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from importlib.metadata import version
from typing import Any

import inseq
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer


def main() -> None:
    warnings.filterwarnings("ignore")
    method: Any = None
    for line in sys.stdin:
        job = json.loads(line)
        if method is None:
            torch.set_num_threads(job["threads"])
            model = AutoModelForCausalLM.from_pretrained(job["folder"]).eval()
            tokenizer = AutoTokenizer.from_pretrained(job["folder"])
            method = inseq.load_model(model, "integrated_gradients", tokenizer=tokenizer)
        whole = f"{job['prompt']} {job['answer']}"
        started = time.process_time()
        method.attribute(job["prompt"], whole, n_steps=job["steps"], step_scores=[], show_progress=False, device="cpu")
        print(json.dumps({"seconds": time.process_time() - started, "version": version("inseq")}), flush=True)


if __name__ == "__main__":
    main()
