"""``/spend/logs`` and the sums of it, in LiteLLM's words with ours beside them. For whoever runs the gateway."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Query

from gateway.api.catalog import RequireKey
from gateway.errors import InvalidRequest
from gateway.ledger.book import Book
from gateway.ledger.row import Amounts, By, Filter, Row

LONGEST_PAGE = 10_000

Limit = Annotated[int, Query(ge=1, le=LONGEST_PAGE)]
_OURS = (
    "certainty", "status_code", "code", "characters", "audio_seconds", "images", "video_seconds", "size", "attempts",
    "queue", "vendor", "first_byte", "joined", "alias",
)  # fmt: skip


def lay_spend(app: FastAPI, require_admin: RequireKey, book: Callable[[], Book]) -> None:
    """Register the routes. ``book`` is asked for at each call, since it opens after the routes are laid."""

    async def logs(
        start_date: str | None = None,
        end_date: str | None = None,
        api_key: str | None = None,
        user_id: str | None = None,
        request_id: str | None = None,
        limit: Limit = 1000,
    ) -> list[dict[str, Any]]:
        """Calls, the newest first. Days are of UTC, both included; `api_key` is the hash of a key."""
        which = _between(start_date, end_date)
        which = Filter(which.since, which.until, api_key, user_id, request_id)
        store = book().store
        return [] if store is None else [log(row) for row in await store.select(which, limit)]

    async def sums(by: By | None, start_date: str | None, end_date: str | None) -> Sequence[Amounts]:
        store = book().store
        return [] if store is None else await store.sums(by, _between(start_date, end_date))

    async def keys(start_date: str | None = None, end_date: str | None = None) -> list[dict[str, Any]]:
        """By key."""
        return [shown("api_key", each) for each in await sums("key", start_date, end_date)]

    async def users(start_date: str | None = None, end_date: str | None = None) -> list[dict[str, Any]]:
        """By end user."""
        return [shown("end_user", each) for each in await sums("user", start_date, end_date)]

    async def tags(start_date: str | None = None, end_date: str | None = None) -> list[dict[str, Any]]:
        """By tag. A call with two tags counts for both."""
        found = [shown("individual_request_tag", each) for each in await sums("tag", start_date, end_date)]
        return [each | {"log_count": each["calls"], "total_spend": each["spend"]} for each in found]

    async def everything(start_date: str | None = None, end_date: str | None = None) -> dict[str, Any]:
        """All of it."""
        found = [*await sums(None, start_date, end_date), Amounts(usd=0.0)]
        whole = shown("name", found[0])
        del whole["name"]
        return whole | {"max_budget": None}

    for path, endpoint in (
        ("/spend/logs", logs),
        ("/spend/keys", keys),
        ("/spend/users", users),
        ("/spend/tags", tags),
        ("/global/spend", everything),
    ):
        app.add_api_route(path, endpoint, dependencies=[Depends(require_admin)], tags=["spend"], response_model=None)


def shown(name: str, sums: Amounts) -> dict[str, Any]:
    """``spend`` is of the calls whose cost is known; ``null`` where it is known of none of them."""
    rest = asdict(sums)
    return {name: rest.pop("name"), "spend": rest.pop("usd"), "unknown_cost_calls": rest.pop("unknown"), **rest}


def log(row: Row) -> dict[str, Any]:
    """A row in LiteLLM's columns, and ours. A cost that is unknown is ``null``."""
    given = {**asdict(row), "status_code": row.status}
    tokens = [count for count in (row.input_tokens, row.output_tokens) if count is not None]
    return {
        "request_id": row.id,
        "call_type": row.call_type,
        "api_key": row.key,
        "spend": row.usd,
        "total_tokens": sum(tokens) if tokens else None,
        "prompt_tokens": row.input_tokens,
        "completion_tokens": row.output_tokens,
        "startTime": _time(row.at),
        "endTime": _time(row.at + row.seconds),
        "completionStartTime": None if row.first_byte is None else _time(row.at + row.first_byte),
        "request_duration_ms": round(row.seconds * 1000),
        "model": row.model,
        "model_id": row.deployment,
        "model_group": row.model_group,
        "custom_llm_provider": row.provider,
        "user": row.user,
        "metadata": {"user_api_key_alias": row.alias},
        "cache_hit": str(row.cached),
        "request_tags": row.tags,
        "end_user": row.end_user,
        "session_id": None,
        "status": "success" if row.code is None and 200 <= row.status < 400 else "failure",
        "litellm_call_id": row.id,
        **{name: given[name] for name in _OURS},
    }


def day(text: str, param: str) -> datetime:
    """``2026-11-21`` as its beginning in UTC. Raises ``InvalidRequest``."""
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        raise InvalidRequest(f"{param} must be a day such as 2026-11-21.", param=param) from None


def _between(start: str | None, end: str | None) -> Filter:
    since = None if start is None else day(start, "start_date").timestamp()
    until = None if end is None else (day(end, "end_date") + timedelta(days=1)).timestamp()
    return Filter(since=since, until=until)


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
