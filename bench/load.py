"""As many requests as a server answers over so many connections, by wrk where it is installed, else by Python."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import statistics
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import aiohttp

from bench.contenders import Contender
from bench.processes import pinned
from bench.upstreams import CLIP

_SCRIPT = """
wrk.method = "POST"
wrk.body = [==[{body}]==]
wrk.headers["content-type"] = "application/json"
{headers}
done = function(summary, latency, requests)
  io.write(string.format("FOUND %d %d %d %d %d %d %d\\n", summary.requests, summary.duration, summary.bytes,
    summary.errors.status, summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout,
    latency:percentile(50), latency:percentile(99)))
end
"""


@dataclass(frozen=True, slots=True)
class Load:
    """One kind of request over a number of connections."""

    name: str
    path: str
    body: dict[str, object]
    connections: int
    least: int  # bytes of an answer, so that none is short

    @property
    def model(self) -> str:
        """By which its upstream is found."""
        return str(self.body["model"])


SPEECH: dict[str, object] = {"model": "tts-1", "input": "Hello there.", "voice": "alloy", "response_format": "mp3"}
_PICTURE: dict[str, object] = {"prompt": "A lamp", "size": "1024x1024"}
BYTES = {**_PICTURE, "model": "dall-e-3", "response_format": "b64_json"}
ADDRESS = {**_PICTURE, "model": "by-url", "response_format": "url"}
LOADS = (
    *(Load(f"speech, {n} at once", "/v1/audio/speech", SPEECH, n, CLIP) for n in (1, 16, 64, 256)),
    Load("pictures as base64, 64 at once", "/v1/images/generations", BYTES, 64, 40_000),
    Load("pictures by address, 64 at once", "/v1/images/generations", ADDRESS, 64, 40),
)


@dataclass(frozen=True, slots=True)
class Sample:
    """What came of one load: milliseconds, and MB."""

    rate: float
    p50: float
    p99: float
    cpu: float  # of the server, for each request
    resident: float
    failed: int

    def as_dict(self) -> dict[str, float]:
        """For JSON."""
        return asdict(self)


def check(who: Contender, load: Load) -> str | None:
    """Why one call is not answered as it should be."""
    headers = {"content-type": "application/json", **who.headers.get(load.model, {})}
    request = urllib.request.Request(who.bases[load.model] + load.path, json.dumps(load.body).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            size = len(answer.read())
    except urllib.error.HTTPError as error:
        return f"{error.code} {error.read()[:200]!r}"
    return None if size >= load.least else f"{size} bytes only"


@dataclass(frozen=True, slots=True)
class Generator:
    """What asks, from which core, for how long. ``asked`` says how often the upstream was."""

    seconds: float
    folder: Path
    core: str | None
    asked: Callable[[], int | None]


def version() -> str:
    """What asks."""
    if shutil.which("wrk") is None:
        return "Python (no wrk here)"
    told = subprocess.run(["wrk", "-v"], capture_output=True, text=True, check=False).stdout
    return " ".join(told.split()[:2])


def measure(who: Contender, load: Load, by: Generator) -> Sample:
    """Ask for so long. What did not reach the upstream counts as failed: it was answered by something else."""
    before, asked = who.process.spent(), by.asked()
    count, took, p50, p99, failed = (_wrk if shutil.which("wrk") else _python)(who, load, by)
    cpu = (who.process.spent() - before) / count * 1000 if count else 0.0  # a ratio leaves out what is 0
    if asked is not None:
        failed += max(0, count - ((by.asked() or 0) - asked))
    return Sample(count / took, p50, p99, cpu, who.process.resident(), failed)


def _wrk(who: Contender, load: Load, by: Generator) -> tuple[int, float, float, float, int]:
    script = by.folder / "wrk.lua"
    headers = (f'wrk.headers["{name}"] = "{value}"' for name, value in who.headers.get(load.model, {}).items())
    script.write_text(_SCRIPT.format(body=json.dumps(load.body), headers="\n".join(headers)))
    command = ["wrk", "-t1", f"-c{load.connections}", f"-d{max(1, round(by.seconds))}s", "--timeout", "30s"]
    command += ["-s", str(script), who.bases[load.model] + load.path]
    told = subprocess.run(pinned(by.core, command), capture_output=True, text=True, check=True).stdout
    found = re.search(r"FOUND (\d+) (\d+) (\d+) (\d+) (\d+) (\d+) (\d+)", told)
    if found is None:
        raise SystemExit(f"wrk says nothing that is understood:\n{told}")
    count, took, size, refused, broken, p50, p99 = map(int, found.groups())
    short = count > 0 and not refused and size / count < load.least
    return count - refused, took / 1e6, p50 / 1000, p99 / 1000, refused + broken + short * count


def _python(who: Contender, load: Load, by: Generator) -> tuple[int, float, float, float, int]:
    return asyncio.run(_asked(who, load, by.seconds))


async def _asked(who: Contender, load: Load, seconds: float) -> tuple[int, float, float, float, int]:
    times: list[float] = []
    failed = 0
    begun = time.perf_counter()
    headers = who.headers.get(load.model, {})
    async with aiohttp.ClientSession(headers=headers, connector=aiohttp.TCPConnector(limit=0)) as session:

        async def ask() -> None:
            nonlocal failed
            while (now := time.perf_counter()) < begun + seconds:
                async with session.post(who.bases[load.model] + load.path, json=load.body) as answer:
                    size = len(await answer.read())
                    failed += answer.status != 200 or size < load.least
                    times.append((time.perf_counter() - now) * 1000)

        await asyncio.gather(*(ask() for _ in range(load.connections)))
    spent = time.perf_counter() - begun
    p99 = statistics.quantiles(times, n=100)[98] if len(times) > 1 else times[0]
    return len(times) - failed, spent, statistics.median(times), p99, failed
