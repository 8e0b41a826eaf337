"""Who asks, and for what."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field

from gateway.policy.attempts import Wishes
from gateway.policy.caching import CacheWishes
from gateway.record import Record
from providers.base.exchange import json_value

JOIN_SECONDS = 600
"""How long a client's retry finds the tasks of its first try."""

KEY_SECONDS = 24 * 3600
"""The same where the client gave an ``Idempotency-Key``."""


_NO_WISHES, _NO_CACHE_WISHES = Wishes(), CacheWishes()
_sorted = json.JSONEncoder(sort_keys=True).encode


@dataclass(slots=True)
class Caller:
    """Who asks, and for what. ``owner`` is a digest of the key; ``route`` and ``content`` (a body, as JSON or parsed)
    are the call; ``key`` is its ``Idempotency-Key``. ``retry``: an earlier try of it may exist. ``guardrails`` are
    the guards it asks for, ``wishes`` how it shall be answered; ``dry_run``: only its price is asked for; ``cache``:
    what it says of the cache. What becomes of it is written into ``record``."""

    owner: str = ""
    route: str = ""
    content: object = None
    key: str = ""
    retry: bool = False
    guardrails: tuple[str, ...] = ()
    dry_run: bool = False
    record: Record = field(default_factory=lambda: Record("", ""))
    wishes: Wishes = _NO_WISHES
    cache: CacheWishes = _NO_CACHE_WISHES
    _digest: str = field(default="", init=False)

    @property
    def fingerprint(self) -> str:
        """A digest of owner and call. Two spellings of one JSON document are the same call."""
        if not self._digest:
            self._digest = self._digested()
        return self._digest

    def _digested(self) -> str:
        content = ["key", self.key]
        if not self.key:
            parsed = json_value(self.content) if isinstance(self.content, bytes) else self.content
            content = ["body", _sorted(parsed)]
        return hashlib.sha256(json.dumps([self.owner, self.route, *content]).encode()).hexdigest()

    @property
    def join(self) -> float:
        """For how many seconds a retry finds the first try."""
        return KEY_SECONDS if self.key else JOIN_SECONDS
