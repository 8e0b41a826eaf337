"""One story: calls to a gateway that is killed at a boundary, started again, and asked again; then what became of it all.

The upstream lives on and has the ledger. The boundaries inside the gateway are ``tests.chaos.mortal``'s; those at the
upstream (it has taken a task, and has not answered yet) are here.
"""

from __future__ import annotations

import json
import os
import queue
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import openai
from aiohttp import web

from tests.upstreams.runway import Runway

MODELS = {"speech": "eleven_multilingual_v2", "image": "gen4_image", "video": "veo3.1_fast"}
ROUTES = {"speech": "/v1/audio/speech", "image": "/v1/images/generations", "video": "/v1/videos"}
AGES = 36_000.0
PATIENCE = 60.0
"""Seconds that a story may take; it takes less than one."""

# Between these, nobody can know whether the provider took the task: it is not sent again, and the caller is told.
UNKNOWN = (
    "commit submitting: after",
    "submit: before",
    "submit request: written",
    "upstream: submit taken",
    "submit head: before",
    "submit head: after",
    "submit: after",
    "commit running: before",
)

Death = tuple[str, int]


class Assassin(Runway):
    """Runway, which kills its client when it has done what it was asked and has not answered yet.

    How far a task is depends on how often it was asked after, not on the time: it is done at the look that ``looks`` say.
    """

    def __init__(self) -> None:
        super().__init__(seconds=AGES)
        self.looks: tuple[int, ...] = (2,)
        self.victim = 0
        self.die: Death | None = None
        self.passed: Counter[str] = Counter()
        self.met: list[str] = []

    def aim(self, pid: int, die: Death | None) -> None:
        self.victim, self.die = pid, die
        self.passed.clear()
        self.met.clear()

    def _boundary(self, name: str) -> None:
        self.passed[name] += 1
        self.met.append(name)
        if self.die == (name, self.passed[name]):
            os.kill(self.victim, signal.SIGKILL)

    async def _create(self, request: web.Request) -> web.Response:
        answer = await super()._create(request)
        self._boundary("upstream: submit taken")
        return answer

    async def _poll(self, request: web.Request) -> web.Response:
        task = request.match_info["id"]
        if task in self.tasks and len(self.polls[task]) >= self.looks[[*self.tasks].index(task) % len(self.looks)]:
            self.tasks[task].made -= AGES
        answer = await super()._poll(request)
        self._boundary("upstream: poll")
        return answer

    async def _download(self, request: web.Request) -> web.Response:
        answer = await super()._download(request)
        self._boundary("upstream: download")
        return answer


class Gateways:
    """Starts gateways, one after another; each is a process of its own."""

    def __init__(self) -> None:
        self._forker = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.mortal"],
            cwd=Path(__file__).parents[2],
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "OPENBLAS_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL if "CHAOS_LOUD" not in os.environ else None,
        )
        self._said: queue.Queue[dict[str, Any]] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self.pid = 0
        self._reader.start()

    def start(self, config: Path, port: int, die: Death | None, note: Path | None = None) -> dict[str, Any]:
        """Returns when it listens (or has died)."""
        order = {"config": str(config), "port": port, "die": die, "note": None if note is None else str(note)}
        self._forker.stdin.write(json.dumps(order).encode() + b"\n")
        self._forker.stdin.flush()
        return self.hear(PATIENCE)

    def hear(self, seconds: float) -> dict[str, Any]:
        """What happened next: one is up, or has ended. Raises ``queue.Empty``."""
        what = self._said.get(timeout=seconds)
        self.pid = what["pid"] if what["event"] == "up" else 0
        return what

    def end(self) -> None:
        """Kill the one that lives."""
        while self.pid:
            with suppress(ProcessLookupError):  # it died just now
                os.kill(self.pid, signal.SIGKILL)
            self.hear(PATIENCE)

    def close(self) -> None:
        self._forker.stdin.close()
        assert self._forker.wait(PATIENCE) == 0
        self._reader.join(PATIENCE)
        self._forker.stdout.close()

    def _read(self) -> None:
        for line in self._forker.stdout:
            self._said.put(json.loads(line))


@contextmanager
def stage() -> Iterator[tuple[Assassin, Gateways]]:
    """What stories share, to be quick."""
    gateways = Gateways()
    try:
        with Assassin() as runway:
            yield runway, gateways
    finally:
        gateways.close()


@dataclass
class Plot:
    """What is asked for, how, and where the processes die: each of ``deaths`` is the end of one."""

    kind: str = "image"
    n: int = 1
    calls: int = 1
    looks: tuple[int, ...] = (2,)
    sdk: bool = False
    deaths: Sequence[Death] = ()

    @property
    def certain(self) -> bool:
        """Whether every death surely comes: with several tasks under way, commits are shared and looks mixed."""
        return self.calls * self.n == 1 and len(self.deaths) <= 1 and self.looks == Plot.looks

    def body(self, call: int) -> dict[str, Any]:
        prompt = f"number {call}"
        if self.kind == "speech":
            return {"model": "it", "input": prompt, "voice": "alloy"}
        if self.kind == "image":
            return {"model": "it", "prompt": prompt, "n": self.n, "size": "1024x1024"}
        return {"model": "it", "prompt": prompt, "size": "1280x720", "seconds": "4"}


@dataclass
class End:
    """What became of a story. ``answers``: of each call the last, as (status, code, body or fields)."""

    answers: list[tuple[int, str, Any]] = field(default_factory=list)
    charges: Counter[str] = field(default_factory=Counter)
    rows: list[dict[str, Any]] = field(default_factory=list)
    deaths: int = 0
    met: list[str] = field(default_factory=list)


class Story:
    """Told once."""

    def __init__(self, plot: Plot, runway: Assassin, gateways: Gateways, folder: Path) -> None:
        self.plot, self.runway, self.gateways, self.folder = plot, runway, gateways, folder
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.base = f"http://127.0.0.1:{self.port}"
        self.config = folder / "config.yaml"
        self.config.write_text(
            f"model_list: [{{model_name: it, litellm_params: {{model: runwayml/{MODELS[plot.kind]}, "
            f'api_key: {runway.key}, api_base: "{runway.base}"}}}}]\n'
            f"general_settings: {{data_dir: {folder / 'data'}, task_timeout: {PATIENCE}}}\n"
        )
        self.life = threading.Condition()
        self.lives = 0
        self.end = End()

    def tell(self, note: Path | None = None) -> End:
        """Everything from the first call to the last row, checked."""
        begin = len(self.runway.ledger)
        self.runway.looks = self.plot.looks
        deaths = [*self.plot.deaths]
        try:
            self._start(deaths.pop(0) if deaths else None, note)
            with ThreadPoolExecutor(self.plot.calls) as pool:
                ask = self._ask_sdk if self.plot.sdk else self._ask
                calls = [pool.submit(ask, call) for call in range(self.plot.calls)]
                self._watch(calls, deaths, note)
                self.end.answers = [call.result() for call in calls]
            if not self.plot.certain:  # it may be about to die
                self.gateways.end()
                self._start(None, None)
            self.end.rows = self._rows()
            self.end.charges = Counter(each["body"]["promptText"] for each in self.runway.ledger[begin:])
            self._check({each["id"] for each in self.runway.ledger[begin:]})
            self.end.met += self.runway.met
        finally:
            self.gateways.end()
        return self.end

    def _start(self, die: Death | None, note: Path | None) -> None:
        self.runway.aim(0, None)
        up = self.gateways.start(self.config, self.port, die, note)
        assert up["event"] == "up", up
        self.runway.aim(up["pid"], die)
        with self.life:
            self.lives += 1
            self.life.notify_all()

    def _watch(self, calls: list[Future[Any]], deaths: list[Death], note: Path | None) -> None:
        """Start the next gateway where one has died, until every call is answered and every row has ended."""
        until = time.monotonic() + PATIENCE
        while not self._over(calls):
            assert time.monotonic() < until, [row["state"] for row in self._rows()]
            with suppress(queue.Empty):
                gone = self.gateways.hear(0.02)
                assert gone["signal"] == signal.SIGKILL, gone
                self.end.deaths += 1
                self._start(deaths.pop(0) if deaths else None, note)

    def _over(self, calls: list[Future[Any]]) -> bool:
        if self.plot.certain and self.end.deaths < len(self.plot.deaths):
            return False
        return all(call.done() for call in calls) and not any(row["open"] for row in self._rows())

    def _ask(self, call: int) -> tuple[int, str, Any]:
        """A client that tries again with the same Idempotency-Key when the connection breaks."""
        refused = 0
        while True:
            with self.life:
                life = self.lives
            try:
                answer = httpx.post(
                    self.base + ROUTES[self.plot.kind],
                    json=self.plot.body(call),
                    headers={"Idempotency-Key": f"call {call}"},
                    timeout=PATIENCE,
                )
            except httpx.TransportError:
                with self.life:
                    assert self.life.wait_for(lambda life=life: self.lives > life, PATIENCE)
                continue
            if answer.status_code == 503 and refused < 3:
                refused += 1
                continue
            kind = answer.headers["content-type"]
            body = answer.json() if kind == "application/json" else answer.content
            code = body["error"]["code"] if answer.status_code != 200 else ""
            if code == "submission_unknown":
                assert answer.headers["x-should-retry"] == "false"
            return answer.status_code, code, body

    def _ask_sdk(self, call: int) -> tuple[int, str, Any]:
        """OpenAI's SDK, which tries again by itself."""
        with openai.OpenAI(base_url=f"{self.base}/v1", api_key="none", max_retries=5, timeout=PATIENCE) as client:
            ask = {"speech": client.audio.speech.create, "image": client.images.generate, "video": client.videos.create}
            try:
                answer = ask[self.plot.kind](**self.plot.body(call))
            except openai.APIStatusError as error:
                return error.status_code, str(error.code), error.body
            return 200, "", answer.content if self.plot.kind == "speech" else answer.to_dict()

    def _rows(self) -> list[dict[str, Any]]:
        return rows_of(self.folder / "data")

    def _check(self, charged: set[str]) -> None:
        """No task is charged twice, none is lost, and no caller was told what is not so."""
        rows, plot = self.end.rows, self.plot
        tasks = [row["task"] for row in rows if row["task"]]
        assert len(set(tasks)) == len(tasks)
        assert set(tasks) <= charged, "a row has a task that the upstream never made"
        assert all(row["sent"] <= 1 for row in rows), "a row was submitted twice"
        unknown = sum(row["code"] == "submission_unknown" for row in rows)
        assert len(charged) - len(tasks) <= unknown, "a charge that nobody was told of"
        assert {row["code"] for row in rows} <= {"", "submission_unknown", "interrupted"}
        for call, (status, code, body) in enumerate(self.end.answers):
            charges = self.end.charges[f"number {call}"]
            assert charges <= plot.n, f"{charges} charges for a call of {plot.n}"
            if status == 200 and not (plot.kind == "video" and self._film(body) is None):
                assert charges == plot.n, f"{charges} charges for a call of {plot.n} that succeeded"
                self._fetch(body)
            elif status != 200:
                assert (status, code) == (502, "submission_unknown"), body

    def _film(self, body: dict[str, Any]) -> bytes | None:
        """The film, or None where its task was not to be repeated."""
        video = httpx.get(f"{self.base}/v1/videos/{body['id']}").json()
        if video["status"] == "failed":
            assert video["error"]["code"] == "submission_unknown", video
            return None
        assert video["status"] == "completed", video
        return httpx.get(f"{self.base}/v1/videos/{body['id']}/content").content

    def _fetch(self, body: Any) -> None:
        """What a completed call made is there."""
        if self.plot.kind == "video":
            assert self._film(body)[4:8] == b"ftyp"
        elif self.plot.kind == "speech":
            assert body[:2] in (b"\xff\xfb", b"\xff\xf3", b"ID")
        else:
            assert len(body["data"]) == self.plot.n
            for each in body["data"]:
                assert httpx.get(each["url"]).content[:8] == b"\x89PNG\r\n\x1a\n"


def rows_of(data: Path) -> list[dict[str, Any]]:
    """The jobs in a data folder, with what is worked out of them: ``open``, ``sent``, ``code``, ``prompt``."""
    with closing(sqlite3.connect(f"file:{data / 'jobs.sqlite'}?mode=ro", uri=True, timeout=10)) as db:
        db.row_factory = sqlite3.Row
        rows = [dict(row) for row in db.execute("SELECT * FROM jobs ORDER BY seq")]
        sent = Counter(row["job"] for row in db.execute("SELECT job FROM history WHERE after = 'submitting'"))
    for row in rows:
        row["open"] = row["state"] not in ("completed", "failed", "cancelled")
        row["sent"] = sent[row["id"]]
        row["code"] = json.loads(row["fault"])["code"] if row["fault"] else ""
        row["prompt"] = json.loads(row["request"])["prompt"]
    return rows


def tell(plot: Plot, runway: Assassin, gateways: Gateways) -> End:
    """One story in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        return Story(plot, runway, gateways, Path(folder)).tell()


def boundaries(plot: Plot, runway: Assassin, gateways: Gateways) -> list[Death]:
    """Every boundary that ``plot`` passes when nobody dies, in order; those of looks that find nothing new once."""
    with tempfile.TemporaryDirectory() as folder:
        note = Path(folder, "note")
        end = Story(plot, runway, gateways, Path(folder)).tell(note)
        passed: Counter[str] = Counter()
        found = []
        for name in [*note.read_text().splitlines(), *end.met]:
            passed[name] += 1
            if name.startswith("commit nothing"):
                continue
            if passed[name] <= (2 if name.startswith(("commit claim", "answer body")) else 1):
                found.append((name, passed[name]))
        return found


def plot_of(death: Death, others: Sequence[Death], seed: int) -> Plot:
    """A story in which a process dies at ``death``: what is made, how many, for whom, how many looks it takes, by ``seed``.

    Of several calls any may be the one; where the clients try again, the next process may die too.
    """
    chance = random.Random(f"{death} {seed}")
    kind = chance.choice([*MODELS])
    n = chance.randint(1, 3) if kind == "image" else 1
    calls = chance.randint(1, 3)
    name, turn = death
    deaths = [(name, turn if calls * n == 1 else chance.randint(1, calls * n))]
    deaths += [chance.choice(others) for _ in range(chance.choice((0, 0, 1, 2)))]
    looks = tuple(chance.randint(1, 4) for _ in range(calls * n))
    return Plot(kind, n, calls, looks, seed % 3 == 0, deaths)
