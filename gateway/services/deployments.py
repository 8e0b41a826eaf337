"""The deployments of a config, opened: what the services route between."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from gateway.config import Config, ModelEntry
from gateway.config.routing import RoutingKeys
from gateway.ledger.cost import configured, expected
from gateway.policy.attempts import RetryRules
from gateway.policy.balance import Balance, Strategy, Traits
from gateway.policy.cooldown import CoolingRules
from gateway.policy.course import Rules
from gateway.policy.routing import Routes
from providers.base import registry
from providers.base.contract import MediaRequest, Provider, SpeechProvider, TaskProvider, TranscriptionProvider
from providers.base.price import Price
from providers.base.vendor import Facts, Resources


@dataclass(frozen=True, slots=True)
class Deployment:
    """One entry of ``model_list`` and the provider opened for it.

    ``key`` finds it again after a restart: ``model_info.id``, else what the entry says of itself. It begins with the
    vendor's name and a slash. ``traits`` are what routing knows of it; ``makes`` is which of ``speech``, ``image``,
    ``video`` and ``transcription`` it can be asked for. ``price`` is the config's, else the vendor's; ``None``: nobody
    knows.
    """

    entry: ModelEntry
    provider: Provider
    key: str
    traits: Traits = field(default_factory=lambda: Traits(""))
    makes: frozenset[str] = frozenset()
    price: Price | None = None


def mode(entry: ModelEntry) -> str:
    """What the entry makes, in LiteLLM's words (``audio_speech``); ``model_info.mode`` wins."""
    return str(entry.model_info.get("mode") or _facts(entry).mode)


def _facts(entry: ModelEntry) -> Facts:
    known = registry.load(entry.vendor).facts(entry.model)
    if known is None:
        raise LookupError(entry.model)
    return known


async def open_deployments(config: Config, resources: Resources) -> list[Deployment]:
    """Open every entry of the config, in order. Calls nobody."""
    opened = []
    seen: Counter[str] = Counter()
    for entry in config.models:
        name = str(entry.model_info.get("id") or f"{entry.model}@{entry.model_name}")
        seen[name] += 1
        key = f"{entry.vendor}/{name}" + (f"#{seen[name]}" if seen[name] > 1 else "")
        provider = await registry.load(entry.vendor).open(entry.model, entry.settings, resources)
        makes = provider.makes if isinstance(provider, TaskProvider) else frozenset()
        makes |= {"speech"} if isinstance(provider, SpeechProvider) else set()
        makes |= {"transcription"} if isinstance(provider, TranscriptionProvider) else set()
        known = traits(config.routing, entry, provider, key)
        price = configured(entry.model_info, mode(entry), _facts(entry).price)
        opened.append(Deployment(entry, provider, key, known, makes, price))
    return opened


def traits(common: RoutingKeys, entry: ModelEntry, provider: Provider, key: str) -> Traits:
    """What the config says of one deployment's routing, its own words first."""
    own = entry.routing
    timeout = own.timeout or common.timeout or common.request_timeout
    if isinstance(provider, SpeechProvider):  # it answers in chunks: what counts is the first one
        timeout = own.stream_timeout or own.timeout or common.stream_timeout or timeout
    answers = {"speech"} if isinstance(provider, SpeechProvider) else set()
    cooling = CoolingRules(
        enabled=not common.disable_cooldowns,
        seconds=common.cooldown_time if own.cooldown_time is None else own.cooldown_time,
        allowed=common.allowed_fails if own.allowed_fails is None else own.allowed_fails,
        by_class=own.allowed_fails_policy or common.allowed_fails_policy,
    )
    return Traits(
        key=key,
        order=own.order,
        weight=own.weight,
        rpm=own.rpm,
        max_parallel=own.max_parallel_requests or common.default_max_parallel_requests,
        tags=frozenset(own.tags),
        retries=own.max_retries if own.num_retries is None else own.num_retries,
        timeout=timeout,
        once=frozenset(provider.makes) - answers if isinstance(provider, TaskProvider) else frozenset(),
        cooling=cooling,
    )


_STRATEGIES: dict[str, Strategy] = {
    "simple-shuffle": "simple-shuffle",
    "least-busy": "least-busy",
    "latency-based-routing": "latency-based-routing",
}


def rules(common: RoutingKeys) -> Rules:
    """What the config says of routing between all of them."""
    args = common.routing_strategy_args
    repeated = common.max_retries if common.num_retries is None else common.num_retries
    retries = RetryRules(
        times=RetryRules().times if repeated is None else repeated,
        by_class=common.retry_policy,
        by_group=common.model_group_retry_policy,
        floor=common.retry_after,
    )
    balance = Balance(_STRATEGIES[common.routing_strategy], args.lowest_latency_buffer, args.ttl)
    return Rules(balance, retries, common.max_fallbacks, common.enable_tag_filtering)


def routes(config: Config, deployments: list[Deployment]) -> Routes[Deployment]:
    """The table of names: groups by ``model_name``, aliases, and ``<vendor>/<model>`` or the model's name alone where
    no group is called so."""
    groups: dict[str, list[Deployment]] = defaultdict(list)
    also = dict(config.aliases)
    for deployment in deployments:
        entry = deployment.entry
        groups[entry.model_name].append(deployment)
        also.setdefault(f"{entry.vendor}/{entry.model}", entry.model_name)
    for deployment in deployments:
        also.setdefault(deployment.entry.model, deployment.entry.model_name)
    also = {name: group for name, group in also.items() if name not in groups}
    return Routes(groups, also, config.fallbacks, config.content_policy)


class Dearest:
    """What a call may cost at the dearest deployment that may answer it; ``None`` where that is unknown of one."""

    def __init__(self, table: Routes[Deployment]) -> None:
        self._table = table
        self._prices: dict[str, tuple[object, list[Price | None]]] = {}  # by model, with what they were found in

    def __call__(self, model: str, requests: Sequence[MediaRequest]) -> float | None:
        """Raises ``UnknownModel``."""
        candidates = self._table.candidates(model)
        found, prices = self._prices.get(model, (None, []))
        if found is not candidates:
            # Mostly it is one and the same.
            prices = [*{id(each.deployment.price): each.deployment.price for each in candidates}.values()]
            self._prices[model] = candidates, prices
        dearest = 0.0
        for price in prices:
            _, cost = expected(price, requests)
            if cost is None:
                return None
            dearest = max(dearest, cost.usd)
        return dearest
