"""A server on loopback that answers whatever it is told to: wrong shapes, slow bytes, nothing at all."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Told:
    """What is answered to one request.

    Args:
        body: JSON, or the text itself.
        status, headers: of HTTP.
        drip: seconds between the bytes of the body.
        hang: whether nothing comes at all, until the server stops.
    """

    body: Any = ""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    drip: float = 0.0
    hang: bool = False


def choice(text: Any, chat: bool, **more: Any) -> dict[str, Any]:
    """A sound reply with this text."""
    said = {"message": {"role": "assistant", "content": text}} if chat else {"text": text}
    return {"choices": [{"index": 0, "finish_reason": "stop", **said, **more}], "usage": {"total_tokens": 3}}


class Misbehaving:
    """Answers each request as `tell` says of its number, its path and its body.

    Attributes:
        asked: the bodies of all requests.
        headers: those of all requests, with small letters in their names.
    """

    def __init__(self, tell: Callable[[int, str, dict[str, Any]], Told]):
        self.tell, self.asked, self.headers = tell, list[dict[str, Any]](), list[dict[str, str]]()
        self.stopped, self._lock = threading.Event(), threading.Lock()
        handler = type("Handler", (_Handler,), {"served": self})
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_port}/v1"
        threading.Thread(target=lambda: self._http.serve_forever(poll_interval=0.01), daemon=True).start()

    def take(self, body: dict[str, Any], headers: dict[str, str]) -> int:
        """The number of a request, which is remembered."""
        with self._lock:
            self.asked.append(body)
            self.headers.append(headers)
            return len(self.asked) - 1

    def stop(self) -> None:
        """Listen no longer."""
        self.stopped.set()
        self._http.shutdown()
        self._http.server_close()


@contextmanager
def misbehaving(tell: Callable[[int, str, dict[str, Any]], Told]) -> Iterator[Misbehaving]:
    """Such a server, for a while."""
    server = Misbehaving(tell)
    try:
        yield server
    finally:
        server.stop()


class _Handler(BaseHTTPRequestHandler):
    served: Misbehaving
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # which waits 40 ms for the headers to be acknowledged

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        headers = {name.lower(): value for name, value in self.headers.items()}
        told = self.served.tell(self.served.take(body, headers), self.path, body)
        if told.hang:
            self.served.stopped.wait(30)
            self.close_connection = True
            return
        content = (told.body if isinstance(told.body, str) else json.dumps(told.body)).encode("utf-8", "surrogatepass")
        self.send_response(told.status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(content)), **told.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        try:
            for start in range(0, len(content), 1 if told.drip else max(len(content), 1)):
                self.wfile.write(content[start : start + 1] if told.drip else content)
                time.sleep(told.drip)
        except OSError:  # nobody listens any more
            self.close_connection = True

    def log_message(self, *arguments: Any) -> None:
        """Nothing is printed."""
