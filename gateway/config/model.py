"""What a configuration file comes to: typed, frozen, complete."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, FiniteFloat, SecretStr

from gateway.config.cache import CacheSettings
from gateway.config.callbacks import Callback
from gateway.config.guardrails import Guardrail
from gateway.config.problems import Problem
from gateway.config.routing import DeploymentKeys, RoutingKeys
from gateway.config.shapes import Unfit
from gateway.keys.periods import duration
from providers.base.settings import VendorSettings

MP3_BITRATES = tuple(1000 * rate for rate in (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160))
"""Bits a second that MPEG-2 layer III has (ISO/IEC 13818-3): what mp3 of 24 kHz can be."""


def _nothing() -> Mapping[str, Any]:
    return MappingProxyType({})


def _usable_key(key: SecretStr) -> SecretStr:
    text = key.get_secret_value()
    if not text.strip():
        raise Unfit("must not be empty", "write a key, or take the line out and set LITELLM_MASTER_KEY")
    if not text.isascii() or not text.isprintable() or " " in text:
        raise Unfit(
            "must hold only letters, digits and signs: no caller could send it", "take out spaces and line ends"
        )
    return key


def _mp3_bitrate(rate: int) -> int:
    if rate not in MP3_BITRATES:
        near = min(MP3_BITRATES, key=lambda possible: abs(possible - (rate * 1000 if rate < 1000 else rate)))
        allowed = ", ".join(map(str, MP3_BITRATES))
        raise Unfit(f"must be one of {allowed} (bits a second)", f"did you mean {near}?")
    return rate


def _web_address(url: str) -> str:
    if not re.fullmatch(r"https?://[^\s/?#]+(/[^\s?#]*)?", url):
        raise Unfit("must be an address of http:// or https://", "such as https://media.example.org")
    return url.rstrip("/")


def _webhook_address(url: str) -> str:
    if not re.fullmatch(r"https?://[^\s/?#]+([/?][^\s#]*)?", url):
        raise Unfit("must be an address of http:// or https://", "such as https://app.example.org/hooks/video")
    return url


def _webhook_secret(secret: SecretStr) -> SecretStr:
    hint = "make one: python -c 'import base64, os; print(\"whsec_\" + base64.b64encode(os.urandom(32)).decode())'"
    text = secret.get_secret_value()
    try:
        key = base64.b64decode(text.removeprefix("whsec_"), validate=True)
    except ValueError:
        key = b""
    if not text.startswith("whsec_") or len(key) < 16:
        raise Unfit("must be whsec_ and 16 bytes or more in base64", hint)
    return secret


def _duration(text: Any) -> float:
    try:
        length, unit = duration(text)
    except (ValueError, TypeError):
        raise Unfit("must be a number with a unit", "such as 24h, 30d, 2w or 6mo") from None
    return float(length if unit == "s" else length * 30 * 86_400)


def _header(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", name):
        raise Unfit("must be the name of a header", "such as x-my-key")
    return name.lower()


Positive = Annotated[FiniteFloat, Field(gt=0)]


class GeneralSettings(BaseModel):
    """``general_settings``. Times are seconds; the master key may also come from the environment."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    master_key: Annotated[SecretStr, AfterValidator(_usable_key)] | None = None
    max_request_size_mb: Positive = 1.0
    max_connections: Annotated[int, Field(ge=1)] = 1000
    header_timeout: Positive = 10.0
    body_timeout: Positive = 30.0
    stall_timeout: Positive = 120.0
    drain_timeout: Annotated[FiniteFloat, Field(ge=0)] = 30.0
    public_routes: tuple[Literal["/v1/models", "/v1/audio/voices", "/v1/audio/models"], ...] = ()
    mp3_bitrate: Annotated[int, AfterValidator(_mp3_bitrate)] = 96_000
    data_dir: Path | None = None
    public_url: Annotated[str, AfterValidator(_web_address)] | None = None
    task_timeout: Positive = 600.0
    output_retention_days: Positive = 7.0
    on_disconnect: Literal["continue", "cancel"] = "continue"
    egress_allow: tuple[str, ...] = ()
    webhook_url: Annotated[str, AfterValidator(_webhook_address)] | None = None
    webhook_secret: Annotated[SecretStr, AfterValidator(_webhook_secret)] | None = None
    disable_spend_logs: bool = False
    maximum_spend_logs_retention_period: Annotated[float, BeforeValidator(_duration)] | None = None
    litellm_key_header_name: Annotated[str, AfterValidator(_header)] | None = None
    user_header_name: Annotated[str, AfterValidator(_header)] | None = None
    background_health_checks: bool = False
    health_check_interval: Positive = 300.0
    health_check_concurrency: Annotated[int, Field(ge=1)] = 10


@dataclass(frozen=True, slots=True)
class RouterSettings:
    """``router_settings`` as written. ``hidden`` are the aliases that LiteLLM would not list (``hidden: true``)."""

    model_group_alias: Mapping[str, str] = field(default_factory=_nothing)
    hidden: frozenset[str] = frozenset()
    fallbacks: tuple[Mapping[str, tuple[str, ...]], ...] = ()
    default_fallbacks: tuple[str, ...] = ()
    content_policy_fallbacks: tuple[Mapping[str, tuple[str, ...]], ...] = ()


@dataclass(frozen=True, slots=True)
class LitellmSettings:
    """``litellm_settings`` as written. Budgets are US dollars: of the whole gateway a period, and of each end user.

    ``cache`` are its ``cache_params``, where it is on; ``callbacks`` are those of its three lists.
    """

    fallbacks: tuple[Mapping[str, tuple[str, ...]], ...] = ()
    default_fallbacks: tuple[str, ...] = ()
    drop_params: bool = False
    content_policy_fallbacks: tuple[Mapping[str, tuple[str, ...]], ...] = ()
    cache: CacheSettings | None = None
    max_budget: float | None = None
    budget_duration: str | None = None
    max_end_user_budget: float | None = None
    callbacks: tuple[Callback, ...] = ()
    json_logs: bool = False
    turn_off_message_logging: bool = True
    require_auth_for_metrics_endpoint: bool = True
    enable_end_user_cost_tracking_prometheus_only: bool = False


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """One deployment: an item of ``model_list``. Entries of one ``model_name`` are a group.

    ``model`` is the part of ``<vendor>/<model>`` after the slash, ``settings`` the vendor's own type. ``voice`` is the
    default one. ``model_info`` holds numbers as numbers, whatever their spelling. ``line`` is where the entry starts.
    """

    model_name: str
    vendor: str
    model: str
    settings: VendorSettings
    voice: str | None = None
    drop_params: bool | None = None
    additional_drop_params: tuple[str, ...] = ()
    routing: DeploymentKeys = field(default_factory=DeploymentKeys)
    model_info: Mapping[str, Any] = field(default_factory=_nothing)
    line: int = 0


@dataclass(frozen=True, slots=True)
class Config:
    """A whole file.

    ``aliases`` maps each alias to the ``model_name`` at the end of its chain. ``fallbacks`` maps a ``model_name`` to
    those asked after it, in order; ``"*"`` stands for every group that has none of its own; ``content_policy`` is the
    same for what its provider's rules forbid. Names in all of them exist.
    """

    models: tuple[ModelEntry, ...]
    general: GeneralSettings = field(default_factory=GeneralSettings)
    router: RouterSettings = field(default_factory=RouterSettings)
    litellm: LitellmSettings = field(default_factory=LitellmSettings)
    aliases: Mapping[str, str] = field(default_factory=_nothing)
    fallbacks: Mapping[str, tuple[str, ...]] = field(default_factory=_nothing)
    guardrails: tuple[Guardrail, ...] = ()
    content_policy: Mapping[str, tuple[str, ...]] = field(default_factory=_nothing)
    routing: RoutingKeys = field(default_factory=RoutingKeys)
    warnings: tuple[Problem, ...] = ()
    path: Path = Path("config.yaml")
