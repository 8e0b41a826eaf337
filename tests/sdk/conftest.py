"""A program's own data folder, and Runway without its five seconds between two looks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway import sdk
from providers.runwayml import Runway as Adapter
from tests.upstreams.runway import Runway


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("MEDIA_GATEWAY_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.delenv("MEDIA_GATEWAY_CONFIG", raising=False)
    yield tmp_path / "data"
    sdk.configure(None)
    sdk.close()


@pytest.fixture
def runway(monkeypatch: pytest.MonkeyPatch) -> Iterator[Runway]:
    monkeypatch.setattr(Adapter, "poll_interval", property(lambda self: 0.05, lambda self, _: None), raising=False)
    for name in ("RUNWAYML_API_KEY", "RUNWAYML_API_SECRET"):
        monkeypatch.delenv(name, raising=False)
    with Runway(seconds=0.1) as server:
        yield server
