"""The critical-difference picture of methods."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from interpreto_mllm.core.optional import optional
from interpreto_mllm.plots.figure import save

if TYPE_CHECKING:
    from interpreto_mllm.metrics.comparison import Cliques, MethodComparison

INK, GREY = "#222222", "#8a8a8a"


def picture(comparison: MethodComparison, path: Any, by: Cliques, title: str) -> Any:
    """An axis of mean ranks, the best on the left; methods hang from their ranks, and bars join those that do not differ.

    Demšar 2006.
    """
    plt = optional("matplotlib.pyplot", "plot()", "plot")
    ranks = sorted(comparison.average_ranks.items(), key=lambda entry: entry[1])
    count, cliques = len(ranks), comparison.cliques(by)
    left = (count + 1) // 2
    depth = 0.9 + 0.28 * len(cliques)
    height = depth + 0.42 * left + 0.2
    figure, axes = plt.subplots(figsize=(8, 1.1 + 0.55 * height))
    axes.set_xlim(0.2, count + 0.8)
    axes.set_ylim(-height, 1.25)
    axes.axis("off")
    axes.plot([1, count], [0, 0], color=INK, linewidth=1.4, solid_capstyle="butt")
    for rank in range(1, count + 1):
        axes.plot([rank, rank], [0, 0.14], color=INK, linewidth=1)
        axes.text(rank, 0.24, str(rank), ha="center", va="bottom", fontsize=9, color=INK)
    for place, (name, rank) in enumerate(ranks):
        on_left = place < left
        level = -depth - 0.42 * (place if on_left else count - 1 - place)
        edge = 0.75 if on_left else count + 0.25
        axes.plot([rank, rank, edge], [0, level, level], color=GREY, linewidth=0.9, solid_joinstyle="miter")
        label = f"{name}  {rank:.2f}" if on_left else f"{rank:.2f}  {name}"
        offset = -0.06 if on_left else 0.06
        axes.text(edge + offset, level, label, ha="right" if on_left else "left", va="center", fontsize=9, color=INK)
    by_name = dict(ranks)
    for place, clique in enumerate(cliques):
        ends = [by_name[name] for name in clique]
        y = -0.35 - 0.28 * place
        axes.plot([min(ends) - 0.04, max(ends) + 0.04], [y, y], color=INK, linewidth=4, solid_capstyle="butt")
    tests = {"wilcoxon": "Wilcoxon's test, Holm's correction", "nemenyi": "Nemenyi's test"}[by]
    note = f"mean rank over {comparison.prompts} prompts, best on the left; bars join methods that do not differ ({tests})"
    if by == "nemenyi":
        note += f"; critical difference {comparison.critical_difference:.2f}"
    axes.text((count + 1) / 2, 0.85, title, ha="center", va="bottom", fontsize=11, color=INK)
    figure.text(0.5, 0.01, note, ha="center", va="bottom", fontsize=7.5, color=GREY)
    if path is not None:
        save(figure, path, bbox_inches="tight", dpi=150)
    plt.close(figure)
    return figure
