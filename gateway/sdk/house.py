"""What is open on the loop of a process: the services, and a deployment for each way in which a model was called."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator, Hashable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from gateway.build import Services, open_services
from gateway.config import Config, load_config, parse_config
from gateway.data import DataFolder, data_folder
from gateway.errors import InvalidRequest, UnknownModel
from gateway.jobs.job import Job
from gateway.ledger.cost import NAMES as PRICES
from providers.base import registry
from providers.base.errors import Unavailable

_log = logging.getLogger(__name__)

_ACCOUNT = frozenset(
    "api_key api_base api_version organization project custom_llm_provider drop_params additional_drop_params".split()
)
_MARK = "#"

CALL = "the call"
"""In the place of a file's name, where a config was made of a call."""


def split(model: str, options: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """``options`` as those of the deployment (keys, addresses, the vendor's settings, prices) and those of the call."""
    vendor, _, name = model.partition("/")
    vendor = str(options.get("custom_llm_provider") or vendor)
    names = _ACCOUNT | PRICES
    if vendor in registry.names():
        known = registry.load(vendor).models
        facts = known.get(name) or known.get("*")
        names |= set() if facts is None else facts.settings.model_fields.keys() - {"seconds"}  # that is OpenAI's word
    given = {name: value for name, value in options.items() if value is not None}
    if base := given.pop("base_url", None):
        given.setdefault("api_base", base)
    account = {name: value for name, value in given.items() if name in names}
    return account, {name: value for name, value in given.items() if name not in names}


def shown(text: str) -> str:
    """``text`` with the names of models as their callers wrote them."""
    return re.sub(rf"(/[^\s{_MARK}']+){_MARK}[0-9a-f]{{8}}\b", r"\1", text)


class Closing(Protocol):
    """What is closed before the services are; it takes itself out of ``House.open``."""

    async def aclose(self) -> None:
        """Stop. Twice is harmless."""


class House:
    """Everything happens on one loop. Films are kept in the data folder, which one process has at a time; the rest in a
    folder of this process's own, which is removed with it. ``open`` is what callers still read."""

    def __init__(self) -> None:
        self._config: Config | None = None
        self._opened: dict[bool, Services] = {}
        self._stack = AsyncExitStack()
        self._lock = asyncio.Lock()
        self._known: dict[Hashable, str] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._left: list[AsyncExitStack] = []
        self.open: set[Closing] = set()

    async def use(self, path: str | os.PathLike[str] | None) -> None:
        """Take a config; ``None``: what the environment says. What is open is closed. Raises ``ConfigError``."""
        config = None if path is None else await _read(path)
        await self.close()
        self._config = config

    async def close(self) -> None:
        """Close what is open."""
        self._arrive()
        for each in [*self.open]:
            await each.aclose()
        async with self._lock:
            self._opened.clear()
            self._known.clear()
            await self._stack.aclose()

    async def config(self) -> Config:
        """The config in use."""
        if self._config is None:
            self._config = await _read(os.environ.get("MEDIA_GATEWAY_CONFIG"))
        return self._config

    async def folder(self) -> DataFolder:
        """Where films and pictures are kept."""
        return DataFolder(data_folder((await self.config()).general))

    async def services(self, *, lasting: bool = False) -> Services:
        """``lasting``: what they make outlives the process. Raises what ``open_services`` raises."""
        self._arrive()
        config, folder = await self.config(), await self.folder()
        async with self._lock:
            if lasting not in self._opened:
                where = _own_folder() if not lasting else _given(folder.path)
                path = await self._stack.enter_async_context(where)
                opened = open_services(config, path, growing=True)
                self._opened[lasting] = await self._stack.enter_async_context(opened)
            return self._opened[lasting]

    def _arrive(self) -> None:
        """On another loop (of a forked child) nothing is open: what there was is its parent's, and is left alone."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._left.append(self._stack)
            self._opened, self._known, self.open = {}, {}, set()
            self._loop, self._stack, self._lock = loop, AsyncExitStack(), asyncio.Lock()

    async def model(self, services: Services, model: str, account: Mapping[str, Any]) -> str:
        """The name under which ``services`` know the model: the config's own where it is called as it stands there.

        Raises ``ConfigError`` where ``account`` is wrong, or the model is no ``<vendor>/<model>``.
        """
        if not account:
            try:
                return services.catalog.group(model)
            except UnknownModel:
                if (await self.config()).models and model.partition("/")[0] not in registry.names():
                    raise
        # What is not given comes from the environment, so the same call may mean another deployment when that changes.
        called: Hashable = (id(services), model, json.dumps(account, sort_keys=True, default=str), _environment())
        async with self._lock:
            if called not in self._known:
                grown = await self._entry(model, account)
                entry = grown.models[0]
                name = f"{entry.vendor}/{entry.model}{_MARK}{secrets.token_hex(4)}"
                await services.grow(replace(grown, models=(replace(entry, model_name=name),)))
                self._known[called] = name
            return self._known[called]

    async def attend(self, services: Services, job: Job, account: Mapping[str, Any]) -> None:
        """See that the model of a film of another process is here. Raises ``Unavailable``, ``InvalidRequest``."""
        called: Hashable = (id(services), job.model, json.dumps(account, sort_keys=True, default=str))
        async with self._lock:
            found = _standing(services, job.model)
            lacking = found is None or found.state == "unavailable" or (account and called not in self._known)
            if _MARK in job.model and job.model not in self._known.values() and lacking:
                grown = await self._entry(shown(job.model), account)
                info = {**grown.models[0].model_info, "id": job.deployment.partition("/")[2]}
                entry = replace(grown.models[0], model_name=job.model, model_info=info)
                await services.grow(replace(grown, models=(entry,)))
                self._known[called] = ""
                found = _standing(services, job.model)
        if found is None:
            raise InvalidRequest(
                f"The model '{job.model}' that makes this video is not in the config; give the config that it was "
                "made with (configure, or $MEDIA_GATEWAY_CONFIG).",
                param="video_id",
            )
        if found.state == "unavailable":
            raise Unavailable(found.detail, reason="no_key")

    async def _entry(self, model: str, account: Mapping[str, Any]) -> Config:
        """The config with one entry alone, made of a call."""
        listed = [{"model_name": "model", "litellm_params": {"model": model, **account}}]
        text = json.dumps({"model_list": listed}, ensure_ascii=False)
        parsed = parse_config(text, CALL)
        for problem in parsed.warnings:
            _log.warning("%s", problem)
        return replace(await self.config(), models=parsed.models)


async def _read(path: str | os.PathLike[str] | None) -> Config:
    config = await asyncio.to_thread(load_config, Path(path)) if path else Config(models=())
    for problem in config.warnings:
        _log.warning("%s", problem)
    # There are no callers to tell apart, and no server's ledger to write.
    general = config.general.model_copy(update={"master_key": None, "disable_spend_logs": True})
    return replace(config, general=general)


def _environment() -> Hashable:
    return frozenset(os.environ.items())


def _standing(services: Services, model: str) -> Any:
    """The readiness of the newest deployment of a name."""
    found = [each.readiness for each in services.catalog.standings() if each.model == model]
    return found[-1] if found else None


@asynccontextmanager
async def _own_folder() -> AsyncIterator[Path]:
    folder = await asyncio.to_thread(tempfile.mkdtemp, prefix="media-gateway-")
    try:
        yield Path(folder)
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


@asynccontextmanager
async def _given(path: Path) -> AsyncIterator[Path]:
    yield path
