"""What the server holds in memory: idle, under load, with large answers, with readers who stop, with large pictures.

    python bench/memory.py

Starts a server before an OpenAI of its own that answers at once, and reads the server's resident memory (``/proc``, so
Linux): at the peak of each part, and once it is over. Exits 1 where a limit is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os
import re
import resource
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import aiohttp

MIB = 1024 * 1024
KEY = "sk-for-the-bench-only"
CONFIG = """
model_list:
  - {{model_name: voice, litellm_params: {{model: openai/tts-1, api_base: "{base}/v1", api_key: none}}}}
  - {{model_name: painter, litellm_params: {{model: openai/gpt-image-1, api_base: "{base}/v1", api_key: none}}}}
litellm_settings: {{callbacks: [prometheus]}}
general_settings: {{data_dir: {data}, master_key: {key}, max_connections: 10000, stall_timeout: 300}}
"""
PICTURE = b"\x89PNG\r\n\x1a\n" + os.urandom(64 * 1024)


async def upstream() -> None:
    """OpenAI: sound of as many bytes, or a picture of as many, as the text says. Prints its port."""
    sound, drawn = os.urandom(64 * 1024), {}

    def picture(size: int) -> bytes:
        if size not in drawn:
            whole = (PICTURE * (size // len(PICTURE) + 1))[:size]
            text = base64.b64encode(whole).decode()
            usage = {"input_tokens": 10, "output_tokens": 1000, "total_tokens": 1010}
            drawn[size] = json.dumps({"created": 1, "data": [{"b64_json": text}], "usage": usage}).encode()
        return drawn[size]

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = re.search(rb"(?i)content-length: (\d+)", head)
                asked = json.loads(await reader.readexactly(int(length[1]) if length else 0))
                if "prompt" in asked:
                    body, size, media = picture(int(asked["prompt"])), 0, "application/json"
                    size = len(body)
                else:
                    body, size, media = sound, int(asked["input"]), "audio/pcm"
                start = f"HTTP/1.1 200 OK\r\ncontent-type: {media}\r\ncontent-length: {size}\r\n\r\n"
                writer.write(start.encode())
                for place in range(0, size, len(sound)):
                    count = min(len(sound), size - place)
                    writer.write(body[:count] if body is sound else body[place : place + count])
                    await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=2048)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


class Server:
    """The server and what it holds."""

    def __init__(self, base: str, pid: int) -> None:
        self.base = base
        self.host, port = base.removeprefix("http://").split(":")
        self.port = int(port)
        self._pid = pid

    def resident(self, name: str = "VmRSS") -> float:
        """MiB now, or (``VmHWM``) at most since ``forget``."""
        return int(re.search(rf"{name}:\s+(\d+)", Path(f"/proc/{self._pid}/status").read_text())[1]) / 1024

    def spent(self) -> float:
        """Processor seconds so far."""
        fields = Path(f"/proc/{self._pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def forget(self) -> None:
        """Begin a new peak."""
        Path(f"/proc/{self._pid}/clear_refs").write_text("5")

    async def settled(self, below: float, seconds: float = 10.0) -> float:
        """What it holds once it holds no more than ``below``, or after a while."""
        end = time.monotonic() + seconds
        while (held := self.resident()) > below and time.monotonic() < end:  # noqa: ASYNC110 - of another process
            await asyncio.sleep(0.2)
        return held


def serve(stack: ExitStack) -> Server:
    """Start both; they end with ``stack``."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    vendor = subprocess.Popen([sys.executable, __file__, "--upstream"], stdout=subprocess.PIPE, text=True)
    stack.callback(vendor.wait)
    stack.callback(vendor.kill)
    assert vendor.stdout is not None
    config, log = folder / "config.yaml", folder / "log"
    config.write_text(CONFIG.format(base=f"http://127.0.0.1:{int(vendor.stdout.readline())}", data=folder, key=KEY))
    command = [sys.executable, "-m", "gateway", "serve", "-c", str(config), "--port", "0"]
    process = subprocess.Popen(command, stderr=stack.enter_context(log.open("w")))
    stack.callback(process.wait)
    stack.callback(process.kill)
    while not (found := re.search(r"listening on (\S+)", log.read_text())):
        if process.poll() is not None:
            raise SystemExit(log.read_text())
        time.sleep(0.05)
    return Server(found[1], process.pid)


def speech(size: int) -> dict[str, str]:
    """A call for so many bytes of sound."""
    return {"model": "voice", "input": str(size), "voice": "alloy", "response_format": "pcm"}


@asynccontextmanager
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    """An ordinary caller."""
    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=None)
    headers = {"authorization": f"Bearer {KEY}"}
    async with aiohttp.ClientSession(headers=headers, connector=connector, timeout=timeout) as session:
        yield session


async def take(session: aiohttp.ClientSession, url: str, body: dict[str, object], least: int) -> None:
    """One answer, read to its end and thrown away."""
    async with session.post(url, json=body) as answer:
        size = 0
        async for piece in answer.content.iter_any():
            size += len(piece)
        if answer.status != 200 or size < least:
            raise RuntimeError(f"{answer.status}, {size} bytes: {piece[:300]!r}")


async def load(server: Server, seconds: float) -> None:
    """64 connections that ask for 48 KB again and again."""
    end = time.monotonic() + seconds
    async with client() as session:

        async def ask() -> None:
            while time.monotonic() < end:
                await take(session, f"{server.base}/v1/audio/speech", speech(48_000), 48_000)

        await asyncio.gather(*(ask() for _ in range(64)))


async def clips(server: Server) -> None:
    """20 ordinary readers of 20 MB each."""
    async with client() as session:
        body = speech(20 * MIB)
        await asyncio.gather(*(take(session, f"{server.base}/v1/audio/speech", body, 20 * MIB) for _ in range(20)))


async def stopped(server: Server, count: int) -> None:
    """Readers who take 64 KB of 20 MB and then nothing; meanwhile somebody else is served."""
    body = json.dumps(speech(20 * MIB)).encode()
    head = (
        f"POST /v1/audio/speech HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\ncontent-length: {len(body)}\r\n"
    )
    loop = asyncio.get_running_loop()

    async def begin() -> socket.socket:
        each = socket.socket()
        each.settimeout(0)
        each.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
        await loop.sock_connect(each, (server.host, server.port))
        await loop.sock_sendall(each, f"{head}\r\n".encode() + body)
        taken = b""
        while len(taken) < 64 * 1024:
            taken += await loop.sock_recv(each, 16 * 1024)
        if not taken.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(taken[:300].decode())
        return each

    readers = []
    try:
        async with asyncio.timeout(60):
            for _ in range(0, count, 50):
                readers += await asyncio.gather(*(begin() for _ in range(50)))
            await asyncio.sleep(2)
            async with client() as session:
                await take(session, f"{server.base}/v1/audio/speech", speech(MIB), MIB)
    except TimeoutError:
        raise RuntimeError(f"only {len(readers)} of {count} readers were served, or nobody beside them") from None
    finally:
        for each in readers:
            each.close()


def pictures(form: str, count: int) -> Callable[[Server], Awaitable[None]]:
    """So many pictures of 10 MB at once."""

    async def ask(server: Server) -> None:
        body = {"model": "painter", "prompt": str(10 * MIB), "response_format": form}
        least = 10 * MIB if form == "b64_json" else 1
        async with client() as session:
            url = f"{server.base}/v1/images/generations"
            await asyncio.gather(*(take(session, url, body, least) for _ in range(count)))

    return ask


async def measure(server: Server, options: argparse.Namespace) -> bool:
    """Every part, and a line for each. Whether all are within their limits."""
    idle = server.resident()
    print(f"{'part':44} {'before':>7} {'peak':>7} {'after':>7}   limit (MiB)")
    print(f"{'idle':44} {'':7} {idle:7.0f} {'':7}   {options.idle:.0f}")
    good = idle <= options.idle
    drawn, stopping = options.pictures, options.readers
    parts: list[tuple[str, Callable[[Server], Awaitable[None]], str, float]] = [
        ("48 KB of speech, 64 connections", lambda each: load(each, options.seconds), "in all", 150),
        ("20 clips of 20 MB at once", clips, "more", 30),
        (f"{stopping} readers who stop within 20 MB", lambda each: stopped(each, stopping), "more", stopping / 4),
        (f"{drawn} pictures of 10 MB at once, as base64", pictures("b64_json", drawn), "more", 150),
        (f"{drawn} pictures of 10 MB at once, as addresses", pictures("url", drawn), "more", 150),
    ]
    for name, part, kind, limit in parts:
        if options.only and options.only not in name:
            continue
        before = server.resident()
        server.forget()
        began, spent = time.monotonic(), server.spent()
        await part(server)
        peak, seconds = server.resident("VmHWM"), time.monotonic() - began
        spent = server.spent() - spent
        after = await server.settled(before + options.back)
        most = limit if kind == "in all" else before + limit
        fits = peak <= most and after <= before + (limit if kind == "in all" else options.back)
        good = good and fits
        told = f"{limit:.0f} {kind}" + ("" if kind == "in all" else f", {options.back:.0f} after")
        print(f"{name:44} {before:7.0f} {peak:7.0f} {after:7.0f}   {told}{'' if fits else ': missed'}")
        print(f"{'':44} {seconds:.0f} s, {spent:.1f} s of processor")
    return good


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--upstream", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=float, default=10.0, help="of speech")
    parser.add_argument("--readers", type=int, default=1000)
    parser.add_argument("--pictures", type=int, default=100)
    parser.add_argument("--idle", type=float, default=90.0, help="MiB when nobody has called")
    parser.add_argument("--back", type=float, default=40.0, help="MiB that may stay after a part")
    parser.add_argument("--only", help="parts with these words in their names")
    options = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if options.upstream:
        asyncio.run(upstream())
    with ExitStack() as stack:
        raise SystemExit(not asyncio.run(measure(serve(stack), options)))


if __name__ == "__main__":
    main()
