"""A call that has ended, as its observers get it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from gateway.ledger.row import cost_by_now, used_by_now
from gateway.record import Attempt, Cost, Record, Used


@dataclass(slots=True)
class Ended:
    """``path`` is the address as it was sent, ``route`` the one it was laid under (empty where there is none).

    ``probe``: somebody asks again and again whether the server lives. ``headers`` have names in lower case.
    ``failed``: the caller did not get what he asked for. ``used`` is what it made (nothing where it is a client's
    retry: that was counted already), ``cost`` what that cost, as far as it is known by now; ``answering`` is the
    attempt that made the answer.
    """

    record: Record
    method: str
    path: str
    route: str
    seconds: float
    probe: bool = False
    headers: Sequence[tuple[bytes, bytes]] = ()
    client: str = ""
    failed: bool = field(init=False)
    used: Used = field(init=False)
    cost: Cost | None = field(init=False)
    answering: Attempt | None = field(init=False)

    def __post_init__(self) -> None:
        record = self.record
        self.failed = record.code is not None or record.status >= 400 or not record.status
        self.used = Used() if record.joined else used_by_now(record)
        self.cost = cost_by_now(record)
        self.answering = None
        for each in reversed(record.attempts):
            if each.outcome == "ok":
                self.answering = each
                break

    def header(self, name: bytes) -> str:
        """The first header of that name, empty where there is none."""
        return next((value.decode("latin-1") for key, value in self.headers if key == name), "")

    @property
    def asked(self) -> float | None:
        """Seconds since the deployment that answered was asked."""
        attempt = self.answering
        if attempt is None:
            return None
        return max(0.0, self.seconds - (attempt.ended - attempt.seconds - self.record.at))


Observer = Callable[[Ended], None]
"""Told of each call when its answer has gone out. It waits for nothing, and raises nothing."""
