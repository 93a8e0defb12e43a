"""Write the table of metrics into docs/metrics.md from the catalogue: `make tables`."""

from __future__ import annotations

import re
from pathlib import Path

from interpreto_mllm.metrics import METRICS

PAGE = Path(__file__).parent.parent / "docs" / "metrics.md"
BLOCK = re.compile(r"(<!-- metrics -->\n).*?(<!-- end -->)", re.DOTALL)
BETTER = {"higher": "higher", "lower": "lower", "none": "–"}
COSTS = {
    "stored": "none",
    "calls": "evaluations",
    "truth": "true causes",
    "exact": "exact values",
    "repeats": "further explanations",
}


def table() -> str:
    """The rows in Markdown."""
    lines = ["| metric | formula | better | needs | paper |", "|---|---|---|---|---|"]
    for metric in METRICS.values():
        formula = metric.formula.replace("|", "\\|")
        lines.append(f"| `{metric.name}` | {formula} | {BETTER[metric.direction]} | {COSTS[metric.cost]} | {metric.paper} |")
    return "\n".join(lines) + "\n"


def filled(page: str) -> str:
    """The text of the page with the table in its place."""
    return BLOCK.sub(lambda found: f"{found[1]}\n{table()}\n{found[2]}", page)


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
