"""What a call costs, in things that are counted: the same on a busy machine as on a quiet one.

    python -m bench.smoke            exits 1 where a count is over the one in bench/baseline.json by more than 10 %
    python -m bench.smoke --write    after a change that is meant to cost, or that saves

The server runs in this process with everything on (a virtual key, routing, ledger, metrics), the upstream in another,
and one client calls after the other. Counted are the functions of Python's, and of C's called from Python, in all
threads of the server; and the blocks of memory that are still held after many calls, by which a leak shows. Each is
the least of several batches: what a timer did in between is in the others.
"""

from __future__ import annotations

import argparse
import gc
import http.client
import itertools
import json
import logging
import platform
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any
from urllib.parse import urlsplit

from bench.contenders import our_config, virtual_key
from bench.load import BYTES, SPEECH
from bench.processes import ROOT, Cores
from bench.upstreams import Pace, open_upstream
from tests.serving import config_of, serving

BASELINE = ROOT / "bench/baseline.json"
TOLERANCE = 1.1
HELD = 0.5
"""Blocks of memory that a call may leave behind: a list of numbers that grows is one for each, a record is ten."""

_STREAM = {**SPEECH, "model": "paced", "input": Pace(pieces=50, size=4096, every=0.002, first=0).text()}
KINDS: dict[str, tuple[str, dict[str, object], int]] = {
    "speech": ("/v1/audio/speech", SPEECH, 50),
    "speech in 50 pieces": ("/v1/audio/speech", _STREAM, 10),
    "a picture as base64": ("/v1/images/generations", BYTES, 25),
}
"""Path, body, and how often it is asked in a batch."""


class Counter:
    """Counts calls in every thread that starts while it is set; ``next`` is one step, so that none is lost."""

    def __init__(self) -> None:
        self._python = itertools.count()
        self._c = itertools.count()
        self._read = 0

    def __call__(self, _frame: FrameType, event: str, _arg: object) -> None:
        """An event of ``sys.setprofile``."""
        if event == "call":
            next(self._python)
        elif event == "c_call":
            next(self._c)

    def read(self) -> tuple[int, int]:
        """Python's and C's so far."""
        self._read += 1
        return next(self._python) - self._read, next(self._c) - self._read


class Client:
    """One connection that stays open."""

    def __init__(self, base: str, key: str) -> None:
        url = urlsplit(base)
        self._connection = http.client.HTTPConnection(url.hostname or "127.0.0.1", url.port or 80, timeout=60)
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}

    def ask(self, kind: str, times: int) -> None:
        """One after the other."""
        path, body, _ = KINDS[kind]
        for _ in range(times):
            self._connection.request("POST", path, json.dumps(body), self._headers)
            answer = self._connection.getresponse()
            content = answer.read()
            if answer.status != 200:
                raise SystemExit(f"{kind}: {answer.status} {content[:300]!r}")


@contextmanager
def counted() -> Iterator[tuple[Counter, str]]:
    """A server with a counter in its threads, and its address."""
    counter = Counter()
    logging.disable()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        upstream = open_upstream(folder, Cores(), stack, plain=True)
        threading.setprofile(counter)
        stack.callback(threading.setprofile, None)
        running = stack.enter_context(serving(config_of(our_config(upstream, folder))))
        yield counter, running.base


def counts(batches: int) -> dict[str, dict[str, float]]:
    """Calls of Python's and of C's for each request, the least of ``batches``."""
    found = {}
    with counted() as (counter, base):
        client = Client(base, virtual_key(base))
        for kind, (_, _, times) in KINDS.items():
            client.ask(kind, 10)
            least = [float("inf")] * 2
            for _ in range(batches):
                before = counter.read()
                client.ask(kind, times)
                now = counter.read()
                least = [min(old, (b - a) / times) for old, a, b in zip(least, before, now, strict=True)]
            found[kind] = {"python": round(least[0], 1), "c": round(least[1], 1)}
            print(f"{kind}: {least[0]:.1f} calls of Python functions, {least[1]:.1f} of C's", flush=True)
    return found


def held(times: int) -> float:
    """Blocks of memory that a call leaves behind."""
    logging.disable()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        upstream = open_upstream(folder, Cores(), stack, plain=True)
        running = stack.enter_context(serving(config_of(our_config(upstream, folder))))
        client = Client(running.base, virtual_key(running.base))
        client.ask("speech", times)
        left = float("inf")
        for _ in range(2):
            gc.collect()
            before = sys.getallocatedblocks()
            client.ask("speech", times)
            gc.collect()
            left = min(left, (sys.getallocatedblocks() - before) / times)
    print(f"speech: {left:.2f} blocks of memory are held after a call")
    return left


def over(found: dict[str, dict[str, float]], known: dict[str, dict[str, float]]) -> bool:
    """Print how they compare. Is one too much?"""
    bad = False
    for kind, counted_now in found.items():
        for whose, count in counted_now.items():
            share = count / known[kind][whose]
            bad |= share > TOLERANCE
            verdict = "OVER" if share > TOLERANCE else "ok  "
            print(f"{verdict} {kind}, {whose}: {share:.1%} of the {known[kind][whose]} known")
    return bad


def main() -> None:
    """Count, and compare or write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, default=8)
    parser.add_argument("--calls", type=int, default=1000, help="by which a leak is looked for")
    parser.add_argument("--write", action="store_true", help="write bench/baseline.json")
    options = parser.parse_args()
    version = ".".join(platform.python_version_tuple()[:2])
    kept: dict[str, Any] = json.loads(BASELINE.read_text()) if BASELINE.exists() else {}
    found = counts(options.batches)
    leaks = held(options.calls) > HELD
    if options.write:
        kept[version] = found
        BASELINE.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n")
        return
    if version not in kept:
        raise SystemExit(f"{BASELINE.name} has no counts for Python {version}: --write makes them")
    raise SystemExit(over(found, kept[version]) or leaks)


if __name__ == "__main__":
    main()
