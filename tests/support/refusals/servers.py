"""What servers reply, and what is asked of them, that is refused or dealt with."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

import numpy as np
from support.misbehaving import Told, choice, misbehaving
from support.refusals.row import CHAT, SKY, Row, bpe
from support.server import Server

from interpreto_mllm import (
    Attend,
    Chat,
    ExactShapley,
    Granularity,
    InferenceModes,
    Pair,
    RemoteModel,
    Replace,
    ResponseSimilarity,
)
from interpreto_mllm.adapters.remote import RemoteError
from interpreto_mllm.similarity import Contextual, Static, TfIdf
from interpreto_mllm.testbed import load_recall

NOWHERE = "http://127.0.0.1:9/v1"
SIMILARITY = ResponseSimilarity(similarity=TfIdf(), generate={"max_new_tokens": 4})
NO_TEMPERATURE = "Unsupported value: 'temperature' does not support 0.0 with this model."
EMPTY = Told({"error": {"message": "text must be non-empty"}}, 400)


def replied(tell: Callable[[int, str, dict[str, Any]], Told], pinned: Any = ("is",), **remote: Any) -> Any:
    """The similarity of a server's answers with and without the first word."""
    options: dict[str, Any] = {"pinned": pinned, "inference_mode": SIMILARITY, "progress": False}
    with misbehaving(tell) as server:
        return ExactShapley(RemoteModel(server.url, "m", **{"retries": 0, **remote}), **options)("red is")[0]


def told(body: Any, *more: Any, **remote: Any) -> Any:
    """The same of one that replies alike to all requests; its answers."""
    return replied(lambda *_: Told(body, *more), **remote).responses.texts


def waited(**slow: Any) -> Any:
    return replied(lambda *_: Told(choice("yes" * 100, True), **slow), timeout=0.5)


def busy_at_first(body: Any, status: int = 200) -> list[str]:
    def tell(number: int, path: str, asked: dict[str, Any]) -> Told:
        return Told(body, status, {"retry-after-ms": "1"}) if number == 0 else Told(choice("yes", True))

    return replied(tell, retries=1).responses.texts


def demanding(number: int, path: str, body: dict[str, Any]) -> Told:
    """A model that takes neither `max_tokens` nor a temperature."""
    if "max_tokens" in body:
        return Told({"error": {"message": "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."}}, 400)
    return Told({"error": NO_TEMPERATURE}, 400) if "temperature" in body else Told(choice("yes", True))


def without_empty(number: int, path: str, body: dict[str, Any]) -> Told:
    return Told(choice("yes", True)) if body["messages"][0]["content"] else EMPTY


def moving(apart: float) -> Any:
    """A server whose log-probabilities are others the second time, explained."""
    asked = count()

    def tell(number: int, path: str, body: dict[str, Any]) -> Told:
        moved = apart * (next(asked) > 0)
        tokens = [{"1": {"decoded_token": word, "logprob": -1.0 - moved}} for word in (" is", " red")]
        return Told(choice("", False, prompt_logprobs=[None, *tokens]))

    with misbehaving(tell) as server:
        remote = RemoteModel(server.url, "m", route="completion")
        explainer = ExactShapley(remote, pinned=["is"], inference_mode=InferenceModes.LOG_SOFTMAX, progress=False)
        return explainer("it is", " red")[0].notes


def shifted() -> Any:
    server = Server(*load_recall())
    server.offers, server.shifted = {"echo", "logprobs"}, True
    try:
        remote = RemoteModel(server.url, "m", route="completion")
        return ExactShapley(remote, granularity=Granularity.SENTENCE, progress=False)("the apple is red .", " red")
    finally:
        server.stop()


def shown(*told: Any) -> Any:
    """A chat with documents."""
    with misbehaving(lambda *_: Told(*told)) as server:
        chat = Chat([{"role": "user", "content": "red is"}], documents=["It is red."])
        explainer = ExactShapley(RemoteModel(server.url, "m", retries=0), inference_mode=SIMILARITY, progress=False)
        return explainer(chat, "yes")


def shown_tools() -> Any:
    """A chat with a tool, on a server that lets no model choose one."""

    def tell(number: int, path: str, body: dict[str, Any]) -> Told:
        if "tools" in body and "tool_choice" not in body:
            return Told({"error": {"message": '"auto" tool choice requires --enable-auto-tool-choice'}}, 400)
        return Told(choice("yes", True) | {"usage": {"prompt_tokens": 9 + 5 * ("tools" in body), "total_tokens": 10}})

    tool = {"type": "function", "function": {"name": "weather", "description": "It rains."}}
    with misbehaving(tell) as server:
        options: dict[str, Any] = {"inference_mode": SIMILARITY, "pinned": ["is"], "progress": False}
        chat = Chat([{"role": "user", "content": "red is"}], tools=[tool])
        [found] = ExactShapley(RemoteModel(server.url, "m", retries=0), **options)(chat, "yes")
        assert all(asked.get("tool_choice") == "none" for asked in server.asked[1:] if "tools" in asked)
        return found


def unscored(*told: Any) -> Any:
    with misbehaving(lambda *_: Told(*(told or (choice("yes", True),)))) as server:
        return ExactShapley(RemoteModel(server.url, "m"), progress=False)("red is", " yes")


def thinking() -> Any:
    return told({"choices": [{"finish_reason": "length", "message": {"content": None}}]})


def nowhere(inputs: Any = "a b", target: Any = "x", route: Any = "chat", **options: Any) -> Any:
    """Nothing is served there, and nothing is to be sent."""
    return ExactShapley(RemoteModel(NOWHERE, "m", route=route), **{"inference_mode": SIMILARITY, **options})(inputs, target)


def scored(**options: Any) -> Any:
    return nowhere(**{"inference_mode": InferenceModes.LOG_SOFTMAX, **options})


REPLIES = [
    Row(
        "an error in a 200",
        lambda: told({"error": {"message": "no such model", "code": "model_not_found"}}),
        '"no such model", says m at',
        RemoteError,
        True,
    ),
    Row(
        "an error in the first choice",
        lambda: told({"choices": [{"error": {"code": 502, "message": "upstream died"}}]}),
        '"upstream died", says m at',
        RemoteError,
        True,
    ),
    Row("an error as a text", lambda: told({"error": "out of cards"}), '"out of cards", says m at', RemoteError, True),
    Row(
        "an error of FastAPI",
        lambda: told({"detail": [{"loc": ["body", "seed"], "msg": "no int"}]}, 422),
        "body.seed: no int",
        RemoteError,
        True,
    ),
    Row(
        "a prompt beyond the window",
        lambda: told({"error": {"message": "This model's maximum context length is 512 tokens."}}, 400),
        "Nothing is ever cut off a prompt: shorten it, or start the server with a longer window",
        RemoteError,
        True,
    ),
    Row(
        "a prompt beyond the window, where answers are scored",
        lambda: unscored({"error": {"message": "Requested tokens (600) exceed context window of 512"}}, 400),
        "start the server with a longer window (vLLM: --max-model-len",
        after=True,
    ),
    Row(
        "no documents taken",
        lambda: shown({"error": {"message": "Unexpected keys in the request: {'documents'}"}}, 422),
        "The chat has documents, which vLLM and SGLang take",
        RemoteError,
        True,
    ),
    Row(
        "documents taken and not shown to the model",
        lambda: shown(choice("yes", True) | {"usage": {"prompt_tokens": 9, "total_tokens": 10}}),
        "does not show the model its documents: the prompt has 9 tokens with and without",
        after=True,
    ),
    Row(
        "no tool calls read out of answers",
        lambda: shown_tools().notes,
        "The server reads no tool calls out of answers (vLLM does with --enable-auto-tool-choice",
        None,
        True,
    ),
    Row(
        "a wrong key",
        lambda: told({"error": {"message": "no, Bearer sk-secret-0123456789"}}, 401, api_key="sk-secret-0123456789"),
        '"no, Bearer …", says m',
        RemoteError,
        True,
    ),
    Row("a page", lambda: told("<html>Sign in</html>"), "a reply that is no JSON object: <html>", RemoteError, True),
    Row("nothing", lambda: told(""), "a reply that is no JSON object", RemoteError, True),
    Row("no choices", lambda: told({"id": "1"}), "a reply without choices", RemoteError, True),
    Row("an empty list of choices", lambda: told({"choices": []}), "a reply without choices", RemoteError, True),
    Row(
        "a choice without a message", lambda: told({"choices": [{"index": 0}]}), "a reply without a message", RemoteError, True
    ),
    Row(
        "a redirect",
        lambda: told("", 307, {"Location": "https://elsewhere.example/v1"}),
        "ask https://elsewhere.example/v1 instead",
        RemoteError,
        True,
    ),
    Row("an error with escape codes", lambda: told({"error": "a\x1b[31mb"}, 400), r'"a\x1b[31mb", says m', RemoteError, True),
    Row("an answer that was cut within the thinking", thinking, "max_new_tokens", ValueError, True),
    Row("bytes that drip", lambda: waited(drip=0.02), "gave no answer within timeout=0.5 s", RemoteError, True),
    Row("nothing at all", lambda: waited(hang=True), "gave no answer within timeout=0.5 s", RemoteError, True),
    Row("429 with `retries=0`", lambda: told({"error": "slow down"}, 429), '"slow down", says m at', RemoteError, True),
    Row("429, then an answer", lambda: busy_at_first({"error": "slow down"}, 429), "'yes', 'yes'", None, True),
    Row("503, then an answer", lambda: busy_at_first("", 503), "'yes', 'yes'", None, True),
    Row(
        "a rate limit in a 200, then an answer",
        lambda: busy_at_first({"error": {"code": "rate_limit_exceeded", "message": "wait"}}),
        "'yes', 'yes'",
        None,
        True,
    ),
    Row(
        "an answer in chunks, and thinking",
        lambda: told(choice([{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "yes "}, "red"], True)),
        "'yes red'",
        None,
        True,
    ),
    Row(
        "a refusal in place of content",
        lambda: told({"choices": [{"message": {"content": None, "refusal": "I will not."}}]}),
        "'I will not.'",
        None,
        True,
    ),
    Row(
        "a refusal of `max_tokens`, and of temperature 0", lambda: replied(demanding).notes, "takes no temperature", None, True
    ),
    Row(
        "a refusal of an empty message",
        lambda: replied(without_empty, pinned=()),
        '"text must be non-empty", says m',
        RemoteError,
        True,
    ),
    Row(
        "the same with `stand_in`",
        lambda: replied(without_empty, pinned=(), stand_in="…").responses.texts,
        "'yes', 'yes'",
        None,
        True,
    ),
    Row("log-probabilities that move a little", lambda: moving(0.25), "up to 0.25 apart", None, True),
    Row(
        "log-probabilities that move by more than 1",
        lambda: moving(3.0),
        "apart when it was asked for one prompt twice",
        ValueError,
        True,
    ),
    Row("an echo that is shifted by a token", shifted, "writes no BOS token", ValueError, True),
    Row(
        "no log-probabilities of a given answer",
        unscored,
        "does not return the log-probabilities of a given answer",
        ValueError,
        True,
    ),
]

REQUESTS = [
    Row("an address without http", lambda: RemoteModel("localhost:8000", "m"), "base_url must be an address"),
    Row(
        "an address with a query",
        lambda: RemoteModel("http://host/v1?key=secret", "m"),
        "without '?' and '#'; give 'http://host/v1'",
    ),
    Row("an unknown route", lambda: nowhere(route="responses"), "'chat' or 'completion'"),
    Row(
        "no requests at a time",
        lambda: RemoteModel(NOWHERE, "m", concurrency=0),
        "concurrency and sampling_rate must be at least 1",
    ),
    Row("no pixels", lambda: RemoteModel(NOWHERE, "m", max_pixels=0), "max_pixels must be a whole number of pixels"),
    Row(
        "a role with control characters",
        lambda: nowhere([{"role": "us\x1b[31mer", "content": "a"}, *CHAT]),
        r"without control characters; got 'us\x1b[31mer'",
    ),
    Row(
        "a chat on the completion route",
        lambda: nowhere(CHAT, route="completion"),
        "use RemoteModel(..., route='chat')",
        TypeError,
    ),
    Row("an encoding for a server", lambda: nowhere(dict(bpe()(SKY))), "only the server knows its token ids", TypeError),
    Row("a pair for a server", lambda: nowhere(Pair("a", "b")), "a Pair is put together by a model's own tokenizer", TypeError),
    Row("token ids as a target for a server", lambda: nowhere(target=[1, 2]), "a text, a Contrast of texts or None", TypeError),
    Row(
        "a mapping with an image for a server",
        lambda: nowhere({"text": "a", "images": np.zeros((4, 4))}),
        "as parts of a chat",
        TypeError,
    ),
    Row(
        "an address of an image for a server",
        lambda: nowhere([{"role": "user", "content": [{"type": "image", "image": "https://example.org/a.png"}]}]),
        "Nothing is downloaded",
    ),
    Row("tokens as features on a server", lambda: nowhere(granularity=Granularity.TOKEN), "Only the server knows"),
    Row("`Attend()` on a server", lambda: nowhere(occlusion=Attend()), "cannot be masked on a server"),
    Row("`Replace()` on a server", lambda: nowhere(occlusion=Replace()), "no mask token"),
    Row("logits of a server", lambda: nowhere(inference_mode=InferenceModes.LOGITS), "gives no logits for logits"),
    Row("an empty target on a server", lambda: scored(target=" "), "target is empty"),
    Row(
        "a similarity that needs weights",
        lambda: nowhere(inference_mode=ResponseSimilarity(Static())),
        "Static needs the weights of the model",
    ),
    Row(
        "a similarity after the prompt",
        lambda: nowhere(inference_mode=ResponseSimilarity(Contextual("m", "t", after_prompt=True))),
        "after the prompt needs the weights of the model",
    ),
    Row("beams on a server", lambda: nowhere(generate={"num_beams": 2}), "max_new_tokens, do_sample"),
]
