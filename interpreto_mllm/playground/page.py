"""The page itself, in Gradio."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

from interpreto_mllm.core.optional import optional
from interpreto_mllm.playground.bars import STYLE, bars
from interpreto_mllm.playground.live import Live, News
from interpreto_mllm.playground.question import GRANULARITIES, LIKELIHOOD, METHODS, SIMILARITY, VALUES, Models, Question
from interpreto_mllm.plots.html import page as result_page
from interpreto_mllm.studies.spec import ModelSpec

KEPT_SECONDS = 600
"""Files of the page are deleted after so long."""

EXAMPLE = "the apple is red . the sky is blue . what is the apple ?"
FRAME = (
    '<iframe title="result" sandbox="allow-scripts allow-downloads" style="width: 100%; height: 46rem; border: 0" '
    'srcdoc="{}"></iframe>'
)

Shown = tuple[str, str, str, list[str] | None]
"""State in words, bars, result page, files."""


@dataclass(eq=False)
class Playground:
    """What the page does.

    Args:
        folder: holds the last result of each visitor for download.
        spec: of the model; None for the shipped ones.
        running: what each visitor watches.
    """

    folder: Path
    spec: ModelSpec | None = None
    running: dict[str, Live] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.models = Models(self.spec)

    def explain(self, question: Question, visitor: str) -> Iterator[Shown]:
        """What is shown, again and again until the result is there; uploads are deleted then, whatever happens.

        Raises:
            Exception: what the explanation raised.
        """
        try:
            yield "Reading the prompt …", "", "", None
            names, explain = self.models.explaining(question)
            live = self.running[visitor] = Live(explain)
            for news in live.run():
                yield self._shown(names, news, visitor)
        finally:
            self.running.pop(visitor, None)
            question.remove_files()

    def stop(self, visitor: str) -> None:
        """End the explanation that this visitor watches, and keep what is there."""
        live = self.running.get(visitor)
        if live is not None:
            live.stop.ask()

    def _shown(self, names: list[str], news: News, visitor: str) -> Shown:
        drawn = "" if news.estimate is None else bars(names, news.estimate)
        if news.result is None:
            return _told(news), drawn, "", None
        folder = self.folder / visitor
        folder.mkdir(exist_ok=True)
        news.result.to_html(folder / "explanation.html")
        news.result.save(folder / "explanation.json")
        files = [str(folder / name) for name in ("explanation.html", "explanation.json")]
        return " ".join(("Done.", *news.result.notes)), drawn, FRAME.format(escape(result_page(news.result))), files


def _told(news: News) -> str:
    ending = "Stopping after this round … " if news.stopped else ""
    if news.progress is None:
        return f"{ending}Asking the model …"
    return f"{ending}{news.progress.evaluations:,} of at most {news.progress.budget:,} evaluations"


def build(playground: Playground) -> Any:
    """The page as Gradio's `Blocks`.

    Raises:
        ImportError: without gradio.
    """
    gradio = optional("gradio", "The playground", "app")
    model = "the shipped models" if playground.spec is None else playground.spec.name.rstrip("/").rpartition("/")[2]

    def explain(text, image, clip, target, value, method, granularity, budget, request):  # type: ignore[no-untyped-def]
        question = Question(text or "", image, clip, target or "", method, granularity, value, int(budget or 0))
        try:
            yield from playground.explain(question, str(request.session_hash))
        except Exception as error:
            yield "Failed.", "", "", None
            raise gradio.Error(str(error) or type(error).__name__, duration=None) from error

    def stop(request):  # type: ignore[no-untyped-def]
        playground.stop(str(request.session_hash))

    for handler in (explain, stop):  # gradio reads the class itself, which the text of an annotation cannot name
        handler.__annotations__["request"] = gradio.Request
    with gradio.Blocks(title="interpreto_mllm", analytics_enabled=False, delete_cache=(60, KEPT_SECONDS)) as page:
        gradio.Markdown(f"## Which parts of a prompt caused the answer of {model}?")
        with gradio.Row():
            with gradio.Column(scale=2):
                served = playground.spec is not None and playground.spec.url is not None
                asked = _fields(gradio, EXAMPLE if playground.spec is None else "", SIMILARITY if served else LIKELIHOOD)
                with gradio.Row():
                    go = gradio.Button("Explain", variant="primary")
                    halt = gradio.Button("Stop, and keep what is there")
            with gradio.Column(scale=3):
                state = gradio.Markdown("Nothing yet.", elem_id="state")
                drawn = gradio.HTML(css_template=STYLE)
        result = gradio.HTML()
        files = gradio.Files(label="Download", interactive=False)
        go.click(explain, asked, [state, drawn, result, files], concurrency_limit=1, show_progress="hidden")
        halt.click(stop, None, None, queue=False)
    return page


def _fields(gradio: Any, example: str, value: str) -> list[Any]:
    """What a person fills in, in the order of `Question`."""
    text = gradio.Textbox(label="Prompt", lines=4, value=example)
    target = gradio.Textbox(label="Answer to explain", placeholder="the model's own")
    with gradio.Row():
        image = gradio.Image(label="Image", type="filepath", height=160)
        clip = gradio.Audio(label="Clip", type="filepath")
    asked_about = gradio.Radio(VALUES, value=value, label="What is asked of each part")
    with gradio.Row():
        method = gradio.Dropdown(METHODS, value="auto", label="Method")
        granularity = gradio.Dropdown(GRANULARITIES, value="word", label="A feature is a")
        budget = gradio.Number(0, label="Evaluations (0: as the method sees fit)", minimum=0, precision=0)
    return [text, image, clip, target, asked_about, method, granularity, budget]


def serve(spec: ModelSpec | None, host: str, port: int | None, most_megabytes: int) -> None:
    """Serve the page until it is interrupted.

    Raises:
        ImportError: without gradio.
        ValueError: for a model that does not load.
    """
    with tempfile.TemporaryDirectory(prefix="explanations") as folder:
        playground = Playground(Path(folder), spec)
        page = build(playground)
        if spec is not None:
            playground.models.get(Question(""))
        limits = {"max_file_size": f"{most_megabytes}mb", "allowed_paths": [folder]}
        page.launch(server_name=host, server_port=port, share=False, footer_links=[], **limits)
