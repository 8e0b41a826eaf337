"""The vendor of the measurements: answers at once, with the same bytes, far faster than any gateway.

nginx where it is installed, else a server of Python's (slower: then the figures say more of it than of the gateways).
Beside it one that paces its answers: the text of a request says how (``Pace``), and its pieces say when they were sent.
"""

from __future__ import annotations

import asyncio
import base64
import io
import json
import os
import re
import shutil
import sys
import time
import urllib.request
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bench.processes import Cores, Process, Start, free_port, start

CLIP = 48 * 1024
"""Bytes of the speech, and about those of the picture as base64."""

SPEECH, WHOLE, ADDRESS = "v1/audio/speech", "v1/images/generations", "urls/v1/images/generations"
PICTURE = "picture.png"
_KINDS = {SPEECH: "audio/mpeg", WHOLE: "application/json", ADDRESS: "application/json", PICTURE: "image/png"}
STAMP = rb"\xff\xfb\x90\x64<(\d+)>"
"""What a paced answer begins with: when it was sent, by ``time.monotonic_ns``."""
_FRAME = b"\xff\xfb\x90\x64"  # what an mp3 begins with
_NGINX = """
worker_processes 1;
pid {folder}/{name}.pid;
error_log {folder}/{name}.err warn;
worker_rlimit_nofile 20000;
{user}
events {{ worker_connections 8192; }}
http {{
  access_log off;
  keepalive_requests 1000000000;
  keepalive_timeout 300s;
  client_body_buffer_size 1m;
  client_body_temp_path {folder}/{name}-body;
  proxy_temp_path {folder}/{name}-proxy;
  fastcgi_temp_path {folder}/{name}-1;
  uwsgi_temp_path {folder}/{name}-2;
  scgi_temp_path {folder}/{name}-3;
  tcp_nodelay on;
  {http}
}}
"""
_FILES = """
  sendfile on;
  open_file_cache max=100 inactive=1h;
  open_file_cache_valid 1h;
  error_page 405 =200 $uri;
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    root {folder}/files;
    location = /asked {{ stub_status; }}
    location = /v1/audio/speech {{ default_type audio/mpeg; }}
    location / {{ default_type application/json; }}
    location = /picture.png {{ default_type image/png; }}
  }}
"""


def nginx(name: str, http: str, folder: Path) -> list[str]:
    """The command of an nginx with ``http`` in its config."""
    config = folder / f"{name}.conf"
    user = "user root;" if os.geteuid() == 0 else ""
    config.write_text(_NGINX.format(folder=folder, name=name, user=user, http=http))
    return ["nginx", "-c", str(config), "-g", "daemon off;"]


@dataclass(frozen=True, slots=True)
class Upstream:
    """``fast`` answers at once, ``paced`` as it is told. Both are base addresses without ``/v1``."""

    fast: str
    paced: str
    made_of: str
    process: Process

    def asked(self) -> int | None:
        """How often ``fast`` was asked so far, where it knows."""
        if self.made_of != "nginx":
            return None
        with urllib.request.urlopen(f"{self.fast}/asked", timeout=10) as answer:
            counted = re.search(rb"requests\s+\d+ \d+ (\d+)", answer.read())
        return int(counted[1]) if counted else None


def files(folder: Path, base: str) -> None:
    """What is answered: an mp3's first bytes and noise, a picture as bytes, and a picture's address."""
    from PIL import Image

    side = 110  # of noise, which does not get smaller: 36 KB, 48 as base64
    made = io.BytesIO()
    Image.frombytes("RGB", (side, side), os.urandom(side * side * 3)).save(made, "png")
    whole = {"b64_json": base64.b64encode(made.getvalue()).decode()}
    _keep(folder / SPEECH, _FRAME + os.urandom(CLIP - len(_FRAME)))
    _keep(folder / PICTURE, made.getvalue())
    _keep(folder / WHOLE, json.dumps({"created": 1763700000, "data": [whole]}).encode())
    _keep(folder / ADDRESS, json.dumps({"created": 1763700000, "data": [{"url": f"{base}/{PICTURE}"}]}).encode())


def _keep(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def open_upstream(folder: Path, where: Cores, stack: ExitStack, *, plain: bool = False) -> Upstream:
    """Start both. ``plain``: Python's does for both, whose answers come in the same pieces everywhere."""
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    files(folder / "files", base)
    slow = free_port()
    python = [sys.executable, "-m", "bench.upstreams", str(slow), str(folder / "files")]
    paced = f"http://127.0.0.1:{slow}"
    process = start(Start("paced", python, paced, folder, {}, where.upstream), stack)
    if plain or shutil.which("nginx") is None:
        return Upstream(paced, paced, "Python (slow: put nginx there for fair figures)", process)
    command = nginx("upstream", _FILES.format(port=port, folder=folder), folder)
    fast = start(Start("upstream", command, f"{base}/asked", folder, {}, where.upstream), stack)
    return Upstream(base, paced, "nginx", fast)


@dataclass(frozen=True, slots=True)
class Pace:
    """``pieces`` of ``size`` bytes, one each ``every`` seconds, the first after ``first``."""

    pieces: int
    size: int
    every: float
    first: float

    def text(self) -> str:
        """As the text to speak."""
        return f"{self.pieces} pieces of {self.size} bytes, one each {self.every} s, the first after {self.first} s"

    @classmethod
    def of(cls, body: bytes) -> Pace | None:
        """What a request asks for."""
        found = re.search(rb"(\d+) pieces of (\d+) bytes, one each ([\d.]+) s, the first after ([\d.]+) s", body)
        return None if found is None else cls(int(found[1]), int(found[2]), float(found[3]), float(found[4]))


class _Server:
    """Raw HTTP/1.1, as much of it as is needed."""

    def __init__(self, files: Path) -> None:
        self.noise = os.urandom(1 << 16)
        self.answers = {f"/{path}".encode(): _whole((files / path).read_bytes(), kind) for path, kind in _KINDS.items()}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            last = False
            while not last:
                head = await reader.readuntil(b"\r\n\r\n")
                last = b"\nconnection: close" in head.lower()
                length = re.search(rb"content-length: *(\d+)", head, re.IGNORECASE)
                body = await reader.readexactly(int(length[1]) if length else 0)
                pace = Pace.of(body)
                if pace is None:
                    writer.write(self.answers.get(head.split(b" ", 2)[1], _whole(b"", "text/plain")))
                else:
                    await self.paced(writer, pace)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def paced(self, writer: asyncio.StreamWriter, pace: Pace) -> None:
        await asyncio.sleep(pace.first)
        size = pace.pieces * pace.size
        head = f"HTTP/1.1 200 OK\r\ncontent-type: audio/mpeg\r\ncontent-length: {size}\r\n\r\n".encode()
        stamp = _FRAME + b"<%d>" % time.monotonic_ns()
        whole, rest = divmod(pace.size, len(self.noise))
        piece = self.noise * whole + self.noise[:rest]
        writer.write(head + stamp + piece[len(stamp) :])
        for _ in range(pace.pieces - 1):
            await writer.drain()
            if pace.every:
                await asyncio.sleep(pace.every)
            writer.write(piece)


def _whole(body: bytes, kind: str) -> bytes:
    return f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body


async def _listen(port: int, files: Path) -> None:
    server = await asyncio.start_server(_Server(files).serve, "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    import resource

    import uvloop

    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    uvloop.run(_listen(int(sys.argv[1]), Path(sys.argv[2])))
