"""Runs every client against one gateway process and writes docs/clients.md.

    python -m tests.acceptance.run [--only NAME …] [--fresh]

``--only`` runs some and writes nothing; ``--fresh`` makes the environments anew, with the newest versions. Ends with 1
where anything failed.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from tempfile import TemporaryDirectory, TemporaryFile

from tests.acceptance.clients import CLIENTS, Client
from tests.acceptance.environments import HERE, ROOT, Unavailable, command
from tests.acceptance.page import ENDPOINTS, Ran, Tried, page
from tests.upstreams.openai import OpenAI

READY_WITHIN = 60.0


@contextmanager
def gateway() -> Iterator[Mapping[str, str]]:
    """The gateway as people start it, in a process of its own; what clients need to know of it."""
    with OpenAI(seconds=0.5) as stand_in, TemporaryDirectory() as folder, TemporaryFile() as log:
        key = f"sk-acceptance-{secrets.token_hex(12)}"
        known = {"GATEWAY_KEY": key, "GATEWAY_DATA": f"{folder}/data"}
        env = {**os.environ, **known, "STAND_IN": stand_in.base, "STAND_IN_KEY": stand_in.key}
        port = _free_port()
        words = [sys.executable, "-m", "gateway", "serve", "-c", str(HERE / "config.yaml"), "--port", str(port)]
        process = subprocess.Popen(words, cwd=ROOT, env=env, stdout=log, stderr=subprocess.STDOUT)
        try:
            url = f"http://127.0.0.1:{port}"
            if not _ready(url, process):
                log.seek(0)
                sys.exit(f"the gateway did not start:\n{log.read().decode()}")
            yield {"GATEWAY_URL": url, "GATEWAY_KEY": key}
        finally:
            process.terminate()
            process.wait(30)


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def _ready(url: str, process: subprocess.Popen[bytes]) -> bool:
    until = time.monotonic() + READY_WITHIN
    while process.poll() is None and time.monotonic() < until:
        try:
            with urllib.request.urlopen(f"{url}/readyz", timeout=5):
                return True
        except urllib.error.URLError:
            time.sleep(0.1)
    return False


def run(client: Client, about: Mapping[str, str], *, fresh: bool) -> Ran:
    """One client's own words. What it could not say (no environment, an end before its time) is a failure of its own."""
    began = time.monotonic()
    try:
        words = command(client, fresh=fresh)
    except Unavailable as error:
        return Ran(client, (), str(error))
    print(f"  {client.name}: environment {time.monotonic() - began:.0f} s", file=sys.stderr)
    # Nothing of this machine's own: no key or address that a client's library would find in the environment.
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    with TemporaryFile() as out, TemporaryFile() as err, TemporaryDirectory() as folder:
        try:
            done = subprocess.run(
                words, cwd=folder, env={**kept, **about}, stdout=out, stderr=err, timeout=client.seconds, check=False
            )
            fault = f"ended with exit status {done.returncode}" if done.returncode else ""
        except subprocess.TimeoutExpired:
            fault = f"did not end within {client.seconds:.0f} s"
        out.seek(0)
        lines, strays = _lines(out.read().decode("utf-8", "replace"))
        err.seek(0)
        said = err.read().decode("utf-8", "replace")
    if not (lines or fault):
        fault = "tried nothing"
    if strays and (fault or not all(each.ok for each in lines)):
        print("\n".join(strays), file=sys.stderr)
    if fault or not all(each.ok for each in lines):
        print(said[-6000:], file=sys.stderr)
    return Ran(client, tuple(lines), fault)


def _lines(text: str) -> tuple[list[Tried], list[str]]:
    found, strays = [], []
    for line in text.splitlines():
        try:
            tried = Tried(**json.loads(line))
        except (ValueError, TypeError):
            strays.append(line)  # a library's own word
            continue
        if tried.endpoint not in ENDPOINTS:
            raise SystemExit(f"{line}: endpoint is one of {', '.join(ENDPOINTS)}")
        found.append(tried)
    return found, strays


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", action="append", choices=[client.name for client in CLIENTS], default=[])
    parser.add_argument("--fresh", action="store_true")
    given = parser.parse_args()
    chosen = [client for client in CLIENTS if not given.only or client.name in given.only]
    with gateway() as about:
        results = [run(client, about, fresh=given.fresh) for client in chosen]
    for each in results:
        good = sum(tried.ok for tried in each.tried)
        print(f"{each.client.name:28} {each.version:14} {good} of {len(each.tried)} {each.fault}")
        for tried in each.tried:
            if not tried.ok:
                print(f"    FAILED {tried.endpoint}: {tried.call}: {tried.detail}")
    if not given.only:
        (ROOT / "docs" / "clients.md").write_text(page(results), "utf-8")
    return 0 if all(each.ok for each in results) else 1


if __name__ == "__main__":
    sys.exit(main())
