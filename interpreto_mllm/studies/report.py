"""The report of runs: tables, plots and one page, with a page for each sample's result. No model is called."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from interpreto_mllm.attribution import Attribution, compare
from interpreto_mllm.core.files import replace_file
from interpreto_mllm.core.labels import joined
from interpreto_mllm.plots.charts import chart, standalone
from interpreto_mllm.plots.html import page
from interpreto_mllm.plots.text import shortened, visible
from interpreto_mllm.studies.names_of_files import file_name
from interpreto_mllm.studies.report_data import Entry, RunResult, entries_of, read_runs
from interpreto_mllm.studies.report_page import SampleLine, Shown, report_page
from interpreto_mllm.studies.report_tables import Leaderboard, curves, direction, heading, whole_columns

EXAMPLES, COMPARED = 3, 4
"""Samples that the page shows, and results beside each other."""

LONGEST_TEXT = 400
"""Characters of a prompt in the table of samples."""


@dataclass(frozen=True)
class Report:
    """What was written.

    Args:
        page: the HTML page.
        board: the leaderboard.
        files: all others.
    """

    page: Path
    board: Leaderboard
    files: tuple[Path, ...]


def write_report(
    paths: str | Path | Iterable[str | Path],
    folder: str | Path | None = None,
    *,
    title: str | None = None,
    about: str = "",
    pages: int | None = None,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> Report:
    """Write the report of some runs.

    Args:
        paths: the folder of a run or of a study, or several.
        folder: for the report; "report" in the first of the paths by default.
        title: of the page, by default the name of the folder.
        about: what the study measures.
        pages: how many samples get pages of their results; all by default.
        progress: told how many of the samples are done.

    Raises:
        ValueError: for a folder that holds no runs, or damaged files.
        OSError: where nothing can be written.
    """
    paths = [Path(one) for one in ([paths] if isinstance(paths, (str, Path)) else paths)]
    runs = read_runs(paths)
    folder = Path(folder) if folder is not None else paths[0] / "report"
    folder.mkdir(parents=True, exist_ok=True)
    entries = entries_of(runs)
    board = Leaderboard.of(entries)
    named = title or paths[0].resolve().name
    writer = _Samples(folder, [one for one in board.entries if not one.baseline], pages)
    lines, gallery = writer.written(runs, progress)
    shown = Shown(named, about, runs, board, lines, gallery)
    replace_file(folder / "index.html", report_page(shown).encode())
    return Report(folder / "index.html", board, (*_tables(folder, named, board), *_plots(folder, board)))


@dataclass
class _Samples:
    """The pages of results, and what the table of samples says of each."""

    folder: Path
    entries: Sequence[Entry]
    pages: int | None

    def written(
        self, runs: Sequence[RunResult], progress: Callable[[int, int], None]
    ) -> tuple[list[SampleLine], list[tuple[str, str]]]:
        """The lines of all samples in their order, and the first ones' results beside each other."""
        identities = list(dict.fromkeys(one["identity"] for run in runs for one in run.samples))
        lines, gallery = [], []
        for place, identity in enumerate(identities):
            wanted = self.pages is None or place < self.pages
            line, body = self._line(identity, wanted, len(gallery) < EXAMPLES)
            lines.append(line)
            if body:
                gallery.append((f"{identity} · {shortened(line.answer, 60)}", body))
            progress(place + 1, len(identities))
        return lines, gallery

    def _line(self, identity: str, wanted: bool, shown: bool) -> tuple[SampleLine, str]:
        results, addresses, errors, told = {}, {}, {}, ("", "")
        for one in self.entries:
            run, sample = _sample_of(one, identity)
            if sample is None or run is None:
                continue
            if sample["status"] != "done":
                errors[one.name] = str(sample.get("error", {}).get("message", "failed"))
                continue
            told = told if told[1] else ("", visible(joined(sample["targets"])))
            archive = run.archive(identity) if wanted or not told[0] else None
            if archive is not None:
                results[one.name] = result = Attribution.load(archive)
                told = (shortened(_written(result), LONGEST_TEXT), told[1])
                if wanted:
                    addresses[one.name] = self._page(result, one.name, identity)
        together = self._together(results, identity) if wanted and len(results) > 1 else None
        body = _beside({name: results[name] for name in self._examples() if name in results}) if shown else ""
        return SampleLine(identity, *told, addresses, together, errors), body

    def _examples(self) -> list[str]:
        """The names of some entries, each method once, under its smallest budget."""
        smallest: dict[str, Entry] = {}
        for one in self.entries:
            if one.label not in smallest or (one.evaluations or 0) < (smallest[one.label].evaluations or 0):
                smallest[one.label] = one
        return [one.name for one in smallest.values()][:COMPARED]

    def _page(self, result: Attribution, entry: str, identity: str) -> str:
        return self._write(f"{_file(entry)}/{_file(identity)}.html", page(result))

    def _together(self, results: dict[str, Attribution], identity: str) -> str:
        from interpreto_mllm.plots.html import document

        body = compare(results)._repr_html_()
        return self._write(f"all/{_file(identity)}.html", document(f"{identity}: {', '.join(results)}", body))

    def _write(self, name: str, content: str) -> str:
        path = self.folder / "samples" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, content.encode())
        return f"samples/{name}"


def _sample_of(entry: Entry, identity: str) -> tuple[RunResult | None, dict | None]:
    """The sample under the first seed that has it."""
    for run in entry.runs:
        for sample in run.samples:
            if sample["identity"] == identity:
                return run, sample
    return None, None


def _written(result: Attribution) -> str:
    """The prompt from its first feature to its last, without the template around it."""
    spans = [span for feature in result.features for span in feature.spans]
    text = result.text[min(start for start, _ in spans) : max(end for _, end in spans)] if spans else result.text
    return " ".join(text.split())


def _beside(results: dict[str, Attribution]) -> str:
    """Some results beside each other, as a fragment without the style that the page has already."""
    text = compare(list(results.values()), list(results))._repr_html_() if len(results) > 1 else ""
    return re.sub(r"<style>.*?</style>", "", text, flags=re.DOTALL).split("<h2>Strongest features</h2>")[0]


def _file(name: str) -> str:
    return file_name(name.lower())


def _tables(folder: Path, title: str, board: Leaderboard) -> list[Path]:
    """The leaderboard as Markdown, and as JSON in the form that the documentation's tables are filled from.

    There the table "leaderboard" has whole metrics alone, and "parts" also what they are at some k or of one modality.
    """
    head, rows = board.markdown()
    lines = ["| " + " | ".join(cells) + " |" for cells in (head, ["---", *["---:"] * (len(head) - 1)], *rows)]
    replace_file(folder / "leaderboard.md", ("\n".join(lines) + "\n").encode())
    whole = whole_columns(head)
    parts = {"columns": [title, *head[1:]], "rows": rows}
    board_alone = {"columns": [parts["columns"][i] for i in whole], "rows": [[row[i] for i in whole] for row in rows]}
    tables = {"tables": {"leaderboard": board_alone, "parts": parts}}
    replace_file(folder / "leaderboard.json", (json.dumps(tables, ensure_ascii=False, indent=1) + "\n").encode())
    return [folder / "leaderboard.md", folder / "leaderboard.json"]


def _plots(folder: Path, board: Leaderboard) -> list[Path]:
    """A chart for each metric over the budget, where there are several."""
    written = []
    for metric in board.metrics:
        series = curves(board.entries, metric) if direction(metric) != "none" else []
        if series:
            path = folder / f"{metric.replace('@', '-at-')}.svg"
            replace_file(path, standalone(chart(heading(metric), series, "evaluations")).encode())
            written.append(path)
    return written
