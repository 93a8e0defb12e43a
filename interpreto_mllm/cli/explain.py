"""The command `explain`: one prompt, one answer, one explanation."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from interpreto_mllm.chats.chat import Chat
from interpreto_mllm.cli.problems import Problem, say
from interpreto_mllm.core.optional import optional
from interpreto_mllm.studies.spec import MethodSpec, ModelSpec

STANDARD = "-"
"""Stands for the standard input or output."""


@dataclass(frozen=True)
class Asked:
    """What is explained.

    Args:
        prompt: a text, or "-".
        chat: a file with messages, in place of the prompt.
        images, clips, videos: files of the prompt.
        target: the answer that is explained; None for the model's own.
        plain: whether the prompt is no message, also of a chat model.
    """

    prompt: str | None
    chat: Path | None
    images: tuple[Path, ...] = ()
    clips: tuple[Path, ...] = ()
    videos: tuple[Path, ...] = ()
    target: str | None = None
    plain: bool = False


@dataclass(frozen=True)
class Wanted:
    """What becomes of the result: files, and whether it is shown in the terminal."""

    html: Path | None = None
    json: Path | None = None
    plot: Path | None = None
    quiet: bool = False


def model_spec(model: str | None, served: str | None, dtype: str | None, device: str | None, asked: Asked) -> ModelSpec:
    """Which model is meant by a name, a path, an address, or nothing.

    Raises:
        Problem: for an address without the model's name on the server, or such a name without an address.
    """
    if model is None:
        kind = "video" if asked.videos else "vision" if asked.images else "audio" if asked.clips else "text"
        return ModelSpec(name=f"shipped:{kind}")
    if model.startswith(("http://", "https://")):
        if served is None:
            raise Problem(f"{model} is a server: give --served-name, the name under which it serves the model.")
        return ModelSpec(name=served, url=model)
    if served is not None:
        raise Problem(f"--served-name is for servers; {model} is none. A server is given as --model http://host:port/v1.")
    return ModelSpec(name=model, dtype=dtype, device=device)


def method_spec(name: str, call: Mapping[str, Any], settings: list[str]) -> MethodSpec:
    """A method and its options, whose values are read as YAML.

    Args:
        name: of the method.
        call: options by name.
        settings: further options as "key=value".

    Raises:
        Problem: for a setting without "=", and a value that is no YAML.
    """
    from interpreto_mllm.studies.methods import find_method, own_parameters

    given = {key: value for key, value in call.items() if value is not None}
    values = {key: read_value(value) if isinstance(value, str) else value for key, value in given.items()}
    own = own_parameters(find_method(name))
    arguments: dict[str, Any] = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or not key.strip():
            raise Problem(f'--set takes KEY=VALUE, such as --set image_granularity="{{Patches: [3, 3]}}"; got {setting!r}.')
        (arguments if key.strip() in own else values)[key.strip()] = read_value(value)
    return MethodSpec(name=name, arguments=arguments, call=values)


def read_value(text: str) -> Any:
    """A value in YAML.

    Example:
        >>> read_value("{Patches: [3, 3]}"), read_value("64"), read_value("word")
        ({'Patches': [3, 3]}, 64, 'word')
    """
    yaml = optional("yaml", "the command line", "cli")
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise Problem(f"{text!r} is no value in YAML: {str(error).splitlines()[0]}.") from error


def explain(asked: Asked, spec: ModelSpec, method: MethodSpec, seed: int, wanted: Wanted, checkpoint: Path | None) -> None:
    """Explain one prompt, show the result and write it.

    Raises:
        ValueError, TypeError: for what cannot be explained; nothing has been written then.
    """
    from interpreto_mllm.studies.build import load_model, method_explainer

    check_outputs(wanted)
    inputs = read_inputs(asked)
    model, processor = load_model(spec)
    if isinstance(inputs, str) and not asked.plain and getattr(processor, "chat_template", None):
        inputs = [{"role": "user", "content": inputs}]
    explainer = method_explainer(method, seed, model, processor, progress=not wanted.quiet and sys.stderr.isatty())
    [explanation] = explainer(inputs, asked.target, checkpoint=checkpoint)
    write(explanation, wanted)


def read_inputs(asked: Asked) -> Any:
    """The prompt as a text, or as a chat.

    Raises:
        Problem: where there is none, or two.
    """
    if (asked.prompt is None) == (asked.chat is None):
        given = "both" if asked.chat else "neither"
        raise Problem(f'Give either a prompt, as in: interpreto-mllm explain "what is it ?", or --chat FILE; got {given}.')
    for file in (*asked.images, *asked.clips, *asked.videos):
        if not file.is_file():
            raise Problem(f"There is no file {file}.")
    media = [{"type": "image", "image": str(one)} for one in asked.images]
    media += [{"type": "audio", "audio": str(one)} for one in asked.clips]
    media += [{"type": "video", "video": str(one)} for one in asked.videos]
    if asked.chat is not None:
        if media:
            raise Problem(
                'A chat names its own images, clips and videos: {"type": "image", "path": …}. Leave these options out.'
            )
        return read_chat(asked.chat)
    text = _read(STANDARD).rstrip("\n") if asked.prompt == STANDARD else str(asked.prompt)
    return [{"role": "user", "content": [*media, {"type": "text", "text": text}]}] if media else text


def read_chat(file: Path) -> Chat | list[dict[str, Any]]:
    """The chat in a JSON file: a list of messages, or {"messages": [...], "tools": [...]} as in requests to servers.

    Raises:
        Problem: when it is something else.
    """
    text = _read(str(file))
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        raise Problem(f"{file}, line {error.lineno}: this is no JSON: {error.msg}.") from error
    messages = found.get("messages") if isinstance(found, dict) else found
    if not isinstance(messages, list) or not all(isinstance(one, dict) and "role" in one for one in messages):
        raise Problem(f'{file} must hold a list of messages, such as [{{"role": "user", "content": "Hello"}}].')
    request = found if isinstance(found, dict) else {}
    fields = {name: request[name] for name in ("tools", "documents", "continue_final_message") if request.get(name)}
    try:
        chat = Chat(messages, template=request.get("chat_template_kwargs"), **fields) if messages else None
    except (TypeError, ValueError) as error:
        raise Problem(f"{file}: {error}") from error
    return messages if chat is None or chat.bare else chat


def check_outputs(wanted: Wanted) -> None:
    """Raise a Problem for a file that cannot be written, before the model is loaded."""
    for file in (wanted.html, wanted.json, wanted.plot):
        if file is not None and str(file) != STANDARD and not file.absolute().parent.is_dir():
            raise Problem(f"There is no folder {file.parent} for {file.name}: create it first.")
    if wanted.plot is not None:
        optional("matplotlib", "--plot", "plot")
        if wanted.plot.suffix.lower() not in (".png", ".svg", ".pdf", ".jpg", ".jpeg"):
            raise Problem(f"--plot writes .png, .svg, .pdf or .jpg; got {wanted.plot.name}.")


def write(explanation: Any, wanted: Wanted) -> None:
    """Show a result and write its files."""
    to_stdout = wanted.json is not None and str(wanted.json) == STANDARD
    if not wanted.quiet and not to_stdout:
        explanation.show()
    if wanted.html is not None:
        explanation.to_html(wanted.html)
    if wanted.plot is not None:
        explanation.plot(wanted.plot)
    if to_stdout:
        with tempfile.TemporaryDirectory() as folder:
            explanation.save(Path(folder) / "explanation.json")
            sys.stdout.write((Path(folder) / "explanation.json").read_text(encoding="utf-8") + "\n")
    elif wanted.json is not None:
        explanation.save(wanted.json)
    written = [str(file) for file in (wanted.html, wanted.json, wanted.plot) if file is not None and str(file) != STANDARD]
    if written and not wanted.quiet:
        say(f"Written: {', '.join(written)}")


def _read(file: str) -> str:
    if file == STANDARD:
        return sys.stdin.read()
    try:
        return Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = "there is no such file" if isinstance(error, FileNotFoundError) else str(error)
        raise Problem(f"{file} cannot be read: {reason}.") from error
