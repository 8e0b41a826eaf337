"""What the ledger keeps of a call, and what is read from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any, Literal

from gateway.ledger.cost import SURENESS, cost, reported, total, with_usage
from gateway.record import NOTHING, Attempt, Certainty, Cost, Record, Used

By = Literal["key", "model", "user", "tag", "day"]

_ATTEMPT = tuple(each.name for each in fields(Attempt))
_attempt = attrgetter(*_ATTEMPT)
_CALL_TYPES = {
    "/audio/speech": "aspeech",
    "/audio/transcriptions": "atranscription",
    "/images/generations": "aimage_generation",
    "/images/edits": "aimage_edit",
    "/videos": "avideo_generation",
}


@dataclass(slots=True)
class Row:
    """One call. ``usd`` is ``None`` where it is unknown. Times are seconds, ``at`` since the epoch.

    ``queue`` until a deployment was asked, ``vendor`` until they had begun to answer or failed, all together.
    """

    row: str
    id: str
    at: float
    route: str
    call_type: str
    key: str
    alias: str
    user: str
    end_user: str
    tags: tuple[str, ...]
    model: str
    model_group: str
    deployment: str
    provider: str
    joined: bool
    cached: bool
    attempts: tuple[Mapping[str, Any], ...]
    characters: int | None
    audio_seconds: float | None
    images: int | None
    video_seconds: float | None
    size: str | None
    input_tokens: int | None
    output_tokens: int | None
    queue: float | None
    vendor: float | None
    first_byte: float | None
    seconds: float
    status: int
    code: str | None
    usd: float | None
    certainty: Certainty

    @property
    def cost(self) -> Cost | None:
        """What it cost."""
        return None if self.usd is None else Cost(self.usd, self.certainty)


@dataclass(frozen=True, slots=True)
class Charge:
    """What one job costs, as far as is known. ``call`` is the ``row`` of the call that made it."""

    job: str
    call: str
    cost: Cost | None
    at: float


@dataclass(frozen=True, slots=True)
class Filter:
    """Which calls. ``since`` and ``until`` are seconds since the epoch, the latter is not included."""

    since: float | None = None
    until: float | None = None
    key: str | None = None
    end_user: str | None = None
    id: str | None = None


@dataclass(frozen=True, slots=True)
class Amounts:
    """Sums. ``usd`` is of the calls whose cost is known (``None``: of none), ``unknown`` counts the others."""

    name: str = ""
    calls: int = 0
    usd: float | None = None
    unknown: int = 0
    characters: int = 0
    audio_seconds: float = 0.0
    images: int = 0
    video_seconds: float = 0.0


def _call_type(route: str) -> str:
    return _CALL_TYPES.get(route) or ("avideo_remix" if route.endswith("/remix") else route)


def own_cost(record: Record) -> Cost | None:
    """What a call cost by now beside its tasks."""
    if record.joined:
        return NOTHING
    usage = record.usage
    if usage is None:
        return total(record.costs)
    stream = None if usage.cost_usd is None else reported(record.price, usage)
    stream = stream or _priced(record, used_by_now(record))
    if record.code and stream is not None and stream.usd and stream.certainty != "reported":
        stream = Cost(stream.usd, "possible")  # it broke off, and nobody says what is charged for the rest
    return total([*record.costs, stream]) if record.costs else stream


def _priced(record: Record, used: Used) -> Cost | None:
    """What a stream costs: four ask for each call, mostly when nothing is new."""
    known = record.priced
    if known is None or known[0] is not used or known[1] is not record.price:
        known = record.priced = (used, record.price, cost(record.price, used))
    return known[2]


def used_by_now(record: Record) -> Used:
    """What a call made by now, which the record has from then on."""
    if record.usage is not None:
        record.used = with_usage(record.used, record.usage)
    return record.used


def cost_by_now(record: Record) -> Cost | None:
    """What a call cost by now, its tasks included."""
    own = own_cost(record)
    return total([own, *record.charges.values()]) if record.charges else own


def cost_at_start(record: Record) -> Cost | None:
    """What a call costs as far as that is known when its answer begins, its tasks included."""
    if record.joined:
        return NOTHING
    stream = [] if record.usage is None else [_priced(record, record.used)]
    return total([*record.costs, *stream, *record.charges.values()])


def row_of(record: Record) -> Row:
    """The row as things stand, without the costs of tasks: those have rows of their own."""
    used = used_by_now(record)
    own = own_cost(record)
    if own is not None and not own.usd:
        own = Cost(0.0, "reported" if record.charges else "computed")  # so that tasks are as sure as they are
    return Row(
        row=record.row,
        id=record.id,
        at=record.at,
        route=record.route,
        call_type=_call_type(record.route.removeprefix("/v1")),
        key=record.who.key,
        alias=record.who.alias,
        user=record.who.user,
        end_user=record.who.end_user,
        tags=record.who.tags,
        model=record.model,
        model_group=record.group,
        deployment=record.deployment,
        provider=record.provider,
        joined=record.joined,
        cached=record.cached,
        attempts=tuple([dict(zip(_ATTEMPT, _attempt(each), strict=True)) for each in record.attempts]),
        characters=used.characters,
        audio_seconds=used.audio_seconds,
        images=used.images,
        video_seconds=used.video_seconds,
        size=used.size,
        input_tokens=used.input_tokens,
        output_tokens=used.output_tokens,
        queue=record.queued,
        vendor=sum([each.seconds for each in record.attempts]) if record.attempts else None,
        first_byte=record.first_byte,
        seconds=record.seconds,
        status=record.status,
        code=record.code,
        usd=None if own is None else own.usd,
        certainty=SURENESS[-1] if own is None else own.certainty,
    )
