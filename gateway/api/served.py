"""The headers that say who served."""

from __future__ import annotations

import re

from gateway.api.http import Header
from gateway.services.served import Served


def served_headers(served: Served) -> list[Header]:
    """``x-media-gateway-model``, ``-provider``, and ``-fallback``, ``-dropped-params``, ``-adjusted-params``."""
    headers = [(b"x-media-gateway-model", served.model), (b"x-media-gateway-provider", served.provider)]
    if served.stands_in_for is not None:
        headers.append((b"x-media-gateway-fallback", f"{served.stands_in_for}; reason={served.reason}"))
    if served.dropped:
        headers.append((b"x-media-gateway-dropped-params", ", ".join(served.dropped)))
    if served.adjusted:
        told = ", ".join(f"{name}={value}" for name, value in served.adjusted.items())
        headers.append((b"x-media-gateway-adjusted-params", told))
    return [(name, plain(value)) for name, value in headers]


def plain(value: str) -> bytes:
    """A name from the config or the body may hold anything, line ends too; a header holds printable ASCII."""
    return re.sub(r"[^\x20-\x7e]", "?", value[:500]).encode("ascii")
