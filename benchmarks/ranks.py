"""Methods and trivial baselines by metrics of faithfulness, on prompts with known causes: a table and a picture of the docs.

python benchmarks/ranks.py [--prompts 16] [--budget 64] [--picture docs/images/ranks.png]
"""

from __future__ import annotations

import argparse
import logging
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from report import Report
from transformers.utils import logging as transformers_logging

import interpreto_mllm as im
from interpreto_mllm.metrics import faithfulness
from interpreto_mllm.metrics.scoreboard_page import cell, heading, rows
from interpreto_mllm.testbed import FactPrompt, load_recall, sample_fact_prompts

SAMPLED = (im.KernelShap, im.GaussianProcessShapley, im.PermutationShapley, im.Lime, im.Lasso)
NUMBERS = ("deletion_auc", "insertion_auc", "comprehensiveness", "sufficiency", "top_k_drop@1", "lds", "pointing", "rank_auc")
PICTURED = "insertion_auc"


def causes(prompt: FactPrompt) -> Callable[[im.Feature], bool]:
    """Whether a feature is one of the words without which the question cannot be answered."""
    spans = {word.span for word in prompt.causes}
    return lambda feature: bool(set(feature.spans) & spans)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=16)
    parser.add_argument("--budget", type=int, default=64)
    parser.add_argument("--picture", type=Path)
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    logging.getLogger("interpreto_mllm").setLevel(logging.ERROR)
    transformers_logging.set_verbosity_error()
    options: dict[str, Any] = {"pinned": im.punctuation, "progress": False}
    model = load_recall()
    explainers = [method(*model, budget=arguments.budget, **options) for method in SAMPLED]
    explainers.append(im.IntegratedGradients(*model, budget=arguments.budget // 3, whole_answer=True, **options))
    explainers.append(im.Relevance(*model, whole_answer=True, **options))
    prompts = sample_fact_prompts(arguments.prompts, seed=101)
    texts, answers = [one.prompt for one in prompts], [f" {one.answer}" for one in prompts]
    found = faithfulness(explainers, texts, answers, truths=[causes(one) for one in prompts])
    report = Report("ranks")
    for occlusion in found.occlusions:
        _, lines = rows(found, occlusion, NUMBERS)
        named = [[next(one for one in line if one).method, *map(cell, line)] for line in lines]
        report.add(f"absent features: {occlusion}", [heading(found, number) for number in NUMBERS], named, occlusion)
    report.save()
    if arguments.picture:
        found.plot(arguments.picture, PICTURED)


if __name__ == "__main__":
    main()
