"""Leaving out what a model cannot honour, where the config says so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from providers.base.contract import ImageRequest, TaskProvider, TaskRequest
from providers.base.errors import Unsupported


def tasks_of(provider: TaskProvider, request: TaskRequest) -> list[TaskRequest]:
    """``request`` as the tasks that the provider takes: a picture each, or as many as it makes in one."""
    if not isinstance(request, ImageRequest):
        return [request]
    most: int = getattr(provider, "most_images", 1)  # of ``Several``: ``isinstance`` would look at every name of it
    if request.n <= most:
        return [request]
    return [replace(request, n=min(most, request.n - done)) for done in range(0, request.n, most)]


def fit(
    provider: TaskProvider, requests: Sequence[TaskRequest], always: Sequence[str], drop: bool | None
) -> tuple[list[TaskRequest], tuple[str, ...], dict[str, str]]:
    """``requests`` without what the config lets be left out, checked by the provider.

    Also what was left out, and what the provider will make otherwise than asked.
    """
    adjusted: dict[str, str] = {}
    fitting: list[TaskRequest] = []
    dropped: list[str] = []
    for request in requests:
        current, gone = without(request, always)
        dropped += gone
        while True:
            try:
                adjusted |= provider.check(current)
                break
            except Unsupported as error:
                current, gone = without(current, (error.param or "",)) if drop else (current, ())
                if not gone:
                    raise
                dropped += gone
        fitting.append(current)
    return fitting, tuple(dict.fromkeys(dropped)), adjusted


def without(request: Any, options: Sequence[str]) -> tuple[Any, tuple[str, ...]]:
    """``request`` with ``options`` left out, and which of them it had."""
    if not options:
        return request, ()
    gone = tuple(name for name in options if name in request.extra)
    if gone:
        request = replace(request, extra={name: value for name, value in request.extra.items() if name not in gone})
    for name, default in (("instructions", None), ("speed", 1.0), ("mask", None)):
        if name in options and getattr(request, name, default) != default:
            request, gone = replace(request, **{name: default}), (*gone, name)
    return request, gone
