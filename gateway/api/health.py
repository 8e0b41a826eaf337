"""``/livez`` and ``/readyz`` with LiteLLM's spellings of them. None of them calls a provider."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from gateway.api.auth import KeyCheck
from gateway.services.catalog import Catalog, Standing
from gateway.workers.crew import Place

PROBES = frozenset(("/livez", "/readyz", "/health/liveliness", "/health/liveness", "/health/readiness"))


def lay_health(
    app: FastAPI,
    catalog: Callable[[], Catalog | None],
    draining: Callable[[], bool],
    keys: KeyCheck,
    place: Place | None = None,
) -> None:
    """Register the probes: open to everybody; the details of ``/readyz?verbose`` need the master key.

    ``place``: this process is one of several workers, and says which.
    """

    async def livez() -> dict[str, str]:
        """The process answers."""
        return {"status": "alive"}

    async def readyz(request: Request, verbose: str | None = None) -> JSONResponse:
        """200 when calls can be served; 503 while models load, while shutting down, and when no model can answer."""
        opened = catalog()
        standings = opened.standings() if opened is not None else []
        status = "draining" if draining() else _status(standings)
        content: dict[str, Any] = {"status": status}
        if verbose is not None and verbose.lower() not in ("0", "false"):
            keys.check_admin(request.scope["state"]["call"].headers)
            if place is not None:
                content["worker"] = {"number": place.number, "of": place.of, "pid": os.getpid()}
            content["models"] = [_detail(standing) for standing in standings]
        return JSONResponse(content, 200 if status == "healthy" else 503)

    for path in sorted(PROBES):
        endpoint: Callable[..., Any] = readyz if "read" in path else livez
        for method, shown in (("GET", path.endswith("z")), ("HEAD", False)):
            app.add_api_route(
                path, endpoint, methods=[method], response_model=None, include_in_schema=shown, tags=["health"]
            )


def _status(standings: list[Standing]) -> str:
    states = {standing.readiness.state for standing in standings}
    if not states or "loading" in states:
        return "starting"
    return "unavailable" if states == {"unavailable"} else "healthy"


def _detail(standing: Standing) -> dict[str, Any]:
    return {
        "model": standing.model,
        "provider": standing.provider,
        "state": standing.readiness.state,
        "detail": standing.readiness.detail,
        "fallback": list(standing.covered_by) if standing.readiness.state == "unavailable" else [],
    }
