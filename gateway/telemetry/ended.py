"""A call that has ended, as its observers get it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from gateway.ledger.cost import with_usage
from gateway.ledger.row import cost_by_now
from gateway.record import Attempt, Cost, Record, Used


@dataclass(frozen=True)
class Ended:
    """``path`` is the address as it was sent, ``route`` the one it was laid under (empty where there is none).

    ``probe``: somebody asks again and again whether the server lives. ``headers`` have names in lower case.
    """

    record: Record
    method: str
    path: str
    route: str
    seconds: float
    probe: bool = False
    headers: Sequence[tuple[bytes, bytes]] = ()
    client: str = ""

    def header(self, name: bytes) -> str:
        """The first header of that name, empty where there is none."""
        return next((value.decode("latin-1") for key, value in self.headers if key == name), "")

    @property
    def failed(self) -> bool:
        """Whether the caller did not get what he asked for."""
        return self.record.code is not None or self.record.status >= 400 or not self.record.status

    @cached_property
    def used(self) -> Used:
        """What it made; nothing where it is a client's retry: that was counted already."""
        record = self.record
        if record.joined:
            return Used()
        return record.used if record.usage is None else with_usage(record.used, record.usage)

    @cached_property
    def cost(self) -> Cost | None:
        """What it cost, as far as that is known by now; ``None`` where it is not."""
        return cost_by_now(self.record)

    @cached_property
    def answering(self) -> Attempt | None:
        """The attempt that made the answer."""
        return next((each for each in reversed(self.record.attempts) if each.outcome == "ok"), None)

    @property
    def asked(self) -> float | None:
        """Seconds since the deployment that answered was asked."""
        attempt = self.answering
        if attempt is None:
            return None
        return max(0.0, self.seconds - (attempt.ended - attempt.seconds - self.record.at))


Observer = Callable[[Ended], None]
"""Told of each call when its answer has gone out. It waits for nothing, and raises nothing."""
