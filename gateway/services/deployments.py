"""The deployments of a config, opened: what the services route between."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass

from gateway.config import Config, ModelEntry
from gateway.policy.routing import Routes
from providers.base import registry
from providers.base.contract import Provider
from providers.base.vendor import Resources


@dataclass(frozen=True, slots=True)
class Deployment:
    """One entry of ``model_list`` and the provider opened for it.

    ``key`` finds it again after a restart: ``model_info.id``, else what the entry says of itself. It begins with the
    vendor's name and a slash.
    """

    entry: ModelEntry
    provider: Provider
    key: str


def mode(entry: ModelEntry) -> str:
    """What the entry makes, in LiteLLM's words (``audio_speech``); ``model_info.mode`` wins."""
    known = registry.load(entry.vendor).models
    return str(entry.model_info.get("mode") or known[entry.model if entry.model in known else "*"].mode)


async def open_deployments(config: Config, resources: Resources) -> list[Deployment]:
    """Open every entry of the config, in order. Calls nobody."""
    opened = []
    seen: Counter[str] = Counter()
    for entry in config.models:
        name = str(entry.model_info.get("id") or f"{entry.model}@{entry.model_name}")
        seen[name] += 1
        key = f"{entry.vendor}/{name}" + (f"#{seen[name]}" if seen[name] > 1 else "")
        opened.append(
            Deployment(entry, await registry.load(entry.vendor).open(entry.model, entry.settings, resources), key)
        )
    return opened


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
