"""``GET /metrics``, for Prometheus."""

from __future__ import annotations

from fastapi import Depends, FastAPI, Request, Response
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from gateway.api.catalog import RequireKey


def lay_metrics(app: FastAPI, registry: CollectorRegistry, require_key: RequireKey | None) -> None:
    """Register it, and LiteLLM's address of it; open to everybody where ``require_key`` is ``None``."""

    # Not async: it runs on a thread, so that the calls under way do not wait for it.
    def read(request: Request) -> Response:
        """What has been counted, in Prometheus' or OpenMetrics' format."""
        encode, media_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(registry), media_type=media_type)

    dependencies = [] if require_key is None else [Depends(require_key)]
    for path in ("/metrics", "/metrics/"):
        app.add_api_route(
            path,
            read,
            methods=["GET"],
            dependencies=dependencies,
            include_in_schema=path == "/metrics",
            tags=["health"],
            response_model=None,
        )
