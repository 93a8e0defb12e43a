"""How much the library says: by flag, or by the environment, which workers inherit."""

from __future__ import annotations

import logging
import os

VARIABLE = "INTERPRETO_MLLM_LOG"
LEVELS = ("debug", "info", "warning", "error")


def log_level(given: str | None = None) -> str:
    """The level that is given, or else that of INTERPRETO_MLLM_LOG, "WARNING" by default.

    Raises:
        ValueError: for one that there is not.

    Example:
        >>> log_level("debug")
        'DEBUG'
    """
    found = given or os.environ.get(VARIABLE) or "warning"
    if found.lower() not in LEVELS:
        source = "" if given else f" ({VARIABLE})"
        raise ValueError(f"There is no log level {found!r}{source}: it is one of {', '.join(LEVELS)}.")
    return found.upper()


def set_log_level(given: str | None = None) -> None:
    """Have the library say what is of this level or above, on standard error, in this process and in its workers."""
    level = log_level(given)
    os.environ[VARIABLE] = level.lower()
    logger = logging.getLogger("interpreto_mllm")
    logger.setLevel(level)
    if not any(isinstance(handler, logging.StreamHandler) for handler in logger.handlers):
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s", "%H:%M:%S"))
        logger.addHandler(handler)
