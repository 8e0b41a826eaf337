"""``/health``, ``/model/info`` and ``/model_group/info``, in LiteLLM's shapes.

Unlike LiteLLM's, ``/health`` makes nothing and costs nothing, and shows nothing of what an exception holds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from fastapi import Depends, FastAPI, Request

from gateway.api.catalog import RequireKey
from gateway.errors import Forbidden, NotFound
from gateway.record import Who
from gateway.services.catalog import Catalog
from gateway.services.deployments import Deployment, mode
from gateway.services.health import Checked, Health


class ModelRoutes:
    """What is known of the deployments. How their vendors stand is for the master key alone."""

    def __init__(
        self, catalog: Callable[[], Catalog], health: Callable[[], Health], may_use: Callable[[Who, str], bool]
    ) -> None:
        self._catalog = catalog
        self._may_use = may_use
        self._health = health

    def lay(self, app: FastAPI, require_key: RequireKey) -> None:
        """Register every route, behind ``require_key``."""
        for path, endpoint in (
            ("/health", self.health),
            ("/v1/model/info", self.models),
            ("/model/info", self.models),
            ("/v1/model_group/info", self.groups),
            ("/model_group/info", self.groups),
        ):
            app.add_api_route(
                path,
                endpoint,
                methods=["GET"],
                dependencies=[Depends(require_key)],
                include_in_schema=path.startswith("/v1/"),
                tags=["models"],
            )

    async def health(self, request: Request, model: str | None = None) -> dict[str, Any]:
        """Whether the vendors answer and take our keys: of every model, or of one."""
        if not _admin(request):
            raise Forbidden("Only the master key may ask how the providers stand.", code="admin_only")
        group = None if model is None else self._catalog().group(model)
        found = await self._health().check(group)
        report: dict[str, Any] = {}
        for state in ("healthy", "unhealthy", "unknown"):
            report[f"{state}_endpoints"] = [_endpoint(each) for each in found if each.state == state]
        return report | {
            f"{state}_count": len(report[f"{state}_endpoints"]) for state in ("healthy", "unhealthy", "unknown")
        }

    async def models(self, request: Request, litellm_model_id: str | None = None) -> dict[str, Any]:
        """Every deployment, or the one that has this id."""
        there = self._shown(request)
        if litellm_model_id is not None:
            there = [each for each in there if litellm_model_id in (each.key, each.entry.model_info.get("id"))]
            if not there:
                raise NotFound(f"No deployment has the id '{litellm_model_id[:200]}'.", param="litellm_model_id")
        return {"data": [_info(each, address=_admin(request)) for each in there]}

    def _shown(self, request: Request) -> list[Deployment]:
        """Those that the caller's key may use."""
        who = request.scope["state"]["call"].record.who
        return [each for each in self._catalog().deployments() if self._may_use(who, each.entry.model_name)]

    async def groups(self, request: Request, model_group: str | None = None) -> dict[str, Any]:
        """Every name that may be used as `model`, or one, with who answers it."""
        catalog = self._catalog()
        group = None if model_group is None else catalog.group(model_group)
        found: dict[str, dict[str, Any]] = {}
        for each in self._shown(request):
            name = each.entry.model_name
            if group in (None, name):
                told = found.setdefault(name, {"model_group": name, "providers": [], "mode": mode(each.entry)})
                if each.entry.vendor not in told["providers"]:
                    told["providers"].append(each.entry.vendor)
        return {"data": list(found.values())}


def _admin(request: Request) -> bool:
    return bool(request.scope["state"]["call"].record.who.admin)


def _params(deployment: Deployment, *, address: bool) -> dict[str, str]:
    """What the config says of it and is no secret: named one by one, so that nothing else gets out."""
    entry = deployment.entry
    told = {"model": f"{entry.vendor}/{entry.model}"}
    base = getattr(entry.settings, "api_base", None)
    if address and isinstance(base, str):
        parts = urlsplit(base)
        told["api_base"] = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    return told


def _info(deployment: Deployment, *, address: bool) -> dict[str, Any]:
    entry = deployment.entry
    own = {name: value for name, value in entry.model_info.items() if name != "health_check_params"}
    return {
        "model_name": entry.model_name,
        "litellm_params": _params(deployment, address=address),
        "model_info": {**own, "id": deployment.key, "db_model": False, "mode": mode(entry)},
    }


def _endpoint(checked: Checked) -> dict[str, Any]:
    told: dict[str, Any] = {
        **_params(checked.deployment, address=True),
        "model_name": checked.deployment.entry.model_name,
        "model_id": checked.deployment.key,
        "mode": mode(checked.deployment.entry),
        "checked_at": int(checked.at),
    }
    if checked.detail:
        told["error" if checked.state == "unhealthy" else "detail"] = checked.detail
    return told
