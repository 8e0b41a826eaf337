"""A vendor, a store, a shelf and a clock, and the jobs that use them."""

from __future__ import annotations

import pytest

from gateway.jobs.memory import MemoryJobStore
from gateway.jobs.worker import Jobs
from tests.jobs.fakes import Clock, Shelf, Vendor, jobs_of


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def vendor(clock: Clock) -> Vendor:
    return Vendor(clock)


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def store(clock: Clock) -> MemoryJobStore:
    return MemoryJobStore(clock)


@pytest.fixture
def jobs(store: MemoryJobStore, vendor: Vendor, shelf: Shelf, clock: Clock) -> Jobs:
    return jobs_of(store, vendor, shelf, clock, retention=100.0)
