"""Making, changing, finding and forgetting virtual keys: for the routes and for the command line."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any

from gateway.errors import InvalidRequest, NotFound
from gateway.keys.amounts import Total
from gateway.keys.fields import KeyFields
from gateway.keys.key import VirtualKey, name_of, new_key, token_named, token_of
from gateway.keys.periods import later, period, told
from gateway.keys.ring import Keyring
from gateway.keys.store import AliasTaken

_NEVER = "-1"
_MOMENTS = ("expires", "created_at", "updated_at")


@dataclass(frozen=True, slots=True)
class Made:
    """A new key: ``key`` is what is sent, and is shown this once."""

    key: str
    record: VirtualKey


@dataclass(frozen=True, slots=True)
class Known:
    """A key and what it has spent: in its period, and ever."""

    record: VirtualKey
    period: Total
    ever: Total
    renewed: float | None


class KeyService:
    """Everything that is done with keys. ``master`` is the token of the master key, which no other key may have."""

    def __init__(self, ring: Keyring, master: str | None, now: Callable[[], float] = time.time) -> None:
        self._ring = ring
        self._master = master
        self._now = now

    async def generate(self, fields: KeyFields, given: str | None = None) -> Made:
        """A new key: ``given``, or one that nobody can guess. Raises ``InvalidRequest``."""
        self._check_enabled()
        key = given or new_key()
        if token_of(key) == self._master:
            raise InvalidRequest("The master key cannot be a virtual key.", param="key")
        now = self._now()
        record = self._with(VirtualKey(token_of(key), name_of(key), created_at=now), fields)
        with _taken():
            await (await self._ring.store()).put(record)
        await self._ring.refresh()
        return Made(key, record)

    async def update(self, named: str, fields: KeyFields) -> VirtualKey:
        """Change what ``fields`` sets. Raises ``NotFound``, ``InvalidRequest``."""
        self._check_enabled()
        with _taken():
            store = await self._ring.store()
            record = await store.change(token_named(named), lambda there: self._with(there, fields))
        await self._ring.refresh()
        return record

    async def block(self, named: str, *, blocked: bool) -> VirtualKey:
        """Refuse a key from now on, or take it again."""
        return await self.update(named, KeyFields.model_validate({"blocked": blocked}))

    async def delete(self, keys: Sequence[str], aliases: Sequence[str]) -> list[str]:
        """Forget keys; the tokens of those forgotten. All are looked for first. Raises ``NotFound``."""
        found = [await self.find(each) for each in keys]
        found += [await self._by_alias(alias) for alias in aliases]
        store = await self._ring.store()
        tokens = [each.token for each in found]
        for token in tokens:
            await store.delete(token)
        await self._ring.refresh()
        return tokens

    async def find(self, named: str) -> VirtualKey:
        """The key that is given in full or as its token, as the store has it now. Raises ``NotFound``."""
        self._check_enabled()
        found = await (await self._ring.store()).get(token_named(named))
        if found is None:
            raise _no_such_key()
        return found

    async def known(self, record: VirtualKey) -> Known:
        """What a key has spent."""
        store = await self._ring.store()
        begin, end = period(record.budget_duration, record.created_at, self._now())
        return Known(record, await store.spent(record.token, begin), await store.spent(record.token, 0.0), end)

    async def everyone(self) -> list[VirtualKey]:
        """All keys, the oldest first."""
        self._check_enabled()
        rows, _ = await (await self._ring.store()).changed(0)
        return sorted((each for _, each in rows if each is not None), key=lambda each: (each.created_at, each.token))

    async def _by_alias(self, alias: str) -> VirtualKey:
        found = next((each for each in await self.everyone() if each.key_alias == alias), None)
        if found is None:
            raise NotFound(f"No key has the alias '{alias[:200]}'.", param="key_aliases", code="key_not_found")
        return found

    def _with(self, record: VirtualKey, fields: KeyFields) -> VirtualKey:
        now = self._now()
        given = fields.model_dump(include=fields.model_fields_set & set(KeyFields.model_fields))
        if "duration" in given:
            text = given.pop("duration")
            given["expires"] = None if text in (None, _NEVER) else later(now, text)
        empty: dict[str, Any] = {"models": (), "tags": (), "metadata": {}, "blocked": False}
        changes: dict[str, Any] = {name: empty.get(name) if value is None else value for name, value in given.items()}
        changes |= {name: tuple(changes[name]) for name in ("models", "tags") if name in changes}
        return replace(record, **changes, updated_at=now)

    def _check_enabled(self) -> None:
        if self._master is None:
            raise InvalidRequest(
                "There is no master key, so that everybody may call: virtual keys would mean nothing. "
                "Set general_settings.master_key first.",
                code="no_master_key",
            )


@contextmanager
def _taken() -> Iterator[None]:
    """What a store raises, in words for the caller."""
    try:
        yield
    except AliasTaken as error:
        raise InvalidRequest(
            "Another key has this key_alias, or the key exists already.", param="key_alias", code="key_exists"
        ) from error
    except LookupError:
        raise _no_such_key() from None


def _no_such_key() -> NotFound:
    text = "There is no such key. Name it by the key itself or by its token."
    return NotFound(text, param="key", code="key_not_found")


def shown(record: VirtualKey) -> dict[str, Any]:
    """What may be shown of a key, as LiteLLM spells it. Moments are text in UTC."""
    row = asdict(record)
    moments = {name: None if row[name] is None else told(row[name]) for name in _MOMENTS}
    return {**row, "token_id": record.token, **moments}


def shown_spend(known: Known) -> dict[str, Any]:
    """The same with what was spent. ``spend``: US dollars in this period; calls without a known price are counted."""
    spent = known.period
    return {
        **shown(known.record),
        "spend": spent.usd,
        "unpriced_calls": spent.unpriced,
        "characters": int(spent.characters),
        "audio_seconds": round(spent.audio_seconds, 3),
        "images": int(spent.images),
        "video_seconds": round(spent.video_seconds, 3),
        "total_spend": known.ever.usd,
        "budget_reset_at": None if known.renewed is None else told(known.renewed),
    }
