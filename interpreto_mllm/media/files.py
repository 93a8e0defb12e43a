"""Local files, from paths and `file://` addresses."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlparse
from urllib.request import url2pathname


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
    if "://" in text or text.startswith("data:"):
        address = urlparse(text)
        if address.scheme != "file":
            raise ValueError(f"Nothing is downloaded: save the {what} at {text[:80]} and give its path.")
        text = url2pathname(address.path)
    path = Path(text).expanduser()
    if not path.is_file():
        raise FileNotFoundError(
            f"There is no {what} file at {str(path)[:200]}" + (": it is a folder." if path.is_dir() else ".")
        )
    return path
