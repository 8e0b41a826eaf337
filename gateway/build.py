"""Putting the services together: the one place shared by the server, the command line and programs."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from engines.codec import Codec
from gateway.blobs.files import FileBlobs
from gateway.blobs.memory import MemoryBlobs
from gateway.blobs.store import BlobStore
from gateway.config import Config
from gateway.data import DataFolder
from gateway.jobs.job import Job
from gateway.jobs.memory import MemoryJobStore
from gateway.jobs.sqlite import SqliteJobStore
from gateway.jobs.store import JobStore
from gateway.jobs.worker import Jobs
from gateway.ledger.book import Book
from gateway.ledger.store import SqliteLedger
from gateway.services.asking import Asker
from gateway.services.catalog import Catalog
from gateway.services.deployments import Deployment, open_deployments, routes, rules
from gateway.services.guards import Guards
from gateway.services.images import ImageService
from gateway.services.keeping import keeper
from gateway.services.speech import SpeechService
from gateway.services.tasks import TaskService
from gateway.services.videos import VideoService
from gateway.services.webhooks import Outbox, Webhooks
from providers.base.contract import Done, TaskProvider
from providers.base.vendor import Resources
from providers.base.wire import Wire

Keep = Callable[[Job, Done], Awaitable[tuple[str, ...]]]


@dataclass(frozen=True, slots=True)
class Services:
    """Everything that can be asked for, by use-case. ``book`` is the ledger; ``secret`` signs addresses of outputs."""

    speech: SpeechService
    images: ImageService
    videos: VideoService
    catalog: Catalog
    blobs: BlobStore
    secret: bytes
    book: Book


@asynccontextmanager
async def open_services(config: Config, data: Path | None = None) -> AsyncIterator[Services]:
    """Open every deployment of ``config``; at the end close what they hold. Nothing is loaded or called yet.

    Tasks, outputs and the ledger are kept in the folder ``data``, which is made only where something needs it;
    ``None`` keeps them in memory. Raises ``DataFolderError`` or ``HookError``.
    """
    async with AsyncExitStack() as stack:
        resources = Resources()
        stack.push_async_callback(resources.close)
        codec = Codec(mp3_bitrate=config.general.mp3_bitrate)
        stack.callback(codec.close)
        deployments = await open_deployments(config, resources)
        tasked = any(isinstance(deployment.provider, TaskProvider) for deployment in deployments)
        logged = not config.general.disable_spend_logs
        folder = await _folder(data if tasked or logged else None, stack)
        store, blobs, secret = await _storage(folder if tasked else None, stack)
        book = await _book(config, folder, stack)
        wire = resources.shared(Wire, Wire)
        keep = keeper(blobs, wire, config.general.egress_allow)
        jobs = await _jobs(config, deployments, (store, book), keep, stack)
        table = routes(config, deployments)
        asker = Asker(table, rules(config.routing))
        outbox = Outbox(folder[0].outbox if tasked and folder is not None else None)
        webhooks = Webhooks(config.general, wire, jobs, outbox)
        stack.push_async_callback(webhooks.close)
        await webhooks.start()
        tasks = TaskService(asker, jobs, blobs, book, config, webhooks)
        stack.push_async_callback(tasks.close)
        guards = Guards(config.guardrails)
        stack.callback(guards.close)
        await guards.load()
        listed = {alias: target for alias, target in config.aliases.items() if alias not in config.router.hidden}
        yield Services(
            SpeechService(asker, codec, tasks, guards, drop_params=config.litellm.drop_params),
            ImageService(tasks, guards),
            VideoService(tasks, guards),
            Catalog(deployments, table, listed),
            blobs,
            secret,
            book,
        )


async def _folder(data: Path | None, stack: AsyncExitStack) -> tuple[DataFolder, bytes] | None:
    """The folder, and its secret."""
    if data is None:
        return None
    folder = DataFolder(data)
    secret = await asyncio.to_thread(folder.open)
    stack.callback(folder.close)
    return folder, secret


async def _storage(opened: tuple[DataFolder, bytes] | None, stack: AsyncExitStack) -> tuple[JobStore, BlobStore, bytes]:
    if opened is None:
        return MemoryJobStore(), MemoryBlobs(), secrets.token_bytes(32)
    folder, secret = opened
    store = await asyncio.to_thread(SqliteJobStore, folder.jobs)
    stack.push_async_callback(store.close)
    return store, FileBlobs(folder.blobs), secret


async def _book(config: Config, opened: tuple[DataFolder, bytes] | None, stack: AsyncExitStack) -> Book:
    store = None
    if not config.general.disable_spend_logs:
        store = await asyncio.to_thread(SqliteLedger, None if opened is None else opened[0].ledger)
    book = Book(store, config.general.maximum_spend_logs_retention_period)
    stack.push_async_callback(book.close)
    return book


async def _jobs(
    config: Config, deployments: list[Deployment], kept: tuple[JobStore, Book], keep: Keep, stack: AsyncExitStack
) -> Jobs:
    store, book = kept
    providers = {each.key: (each.provider, each.price) for each in deployments}

    def provider_of(job: Job) -> TaskProvider | None:
        provider, price = providers.get(job.deployment, (None, None))
        return book.metered(provider, job, price) if isinstance(provider, TaskProvider) else None

    retention = config.general.output_retention_days * 86_400
    jobs = Jobs(store, provider_of=provider_of, keep=keep, retention=retention)
    jobs.settle_by(book.ended)
    if any(isinstance(each.provider, TaskProvider) for each in deployments):
        await jobs.start()
        stack.push_async_callback(jobs.close)
    return jobs
