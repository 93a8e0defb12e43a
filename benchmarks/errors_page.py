"""Write the table of refusals into docs/errors.md from tests/support/refusals/: `make tables`.

Each row there is a test, which makes the call and compares what is said.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "errors.md"
BLOCK = re.compile(r"(<!-- refusals -->\n).*?(<!-- end -->)", re.DOTALL)


def table() -> str:
    """The rows in Markdown, by heading."""
    sys.path.insert(0, str(ROOT / "tests"))
    from support.refusals import ROWS

    text = ""
    for heading, rows in ROWS.items():
        first = "request" if "server" in heading else "forward"
        text += f"\n### {heading}\n\n| given | said | by | before the first {first} |\n|---|---|---|---|\n"
        for row in rows:
            by = "the result" if row.kind is None else f"`{row.kind.__name__}`"
            said = row.said.replace("|", "\\|").replace("{", "&#123;").replace("<", "&lt;")
            text += f"| {row.given} | {said} | {by} | {'no' if row.after else 'yes'} |\n"
    return text


def filled(page: str) -> str:
    """The text of the page with the table in its place."""
    return BLOCK.sub(lambda found: f"{found[1]}{table()}\n{found[2]}", page)


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
