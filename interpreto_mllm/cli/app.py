"""The commands and their options. What they do is imported when one is called, so that `--help` comes at once."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from interpreto_mllm import __version__
from interpreto_mllm.cli import parameters
from interpreto_mllm.cli.problems import told

LOOPBACK = "127.0.0.1"

ONE, STUDY, ALL = "One explanation", "Studies", "What there is"

HELP = """[bold]Which parts of a prompt caused a model's answer?[/bold]

Shapley values for the words, image regions and audio segments of a prompt, for models of transformers and servers with the
OpenAI protocol; studies over data sets, and their reports.

[dim]Start with:[/dim] interpreto-mllm explain "the sky is blue . what is the sky ?"
"""
EPILOG = (
    "[dim]Exit codes: 0 done · 1 an error while it ran · 2 something given that cannot be used · 3 done, but some samples "
    "failed · 130 interrupted.[/dim]"
)

app = typer.Typer(
    name="interpreto-mllm",
    help=HELP,
    epilog=EPILOG,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
)


class Listed(StrEnum):
    """What can be listed."""

    methods = "methods"
    metrics = "metrics"
    suites = "suites"


def _print_version(asked: bool) -> bool:
    if asked:
        typer.echo(__version__)
        raise typer.Exit
    return asked


@app.callback()
def common(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    log_level: Annotated[
        str, typer.Option(envvar="INTERPRETO_MLLM_LOG", help="debug, info, warning or error.", metavar="LEVEL")
    ] = "error",
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version.")
    ] = False,
) -> None:
    """What all commands share."""
    import logging

    from interpreto_mllm.studies.logs import set_log_level

    if debug:
        os.environ["INTERPRETO_MLLM_DEBUG"] = "1"
    try:
        set_log_level(log_level)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--log-level") from None
    logging.getLogger("transformers").setLevel(log_level.upper())
    os.environ["TRANSFORMERS_VERBOSITY"] = log_level.lower()  # of workers, too


@app.command(
    rich_help_panel=ONE,
    epilog="[dim]Examples:[/dim]\n\n"
    'interpreto-mllm explain "the apple is red . what is the apple ?" --html apple.html\n\n'
    'interpreto-mllm explain "what colour is the star ?" --image scene.png --set image_granularity="{Patches: [3, 3]}"\n\n'
    "interpreto-mllm explain --chat chat.json -m Qwen/Qwen3-0.6B --granularity sentence --budget 200\n\n"
    "interpreto-mllm explain - -m http://localhost:8000/v1 --served-name llama < prompt.txt",
)
@told
def explain(
    prompt: parameters.Prompt = None,
    chat: parameters.Chat = None,
    image: parameters.Image = None,
    audio: parameters.Audio = None,
    video: parameters.Video = None,
    target: parameters.Target = None,
    model: parameters.Model = None,
    served_name: parameters.ServedName = None,
    dtype: parameters.Dtype = None,
    device: parameters.Device = None,
    plain: parameters.Plain = False,
    max_new_tokens: parameters.MaxNewTokens = None,
    method: parameters.Method = "auto",
    budget: parameters.Budget = None,
    granularity: parameters.Granularity = None,
    occlusion: parameters.Occlusion = None,
    mode: parameters.Mode = None,
    pin_punctuation: parameters.PinPunctuation = False,
    seed: parameters.Seed = 0,
    options: parameters.Options = None,
    html: parameters.Html = None,
    json: parameters.Json = None,
    plot: parameters.Plot = None,
    quiet: parameters.Quiet = False,
    checkpoint: parameters.Checkpoint = None,
) -> None:
    """Explain the answer to one prompt: in the terminal, as a page, as JSON, as a picture.

    Without a model, one of those that come with the package answers; nothing is downloaded.
    """
    from interpreto_mllm.cli import explain as work

    call = {"budget": budget, "granularity": granularity, "occlusion": occlusion, "mode": mode}
    call |= {"pinned": "punctuation"} if pin_punctuation else {}
    call |= {"generate": {"max_new_tokens": max_new_tokens}} if max_new_tokens is not None else {}
    asked = work.Asked(prompt, chat, tuple(image or ()), tuple(audio or ()), tuple(video or ()), target, plain)
    wanted = work.Wanted(html, json, plot, quiet)
    spec = work.model_spec(model, served_name, dtype, device, asked)
    work.explain(asked, spec, work.method_spec(method, call, options or []), seed, wanted, checkpoint)


@app.command("app", rich_help_panel=ONE, epilog="[dim]Example:[/dim] interpreto-mllm app Qwen/Qwen3-0.6B --port 7000")
@told
def playground(
    model: parameters.ServedModel = None,
    served_name: parameters.ServedName = None,
    dtype: parameters.Dtype = None,
    device: parameters.Device = None,
    host: parameters.Host = LOOPBACK,
    port: parameters.Port = None,
    max_upload: parameters.MaxUpload = 20,
) -> None:
    """Open a page in the browser to try explanations on: the scores settle while you watch, and can be stopped.

    Without a model, the three that come with the package answer. Uploads are deleted once they are explained.
    """
    from interpreto_mllm.cli.explain import Asked, model_spec
    from interpreto_mllm.playground.page import serve

    spec = None if model is None else model_spec(model, served_name, dtype, device, Asked(None, None))
    serve(spec, host, port, max_upload)


Config = Annotated[Path, typer.Argument(help="A study in YAML or JSON; `interpreto-mllm schema` describes it.")]
Workers = Annotated[int, typer.Option("--workers", "-w", min=1, help="Processes, actors or jobs, each with the model.")]


@app.command(rich_help_panel=STUDY, epilog="[dim]Example:[/dim] interpreto-mllm validate study.yaml --check-data")
@told
def validate(
    config: Config,
    check_data: Annotated[bool, typer.Option("--check-data", help="Read the data, and every prompt in it.")] = False,
    check_model: Annotated[bool, typer.Option("--check-model", help="Load the model, and make every explainer.")] = False,
) -> None:
    """Check a config: each problem with its line, its key and what is accepted."""
    from interpreto_mllm.cli import study

    study.validate(config, check_data, check_model)


@app.command(rich_help_panel=STUDY, epilog="[dim]Example:[/dim] interpreto-mllm plan study.yaml --price 2.5 10 --seconds 0.02")
@told
def plan(
    config: Config,
    price: Annotated[
        tuple[float, float] | None, typer.Option(help="Per million tokens read, and generated.", metavar="READ GENERATED")
    ] = None,
    seconds: Annotated[float | None, typer.Option(min=0, help="Of an evaluation, for the estimate of time.")] = None,
    measure: Annotated[bool, typer.Option("--measure", help="Measure that by a few evaluations of each run.")] = False,
    workers: Workers = 1,
) -> None:
    """What a study will cost at most: runs, samples, evaluations, tokens, time and money; only --measure calls a model."""
    from interpreto_mllm.cli import study

    study.plan(config, price, seconds, measure, workers)


@app.command(
    rich_help_panel=STUDY,
    epilog="[dim]Examples:[/dim]\n\ninterpreto-mllm run study.yaml\n\ninterpreto-mllm run study.yaml --resume -e ray -w 8\n\n"
    "interpreto-mllm run study.yaml -e slurm -w 16 --cluster-option slurm_partition=gpu",
)
@told
def run(
    config: Config,
    out: parameters.RunOut = None,
    resume: parameters.RunResume = False,
    executor: parameters.RunExecutor = parameters.Executor.local,
    workers: Workers = 1,
    gpus: parameters.RunGpus = 0.0,
    over: parameters.RunOver = parameters.Over.samples,
    ray_address: parameters.RunRayAddress = None,
    cluster_option: parameters.RunClusterOption = None,
    track: parameters.RunTrack = None,
    report: parameters.RunReport = True,
    quiet: parameters.RunQuiet = False,
) -> None:
    """Carry out a study: every run of the config over every sample, each kept as soon as it is done.

    A killed study is gone on with by --resume. A sample that fails is recorded with its traceback, and the exit code is 3.
    """
    from interpreto_mllm.cli import study

    where = study.Where(executor.value, workers, gpus, ray_address, tuple(cluster_option or ()), over.value)
    study.run(config, out, resume, where, tuple(track or ()), report, quiet)


@app.command(rich_help_panel=STUDY, epilog="[dim]Example:[/dim] interpreto-mllm report runs/first runs/second --out comparison")
@told
def report(
    runs: Annotated[list[Path], typer.Argument(help="Folders of runs, or of studies with all their runs.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="The folder; report in the first one by default.")] = None,
    title: Annotated[str | None, typer.Option(help="Of the page.")] = None,
    pages: Annotated[int | None, typer.Option(min=0, help="How many samples get pages of their own; all by default.")] = None,
) -> None:
    """Write tables, plots and one page of runs: a leaderboard, curves over budgets, every sample. No model is called."""
    from interpreto_mllm.cli import study

    study.report(runs, out, title, pages)


@app.command(
    rich_help_panel=STUDY,
    epilog="[dim]Examples:[/dim]\n\ninterpreto-mllm suite planted-vision\n\n"
    "interpreto-mllm suite planted-text --method my_module:MyMethod --samples 50",
)
@told
def suite(
    name: parameters.SuiteName,
    out: parameters.SuiteOut = None,
    samples: parameters.SuiteSamples = None,
    method: parameters.SuiteMethod = None,
    workers: Workers = 1,
    quiet: parameters.SuiteQuiet = False,
) -> None:
    """Run a benchmark that comes with the package: its table, its plots and its report page. It goes on where it stopped."""
    from interpreto_mllm.cli import suite as work

    work.run(name, out, samples, tuple(method or ()), workers, quiet)


@app.command(rich_help_panel=STUDY, epilog="[dim]Example:[/dim] interpreto-mllm schema > study.schema.json")
@told
def schema() -> None:
    """Print the JSON schema of configs, by which editors complete and check them."""
    from interpreto_mllm.cli import study

    study.schema()


@app.command("list", rich_help_panel=ALL, epilog="[dim]Example:[/dim] interpreto-mllm list metrics")
@told
def list_(what: Annotated[Listed, typer.Argument(help="What to list.")]) -> None:
    """List the methods, the metrics or the suites, each with what it is."""
    from interpreto_mllm.cli import listing

    listing.show(what.value)
