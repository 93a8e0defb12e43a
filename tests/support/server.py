"""A small server on loopback that speaks the OpenAI protocol for the shipped model, and can be made to fail."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from typing import Any

import torch


class Server:
    """Serves a model until stopped; may be started again on the same port.

    Args:
        model, tokenizer: what answers; None answers with the length of what it was sent.

    `thinks` says of a request that its tokens are spent on thinking, so that the answer is cut and has no content. `offers`
    names what of "prompt_logprobs", "echo" and "logprobs" is not refused; where it is `shifted`, an echo gives every token
    the value of the next. `faults` are used up one a request: a status to answer with, "cut" for a connection that ends in
    the middle. `asked` holds the body of every request that was answered, `came` how many requests there were; `lonely`
    says that one was held back for others in vain.
    """

    def __init__(self, model: Any = None, tokenizer: Any = None):
        self.model, self.tokenizer = model, tokenizer
        self.offers: set[str] = set()
        self.shifted = False
        self.faults: list[int | str] = []
        self.asked: list[dict[str, Any]] = []
        self.keys: set[str] = set()
        self.came, self.lonely = 0, False
        self.thinks: Callable[[dict[str, Any]], bool] = lambda body: False
        self._held, self._window = range(0), 1
        self.dies_after: int | None = None
        self._lock = threading.Lock()
        self._coming = threading.Condition()
        self._port = 0
        self.start()

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self._port}/v1"

    def start(self) -> None:
        """Listen, on the port of the last time if there was one."""
        handler = type("Handler", (_Handler,), {"served": self})
        self._http = _Patient(("127.0.0.1", self._port), handler)
        self._port = self._http.server_port
        self.dead = False
        self._thread = threading.Thread(target=lambda: self._http.serve_forever(poll_interval=0.01), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Listen no longer."""
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    def hold(self, first: int, count: int, window: int) -> None:
        """Let the `first` requests pass, and answer none of the next `count` before `window` are under way or all have come."""
        self._held, self._window = range(self.came + first, self.came + first + count), window

    def wait_for_others(self) -> None:
        """Hold a request back until those after it have come, for half a minute at most, and never again once in vain."""
        with self._coming:
            number = self.came
            self.came += 1
            self._coming.notify_all()
            if number in self._held:
                enough = min(number + self._window, self._held.stop)
                self.lonely |= not self._coming.wait_for(lambda: self.lonely or self.came >= enough, timeout=30)

    def reply(self, path: str, body: dict[str, Any]) -> dict[str, Any] | None:
        """What is answered; None where something is asked for that is not on offer."""
        wanted = {"prompt_logprobs", "echo", "logprobs"} & set(body)
        if not wanted <= self.offers:
            return None
        chat = path.endswith("/chat/completions")
        if self.model is None:
            text, told = str(len(json.dumps(body))), []
            read = len(json.dumps(body))
        else:
            ids = self._ids(body, chat)
            text, told = self._said(ids, body)
            read = ids.shape[1]
        choice = {"index": 0, "finish_reason": "stop", "text": text, "message": {"role": "assistant", "content": text}}
        if self.thinks(body):
            choice |= {"finish_reason": "length", "text": "", "message": {"role": "assistant", "content": None}}
        choice.pop("text" if chat else "message")
        usage = {"prompt_tokens": read, "completion_tokens": 1, "total_tokens": 11}
        reply = {"id": "1", "object": "x", "created": 0, "model": body["model"], "choices": [choice], "usage": usage}
        if "prompt_logprobs" in body:
            scores = self._scores(body, chat)
            entries = [one and {str(one[0]): {"decoded_token": one[1], "logprob": one[2]}} for one in scores]
            (reply if chat else choice)["prompt_logprobs"] = entries
        if body.get("echo"):
            choice["text"] = body["prompt"] + text
            choice["logprobs"] = self._echoed(body, told)
        elif "logprobs" in body:
            each = [{"token": token, "logprob": value} for token, value in told]
            choice["logprobs"] = {"content": each} if chat else {"token_logprobs": [value for _, value in told]}
        return reply

    def _ids(self, body: dict[str, Any], chat: bool) -> Any:
        """What the model reads."""
        if not chat:
            return self.tokenizer(body["prompt"], return_tensors="pt")["input_ids"]
        ways = {name: body[name] for name in ("add_generation_prompt", "continue_final_message") if name in body}
        ways |= {name: body[name] for name in ("tools", "documents") if name in body} | body.get("chat_template_kwargs", {})
        messages = [_with_read_arguments(message) for message in body["messages"]]
        text = self.tokenizer.apply_chat_template(messages, tokenize=False, **{"add_generation_prompt": True, **ways})
        return self.tokenizer(text, add_special_tokens=False, return_tensors="pt")["input_ids"]

    def _said(self, ids: Any, body: dict[str, Any]) -> tuple[str, list[tuple[str, float]]]:
        """An answer, and its tokens with their log-probabilities."""
        with self._lock, torch.random.fork_rng([]):
            torch.manual_seed(body.get("seed", 0))
            sampled = {"do_sample": True, "temperature": body["temperature"]} if body["temperature"] else {"do_sample": False}
            every = self.model.generate(
                ids, attention_mask=torch.ones_like(ids), max_new_tokens=body["max_tokens"], use_cache=True, **sampled
            )
            logits = self.model(every).logits[0]
        said = every[0, ids.shape[1] :]
        values = logits.log_softmax(-1)[ids.shape[1] - 1 : -1].gather(1, said[:, None])[:, 0].tolist()
        text = self.tokenizer.decode(said, skip_special_tokens=True)
        return text, [(self.tokenizer.decode(token), value) for token, value in zip(said, values, strict=True)]

    def _scores(self, body: dict[str, Any], chat: bool) -> list[tuple[int, str, float] | None]:
        """Id, text and log-probability of each token that is read."""
        ids = self._ids(body, chat)
        with self._lock, torch.no_grad():
            values = self.model(ids).logits[0].log_softmax(-1)
        read = ids[0].tolist()
        told: list[tuple[int, str, float] | None] = [None]
        waiting: list[int] = []
        for place, token in enumerate(read[1:]):
            waiting.append(token)
            named = self.tokenizer.decode(waiting)
            whole = not named.endswith("\ufffd")  # the last token of a character of several has its name, the others none
            told.append((token, named if whole else "", float(values[place, token])))
            waiting = [] if whole else waiting
        return told

    def _echoed(self, body: dict[str, Any], said: list[tuple[str, float]]) -> dict[str, Any]:
        encoded = self.tokenizer(body["prompt"], return_offsets_mapping=True)
        tokens = list(zip(encoded["offset_mapping"], self._scores(body, False), strict=True))
        told = [(score and score[1], score and score[2], start) for (start, end), score in tokens if start < end]
        told += [(token, value, len(body["prompt"])) for token, value in said]
        if self.shifted:
            told = [(token, value, start) for (token, _, start), (_, value, _) in pairwise(told)]
        names = ("tokens", "token_logprobs", "text_offset")
        return {name: [one[place] for one in told] for place, name in enumerate(names)}


def _with_read_arguments(message: dict[str, Any]) -> dict[str, Any]:
    """A message whose calls have their arguments as mappings, as vLLM gives them to templates."""
    calls = [
        {**call, "function": {**call["function"], "arguments": json.loads(call["function"]["arguments"])}}
        for call in message.get("tool_calls") or ()
    ]
    return {**message, "tool_calls": calls} if calls else message


class _Patient(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256


class _Handler(BaseHTTPRequestHandler):
    served: Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # which waits 40 ms for the headers to be acknowledged

    def do_POST(self) -> None:
        served = self.served
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with served._lock:
            fault = served.faults.pop(0) if served.faults else None
            if served.dies_after is not None and len(served.asked) >= served.dies_after:
                served.dead = True
            served.keys.add(self.headers.get("Authorization", ""))
        served.wait_for_others()
        self._reply(body, "cut" if served.dead else fault)

    def _reply(self, body: dict[str, Any], fault: int | str | None) -> None:
        if fault == "cut":
            self.close_connection = True
            self.connection.close()
            return
        if isinstance(fault, int):
            told = json.dumps({"error": {"message": f"no, {self.headers.get('Authorization')}"}}).encode()
            self._send(fault, told)
            return
        reply = self.served.reply(self.path, body)
        if reply is None:
            self._send(422, json.dumps({"detail": "Unexpected fields in the request"}).encode())
            return
        with self.served._lock:
            self.served.asked.append(body)
        self._send(200, json.dumps(reply).encode())

    def _send(self, status: int, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        if status == 429:
            self.send_header("Retry-After", "0.01")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments: Any) -> None:
        """Nothing is printed."""
