"""Putting the services together: the one place shared by the server, the command line and programs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from engines.codec import Codec
from gateway.config import Config
from gateway.services.catalog import Catalog
from gateway.services.deployments import open_deployments, routes
from gateway.services.speech import SpeechService
from providers.base.vendor import Resources


@dataclass(frozen=True, slots=True)
class Services:
    """Everything that can be asked for, by use-case."""

    speech: SpeechService
    catalog: Catalog


@asynccontextmanager
async def open_services(config: Config) -> AsyncIterator[Services]:
    """Open every deployment of ``config``; at the end close what they hold. Nothing is loaded or called yet."""
    resources = Resources()
    codec = Codec(mp3_bitrate=config.general.mp3_bitrate)
    try:
        deployments = await open_deployments(config, resources)
        table = routes(config, deployments)
        listed = {alias: target for alias, target in config.aliases.items() if alias not in config.router.hidden}
        yield Services(
            SpeechService(table, codec, drop_params=config.litellm.drop_params),
            Catalog(deployments, table, listed),
        )
    finally:
        codec.close()
        await resources.close()
