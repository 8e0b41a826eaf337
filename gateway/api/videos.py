"""``/v1/videos`` as OpenAI documents it (https://platform.openai.com/docs/api-reference/videos)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

from fastapi import Depends, FastAPI, Query, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel

from gateway.api.auth import KeyCheck
from gateway.api.bodies import RemixBody, VideoBody, video_object
from gateway.api.caller import caller
from gateway.api.catalog import RequireKey
from gateway.api.forms import read_fields
from gateway.api.http import Call, send_json
from gateway.api.media import blob_response
from gateway.api.served import served_headers
from gateway.blobs.store import BlobStore
from gateway.config import GeneralSettings
from gateway.errors import InvalidRequest, NotFound
from gateway.services.videos import Variant, VideoService, unsupported

POLL_AFTER_MS = 2000
"""How long OpenAI's SDKs are told to wait between two looks."""


class _SourceBody(BaseModel):
    """What an edit, an extension or a character is made from; the rest is not looked at."""

    video: Any = None


_REMIX = {"schema": {"$ref": "#/components/schemas/CreateVideoRemixRequest"}}
_BODIES = {
    "/videos/{video_id}/remix": {
        "requestBody": {"required": True, "content": {"application/json": _REMIX, "multipart/form-data": _REMIX}}
    }
}


class VideoRoutes:
    """The routes. ``service`` and ``blobs`` are asked for at each call, since they open after the routes are laid."""

    def __init__(
        self,
        service: Callable[[], VideoService],
        blobs: Callable[[], BlobStore],
        settings: GeneralSettings,
        keys: KeyCheck,
    ) -> None:
        self._service = service
        self._blobs = blobs
        self._settings = settings
        self._keys = keys

    def lay(self, app: FastAPI, require_key: RequireKey) -> None:
        """Register what is read now and then; ``create`` is a hot route."""
        for path, endpoint, method in (
            ("/videos", self.list, "GET"),
            ("/videos/{video_id}", self.retrieve, "GET"),
            ("/videos/{video_id}", self.delete, "DELETE"),
            ("/videos/{video_id}/content", self.content, "GET"),
            ("/videos/{video_id}/remix", self.remix, "POST"),
            ("/videos/edits", self.edit, "POST"),
            ("/videos/extensions", self.extend, "POST"),
            ("/videos/characters", self.create_character, "POST"),
            ("/videos/characters/{character_id}", self.character, "GET"),
        ):
            for full, shown in ((f"/v1{path}", True), (path, False)):
                app.add_api_route(
                    full,
                    endpoint,
                    methods=[method],
                    dependencies=[Depends(require_key)],
                    include_in_schema=shown,
                    tags=["videos"],
                    response_model=None,
                    openapi_extra=_BODIES.get(path),
                )

    async def create(self, call: Call) -> None:
        """``POST /v1/videos``, JSON or a form. The plain ASGI endpoint."""
        body, content = await read_fields(call, self._settings, VideoBody)
        call.record.kind, call.record.model = "video", body.model
        who = caller(self._keys, call, content, body)
        submission = await self._service().create(body.model, body.request(), who)
        await send_json(call.send, 200, video_object(submission.jobs[0]), served_headers(submission.served))

    async def list(
        self,
        request: Request,
        limit: Annotated[int, Query(ge=0, le=100)] = 20,
        after: str | None = None,
        order: Literal["asc", "desc"] = "desc",
    ) -> JSONResponse:
        """The videos of your key, the newest first."""
        service, owner = self._service(), self._keys.owner(request.scope["state"]["call"].headers)
        jobs, more = await service.page(owner, after, limit, newest_first=order == "desc")
        data = [video_object(job) for job in jobs]
        ends = {"first_id": data[0]["id"] if data else None, "last_id": data[-1]["id"] if data else None}
        return JSONResponse({"object": "list", "data": data, **ends, "has_more": more})

    async def retrieve(self, request: Request, video_id: str) -> JSONResponse:
        """One video: its status, and how far it is."""
        job = await self._service().get(video_id, self._keys.owner(request.scope["state"]["call"].headers))
        return JSONResponse(video_object(job), headers={"openai-poll-after-ms": str(POLL_AFTER_MS)})

    async def content(self, request: Request, video_id: str, variant: Variant = "video") -> Response:
        """The film itself, a picture of it or a sheet of pictures; whole or in part (`Range`)."""
        blob = await self._service().content(
            video_id, self._keys.owner(request.scope["state"]["call"].headers), variant
        )
        return blob_response(request, self._blobs(), blob, video_id)

    async def remix(self, request: Request, video_id: str) -> JSONResponse:
        """The same film with another prompt, by the model that made it."""
        service, call = self._service(), _call(request)
        call.record.media = True
        await service.get(video_id, self._keys.owner(request.scope["state"]["call"].headers))
        body, content = await read_fields(call, self._settings, RemixBody)
        call.record.kind = "video"
        who = caller(self._keys, call, content, body)
        submission = await service.remix(video_id, body.prompt, who)
        headers = {name.decode(): value.decode() for name, value in served_headers(submission.served)}
        return JSONResponse(video_object(submission.jobs[0]), headers=headers)

    async def edit(self, request: Request) -> JSONResponse:
        """Refused: no model here changes a film."""
        return await self._refused(request, "edit")

    async def extend(self, request: Request) -> JSONResponse:
        """Refused: no model here makes a film longer."""
        return await self._refused(request, "extend")

    async def create_character(self, request: Request) -> JSONResponse:
        """Refused: no model here keeps characters."""
        return await self._refused(request, "make a character of")

    async def character(self, character_id: str) -> JSONResponse:
        """There are none."""
        raise NotFound(
            f"No character '{character_id[:200]}' was found.", param="character_id", code="character_not_found"
        )

    async def _refused(self, request: Request, verb: str) -> JSONResponse:
        body, _ = await read_fields(_call(request), self._settings, _SourceBody)
        given = body.video.get("id") if isinstance(body.video, dict) else body.video
        if given is None:
            raise InvalidRequest(
                "Missing required parameter: 'video'.", param="video", code="missing_required_parameter"
            )
        if isinstance(given, str):
            job = await self._service().get(given, self._keys.owner(request.scope["state"]["call"].headers))
            raise unsupported(job.model, verb)
        raise InvalidRequest(f"No model here can {verb} a video.", param="video", code="unsupported_operation")

    async def delete(self, request: Request, video_id: str) -> JSONResponse:
        """Forget a video; one that is still being made is cancelled."""
        await self._service().delete(video_id, self._keys.owner(request.scope["state"]["call"].headers))
        return JSONResponse({"id": video_id, "object": "video.deleted", "deleted": True})


def _call(request: Request) -> Call:
    call = request.scope["state"]["call"]
    assert isinstance(call, Call)
    return call
