"""Who answered a call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(slots=True)
class Served:
    """``stands_in_for`` and ``reason`` are set where it is not the model asked for.

    ``dropped`` are the parameters that were left out, ``adjusted`` those that are served with another value.
    ``deployment`` is the key of the one that answered. ``cache`` is ``hit`` or ``miss`` where there is one, and
    ``cache_key`` what the answer is kept under.
    """

    model: str
    provider: str
    stands_in_for: str | None = None
    reason: str | None = None
    dropped: tuple[str, ...] = ()
    adjusted: Mapping[str, str] = field(default_factory=dict)
    deployment: str = ""
    cache: str = ""
    cache_key: str = ""
