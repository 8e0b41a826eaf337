"""What a process loads, what it leaves behind, and films that another one has begun."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

import gateway
from gateway import sdk
from tests.upstreams.runway import Runway

ROOT = Path(__file__).parent.parent.parent


def run(program: str, **environment: str) -> Any:
    """What ``program`` prints as JSON on its last line, in a process of its own where any warning is an error."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return json.loads(done.stdout.splitlines()[-1])


def test_importing_loads_next_to_nothing() -> None:
    heavy = ["fastapi", "starlette", "uvicorn", "pydantic", "aiohttp", "numpy", "av", "yaml", "openai", "httpx"]
    loaded = f"import sys, json; print(json.dumps([name for name in {heavy} if name in sys.modules]))"
    assert run(f"import gateway.sdk; {loaded}") == []
    assert run(f"from gateway import speech, completion_cost; {loaded}") == []
    assert run(f"import gateway; {loaded.replace('fastapi', 'gateway.sdk')}") == []


def test_calling_loads_no_web_framework_and_leaves_nothing(tmp_path: Path) -> None:
    """Not even a stream that nobody reads to its end."""
    program = """
import json, sys
from gateway import completion_cost, image_generation, speech
left = speech("local/espeak", "Hello. " * 400, stream=True, response_format="pcm").iter_bytes()
next(left)
completion_cost(model="local/espeak", prompt="Hello.")
image_generation("A lake", "sandbox/image")
print(json.dumps([name for name in ("fastapi", "starlette", "uvicorn") if name in sys.modules]))
"""
    assert run(program, TMPDIR=str(tmp_path), MEDIA_GATEWAY_DATA_DIR=str(tmp_path / "data")) == []
    assert [path.name for path in tmp_path.iterdir()] == ["data"]
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["pictures"]
    assert tempfile.gettempdir() != str(tmp_path)


BEGIN = """
import json
from gateway import video_generation
made = video_generation("A lake", "runwayml/gen4.5", seconds=5, api_key={key!r}, api_base={base!r})
print(json.dumps(made.id))
"""


def test_a_film_is_fetched_by_another_process(runway: Runway) -> None:
    """The first has ended: who gives a key, or has it in the environment, goes on."""
    video = run(BEGIN.format(key=runway.key, base=runway.base))
    account = {"api_key": runway.key, "api_base": runway.base}
    while (state := gateway.video_status(video, **account)).status == "in_progress":
        pass
    assert state.status == "completed"
    assert gateway.video_content(video, **account)[4:8] == b"ftyp"
    assert len(runway.ledger) == 1


def test_a_film_whose_key_is_not_here(runway: Runway) -> None:
    video = run(BEGIN.format(key=runway.key, base=runway.base))
    with pytest.raises(sdk.AuthenticationError, match="RUNWAYML_API_SECRET"):
        gateway.video_status(video)
    with pytest.raises(sdk.BadRequestError, match="'colour' is not known here"):
        gateway.video_status(video, colour="red", api_key=runway.key)
    assert gateway.video_status(video, api_key=runway.key, api_base=runway.base).status != "failed"


def test_a_folder_that_another_process_has(runway: Runway) -> None:
    """A second process may look at films, and is told why it cannot begin one."""
    account = {"api_key": runway.key, "api_base": runway.base}
    made = gateway.video_generation("A lake", "runwayml/gen4.5", seconds=5, **account)
    while gateway.video_status(made.id).status not in ("completed", "failed"):
        pass
    program = f"""
import json
from gateway import sdk
state = sdk.video_status({made.id!r})
size = len(sdk.video_content({made.id!r}))
spoken = len(sdk.speech("local/espeak", "Hello.").content)
try:
    sdk.video_generation("A lake", "runwayml/gen4.5", seconds=5, api_key={runway.key!r})
except sdk.ServiceUnavailableError as error:
    print(json.dumps([state.status, size, spoken > 0, str(error)]))
"""
    status, size, spoken, why = run(program)
    assert (status, size, spoken) == ("completed", len(gateway.video_content(made.id)), True)
    assert "is in use by another process" in why
    assert "MEDIA_GATEWAY_DATA_DIR" in why
