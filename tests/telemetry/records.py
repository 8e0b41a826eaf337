"""Calls that have ended, made up: with what other parts of the gateway fill in."""

from __future__ import annotations

import time
from typing import Any

from gateway.record import Attempt, Record, Used, Who
from gateway.telemetry.ended import Ended


def ended(kind: str = "speech", seconds: float = 2.0, headers: dict[str, str] | None = None, **known: Any) -> Ended:
    """A call that ended just now. ``known`` goes into its record."""
    route = {"speech": "/v1/audio/speech", "image": "/v1/images/generations", "video": "/v1/videos"}[kind]
    record = Record("req_1", route, at=time.time() - seconds, kind=kind, status=200)
    for name, value in known.items():
        setattr(record, name, value)
    sent = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
    return Ended(record, "POST", route, route, seconds, headers=sent, client="192.0.2.1")


def spoken(**more: Any) -> Ended:
    """Speech that a second deployment made, after the first had failed."""
    now = time.time()
    tried = Attempt("first", "vendor/one@first", "provider_unavailable", 0.5, ended=now - 1.4)
    made = Attempt("second", "other/two@second", "ok", 0.3, ended=now - 1.0)
    about: dict[str, Any] = {
        "who": Who("ab" * 32, "team-a", admin=False, end_user="customer-1", tags=("t",)),
        "model": "first",
        "group": "second",
        "deployment": "other/two@second",
        "provider": "other",
        "attempts": [tried, made],
        "used": Used(characters=11, audio_seconds=1.5, input_tokens=3, output_tokens=40),
        "first_byte": 1.1,
        "sent": 5000,
        "texts": {"input": "Say this."},
    }
    return ended(**{**about, **more})
