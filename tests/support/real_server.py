"""Real servers on loopback, started and stopped as processes of their own."""

from __future__ import annotations

import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def serving(command: Sequence[str], log: Path, seconds: float, **environment: str) -> Iterator[str]:
    """The address of a server while it runs.

    Args:
        command: with `{port}` where the port goes.
        log: what it prints.
        seconds: that it may take to start.
        environment: variables of its own.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    told = [part.replace("{port}", port) for part in command]
    with log.open("wb") as output:
        process = subprocess.Popen(told, stdout=output, stderr=output, env={**os.environ, **environment})
        try:
            _wait(process, f"http://127.0.0.1:{port}/", log, seconds)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait(process: subprocess.Popen[bytes], url: str, log: Path, seconds: float) -> None:
    """Until it answers whatever it may."""
    until = time.monotonic() + seconds
    while time.monotonic() < until and process.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=1).close()
            return
        except urllib.error.HTTPError as answered:
            answered.close()
            return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"The server did not start within {seconds} s: {log.read_text(errors='replace')[-3000:]}")
