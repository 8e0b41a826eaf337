"""Slow, large, many, gone, broken: what a connection can do to us, and what it then sees."""

from __future__ import annotations

import importlib
import json
import socket
import threading
import time
from collections.abc import Iterator

import httpx
import pytest

from tests.serving import Running, config_of, serving
from tests.sound import hear, tone

scripted = importlib.import_module("providers.scripted")

MODELS = (
    "ok", "unavailable", "busy", "refuses", "crash", "breaks-first", "breaks-midway", "silent", "damaged", "mp3",
    "endless", "mute",
)  # fmt: skip
CONFIG = "model_list:\n" + "".join(
    f"  - {{model_name: {name}, litellm_params: {{model: scripted/{name}}}}}\n" for name in MODELS
)


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with serving(config_of(CONFIG + "general_settings: {max_request_size_mb: 0.01, stall_timeout: 0.3}\n")) as running:
        yield running


@pytest.fixture(scope="module")
def hasty_server() -> Iterator[Running]:
    settings = "{header_timeout: 0.3, body_timeout: 0.3, max_connections: 5}"
    with serving(config_of(f"{CONFIG}general_settings: {settings}\n")) as running:
        yield running


def speak(running: Running, model: str, **more: object) -> httpx.Response:
    body = {"model": model, "voice": "v", "input": "Hello.", "response_format": "pcm", **more}
    return httpx.post(f"{running.base}/v1/audio/speech", json=body)


def connect(running: Running) -> socket.socket:
    return socket.create_connection(("127.0.0.1", running.port), 10)


def rest(connection: socket.socket) -> bytes:
    data = b""
    while part := connection.recv(65_536):
        data += part
    return data


def request(model: str, **more: object) -> bytes:
    body = json.dumps({"model": model, "voice": "v", "input": "Hello.", "response_format": "pcm", **more}).encode()
    return b"POST /v1/audio/speech HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body


def until(condition: object, what: str) -> None:
    """Wait for the server's thread to get there."""
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.005)


@pytest.mark.parametrize(
    ("model", "status", "kind", "code", "param", "text"),
    [
        ("unavailable", 503, "server_error", "model_not_ready", None, "out of order"),
        ("busy", 429, "rate_limit_error", "engine_overloaded", None, "full"),
        ("refuses", 400, "invalid_request_error", "invalid_value", "input", "not that"),
        ("crash", 500, "server_error", "internal_error", None, "req_"),
        ("breaks-first", 500, "server_error", "generation_failed", None, "it broke"),
        ("damaged", 500, "server_error", "generation_failed", None, "damaged"),
        ("mute", 400, "invalid_request_error", "invalid_value", "model", "does not make speech"),
    ],
)
def test_a_failure_before_the_first_byte_has_its_status(
    server: Running, model: str, status: int, kind: str, code: str, param: str | None, text: str
) -> None:
    answer = speak(server, model)
    assert answer.status_code == status
    error = answer.json()["error"]
    assert (error["type"], error["code"], error["param"]) == (kind, code, param)
    assert text in error["message"]
    assert "secret" not in answer.text
    assert answer.headers.get("retry-after") == ("7" if model == "busy" else None)


def test_a_failure_after_the_first_byte_cuts_the_answer(server: Running) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        speak(server, "breaks-midway")


def test_a_failure_among_events_is_an_event(server: Running) -> None:
    with connect(server) as connection:
        connection.sendall(request("breaks-midway", stream_format="sse"))
        data = rest(connection)
    last = [line for line in data.split(b"\r\n") if line.startswith(b"data: ")][-1]
    error = json.loads(last.removeprefix(b"data: "))["error"]
    assert (error["code"], error["message"]) == ("generation_failed", "it broke")


def test_what_the_vendor_sends_is_converted(server: Running) -> None:
    assert speak(server, "mp3").headers["content-type"].startswith("audio/pcm")
    assert hear(speak(server, "mp3").content, "pcm").seconds == pytest.approx(3, abs=0.1)
    assert hear(speak(server, "mp3", response_format="flac").content, "flac").pitch == pytest.approx(440, abs=2)
    assert speak(server, "ok").content == tone(1) * 3


def test_token_counts_that_nobody_knows_are_left_out(server: Running) -> None:
    last = speak(server, "mp3", stream_format="sse").text.strip().rpartition("data: ")[2]
    assert json.loads(last) == {"type": "speech.audio.done"}


def test_token_counts_are_the_vendor_s_own(server: Running) -> None:
    last = speak(server, "ok", stream_format="sse").text.strip().rpartition("data: ")[2]
    assert json.loads(last)["usage"] == {"input_tokens": 7, "output_tokens": 9, "total_tokens": 16}


@pytest.mark.parametrize("model", ["endless", "silent"])
def test_a_client_that_leaves_stops_the_work(server: Running, model: str) -> None:
    before = set(scripted.Stream.live)
    with connect(server) as connection:
        connection.sendall(request(model))
        until(lambda: scripted.Stream.live - before, "it began")
        if model == "endless":
            connection.recv(1000)
    until(lambda: not scripted.Stream.live - before, "it ended")
    assert scripted.Stream.made < 90_000


def test_a_client_that_takes_nothing_is_cut_off(server: Running) -> None:
    before = set(scripted.Stream.live)
    with connect(server) as connection:
        connection.sendall(request("endless"))
        until(lambda: scripted.Stream.live - before, "it began")
        until(lambda: not scripted.Stream.live - before, "it was cut off")


def test_a_client_that_leaves_before_its_body_is_there(server: Running) -> None:
    with connect(server) as connection:
        connection.sendall(request("ok")[:-5])
    assert speak(server, "ok").status_code == 200


@pytest.mark.parametrize("length", [b"Content-Length: 20000", b"Transfer-Encoding: chunked"])
def test_a_body_over_the_limit(server: Running, length: bytes) -> None:
    with connect(server) as connection:
        head = b"POST /v1/audio/speech HTTP/1.1\r\nHost: x\r\n" + length + b"\r\n\r\n"
        body = b"%x\r\n" % 12_000 + b"x" * 12_000 if b"chunked" in length else b""
        connection.sendall(head + body)
        answer = connection.recv(65_536)
    assert answer.startswith(b"HTTP/1.1 413 ")


def test_a_body_in_pieces_is_one_body(server: Running) -> None:
    whole = request("ok")
    with connect(server) as connection:
        for start in range(0, len(whole), 20):
            connection.sendall(whole[start : start + 20])
        assert connection.recv(1000).startswith(b"HTTP/1.1 200 ")


def test_headers_that_never_end(hasty_server: Running) -> None:
    with connect(hasty_server) as connection:
        connection.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n")
        assert b" 408 " in rest(connection)
    with connect(hasty_server) as connection:
        assert b" 408 " in rest(connection)  # not even a first byte
    with connect(hasty_server) as connection:  # a second request on a kept connection
        connection.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\nGET /livez HTTP/1.1\r\n")
        data = rest(connection)
        assert b" 200 OK" in data
        assert b" 408 " in data


def test_a_body_that_never_ends(hasty_server: Running) -> None:
    with connect(hasty_server) as connection:
        connection.sendall(request("ok")[:-5])
        answer = connection.recv(65_536)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"request_timeout" in answer


def test_headers_without_end_are_cut_off(server: Running) -> None:
    with connect(server) as connection:
        connection.sendall(b"GET /livez HTTP/1.1\r\n")
        answer = b""
        try:
            for _ in range(300):
                connection.sendall(b"x: " + b"y" * 1000 + b"\r\n")
            answer = connection.recv(65_536)
        except (BrokenPipeError, ConnectionResetError):
            pass
        assert b" 431 " in answer or not answer


def test_more_connections_than_allowed(hasty_server: Running) -> None:
    # An answer under way is not subject to the header deadline, so these five stay.
    held = [connect(hasty_server) for _ in range(5)]
    for connection in held:
        connection.sendall(request("silent"))
    connections = hasty_server.server.server_state.connections
    until(lambda: len(connections) == 5, "all five are there")
    with connect(hasty_server) as sixth:
        answer = rest(sixth)
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"retry-after: 1" in answer
    for connection in held:
        connection.close()
    until(lambda: not connections, "all five are gone")
    assert speak(hasty_server, "ok").status_code == 200


def test_draining_finishes_what_is_under_way_and_takes_nothing_new() -> None:
    with serving(config_of(f"{CONFIG}general_settings: {{drain_timeout: 20}}\n")) as running, httpx.Client() as kept:
        assert kept.get(f"{running.base}/readyz").status_code == 200
        connection = connect(running)
        connection.sendall(request("endless"))
        assert connection.recv(1000).startswith(b"HTTP/1.1 200 ")
        running.call(lambda: running.server.handle_exit(15, None))
        ready = kept.get(f"{running.base}/readyz")
        assert (ready.status_code, ready.json()) == (503, {"status": "draining"})
        assert kept.get(f"{running.base}/livez").status_code == 200
        refused = kept.post(f"{running.base}/v1/audio/speech", content=request("ok").rpartition(b"\r\n")[2])
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "shutting_down")
        assert refused.headers["retry-after"] == "1"
        assert kept.post(f"{running.base}/v1/videos/video_1/remix", json={"prompt": "x"}).status_code == 503
        assert not running.server.should_exit
        assert connection.recv(1000)  # still speaking
        connection.close()
        until(lambda: running.server.should_exit, "the last call ended, so the server leaves")


def test_draining_ends_in_time() -> None:
    settings = "general_settings: {drain_timeout: 0.2}\n"
    with serving(config_of(CONFIG + settings)) as running, connect(running) as connection:
        connection.sendall(request("silent"))
        until(lambda: scripted.Stream.live, "it began")
        running.call(lambda: running.server.handle_exit(15, None))
        answer = rest(connection)
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"shutting_down" in answer


def test_a_second_signal_does_not_wait() -> None:
    settings = "general_settings: {drain_timeout: 60}\n"
    with serving(config_of(CONFIG + settings)) as running, connect(running) as connection:
        connection.sendall(request("silent"))
        until(lambda: scripted.Stream.live, "it began")
        running.call(lambda: running.server.handle_exit(2, None))
        running.call(lambda: running.server.handle_exit(2, None))
        assert running.server.should_exit


def test_many_at_once(server: Running) -> None:
    results: list[int] = []
    threads = [threading.Thread(target=lambda: results.append(len(speak(server, "ok").content))) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [3 * 48_000] * 40


def test_readiness_while_a_model_loads() -> None:
    text = "model_list: [{model_name: l, params: {model: scripted/loading}}]"
    with serving(config_of(text)) as running:
        answer = httpx.get(f"{running.base}/readyz")
        assert (answer.status_code, answer.json()) == (503, {"status": "starting"})


def test_readiness_when_nothing_can_answer() -> None:
    text = "model_list: [{model_name: u, params: {model: scripted/unavailable}}]"
    with serving(config_of(text)) as running:
        answer = httpx.get(f"{running.base}/readyz")
        assert (answer.status_code, answer.json()) == (503, {"status": "unavailable"})
