"""Jobs in memory keep the law of the stores."""

from __future__ import annotations

import pytest

from gateway.jobs.memory import MemoryJobStore
from gateway.jobs.store import JobStore
from tests.contracts.jobs import JobStoreContract


class TestMemoryJobStore(JobStoreContract):
    @pytest.fixture
    def store(self) -> JobStore:
        return MemoryJobStore(lambda: 1000.0)
