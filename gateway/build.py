"""Putting the services together: the one place shared by the server, the command line and programs."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from math import inf
from pathlib import Path

from engines.codec import Codec
from gateway.blobs.files import FileBlobs
from gateway.blobs.memory import MemoryBlobs
from gateway.blobs.store import Blob, BlobStore
from gateway.config import Config, GeneralSettings
from gateway.data import DataFolder, DataFolderError
from gateway.database import StoreError
from gateway.jobs.job import Job
from gateway.jobs.memory import MemoryJobStore
from gateway.jobs.sqlite import SqliteJobStore
from gateway.jobs.store import JobStore
from gateway.jobs.tally import Tally
from gateway.jobs.worker import Jobs
from gateway.keys.key import token_of
from gateway.keys.limits import Limits
from gateway.keys.memory import MemoryKeyStore
from gateway.keys.ring import REFRESH_SECONDS, Keyring
from gateway.keys.sqlite import SqliteKeyStore
from gateway.keys.store import KeyStore
from gateway.ledger.book import Book
from gateway.ledger.store import SqliteLedger
from gateway.policy.routing import Routes
from gateway.services.admission import Admission
from gateway.services.asking import Asker
from gateway.services.caching import SpeechCache, digests
from gateway.services.catalog import Catalog
from gateway.services.deployments import Dearest, Deployment, open_deployments, routes, rules
from gateway.services.guards import Guards
from gateway.services.health import Health
from gateway.services.images import ImageService
from gateway.services.keeping import keeper
from gateway.services.keys import KeyService
from gateway.services.speech import SpeechService
from gateway.services.tasks import Kept, TaskService
from gateway.services.transcriptions import TranscriptionService
from gateway.services.videos import VideoService
from gateway.services.webhooks import Outbox, Webhooks
from gateway.workers.crew import Crew
from providers.base.contract import Done, TaskProvider
from providers.base.vendor import Resources
from providers.base.wire import Wire

Keep = Callable[[Job, Done], Awaitable[tuple[str, ...]]]


@dataclass(frozen=True, slots=True)
class Services:
    """Everything that can be asked for, by use-case. ``book`` is the ledger; ``secret`` signs addresses of outputs;
    ``tally`` is what is counted of tasks, ``conditions`` how the deployments do (``Fleet.conditions``); ``grow`` opens
    further deployments, as if they stood in the config."""

    speech: SpeechService
    images: ImageService
    videos: VideoService
    transcriptions: TranscriptionService
    catalog: Catalog
    blobs: BlobStore
    secret: bytes
    book: Book
    ring: Keyring
    admission: Admission
    keys: KeyService
    health: Health
    tally: Tally
    conditions: Callable[[], Mapping[str, tuple[int, int]]]
    grow: Callable[[Config], Awaitable[None]]


@asynccontextmanager
async def open_services(
    config: Config, data: Path | None = None, *, growing: bool = False, crew: Crew | None = None
) -> AsyncIterator[Services]:
    """Open every deployment of ``config``; at the end close what they hold. Nothing is loaded or called yet.

    Tasks, outputs, keys and the ledger are kept in the folder ``data``, which is made only where something needs it;
    ``None`` keeps them in memory. ``growing``: there may be more deployments later. ``crew``: others serve from it too.
    Raises ``DataFolderError``, ``StoreError`` or ``HookError``.
    """
    async with AsyncExitStack() as stack:
        resources = Resources()
        stack.push_async_callback(resources.close)
        wire = _wire(config.general, data, resources, growing=growing)
        codec = Codec(mp3_bitrate=config.general.mp3_bitrate)
        stack.callback(codec.close)
        deployments = await open_deployments(config, resources)
        tasked = growing or any(isinstance(deployment.provider, TaskProvider) for deployment in deployments)
        rooms = Rooms(data, stack, crew)
        store, blobs, secret = await rooms.storage() if tasked and data else _kept_nowhere()
        book = await rooms.book(config.general)
        ring = await _ring(config, rooms, stack)
        cache = await _cache(config, deployments, rooms, stack)
        keep = keeper(blobs, wire, config.general.egress_allow, sizes := _sizes())
        jobs = await _jobs(config, deployments, (store, book), (keep, sizes), stack if tasked else None, crew)
        table = routes(config, deployments)
        asker = Asker(table, rules(config.routing))
        outbox = Outbox(DataFolder(data).outbox if tasked and data is not None else None)
        webhooks = await _webhooks(Webhooks(config.general, wire, jobs, outbox), stack)
        admission = Admission(ring, _limits(ring, crew), config.litellm, table.group, Dearest(table))
        tasks = TaskService(asker, admission, Kept(jobs, blobs, book), config, webhooks)
        stack.push_async_callback(tasks.close)
        guards = await _guards(config, stack)
        health = _health(config, deployments, rooms, stack)
        yield Services(
            SpeechService(asker, codec, tasks, guards, drop_params=config.litellm.drop_params, cache=cache),
            ImageService(tasks, guards),
            VideoService(tasks, guards),
            TranscriptionService(asker, tasks, guards),
            Catalog(deployments, table, _listed(config)),
            blobs,
            secret,
            book,
            ring,
            admission,
            KeyService(ring, _master(config)),
            health,
            jobs.tally,
            asker.conditions,
            partial(_grow, resources, deployments, table, jobs),
        )


def _listed(config: Config) -> dict[str, str]:
    """The aliases that are shown."""
    return {alias: target for alias, target in config.aliases.items() if alias not in config.router.hidden}


async def _grow(
    resources: Resources, deployments: list[Deployment], table: Routes[Deployment], jobs: Jobs, config: Config
) -> None:
    """Open the entries of ``config`` too, and take up the jobs that they have left."""
    for deployment in await open_deployments(config, resources):
        deployments.append(deployment)
        table.add(deployment.entry.model_name, deployment)
        await jobs.resume(deployment.key)


def _wire(settings: GeneralSettings, data: Path | None, resources: Resources, *, growing: bool) -> Wire:
    """Of a server, every call that is let in may have its connection: readers who stop keep nobody waiting."""
    limit = 256 if growing else settings.max_connections + 64
    spool = None if data is None else DataFolder(data).blobs  # the system's folder for such files may be memory
    return resources.shared(Wire, partial(Wire, limit=limit, spool=spool))


async def _webhooks(webhooks: Webhooks, stack: AsyncExitStack) -> Webhooks:
    stack.push_async_callback(webhooks.close)
    await webhooks.start()
    return webhooks


def _health(config: Config, deployments: list[Deployment], rooms: Rooms, stack: AsyncExitStack) -> Health:
    health = Health(deployments, config.general, watches=rooms.leads)
    stack.push_async_callback(health.close)
    return health


async def _guards(config: Config, stack: AsyncExitStack) -> Guards:
    guards = Guards(config.guardrails)
    stack.callback(guards.close)
    await guards.load()
    return guards


class Rooms:
    """The data folder, taken when the first thing is kept there. ``path`` None keeps everything in memory."""

    def __init__(self, path: Path | None, stack: AsyncExitStack, crew: Crew | None) -> None:
        self._folder = None if path is None else DataFolder(path, ours=crew is not None)
        self._crew = crew
        self._stack = stack
        self._secret = b""

    @property
    def leads(self) -> bool:
        """Whether what is done once is done by this process."""
        return self._crew is None or self._crew.leads

    async def storage(self) -> tuple[JobStore, BlobStore, bytes]:
        """Jobs and outputs. Raises ``DataFolderError``, ``StoreError``."""
        assert self._folder is not None
        await self._take()
        name, mark = ("", "") if self._crew is None else (self._crew.name, f".{self._crew.place.number}")
        store = await asyncio.to_thread(partial(SqliteJobStore, self._folder.jobs, name=name))
        self._stack.push_async_callback(store.close)
        blobs = await asyncio.to_thread(FileBlobs, self._folder.blobs, mark)
        self._stack.push_async_callback(blobs.close)
        return store, blobs, self._secret

    async def book(self, settings: GeneralSettings) -> Book:
        """The ledger. Raises ``DataFolderError``, ``StoreError``."""
        store = None
        if not settings.disable_spend_logs:
            await self._take()
            path = None if self._folder is None else self._folder.ledger
            store = await asyncio.to_thread(SqliteLedger, path)
        book = Book(store, settings.maximum_spend_logs_retention_period if self.leads else None)
        self._stack.push_async_callback(book.close)
        return book

    async def cache(self) -> tuple[BlobStore, list[Blob]]:
        """Where answers are kept, and those that are: each process has its own. Raises ``DataFolderError``."""
        if self._folder is None:
            return MemoryBlobs(), []
        await self._take()
        folder = self._folder.cache_of(0 if self._crew is None else self._crew.place.number)
        blobs = await asyncio.to_thread(FileBlobs, folder)
        self._stack.push_async_callback(blobs.close)
        return blobs, await asyncio.to_thread(blobs.tidy)

    async def have_keys(self) -> bool:
        """Whether somebody has made keys here. In a folder that may not be looked into there are none."""
        try:
            return self._folder is not None and await asyncio.to_thread(self._folder.keys.exists)
        except OSError:
            return False

    async def keys(self) -> KeyStore:
        """The virtual keys. Raises ``StoreError``."""
        if self._folder is None:
            return MemoryKeyStore()
        try:
            await self._take()
        except DataFolderError as error:
            raise StoreError(str(error)) from error
        return await asyncio.to_thread(SqliteKeyStore, self._folder.keys)

    async def _take(self) -> None:
        if not self._secret and self._folder is not None:
            self._secret = await asyncio.to_thread(self._folder.open)
            self._stack.callback(self._folder.close)


def _kept_nowhere() -> tuple[JobStore, BlobStore, bytes]:
    return MemoryJobStore(), MemoryBlobs(), secrets.token_bytes(32)


async def _ring(config: Config, rooms: Rooms, stack: AsyncExitStack) -> Keyring:
    """The keys. Without a master key there are none; budgets that stand in the config need their store too."""
    ring = Keyring(rooms.have_keys, rooms.keys)
    stack.push_async_callback(ring.close)
    if config.litellm.max_budget is not None or config.litellm.max_end_user_budget is not None:
        await ring.store()
    if config.general.master_key is not None:
        await ring.start()
    return ring


def _limits(ring: Keyring, crew: Crew | None) -> Limits:
    """The budgets; where others spend too, never older than a blink."""
    return Limits(ring.store, fresh=inf if crew is None else REFRESH_SECONDS)


def _master(config: Config) -> str | None:
    key = config.general.master_key
    return None if key is None else token_of(key.get_secret_value())


async def _cache(
    config: Config, deployments: list[Deployment], rooms: Rooms, stack: AsyncExitStack
) -> SpeechCache | None:
    """The cache of speech, where it is on."""
    settings = config.litellm.cache
    if settings is None:
        return None
    blobs, known = await rooms.cache() if settings.type == "disk" else (MemoryBlobs(), [])
    cache = SpeechCache(blobs, settings, digests(deployments, config, settings), known)
    stack.push_async_callback(cache.close)
    return cache


def _sizes() -> dict[str, int]:
    """Bytes of outputs, by the kind of job."""
    return dict.fromkeys(("speech", "image", "video"), 0)


async def _jobs(
    config: Config,
    deployments: list[Deployment],
    kept: tuple[JobStore, Book],
    outputs: tuple[Keep, dict[str, int]],
    stack: AsyncExitStack | None,
    crew: Crew | None,
) -> Jobs:
    """The worker; without a ``stack`` there is nothing for it to do, and it does not start."""
    store, book = kept

    def provider_of(job: Job) -> TaskProvider | None:
        # The newest: one may have been opened again, with another key.
        found = next((each for each in reversed(deployments) if each.key == job.deployment), None)
        if found is None or not isinstance(found.provider, TaskProvider):
            return None
        return book.metered(found.provider, job, found.price)

    retention = config.general.output_retention_days * 86_400
    keep, sizes = outputs
    jobs = Jobs(store, provider_of=provider_of, keep=keep, retention=retention)
    if crew is not None:
        jobs.join(crew)
    jobs.tally.kept = sizes
    jobs.settle_by(book.ended)
    if stack is not None:
        await jobs.start()
        stack.push_async_callback(jobs.close)
    return jobs
