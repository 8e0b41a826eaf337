"""What is written to the log, and how."""

from __future__ import annotations

import logging
import sys


def configure_logging(level: str) -> None:
    """One line an event, on standard error. ``level`` is a name of the standard library's."""
    logging.basicConfig(
        stream=sys.stderr,
        level=level.upper(),
        format="%(asctime)s %(levelname)-7s %(message)s",
        datefmt="%Y-%m-%dT%H:%M:%S%z",
        force=True,
    )
    # uvicorn repeats at INFO what we say ourselves.
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
