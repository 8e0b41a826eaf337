"""Events of videos, taken in by a real server and read with OpenAI's SDK."""

from __future__ import annotations

import base64
import queue
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from gateway.config import ConfigError
from gateway.services import webhooks
from tests.conftest import KEY
from tests.serving import config_of, serving

SECRET = "whsec_" + base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()
CONFIG = """
model_list:
  - {{model_name: film, params: {{model: sandbox/video, seconds: {seconds}, poll_interval: 0.02}}}}
  - {{model_name: bad-film, params: {{model: sandbox/video-fails, seconds: 0.02, poll_interval: 0.02}}}}
  - {{model_name: busy-film, params: {{model: sandbox/video-throttled, seconds: 0.02, poll_interval: 0.02}}}}
  - {{model_name: picture, params: {{model: sandbox/image, seconds: 0.02, poll_interval: 0.02}}}}
general_settings:
  data_dir: {data}
  master_key: {key}
  webhook_url: {url}
  webhook_secret: {secret}
  egress_allow: [127.0.0.1]
"""
HEADERS = {"api-key": KEY}

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


class Listener(ThreadingHTTPServer):
    """Answers with the next of ``statuses``, then 204; what came is in ``events``, as (headers, body, status)."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.statuses: list[int] = []
        self.events: queue.Queue[tuple[dict[str, str], bytes, int]] = queue.Queue()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/hook?for=video"

    def next(self, seconds: float = 20) -> tuple[Any, str, int]:
        """The next event as OpenAI's SDK reads it, its id in the headers, and what it was answered."""
        headers, body, status = self.events.get(timeout=seconds)
        with openai.OpenAI(api_key="x") as client:
            event = client.webhooks.unwrap(body, headers, secret=SECRET)
            with pytest.raises(openai.InvalidWebhookSignatureError):
                client.webhooks.unwrap(body + b" ", headers, secret=SECRET)
        return event, headers["webhook-id"], status


class _Handler(BaseHTTPRequestHandler):
    server: Listener

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        status = self.server.statuses.pop(0) if self.server.statuses else 204
        headers = {name.lower(): value for name, value in self.headers.items()}
        assert self.path == "/hook?for=video"
        self.send_response(status)
        self.send_header("content-length", "0")
        self.send_header("location", "http://127.0.0.1:9/")
        self.end_headers()
        self.server.events.put((headers, body, status))

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def listening() -> Iterator[Listener]:
    with Listener() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def listener() -> Iterator[Listener]:
    with listening() as server:
        yield server


def config(listener: Listener, data: Path, seconds: float = 0.05):
    return config_of(CONFIG.format(seconds=seconds, data=data, key=KEY, url=listener.url, secret=SECRET))


def post(base: str, model: str = "film") -> dict[str, Any]:
    body = {"model": model, "prompt": "x", "size": "64x64", "seconds": 1}
    return httpx.post(f"{base}/v1/videos", json=body, headers=HEADERS).json()


def empty(data: Path) -> bool:
    return not list((data / "outbox").iterdir())


def until_empty(data: Path) -> None:
    """The listener knows of the last event before the server has crossed it out."""
    end = time.monotonic() + 10
    while not empty(data):
        assert time.monotonic() < end
        time.sleep(0.005)


def test_the_end_of_a_video_is_told(listener: Listener, tmp_path: Path) -> None:
    with serving(config(listener, tmp_path)) as running:
        made = post(running.base)
        event, key, _ = listener.next()
        assert (event.type, event.object, event.data.id) == ("video.completed", "event", made["id"])
        assert event.id == key
        assert key.startswith("evt_")
        video = httpx.get(f"{running.base}/v1/videos/{made['id']}", headers=HEADERS).json()
        assert event.created_at == video["completed_at"]
        failed = post(running.base, "bad-film")
        event, other, _ = listener.next()
        assert (event.type, event.data.id) == ("video.failed", failed["id"])
        assert other != key
        until_empty(tmp_path)
    assert listener.events.empty(), "once each"


def test_what_is_refused_is_told_again(listener: Listener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhooks, "DELAYS", (0.0, 0.01, 0.01, 0.01))
    listener.statuses = [500, 302, 429]
    with serving(config(listener, tmp_path)) as running:
        made = post(running.base)
        told = [listener.next() for _ in range(4)]
        until_empty(tmp_path)
    assert [status for _, _, status in told] == [500, 302, 429, 204]
    assert len({key for _, key, _ in told}) == 1
    assert {event.data.id for event, _, _ in told} == {made["id"]}


def test_nobody_is_told_for_ever(listener: Listener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhooks, "DELAYS", (0.0, 0.01))
    listener.statuses = [500] * 5
    with serving(config(listener, tmp_path)) as running:
        post(running.base)
        assert [listener.next()[2] for _ in range(2)] == [500, 500]
        post(running.base)
        assert [listener.next()[2] for _ in range(2)] == [500, 500]
        until_empty(tmp_path)
    assert listener.events.empty()


@pytest.mark.parametrize("where", ["while it runs", "before it was told"])
def test_a_restart_loses_no_event(
    listener: Listener, tmp_path: Path, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if where == "while it runs":
        with serving(config(listener, tmp_path, seconds=1)) as running:
            made = post(running.base)
        assert listener.events.empty()
    else:
        monkeypatch.setattr(webhooks, "DELAYS", (0.0, 3600.0))
        listener.statuses = [503]
        with serving(config(listener, tmp_path)) as running:
            made = post(running.base)
            assert listener.next()[2] == 503
    assert not empty(tmp_path)
    with serving(config(listener, tmp_path, seconds=1)):
        event, _, status = listener.next()
    assert (event.type, event.data.id, status) == ("video.completed", made["id"], 204)


def test_of_whom_nobody_is_told(listener: Listener, tmp_path: Path) -> None:
    """Pictures, videos that their caller deletes, and those that were never taken."""
    with serving(config(listener, tmp_path, seconds=600)) as running:
        call = {"model": "picture", "prompt": "x", "size": "64x64"}
        assert httpx.post(f"{running.base}/v1/images/generations", json=call, headers=HEADERS).status_code == 200
        made = post(running.base)
        assert httpx.delete(f"{running.base}/v1/videos/{made['id']}", headers=HEADERS).status_code == 200
        answers = [post(running.base, "busy-film") for _ in range(3)]
        assert list(answers[2]) == ["error"]
        told = {listener.next()[0].data.id for _ in range(2)}
        assert told == {answer["id"] for answer in answers[:2]}
        until_empty(tmp_path)
    assert listener.events.empty()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (f"webhook_url: 'http://example.com/x', webhook_secret: {SECRET}", "https only"),
        (f"webhook_url: 'https://10.0.0.1/x', webhook_secret: {SECRET}", "private network"),
        (f"webhook_url: 'ftp://example.com/x', webhook_secret: {SECRET}", "https://"),
        ("webhook_url: 'https://example.com/x'", "webhook_secret"),
        (f"webhook_secret: {SECRET}", "webhook_url"),
        ("webhook_url: 'https://example.com/x', webhook_secret: hush", "whsec_"),
    ],
)
def test_settings_that_cannot_be(settings: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config_of(
            f"model_list: [{{model_name: f, params: {{model: sandbox/video}}}}]\ngeneral_settings: {{{settings}}}"
        )
    assert said in str(caught.value)
    assert SECRET not in str(caught.value)
