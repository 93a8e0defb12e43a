"""The arguments and options of the larger commands: their types, names and help."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

MODEL, EXPLANATION, OUTPUT = "Model", "Explanation", "Output"


class Executor(StrEnum):
    """Where the samples of a study are explained."""

    local = "local"
    ray = "ray"
    slurm = "slurm"


class Over(StrEnum):
    """What is shared among the workers of a study."""

    samples = "samples"
    coalitions = "coalitions"


Prompt = Annotated[str | None, typer.Argument(help="The prompt; - reads it from the standard input.")]

Chat = Annotated[
    Path | None,
    typer.Option(help="A chat in place of the prompt: a JSON file with a list of messages; - for the standard input."),
]

Image = Annotated[list[Path] | None, typer.Option(help="An image of the prompt; may be repeated.")]

Audio = Annotated[list[Path] | None, typer.Option(help="A sound clip of the prompt; may be repeated.")]

Video = Annotated[list[Path] | None, typer.Option(help="A video of the prompt; may be repeated.")]

Target = Annotated[
    str | None, typer.Option("--target", "-t", help="The answer or class that is explained; the model's own by default.")
]

Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        help="A folder, a name on the Hugging Face Hub, a .gguf file, the URL of a server, or shipped:text, "
        "shipped:vision, shipped:audio, shipped:video; by default the shipped model for this prompt.",
        rich_help_panel=MODEL,
    ),
]

ServedModel = Annotated[
    str | None,
    typer.Argument(help="A folder, a name on the Hub, a .gguf file, or the URL of a server; the shipped ones by default."),
]

ServedName = Annotated[str | None, typer.Option(help="The model's name on the server.", rich_help_panel=MODEL)]

Dtype = Annotated[str | None, typer.Option(help="Such as bfloat16.", rich_help_panel=MODEL)]

Device = Annotated[str | None, typer.Option(help="Such as cuda:0.", rich_help_panel=MODEL)]

Plain = Annotated[
    bool, typer.Option("--plain", help="Give the prompt to a chat model as it is, not as a message.", rich_help_panel=MODEL)
]

MaxNewTokens = Annotated[int | None, typer.Option(min=1, help="The longest answer of the model.", rich_help_panel=MODEL)]

Method = Annotated[
    str, typer.Option(help="See `interpreto-mllm list methods`; auto suits it to the prompt.", rich_help_panel=EXPLANATION)
]

Budget = Annotated[
    int | None, typer.Option("--budget", "-b", min=1, help="Evaluations of the model.", rich_help_panel=EXPLANATION)
]

Granularity = Annotated[
    str | None, typer.Option(help="token, word, sentence or turn; word by default.", rich_help_panel=EXPLANATION)
]

Occlusion = Annotated[
    str | None,
    typer.Option(help='How a missing text disappears: Drop, Attend, "{Replace: _}".', rich_help_panel=EXPLANATION),
]

Mode = Annotated[
    str | None,
    typer.Option(help="What is explained: log_softmax, softmax, logits or similarity.", rich_help_panel=EXPLANATION),
]

PinPunctuation = Annotated[
    bool,
    typer.Option("--pin-punctuation", help="Punctuation stays present and gets no score.", rich_help_panel=EXPLANATION),
]

Seed = Annotated[int, typer.Option(help="Of all randomness.", rich_help_panel=EXPLANATION)]

Options = Annotated[
    list[str] | None,
    typer.Option("--set", help="Any other option of a method, as KEY=VALUE in YAML; repeat it.", rich_help_panel=EXPLANATION),
]

Html = Annotated[Path | None, typer.Option(help="Write one HTML page.", rich_help_panel=OUTPUT)]

Json = Annotated[
    Path | None,
    typer.Option(help="Write the result with all evaluations; - for the standard output.", rich_help_panel=OUTPUT),
]

Plot = Annotated[Path | None, typer.Option(help="Write a picture: .png, .svg or .pdf.", rich_help_panel=OUTPUT)]

Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing.", rich_help_panel=OUTPUT)]

Checkpoint = Annotated[
    Path | None,
    typer.Option(help="Keep every evaluation in this file; the same command resumes from it.", rich_help_panel=OUTPUT),
]

RunOut = Annotated[Path | None, typer.Option("--out", "-o", help="The folder; runs/NAME by default.")]

RunResume = Annotated[bool, typer.Option("--resume", help="Go on with what the folder holds; nothing is paid twice.")]

RunExecutor = Annotated[Executor, typer.Option("--executor", "-e", help="Where samples are explained.")]

RunGpus = Annotated[float, typer.Option(min=0, help="local: GPUs that the workers share. ray: GPUs of each worker.")]

RunOver = Annotated[
    Over, typer.Option("--over", help="What the workers share: whole samples, or the coalitions of one after the other.")
]
RunRayAddress = Annotated[str | None, typer.Option(help="Of a Ray cluster, such as auto.")]

RunClusterOption = Annotated[list[str] | None, typer.Option(help="A parameter of submitit as KEY=VALUE; may be repeated.")]

RunTrack = Annotated[list[str] | None, typer.Option(help="wandb, mlflow, or with a project as wandb:NAME; may be repeated.")]

RunReport = Annotated[bool, typer.Option("--report/--no-report", help="Write the report at the end.")]

RunQuiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")]

SuiteName = Annotated[str, typer.Argument(help="See `interpreto-mllm list suites`.")]

SuiteOut = Annotated[Path | None, typer.Option("--out", "-o", help="The folder; suites/NAME by default.")]

SuiteSamples = Annotated[int | None, typer.Option("--samples", "-n", min=1, help="How many; fewer are faster.")]

SuiteMethod = Annotated[
    list[str] | None,
    typer.Option(help='A method to run beside the suite\'s, also your own as "module:Class"; may be repeated.'),
]

SuiteQuiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")]

Host = Annotated[str, typer.Option(help="The address to listen on; only this machine reaches the default one.")]

Port = Annotated[int | None, typer.Option(min=1, max=65535, help="The first free one from 7860 on by default.")]

MaxUpload = Annotated[int, typer.Option(min=1, help="Megabytes of an image or a clip.")]
