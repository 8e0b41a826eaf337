"""Pictures: drawn, or made of others."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping
from typing import Any

from gateway.api.bodies import EditBody, ImageBody
from gateway.blobs.store import Blob, BlobStore
from gateway.build import Services
from gateway.data import DataFolder
from gateway.errors import InvalidRequest
from gateway.ledger.row import cost_by_now
from gateway.sdk.answers import ImageObject, ImageResponse
from gateway.sdk.calls.call import HOUSE, Call, told, upload, whole


async def images(prompt: object, model: object, options: Mapping[str, Any]) -> ImageResponse:
    """``gateway.sdk.image_generation``."""
    with told(model):
        call = Call("image", model, options)
        services = await call.opened()
        return await _made(call, services, call.body(ImageBody, prompt=prompt))


async def edit(image: object, prompt: object, model: object, options: Mapping[str, Any]) -> ImageResponse:
    """``gateway.sdk.image_edit``."""
    with told(model):
        call = Call("image", model, options)
        services = await call.opened()
        call.fields["mask"] = await upload(call.fields.get("mask"))
        files = [await upload(each) for each in image] if isinstance(image, list) else await upload(image)
        return await _made(call, services, call.body(EditBody, prompt=prompt, image=files))


async def _made(call: Call, services: Services, body: ImageBody) -> ImageResponse:
    if body.stream:
        raise InvalidRequest("stream must be false here: the pictures come all at once.", param="stream")
    request = await asyncio.to_thread(body.request)  # of an edit: the pictures are looked at
    submission = await services.images.submit(call.group, request, body.n or 1, call.caller)
    pictures = await services.images.finish(submission, body.output_format)
    if body.wants_bytes:
        texts = [[piece async for piece in services.images.base64(blob)] for blob in pictures.blobs]
        data = [ImageObject(b64_json=b"".join(text).decode("ascii")) for text in texts]
    else:
        folder = await HOUSE.folder()
        days = (await HOUSE.config()).general.output_retention_days
        await asyncio.to_thread(_tidy, folder, days * 86_400)
        data = [ImageObject(url=await _kept(folder, services.blobs, blob)) for blob in pictures.blobs]
    made = pictures.blobs[0].media_type.removeprefix("image/") if pictures.blobs else None
    hidden = call.hidden(pictures.served, cost_by_now(call.caller.record))
    return ImageResponse(int(pictures.jobs[0].created), data, made, body.size, _hidden_params=hidden)


async def _kept(folder: DataFolder, blobs: BlobStore, blob: Blob) -> str:
    """The address of a picture, copied to where it outlives this process."""
    data = await whole(blobs.read(blob))
    path = folder.pictures / f"{blob.key}.{blob.media_type.rpartition('/')[2]}"
    await asyncio.to_thread(path.write_bytes, data)
    return path.absolute().as_uri()


def _tidy(folder: DataFolder, seconds: float) -> None:
    """Make the folder of pictures, and remove those that are older."""
    folder.pictures.mkdir(parents=True, exist_ok=True, mode=0o700)
    for path in folder.pictures.iterdir():
        with contextlib.suppress(FileNotFoundError):  # another process is at it too
            if path.stat().st_mtime < time.time() - seconds:
                path.unlink()
