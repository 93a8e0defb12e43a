"""Where images, recordings and videos come from: paths, addresses, base64, bytes and open files."""

from __future__ import annotations

import base64
import binascii
import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes, urlparse
from urllib.request import url2pathname

import regex

BASE64 = regex.compile(r"[A-Za-z0-9+/_\-\s]{40,}={0,2}\s*")
"""A text that may be the content of a file; short texts are names of files."""

BEGINNINGS = (
    *(b"\x89PNG", b"\xff\xd8", b"GIF8", b"BM", b"II*\0", b"MM\0*"),
    *(b"RIFF", b"RIFX", b"RF64", b"fLaC", b"OggS", b"ID3", b"\xff\xfb", b"\xff\xf3", b"FORM", b".snd"),
    b"\x1aE\xdf\xa3",
)
"""With which images, recordings and videos begin."""

WRAPPERS = ("bytes", "data", "url", "path")
"""Keys under which a file, its content or its address comes."""

LONGEST_PATH = 1024
"""A text of the base64 alphabet that is longer is no path."""

SHOWN = 200
"""Characters of a path that a message repeats."""


def local_path(given: str | os.PathLike[str], what: str) -> Path:
    """The file at a path or a `file://` address.

    Raises:
        FileNotFoundError: when there is no such file.
        ValueError: for any other address; nothing is downloaded.

    Example:
        >>> local_path("https://example.org/cat.png", "image")
        Traceback (most recent call last):
        ValueError: Nothing is downloaded: save the image at https://example.org/cat.png and give its path.
    """
    text = os.fspath(given)
    if "://" in text:
        address = urlparse(text)
        if address.scheme != "file":
            raise ValueError(f"Nothing is downloaded: save the {what} at {text[:80]} and give its path.")
        text = url2pathname(address.path)
    path = Path(text).expanduser()
    if not _is_file(path):
        shown = str(path)[:SHOWN] + ("…" if len(str(path)) > SHOWN else "")
        raise FileNotFoundError(f"There is no {what} file at {shown}" + (": it is a folder." if _is_folder(path) else "."))
    return path


def unwrapped(given: Any) -> Any:
    """What data sets and servers' protocols wrap: {"bytes", "path"}, {"data", "format"}, {"url"}; anything else as it is."""
    if not isinstance(given, Mapping):
        return given
    return next((given[name] for name in WRAPPERS if given.get(name) is not None), given)


def content_of(given: Any, what: str) -> bytes | None:
    """The bytes of an encoded image or recording: of bytes, an open file, a data URL or a text in base64; None for all else.

    An open file is read from where it stands, and stands there again afterwards.

    Raises:
        ValueError: for a data URL that cannot be decoded, and a file that is open for text, closed, or read to its end.

    Example:
        >>> content_of("data:text/plain;base64,aGVsbG8=", "image"), content_of("hello.png", "image")
        (b'hello', None)
    """
    if isinstance(given, (bytes, bytearray, memoryview)):
        return bytes(given)
    if callable(getattr(given, "read", None)):
        return _rest(given, what)
    if not isinstance(given, str):
        return None
    if given.startswith("data:"):
        return _of_data_url(given, what)
    if BASE64.fullmatch(given) and not _is_file(Path(given)):
        content = _decoded(given)
        if content is not None and (content.startswith(BEGINNINGS) or content[4:8] == b"ftyp" or len(given) > LONGEST_PATH):
            return content
    return None


def _rest(file: Any, what: str) -> bytes:
    """What is left to read in an open file."""
    name = str(getattr(file, "name", type(file).__name__))[:SHOWN]
    if getattr(file, "closed", False):
        raise ValueError(f"The {what} file {name} is closed: open it with open(path, 'rb'), or give its path.")
    start = file.tell() if _seekable(file) else None
    content = file.read()
    if start is not None:
        file.seek(start)
    if isinstance(content, str):
        raise ValueError(f"The {what} file {name} is open for text: open it with open(path, 'rb'), or give its path.")
    if not content:
        hint = ": it was read to its end before; file.seek(0) goes back" if start else ""
        raise ValueError(f"The {what} file {name} has nothing to read{hint}.")
    return bytes(content)


def _seekable(file: Any) -> bool:
    try:
        return bool(file.seekable())
    except (AttributeError, io.UnsupportedOperation):
        return False


def _of_data_url(given: str, what: str) -> bytes:
    head, comma, data = given.partition(",")
    if comma and not head.endswith(";base64"):
        return unquote_to_bytes(data)
    content = _decoded(unquote_to_bytes(data).decode("ascii", "replace")) if comma else None
    if content is None:
        raise ValueError(
            f"The data URL {head[:80]!r} of the {what} cannot be decoded: it is written data:image/png;base64, and then base64."
        )
    return content


def _decoded(text: str) -> bytes | None:
    """The bytes of a text in base64, with the usual alphabet or that of addresses; None if it is none."""
    bare = "".join(text.split()).rstrip("=").translate(str.maketrans("-_", "+/"))
    try:
        return base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True) or None
    except (binascii.Error, ValueError):
        return None


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # such as a name that is too long
        return False


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        return False
