"""A job as a row of a table."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from gateway.jobs.job import Fault, Job, State

VERSION = 1
COLUMNS = Job._fields
LOOKED_AT = "state IN ('running', 'storing')"
OPEN = "state IN ('created', 'submitting', 'running', 'storing')"

# The conditions of the indexes are those of the queries, letter for letter: SQLite uses a partial index only then.
SCHEMA = f"""
CREATE TABLE jobs (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    model TEXT NOT NULL,
    deployment TEXT NOT NULL,
    created REAL NOT NULL,
    owner TEXT NOT NULL,
    batch TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    request TEXT NOT NULL,
    state TEXT NOT NULL,
    version INTEGER NOT NULL,
    task TEXT,
    progress REAL NOT NULL,
    submitted REAL,
    looked REAL,
    done REAL,
    completed REAL,
    expires REAL,
    next_poll REAL,
    polls INTEGER NOT NULL,
    errors INTEGER NOT NULL,
    tries INTEGER NOT NULL,
    outputs TEXT NOT NULL,
    fault TEXT,
    lease_by TEXT,
    lease_until REAL NOT NULL DEFAULT 0
);
CREATE INDEX jobs_due ON jobs (next_poll, lease_until) WHERE {LOOKED_AT};
CREATE INDEX jobs_held ON jobs (lease_until) WHERE lease_until > 0;
CREATE INDEX jobs_open ON jobs (created) WHERE {OPEN};
CREATE INDEX jobs_page ON jobs (owner, kind, created, id);
CREATE INDEX jobs_same ON jobs (fingerprint, created) WHERE fingerprint <> '';
CREATE INDEX jobs_expired ON jobs (expires) WHERE expires IS NOT NULL;
CREATE INDEX jobs_durations ON jobs (deployment, completed) WHERE state = 'completed';
CREATE TABLE history (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    job TEXT NOT NULL,
    at REAL NOT NULL,
    before TEXT,
    after TEXT NOT NULL,
    note TEXT NOT NULL
);
CREATE INDEX history_of ON history (job);
"""

_FAULT = COLUMNS.index("fault")
_OUTPUTS = COLUMNS.index("outputs")
_REQUEST = COLUMNS.index("request")
_STATE = COLUMNS.index("state")

_encode = json.JSONEncoder(ensure_ascii=False).encode

_WRITTEN: Mapping[str, Callable[[Any], str | None]] = {
    "fault": lambda fault: None if fault is None else _encode(asdict(fault)),
    "outputs": lambda outputs: _encode(outputs) if outputs else "[]",
    "request": lambda request: _encode(dict(request)),
}


_ENCODERS = [_WRITTEN.get(name) for name in COLUMNS]


def values(job: Job) -> list[Any]:
    """The row of a job, in the order of ``COLUMNS``."""
    return [value if encode is None else encode(value) for value, encode in zip(job, _ENCODERS, strict=True)]


def changed(old: Job, new: Job) -> dict[str, Any]:
    """What is another object in the row of ``new``, by column."""
    every = zip(COLUMNS, old, new, _ENCODERS, strict=True)
    return {
        name: value if encode is None else encode(value) for name, before, value, encode in every if value is not before
    }


def job_of(row: Sequence[Any]) -> Job:
    """The job of a row."""
    given = list(row)
    given[_FAULT] = None if row[_FAULT] is None else Fault(**json.loads(row[_FAULT]))
    given[_OUTPUTS] = tuple(json.loads(row[_OUTPUTS]))
    given[_REQUEST] = json.loads(row[_REQUEST])
    given[_STATE] = State(row[_STATE])
    return Job(*given)
