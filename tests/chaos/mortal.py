"""A gateway that kills itself with SIGKILL at a named boundary, and what starts one after another.

    python -m tests.chaos.mortal            # reads {"config", "port", "die", "note"} a line, answers a line

The whole of the gateway is imported once; each line then forks a process that serves until it is killed: the real
server on a socket, with its database and files. ``die`` is [boundary, how many-th] or null; ``note`` is a file that gets
the name of each boundary passed. Boundaries count from the first POST on, so that a start is not one of them.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import sys
import threading
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from gateway import database, server
from gateway.api.fastlane import Fastlane
from gateway.blobs import files
from gateway.config import load_config
from providers.base import sending, wire
from tests.chaos.hurry import hurry


class Fate:
    """Where this process dies."""

    def __init__(self, die: tuple[str, int] | None, note: str | None) -> None:
        self.armed = False
        self._die = die
        self._note = os.open(note, os.O_WRONLY | os.O_CREAT | os.O_APPEND) if note else None
        self._passed: Counter[str] = Counter()
        self._lock = threading.Lock()  # commits are made on a thread

    def boundary(self, name: str) -> None:
        with self._lock:
            if not self.armed:
                return
            self._passed[name] += 1
            if self._note is not None:
                os.write(self._note, f"{name}\n".encode())
            if self._die == (name, self._passed[name]):
                os.kill(os.getpid(), signal.SIGKILL)


class MortalDb:
    """SQLite's connection: a boundary before and after each COMMIT, named after what is committed."""

    def __init__(self, db: sqlite3.Connection, fate: Fate) -> None:
        self._db = db
        self._fate = fate
        self._what: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._db, name)

    def execute(self, sql: str, given: Any = ()) -> sqlite3.Cursor:
        if sql == "COMMIT":
            name = f"commit {self._what[0] if self._what else 'nothing'}"
            self._what.clear()
            self._fate.boundary(f"{name}: before")
            cursor = self._db.execute(sql)
            self._fate.boundary(f"{name}: after")
            return cursor
        if sql.startswith("INSERT INTO history"):
            self._what.insert(0, given[3])
        elif sql.startswith("UPDATE jobs SET version"):
            self._what.append("look")
        elif sql.startswith("INSERT OR REPLACE INTO blobs"):
            self._what.append("blob")
        return self._db.execute(sql, given)

    def executemany(self, sql: str, given: Any) -> sqlite3.Cursor:
        if sql.startswith("UPDATE jobs SET lease") and given:
            self._what.append("claim")
        return self._db.executemany(sql, given)


def around(owner: Any, name: str, fate: Fate, called: Callable[..., str | None], *, awaited: bool = True) -> None:
    """A boundary before and after each call of a function, named by ``called`` from its arguments (None: no boundary)."""
    inner = getattr(owner, name)

    async def later(*given: Any, **named: Any) -> Any:
        if (what := called(*given)) is None:
            return await inner(*given, **named)
        fate.boundary(f"{what}: before")
        found = await inner(*given, **named)
        fate.boundary(f"{what}: after")
        return found

    def at_once(*given: Any, **named: Any) -> Any:
        what = called(*given)
        fate.boundary(f"{what}: before")
        found = inner(*given, **named)
        fate.boundary(f"{what}: after")
        return found

    setattr(owner, name, later if awaited else at_once)


def exchange_of(method: str, url: str) -> str | None:
    if "/out/" in url:
        return "download"
    return {"POST": "submit", "GET": "poll"}.get(method)


def mortal(fate: Fate) -> None:
    """Lay the boundaries around what this process writes and sends."""
    opened = database._open

    def opens(path: Path, schema: database.Schema) -> Any:
        db = opened(path, schema)
        return MortalDb(db, fate) if path.stem in ("jobs", "blobs") else db

    database._open = opens
    around(wire.Wire, "call", fate, lambda _, exchange: exchange_of(exchange.method, exchange.url))
    around(
        wire.Wire, "_large", fate, lambda _, flight, exchange, *__: f"{exchange_of(exchange.method, exchange.url)} head"
    )
    around(sending.Sender, "send", fate, lambda _, method, url, *__: f"{exchange_of(method, str(url))} head")
    written = sending.write

    def passing(transport: Any, head: bytes, body: bytes | None) -> None:
        written(transport, head, body)
        method, url = head.split(b" ", 2)[:2]
        fate.boundary(f"{exchange_of(method.decode(), url.decode())} request: written")

    sending.write = passing
    around(files.FileBlobs, "put", fate, lambda *_: "blob")
    around(files, "_flush", fate, lambda _: "blob bytes", awaited=False)
    files.SMALL = 2000  # so that films and speech are files, and pictures rows
    serve = Fastlane.__call__

    async def served(lane: Fastlane, scope: Any, receive: Any, send: Callable[[Any], Awaitable[None]]) -> None:
        async def answer(message: Any) -> None:
            part = "head" if message["type"] == "http.response.start" else "body"
            fate.boundary(f"answer {part}: before")
            await send(message)
            fate.boundary(f"answer {part}: after")

        if scope["type"] == "http" and scope["method"] == "POST":
            fate.armed = True
            await serve(lane, scope, receive, answer)
        else:
            await serve(lane, scope, receive, send)

    Fastlane.__call__ = served


def say(**what: Any) -> None:
    os.write(1, json.dumps(what).encode() + b"\n")


def live(order: dict[str, Any]) -> None:
    """The life of one gateway."""
    fate = Fate(tuple(order["die"]) if order["die"] else None, order["note"])
    mortal(fate)
    gateway = server.make_server(load_config(Path(order["config"])), "127.0.0.1", order["port"])
    started = gateway.startup

    async def startup(sockets: Any = None) -> None:
        await started(sockets)
        say(event="up", pid=os.getpid(), base=server.url(gateway.servers[0].sockets[0]))

    gateway.startup = startup
    gateway.run()


def main() -> None:
    """Fork a gateway for each line."""
    hurry()
    for line in sys.stdin:
        pid = os.fork()
        if not pid:
            try:
                live(json.loads(line))
            finally:
                os._exit(1)
        _, status = os.waitpid(pid, 0)
        say(event="ended", pid=pid, signal=os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0)


if __name__ == "__main__":
    main()
