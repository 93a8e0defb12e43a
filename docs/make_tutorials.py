"""Makes a page of each tutorial whenever the site is built: the notebook is run, and its outputs are those of that run."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import Any

from frames import frame
from mkdocs.structure.files import File, Files
from nbconvert import MarkdownExporter
from nbformat import NotebookNode
from notebooks import TUTORIALS, kernel

from interpreto_mllm.plots.html import document

ORDER = (
    "first_explanation",
    "whose_wish",
    "picture_question",
    "clip_and_video",
    "estimator_and_budget",
    "answers_and_servers",
    "study",
    "own_method",
)
LINK = re.compile(r"\]\((tutorials/\w+)\.ipynb")
FRAME_STYLE = re.compile(r"<style scoped>.*?</style>\s*", re.DOTALL)
"""What pandas writes around a table, which has the site's style here."""


def pages_of(notebook: NotebookNode) -> list[str]:
    """The result pages among its outputs, each of which becomes a frame."""
    pages: list[str] = []
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = cell.source.replace(".ipynb)", ".md)")
        for output in cell.get("outputs", []):
            shown = output.get("data", {}).get("text/html", "")
            if 'class="attribution"' in shown:
                pages.append(document("Explanation", shown))
                output.data["text/html"] = frame(f"page_{len(pages)}.html", f"explanation {len(pages)}", fitted=True)
            elif shown:
                output.data["text/html"] = FRAME_STYLE.sub("", shown)
    return pages


def on_files(files: Files, config: Any) -> Files:
    """Adds the tutorials."""
    with kernel() as running:
        for name in ORDER:
            with tempfile.TemporaryDirectory() as folder:
                notebook = running.run(TUTORIALS / f"{name}.ipynb", Path(folder))
            for number, page in enumerate(pages_of(notebook), 1):
                files.append(File.generated(config, f"tutorials/{name}/page_{number}.html", content=page))
            text, resources = MarkdownExporter().from_notebook_node(notebook)
            for image, content in resources["outputs"].items():
                files.append(File.generated(config, f"tutorials/{name}/{image}", content=content))
                text = text.replace(f"]({image})", f"]({name}/{image})")
            text += f"\n\n[This page as a notebook]({name}.ipynb), to run and change.\n"
            files.append(File.generated(config, f"tutorials/{name}.md", content=text))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Links to a notebook lead to its page; only that page links to the notebook itself."""
    return markdown if page.file.src_uri.startswith("tutorials/") else LINK.sub(r"](\1.md", markdown)
