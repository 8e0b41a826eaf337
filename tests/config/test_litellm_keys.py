"""docs/litellm.md says of each key of LiteLLM's what becomes of it: compared with what the reader does with it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.config import ConfigError, GeneralSettings, litellm_keys, parse_config
from gateway.config import content_filter as words
from gateway.config.cache import CacheSettings
from gateway.config.entries import PRICES
from gateway.config.guardrails import PiiSettings
from gateway.config.routing import IN_MODEL_INFO, DeploymentKeys, RoutingKeys
from gateway.policy.guards import pii
from providers.base import registry

DOCUMENT = (Path(__file__).parent.parent.parent / "docs/litellm.md").read_text()

OURS = {
    "general_settings": set(
        "body_timeout data_dir drain_timeout egress_allow header_timeout max_connections mp3_bitrate on_disconnect "
        "output_retention_days public_url stall_timeout task_timeout webhook_secret webhook_url".split()
    ),
    "cache_params": {"max_size_mb"},
}
"""Keys that LiteLLM does not have; docs/config.md has them."""

NAMES = {
    "The file": {
        *litellm_keys.TOP,
        *litellm_keys.POLICIES,
        *"model_list general_settings router_settings litellm_settings guardrails environment_variables".split(),
        "include",
    },
    "model_list": {*litellm_keys.MODEL_ENTRY, "model_name", "litellm_params", "model_info"},
    "litellm_params": {
        *litellm_keys.PARAMS,
        *litellm_keys.GUARDS_ELSEWHERE,
        *DeploymentKeys.model_fields,
        *PRICES,
        *"model custom_llm_provider voice drop_params additional_drop_params".split(),
    },
    "model_info": {*litellm_keys.MODEL_INFO, *PRICES, *IN_MODEL_INFO, *"id mode base_model".split()},
    "router_settings": {
        *litellm_keys.ROUTER,
        *RoutingKeys.model_fields,
        *"model_group_alias fallbacks default_fallbacks".split(),
    }
    - {"request_timeout"},
    "litellm_settings": {
        *litellm_keys.LITELLM,
        *litellm_keys.GUARDS_ELSEWHERE,
        *RoutingKeys.model_fields,
        *"fallbacks default_fallbacks drop_params".split(),
    },
    "cache_params": {*litellm_keys.CACHE_PARAMS, *CacheSettings.model_fields},
    "guardrails": {*litellm_keys.GUARDRAIL, "guardrail_name", "litellm_params"},
    "A guardrail's litellm_params": {
        *litellm_keys.GUARDRAIL_PARAMS,
        *words.ContentFilterSettings.model_fields,
        *PiiSettings.model_fields,
        *"guardrail mode default_on timeout blocked_words_file".split(),
        *"categories competitor_intent_config presidio_ad_hoc_recognizers".split(),
    },
    "general_settings": {*litellm_keys.GENERAL, *GeneralSettings.model_fields},
}
"""By the headings of the document."""

ONE = "local/espeak"
ENTRY = {"model_name": "one", "litellm_params": {"model": ONE}}
WORDS = {
    "guardrail": "litellm_content_filter",
    "mode": "pre_call",
    "blocked_words": [{"keyword": "a", "action": "MASK"}],
}
PII = {"guardrail": "presidio", "mode": "pre_call", "pii_entities_config": {"EMAIL_ADDRESS": "MASK"}}
ONLY_WITH_A_VALUE = ("categories", "competitor_intent_config", "presidio_ad_hoc_recognizers")
"""Keys that are refused where they say something."""


def vendors_models() -> Iterable[str]:
    """One model of each vendor, the first of each settings type. The sandbox has a ``seconds`` of its own meaning."""
    for vendor in set(registry.names()) - {"scripted", "sandbox"}:
        kinds: dict[type, str] = {}
        for model, facts in registry.load(vendor).models.items():
            kinds.setdefault(facts.settings, f"{vendor}/{model.replace('*', 'any-other')}")
        yield from kinds.values()


def files(section: str) -> Iterable[dict[str, Any]]:
    """Files with all keys of a section, without a value: what has none counts as known all the same."""
    keys = dict.fromkeys(sorted(NAMES[section]))
    match section:
        case "The file":
            yield {**keys, "model_list": [ENTRY]}
        case "model_list":
            yield {"model_list": [{**keys, **ENTRY}]}
        case "litellm_params":
            for model in vendors_models():
                yield {"model_list": [{**ENTRY, "litellm_params": {**keys, "model": model}}]}
        case "model_info":
            prices = {key: 0.5 for key in keys if litellm_keys.is_cost(key)}
            yield {"model_list": [{**ENTRY, "model_info": {**keys, **prices}}]}
        case "cache_params":
            yield {"model_list": [ENTRY], "litellm_settings": {"cache": True, "cache_params": keys}}
        case "guardrails":
            yield {"model_list": [ENTRY], "guardrails": [{**keys, "guardrail_name": "g", "litellm_params": WORDS}]}
        case "A guardrail's litellm_params":
            for params in (WORDS, PII):
                given = {**keys, **dict.fromkeys(ONLY_WITH_A_VALUE, "text"), **params}
                yield {"model_list": [ENTRY], "guardrails": [{"guardrail_name": "g", "litellm_params": given}]}
        case _:
            yield {"model_list": [ENTRY], section: keys}


def problems(file: dict[str, Any]) -> dict[str, str]:
    """What is said of each key, by the last part of its place."""
    try:
        found = parse_config(yaml.safe_dump(file), "config.yaml", env={}).warnings
    except ConfigError as error:
        found = error.problems
    return {problem.where.rpartition(".")[2]: problem.message for problem in found}


def fates(section: str) -> dict[str, str]:
    """What becomes of each key: the best that a vendor, or a kind of guard, makes of it."""
    said = [problems(file) for file in files(section)]
    return {key: _fate([each.get(key, "") for each in said]) for key in NAMES[section] - OURS.get(section, set())}


def _fate(messages: list[str]) -> str:
    if any("is not supported" in message or "not read from here" in message for message in messages):
        return "refused"
    known = [message for message in messages if message != "unknown key"]
    assert known
    return "accepted with a warning" if set(known) == {"known to LiteLLM, not acted on here"} else "acted on"


def documented(section: str) -> dict[str, str]:
    """Each key of a section with what the document says of it."""
    text = DOCUMENT.split(f"\n## {section}\n")[1].split("\n## ")[0]
    told = {}
    for part in re.split(r"^\*\*", text, flags=re.MULTILINE)[1:]:
        head, _, rest = part.partition("**")
        what = head.rstrip(".:").lower()
        rows = [line.split("|")[1] for line in rest.splitlines() if line.startswith("|")]
        for key in re.findall(r"`([^`]+)`", " ".join(rows) or rest.split("\n\n")[0]):
            assert key not in told, f"{key} stands there twice"
            told[key] = what
    return told


@pytest.mark.parametrize("section", NAMES)
def test_the_document_says_what_becomes_of_each_key(section: str) -> None:
    if section == "A guardrail's litellm_params" and not pii.available():
        pytest.skip("needs the extra pii")
    done, told = fates(section), documented(section)
    wrong = {key: (done.get(key), told.get(key)) for key in done.keys() | told.keys() if done.get(key) != told.get(key)}
    assert not wrong, f"what becomes of a key, and what docs/litellm.md says of it: {wrong}"
