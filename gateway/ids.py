"""Ids that we hand out."""

from __future__ import annotations

import re
import secrets

_SAFE = re.compile(rb"[A-Za-z0-9._:/+=-]{1,128}")


def request_id(given: bytes | None) -> str:
    """The caller's ``x-request-id`` where it is harmless in a log and a header (128 plain letters), else a new one."""
    if given is not None and _SAFE.fullmatch(given):
        return given.decode("ascii")
    return "req_" + secrets.token_hex(16)
