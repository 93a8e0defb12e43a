"""What the sweep found, as tables: in the terminal, and as a page of the documentation."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from sweep_checks import BAD, ORDER

PAGE = Path(__file__).parent.parent / "docs" / "families.md"
BEGIN, END = "<!-- made by benchmarks/sweep.py --table -->\n", "<!-- end -->\n"
TITLES = {"causal": "Causal language models", "seq2seq": "Encoder-decoders", "classifier": "Classifiers"}
REASONS = {
    "when others follow it": "reads ahead",
    "counts positions by": "counts positions by the mask",
    "the attention mask": "reads what is masked",
    "no text in the original answer": "answers without words",
}
"""What a refusal is about, by words that it holds."""
SPREAD = re.compile(r"by up to (\S+) (?:\(.*?\) )?in (\d+) rows")
"""What a note says of the rows that were compared."""
Entry = dict[str, Any]


def outcome(report: Entry) -> str:
    """A family's in one dtype: what is right, wrong, crashes, is noted or refused, by how much and why, and in which checks."""
    for reason in ("not text", "not built"):
        if reason in report:
            return reason
    groups: dict[str, dict[str, Entry]] = {name: {} for name in ("WRONG", "crash", "fails alone", "right", "noted", "refused")}
    for name, check in report["checks"].items():
        groups[check["status"] if check["status"] in groups else "right"][name] = check
    most = max(groups, key=lambda status: len(groups[status]))
    told = [
        _told(status, list(checks.values())) + f": {', '.join(checks)}" * (status != most)
        for status, checks in groups.items()
        if checks
    ]
    return "; ".join(told)


def _told(status: str, checks: list[Entry]) -> str:
    """One status, and what is known of the checks that have it: the greatest error, causes, reasons."""
    if status == "right":
        return "right to rounding" if any(check["status"] == "rounding" for check in checks) else "right"
    if status == "noted":
        return "noted" + _spread(checks)
    if status == "refused":
        return f"refused ({', '.join(dict.fromkeys(_reason(check['said']) for check in checks))})"
    if status != "WRONG":
        return f"**{status}**" if status in BAD else status
    causes = dict.fromkeys(check.get("cause") or check.get("said", "") for check in checks)
    return f"**{status}** by up to {max(check['error'] for check in checks):.2g} ({', '.join(causes)})"


def _spread(checks: list[Entry]) -> str:
    """How far rows of noted results are off, in how many, and what the notes say of those that were tried."""
    error, worst = max(check["error"] for check in checks), max(checks, key=lambda check: check["wrong rows"] / check["rows"])
    tried = [found for check in checks for found in SPREAD.findall(check["said"])]
    most, rows = max(tried, key=lambda found: float(found[0]), default=("0", "0"))
    return f" by up to {error:.2g} in {worst['wrong rows']} of {worst['rows']} rows ({most} in the {rows} that were tried)"


def _reason(said: str) -> str:
    return next((reason for words, reason in REASONS.items() if words in said), "other")


def right(entry: Entry) -> bool:
    """Whether nothing of a family is wrong or crashes."""
    return not any(check["status"] in BAD for report in entry["dtypes"].values() for check in report["checks"].values())


def show(families: dict[str, Entry], console: Console) -> int:
    """All that is wrong, crashes, is refused or was not built, then counts; the exit code."""
    table = Table("family", "dtype", "check", "status", "error", "wrong rows", "said, or what must be left out")
    for key, entry in families.items():
        for dtype, report in entry["dtypes"].items():
            if "not built" in report:
                table.add_row(key, dtype, "", "not built", "", "", report["not built"])
            for name, check in report["checks"].items():
                if check["status"] in ("refused", *BAD):
                    rows = f"{check['wrong rows']}/{check['rows']}" if "rows" in check else ""
                    error = f"{check['error']:.2g}" if "error" in check else ""
                    told = check.get("said") or check.get("cause", "")
                    style = "red" if check["status"] in BAD else None
                    table.add_row(key, dtype, name, check["status"], error, rows, told, style=style)
    console.print(table)
    for kind in TITLES:
        mine = [entry for entry in families.values() if entry["kind"] == kind]
        built = [entry for entry in mine if any(report["checks"] for report in entry["dtypes"].values())]
        checks = [check["status"] for e in built for report in e["dtypes"].values() for check in report["checks"].values()]
        counts = Counter(checks)
        told = ", ".join(f"{counts[status]} {status}" for status in ORDER if counts[status])
        wrong = sum(not right(entry) for entry in built)
        console.print(f"{TITLES[kind]}: {len(built)} of {len(mine)} built, {wrong} with something wrong; checks: {told}")
    return int(not all(right(entry) for entry in families.values()))


def write(results: dict[str, Any]) -> None:
    """The section of the page that is made from the results; the rest of the page stays as it is."""
    lines = [BEGIN, f"transformers {results['transformers']}.\n"]
    for kind, title in TITLES.items():
        lines += [f"\n## {title}\n\n", "| family | float32 | bfloat16 |\n", "|---|---|---|\n"]
        for entry in sorted((e for e in results["families"].values() if e["kind"] == kind), key=lambda e: e["name"].lower()):
            cells = [outcome(entry["dtypes"][dtype]) if dtype in entry["dtypes"] else "–" for dtype in ("float32", "bfloat16")]
            if "not text" not in cells:
                lines.append(f"| {entry['name']} | {' | '.join(cells)} |\n")
    section = "".join([*lines, END])
    page = PAGE.read_text(encoding="utf-8")
    before, after = page.split(BEGIN)[0], page.split(END)[-1]
    PAGE.write_text(before + section + after, encoding="utf-8")
