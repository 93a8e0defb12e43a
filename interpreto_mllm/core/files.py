"""Files that are replaced as a whole, so that no reader ever sees half of one."""

from __future__ import annotations

import os
import re
import secrets
import socket
from contextlib import suppress
from os import PathLike
from pathlib import Path

_OWNER = re.compile(r"\.(?P<host>[\w-]+)-(?P<pid>\d+)-[0-9a-f]{8}\.part$")


def replace_file(path: str | PathLike[str], content: bytes) -> None:
    """Write a file under a name that no other writer has, and give it its own name once it is complete.

    What a killed writer of this machine has left behind is removed. A link stays one, and the file it leads to is replaced. A
    pipe or a device, such as /dev/stdout, is written to.

    Raises:
        OSError: when it cannot be written; the file that was there is left as it was.
    """
    if Path(path).exists() and not Path(path).is_file():
        Path(path).write_bytes(content)
        return
    path = Path(path).resolve()
    remove_stale_parts(path)
    temporary = path.with_name(f"{_beginning(path)}{_host()}-{os.getpid()}-{secrets.token_hex(4)}.part")
    try:
        with open(temporary, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            temporary.chmod(path.stat().st_mode & 0o7777)
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def remove_stale_parts(path: Path) -> None:
    """Remove unfinished files of this name whose writers were processes of this machine that have ended."""
    prefix = _beginning(path)
    with suppress(OSError):
        for entry in os.scandir(path.absolute().parent):
            owner = _OWNER.match(entry.name[len(prefix) - 1 :]) if entry.name.startswith(prefix) else None
            if owner is not None and owner["host"] == _host() and not runs(int(owner["pid"])):
                with suppress(OSError):
                    os.unlink(entry.path)


def _beginning(path: Path) -> str:
    """Of the names under which a file is written; those of files may be so long that nothing fits behind them."""
    return f".{path.name[:100]}."


def runs(pid: int) -> bool:
    """Whether a process of this machine runs.

    Example:
        >>> runs(os.getpid())
        True
    """
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # that of another user
        return True
    return True


def _host() -> str:
    return re.sub(r"[^\w-]", "-", socket.gethostname())
