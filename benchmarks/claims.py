"""Every claim about the Gaussian process on one line each: whether it holds, with its figures. Before them, what they rest on.

    python benchmarks/claims.py [--groups judging …] [--parts values intervals …] [--peers PYTHON] [--shapleig PYTHON]

Games of real models (`real_games.py` makes them) in two halves, "tuning" for choices and "judging" for what is claimed, and of
the shipped models. Errors are relative squared ones at equal numbers of distinct evaluations, over those of the best of
shapiq's estimators, chosen in hindsight for each game (of the shipped models, each kind and number of features) and budget.
Means of ratios are geometric; behind each stands the interval that holds 95 % of bootstrap means over games. --shapleig names
an interpreter that has shapiq's ShaplEIG, which is then compared on the judging half with fewer seeds; it is slow.

Games of 24 to about 100 words are those of `long_games.py`, with long runs for references.

Records are kept in results/claims/ until estimators change, answers of shapiq's in results/anchors/ for good.
"""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Callable

import numpy as np
import torch
from anchors import Anchors
from claim_records import (
    BUDGETS,
    KERNEL,
    PROCESS,
    Record,
    Run,
    closing_records,
    pair_records,
    runs,
    stop_records,
    their_values,
    value_records,
)
from large import large_claims
from long_claims import long_claims
from report import FORMATS, Report, cells, geometric_mean, mean, show_means

GROUPS = ("tuning", "judging", "shipped")
PARTS = ("values", "intervals", "stopping", "pairs", "long", "large")
COLUMNS = [f"{times}n" for times in BUDGETS]
FLOOR = 1e-6
"""Errors below count as this."""
SHAPLEIG_SEEDS = {5: 1, 10: 1}
"""By budget: an answer takes from seconds to minutes, and at 20n more."""


class Claims:
    """The lines of the last table."""

    def __init__(self) -> None:
        self.rows: list[list[str]] = []

    def add(self, name: str, wanted: str, found: str, holds: bool) -> None:
        """One claim."""
        self.rows.append([name, wanted, found, "HOLDS" if holds else "DOES NOT HOLD"])


def ratios(records: list[Record], rival: str) -> dict[tuple[str, str, int], float]:
    """The process's error over that of the best estimator whose name begins like this, by family, cell and budget."""
    errors: dict[tuple, list[float]] = {}
    for record in records:
        key = (record["family"], record["cell"], record["times"])
        errors.setdefault((key, record["estimator"]), []).append(max(record["error"], FLOOR))
    means = {key: geometric_mean(values) for key, values in errors.items()}
    best: dict[tuple, float] = {}
    for (key, name), error in means.items():
        if name.startswith(rival):
            best[key] = min(error, best.get(key, np.inf))
    return {key: means[key, PROCESS] / least for key, least in best.items()}


def bootstrapped(values: list[float], draws: int = 2000) -> str:
    """A geometric mean and its interval."""
    logs, generator = np.log(values), np.random.default_rng(0)
    means = logs[generator.integers(len(logs), size=(draws, len(logs)))].mean(1)
    low, high = np.exp(np.quantile(means, (0.025, 0.975)))
    return f"{np.exp(logs.mean()):.2f} ({low:.2f}–{high:.2f})"


def ratio_claims(
    report: Report, claims: Claims, group: str, what: str, found: dict[tuple[str, str, int], float], family_limit: float
) -> None:
    """The table of ratios by family, and the claims about them."""
    families = list(dict.fromkeys(family for family, _, _ in found))
    by_budget = {times: [ratio for (_, _, other), ratio in found.items() if other == times] for times in BUDGETS}
    rows, worst = [], {}
    for family in families:
        row = [family]
        for times in BUDGETS:
            some = [ratio for (other, _, budget), ratio in found.items() if other == family and budget == times]
            worst[family, times] = geometric_mean(some)
            row.append(FORMATS["ratio"](worst[family, times]) if some else "–")
        rows.append(row)
    rows.append(["all", *(bootstrapped(by_budget[times]) for times in BUDGETS)])
    rows.append(["worst cell", *(f"{max(by_budget[times]):.2f}" for times in BUDGETS)])
    report.add(f"{group}: {what}", COLUMNS, rows)
    for times in BUDGETS:
        told = bootstrapped(by_budget[times])
        claims.add(f"{group}, {what}: mean at {times}n", "≤ 0.5", told, geometric_mean(by_budget[times]) <= 0.5)
    name, highest = max(worst.items(), key=lambda item: -np.inf if item[1] != item[1] else item[1])
    told = f"{highest:.2f} ({name[0]}, {name[1]}n)"
    claims.add(f"{group}, {what}: highest of a family", f"≤ {family_limit}", told, highest <= family_limit)
    if family_limit < 1:
        (_, cell, times), top = max(found.items(), key=lambda item: item[1])
        claims.add(f"{group}, {what}: worst cell", "≤ 1.2", f"{top:.2f} ({cell}, {times}n)", top <= 1.2)


def coverage_claims(report: Report, claims: Claims, group: str, records: list[Record], what: str) -> None:
    """How often nominal 95 % intervals hold the truth, by family."""
    mine = [record for record in records if record["estimator"] == PROCESS and "cover" in record]
    families = list(dict.fromkeys(record["family"] for record in mine))
    rows, low = [], {}
    for family in [*families, "all"]:
        row = [family]
        for times in BUDGETS:
            some = [r["cover"] for r in mine if r["times"] == times and family in (r["family"], "all")]
            row.append(f"{mean(some):.1%}" if some else "–")
            if some:
                low[family, times] = mean(some)
        rows.append(row)
    report.add(f"{group}: {what} hold the exact value", COLUMNS, rows)
    overall = [low["all", times] for times in BUDGETS]
    claims.add(
        f"{group}: {what} hold, overall",
        "93–97 % at each budget",
        " / ".join(f"{one:.1%}" for one in overall),
        all(0.93 <= one <= 0.97 for one in overall),
    )
    outside = {key: one for key, one in low.items() if key[0] != "all" and not 0.9 <= one <= 0.99}
    told = ", ".join(f"{family} {times}n {one:.0%}" for (family, times), one in outside.items()) or "all within"
    claims.add(f"{group}: {what} hold, each family", "90–99 %", told, not outside)


def estimator_tables(report: Report, group: str, records: list[Record]) -> None:
    """Each quantity by estimator and budget, and errors by family."""
    titles = {
        "rank": "rank correlation",
        "top": "share of the true top 3",
        "cover": "95 % intervals hold",
        "width": "width of intervals over the values' root mean square",
        "seconds": "seconds of its own",
    }
    names = list(dict.fromkeys(record["estimator"] for record in records))
    for family in dict.fromkeys(record["family"] for record in records):
        show_means(report, [record for record in records if record["family"] == family], "error", f"{group}: error, {family}")
    show_means(report, records, "error", f"{group}: error")
    for what, title in titles.items():
        means = cells(records, what, ("times",), geometric_mean if what == "width" else mean)
        form: Callable[[float], str] = FORMATS.get(what, FORMATS["ratio"])
        rows = [
            [name, *(form(means[name, times]) if (name, times) in means else "–" for times in BUDGETS)]
            for name in names
            if any((name, times) in means for times in BUDGETS)
        ]
        report.add(f"{group}: {title}", COLUMNS, rows)


def beside_shapleig(report: Report, claims: Claims, slow: Anchors, listed: list[Run], records: list[Record]) -> None:
    """Its errors and times beside ours, of the seeds that its time allows."""
    about = ("cell", "times", "seed")
    own = {tuple(r[key] for key in about): r for r in records if r["estimator"] == PROCESS}
    theirs = [
        record
        for run in listed
        for times, seeds in SHAPLEIG_SEEDS.items()
        if run.seed < seeds
        for record in their_values(run, times, times * run.table.n, slow)
    ]
    cells_of: dict[tuple[str, int], list[tuple[Record, Record]]] = {}
    for one in theirs:
        cells_of.setdefault((one["cell"], one["times"]), []).append((own[tuple(one[key] for key in about)], one))
    rows, shares = [], {times: list[float]() for times in SHAPLEIG_SEEDS}
    for cell in dict.fromkeys(cell for cell, _ in cells_of):
        row = [cell]
        for times in SHAPLEIG_SEEDS:
            pairs = cells_of[cell, times]
            errors = [geometric_mean([pair[side]["error"] for pair in pairs]) for side in (0, 1)]
            seconds = [mean([pair[side]["seconds"] for pair in pairs]) for side in (0, 1)]
            row.append(" / ".join(map(FORMATS["error"], errors)) + f" ({seconds[0]:.1f} / {seconds[1]:.0f} s)")
            shares[times].append(errors[0] / errors[1])
        rows.append(row)
    report.add(
        "judging: GaussianProcessShapley / ShaplEIG", [f"{times}n" for times in SHAPLEIG_SEEDS], rows, name="judging: ShaplEIG"
    )
    for times, some in shares.items():
        told = f"{bootstrapped(some)}, at most {max(some):.2f}"
        seeds = f"{SHAPLEIG_SEEDS[times]} seed{'s' if SHAPLEIG_SEEDS[times] > 1 else ''}"
        claims.add(f"judging: error over ShaplEIG's, {seeds}: mean at {times}n", "≤ 0.5", told, geometric_mean(some) <= 0.5)


def closing_claim(claims: Claims, listed: list[Run]) -> None:
    """Whether intervals close."""
    found = [record["ratio"] for run in listed if run.seed == 0 for record in closing_records(run)]
    told = f"{geometric_mean(found):.3f} of those at 5n, at most {max(found):.3f}"
    claims.add("judging: intervals with one pair missing", "≤ 0.05 of those at 5n", told, max(found) <= 0.05)


def stop_claims(report: Report, claims: Claims, group: str, records: list[Record]) -> None:
    """Evaluations until rules are met, beside KernelShap's."""
    rows = []
    for rule in dict.fromkeys(record["rule"] for record in records):
        spent, right = {}, {}
        for name in (PROCESS, KERNEL):
            mine = [record for record in records if (record["estimator"], record["rule"]) == (name, rule)]
            spent[name], right[name] = mean([r["evaluations"] for r in mine]), mean([r["right"] for r in mine])
            met = mean([r["met"] for r in mine])
            rows.append([f"{name}, {rule}", f"{met:.0%}", f"{right[name]:.0%}", f"{spent[name]:.0f}", f"{len(mine)}"])
        share = spent[PROCESS] / spent[KERNEL]
        claims.add(f"{group}, {rule}: evaluations over KernelShap's", "≤ 0.7", f"{share:.2f}", share <= 0.7)
        claims.add(f"{group}, {rule}: right", "≥ 95 % of runs", f"{right[PROCESS]:.0%}", right[PROCESS] >= 0.95)
    report.add(f"{group}: stop rules", ["met before 2ⁿ", "right", "evaluations, mean", "runs"], rows)


def measured(arguments: argparse.Namespace, report: Report, claims: Claims) -> None:
    """All parts that were asked for, group by group."""
    peers = Anchors(arguments.peers)
    slow = Anchors(arguments.shapleig, "shapleig.py") if arguments.shapleig else None
    for group in arguments.groups:
        listed = list(runs(group))
        if not listed:
            print(f"No {group} games: make them with benchmarks/real_games.py.", file=sys.stderr)
            continue
        if "values" in arguments.parts:
            records = [record for run in listed for record in value_records(run, peers)]
            estimator_tables(report, group, records)
            if group == "judging" and slow:
                beside_shapleig(report, claims, slow, listed, records)
            ratio_claims(report, claims, group, "error over that of shapiq's best", ratios(records, "shapiq"), 0.8)
            coverage_claims(report, claims, group, records, "95 % intervals")
        if "intervals" in arguments.parts and group == "judging":
            closing_claim(claims, listed)
        if "stopping" in arguments.parts and group == "judging":
            stop_claims(report, claims, group, [record for run in listed if run.seed == 0 for record in stop_records(run)])
        if "pairs" in arguments.parts and group != "tuning":
            pairs = [record for run in listed for record in pair_records(run, peers)]
            what = "pairwise error over that of ProxySHAP"
            ratio_claims(report, claims, group, what, ratios(pairs, "shapiq ProxySHAP"), 1.0)
            coverage_claims(report, claims, group, pairs, "95 % intervals of pairs")
        if "long" in arguments.parts and group != "shipped":
            long_claims(report, claims, group, arguments.peers)
    if "large" in arguments.parts:
        large_claims(report, claims, arguments.peers)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--groups", choices=GROUPS, nargs="+", default=list(GROUPS))
    parser.add_argument("--parts", choices=PARTS, nargs="+", default=list(PARTS))
    parser.add_argument("--peers", default=os.environ.get("SHAPIQ_PYTHON", sys.executable), metavar="PYTHON")
    parser.add_argument("--shapleig", default=os.environ.get("SHAPLEIG_PYTHON"), metavar="PYTHON")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    report, claims = Report("claims"), Claims()
    measured(arguments, report, claims)
    report.add("claim", ["wanted", "found", "verdict"], claims.rows)
    report.save()


if __name__ == "__main__":
    main()
