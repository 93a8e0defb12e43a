"""What becomes of the answer when the features that a method ranks first are taken away: all methods and baselines.

    python benchmarks/faithfulness.py [--prompts 10] [--budget 64] [--out FOLDER]

Prompts of the shipped text model, two facts and a question. All methods explain the same game under the same budget, a point
of a gradient method counting as three evaluations; methods whose cost follows from the prompt have that. Each is judged by the
game it explains and by one in which absent words are replaced instead of dropped. Every coalition is evaluated once for all
methods, baselines and metrics. "·": not better than random scores at 95 %.
"""

from __future__ import annotations

import argparse
import logging
import warnings
from pathlib import Path
from typing import Any

from report import Report

import interpreto_mllm as im
from interpreto_mllm.metrics import faithfulness
from interpreto_mllm.plots.charts import ranks_chart
from interpreto_mllm.testbed import load_recall, sample_fact_prompts

HERE = Path(__file__).parent
BUDGETED = (
    *(im.GaussianProcessShapley, im.KernelShap, im.PermutationShapley, im.MonteCarloShapley, im.ComplementaryShapley),
    *(im.NeymanShapley, im.HierarchicalShapley, im.Banzhaf, im.Lime, im.Lasso, im.Sobol),
)
SAMPLED = (im.IntegratedGradients, im.GradientShap, im.SmoothGrad, im.SquareGrad, im.VarGrad)
SINGLE = (im.Saliency, im.InputXGradient, im.Relevance)
POINT = 3
"""What a point of a gradient method costs, in evaluations."""
COLUMNS = ("deletion_auc", "insertion_auc", "comprehensiveness", "sufficiency", "top_k_drop@1", "lds", "infidelity")
ABOUT = (
    "What becomes of the answer when the features that a method ranks first are taken away, or are all that is left? Prompts "
    "of the shipped text model. “·”: not better than random scores at 95 % by a Monte Carlo test over random orders."
)


def explainers(budget: int) -> dict[str, Any]:
    """All methods on the shipped model."""
    loaded, options = load_recall(), {"pinned": im.punctuation, "progress": False, "batch_size": 128}
    found = {kind.__name__: kind(*loaded, budget=budget, **options) for kind in BUDGETED}
    found["Occlusion"] = im.Occlusion(*loaded, **options)
    found["ExactShapley"] = im.ExactShapley(*loaded, **options)
    found |= {kind.__name__: kind(*loaded, budget=budget // POINT, whole_answer=True, **options) for kind in SAMPLED}
    return found | {kind.__name__: kind(*loaded, whole_answer=True, **options) for kind in SINGLE}


def rows(board: Any, numbers: list[str], occlusion: str) -> list[list[str]]:
    """A line for each method and baseline; the best method of a column is bold."""
    columns = [{one.method: one for one in board.standings(number, occlusion)} for number in numbers]
    names = list(dict.fromkeys(name for column in columns for name in column))
    best = []
    for number, column in zip(numbers, columns, strict=True):
        means = [one.mean for one in column.values() if not one.baseline]
        best.append(max(means) if board.metric_of(number).direction == "higher" else min(means))
    lines = []
    for name in names:
        line = [name]
        for column, top in zip(columns, best, strict=True):
            one = column.get(name)
            text = "–" if one is None else f"{one.mean:.2f}"
            chance = one is not None and one.p_value == one.p_value and not one.beats_random
            line.append(f"**{text}**" if one and text == f"{top:.2f}" else f"{text} ·" if chance else text)
        lines.append(line)
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=10)
    parser.add_argument("--budget", type=int, default=64)
    parser.add_argument("--out", type=Path, default=HERE / "results" / "faithfulness")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    logging.getLogger("interpreto_mllm").setLevel(logging.ERROR)
    arguments.out.mkdir(parents=True, exist_ok=True)
    prompts = sample_fact_prompts(arguments.prompts, facts=2, seed=104)
    board = faithfulness(explainers(arguments.budget), [one.prompt for one in prompts], [one.answer for one in prompts])
    board.to_frame().to_json(arguments.out / "records.json", orient="records", indent=0)
    numbers = [name for name in COLUMNS if name in board.numbers]
    arrows = {"higher": "↑", "lower": "↓", "none": ""}
    head = [f"{name.replace('_', ' ')} {arrows[board.metric_of(name).direction]}" for name in numbers]
    report = Report("faithfulness", arguments.out)
    for place, occlusion in enumerate(board.occlusions):
        title = f"absent words: {occlusion}"
        report.add(title, head, rows(board, numbers, occlusion), "own occlusion" if place == 0 else "other occlusion")
    charts = []
    for number, heading in zip(numbers, head, strict=True):
        found = board.comparison(number)
        charts.append(ranks_chart(heading, found.average_ranks, found.cliques()))
    report.save()
    report.page("faithfulness", ABOUT, charts, facts=[f"prompts: {arguments.prompts}", f"{arguments.budget} evaluations"])


if __name__ == "__main__":
    main()
