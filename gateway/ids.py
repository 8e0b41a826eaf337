"""Ids that we hand out."""

from __future__ import annotations

import os
import re
import secrets
import time
from collections import deque

_AT_ONCE = 256
_TOKENS: deque[str] = deque()
os.register_at_fork(after_in_child=_TOKENS.clear)  # two processes must not hand out the same

_SAFE = re.compile(rb"[A-Za-z0-9._:/+=-]{1,128}")


def request_id(given: bytes | None) -> str:
    """The caller's ``x-request-id`` where it is harmless in a log and a header (128 plain letters), else a new one."""
    if given is not None and _SAFE.fullmatch(given):
        return given.decode("ascii")
    return "req_" + ordered()


def ordered() -> str:
    """32 hexadecimal digits that nobody can guess, of which the first 12 are the milliseconds since the epoch.

    An index of a database grows at its end by them; what is anywhere in it touches a page of its own each time.
    """
    return f"{time.time_ns() // 1_000_000:012x}{token()[:20]}"


def token() -> str:
    """32 hexadecimal digits that nobody can guess. The system is asked for many at once."""
    while True:
        try:
            return _TOKENS.pop()
        except IndexError:
            drawn = secrets.token_hex(16 * _AT_ONCE)
            _TOKENS.extend(drawn[place : place + 32] for place in range(0, len(drawn), 32))
