"""Who may call what, and that nobody's body is read before that is known."""

from __future__ import annotations

import json
import socket

import httpx
import openai
import pytest
from fastapi.routing import APIRoute

from gateway.api.auth import KeyCheck
from gateway.app import create_app
from tests.conftest import ESPEAK, KEY
from tests.serving import Running, config_of

GOOD = {"model": "espeak", "voice": "alloy", "input": "Hello.", "response_format": "wav"}
KEYED = [
    ("POST", "/v1/audio/speech"),
    ("POST", "/audio/speech"),
    ("GET", "/v1/models"),
    ("GET", "/models"),
    ("GET", "/v1/models/espeak"),
    ("GET", "/models/espeak"),
    ("GET", "/v1/audio/models"),
    ("GET", "/audio/models"),
    ("GET", "/readyz?verbose"),
    ("GET", "/health/readiness?verbose=1"),
]
OPEN = [
    ("GET", "/livez"),
    ("GET", "/readyz"),
    ("GET", "/health/liveliness"),
    ("GET", "/health/liveness"),
    ("GET", "/health/readiness"),
    ("GET", "/docs"),
    ("GET", "/openapi.json"),
    ("GET", "/v1/audio/voices"),  # public_routes says so
    ("GET", "/audio/voices"),
]
RIGHT = [
    {"Authorization": f"Bearer {KEY}"},
    {"authorization": f"bearer   {KEY}"},
    {"x-litellm-api-key": KEY},
    {"x-litellm-api-key": f"Bearer {KEY}"},
    {"api-key": KEY},
    {"x-api-key": KEY},
    {"x-litellm-api-key": KEY, "Authorization": "Bearer wrong"},
    {"Authorization": "Basic dTpw", "x-api-key": KEY},
]
WRONG = [
    {},
    {"Authorization": "Bearer"},
    {"Authorization": "Bearer wrong"},
    {"Authorization": f"Basic {KEY}"},
    {"Authorization": KEY},
    {"Authorization": f"Bearer {KEY[:-1]}"},
    {"Authorization": f"Bearer {KEY}x"},
    {"Authorization": f"Bearer {KEY.upper()}"},
    {"x-litellm-api-key": "wrong", "Authorization": f"Bearer {KEY}"},
    {"Cookie": f"key={KEY}"},
]


def call(running: Running, method: str, path: str, headers: dict[str, str]) -> httpx.Response:
    body = GOOD if method == "POST" else None
    return httpx.request(method, running.base + path, headers=headers, json=body)


@pytest.mark.parametrize("headers", RIGHT)
@pytest.mark.parametrize("route", KEYED)
def test_with_the_key(locked_server: Running, route: tuple[str, str], headers: dict[str, str]) -> None:
    assert call(locked_server, *route, headers).status_code == 200


@pytest.mark.parametrize("headers", WRONG)
@pytest.mark.parametrize("route", KEYED)
def test_without_the_key(locked_server: Running, route: tuple[str, str], headers: dict[str, str]) -> None:
    answer = call(locked_server, *route, headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    error = answer.json()["error"]
    assert (error["type"], error["code"], error["param"]) == ("invalid_request_error", "invalid_api_key", None)
    assert KEY not in answer.text


@pytest.mark.parametrize("route", OPEN)
def test_open_routes(locked_server: Running, route: tuple[str, str]) -> None:
    assert call(locked_server, *route, {}).status_code == 200


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://localhost:3000", 200),
        ("http://127.0.0.1", 200),
        ("http://[::1]:8080", 200),
        ("http://app.localhost", 200),
        ("https://evil.example", 403),
        ("https://localhost.evil.example", 403),
        ("null", 403),
        ("http://[::1", 403),
    ],
)
def test_without_a_key_other_sites_pages_are_kept_out(espeak_server: Running, origin: str, status: int) -> None:
    for route in (("POST", "/v1/audio/speech"), ("GET", "/v1/models")):
        answer = call(espeak_server, *route, {"Origin": origin})
        assert answer.status_code == status
        assert status == 200 or answer.json()["error"]["code"] == "forbidden_origin"


def test_no_auth_means_everybody(locked_server: Running) -> None:
    KeyCheck(None, everybody=True).check({b"origin": b"https://evil.example"})
    headers = {"Origin": "https://elsewhere.example", "api-key": KEY}  # a key is enough, from anywhere
    assert call(locked_server, "GET", "/v1/models", headers).status_code == 200


def test_a_query_cannot_carry_the_key(locked_server: Running) -> None:
    assert httpx.get(f"{locked_server.base}/v1/models", params={"api_key": KEY}).status_code == 401


def test_the_sdk_raises_its_own_error(locked_server: Running) -> None:
    with (
        openai.OpenAI(base_url=f"{locked_server.base}/v1", api_key="wrong", max_retries=0) as client,
        pytest.raises(openai.AuthenticationError) as caught,
    ):
        client.audio.speech.create(model="espeak", voice="alloy", input="Hi.")
    assert caught.value.code == "invalid_api_key"
    assert caught.value.request_id


def test_the_key_is_checked_before_the_body_comes(locked_server: Running) -> None:
    with socket.create_connection(("127.0.0.1", locked_server.port), 10) as connection:
        connection.sendall(b"POST /v1/audio/speech HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000\r\n\r\n")
        answer = b""
        while part := connection.recv(4096):  # ends: nobody waits for the nine megabytes
            answer += part
    assert answer.startswith(b"HTTP/1.1 401 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["code"] == "invalid_api_key"


def test_every_route_says_who_may_call_it() -> None:
    """Whatever FastAPI serves needs a key, unless it stands in this list."""
    lane = create_app(config_of(f"{ESPEAK}\ngeneral_settings: {{master_key: {KEY}}}\n"))
    found = set()
    for route in lane._app.routes:
        names = {depends.dependency.__name__ for depends in getattr(route, "dependencies", [])}
        if isinstance(route, APIRoute) and names & {"require_key", "require_admin"}:
            continue
        found.add(route.path)
    assert found == {
        "/openapi.json",
        "/docs",
        "/docs/oauth2-redirect",
        "/redoc",
        "/livez",
        "/readyz",
        "/health/liveliness",
        "/health/liveness",
        "/health/readiness",
        "/v1/media/{key}",  # its signature stands for a key
    }
    assert all(route.access.name == "KEY" for methods in lane._routes.values() for route in methods.values())
