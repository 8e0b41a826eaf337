"""The line of the log that each call leaves."""

from __future__ import annotations

import logging
from dataclasses import fields
from functools import partial
from typing import Any

from gateway.record import Used
from gateway.telemetry.ended import Ended

_UNITS = tuple(unit.name for unit in fields(Used))
_access = logging.getLogger("gateway.access")


class CallLine:
    """Writes it. No query string and no body: they are the caller's. ``texts``: his texts, and the words of errors."""

    def __init__(self, *, texts: bool = False) -> None:
        self._texts = texts

    def __call__(self, ended: Ended) -> None:
        """An ``Observer``."""
        level = logging.DEBUG if ended.probe else logging.INFO
        if not _access.isEnabledFor(level):
            return
        record = ended.record
        served = f"{record.provider}/{record.group}" if record.provider else ""
        told = {"model": record.model, "served": served, "code": record.code or ""}
        if len(record.attempts) > 1:
            told["attempts"] = str(len(record.attempts))
        if self._texts:
            told["outcome"] = record.outcome
        notes = "".join(f" {name}={value!r}" for name, value in told.items() if value)
        spent = ended.seconds * 1000
        text = f"{ended.method} {ended.path} {record.status} {spent:.0f}ms {record.id}{notes}"
        # Made here: the logger itself would first look for the line of code that it is called from.
        line = logging.LogRecord(_access.name, level, "", 0, text, None, None)
        line.fields = partial(self.fields, ended)
        _access.handle(line)

    def fields(self, ended: Ended) -> dict[str, Any]:
        """What the line says, by name; what is unknown or does not apply is left out."""
        record, used, cost = ended.record, ended.used, ended.cost
        said = {
            "request_id": record.id,
            "method": ended.method,
            "route": ended.route,
            "path": ended.path,
            "status": record.status,
            "code": record.code,
            "kind": record.kind,
            "model": record.model,
            "group": record.group,
            "deployment": record.deployment,
            "provider": record.provider,
            "seconds": round(ended.seconds, 6),
            "first_byte_seconds": None if record.first_byte is None else round(record.first_byte, 6),
            "bytes": record.sent,
            "attempts": [
                {"deployment": each.deployment, "outcome": each.outcome, "seconds": round(each.seconds, 6)}
                for each in record.attempts
            ],
            "used": {name: value for name in _UNITS if (value := getattr(used, name)) not in (None, {})},
            "cost_usd": None if cost is None else cost.usd,
            "cost_certainty": "unknown" if cost is None else cost.certainty,
            "joined": record.joined,
            "guardrails": record.guardrails,
            "key": record.who.key,
            "key_alias": record.who.alias,
            "end_user": record.who.end_user,
            "tags": record.who.tags,
        }
        if self._texts:
            said.update(texts=dict(record.texts), outcome=record.outcome)
        if not record.kind:
            del said["cost_usd"], said["cost_certainty"]
        kept = (
            ("status", "route", "seconds", "bytes")
            if cost is None
            else ("status", "route", "seconds", "bytes", "cost_usd")
        )
        return {name: value for name, value in said.items() if value or name in kept}
