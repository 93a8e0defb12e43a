"""A file of records, each with a checksum, that is only ever appended to. One process at a time writes it."""

from __future__ import annotations

import json
import os
import socket
import time
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from filelock import lock_descriptor

from interpreto_mllm.core.files import remove_stale_parts, replace_file

OPENED = "opened"
"""The record of who began to write, for those who find the file locked."""

VALUES = "values"
"""The part of a record that is base64."""

SECONDS_BETWEEN_SYNCS = 10.0
"""What is appended survives the end of the process at once, and that of the machine after so long."""


class RecordFile:
    """Appends records to a file. It is locked until it is closed; a record cut off by a killed writer is removed.

    Args:
        path: of the file, which is made where there is none.

    Raises:
        ValueError: when it cannot be written, or another process writes it, which is named.
    """

    def __init__(self, path: Path):
        self.path = path
        remove_stale_parts(path)
        self._descriptor = self._opened()
        self._waiting: list[bytes] = []
        self._size = os.fstat(self._descriptor).st_size
        self._synced = time.monotonic()

    def resume(self, size: int, first: Sequence[dict[str, Any]] = ()) -> None:
        """Keep the first bytes of the file alone, and append these records and who it is that appends.

        Raises:
            OSError: when they cannot be written.
        """
        os.ftruncate(self._descriptor, size)
        self._size = size
        self.add([*first, {OPENED: {"host": socket.gethostname(), "pid": os.getpid()}}])
        self.write()

    def add(self, records: Iterable[dict[str, Any]]) -> None:
        """Have these records written next."""
        self._waiting += [line(record) for record in records]

    def write(self) -> None:
        """Append what was added, as a whole or not at all.

        Raises:
            OSError: when it cannot be written; it is kept for the next time.
        """
        data = memoryview(b"".join(self._waiting))
        try:
            os.lseek(self._descriptor, self._size, os.SEEK_SET)
            while data:
                data = data[os.write(self._descriptor, data) :]
        except OSError:
            os.ftruncate(self._descriptor, self._size)
            raise
        self._size = os.lseek(self._descriptor, 0, os.SEEK_CUR)
        self._waiting.clear()
        if time.monotonic() - self._synced > SECONDS_BETWEEN_SYNCS:
            self._sync()

    def replace(self, records: Iterable[dict[str, Any]]) -> None:
        """Put these records in the place of all that is there, which another version wrote."""
        replace_file(self.path, b"".join(map(line, records)))
        os.close(self._descriptor)
        self._descriptor = self._opened()
        self.resume(os.fstat(self._descriptor).st_size)

    def close(self) -> None:
        """Let others write; a file without content is removed.

        Raises:
            OSError: when the disk does not take what was appended.
        """
        try:
            if self._size:
                self._sync()
            else:
                self.path.unlink(missing_ok=True)
        finally:
            os.close(self._descriptor)

    def _sync(self) -> None:
        os.fsync(self._descriptor)
        self._synced = time.monotonic()

    def _opened(self) -> int:
        """A descriptor of the file under this name, locked."""
        while True:
            try:
                descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
            except OSError as error:
                raise ValueError(f"The checkpoint {self.path} cannot be written ({error}): give a path that can.") from error
            if not lock_descriptor(descriptor, blocking=False):
                os.close(descriptor)
                raise ValueError(
                    f"The checkpoint {self.path} is in use by {_owner(self.path)}: wait for it, or give another path."
                )
            if self.path.exists() and os.path.samestat(os.fstat(descriptor), self.path.stat()):
                return descriptor
            os.close(descriptor)  # another process has just replaced or removed it


def line(record: dict[str, Any]) -> bytes:
    """A record as a line: the checksum of its JSON, and the JSON.

    Values come last. They are nearly all of a long record, and base64, in which there is nothing to escape; that JSON looks for
    it would take as long as all the rest.
    """
    values = record.get(VALUES)
    if values is not None:
        record = {name: part for name, part in record.items() if name != VALUES}
    text = json.dumps(record, allow_nan=False, separators=(",", ":"))
    if values is not None:
        text = f'{text[:-1]}{"," * bool(record)}"{VALUES}":"{values}"}}'
    data = text.encode("ascii")
    return b"%08x %s\n" % (zlib.crc32(data), data)


def records(content: bytes) -> Iterator[tuple[dict[str, Any] | None, int]]:
    """Each record, None for a line that is damaged, and where the line ends. A line that was cut off is none.

    Example:
        >>> cut = line({"a": 1}) + line({"b": 2})[:-3]
        >>> list(records(cut))
        [({'a': 1}, 17)]
    """
    start = 0
    while (end := content.find(b"\n", start)) >= 0:
        checksum, _, text = content[start:end].partition(b" ")
        sound = checksum == b"%08x" % zlib.crc32(text)
        yield json.loads(text) if sound else None, end + 1
        start = end + 1


def _owner(path: Path) -> str:
    """Who writes a file, as far as that is known."""
    found = "another process"
    for record, _ in records(path.read_bytes()):
        if record is not None and OPENED in record:
            found = "process {pid} of {host}".format(**record[OPENED])
    return found
