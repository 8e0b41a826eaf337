"""``/key/…`` as LiteLLM spells it: making and changing virtual keys, with the master key."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Annotated, TypeVar

from fastapi import Depends, FastAPI, Query, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gateway.api.body import read_body
from gateway.api.catalog import RequireKey
from gateway.api.errors import invalid
from gateway.api.http import Call
from gateway.errors import Forbidden, InvalidRequest
from gateway.keys.fields import ChangedKey, KeyFields, NewKey, unacted
from gateway.keys.key import VirtualKey, token_named
from gateway.services.keys import KeyService, shown, shown_spend

_LIMIT = 256 * 1024
_SECONDS = 30.0
_MISSING = "missing_required_parameter"

B = TypeVar("B", bound=BaseModel)


class OneKey(BaseModel):
    """``POST /key/block`` and ``/key/unblock``."""

    model_config = ConfigDict(extra="forbid")

    key: Annotated[str, Field(min_length=1, description="The key, or its token.")]


class SomeKeys(BaseModel):
    """``POST /key/delete``."""

    model_config = ConfigDict(extra="forbid")

    keys: Annotated[list[str], Field(max_length=1000)] = []
    key_aliases: Annotated[list[str], Field(max_length=1000)] = []


class ListQuery(BaseModel):
    """``GET /key/list``."""

    model_config = ConfigDict(extra="forbid")

    page: Annotated[int, Field(ge=1)] = 1
    size: Annotated[int, Field(ge=1, le=100)] = 10
    key_alias: str | None = None
    user_id: str | None = None
    team_id: str | None = None
    return_full_object: bool = False


class KeyRoutes:
    """The routes. ``service`` is asked for at each call, since it opens after they are laid."""

    def __init__(self, service: Callable[[], KeyService]) -> None:
        self._service = service

    def lay(self, app: FastAPI, require_key: RequireKey, require_admin: RequireKey) -> None:
        """Register all; ``/key/info`` alone is for the key itself too."""
        for path, method, endpoint, needs, body in (
            ("generate", "POST", self.generate, require_admin, NewKey),
            ("update", "POST", self.update, require_admin, ChangedKey),
            ("delete", "POST", self.delete, require_admin, SomeKeys),
            ("block", "POST", self.block, require_admin, OneKey),
            ("unblock", "POST", self.unblock, require_admin, OneKey),
            ("info", "GET", self.info, require_key, None),
            ("list", "GET", self.list, require_admin, None),
        ):
            schema = None if body is None else body.model_json_schema()
            more = {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}
            app.add_api_route(
                f"/key/{path}",
                endpoint,
                methods=[method],
                dependencies=[Depends(needs)],
                tags=["keys"],
                openapi_extra=None if body is None else more,
                response_model=None,
            )

    async def generate(self, request: Request) -> JSONResponse:
        """Make a key. It is shown in this answer, and never again."""
        body = await _body(request, NewKey)
        made = await self._service().generate(body, body.key)
        return JSONResponse({"key": made.key, **shown(made.record)})

    async def update(self, request: Request) -> JSONResponse:
        """Change a key: the fields that are given."""
        body = await _body(request, ChangedKey)
        return _answer(await self._service().update(body.key, body))

    async def delete(self, request: Request) -> JSONResponse:
        """Forget keys, all or none. What was made with them is kept until it expires."""
        body = await _body(request, SomeKeys)
        if not body.keys and not body.key_aliases:
            raise InvalidRequest("Name keys or key_aliases.", param="keys", code=_MISSING)
        return JSONResponse({"deleted_keys": await self._service().delete(body.keys, body.key_aliases)})

    async def block(self, request: Request) -> JSONResponse:
        """Refuse a key from now on."""
        body = await _body(request, OneKey)
        return _answer(await self._service().block(body.key, blocked=True))

    async def unblock(self, request: Request) -> JSONResponse:
        """Take a key again."""
        body = await _body(request, OneKey)
        return _answer(await self._service().block(body.key, blocked=False))

    async def info(self, request: Request, key: str | None = None) -> JSONResponse:
        """A key and what it has spent: the caller's own, or with the master key any (`?key=`, better its token)."""
        who = request.scope["state"]["call"].record.who
        if not who.admin:
            if key is not None and token_named(key) != who.key:
                raise Forbidden("Only the master key may look at another key.", code="admin_only")
            key = who.key
        if key is None:
            raise InvalidRequest("Missing required parameter: 'key'.", param="key", code=_MISSING)
        service = self._service()
        known = await service.known(await service.find(key))
        return JSONResponse({"key": known.record.token, "info": shown_spend(known)})

    async def list(self, query: Annotated[ListQuery, Query()]) -> JSONResponse:
        """Some of the keys, the oldest first: their tokens, or all that may be shown of them."""
        wanted = query.model_dump(include={"key_alias", "user_id", "team_id"}, exclude_none=True)
        found = [
            each
            for each in await self._service().everyone()
            if all(getattr(each, name) == value for name, value in wanted.items())
        ]
        size = query.size
        some = found[(query.page - 1) * size : query.page * size]
        return JSONResponse(
            {
                "keys": [shown(each) for each in some] if query.return_full_object else [each.token for each in some],
                "total_count": len(found),
                "current_page": query.page,
                "total_pages": -(-len(found) // size),
            }
        )


async def _body(request: Request, shape: type[B]) -> B:
    """The JSON body. Raises ``InvalidRequest``; what is not acted on is never dropped in silence."""
    call: Call = request.scope["state"]["call"]
    raw = await read_body(call, _LIMIT, _SECONDS)
    try:
        fields = json.loads(raw)
    except ValueError:
        fields = None
    if not isinstance(fields, dict):
        raise InvalidRequest("The body must be a JSON object.", code="invalid_json")
    if issubclass(shape, KeyFields):
        fields, name = unacted(fields)
        if name is not None:
            raise InvalidRequest(
                f"'{name}' is known to LiteLLM and not acted on here: a key would look narrower than it is. "
                "Leave it out.",
                param=name,
                code="unsupported_parameter",
            )
    try:
        return shape.model_validate(fields)
    except ValidationError as error:
        raise _hidden(invalid(error)) from None


def _hidden(error: InvalidRequest) -> InvalidRequest:
    """What is wrong with a key is told without the key."""
    if error.param is not None and error.param.partition(".")[0] in ("key", "keys") and error.code != _MISSING:
        text = f"Invalid value for '{error.param}': a key is 'sk-' and 29 to 200 letters, digits, '-' or '_'."
        return InvalidRequest(text, param=error.param, code=error.code)
    return error


def _answer(record: VirtualKey) -> JSONResponse:
    return JSONResponse({"key": record.token, **shown(record)})
