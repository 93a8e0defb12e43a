"""Write docs/parity.md from tests/parity.toml: `make tables`."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
DATA, PAGE = ROOT / "tests" / "parity.toml", ROOT / "docs" / "parity.md"

HEAD = """\
# What peers offer

A row for each capability of the LLM attribution of captum, the attribution API of interpreto, the explainer and pipeline of
MLLM-SHAP, of inseq, shap, shapiq and context-cite: the call that does it here, and the test that runs it, in `tests/`. What is
left out is at the end, with the reason. `make tables` writes this page from `tests/parity.toml`; a row whose test is missing,
skipped or expected to fail is itself a failing test.

In the calls, `model` and `tokenizer` (or `processor`) are those of transformers, `explainer` is any of the methods, and
`explanation` is what it returned.
"""


def page(data: dict[str, Any]) -> str:
    """The text of the page."""
    parts = [HEAD]
    for peer, title in data["peers"].items():
        rows = [row for row in data["row"] if row["peer"] == peer]
        lines = [f"| {_cell(row['capability'])} | `{_cell(row['call'])}` | {_test(row['test'])} |\n" for row in rows]
        parts.append(f"\n## {title}\n\n| there | here | test |\n|---|---|---|\n{''.join(lines)}")
    left = [
        f"| {row['peer'].replace('_', '-')} | {_cell(row['capability'])} | {_cell(row['reason'])} |\n"
        for row in data["left_out"]
    ]
    parts.append(f"\n## Left out\n\n| peer | capability | reason |\n|---|---|---|\n{''.join(left)}")
    return "".join(parts)


def read() -> dict[str, Any]:
    """The rows."""
    return tomllib.loads(DATA.read_text(encoding="utf-8"))


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _test(name: str) -> str:
    file, function = name.split("::")
    return f"`{function}` in `{file}`"


def main() -> None:
    PAGE.write_text(page(read()), encoding="utf-8")


if __name__ == "__main__":
    main()
