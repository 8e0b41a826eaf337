"""The one price function, and what goes into it: prices of the config, units of a request, how sure the result is."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, get_args

from gateway.record import NOTHING, Certainty, Cost, Used
from providers.base.contract import ImageRequest, MediaRequest, SpeechRequest, TranscriptionRequest, Usage
from providers.base.errors import OutOfCredits, ProviderError, RateLimited, Refused, UpstreamAuth
from providers.base.price import Price, Rate

CONFIG = "config"
"""The ``source`` of a price that the config sets; such a one stands before what the vendor reports."""

SURENESS: tuple[Certainty, ...] = get_args(Certainty)
"""The surest first."""

_CLASSES = {"480p": 480, "720p": 720, "768p": 768, "1080p": 1080, "2k": 1440, "4k": 2160}
_SIZE = re.compile(r"(\d+)[x:](\d+)")
_RATED = ("images", "video_seconds")
_ROUNDING = 1e-9  # of a step: what floats are off by


def cost(price: Price | None, used: Used) -> Cost | None:
    """What ``used`` costs at ``price``; ``None`` where the price is unknown, or an amount that it needs."""
    if price is None or (price.per_call is None and not price.parts):
        return None
    whole = price.per_call or 0.0
    for unit, usd in price.parts:
        amount = _pixels(used) if unit == "pixels" else getattr(used, unit)
        rate = usd
        if price.rates and unit in _RATED:
            rate = next((rate.usd for rate in price.rates if _fits(rate, used)), usd)
        if rate and amount is None:
            return None
        whole += rate * (amount or 0)
    if math.isnan(whole):
        return None
    whole = max(whole, price.least)
    if price.step:
        whole = math.ceil(whole / price.step - _ROUNDING) * price.step
    return Cost(round(whole, 12))


def _pixels(used: Used) -> float | None:
    width, height = _sides(used.size)
    return None if used.images is None or not width else float(used.images * width * height)


def _fits(rate: Rate, used: Used) -> bool:
    for name, value in rate.where.items():
        if name != "size":
            if used.options.get(name) != value:
                return False
        elif value in _CLASSES:
            if _class(used.size) != value:
                return False
        elif used.size != value:
            return False
    return True


def _class(size: str | None) -> str | None:
    """``1080p`` of ``1920x1080``: the least class that the shorter side fits in."""
    if size in _CLASSES:
        return size
    shorter = min(_sides(size))
    return next((name for name, side in _CLASSES.items() if 0 < shorter <= side), None)


def _sides(size: str | None) -> tuple[int, int]:
    match = _SIZE.fullmatch(size or "")
    return (int(match[1]), int(match[2])) if match else (0, 0)


_NO_PRICE = Price()


def units(price: Price | None, request: MediaRequest) -> Used:
    """What a request is known to use before anybody is asked: how long a sound is, nobody has looked."""
    if isinstance(request, TranscriptionRequest):
        return Used()
    price = price or _NO_PRICE
    options = {name: request.extra[name] for name in price.options if name in request.extra} if price.options else {}
    if isinstance(request, SpeechRequest):
        return Used(characters=len(request.text), options=options)
    size = price.size if request.size in (None, "auto") else request.size
    if isinstance(request, ImageRequest):
        return Used(images=request.n, size=size, options=options)
    seconds = price.seconds if request.seconds is None else float(request.seconds)
    return Used(video_seconds=seconds, size=size, options=options)


def expected(price: Price | None, requests: Sequence[MediaRequest]) -> tuple[Used, Cost | None]:
    """What a call of ``requests`` will use and cost, before anybody is asked. ``None``: nobody can know."""
    parts = [units(price, request) for request in requests]
    return together(parts), total(cost(price, part) for part in parts)


def together(parts: Sequence[Used]) -> Used:
    """The sum of what several tasks of one call use."""
    if len(parts) == 1:
        return parts[0]
    whole = replace(parts[0]) if parts else Used()
    for name in ("characters", "audio_seconds", "images", "video_seconds", "input_tokens", "output_tokens"):
        amounts = [getattr(part, name) for part in parts]
        setattr(whole, name, None if None in amounts or not amounts else sum(amounts))
    return whole


def total(costs: Iterable[Cost | None]) -> Cost | None:
    """The sum, as sure as its least sure part; unknown where a part is."""
    parts = [*costs]
    if len(parts) == 1:
        return parts[0]
    usd, rank = 0.0, 0
    for each in parts:
        if each is None:
            return None
        usd += each.usd
        rank = max(rank, SURENESS.index(each.certainty))
    return Cost(round(usd, 12), SURENESS[rank]) if parts else NOTHING


def reported(price: Price | None, usage: Usage) -> Cost | None:
    """What the vendor says that sound has cost by now, where it does, and unless the config sets a price."""
    if usage.cost_usd is None or (price is not None and price.source == CONFIG):
        return None
    return Cost(usage.cost_usd, "reported")


def with_usage(used: Used, usage: Usage) -> Used:
    """``used`` with what the provider counted; itself where that is nothing new."""
    characters, seconds, given, made = usage.characters, usage.audio_seconds, usage.input_tokens, usage.output_tokens
    if (
        characters in (None, used.characters)
        and seconds in (None, used.audio_seconds)
        and given in (None, used.input_tokens)
        and made in (None, used.output_tokens)
    ):
        return used
    return replace(
        used,
        characters=used.characters if characters is None else characters,
        audio_seconds=used.audio_seconds if seconds is None else seconds,
        input_tokens=used.input_tokens if given is None else given,
        output_tokens=used.output_tokens if made is None else made,
    )


def failed(error: ProviderError, whole: Cost | None) -> Cost | None:
    """What an attempt cost that ended with ``error``, where it would have cost ``whole``."""
    refusals = (Refused, RateLimited, OutOfCredits, UpstreamAuth)
    if error.sent == "no" or isinstance(error, refusals):
        return NOTHING
    return maybe(whole)


def maybe(whole: Cost | None) -> Cost | None:
    """What may have been charged, or not, where no more than ``whole`` was expected."""
    return None if whole is None else Cost(whole.usd, "possible") if whole.usd else NOTHING


# LiteLLM's names for prices, and ours. The first of several that stand for one thing counts.
_SPOKEN = {"output_cost_per_second": "per_audio_second", "input_cost_per_second": "per_audio_second"}
_FILMED = {"output_cost_per_video_per_second": "per_video_second", "output_cost_per_second": "per_video_second"}
_DRAWN = {
    "output_cost_per_image": "per_image",
    "input_cost_per_image": "per_image",
    "output_cost_per_pixel": "per_pixel",
    "input_cost_per_pixel": "per_pixel",
}
_EVERY = {
    "input_cost_per_character": "per_character",
    "output_cost_per_character": "per_character",
    "input_cost_per_token": "per_input_token",
    "output_cost_per_audio_token": "per_output_token",
    "output_cost_per_image_token": "per_output_token",
    "output_cost_per_token": "per_output_token",
    "input_cost_per_request": "per_call",
}
_CLASSED = "output_cost_per_second_"

NAMES = frozenset({*_SPOKEN, *_FILMED, *_DRAWN, *_EVERY, *(f"{_CLASSED}{name}" for name in _CLASSES)})
"""The keys of ``model_info`` and ``litellm_params`` that set a price."""


def configured(given: Mapping[str, Any], mode: str, table: Price | None) -> Price | None:
    """The price of a deployment: what its entry says (LiteLLM's names), else ``table``.

    What is made where a call names nothing is the vendor's either way.
    """
    names = _EVERY | {"audio_speech": _SPOKEN, "video_generation": _FILMED}.get(mode, _DRAWN)
    found: dict[str, float] = {}
    for name, ours in names.items():
        if isinstance(given.get(name), int | float):
            found.setdefault(ours, float(given[name]))
    rates: tuple[Rate, ...] = ()
    if mode == "video_generation":
        classed = {name: given.get(f"{_CLASSED}{name}") for name in _CLASSES}
        rates = tuple(Rate(float(usd), {"size": name}) for name, usd in classed.items() if usd is not None)
    if not found and not rates:
        return table
    if rates:
        found.setdefault("per_video_second", math.nan)  # of another class: unknown
    if "per_image" in found:
        found.pop("per_pixel", None)
    base = table or Price()
    return replace(Price(rates=rates, size=base.size, seconds=base.seconds, source=CONFIG), **found)  # type: ignore[arg-type]
