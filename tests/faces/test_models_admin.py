"""What of the deployments is shown to whom: the keys here are made up, since only what they may do counts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import httpx
import pytest
from fastapi import FastAPI, Request

from gateway.api.http import Call
from gateway.api.models import ModelRoutes
from gateway.build import open_services
from gateway.errors import Forbidden
from gateway.record import Record, Who
from tests.serving import config_of
from tests.upstreams.runway import KEY

CONFIG = f"""
model_list:
  - {{model_name: film, params: {{model: runwayml/gen4_turbo, api_key: {KEY}, api_base: "http://10.0.0.1/v1"}}}}
"""


async def asked(path: str, who: Who) -> httpx.Response:
    async def require_key(request: Request) -> None:
        request.scope["state"]["call"].record.who = who

    async with open_services(config_of(CONFIG)) as services:
        app = FastAPI()
        ModelRoutes(lambda: services.catalog, lambda: services.health, lambda *_: True).lay(app, require_key)

        async def called(scope: dict, receive: Callable[[], Awaitable], send: Callable[..., Awaitable]) -> None:
            scope["state"] = {"call": Call(scope, receive, send, Record("", path))}
            await app(scope, receive, send)

        async with httpx.AsyncClient(transport=httpx.ASGITransport(called), base_url="http://x") as client:
            return await client.get(path)


async def test_how_providers_stand_is_for_the_master_key_alone() -> None:
    with pytest.raises(Forbidden, match="Only the master key"):
        await asked("/health", Who(key="a", admin=False))


async def test_addresses_are_for_the_master_key_alone() -> None:
    mine, another = [(await asked("/model/info", who)).json()["data"][0] for who in (Who(), Who(key="a", admin=False))]
    assert mine["litellm_params"] == {"model": "runwayml/gen4_turbo", "api_base": "http://10.0.0.1/v1"}
    assert another == {**mine, "litellm_params": {"model": "runwayml/gen4_turbo"}}
