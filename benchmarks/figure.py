"""The figure of the accuracy benchmark: error over budget."""

from __future__ import annotations

from math import ceil
from pathlib import Path
from typing import Any

from report import TITLES, cells, geometric_mean, sampled

SHOWN = {
    "GaussianProcessShapley": ("#c0392b", "-", 2.6),
    "KernelShap": ("#2c5aa0", "-", 2.0),
    "PermutationShapley": ("#7fa6d6", "-", 1.4),
    "NeymanShapley": ("#b9cde6", "-", 1.4),
    "shapiq RegressionMSR, xgboost": ("#27813d", "--", 1.6),
    "shapiq ProxySHAP": ("#6cb87c", "--", 1.6),
    "shapiq OddSHAP": ("#b8862d", "--", 1.6),
    "shapiq KernelSHAP, paired": ("#777777", "--", 1.6),
    "shapiq permutation": ("#b5b5b5", "--", 1.2),
}


def draw(records: list[dict[str, Any]], path: Path) -> None:
    """Geometric mean of the relative squared error over features and seeds, logarithmic, a panel for each source of games."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    sources = list(dict.fromkeys(record["source"] for record in records))
    columns = min(3, len(sources) + 1)
    rows = ceil((len(sources) + 1) / columns)
    figure, axes = pyplot.subplots(rows, columns, figsize=(4 * columns, 3.6 * rows), squeeze=False, layout="constrained")
    for axis, source in zip(axes.flat, sources, strict=False):
        chosen = [record for record in sampled(records) if record["source"] == source and record["n"] > 8]
        means = cells(chosen, "error", ("times",), geometric_mean)
        for name, (colour, style, width) in SHOWN.items():
            points = sorted((times, mean) for (estimator, times), mean in means.items() if estimator == name)
            if points:
                axis.loglog(
                    *zip(*points, strict=True), style, color=colour, linewidth=width, marker="o", markersize=3.5, label=name
                )
        budgets = sorted({record["times"] for record in chosen})
        axis.set_xticks(budgets, [f"{times}n" for times in budgets])
        axis.minorticks_off()
        axis.set_ylim(top=2)
        axis.set_title(TITLES[source], fontsize=10)
        axis.grid(alpha=0.25)
        for side in ("top", "right"):
            axis.spines[side].set_visible(False)
    for axis in axes.flat[len(sources) :]:
        axis.axis("off")
    axes.flat[len(sources)].legend(*axes.flat[0].get_legend_handles_labels(), fontsize=10, frameon=False, loc="center")
    figure.supxlabel("distinct evaluations", fontsize=10)
    figure.supylabel("relative squared error", fontsize=10)
    figure.savefig(path)
    pyplot.close(figure)
