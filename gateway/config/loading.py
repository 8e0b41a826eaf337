"""The way from a file to a ``Config``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from gateway.config import litellm_keys
from gateway.config.entries import Vendors, read_models
from gateway.config.groups import Names, check_groups, read_aliases, read_fallbacks
from gateway.config.guardrails import none_elsewhere, read_guardrails
from gateway.config.model import Config
from gateway.config.reading import Reading, environment
from gateway.config.report import Report
from gateway.config.routing import read_routing
from gateway.config.settings import read_general, read_litellm, read_router
from gateway.config.source import parse, read
from providers.base import registry

_SECTIONS = (
    "model_list",
    "general_settings",
    "router_settings",
    "litellm_settings",
    "guardrails",
    "environment_variables",
)


def load_config(path: str | Path, *, env: Mapping[str, str] = os.environ, vendors: Vendors = registry) -> Config:
    """Read a LiteLLM-style YAML file. Raises ``ConfigError`` with everything that is wrong in it.

    ``os.environ/NAME`` in a value is taken from ``environment_variables`` of the file, then from ``env``.
    """
    path = Path(path)
    return parse_config(read(path), path, env=env, vendors=vendors)


def parse_config(
    text: str, path: str | Path, *, env: Mapping[str, str] = os.environ, vendors: Vendors = registry
) -> Config:
    """As ``load_config``, of a text at hand. ``path`` is only named in what is reported."""
    source = parse(text, str(path))
    report = Report(source)
    data = source.data
    reading = Reading(report, environment(report, env, data.get("environment_variables")))
    # Keys that begin with x- are the writer's own: a place for anchors.
    ours = {key: value for key, value in data.items() if key != "include" and not key.startswith("x-")}
    sections = reading.sort((), none_elsewhere(reading, (), ours), _SECTIONS, litellm_keys.TOP)
    if "include" in data:
        report.error(("include",), "is not supported yet", "copy what those files hold into this one", at_key=True)
    models, names = read_models(reading, vendors, sections.get("model_list"))
    general = read_general(reading, sections.get("general_settings"))
    router = read_router(reading, sections.get("router_settings"))
    litellm = read_litellm(reading, sections.get("litellm_settings"), Path(path).parent)
    guardrails = read_guardrails(reading, sections.get("guardrails"), Path(path).parent)
    routing = read_routing(reading, *(_written(sections, f"{name}_settings") for name in ("router", "litellm")))
    # Without a single name every other one would be unknown.
    aliases = read_aliases(report, router, names) if names else {}
    there = Names(names, aliases)
    fallbacks = read_fallbacks(report, router, litellm, there) if names else {}
    content_policy = read_fallbacks(report, router, litellm, there, "content_policy_fallbacks") if names else {}
    if names:
        place = ("router_settings", "model_group_retry_policy")
        check_groups(report, place, routing.model_group_retry_policy, there)
    return Config(
        models=models,
        general=general,
        router=router,
        litellm=litellm,
        aliases=MappingProxyType(aliases),
        fallbacks=MappingProxyType(fallbacks),
        guardrails=guardrails,
        content_policy=MappingProxyType(content_policy),
        routing=routing,
        warnings=report.finish(),
        path=Path(path),
    )


def _written(sections: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A section that was found fault with before where it is no mapping."""
    found = sections.get(name)
    return found if isinstance(found, dict) else {}
