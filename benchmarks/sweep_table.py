"""What the sweep found, as tables: in the terminal, and as a page of the documentation."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from sweep_checks import BAD, ORDER

PAGE = Path(__file__).parent.parent / "docs" / "families.md"
BEGIN, END = "<!-- made by benchmarks/sweep.py --table -->\n", "<!-- end -->\n"
TITLES = {"causal": "Causal language models", "seq2seq": "Encoder-decoders", "classifier": "Classifiers"}
Entry = dict[str, Any]


def outcome(report: Entry) -> str:
    """A family's in one dtype: "right", or what is wrong, crashes or is refused, by how much and why."""
    for reason in ("not text", "not built"):
        if reason in report:
            return reason
    checks = report["checks"]
    told = [_told(status, checks) for status in ("WRONG", "crash", "fails alone", "refused", "noted")]
    if not any(told):
        return "right to rounding" if any(check["status"] == "rounding" for check in checks.values()) else "right"
    return "; ".join(part for part in told if part)


def _told(status: str, checks: dict[str, Entry]) -> str:
    """One status: the checks that have it, the greatest error, and the causes of errors."""
    mine = {name: check for name, check in checks.items() if check["status"] == status}
    if not mine:
        return ""
    told = f"**{status}**" if status in BAD else status
    if status == "noted":
        worst = max(mine.values(), key=lambda check: check["wrong rows"] / check["rows"])
        told += (
            f" by up to {max(check['error'] for check in mine.values()):.2g}, in {worst['wrong rows']} of {worst['rows']} rows"
        )
    if status == "WRONG":
        causes = dict.fromkeys(
            check.get("cause") or check.get("said", "") for name, check in mine.items() if "answers" not in name
        )
        told += f" by up to {max(check['error'] for check in mine.values()):.2g}" + f" ({', '.join(causes)})" * bool(causes)
    return told if len(mine) == len(checks) else f"{told}: {', '.join(mine)}"


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
    page = PAGE.read_text(encoding="utf-8") if PAGE.exists() else f"# Families\n\n{BEGIN}{END}"
    before, after = page.split(BEGIN)[0], page.split(END)[-1]
    PAGE.write_text(before + section + after, encoding="utf-8")
