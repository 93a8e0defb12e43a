"""The figure of the accuracy benchmark: error over budget."""

from __future__ import annotations

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
    """Geometric mean of the relative squared error over features and seeds, a panel for each source of games, logarithmic."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    sources = list(dict.fromkeys(record["source"] for record in records))
    figure, axes = pyplot.subplots(1, len(sources), figsize=(3.2 * len(sources), 4.2), squeeze=False, layout="constrained")
    for axis, source in zip(axes[0], sources, strict=True):
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
        axis.set_xlabel("distinct evaluations")
        axis.set_title(TITLES[source], fontsize=9)
        axis.grid(alpha=0.25)
        for side in ("top", "right"):
            axis.spines[side].set_visible(False)
    axes[0][0].set_ylabel("relative squared error")
    figure.legend(*axes[0][0].get_legend_handles_labels(), fontsize=9, frameon=False, loc="outside lower center", ncols=4)
    figure.savefig(path)
    pyplot.close(figure)
