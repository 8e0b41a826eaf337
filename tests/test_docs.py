"""The documents name what there is."""

from __future__ import annotations

import ast
import math
import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from gateway.config import GeneralSettings, parse_config
from gateway.config.cache import CacheSettings
from gateway.config.content_filter import ContentFilterSettings
from gateway.config.guardrails import LengthSettings, PiiSettings
from gateway.config.model import LitellmSettings, RouterSettings
from gateway.config.routing import DeploymentKeys, RoutingKeys, StrategyArgs
from gateway.policy.guards.patterns import PREBUILT
from providers.base import listing, registry
from providers.base.price import Price, Rate, free
from tests.acceptance.clients import CLIENTS

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


def test_the_list_of_providers_is_what_their_records_say() -> None:
    names = [name for name in registry.names() if name != "scripted"]
    made = listing.page(names)
    assert made == (ROOT / "docs/providers.md").read_text(), "run python -m providers.base.listing > docs/providers.md"
    rows = [line for line in made.splitlines() if line.startswith("| `")]
    assert len(rows) == sum(len(registry.load(name).models) for name in names)
    assert {row.count("|") for row in rows} == {8}


@pytest.mark.parametrize(
    ("price", "said"),
    [
        (None, "unknown"),
        (free("here"), "free"),
        (Price(per_character=15e-6, source="https://a.example", as_of="2026-01-02"),
         "$15.00 a million characters ([source](https://a.example), 2026-01-02)"),
        (Price(per_call=0.01, per_image=0.0025, least=0.05, source="a bill", exact=False),
         "about $0.01 a call + $0.0025 a picture; at least $0.05 (a bill)"),
        (Price(per_video_second=1, rates=(Rate(math.nan, {"size": "4k"}), Rate(0.5, {"audio": False})), source="a"),
         "$1.00 a second of film; unknown where size is 4k; $0.50 where audio is false (a)"),
    ],
)  # fmt: skip
def test_prices_in_words(price: Price | None, said: str) -> None:
    assert listing.price(price) == said


def test_what_is_read_of_the_environment_is_in_the_records() -> None:
    for name in registry.names():
        if name != "scripted":
            vendor = registry.load(name)
            place = ROOT / "providers" / name
            files = place.rglob("*.py") if place.is_dir() else [place.with_suffix(".py")]
            words = {
                node.value
                for path in files
                for node in ast.walk(ast.parse(path.read_text()))
                if isinstance(node, ast.Constant) and isinstance(node.value, str)
            }
            read = {word for word in words if re.fullmatch(r"[A-Z]+(_[A-Z]+)+", word)}
            told = {variable for variables in vendor.env.values() for variable in variables}
            assert read - {"THIRD_PARTY"} <= told, name  # a word of Runway's answers
            assert vendor.env.keys() <= {key for facts in vendor.models.values() for key in facts.settings.model_fields}


def test_links_lead_somewhere() -> None:
    for document in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]:
        for part in document.read_text().split("](")[1:]:
            target = part.split(")")[0].split("#")[0]
            assert target.startswith("http") or (document.parent / target).exists(), f"{document.name}: {target}"


def test_the_page_of_clients_is_of_the_clients_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / "docs/clients.md").read_text()
    assert all(note in text for client in CLIENTS for note in client.notes), "make acceptance"
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert len(rows) == 1 + len(CLIENTS), "make acceptance"
    for name in ("STAND_IN", "STAND_IN_KEY", "GATEWAY_KEY", "GATEWAY_DATA"):
        monkeypatch.setenv(name, "http://127.0.0.1:9/v1")
    config = parse_config((ROOT / "tests/acceptance/config.yaml").read_text(), "config.yaml")
    assert not config.warnings
