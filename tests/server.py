"""A small server on loopback that speaks the OpenAI protocol for the shipped model, and can be made to fail."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import torch


class Server:
    """Serves a model until stopped; may be started again on the same port.

    Args:
        model, tokenizer: what answers; None answers with the length of what it was sent.
        latency: seconds that a request takes.

    `faults` are used up one a request: a status to answer with, "cut" for a connection that ends in the middle. `asked` holds
    the body of every request that was answered, `busiest` the most requests at a time.
    """

    def __init__(self, model: Any = None, tokenizer: Any = None, latency: float = 0.0):
        self.model, self.tokenizer, self.latency = model, tokenizer, latency
        self.faults: list[int | str] = []
        self.asked: list[dict[str, Any]] = []
        self.keys: set[str] = set()
        self.busy = self.busiest = 0
        self.dies_after: int | None = None
        self._lock = threading.Lock()
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

    def answer(self, path: str, body: dict[str, Any]) -> str:
        """What the model says."""
        if self.model is None:
            return str(len(json.dumps(body)))
        if path.endswith("/chat/completions"):
            text = self.tokenizer.apply_chat_template(body["messages"], tokenize=False, add_generation_prompt=True)
            ids = self.tokenizer(text, add_special_tokens=False, return_tensors="pt")["input_ids"]
        else:
            ids = self.tokenizer(body["prompt"], return_tensors="pt")["input_ids"]
        with self._lock, torch.random.fork_rng([]):
            torch.manual_seed(body.get("seed", 0))
            sampled = {"do_sample": True, "temperature": body["temperature"]} if body["temperature"] else {"do_sample": False}
            said = self.model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=body["max_tokens"], **sampled)
        return self.tokenizer.decode(said[0, ids.shape[1] :], skip_special_tokens=True)


class _Patient(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256


class _Handler(BaseHTTPRequestHandler):
    served: Server
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        served = self.served
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with served._lock:
            served.busy += 1
            served.busiest = max(served.busiest, served.busy)
            fault = served.faults.pop(0) if served.faults else None
            if served.dies_after is not None and len(served.asked) >= served.dies_after:
                served.dead = True
            served.keys.add(self.headers.get("Authorization", ""))
        try:
            time.sleep(served.latency)
            self._reply(body, "cut" if served.dead else fault)
        finally:
            with served._lock:
                served.busy -= 1

    def _reply(self, body: dict[str, Any], fault: int | str | None) -> None:
        if fault == "cut":
            self.close_connection = True
            self.connection.close()
            return
        if isinstance(fault, int):
            told = json.dumps({"error": {"message": f"no, {self.headers.get('Authorization')}"}}).encode()
            self._send(fault, told)
            return
        text = self.served.answer(self.path, body)
        choice = {"index": 0, "finish_reason": "stop", "text": text, "message": {"role": "assistant", "content": text}}
        usage = {"prompt_tokens": 10, "completion_tokens": 1, "total_tokens": 11}
        reply = {"id": "1", "object": "x", "created": 0, "model": body["model"], "choices": [choice], "usage": usage}
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
