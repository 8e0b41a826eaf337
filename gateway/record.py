"""What is known of one call, filled in as it goes: the log's line, the metrics' labels and the ledger's row."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from gateway.ids import token
from providers.base.contract import Usage
from providers.base.price import Price

Certainty = Literal["reported", "computed", "expected", "possible", "unknown"]
"""How sure a cost is: the vendor said so; from its price and what was used; from its price, before the end; from its
price, where nobody knows whether the vendor charged; not at all."""


@dataclass(frozen=True, slots=True)
class Who:
    """Who calls. ``key`` is the SHA-256 of a virtual key in hex, empty for the master key and where there are no keys.

    ``user`` is the ``user_id`` of the key. ``end_user`` and ``tags`` are what the caller says of his own customer and
    of the call (the key's own tags first): names, no secrets.
    """

    key: str = ""
    alias: str = ""
    admin: bool = True
    user: str = ""
    end_user: str = ""
    tags: tuple[str, ...] = ()


@dataclass(slots=True)
class Attempt:
    """One deployment that was asked. ``outcome`` is ``ok`` or the code of its error; ``sent`` as on ``ProviderError``.

    ``seconds`` until it had begun to answer, or had failed: that was at ``ended`` since the epoch.
    """

    group: str
    deployment: str
    outcome: str
    seconds: float
    sent: str = "yes"
    ended: float = field(default_factory=time.time)


@dataclass(slots=True)
class Used:
    """What a call made, in the units that media are paid in. ``None`` is unknown or does not apply, never zero.

    ``options`` are those of the call that its price depends on (quality, sound).
    """

    characters: int | None = None
    audio_seconds: float | None = None
    images: int | None = None
    video_seconds: float | None = None
    size: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    options: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Cost:
    """``None`` in place of a ``Cost`` is an unknown one; it is never shown as 0."""

    usd: float
    certainty: Certainty = "computed"


NOTHING = Cost(0.0)
"""Known to be free."""


def row_at(at: float) -> str:
    """What the rows of calls that began then (seconds since the epoch) begin with: they are in the order of time."""
    return f"{int(at * 1e9):016x}"


@dataclass(slots=True, weakref_slot=True)
class Record:
    """One call. ``id`` is its request id, ``at`` its begin since the epoch, ``started`` on the monotonic clock.

    ``model`` is the name that was asked for; ``group``, ``deployment`` and ``provider`` are what answered. ``batch``
    joins it to its jobs; ``guardrails`` are those that looked at its texts; ``joined``: it is a client's retry, which
    another record has paid for; ``cached``: nobody was asked, the answer was kept from an earlier call. ``queued`` is
    seconds until a deployment was first asked, ``first_byte`` until the first byte of the body was sent. ``status`` is
    0 where no answer had begun; ``code`` is that of its error, or ``client_gone``; ``outcome`` says the same in words,
    for the log. ``fallbacks`` counts the other groups that were asked. ``row`` is the ledger's own name for it, since
    clients choose ``id``; ``media``: the ledger keeps it.

    ``costs`` are those of attempts that failed, ``charges`` those of tasks by their jobs. A stream has a ``price`` and
    a ``usage`` that its provider counts up; ``priced`` is what was asked last of its cost, and the answer. ``texts``
    are the caller's, by field, as his guards let them pass; ``sent`` counts the body's bytes. ``writing`` ends when
    what its caller has spent is durable.
    """

    id: str
    route: str
    at: float = field(default_factory=time.time)
    started: float = field(default_factory=time.perf_counter)
    who: Who = Who()
    kind: str = ""
    model: str = ""
    group: str = ""
    deployment: str = ""
    provider: str = ""
    batch: str = ""
    guardrails: tuple[str, ...] = ()
    joined: bool = False
    cached: bool = False
    attempts: list[Attempt] = field(default_factory=list)
    fallbacks: int = 0
    used: Used = field(default_factory=Used)
    queued: float | None = None
    first_byte: float | None = None
    status: int = 0
    code: str | None = None
    outcome: str = ""
    row: str = ""
    media: bool = False
    costs: list[Cost | None] = field(default_factory=list)
    charges: dict[str, Cost | None] = field(default_factory=dict)
    price: Price | None = None
    usage: Usage | None = None
    priced: tuple[Used, Price | None, Cost | None] | None = None
    texts: Mapping[str, str] = field(default_factory=dict)
    sent: int = 0
    writing: list[asyncio.Future[Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.row = self.row or row_at(self.at) + token()[:8]

    def served_by(self, group: str, deployment: str, provider: str) -> None:
        """Note who answers."""
        self.group, self.deployment, self.provider = group, deployment, provider

    def asks(self) -> None:
        """Note that a deployment is about to be asked."""
        if self.queued is None:
            self.queued = time.perf_counter() - self.started

    @property
    def seconds(self) -> float:
        """How long it has been going on."""
        return time.perf_counter() - self.started
