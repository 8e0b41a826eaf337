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
    """Everything that can be asked for, by use-case. ``secret`` is what addresses of outputs are signed with."""

    speech: SpeechService
    images: ImageService
    videos: VideoService
    catalog: Catalog
    blobs: BlobStore
    secret: bytes


@asynccontextmanager
async def open_services(config: Config, data: Path | None = None) -> AsyncIterator[Services]:
    """Open every deployment of ``config``; at the end close what they hold. Nothing is loaded or called yet.

    Tasks and outputs are kept in the folder ``data``, which is made only where a deployment needs it; ``None`` keeps
    them in memory. Raises ``DataFolderError`` or ``HookError``.
    """
    async with AsyncExitStack() as stack:
        resources = Resources()
        stack.push_async_callback(resources.close)
        codec = Codec(mp3_bitrate=config.general.mp3_bitrate)
        stack.callback(codec.close)
        deployments = await open_deployments(config, resources)
        tasked = any(isinstance(deployment.provider, TaskProvider) for deployment in deployments)
        store, blobs, secret = await _storage(data if tasked else None, stack)
        wire = resources.shared(Wire, Wire)
        keep = keeper(blobs, wire, config.general.egress_allow)
        jobs = await _jobs(config, deployments, store, keep, stack)
        table = routes(config, deployments)
        asker = Asker(table, rules(config.routing))
        outbox = Outbox(DataFolder(data).outbox if tasked and data is not None else None)
        webhooks = Webhooks(config.general, wire, jobs, outbox)
        stack.push_async_callback(webhooks.close)
        await webhooks.start()
        tasks = TaskService(asker, jobs, store, blobs, config, webhooks)
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
        )


async def _storage(data: Path | None, stack: AsyncExitStack) -> tuple[JobStore, BlobStore, bytes]:
    if data is None:
        return MemoryJobStore(), MemoryBlobs(), secrets.token_bytes(32)
    folder = DataFolder(data)
    secret = await asyncio.to_thread(folder.open)
    stack.callback(folder.close)
    store = await asyncio.to_thread(SqliteJobStore, folder.jobs)
    stack.push_async_callback(store.close)
    return store, FileBlobs(folder.blobs), secret


async def _jobs(
    config: Config, deployments: list[Deployment], store: JobStore, keep: Keep, stack: AsyncExitStack
) -> Jobs:
    providers = {each.key: each.provider for each in deployments if isinstance(each.provider, TaskProvider)}

    def provider_of(job: Job) -> TaskProvider | None:
        return providers.get(job.deployment)

    retention = config.general.output_retention_days * 86_400
    jobs = Jobs(store, provider_of=provider_of, keep=keep, retention=retention)
    if providers:
        await jobs.start()
        stack.push_async_callback(jobs.close)
    return jobs
