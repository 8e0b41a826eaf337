"""The record that a vendor file exports as ``VENDOR``: its name, its models, how one is opened."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast

from engines.media import AudioFormat
from providers.base.contract import Provider
from providers.base.price import Price
from providers.base.settings import VendorSettings


class Closable(Protocol):
    """Anything that holds threads, sockets or memory."""

    async def close(self) -> None:
        """Give them back."""


T = TypeVar("T", bound=Closable)


class Resources:
    """What several deployments share (a loaded engine, a connection pool). Made at first use, closed in one go."""

    def __init__(self) -> None:
        self._held: dict[object, Closable] = {}

    def shared(self, key: object, make: Callable[[], T]) -> T:
        """The one resource under ``key``, made by the first caller. Equal keys must mean equal resources."""
        if key not in self._held:
            self._held[key] = make()
        return cast("T", self._held[key])

    async def close(self) -> None:
        """Close everything, the newest first."""
        while self._held:
            await self._held.popitem()[1].close()


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of one model. ``settings`` are its YAML parameters; no ``price``: nobody knows what it costs.

    Of one that speaks, ``formats`` are those in which the vendor's own bytes are passed on (the gateway makes the
    others), and ``streams`` is whether they come while it speaks. ``limits``, in words: how long a text it takes.
    """

    mode: str
    settings: type[VendorSettings]
    summary: str = ""
    price: Price | None = None
    formats: tuple[AudioFormat, ...] = ()
    streams: bool | None = None
    limits: str = ""


Puller = Callable[[Path | None, Callable[[str], None]], Path]
Opener = Callable[[str, Any, Resources], Awaitable[Provider]]


@dataclass(frozen=True, slots=True)
class Vendor:
    """One vendor. ``models`` maps the part of ``model: <vendor>/<model>`` after the slash to its facts; ``*`` is any
    other model, and ``family/*`` any other that begins so.

    ``open(model, settings, resources)`` makes the provider of one deployment; it calls nobody and loads nothing, so
    that a server with many deployments starts at once. ``pull`` has, for each model with weights, what downloads them:
    into a folder (``None``: the usual cache), reporting lines of progress, returning where they are. ``bare``: its
    models may be named without it, as LiteLLM's users are used to (``model: whisper-1``). ``env`` has, by the setting
    that it stands in for, the names of the environment that are looked at, the first one first.
    """

    name: str
    models: Mapping[str, Facts]
    open: Opener
    pull: Mapping[str, Puller] = field(default_factory=dict)
    env: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    docs: str = ""
    bare: bool = False

    def facts(self, model: str) -> Facts | None:
        """What is known of ``model``, by its own name or else by the longest family (a beginning of names, and ``*``);
        ``None``: there is no such one."""
        if model in self.models:
            return self.models[model]
        families = [name for name in self.models if name.endswith("*") and model.startswith(name[:-1])]
        return self.models[max(families, key=len)] if families else None
