"""The sections beside ``model_list``: ``general_settings``, ``router_settings``, ``litellm_settings``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, Field, FiniteFloat

from gateway.config import callbacks, litellm_keys
from gateway.config.cache import read_cache
from gateway.config.guardrails import none_elsewhere
from gateway.config.model import GeneralSettings, LitellmSettings, RouterSettings
from gateway.config.problems import Place
from gateway.config.reading import Reading
from gateway.config.report import Report
from gateway.config.routing import LITELLM_KEYS, ROUTER_KEYS
from gateway.config.shapes import Unfit, names_of
from gateway.keys.periods import period_duration
from providers.base.egress import Egress
from providers.base.errors import AddressRefused

_FALLBACKS = "write `- group: [other, another]`"
_KEY_VARIABLES = ("MEDIA_GATEWAY_MASTER_KEY", "LITELLM_MASTER_KEY")


class _Alias(BaseModel):
    """LiteLLM's longer form of an alias."""

    model: Annotated[str, Field(min_length=1)]
    hidden: bool = False


class _Names(BaseModel):
    """Read by hand, so that one fault does not hide the others."""

    model_group_alias: Any = None
    fallbacks: Any = None
    content_policy_fallbacks: Any = None


class _Defaults(BaseModel):
    default_fallbacks: tuple[str, ...] = ()


def _period(text: str) -> str:
    try:
        period_duration(text)
    except ValueError as error:
        raise Unfit(str(error), "take one of these") from None
    return text


class _Flags(BaseModel):
    drop_params: bool = False
    json_logs: bool = False
    turn_off_message_logging: bool = True
    require_auth_for_metrics_endpoint: bool = True
    enable_end_user_cost_tracking_prometheus_only: bool = False


class _Budgets(BaseModel):
    max_budget: Annotated[FiniteFloat, Field(ge=0)] | None = None
    budget_duration: Annotated[str, AfterValidator(_period)] | None = None
    max_end_user_budget: Annotated[FiniteFloat, Field(ge=0)] | None = None


def read_general(reading: Reading, data: Any) -> GeneralSettings:
    """``general_settings``; the defaults where they are wrong (which is reported)."""
    place = ("general_settings",)
    where = (*place, "master_key")
    written = reading.mapping(place, data)
    variable = ""
    if "master_key" not in written:
        variable = next((name for name in _KEY_VARIABLES if reading.env.get(name, "").strip()), "")
        if variable:
            written = {**written, "master_key": f"os.environ/{variable}"}
    elif written["master_key"] is None:
        # Everywhere else a key without a value counts as absent; here that would be a server open to all.
        reading.report.error(where, "has no value", "write a key, or take the line out to run without one")
    general = reading.fill(GeneralSettings, place, written, litellm_keys.GENERAL) or GeneralSettings()
    if general.master_key is not None and general.master_key.get_secret_value() in litellm_keys.PUBLIC_MASTER_KEYS:
        text = "known from LiteLLM's documentation; anyone can guess it"
        hint = "make one: python -c 'import secrets; print(\"sk-\" + secrets.token_urlsafe(32))'"
        reading.report.warn(where, f"the key in {variable} is {text}" if variable else text, hint)
    _check_webhook(reading.report, general)
    return general


def _check_webhook(report: Report, general: GeneralSettings) -> None:
    """The two settings of webhooks need each other, and the address must be one that may be called."""
    place = ("general_settings", "webhook_url")
    if general.webhook_url is None:
        if general.webhook_secret is not None:
            report.error(("general_settings", "webhook_secret"), "there is no webhook_url", "add it, or take this out")
        return
    if general.webhook_secret is None:
        report.error(place, "there is no webhook_secret to sign with", "add one: whsec_ and 32 random bytes in base64")
    try:
        Egress(allow=general.egress_allow).check_url(general.webhook_url)
    except AddressRefused as refused:
        report.error(place, str(refused), "take an https:// address, or name its host in egress_allow")


def read_router(reading: Reading, data: Any) -> RouterSettings:
    """``router_settings``; what is wrong in them is reported and left out."""
    place = ("router_settings",)
    acted = (*names_of(_Names), *names_of(_Defaults), *ROUTER_KEYS)
    written = reading.sort(place, reading.mapping(place, data), acted, litellm_keys.ROUTER)
    found = reading.part(_Names, place, written) or _Names()
    aliases = {}
    where = (*place, "model_group_alias")
    for name, value in reading.mapping(where, found.model_group_alias).items():
        alias = _alias(reading, (*where, name), value)
        if alias is not None:
            aliases[name] = alias
    return RouterSettings(
        MappingProxyType({name: alias.model for name, alias in aliases.items()}),
        frozenset(name for name, alias in aliases.items() if alias.hidden),
        _fallbacks(reading.report, (*place, "fallbacks"), found.fallbacks),
        (reading.part(_Defaults, place, written) or _Defaults()).default_fallbacks,
        _fallbacks(reading.report, (*place, "content_policy_fallbacks"), found.content_policy_fallbacks),
    )


def read_litellm(reading: Reading, data: Any, folder: Path) -> LitellmSettings:
    """``litellm_settings``; what is wrong in them is reported and left out. ``folder`` is the file's."""
    place = ("litellm_settings",)
    own = ("fallbacks", "content_policy_fallbacks", "cache", "cache_params", *callbacks.KEYS)
    acted = (*own, *names_of(_Defaults), *names_of(_Flags), *names_of(_Budgets), *LITELLM_KEYS)
    given = none_elsewhere(reading, place, reading.mapping(place, data))
    written = reading.sort(place, given, acted, litellm_keys.LITELLM)
    found = reading.part(_Names, place, written) or _Names()
    return LitellmSettings(
        _fallbacks(reading.report, (*place, "fallbacks"), found.fallbacks),
        (reading.part(_Defaults, place, written) or _Defaults()).default_fallbacks,
        content_policy_fallbacks=_fallbacks(
            reading.report, (*place, "content_policy_fallbacks"), found.content_policy_fallbacks
        ),
        cache=read_cache(reading, written),
        callbacks=callbacks.read_callbacks(reading, place, written, folder),
        **dict(reading.part(_Flags, place, written) or _Flags()),
        **dict(reading.part(_Budgets, place, written) or _Budgets()),
    )


def _alias(reading: Reading, place: Place, value: Any) -> _Alias | None:
    name = str(place[-1])
    if not name.isprintable() or name != name.strip() or not name:
        hint = "write it as callers shall send it"
        reading.report.error(
            place, "an alias must hold no control characters, nor spaces at its ends", hint, at_key=True
        )
        return None
    if isinstance(value, dict):
        return reading.fill(_Alias, place, value)
    if isinstance(value, str) and value:
        return _Alias(model=value)
    got = reading.report.shown(place, value)
    reading.report.error(place, f"must be the name of a model, got {got}", "write `alias: model_name`")
    return None


def _fallbacks(report: Report, place: Place, value: Any) -> tuple[Mapping[str, tuple[str, ...]], ...]:
    """LiteLLM's ``[{group: [other, another]}, …]``. A rule that is wrong leaves an empty place, so the index stays."""
    if value is None:
        return ()
    if not isinstance(value, list):
        report.error(place, f"must be a list, got {report.shown(place, value)}", _FALLBACKS)
        return ()
    rules: list[Mapping[str, tuple[str, ...]]] = []
    for index, rule in enumerate(value):
        where = (*place, index)
        good: dict[str, tuple[str, ...]] = {}
        if isinstance(rule, dict):
            pairs = ((group, _targets(report, (*where, group), targets)) for group, targets in rule.items())
            good = {group: targets for group, targets in pairs if targets is not None}
        else:
            report.error(where, f"must be a mapping, got {report.shown(where, rule)}", _FALLBACKS)
        rules.append(MappingProxyType(good))
    return tuple(rules)


def _targets(report: Report, place: Place, value: Any) -> tuple[str, ...] | None:
    if not isinstance(value, list):
        report.error(place, f"must be a list, got {report.shown(place, value)}", _FALLBACKS)
        return None
    wrong = [index for index, target in enumerate(value) if not isinstance(target, str)]
    for index in wrong:
        where = (*place, index)
        hint = "write a model_name; other parameters for it are not supported"
        report.error(where, f"must be the name of a model, got {report.shown(where, value[index])}", hint)
    return None if wrong else tuple(value)
