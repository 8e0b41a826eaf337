"""What a job is: one task at one vendor, from before it is submitted until its output is kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any, NamedTuple


class State(StrEnum):
    """Where a job stands."""

    CREATED = "created"  # a row, one of several of a call, and nothing was sent
    SUBMITTING = "submitting"  # about to be sent, or sent: after a crash nobody can know
    RUNNING = "running"  # the vendor has it, under `task`
    STORING = "storing"  # the vendor is done; its outputs are being copied
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


# What may follow what. A state may follow itself where only its fields change (progress, the time of the next look).
MOVES: Mapping[State, frozenset[State]] = {
    State.CREATED: frozenset({State.SUBMITTING, State.FAILED, State.CANCELLED}),
    State.SUBMITTING: frozenset({State.RUNNING, State.COMPLETED, State.FAILED}),
    State.RUNNING: frozenset({State.RUNNING, State.STORING, State.FAILED, State.CANCELLED}),
    State.STORING: frozenset({State.STORING, State.COMPLETED, State.FAILED, State.CANCELLED}),
    State.COMPLETED: frozenset(),
    State.FAILED: frozenset(),
    State.CANCELLED: frozenset(),
}

TERMINAL = frozenset({State.COMPLETED, State.FAILED, State.CANCELLED})


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a job failed: what a caller who waited is told (``ProviderError``'s status, kind, code and message)."""

    message: str
    code: str
    kind: str
    status: int
    param: str | None = None


class Job(NamedTuple):
    """One row. Times are seconds since the epoch. ``version`` grows with each change: compare-and-swap on it.

    ``owner`` is a digest of the key that made it (empty: no keys). ``deployment`` finds the provider again after a
    restart. ``request`` are the caller's fields worth showing again (prompt, size, seconds), as JSON. Jobs of one call
    share ``batch``; ``fingerprint`` is a digest of owner and call, by which a client's retry finds them.
    ``next_poll`` is when the worker looks next; ``outputs`` are keys of the blob store, in order. ``looked`` is the
    last look that found it still working, so that it ended between ``looked`` and ``done``. ``errors`` counts the looks
    that failed one after another, ``tries`` the failed attempts at keeping its outputs.
    """

    id: str
    kind: str
    model: str
    deployment: str
    created: float
    owner: str = ""
    batch: str = ""
    fingerprint: str = ""
    request: Mapping[str, Any] = MappingProxyType({})
    state: State = State.CREATED
    version: int = 0
    task: str | None = None
    progress: float = 0.0
    submitted: float | None = None
    looked: float | None = None
    done: float | None = None
    completed: float | None = None
    expires: float | None = None
    next_poll: float | None = None
    polls: int = 0
    errors: int = 0
    tries: int = 0
    outputs: tuple[str, ...] = ()
    fault: Fault | None = None
