"""The log: one line an event on standard error, for people or as JSON, written by a thread of its own.

Whoever reads the other end of the pipe may be slow, or not there at all: the calls do not wait for him. What does not
fit into the queue is counted, and the count is logged.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import sqlite3
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import IO, Any, Literal

from gateway.database import StoreError
from gateway.errors import GatewayError
from gateway.services.hooks import HookError
from gateway.telemetry.redaction import Redactor
from providers.base.errors import ProviderError

LogFormat = Literal["console", "json"]

QUEUE = 8 * 1024 * 1024
"""Characters that wait for the reader; further lines are dropped."""

GATHER_SECONDS = 0.02
"""How long the thread rests between two looks at what is to be written."""

_TOGETHER = 200  # lines written at once, at most
_EACH = 64  # what a line needs beside its characters

FLUSH_SECONDS = 2.0
"""How long an ending process waits for the reader."""

_encode = json.JSONEncoder(ensure_ascii=False, default=str).encode

# Exceptions whose words are never a caller's or a vendor's.
_PLAIN = (OSError, ImportError, sqlite3.Error, StoreError, HookError)


@dataclass(slots=True)
class Line:
    """One event. ``fields`` are made where somebody writes them."""

    at: float
    level: str
    logger: str
    message: str
    trace: str = ""
    fields: Callable[[], Mapping[str, Any]] | None = None


class Sink(logging.Handler):
    """Hands lines to the thread that writes them to ``stream``: as text, since an event holds all that its call did.

    ``words``: the words of errors are written too; they may quote what a caller sent. ``size``: characters that may
    wait. ``dropped`` counts the lines that did not fit.
    """

    def __init__(
        self,
        stream: IO[str],
        render: Callable[[Line], str],
        *,
        redact: Redactor | None = None,
        words: bool = False,
        size: int = QUEUE,
    ) -> None:
        super().__init__()
        self._write = _writer(stream)
        self._render = render
        self._redact = redact or Redactor()
        self._words = words
        # A handler of a signal may log while a line is being put here: no other queue can bear that.
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._size = size
        self._given = self._taken = 0  # characters: the one is counted by whoever logs, the other by the thread
        self.dropped = 0
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Never waits."""
        try:
            line = self._line(record)
        except (TypeError, ValueError, KeyError):
            text = f"{record.msg} -- its arguments do not fit"
            line = Line(record.created, record.levelname, record.name, text)
        text = self._render(line)
        size = len(text) + _EACH
        if self._given - self._taken + size > self._size:
            self.dropped += 1
            return
        self._given += size
        self._lines.put(text)

    def close(self) -> None:
        """Let the thread finish; a reader who does not read is not waited for. Twice is harmless."""
        self._lines.put(None)
        self._thread.join(FLUSH_SECONDS)
        super().close()

    def _line(self, record: logging.LogRecord) -> Line:
        message = str(record.msg)
        if record.args:
            message %= record.args if self._words else _quiet(record.args)
        fault = record.exc_info[1] if record.exc_info else None
        trace = "" if fault is None else _trace(fault, words=self._words)
        return Line(record.created, record.levelname, record.name, message, trace, getattr(record, "fields", None))

    def _run(self) -> None:
        told, at = 0, time.monotonic()
        more = True
        while more:
            lines, more = self._take()
            self._out(lines)
            dropped, now = self.dropped, time.monotonic()
            # Not after each line: that would make the log longer still.
            if dropped > told and (not more or self._lines.empty() or now - at > 1):
                text = f"{dropped - told} lines of the log were dropped: nobody read them fast enough"
                self._out([self._render(Line(time.time(), "WARNING", __name__, text))])
                told, at = dropped, now
            if more:
                time.sleep(GATHER_SECONDS)  # to be woken for each line would cost more than to write it

    def _take(self) -> tuple[list[str], bool]:
        """The next lines, and whether there will be more."""
        lines: list[str] = []
        with suppress(queue.Empty):
            while len(lines) < _TOGETHER:
                line = self._lines.get(block=not lines)
                if line is None:
                    return lines, False
                self._taken += len(line) + _EACH
                lines.append(line)
        return lines, True

    def _out(self, lines: Sequence[str]) -> None:
        if lines:
            self._write(self._redact("\n".join(lines)) + "\n")


def configure_logging(
    level: str, form: LogFormat = "console", *, secrets: Iterable[str] = (), words: bool = False
) -> Sink:
    """Log to standard error. ``level`` is a name of the standard library's; ``secrets`` are masked wherever they stand.

    ``words``: see ``Sink``.
    """
    # What no line of ours says need not be found out for each.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    root = logging.getLogger()
    for handler in root.handlers[:]:
        root.removeHandler(handler)
        handler.close()
    sink = Sink(sys.stderr, as_json if form == "json" else as_text, redact=Redactor(secrets), words=words)
    root.addHandler(sink)
    root.setLevel(level.upper())
    # uvicorn repeats at INFO what we say ourselves.
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    return sink


def as_text(line: Line) -> str:
    """For people."""
    at = _clock(int(line.at))
    # A line end in a message would let its sender write lines of his own.
    text = f"{line.message}\n{line.trace.rstrip()}" if line.trace else line.message
    return f"{at} {line.level:<7} {text}".replace("\r", "\\r").replace("\n", "\n    ")


@lru_cache(8)
def _clock(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(second))


def as_json(line: Line) -> str:
    """One object, on one line."""
    at = datetime.fromtimestamp(line.at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    trace = {"stacktrace": line.trace} if line.trace else {}
    told = {"timestamp": at, "level": line.level, "logger": line.logger, "message": line.message}
    return _encode({**told, **trace, **(line.fields() if line.fields else {})})


def _quiet(args: Any) -> Any:
    if isinstance(args, Mapping):
        return {name: _named(value) for name, value in args.items()}
    return tuple(_named(value) for value in args)


def _named(value: Any) -> Any:
    """An exception without its words: a vendor's may quote the prompt, and a parser's what it could not parse."""
    if not isinstance(value, BaseException) or isinstance(value, _PLAIN):
        return value
    code = value.code if isinstance(value, ProviderError | GatewayError) else ""
    return f"{type(value).__name__} ({code})" if code else type(value).__name__


def _trace(fault: BaseException, *, words: bool) -> str:
    if words:
        return "".join(traceback.format_exception(fault))
    parts, seen = [], set[int]()
    error: BaseException | None = fault
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        parts.append("".join([*traceback.format_tb(error.__traceback__), _head(error)]))
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return "\nwhich came from\n".join(parts)


def _head(error: BaseException) -> str:
    named = _named(error)
    return named if isinstance(named, str) else f"{type(error).__name__}: {error}"


def _writer(stream: IO[str]) -> Callable[[str], None]:
    """Straight to the descriptor where there is one: a thread that is stuck in a stream would hold its lock, and with
    it the end of the process."""
    try:
        descriptor: int | None = stream.fileno()
    except (OSError, ValueError, AttributeError):
        descriptor = None

    def write(text: str) -> None:
        try:
            if descriptor is None:
                stream.write(text)
                stream.flush()
                return
            data = memoryview(text.encode("utf-8", "backslashreplace"))
            while data:
                data = data[os.write(descriptor, data) :]
        except (OSError, ValueError):
            pass  # whoever read it has gone, and there is nobody else to tell

    return write
