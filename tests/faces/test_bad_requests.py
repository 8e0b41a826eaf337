"""Bad requests: each a 4xx in OpenAI's shape that names the field, and the server serves on."""

from __future__ import annotations

import json
import socket
from typing import Any

import httpx
import pytest

from tests.serving import Running

GOOD: dict[str, Any] = {"model": "espeak", "voice": "alloy", "input": "Hello.", "response_format": "wav"}
SPEECH = "/v1/audio/speech"


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in GOOD.items() if key != name}


def nested(depth: int) -> str:
    return '{"model":"espeak","voice":"alloy","input":"x","deep":' + "[" * depth + "]" * depth + "}"


# body, status, param, code, a part of the message
BODIES: dict[str, tuple[Any, int, str | None, str, str]] = {
    "empty body": (b"", 400, None, "invalid_json", "no body"),
    "no json": (b"model=espeak&input=hi", 400, None, "invalid_json", "JSON"),
    "cut json": (b'{"model": "espeak", "inp', 400, None, "invalid_json", "JSON"),
    "trailing comma": (b'{"model": "espeak",}', 400, None, "invalid_json", "JSON"),
    "not utf-8": (b'{"model": "espeak", "input": "\xff\xfe"}', 400, None, "invalid_json", "JSON"),
    "lone surrogate": (b'{"model":"espeak","voice":"alloy","input":"\\ud800"}', 400, None, "invalid_json", "JSON"),
    "a list": ([], 400, None, "invalid_type", "JSON object"),
    "a string": ("speak", 400, None, "invalid_type", "JSON object"),
    "null": (b"null", 400, None, "invalid_type", "JSON object"),
    "nested too deep": (nested(5000).encode(), 400, None, "invalid_json", "JSON"),
    "no model": (without("model"), 400, "model", "missing_required_parameter", "'model'"),
    "no input": (without("input"), 400, "input", "missing_required_parameter", "'input'"),
    "no voice": (without("voice"), 400, "voice", "missing_required_parameter", "'voice'"),
    "empty model": (GOOD | {"model": ""}, 400, "model", "string_below_min_length", "at least 1"),
    "unknown model": (GOOD | {"model": "espeek"}, 404, "model", "model_not_found", "Did you mean 'espeak'?"),
    "model is a number": (GOOD | {"model": 7}, 400, "model", "invalid_type", "got 7"),
    "model is null": (GOOD | {"model": None}, 400, "model", "invalid_type", "got null"),
    "long model": (GOOD | {"model": "m" * 300}, 400, "model", "string_above_max_length", "256"),
    "empty input": (GOOD | {"input": ""}, 400, "input", "string_below_min_length", "at least 1"),
    "blank input": (GOOD | {"input": " \n\t "}, 400, "input", "invalid_value", "white space"),
    "long input": (GOOD | {"input": "x" * 4097}, 400, "input", "string_above_max_length", "4096"),
    "input is a list": (GOOD | {"input": ["Hello."]}, 400, "input", "invalid_type", "string"),
    "input is an object": (GOOD | {"input": {"text": "x"}}, 400, "input", "invalid_type", "string"),
    "unknown voice": (GOOD | {"voice": "aloy"}, 400, "voice", "invalid_value", "unknown voice 'aloy'"),
    "voice is a path": (GOOD | {"voice": "../../etc/passwd"}, 400, "voice", "invalid_value", "unknown voice"),
    "empty voice": (GOOD | {"voice": ""}, 400, "voice", "string_below_min_length", "at least 1"),
    "voice is a number": (GOOD | {"voice": 3}, 400, "voice", "invalid_type", "got 3"),
    "voice object without id": (GOOD | {"voice": {}}, 400, "voice.id", "missing_required_parameter", "'voice.id'"),
    "voice object with more": (GOOD | {"voice": {"id": "a", "b": 1}}, 400, "voice.b", "unknown_parameter", "'voice.b'"),
    "voice id is null": (GOOD | {"voice": {"id": None}}, 400, "voice.id", "invalid_type", "string"),
    "unknown format": (GOOD | {"response_format": "ogg"}, 400, "response_format", "invalid_value", "'mp3', 'opus'"),
    "format in capitals": (GOOD | {"response_format": "MP3"}, 400, "response_format", "invalid_value", "'mp3', 'opus'"),
    "format is a number": (GOOD | {"response_format": 3}, 400, "response_format", "invalid_value", "'mp3', 'opus'"),
    "too slow": (GOOD | {"speed": 0.2}, 400, "speed", "decimal_below_min_value", "0.25"),
    "too fast": (GOOD | {"speed": 4.01}, 400, "speed", "decimal_above_max_value", "4"),
    "speed is text": (GOOD | {"speed": "1.0"}, 400, "speed", "invalid_type", 'got "1.0"'),
    "speed is a truth value": (GOOD | {"speed": True}, 400, "speed", "invalid_type", "got true"),
    "speed is NaN": (b'{"model":"espeak","voice":"alloy","input":"x","speed":NaN}', 400, "speed", "invalid_value", "finite"),
    "speed is infinite": (
        b'{"model":"espeak","voice":"alloy","input":"x","speed":1e999}', 400, "speed", "invalid_value", "finite",
    ),
    "unknown stream format": (GOOD | {"stream_format": "ws"}, 400, "stream_format", "invalid_value", "'audio' or 'sse'"),
    "instructions nobody follows": (
        GOOD | {"instructions": "whisper"}, 400, "instructions", "unsupported_parameter", "leave them out",
    ),
    "instructions is a number": (GOOD | {"instructions": 1}, 400, "instructions", "invalid_type", "string"),
    "long instructions": (GOOD | {"instructions": "x" * 4097}, 400, "instructions", "string_above_max_length", "4096"),
    "unknown option": (GOOD | {"pitch": 2}, 400, "pitch", "unsupported_parameter", "'pitch'"),
    "misspelt option": (
        GOOD | {"respons_format": "mp3"}, 400, "respons_format", "unsupported_parameter", "did you mean 'response_format'",
    ),
    "option with line ends": (GOOD | {"a\r\nb": 2}, 400, "a\r\nb", "unsupported_parameter", "no option"),
    "body too large": (GOOD | {"padding": "x" * (1 << 20)}, 413, None, "request_too_large", "1,048,576"),
}  # fmt: skip

# method, path, status, code
PATHS = {
    "unknown path": ("GET", "/v1/nothing", 404, "not_found"),
    "unknown path, post": ("POST", "/v1/audio/speach", 404, "not_found"),
    "root": ("GET", "/", 404, "not_found"),
    "trailing slash": ("POST", "/v1/audio/speech/", 404, "not_found"),
    "dots": ("GET", "/v1/../../etc/passwd", 404, "not_found"),
    "wrong method": ("GET", SPEECH, 405, "method_not_allowed"),
    "wrong method, bare": ("DELETE", "/audio/speech", 405, "method_not_allowed"),
    "wrong method, read-only": ("POST", "/v1/models", 405, "method_not_allowed"),
    "unknown model": ("GET", "/v1/models/nope", 404, "model_not_found"),
    "voices of an unknown model": ("GET", "/v1/audio/voices?model=nope", 404, "model_not_found"),
}


def assert_error(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-request-id"]
    assert set(answer.json()) == {"error"}
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["type"] == "invalid_request_error"
    assert error["code"] == code
    return error


@pytest.fixture
def http(espeak_server: Running):
    with httpx.Client(base_url=espeak_server.base) as client:
        yield client
        # Whatever was sent: the server still speaks.
        assert client.post(SPEECH, json=GOOD).content[:4] == b"RIFF"


@pytest.mark.parametrize("kind", BODIES)
def test_bad_bodies(http: httpx.Client, kind: str) -> None:
    body, status, param, code, message = BODIES[kind]
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = http.post(SPEECH, content=content, headers={"Content-Type": "application/json"})
    error = assert_error(answer, status, code)
    assert error["param"] == param
    assert message in error["message"]


@pytest.mark.parametrize("kind", PATHS)
def test_bad_paths(http: httpx.Client, kind: str) -> None:
    method, path, status, code = PATHS[kind]
    answer = http.request(method, path, json=GOOD if method == "POST" else None)
    assert_error(answer, status, code)
    if status == 405:
        assert answer.headers["allow"] == ("POST" if "speech" in path else "GET")


def test_there_are_at_least_forty_kinds() -> None:
    assert len(BODIES) + len(PATHS) >= 40


@pytest.mark.parametrize("given", [b"id with spaces", b"x" * 129, "é".encode()])
def test_an_odd_request_id_is_replaced(http: httpx.Client, given: bytes) -> None:
    answer = http.get("/v1/models", headers={"x-request-id": given})
    assert answer.headers["x-request-id"].startswith("req_")


def test_a_plain_request_id_is_kept(http: httpx.Client) -> None:
    assert http.get("/v1/models", headers={"x-request-id": "mine-1"}).headers["x-request-id"] == "mine-1"


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS on a plain port
        b"GET\r\n\r\n",
        b"POST /v1/audio/speech HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
        b"POST /v1/audio/speech HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
    ],
)
def test_what_is_no_http_is_answered_in_shape(http: httpx.Client, espeak_server: Running, request_bytes: bytes) -> None:
    with socket.create_connection(("127.0.0.1", espeak_server.port), 10) as connection:
        connection.sendall(request_bytes)
        answer = b""
        while part := connection.recv(4096):
            answer += part
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"x-request-id: req_" in head
    assert json.loads(body)["error"]["code"] == "invalid_http"
