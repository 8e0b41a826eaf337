"""The deployments of a config, opened: what the services route between."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from gateway.config import Config, ModelEntry
from gateway.policy.routing import Routes
from providers.base import registry
from providers.base.contract import Provider
from providers.base.vendor import Resources


@dataclass(frozen=True, slots=True)
class Deployment:
    """One entry of ``model_list`` and the provider opened for it."""

    entry: ModelEntry
    provider: Provider


def mode(entry: ModelEntry) -> str:
    """What the entry makes, in LiteLLM's words (``audio_speech``); ``model_info.mode`` wins."""
    known = registry.load(entry.vendor).models
    return str(entry.model_info.get("mode") or known[entry.model if entry.model in known else "*"].mode)


async def open_deployments(config: Config, resources: Resources) -> list[Deployment]:
    """Open every entry of the config, in order. Calls nobody."""
    return [
        Deployment(entry, await registry.load(entry.vendor).open(entry.model, entry.settings, resources))
        for entry in config.models
    ]


def routes(config: Config, deployments: list[Deployment]) -> Routes[Deployment]:
    """The table of names: groups by ``model_name``, aliases, and ``<vendor>/<model>`` where no group is called so."""
    groups: dict[str, list[Deployment]] = defaultdict(list)
    also = dict(config.aliases)
    for deployment in deployments:
        entry = deployment.entry
        groups[entry.model_name].append(deployment)
        also.setdefault(f"{entry.vendor}/{entry.model}", entry.model_name)
    also = {name: group for name, group in also.items() if name not in groups}
    return Routes(groups, also, config.fallbacks)
