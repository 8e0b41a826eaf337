"""Handing out what is kept: whole or in part, to the owner of a key or to the holder of a signed address."""

from __future__ import annotations

import hmac
import re
import time
from collections.abc import Callable
from hashlib import sha256

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from gateway.blobs.store import Blob, BlobStore
from gateway.errors import NotFound, Unauthorized

_EXTENSIONS = {
    "image/png": "png",
    "image/jpeg": "jpg",
    "image/webp": "webp",
    "video/mp4": "mp4",
    "audio/wav": "wav",
    "audio/mpeg": "mp3",
}
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


def blob_response(request: Request, blobs: BlobStore, blob: Blob, name: str) -> Response:
    """The bytes with ``Range``, ``ETag`` and a file name."""
    tag = f'"{blob.tag}"'
    headers = {
        "etag": tag,
        "accept-ranges": "bytes",
        "cache-control": "private, max-age=3600",
        "content-disposition": f'attachment; filename="{name}.{_EXTENSIONS.get(blob.media_type, "bin")}"',
    }
    if tag in (each.strip() for each in request.headers.get("if-none-match", "").split(",")):
        return Response(status_code=304, headers=headers)
    start, end, status = 0, blob.size, 200
    asked = _RANGE.fullmatch(request.headers.get("range", "").strip())
    if asked and any(asked.groups()) and request.headers.get("if-range", tag) == tag:
        first, last = asked.groups()
        start = int(first) if first else max(0, blob.size - int(last))
        end = min(blob.size, int(last) + 1) if first and last else blob.size
        if start >= end:
            return Response(status_code=416, headers=headers | {"content-range": f"bytes */{blob.size}"})
        headers["content-range"] = f"bytes {start}-{end - 1}/{blob.size}"
        status = 206
    headers["content-length"] = str(end - start)
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers, media_type=blob.media_type)
    return StreamingResponse(blobs.read(blob, start, end - start), status, headers, blob.media_type)


def lay_media(app: FastAPI, links: Callable[[], Links], blobs: Callable[[], BlobStore]) -> None:
    """Register ``GET /v1/media/{key}``: its signature stands for a key."""

    async def media(request: Request, key: str, expires: str = "0", signature: str = "") -> Response:
        """An output, by an address that this gateway has handed out."""
        links().check(key, expires, signature)
        blob = await blobs().get(key)
        if blob is None:
            raise NotFound("This output is no longer kept.", code="output_expired")
        return blob_response(request, blobs(), blob, key)

    for method in ("GET", "HEAD"):
        app.add_api_route(
            "/v1/media/{key}", media, methods=[method], tags=["media"], include_in_schema=False, response_model=None
        )


class Links:
    """Addresses of ours for outputs: whoever has one may fetch it until it expires.

    ``public_url`` is what they begin with; ``None``: whatever address the caller used.
    """

    def __init__(self, secret: bytes, public_url: str | None, seconds: float) -> None:
        self._secret = secret
        self._public_url = public_url
        self._seconds = seconds

    def make(self, blob: Blob, scheme: str, host: str) -> str:
        """The address of a blob."""
        expires = int(time.time() + self._seconds)
        base = self._public_url or f"{scheme}://{host}"
        return f"{base}/v1/media/{blob.key}?expires={expires}&signature={self._sign(blob.key, str(expires))}"

    def check(self, key: str, expires: str, signature: str) -> None:
        """Raise ``Unauthorized`` for an address that is not ours, ``NotFound`` for one that has expired."""
        if not hmac.compare_digest(self._sign(key, expires).encode(), signature.encode()):
            raise Unauthorized("The signature of this address is wrong.", code="invalid_signature")
        if float(expires) < time.time():
            raise NotFound("This address has expired.", code="output_expired")

    def _sign(self, key: str, expires: str) -> str:
        return hmac.new(self._secret, f"{key}\n{expires}".encode(), sha256).hexdigest()
