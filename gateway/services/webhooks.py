"""Telling somebody else's server that a video has ended, signed as Standard Webhooks has it, in OpenAI's words.

At least once: who is to be told of a video is written down before the video is sent for, and crossed out when the
server has taken the event, or has not in five tries. An event's id stays the same, so that a second one is known.
Format: https://www.standardwebhooks.com and https://platform.openai.com/docs/guides/webhooks.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import logging
import math
import os
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from gateway.config import GeneralSettings
from gateway.jobs.errors import StoreError, UnknownJob
from gateway.jobs.job import Job, State
from gateway.jobs.worker import TEND_SECONDS, Jobs
from gateway.workers.crew import Crew
from providers.base.egress import Egress
from providers.base.errors import ProviderError
from providers.base.exchange import Deadlines, Exchange
from providers.base.wire import Wire

_log = logging.getLogger(__name__)

DELAYS = (0.0, 1.0, 15.0, 60.0, 240.0)
"""Seconds before each try."""

_AT_ONCE = 8  # events on their way
_DEADLINES = Deadlines(first_byte=15.0, idle=5.0, total=30.0)


class Outbox:
    """Of whom there is still to be told: a folder with an empty file for each; ``None`` keeps them in memory."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def add(self, names: Iterable[str]) -> None:
        """Durable when it returns. Blocks."""
        if self._folder is not None:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            for name in names:
                (self._folder / name).touch(mode=0o600)
            with suppress(OSError):  # a folder cannot be flushed on every system
                folder = os.open(self._folder, os.O_RDONLY)
                try:
                    os.fsync(folder)
                finally:
                    os.close(folder)

    def remove(self, names: Iterable[str]) -> None:
        """Harmless where there is none. Blocks."""
        if self._folder is not None:
            for name in names:
                (self._folder / name).unlink(missing_ok=True)

    def rename(self, names: Iterable[str], mark: str) -> None:
        """Take off what ``mark`` adds to them. Blocks."""
        if self._folder is not None:
            for name in names:
                with suppress(FileNotFoundError):
                    (self._folder / f"{name}{mark}").rename(self._folder / name)

    def names(self) -> Sequence[str]:
        """What is there, marks and all. Blocks."""
        if self._folder is None or not self._folder.is_dir():
            return ()
        return sorted(each.name for each in self._folder.iterdir())


class Webhooks:
    """Follows videos to their end and posts ``video.completed`` or ``video.failed``; without an address, nothing.

    What was cancelled is told to nobody: its caller did that. Of several processes one follows: what the others expect
    bears their marks until it runs, or they are gone.
    """

    def __init__(self, settings: GeneralSettings, wire: Wire, jobs: Jobs, outbox: Outbox) -> None:
        self._url = settings.webhook_url
        secret = "" if settings.webhook_secret is None else settings.webhook_secret.get_secret_value()
        self._key = base64.b64decode(secret.removeprefix("whsec_"))
        self._egress = Egress(allow=settings.egress_allow)
        self._wire = wire
        self._jobs = jobs
        self._outbox = outbox
        self._room = asyncio.Semaphore(_AT_ONCE)
        self._following: dict[str, asyncio.Task[None]] = {}
        self._crew = jobs.crew
        self._mark = "" if jobs.crew is None else f".{jobs.crew.name}"
        self._looking: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Take up what an earlier run left."""
        if self._url is None:
            return
        if self._crew is None:
            for name in await asyncio.to_thread(self._outbox.names):
                self._follow(name)
        elif self._crew.leads:
            self._looking = asyncio.create_task(self._look(self._crew))

    async def close(self) -> None:
        """Stop; what is not delivered is left for the next start."""
        tasks = [*self._following.values(), *([] if self._looking is None else [self._looking])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def expect(self, jobs: Sequence[Job]) -> None:
        """Write down, before they are sent, the videos whose end is to be told."""
        if videos := self._videos(jobs):
            await asyncio.to_thread(self._outbox.add, [f"{name}{self._mark}" for name in videos])

    async def began(self, jobs: Sequence[Job]) -> None:
        """They run: tell of their end."""
        videos = self._videos(jobs)
        if self._crew is None:
            for name in videos:
                self._follow(name)
        elif videos:
            await asyncio.to_thread(self._outbox.rename, videos, self._mark)

    async def forget(self, jobs: Sequence[Job]) -> None:
        """They were not taken, which their caller is told himself."""
        if videos := self._videos(jobs):
            await asyncio.to_thread(self._outbox.remove, [f"{name}{self._mark}" for name in videos])

    def _videos(self, jobs: Sequence[Job]) -> list[str]:
        return [] if self._url is None else [job.id for job in jobs if job.kind == "video"]

    def _follow(self, name: str) -> None:
        task = self._following[name] = asyncio.create_task(self._to_the_end(name))
        task.add_done_callback(lambda _: self._following.pop(name))

    async def _look(self, crew: Crew) -> None:
        """Follow what any process has begun, and what those that are gone have expected."""
        while True:
            try:
                for found in await asyncio.to_thread(self._outbox.names):
                    name, mark, owner = found.partition(".")
                    if mark and crew.alive(owner):
                        continue
                    await asyncio.to_thread(self._outbox.rename, [name], f"{mark}{owner}")
                    if name not in self._following:
                        self._follow(name)
            except OSError as error:
                _log.error("what is still to be told cannot be read: %s", error)
            await asyncio.sleep(TEND_SECONDS)

    async def _to_the_end(self, name: str) -> None:
        try:
            job = await self._jobs.wait(name, math.inf)
            if job.state is not State.CANCELLED:
                await self._deliver(job)
        except UnknownJob:
            pass  # it was never sent, or has been forgotten
        except StoreError as error:
            _log.error("%s: whether it has ended cannot be read, its event waits for the next start: %s", name, error)
            return
        await asyncio.to_thread(self._outbox.remove, [name])

    async def _deliver(self, job: Job) -> None:
        event = f"evt_{hashlib.sha256(job.id.encode()).hexdigest()[:32]}"
        body = {
            "id": event,
            "object": "event",
            "created_at": int(job.completed or time.time()),
            "type": "video.completed" if job.state is State.COMPLETED else "video.failed",
            "data": {"id": job.id},
        }
        content = json.dumps(body).encode()
        for delay in DELAYS:
            await asyncio.sleep(delay)
            async with self._room:
                fault = await self._post(event, content)
            if fault is None:
                return
            _log.info("%s of %s was not delivered: %s", event, job.id, fault)
        _log.error("%s of %s was not delivered in %d tries: %s", event, job.id, len(DELAYS), fault)

    async def _post(self, event: str, content: bytes) -> str | None:
        """One try; what went wrong, if anything did."""
        stamp = str(int(time.time()))
        digest = hmac.new(self._key, f"{event}.{stamp}.".encode() + content, hashlib.sha256).digest()
        headers = {
            "Content-Type": "application/json",
            "webhook-id": event,
            "webhook-timestamp": stamp,
            "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
        }
        exchange = Exchange(
            "The webhook", "POST", self._url or "", headers, data=content, deadlines=_DEADLINES, egress=self._egress
        )
        try:
            answer = await self._wire.stream(exchange)
        except ProviderError as error:
            return str(error)
        await answer.aclose()
        return None if 200 <= answer.status < 300 else f"it answered {answer.status}"
