"""Processes of a measurement: started on one core, watched for their time and memory, ended with the ``with``."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
_TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Cores:
    """Which core each part runs on. ``None``: wherever the system puts it."""

    gateway: str | None = None
    generator: str | None = None
    upstream: str | None = None


def cores(pin: bool) -> Cores:
    """The gateway alone on the first core; what asks and what answers on the second, or each on its own of three."""
    have = sorted(os.sched_getaffinity(0))
    if not pin or len(have) < 2 or shutil.which("taskset") is None:
        return Cores()
    return Cores(str(have[0]), str(have[1]), str(have[2 if len(have) > 2 else 1]))


def pinned(core: str | None, command: Sequence[str]) -> list[str]:
    """``command`` on ``core``."""
    return [*(["taskset", "-c", core] if core is not None else []), *command]


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@dataclass(frozen=True, slots=True)
class Process:
    """A server and its children."""

    pid: int
    log: Path

    def spent(self) -> float:
        """Processor seconds so far, of all of them."""
        return sum(_seconds(pid) for pid in self._all())

    def resident(self) -> float:
        """MB that are resident now; pages that several share are counted once, by halves."""
        return sum(_proportional(pid) for pid in self._all()) / 1024

    def _all(self) -> list[int]:
        found = [self.pid]
        for pid in found:
            for task in Path(f"/proc/{pid}/task").glob("*/children"):
                found += map(int, task.read_text().split())
        return found


def _seconds(pid: int) -> float:
    with suppress(FileNotFoundError, ProcessLookupError):
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / _TICK
    return 0.0


def _proportional(pid: int) -> int:
    with suppress(FileNotFoundError, ProcessLookupError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    return 0


@dataclass(frozen=True, slots=True)
class Start:
    """How to start one. It is up when ``url`` answers, with whatever status."""

    name: str
    command: Sequence[str]
    url: str
    folder: Path
    env: dict[str, str]
    core: str | None = None
    cwd: Path = ROOT


def start(what: Start, stack: ExitStack, patience: float = 120.0) -> Process:
    """Start it and wait until it listens; it ends with ``stack``."""
    log = what.folder / f"{what.name}.log"
    process = subprocess.Popen(
        pinned(what.core, what.command),
        stdout=stack.enter_context(log.open("w")),
        stderr=subprocess.STDOUT,
        env={**os.environ, **what.env},
        cwd=what.cwd,
    )
    stack.callback(_end, process)
    until = time.monotonic() + patience
    while not _answers(what.url):
        if process.poll() is not None or time.monotonic() > until:
            raise SystemExit(f"{what.name} does not start:\n{log.read_text()[-3000:]}")
        time.sleep(0.1)
    return Process(process.pid, log)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _answers(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=5).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True
