"""What the file says of routing: for all deployments (``router_settings``, ``litellm_settings``) and for one."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from gateway.config import litellm_keys
from gateway.config.problems import Place
from gateway.config.reading import Reading
from gateway.config.report import did_you_mean, listing
from gateway.config.shapes import names_of

Seconds = Annotated[FiniteFloat, Field(gt=0)]
Count = Annotated[int, Field(ge=0)]
AtLeastOne = Annotated[int, Field(ge=1)]
Tag = Annotated[str, Field(min_length=1, max_length=256)]

STRATEGIES = ("simple-shuffle", "least-busy", "latency-based-routing")

_CLASSES = (
    "AuthenticationError",
    "BadGatewayError",
    "BadRequestError",
    "ContentPolicyViolationError",
    "InternalServerError",
    "RateLimitError",
    "ServiceUnavailableError",
    "TimeoutError",
)
_NEVER_REPEATED = ("BadRequestErrorRetries", "ContentPolicyViolationErrorRetries")
_NEVER_COUNTED = ("BadRequestErrorAllowedFails", "ContentPolicyViolationErrorAllowedFails")


class StrategyArgs(BaseModel):
    """``routing_strategy_args`` of ``latency-based-routing``: seconds that a measurement counts, and the part by which
    a deployment may be slower than the fastest and still count as equally fast."""

    model_config = ConfigDict(frozen=True)

    ttl: Seconds = 3600.0
    lowest_latency_buffer: Annotated[FiniteFloat, Field(ge=0)] = 0.0


class RoutingKeys(BaseModel):
    """The keys that stand in ``router_settings`` or, with less weight, in ``litellm_settings``. Times are seconds."""

    model_config = ConfigDict(frozen=True)

    routing_strategy: Annotated[str, Field(min_length=1)] = STRATEGIES[0]
    routing_strategy_args: StrategyArgs = StrategyArgs()
    num_retries: Count | None = None
    max_retries: Count | None = None
    retry_after: Annotated[FiniteFloat, Field(ge=0)] = 0.0
    retry_policy: Mapping[str, int] = Field(default_factory=dict)
    model_group_retry_policy: Mapping[str, Mapping[str, int]] = Field(default_factory=dict)
    timeout: Seconds | None = None
    stream_timeout: Seconds | None = None
    request_timeout: Seconds | None = None
    max_fallbacks: Count = 5
    allowed_fails: Count | None = None
    allowed_fails_policy: Mapping[str, int] = Field(default_factory=dict)
    cooldown_time: Annotated[FiniteFloat, Field(ge=0)] = 5.0
    disable_cooldowns: bool = False
    enable_tag_filtering: bool = False
    default_max_parallel_requests: AtLeastOne | None = None


class DeploymentKeys(BaseModel):
    """The keys of one deployment, in ``litellm_params``; some also beside them or in ``model_info``."""

    model_config = ConfigDict(frozen=True)

    order: FiniteFloat = inf
    weight: Annotated[FiniteFloat, Field(ge=0)] | None = None
    rpm: AtLeastOne | None = None
    max_parallel_requests: AtLeastOne | None = None
    tags: tuple[Tag, ...] = ()
    timeout: Seconds | None = None
    stream_timeout: Seconds | None = None
    num_retries: Count | None = None
    max_retries: Count | None = None
    allowed_fails: Count | None = None
    allowed_fails_policy: Mapping[str, int] = Field(default_factory=dict)
    cooldown_time: Annotated[FiniteFloat, Field(ge=0)] | None = None


BESIDE_PARAMS = frozenset(("rpm",))
IN_MODEL_INFO = frozenset(("allowed_fails", "allowed_fails_policy", "cooldown_time", "order", "rpm"))
"""Where else LiteLLM reads a deployment's keys. ``litellm_params`` wins, then what stands beside them."""

ROUTER_KEYS = frozenset(names_of(RoutingKeys)) - {"request_timeout"}
LITELLM_KEYS = frozenset(names_of(RoutingKeys))

_POLICIES = {"retry_policy": "Retries", "allowed_fails_policy": "AllowedFails"}


def read_routing(reading: Reading, router: Mapping[str, Any], litellm: Mapping[str, Any]) -> RoutingKeys:
    """Both sections as one; ``router_settings`` wins. What is wrong is reported and left out."""
    values: dict[str, Any] = {}
    for section, written, known in (
        ("litellm_settings", litellm, LITELLM_KEYS),
        ("router_settings", router, ROUTER_KEYS),
    ):
        place = (section,)
        found = _part(reading, RoutingKeys, place, {key: value for key, value in written.items() if key in known})
        for key, value in found.items():
            if key in values and values[key] != value:
                text = "router_settings has another value, which wins"
                reading.report.warn(("litellm_settings", key), text, "take one of the two out")
            values[key] = value
    name = values.get("routing_strategy", STRATEGIES[0])
    if name not in STRATEGIES:
        values["routing_strategy"] = STRATEGIES[0]
        _other_strategy(reading, name, "router_settings" if "routing_strategy" in router else "litellm_settings")
    return RoutingKeys.model_validate(values)


def read_deployment(reading: Reading, sources: Mapping[Place, Mapping[str, Any]]) -> DeploymentKeys | None:
    """The keys at each place, the one that counts least first. ``None`` where one is wrong (which is reported)."""
    values: dict[str, Any] = {}
    before = reading.report.errors
    for place, written in sources.items():
        values |= _part(reading, DeploymentKeys, place, written)
    return None if reading.report.errors > before else DeploymentKeys.model_validate(values)


def _part(reading: Reading, shape: type[BaseModel], place: Place, written: Mapping[str, Any]) -> dict[str, Any]:
    """What is set at ``place``: policies by LiteLLM's class names without their ending."""
    plain = {key: value for key, value in written.items() if key not in (*_POLICIES, "model_group_retry_policy")}
    if isinstance(plain.get("routing_strategy_args"), dict):
        where = (*place, "routing_strategy_args")
        known = ("rpm", "tpm", "caching_ttl", "lowest_cost_buffer")
        plain["routing_strategy_args"] = reading.sort(
            where, plain["routing_strategy_args"], names_of(StrategyArgs), known
        )
    found = reading.part(shape, place, plain)
    values = {} if found is None else {key: getattr(found, key) for key in found.model_fields_set}
    for key, ending in _POLICIES.items():
        if written.get(key) is not None:
            values[key] = _policy(reading, (*place, key), written[key], ending)
    if written.get("model_group_retry_policy") is not None:
        where = (*place, "model_group_retry_policy")
        groups = reading.mapping(where, written["model_group_retry_policy"])
        values["model_group_retry_policy"] = {
            group: _policy(reading, (*where, group), table, "Retries") for group, table in groups.items()
        }
    return values


def _policy(reading: Reading, place: Place, data: Any, ending: str) -> dict[str, int]:
    """``{RateLimitErrorRetries: 3}`` as ``{RateLimitError: 3}``."""
    acted = [f"{name}{ending}" for name in _CLASSES]
    written = reading.sort(place, reading.mapping(place, data), acted, [f"NotFoundError{ending}"])
    values, _ = reading.resolve(place, written)
    found = {}
    for key, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            got = reading.report.shown((*place, key), value)
            reading.report.error((*place, key), f"must be a whole number, 0 or more, got {got}", "write a number")
            continue
        if value and key in (*_NEVER_REPEATED, *_NEVER_COUNTED):
            text = "has no effect: what a provider refuses is the caller's to change, never repeated, and cools nobody"
            reading.report.warn((*place, key), text)
        found[key.removesuffix(ending)] = value
    return found


def _other_strategy(reading: Reading, name: str, section: str) -> None:
    place = (section, "routing_strategy")
    if name in litellm_keys.STRATEGIES:
        reading.report.warn(
            place, f"is not one of ours: {STRATEGIES[0]} is used instead", f"take one of {', '.join(STRATEGIES)}"
        )
        return
    near = did_you_mean(name, (*STRATEGIES, *litellm_keys.STRATEGIES))
    hint = near or listing("the strategies are", STRATEGIES)
    reading.report.error(place, f"no routing strategy{reading.report.named(place, name)}", hint)
