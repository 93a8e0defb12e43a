"""Servers that misbehave: their own words come first, what passes is tried again, nothing secret is told, nothing hangs."""

from __future__ import annotations

import copy
import json
import logging
import os
import pickle
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.misbehaving import Misbehaving, Told, choice, misbehaving

from interpreto_mllm import ExactShapley, Granularity, InferenceModes, KernelShap, RemoteModel, ResponseSimilarity
from interpreto_mllm.adapters.remote import RemoteError
from interpreto_mllm.adapters.remote.logprobs import PROTOCOLS
from interpreto_mllm.similarity import TfIdf

ROUTES = ["chat", "completion"]
SIMILARITY = ResponseSimilarity(similarity=TfIdf(), generate={"max_new_tokens": 4})
KEY = "sk-very-secret-0123456789"


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("interpreto_mllm.adapters.remote.requests.FIRST_DELAY", 0.01)
    monkeypatch.setattr("interpreto_mllm.adapters.remote.requests.LONGEST_DELAY", 0.01)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def explained(server: Misbehaving, route: Any = "chat", text: Any = "red is", pinned: Any = ("is",), **remote: Any) -> Any:
    """The similarity of a server's answers with and without the first word."""
    given = {"retries": 0, "timeout": 5.0, "route": route, **remote}
    options: dict[str, Any] = {"pinned": pinned, "inference_mode": SIMILARITY, "progress": False}
    [found] = ExactShapley(RemoteModel(server.url, "m", **given), **options)(text)
    return found


ERROR = {"message": "The model `m` does not exist.", "type": "invalid_request_error", "code": "model_not_found"}
WRONG: dict[str, tuple[Told, str]] = {
    "a 200 that holds an error": (Told({"error": ERROR}), 'The model `m` does not exist.", says m at .* (HTTP 400)'),
    "an error that is a text": (Told({"error": "out of cards"}), 'out of cards", says m'),
    "an error of its first choice": (
        Told({"choices": [{"error": {"code": 502, "message": "upstream died"}, "message": {}}]}),
        'upstream died", says m at .* (HTTP 502)',
    ),
    "no choices": (Told({"id": "1"}), 'a reply without choices: {"id": "1"}", says m'),
    "null choices": (Told({"choices": None}), "a reply without choices"),
    "empty choices": (Told({"choices": []}), "a reply without choices"),
    "a choice without a message": (Told({"choices": [{"index": 0}]}), "a reply without a message"),
    "a null message": (Told({"choices": [{"message": None}]}), "a reply without a message"),
    "a page": (Told("<html><body>Sign in</body></html>"), "a reply that is no JSON object: <html>"),
    "a list": (Told([1, 2]), "a reply that is no JSON object"),
    "endless brackets": (Told("[" * 100_000), "a reply that is no JSON object"),
    "nothing": (Told(""), "a reply that is no JSON object"),
    "a 404 with a page": (
        Told("<html>\n<b>no such place</b></html>", 404),
        'no such place", says m at .* (HTTP 404, NotFoundError)',
    ),
    "a 422 of FastAPI": (
        Told({"detail": [{"loc": ["body", "seed"], "msg": "not an integer"}]}, 422),
        'body.seed: not an integer", says m',
    ),
    "a 400 of vLLM": (Told({"object": "error", "message": "too long", "code": 400}, 400), 'too long", says m at .* (HTTP 400'),
    "a 401": (Told({"error": {"message": f"no, Bearer {KEY}"}}, 401), 'no, Bearer …", says m at .* (HTTP 401, Authentication'),
    "escape codes": (Told({"error": {"message": "a\x1b[31mb\x07\u202ec"}}, 400), r'a\x1b[31mb\x07\u202ec", says m'),
    "a redirect": (
        Told("", 307, {"Location": "https://me:word@elsewhere.example/v1/x?token=1"}),
        'ask https://elsewhere.example/v1/x instead", says m at .* (HTTP 307',
    ),
}


def pattern(words: str) -> str:
    """A regular expression of words, in which `.*` stands for anything."""
    import re

    return '^"' * ("says" in words) + ".*".join(map(re.escape, words.split(".*")))


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("name", WRONG)
def test_the_servers_own_words_come_first(name: str, route: str) -> None:
    told, words = WRONG[name]
    with misbehaving(lambda *_: told) as server, pytest.raises(RemoteError, match=pattern(words)) as caught:
        explained(server, route, api_key=KEY)
    assert KEY not in str(caught.value) and "word" not in str(caught.value).replace("passwords", "")
    assert len(server.asked) == 1 and str(caught.value).isprintable()


@pytest.mark.parametrize("route", ROUTES)
def test_so_they_do_where_answers_are_scored(route: Any) -> None:
    remote: Any = {"route": route, "retries": 0}
    with misbehaving(lambda *_: Told({"error": ERROR}, 404)) as server:
        explainer = KernelShap(RemoteModel(server.url, "m", **remote), granularity=Granularity.SENTENCE, progress=False)
        with pytest.raises(ValueError, match=r'^"The model `m` does not exist.", says m .* does not return the log-prob'):
            explainer("red is a colour .", " yes")
        assert len(server.asked) == len(PROTOCOLS[route])


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize(
    "content",
    [
        [{"type": "thinking", "thinking": [{"text": "hm"}]}, {"type": "text", "text": "yes "}, {"type": "text", "text": "red"}],
        ["yes ", {"text": "red"}, None, 3],
        "yes red",
    ],
)
def test_an_answer_may_come_in_chunks(content: Any, route: str) -> None:
    with misbehaving(lambda *_: Told(choice(content, route == "chat"))) as server:
        found = explained(server, route)
    assert found.responses.texts == ["yes red", "yes red"]


def test_a_refusal_is_an_answer() -> None:
    said = {"choices": [{"message": {"content": None, "refusal": "I will not."}}], "usage": None}
    with misbehaving(lambda *_: Told(said)) as server:
        assert explained(server).responses.texts[1] == "I will not."


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize(
    "busy",
    [
        Told({"error": {"code": 429, "message": "slow down"}}),
        Told({"error": {"message": "Rate limit reached for m", "code": "rate_limit_exceeded"}}),
        Told({"error": "The engine is overloaded"}, 400),
        Told({"error": "wait"}, 429, {"Retry-After": "0.01"}),
        Told({"error": "wait"}, 503, {"retry-after-ms": "10"}),
    ],
)
def test_a_busy_server_is_asked_again_whatever_it_calls_that(busy: Told, route: str) -> None:
    def tell(number: int, path: str, body: dict[str, Any]) -> Told:
        return busy if number < 2 else Told(choice("yes", route == "chat"))

    with misbehaving(tell) as server:
        found = explained(server, route, retries=2)
        assert found.responses.texts == ["yes", "yes"] and found.counts.forwards == 1
        assert len(server.asked) == 2 + 2


def demanding(number: int, path: str, body: dict[str, Any]) -> Told:
    """A model that thinks: another name for the most tokens, and no temperature."""
    for name, words in (
        (
            "max_tokens",
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
        ),
        ("temperature", "Unsupported value: 'temperature' does not support 0.0 with this model. Only the default (1) is."),
    ):
        if name in body:
            return Told({"error": {"message": words, "param": name, "code": "unsupported_parameter"}}, 400)
    return Told(choice("yes", True))


def test_models_that_take_other_arguments_are_asked_with_those() -> None:
    with misbehaving(demanding) as server:
        found = explained(server)
        assert [set(body) & {"max_tokens", "max_completion_tokens", "temperature"} for body in server.asked] == [
            {"max_tokens", "temperature"},
            {"max_completion_tokens", "temperature"},
            *[{"max_completion_tokens"}] * 2,
        ]
    assert any("takes no temperature" in note for note in found.notes)


def test_a_temperature_that_was_asked_for_is_not_dropped() -> None:
    mode = ResponseSimilarity(similarity=TfIdf(), generate={"do_sample": True, "temperature": 0.5})
    with misbehaving(demanding) as server:
        explainer = ExactShapley(RemoteModel(server.url, "m"), inference_mode=mode, progress=False)
        with pytest.raises(RemoteError, match="'temperature' does not support"):
            explainer("red .", "yes")


@pytest.mark.parametrize("route", ROUTES)
def test_servers_that_refuse_an_empty_message_get_a_stand_in_on_request(route: str) -> None:
    def tell(number: int, path: str, body: dict[str, Any]) -> Told:
        empty = not (body.get("prompt") or body.get("messages", [{}])[0].get("content"))
        return Told({"error": {"message": "text must be non-empty"}}, 400) if empty else Told(choice("yes", route == "chat"))

    with misbehaving(tell) as server:
        with pytest.raises(
            RemoteError, match=r'^"text must be non-empty", says .* pin a feature, or let RemoteModel\(..., stand_in'
        ):
            explained(server, pinned=())
        found = explained(server, route, text="red", pinned=(), stand_in="…")
        assert [body.get("prompt") or body["messages"][0]["content"] for body in server.asked][-1:] == ["…"]
        assert found.fingerprint["stand-in"] == "'…'"


def test_the_key_of_the_environment_is_used_as_the_client_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with misbehaving(lambda *_: Told(choice("yes", True))) as server:
        explained(server)
        explained(server, api_key="sk-another-9876543210")
        assert [headers["authorization"] for headers in server.headers[1:3]] == [
            f"Bearer {KEY}",
            "Bearer sk-another-9876543210",
        ]


def test_nothing_secret_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    password = "hunter2-hunter2"

    def tell(number: int, path: str, body: dict[str, Any]) -> Told:
        return Told(choice(f"yes {KEY} {password}", True))

    with misbehaving(tell) as server, caplog.at_level(logging.DEBUG):
        address = server.url.replace("http://", f"http://me:{password}@")
        remote = RemoteModel(address, "m", api_key=KEY, retries=0)
        explainer = ExactShapley(remote, granularity=Granularity.SENTENCE, inference_mode=SIMILARITY, progress=False)
        [found] = explainer("red is a colour .", checkpoint=tmp_path / "run.json")
        server.tell = lambda *_: Told({"error": f"no {password} {server.headers[0]['authorization']}"}, 403)
        with pytest.raises(RemoteError) as caught:
            explainer("blue is a colour .")
        sent = server.headers[0]["authorization"]
    assert sent.startswith("Basic ")
    found.save(tmp_path / "result.json")
    found.to_html(tmp_path / "result.html")
    told = [str(caught.value), repr(remote), repr(found), str(found), caplog.text, repr(pickle.dumps(remote))]
    told += [file.read_text(encoding="utf-8") for file in tmp_path.iterdir()]
    assert len(told) == 6 + 3
    for text in told:
        assert KEY not in text and password not in text and sent.removeprefix("Basic ") not in text
    assert copy.deepcopy(remote).credentials == f"me:{password}" and pickle.loads(pickle.dumps(remote)) == remote


@pytest.mark.parametrize(
    "address", ["me:hunter2@localhost:8000", "ftp://me:hunter2@host", "http://me:hunter2@host:x/", "http://"]
)
def test_addresses_that_are_refused_are_told_without_a_password(address: str) -> None:
    with pytest.raises(ValueError, match="base_url must be an address") as caught:
        RemoteModel(address, "m")
    assert "hunter2" not in str(caught.value)
    with pytest.raises(ValueError, match="without '\\?' and '#'; give 'http://host/v1'"):
        RemoteModel("http://me:hunter2@host/v1?key=secret", "m")


def test_a_role_that_acts_on_a_terminal_is_refused() -> None:
    with misbehaving(lambda *_: Told(choice("yes", True))) as server, pytest.raises(ValueError, match=r"got 'us\\x1b\[31mer'"):
        explained(server, text=[{"role": "us\x1b[31mer", "content": "a"}, {"role": "user", "content": "b"}], pinned=())


def hanging_after(answered: int) -> Callable[[int, str, dict[str, Any]], Told]:
    return lambda number, path, body: Told(choice(str(number), True)) if number < answered else Told(hang=True)


@pytest.fixture
def heeding() -> Iterator[None]:
    """Ctrl-C interrupts, as in a terminal; processes that a shell starts in the background ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heeding")
def test_ctrl_c_ends_a_call_to_a_hanging_server_at_once_and_keeps_what_arrived() -> None:
    with misbehaving(hanging_after(9)) as server:
        remote = RemoteModel(server.url, "m", timeout=30.0, concurrency=2)
        explainer = KernelShap(remote, inference_mode=SIMILARITY, budget=40, progress=False)

        def press() -> None:
            while len(server.asked) < 11:
                time.sleep(0.01)
            time.sleep(0.05)
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

        threading.Thread(target=press, daemon=True).start()
        with pytest.raises(KeyboardInterrupt):
            explainer("a b c d e f g h", "0")
        server.stopped.set()
        time.sleep(0.1)
        assert len(server.asked) == 11, "after a time-out of 30 s, or where nothing is cancelled, there would be more"
        [kept] = explainer.unfinished or []
        assert len(kept.coalitions) == 9


@pytest.mark.parametrize("told", [Told(choice("yes" * 100, True), drip=0.02), Told(hang=True)])
def test_the_time_allowed_is_for_the_whole_reply(told: Told) -> None:
    """A reply whose bytes drip for six seconds never waits long for any of them."""
    with misbehaving(lambda *_: told) as server, pytest.raises(RemoteError, match=r"gave no answer within timeout=0.3 s"):
        explained(server, timeout=0.3)
    assert len(server.asked) == 1


@pytest.mark.parametrize("apart, told", [(0.0, ""), (0.25, "up to 0.25 apart"), (3.0, "refused"), (None, "refused")])
def test_log_probabilities_that_move_are_noted_or_refused(apart: float | None, told: str) -> None:
    """As under prefix caching, the second time a prompt is asked about it has other values, or other tokens."""
    seen: list[str] = []

    def tell(number: int, path: str, body: dict[str, Any]) -> Told:
        moved = body["prompt"] in seen
        seen.append(body["prompt"])
        tokens = [None, *({"1": {"decoded_token": word, "logprob": -1.0 - (apart or 0) * moved}} for word in (" is", " red"))]
        tokens = [*tokens[:1], *tokens[: 1 - 2]] if moved and apart is None else tokens
        return Told(choice("", False, prompt_logprobs=tokens))

    with misbehaving(tell) as server:
        remote = RemoteModel(server.url, "m", route="completion")
        options: dict[str, Any] = {"pinned": ["is"], "inference_mode": InferenceModes.LOG_SOFTMAX}
        explainer = ExactShapley(remote, progress=False, **options)
        if told == "refused":
            with pytest.raises(ValueError, match=r"apart when it was asked for one prompt twice.*--no-enable-prefix-caching"):
                explainer("it is", " red")
            return
        for text in ("it is", "he is"):
            [found] = explainer(text, " red")
            assert any(told in note for note in found.notes) if told else not found.notes
        assert len(server.asked) == 2 + 1 + 1 + 1, "asked twice once"


def test_what_servers_say_is_never_live_in_files(tmp_path: Path) -> None:
    with misbehaving(lambda *_: Told(choice("a\x1b]0;b\x07 \ud83d", True))) as server:
        found = explained(server)
    found.save(tmp_path / "result.json")
    text = (tmp_path / "result.json").read_text(encoding="utf-8")
    assert "\x1b" not in text and json.loads(text)["responses"]["distinct"][0][0] == "a\x1b]0;b\x07 \ud83d"
    assert os.path.getsize(tmp_path / "result.json")
