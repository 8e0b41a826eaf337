"""The documents name what there is."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel

from gateway.config import GeneralSettings
from gateway.config.cache import CacheSettings
from gateway.config.content_filter import ContentFilterSettings
from gateway.config.guardrails import LengthSettings, PiiSettings
from gateway.config.model import LitellmSettings, RouterSettings
from gateway.config.routing import DeploymentKeys, RoutingKeys, StrategyArgs
from gateway.policy.guards.patterns import PREBUILT
from providers.base import registry

ROOT = Path(__file__).parent.parent


ROUTING = [key for shape in (RoutingKeys, StrategyArgs, DeploymentKeys, CacheSettings) for key in shape.model_fields]


@pytest.mark.parametrize(
    "key",
    [*GeneralSettings.model_fields, *RouterSettings.__slots__, *LitellmSettings.__slots__, *dict.fromkeys(ROUTING)],
)
def test_every_setting_is_described(key: str) -> None:
    assert f"`{key}`" in (ROOT / "docs/config.md").read_text() or key == "hidden"


@pytest.mark.parametrize("shape", [ContentFilterSettings, LengthSettings, PiiSettings])
def test_every_setting_of_a_guard_is_described(shape: type[BaseModel]) -> None:
    text = (ROOT / "docs/guardrails.md").read_text()
    assert all(f"`{key}`" in text for key in shape.model_fields)
    assert all(f"`{name}`" in text for name in PREBUILT)


def test_every_parameter_of_a_vendor_is_described() -> None:
    text = (ROOT / "docs/config.md").read_text()
    for vendor in registry.names():
        if vendor != "scripted":
            for model, facts in registry.load(vendor).models.items():
                base = (
                    model.partition("-slow")[0].partition("-fails")[0].partition("-flaky")[0].partition("-throttled")[0]
                )
                assert f"`{vendor}/{base}`" in text
                assert all(f"`{key}`" in text for key in facts.settings.model_fields)


def test_links_lead_somewhere() -> None:
    for document in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]:
        for part in document.read_text().split("](")[1:]:
            target = part.split(")")[0].split("#")[0]
            assert target.startswith("http") or (document.parent / target).exists(), f"{document.name}: {target}"
