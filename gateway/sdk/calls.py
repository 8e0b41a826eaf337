"""The calls themselves, on the loop of the process. They are loaded with the first one."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import time
from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from os import PathLike
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from engines.media import ByteStream, content_type
from gateway.api.bodies import ImageBody, TranscriptionBody, VideoBody, video_object
from gateway.api.errors import invalid
from gateway.api.fields import Upload
from gateway.api.served import served_headers
from gateway.api.speech import SpeechBody
from gateway.blobs.files import FileBlobs
from gateway.blobs.store import Blob, BlobStore
from gateway.build import Services
from gateway.config import ConfigError
from gateway.data import DataFolder, DataFolderError
from gateway.database import StoreError
from gateway.errors import GatewayError, InvalidRequest, NotFound
from gateway.jobs.job import Job, State
from gateway.jobs.sqlite import SqliteJobStore
from gateway.ledger.cost import expected
from gateway.ledger.row import cost_by_now
from gateway.policy.attempts import Wishes
from gateway.record import Cost, Record, Who
from gateway.sdk import errors
from gateway.sdk.answers import ImageObject, ImageResponse, SpeechResponse, TranscriptionResponse, VideoObject
from gateway.sdk.house import CALL, House, shown, split
from gateway.services.caller import Caller
from gateway.services.hooks import HookError
from gateway.services.served import Served
from gateway.services.speech import tokens
from gateway.services.videos import Variant, completed, found
from providers.base.contract import VideoRequest
from providers.base.errors import ProviderError, Unavailable

HOUSE = House()

B = TypeVar("B", bound=BaseModel)
_DEFAULT_VOICE = "alloy"
_NO_KEY = "Give api_key with the call, or set the provider's environment variable."


class _Options(BaseModel):
    """Keyword arguments that are for the gateway. ``timeout``: seconds until the answer begins."""

    model_config = ConfigDict(extra="allow", allow_inf_nan=False)

    timeout: Annotated[float, Field(gt=0)] | None = None
    max_retries: Annotated[int, Field(ge=0, le=100)] | None = None
    num_retries: Annotated[int, Field(ge=0, le=100)] | None = None
    fallbacks: tuple[str, ...] | None = None
    disable_fallbacks: bool = False
    metadata: dict[str, Any] | None = None
    litellm_metadata: dict[str, Any] | None = None
    tags: tuple[str, ...] = ()
    user: Annotated[str, Field(max_length=256)] = ""
    extra_body: dict[str, Any] | None = None

    def caller(self, kind: str, model: str) -> Caller:
        """Who asks, and how it shall be answered."""
        said = [
            metadata["tags"] for metadata in (self.metadata, self.litellm_metadata) if metadata and "tags" in metadata
        ]
        tags = (*self.tags, *(str(tag) for each in said for tag in each))
        record = Record(
            secrets.token_hex(16), f"/{kind}", kind=kind, model=model, who=Who(end_user=self.user, tags=tags)
        )
        retries = self.max_retries if self.num_retries is None else self.num_retries
        wishes = Wishes(self.fallbacks, not self.disable_fallbacks, retries, self.timeout, frozenset(tags))
        return Caller(route=record.route, key=record.id, record=record, wishes=wishes)


# What LiteLLM has and nothing here needs: these values change nothing there either.
_HOLLOW = ("client", "optional_params", "extra_headers", "extra_query", "headers", "aspeech", "logger_fn")


class _Call:
    """One call: its options, where it goes, and what it was called with."""

    def __init__(self, kind: str, model: object, given: Mapping[str, Any]) -> None:
        if not isinstance(model, str) or not model:
            raise InvalidRequest(
                "Missing required parameter: 'model'.", param="model", code="missing_required_parameter"
            )
        given = {name: value for name, value in given.items() if value is not None}
        for name in _HOLLOW:
            if given.pop(name, None):
                raise InvalidRequest(f"'{name}' is not known here: nothing of it would be used.", param=name)
        self.account, rest = split(model, given)
        options = _validated(_Options, rest)
        self.kind, self.model, self.group = kind, model, model
        self.caller = options.caller(kind, model)
        self.fields = {**(options.model_extra or {}), **(options.extra_body or {})}

    async def opened(self, *, lasting: bool = False) -> Services:
        """The services, with the deployments of the model and its fallbacks in them."""
        services = await HOUSE.services(lasting=lasting)
        self.group = await HOUSE.model(services, self.model, self.account)
        wishes = self.caller.wishes
        if wishes.fallbacks:
            groups = [await HOUSE.model(services, each, {}) for each in wishes.fallbacks]
            self.caller = replace(self.caller, wishes=replace(wishes, fallbacks=tuple(groups)))
        return services

    def body(self, shape: type[B], **fields: Any) -> B:
        """The body that the server would be sent."""
        named = {name: value for name, value in fields.items() if value is not None}
        return _validated(shape, {"model": self.group, **named, **self.fields})

    def hidden(self, served: Served, cost: Cost | None) -> dict[str, Any]:
        """``_hidden_params`` of the answer."""
        headers = {name.decode(): shown(value.decode()) for name, value in served_headers(served)}
        return {
            "response_cost": None if cost is None else cost.usd,
            "cost_certainty": "unknown" if cost is None else cost.certainty,
            "model_id": served.deployment,
            "custom_llm_provider": served.provider,
            "litellm_call_id": self.caller.record.id,
            "additional_headers": headers,
        }


async def configure(path: str | PathLike[str] | None) -> None:
    """``gateway.sdk.configure``."""
    with told():
        await HOUSE.use(path)


async def speech(model: object, text: object, voice: object, options: Mapping[str, Any]) -> SpeechResponse:
    """``gateway.sdk.speech``."""
    with told(model):
        call = _Call("speech", model, options)
        services = await call.opened()
        if voice is None and call.group != call.model:
            voice = _DEFAULT_VOICE
        body = call.body(SpeechBody, input=text, voice=voice)
        if body.stream_format == "sse":
            raise InvalidRequest("stream_format must be 'audio' here: the sound comes whole.", param="stream_format")
        made = await services.speech.speak(call.group, body.request(), call.caller)
        content = await _whole(made.chunks)
        counted = tokens(made.usage)
        usage = None
        if counted is not None:
            usage = {"input_tokens": counted[0], "output_tokens": counted[1], "total_tokens": sum(counted)}
        hidden = call.hidden(made.served, cost_by_now(call.caller.record))
        return SpeechResponse(content, content_type(made.spec), usage, hidden)


async def images(prompt: object, model: object, options: Mapping[str, Any]) -> ImageResponse:
    """``gateway.sdk.image_generation``."""
    with told(model):
        call = _Call("image", model, options)
        services = await call.opened()
        body = call.body(ImageBody, prompt=prompt)
        if body.stream:
            raise InvalidRequest("stream must be false here: the pictures come all at once.", param="stream")
        submission = await services.images.submit(call.group, body.request(), body.n or 1, call.caller)
        pictures = await services.images.finish(submission, body.output_format)
        if body.wants_bytes:
            data = [ImageObject(b64_json=await services.images.base64(blob)) for blob in pictures.blobs]
        else:
            folder = await HOUSE.folder()
            days = (await HOUSE.config()).general.output_retention_days
            await asyncio.to_thread(_tidy, folder, days * 86_400)
            data = [ImageObject(url=await _kept(folder, services.blobs, blob)) for blob in pictures.blobs]
        made = pictures.blobs[0].media_type.removeprefix("image/") if pictures.blobs else None
        hidden = call.hidden(pictures.served, cost_by_now(call.caller.record))
        return ImageResponse(int(pictures.jobs[0].created), data, made, body.size, _hidden_params=hidden)


async def video(prompt: object, model: object, options: Mapping[str, Any]) -> VideoObject:
    """``gateway.sdk.video_generation``."""
    with told(model):
        call = _Call("video", model, options)
        services = await call.opened(lasting=True)
        call.fields["input_reference"] = await _file(call.fields.get("input_reference"))
        body = call.body(VideoBody, prompt=prompt)
        submission = await services.videos.create(call.group, body.request(), call.caller)
        job = submission.jobs[0]
        return _film(job, call.hidden(submission.served, cost_by_now(call.caller.record)))


async def video_status(video_id: object, options: Mapping[str, Any]) -> VideoObject:
    """``gateway.sdk.video_status``."""
    with told():
        price = None
        try:
            services = await HOUSE.services(lasting=True)
        except DataFolderError:
            job = (await _beside(str(video_id)))[0]
            _account(job, options)
        else:
            job = await services.videos.get(str(video_id), "")
            await HOUSE.attend(services, job, _account(job, options))
            price = next((each.price for each in services.catalog.deployments() if each.key == job.deployment), None)
        asked, seconds = job.request, job.request.get("seconds")
        cost = None
        if job.state not in (State.FAILED, State.CANCELLED):
            request = VideoRequest(
                str(asked.get("prompt")), None if seconds is None else int(seconds), asked.get("size")
            )
            cost = expected(price, [request])[1]
        hidden = {
            "response_cost": None if cost is None else cost.usd,
            "cost_certainty": "unknown" if cost is None else cost.certainty,
            "model_id": job.deployment,
            "custom_llm_provider": job.deployment.partition("/")[0],
        }
        return _film(job, hidden)


async def video_content(video_id: object, variant: object, options: Mapping[str, Any]) -> bytes:
    """``gateway.sdk.video_content``."""
    with told():
        if variant not in (None, "video", "thumbnail", "spritesheet"):
            raise InvalidRequest("variant must be video, thumbnail or spritesheet.", param="variant")
        wished: Variant = variant or "video"
        try:
            services = await HOUSE.services(lasting=True)
        except DataFolderError:
            job, blobs = await _beside(str(video_id))
            _account(job, options)
            completed(job)
            blob = await blobs.get(job.outputs[0])
            if blob is None or wished != "video":
                raise
            return await _whole(blobs.read(blob))
        _account(await services.videos.get(str(video_id), ""), options)
        return await _whole(services.blobs.read(await services.videos.content(str(video_id), "", wished)))


async def transcription(model: object, file: object, options: Mapping[str, Any]) -> TranscriptionResponse:
    """``gateway.sdk.transcription``."""
    with told(model):
        call = _Call("transcription", model, options)
        services = await call.opened()
        if call.fields.get("stream"):
            raise InvalidRequest("stream must be false here: the text comes whole.", param="stream")
        body = call.body(TranscriptionBody, file=await _file(file))
        written = await services.transcriptions.transcribe(call.group, body.request(translate=False), call.caller)
        text = (await _whole(written.chunks)).decode()
        hidden = call.hidden(written.served, cost_by_now(call.caller.record))
        more = json.loads(text) if written.media_type.partition(";")[0] == "application/json" else {"text": text}
        return TranscriptionResponse(str(more.pop("text", "")), more, _hidden_params=hidden)


@contextlib.contextmanager
def told(model: object = "") -> Iterator[None]:
    """Errors of the services as those of ``gateway.sdk.errors``."""
    name = model if isinstance(model, str) else ""
    try:
        yield
    except (GatewayError, ProviderError) as error:
        kind = errors.BY_CODE.get(error.code or "") or errors.BY_STATUS.get(error.status, errors.InternalServerError)
        text = shown(str(error))
        if isinstance(error, Unavailable) and error.reason == "no_key":
            kind, text = errors.AuthenticationError, f"{text} {_NO_KEY}"
        raise kind(
            text,
            code=error.code,
            param=error.param,
            type=error.kind,
            model=name,
            retry_after=error.retry_after,
        ) from error
    except ConfigError as error:
        faults = [problem for problem in error.problems if problem.severity == "error"]
        if faults[0].file == CALL:  # not in a file of the caller's: it was made of a call
            param = faults[0].where.rpartition(".")[2]
            wrong = f"{param} {faults[0].message}" + (f" ({faults[0].hint})" if faults[0].hint else "")
        else:
            param, wrong = None, "\n".join(map(str, faults))
        raise errors.BadRequestError(
            wrong, param=param, code="invalid_value", type="invalid_request_error", model=name
        ) from error
    except (DataFolderError, StoreError, HookError) as error:
        raise errors.ServiceUnavailableError(str(error), code="overloaded", model=name) from error


def _validated(shape: type[B], given: Mapping[str, Any]) -> B:
    try:
        return shape.model_validate(given)
    except ValidationError as error:
        raise invalid(error) from None


def _account(job: Job, options: Mapping[str, Any]) -> dict[str, Any]:
    """What is given with a look at a film: keys and addresses. Raises ``InvalidRequest`` for anything else."""
    given = {name: value for name, value in options.items() if name != "timeout" and (value or name not in _HOLLOW)}
    account, others = split(job.deployment.partition("@")[0], given)
    for name in others:
        raise InvalidRequest(f"'{name}' is not known here: nothing of it would be used.", param=name)
    account.pop("custom_llm_provider", None)  # the film knows it
    return account


def _film(job: Job, hidden: dict[str, Any]) -> VideoObject:
    made = video_object(job)
    names = {each.name for each in fields(VideoObject)}
    seconds = made["seconds"]
    made["model"] = shown(job.model)
    made["usage"] = None if seconds is None else {"duration_seconds": float(seconds)}
    return VideoObject(**{name: value for name, value in made.items() if name in names}, _hidden_params=hidden)


async def _beside(video: str) -> tuple[Job, BlobStore]:
    """A film in a folder that another process has: what that one has written of it. Raises ``NotFound``."""
    folder = await HOUSE.folder()
    if not await asyncio.to_thread(folder.jobs.exists):
        raise NotFound(f"No video '{video[:200]}' was found.", param="video_id", code="video_not_found")
    store = await asyncio.to_thread(SqliteJobStore, folder.jobs)
    try:
        return await found(store, video, ""), FileBlobs(folder.blobs)
    finally:
        await store.close()


async def _whole(chunks: ByteStream) -> bytes:
    try:
        return b"".join([piece async for piece in chunks])
    finally:
        await chunks.aclose()


async def _file(given: Any) -> Any:
    """A file that a caller names, has opened or has read, as an upload; what is none of these as it is."""
    if isinstance(given, tuple) and len(given) > 1:
        made = await _file(given[1])
        return Upload(made.data, str(given[0])) if isinstance(made, Upload) else given
    if isinstance(given, bytes | bytearray):
        return Upload(bytes(given))
    if isinstance(given, str) and not given.startswith(("http://", "https://", "data:")) and len(given) < 4096:
        given = Path(given)
    if isinstance(given, PathLike):
        path = Path(given)
        try:
            return Upload(await asyncio.to_thread(path.read_bytes), path.name)
        except OSError as error:
            raise InvalidRequest(f"{path} cannot be read: {error.strerror}.") from error
    if hasattr(given, "read"):
        return Upload(await asyncio.to_thread(given.read), Path(str(getattr(given, "name", ""))).name)
    return given


async def _kept(folder: DataFolder, blobs: BlobStore, blob: Blob) -> str:
    """The address of a picture, copied to where it outlives this process."""
    data = await _whole(blobs.read(blob))
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
