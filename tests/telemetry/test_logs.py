"""The log: its two forms, what never stands in it, and that nobody waits for its reader."""

from __future__ import annotations

import io
import json
import logging
import os
import re
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from pydantic import BaseModel, ValidationError

from gateway.database import StoreError
from gateway.errors import InvalidRequest
from gateway.telemetry.logs import Line, Sink, as_json, as_text
from gateway.telemetry.redaction import Redactor, secrets_of
from providers.base.errors import PolicyViolation
from tests.serving import config_of

CANARY = "CANARY-77ab"


@contextmanager
def logging_to(out: io.StringIO, render: Callable[[Line], str] = as_json, **more: object) -> Iterator[logging.Logger]:
    logger = logging.Logger("test")  # noqa: LOG001 - none that others share
    sink = Sink(out, render, **more)
    logger.addHandler(sink)
    try:
        yield logger
    finally:
        sink.close()


def objects(out: io.StringIO) -> list[dict]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_one_object_a_line() -> None:
    out = io.StringIO()
    with logging_to(out) as logger:
        logger.info("it is\n%s", "über", extra={"fields": lambda: {"request_id": "r", "used": {"characters": 5}}})
        try:
            raise OSError(28, "disk full")
        except OSError:
            logger.exception("it broke")
    first, second = objects(out)
    assert first["message"] == "it is\nüber"
    assert (first["level"], first["logger"], first["request_id"]) == ("INFO", "test", "r")
    assert first["used"] == {"characters": 5}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", first["timestamp"])
    assert second["stacktrace"].endswith("OSError: [Errno 28] disk full")


def test_nobody_writes_lines_of_his_own() -> None:
    out = io.StringIO()
    with logging_to(out, as_text) as logger:
        logger.info("%s", "a\r\n2026-01-01T00:00:00+0000 INFO    forged")
    lines = out.getvalue().splitlines()
    assert len(lines) == 2
    assert lines[1].startswith("    2026")


def faults() -> list[BaseException]:
    class Body(BaseModel):
        prompt: int

    try:
        Body.model_validate({"prompt": CANARY})
    except ValidationError as error:
        parsed = error
    return [
        PolicyViolation(f"Vendor refused the request: {CANARY} is rude", sent="yes"),
        InvalidRequest(f"Invalid value for 'input': got ['{CANARY}']"),
        KeyError(CANARY),
        parsed,
    ]


@pytest.mark.parametrize("fault", faults(), ids=lambda fault: type(fault).__name__)
@pytest.mark.parametrize("render", [as_text, as_json])
def test_the_words_of_errors_stay_out(render: Callable[[Line], str], fault: BaseException) -> None:
    for words in (False, True):
        out = io.StringIO()
        with logging_to(out, render, words=words) as logger:
            logger.info("cannot answer (%s)", fault)
            logger.info("cannot answer %(why)r", {"why": fault})
            try:
                raise RuntimeError(CANARY) from fault
            except RuntimeError:
                logger.exception("it broke")
        assert (CANARY in out.getvalue()) is words
        assert type(fault).__name__ in out.getvalue()
        assert words or getattr(fault, "code", "") in out.getvalue()


def test_the_words_of_the_disk_are_told() -> None:
    out = io.StringIO()
    with logging_to(out) as logger:
        logger.error("the store does not answer: %s", StoreError("disk I/O error"))
    assert objects(out)[0]["message"] == "the store does not answer: disk I/O error"


def test_keys_are_masked_wherever_they_stand() -> None:
    config = config_of(
        """
model_list:
  - {model_name: a, params: {model: runwayml/gen4_image, api_key: 'vendor/"key"+1'}}
general_settings: {master_key: master-key-1, webhook_url: 'https://a.example', webhook_secret: whsec_MDEyMzQ1Njc4OWFiY2RlZg==}
"""
    )
    env = {"SOME_API_KEY": "from-the-environment", "HOME": "/a/home", "SHORT_KEY": "US", "SORT_KEY": "timestamp"}
    secrets = secrets_of(config, env)
    assert secrets == {
        'vendor/"key"+1',
        "master-key-1",
        "whsec_MDEyMzQ1Njc4OWFiY2RlZg==",
        "from-the-environment",
        "US",
    }
    out = io.StringIO()
    leaks = ["vendor%2F%22key%22%2B1", "sk-abcdef123456", *secrets - {"US"}]
    with logging_to(out, redact=Redactor(secrets)) as logger:
        for leak in leaks:
            logger.info("a %s b", leak, extra={"fields": lambda leak=leak: {"deep": [{"down": f"x={leak}"}]}})
        try:
            raise OSError("master-key-1")
        except OSError:
            logger.exception("Authorization: Bearer zyxwvu.987654")
        logger.info("a task-1234567 of the bus is no key")
    *_, last = objects(out)
    assert not any(leak in out.getvalue() for leak in (*leaks, "zyxwvu"))
    assert out.getvalue().count("***") == 2 * len(leaks) + 3  # the line of code above is shown too
    assert last["message"] == "a task-1234567 of the bus is no key"


def test_a_reader_who_does_not_read_holds_nobody_up() -> None:
    ours, theirs = os.pipe()
    lines = 20_000  # far more than a pipe holds
    with os.fdopen(theirs, "w") as stream:
        sink = Sink(stream, as_text, size=5_000)
        logger = logging.Logger("test")  # noqa: LOG001
        logger.addHandler(sink)
        for number in range(lines):
            logger.info("line %d", number)
        dropped = sink.dropped
        assert dropped > 10_000
        assert 0 < sink._lines.qsize() <= 5_000 / 64
        sink.close()  # comes back, though nobody has read
        read: list[bytes] = []
        reader = threading.Thread(target=lambda: read.extend(iter(lambda: os.read(ours, 65_536), b"")))
        reader.start()
        sink._thread.join(10)
        assert not sink._thread.is_alive()
    reader.join(10)
    os.close(ours)
    text = b"".join(read).decode()
    told = re.findall(r"WARNING (\d+) lines of the log were dropped: nobody read them fast enough", text)
    assert sum(map(int, told)) == dropped
    assert text.count("line ") + dropped == lines


def test_a_line_that_waits_does_not_hold_its_call() -> None:
    class Call:
        def fields(self) -> dict[str, str]:
            return {"said": "once"}

    ours, theirs = os.pipe()
    with os.fdopen(theirs, "w") as stream:
        sink = Sink(stream, as_json)
        sink.handle(logging.makeLogRecord({"msg": "x" * 200_000}))  # nobody reads: its thread is stuck in this one
        call = Call()
        held = weakref.ref(call)
        sink.handle(logging.makeLogRecord({"msg": "it", "fields": call.fields}))
        del call
        assert held() is None
        reader = threading.Thread(target=lambda: read.extend(iter(lambda: os.read(ours, 65_536), b"")))
        read: list[bytes] = []
        reader.start()
        sink.close()
    reader.join(10)
    os.close(ours)
    assert json.loads(b"".join(read).splitlines()[1])["said"] == "once"


LOGGING_SIGNALS = """
import logging, signal, sys
from gateway.telemetry.logs import configure_logging
configure_logging("info")
signal.signal(signal.SIGALRM, lambda *_: logging.info("a signal"))
signal.setitimer(signal.ITIMER_REAL, 0.0002, 0.0002)
for number in range(20_000):
    logging.info("line %d", number)
signal.setitimer(signal.ITIMER_REAL, 0)
"""


def test_a_signal_may_be_logged_while_something_else_is() -> None:
    done = subprocess.run([sys.executable, "-c", LOGGING_SIGNALS], capture_output=True, timeout=60, check=True)
    assert b"a signal" in done.stderr


def test_a_reader_who_has_gone_is_no_error() -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    with os.fdopen(theirs, "w") as stream:
        sink = Sink(stream, as_text)
        sink.handle(logging.makeLogRecord({"msg": "to nobody"}))
        sink.close()
    assert not sink._thread.is_alive()


def test_a_message_that_does_not_fit_its_arguments_is_told_without_them() -> None:
    out = io.StringIO()
    with logging_to(out) as logger:
        logger.info("%d here", CANARY)
    assert [each["message"] for each in objects(out)] == ["%d here -- its arguments do not fit"]
