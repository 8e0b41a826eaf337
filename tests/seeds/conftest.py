"""Examples that were published for users, against simulated vendors. Each file of tests is one page of them.

The calls are the page's own: the same model names, parameters and attributes. Three things differ: the host, the key
and the line of the import, which names ``gateway``. Where a vendor's address can come from the environment it does, so
that calls and YAML blocks stand as they were published. ``docs/examples.md`` lists them all.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway import sdk
from providers.runwayml import Runway as Adapter
from tests.upstreams.runway import Runway

KEY = "sk-1234"

KEYED = f"\ngeneral_settings: {{master_key: {KEY}}}\n"
"""What a page's config has here besides: the key that its requests carry."""

Shell = Callable[[str], bytes]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[pytest.MonkeyPatch]:
    """A data folder for the functions, and Runway without its five seconds between two looks."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MEDIA_GATEWAY_DATA_DIR", str(tmp_path_factory.mktemp("data")))
        patch.delenv("MEDIA_GATEWAY_CONFIG", raising=False)
        patch.setattr(Adapter, "poll_interval", property(lambda _: 0.02, lambda *_: None), raising=False)
        yield patch
        sdk.configure(None)
        sdk.close()


@pytest.fixture(scope="module")
def runway(environment: pytest.MonkeyPatch) -> Iterator[Runway]:
    with Runway(seconds=0.05) as server:
        environment.delenv("RUNWAYML_API_SECRET", raising=False)
        environment.setenv("RUNWAYML_API_KEY", str(server.key))
        environment.setenv("RUNWAYML_API_BASE", server.base)
        yield server


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """Run a command line in the test's folder: what it writes to its output."""

    def run(line: str) -> bytes:
        done = subprocess.run(["sh", "-c", line], cwd=tmp_path, capture_output=True, timeout=60, check=False)
        if done.returncode == 127:
            pytest.skip(done.stderr.decode())  # there is no curl here
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout

    return run
