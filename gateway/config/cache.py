"""``litellm_settings.cache`` and ``cache_params``: whether, where and for how long speech is kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, FiniteFloat

from gateway.config import litellm_keys
from gateway.config.reading import Reading
from gateway.config.report import did_you_mean
from gateway.config.shapes import Unfit

_SPEECH = frozenset(("aspeech", "speech"))

_TYPES = "local disk".split()
"""In memory, and in the data folder."""


def _known(kind: str) -> str:
    if kind not in _TYPES:
        raise Unfit(f"must be one of {', '.join(_TYPES)}", did_you_mean(kind, _TYPES) or "take one of these")
    return kind


Positive = Annotated[FiniteFloat, Field(gt=0)]


class CacheSettings(BaseModel):
    """``cache_params``. ``ttl`` in seconds; ``max_size_mb`` (of 2**20 bytes) is ours, the other names are LiteLLM's."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: Annotated[str, AfterValidator(_known)] = _TYPES[0]
    ttl: Positive = 86_400.0
    max_size_mb: Positive = 256.0
    mode: Literal["default_on", "default_off"] = "default_on"
    namespace: str = ""
    supported_call_types: tuple[str, ...] = ("aspeech",)


class _Switch(BaseModel):
    cache: bool = False


def read_cache(reading: Reading, written: Mapping[str, Any]) -> CacheSettings | None:
    """The settings of the cache where it is on; ``written`` are the ``litellm_settings``."""
    place, report = ("litellm_settings", "cache_params"), reading.report
    switch = reading.part(_Switch, ("litellm_settings",), written)
    data = reading.mapping(place, written.get("cache_params"))
    if switch is None:
        return None
    if not switch.cache:
        if data:
            report.warn(place, "does nothing, since the cache is off", "write `cache: true` beside it")
        return None
    if isinstance(kind := data.get("type"), str) and kind in litellm_keys.CACHE_TYPES:
        text = f"the cache is off: {kind} is known to LiteLLM, not acted on here"
        report.warn((*place, "type"), text, "take local (in memory) or disk")
        return None
    found = reading.fill(CacheSettings, place, data, litellm_keys.CACHE_PARAMS)
    if found is not None and not _SPEECH & set(found.supported_call_types):
        report.warn((*place, "supported_call_types"), "the cache is off: only speech is kept here", "add aspeech")
        return None
    return found
