"""Two workers behind one socket, in processes of their own: calls, tasks, retries, crashes and the end."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import KEY
from tests.faces.test_command_line import run, served
from tests.faces.test_webhooks_sdk import SECRET, Listener, listening
from tests.upstreams.openai import BLOCKED, OpenAI
from tests.upstreams.openai import KEY as VENDORS_KEY

CONFIG = """
model_list:
  - {{model_name: picture, params: {{model: sandbox/image, seconds: 0.05, poll_interval: 0.02, output_cost_per_image: 0.25}}}}
  - {{model_name: slow-picture, params: {{model: sandbox/image, seconds: 0.6, poll_interval: 0.02}}}}
  - {{model_name: film, params: {{model: sandbox/video, seconds: 999, poll_interval: 0.5}}}}
  - {{model_name: painter, params: {{model: openai/gpt-image-2, api_key: {key}, api_base: "{base}"}}}}
  - {{model_name: short-film, params: {{model: sandbox/video, seconds: 0.05, poll_interval: 0.02}}}}
general_settings:
  webhook_url: {hook}
  webhook_secret: {secret}
  egress_allow: [127.0.0.1]
  master_key: {master}
  data_dir: {data}
"""
HEADERS = {"api-key": KEY}


@dataclass
class Two:
    """Both workers, each behind a connection that is kept. ``lines`` is the log."""

    process: subprocess.Popen[str]
    base: str
    vendor: OpenAI
    hook: Listener
    data: Path
    lines: list[str]

    def __post_init__(self) -> None:
        self.clients: dict[int, httpx.Client] = {}
        self.pids: dict[int, int] = {}

    def connect(self) -> None:
        """Connections until each worker has taken one; the others' clients are closed."""
        until = time.monotonic() + 20
        while len(self.clients) < 2:
            assert time.monotonic() < until, "".join(self.lines)
            client = httpx.Client(base_url=self.base, headers=HEADERS, timeout=20)
            told = client.get("/readyz?verbose").json()["worker"]
            if told["number"] in self.clients:
                client.close()
            else:
                self.clients[told["number"]], self.pids[told["number"]] = client, told["pid"]

    def kill(self, number: int) -> None:
        os.kill(self.pids[number], signal.SIGKILL)
        self.clients.pop(number).close()

    def draw(self, number: int, model: str, **headers: str) -> httpx.Response:
        """A picture, of the worker of that number."""
        body = {"model": model, "prompt": "x", "size": "1024x1024", "n": 1}
        return self.clients[number].post("/v1/images/generations", json=body, headers=headers)

    def rows(self, query: str) -> list[Any]:
        with closing(sqlite3.connect(self.data / "jobs.sqlite")) as db:
            return db.execute(query).fetchall()

    def until(self, good: Callable[[], Any]) -> Any:
        end = time.monotonic() + 20
        while not (found := good()):
            assert time.monotonic() < end, "".join(self.lines)
            time.sleep(0.02)
        return found


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    folder = tmp_path_factory.mktemp("workers")
    data = folder / "data"
    with OpenAI() as vendor, listening() as hook:
        known = {"key": VENDORS_KEY, "base": vendor.base, "hook": hook.url, "secret": SECRET}
        text = CONFIG.format(**known, master=KEY, data=data)
        (folder / "config.yaml").write_text(text)
        with served("--workers", "2", cwd=folder) as (process, base, lines):
            reading = threading.Thread(target=lambda: lines.extend(process.stderr or ()), daemon=True)
            reading.start()
            found = Two(process, base, vendor, hook, data, lines)
            found.connect()
            yield found
            for client in found.clients.values():
                client.close()


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool


def test_each_worker_s_tasks_are_made_once_and_the_costs_are_known_to_both(two: Two) -> None:
    for number in (0, 1):
        drawn = two.draw(number, "picture")
        assert drawn.status_code == 200, drawn.text
        assert drawn.headers["x-litellm-response-cost"] == "0.25"
        assert drawn.headers["x-media-gateway-cost-certainty"] == "computed"
    assert two.rows("SELECT state, COUNT(*) FROM jobs GROUP BY state") == [("completed", 2)]
    for client in two.clients.values():
        assert [row["spend"] for row in client.get("/spend/logs").json()] == [0.25, 0.25]
        metrics = client.get("/metrics").text
        for worker in (0, 1):
            assert f'media_gateway_worker_up{{worker="{worker}"}} 1.0' in metrics
            counted = [
                line for line in metrics.splitlines() if line.startswith("litellm_images_generated_metric_total")
            ]
            assert [line for line in counted if f'worker="{worker}"}} 1.0' in line], counted


def test_a_film_of_one_worker_is_the_other_s_too(two: Two) -> None:
    one, other = two.clients[1], two.clients[0]
    film = one.post("/v1/videos", json={"model": "film", "prompt": "x"}).json()["id"]
    assert other.get(f"/v1/videos/{film}").json()["id"] == film
    assert [each["id"] for each in other.get("/v1/videos").json()["data"]] == [film]
    assert other.delete(f"/v1/videos/{film}").status_code == 200
    assert one.get(f"/v1/videos/{film}").status_code == 404


def test_of_a_film_of_any_worker_it_is_told_once(two: Two) -> None:
    films = [
        client.post("/v1/videos", json={"model": "short-film", "prompt": "x"}).json()["id"]
        for client in two.clients.values()
    ]
    assert sorted(two.hook.next()[0].data.id for _ in films) == sorted(films)
    two.until(lambda: not list((two.data / "outbox").iterdir()))
    assert two.hook.events.empty()


def test_two_retries_at_once_are_one_charge(two: Two, threads: ThreadPoolExecutor) -> None:
    before = len(two.vendor.ledger)
    two.vendor.may_draw.clear()
    both = [threads.submit(two.draw, number, "painter", **{"Idempotency-Key": "both"}) for number in (0, 1)]
    assert two.vendor.drawing.wait(20)
    assert not [each for each in both if each.done()]
    two.vendor.may_draw.set()
    answers = [each.result() for each in both]
    assert [each.status_code for each in answers] == [200, 200], [each.text for each in answers]
    one, other = (each.json()["data"][0]["url"] for each in answers)
    assert one.partition("?")[0] == other.partition("?")[0]  # they may be signed in different seconds
    assert len(two.vendor.ledger) == before + 1
    start = threading.Barrier(2)

    def at_once(number: int, key: str) -> int:
        start.wait()
        return two.draw(number, "painter", **{"Idempotency-Key": key}).status_code

    for key in "abcd":  # a refusal is nobody's: the other worker's try is made, after it
        two.vendor.next(BLOCKED)
        both = [threads.submit(at_once, number, key) for number in (0, 1)]
        assert sorted(each.result() for each in both) == [200, 400]
    assert len(two.vendor.ledger) == before + 5


def test_a_second_server_is_refused(two: Two) -> None:
    done = run("serve", "-c", str(two.data.parent / "config.yaml"), "--port", "0", "--num_workers", "2")
    assert done.returncode == 1
    assert b"is in use by another process" in done.stderr


def submitting(two: Two, threads: ThreadPoolExecutor, number: int, key: str) -> Future[httpx.Response]:
    """A call that waits for the vendor's answer."""
    two.vendor.drawing.clear()
    two.vendor.may_draw.clear()
    call = threads.submit(two.draw, number, "painter", **{"Idempotency-Key": key})
    assert two.vendor.drawing.wait(20)
    return call


def test_a_worker_that_is_killed_comes_back_and_what_it_was_sending_is_unknown(
    two: Two, threads: ThreadPoolExecutor
) -> None:
    charged = len(two.vendor.ledger)
    sending = submitting(two, threads, 1, "lost")
    two.kill(1)
    assert isinstance(sending.exception(20), httpx.HTTPError)
    assert two.draw(0, "picture").status_code == 200
    two.vendor.may_draw.set()
    joined = two.draw(0, "painter", **{"Idempotency-Key": "lost"})
    assert joined.status_code == 502
    assert joined.json()["error"]["code"] == "submission_unknown"
    assert len(two.vendor.ledger) == charged + 1
    two.connect()
    assert two.draw(1, "picture").status_code == 200
    assert any("worker 1 (pid" in line and "SIGKILL" in line for line in two.lines)


def test_the_one_that_looks_at_tasks_is_killed_and_nobody_else_s_call_notices(
    two: Two, threads: ThreadPoolExecutor
) -> None:
    charged = len(two.vendor.ledger)
    sending = submitting(two, threads, 1, "kept")
    client = httpx.Client(base_url=two.base, headers=HEADERS, timeout=20)
    while client.get("/readyz?verbose").json()["worker"]["number"] != 1:
        client.close()
        client = httpx.Client(base_url=two.base, headers=HEADERS, timeout=20)
    body = {"model": "slow-picture", "prompt": "x"}
    waiting = threads.submit(client.post, "/v1/images/generations", json=body)
    two.until(lambda: two.rows("SELECT 1 FROM jobs WHERE model = 'slow-picture' AND state = 'running'"))
    two.kill(0)
    two.connect()
    assert waiting.result().status_code == 200
    client.close()
    two.vendor.may_draw.set()
    assert sending.result().status_code == 200  # it was not taken for something that the crash had left
    assert len(two.vendor.ledger) == charged + 1


def test_at_the_end_calls_are_finished_and_it_leaves_with_0(two: Two, threads: ThreadPoolExecutor) -> None:
    waiting = threads.submit(two.draw, 1, "slow-picture")
    two.until(lambda: two.rows("SELECT 1 FROM jobs WHERE model = 'slow-picture' AND state = 'running'"))
    two.process.send_signal(signal.SIGTERM)
    assert waiting.result().status_code == 200
    assert two.process.wait(20) == 0
    for pid in two.pids.values():
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
