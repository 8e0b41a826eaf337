"""The bodies of calls for pictures, films and transcriptions, and what is answered of a film: no web framework here."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from gateway.api.caller import Guardrails, passed_on
from gateway.api.fields import Upload, truth, whole
from gateway.api.references import mask_of, pictures, reference
from gateway.errors import InvalidRequest
from gateway.jobs.job import Job, State
from providers.base.contract import ImageRequest, TranscriptionRequest, VideoRequest

_STATUS = {
    State.CREATED: "queued",
    State.SUBMITTING: "queued",
    State.RUNNING: "in_progress",
    State.STORING: "in_progress",
    State.COMPLETED: "completed",
    State.FAILED: "failed",
    State.CANCELLED: "failed",
}


# Of models with these names OpenAI answers the pictures themselves, and knows no `response_format`: clients that know
# the name send none, and look for nothing else.
_ALWAYS_BYTES = ("gpt-image", "chatgpt-image")


class ImageBody(BaseModel):
    """The JSON body. Fields that are not listed go to the provider, which refuses what it cannot honour."""

    model_config = ConfigDict(extra="allow", title="CreateImageRequest")

    model: Annotated[str, Field(strict=True, min_length=1, max_length=256, description="A name of `model_list`.")]
    prompt: Annotated[str, Field(strict=True, min_length=1, max_length=32_000)]
    n: Annotated[int, Field(strict=True, ge=1, le=10)] | None = Field(None, description="Default: 1.")
    size: Annotated[str, Field(strict=True, pattern=r"^(auto|\d{1,5}x\d{1,5})$")] | None = None
    response_format: Literal["url", "b64_json"] | None = Field(
        None, description="Default: url; for models named gpt-image… or chatgpt-image…: b64_json."
    )
    output_format: Literal["png", "jpeg", "webp"] | None = None
    stream: Annotated[bool, Field(strict=True)] | None = None
    guardrails: Guardrails = None
    partial_images: Annotated[int, Field(strict=True, ge=0, le=3)] | None = Field(None, description="None are made.")

    def request(self) -> ImageRequest:
        """The same in the contract's words."""
        extra = {name: value for name, value in passed_on(self.model_extra).items() if value is not None}
        return ImageRequest(self.prompt, None if self.size == "auto" else self.size, self.output_format, (), extra)

    @property
    def wants_bytes(self) -> bool:
        """Whether the pictures themselves are answered, in base64, rather than their addresses."""
        if self.response_format is None:
            return self.model.rpartition("/")[2].startswith(_ALWAYS_BYTES)
        return self.response_format == "b64_json"


class EditBody(ImageBody):
    """The fields of a form or a JSON body. Fields that are not listed go to the provider."""

    model_config = ConfigDict(extra="allow", arbitrary_types_allowed=True, title="CreateImageEditRequest")

    image: Any = Field(None, description="In a form: 1 to 16 files (`image`, or `image[]` for each), png, jpeg, webp.")
    images: Any = Field(None, description="In JSON: 1 to 16 of {image_url}: an address or a data: URI.")
    mask: Any = Field(None, description="A png whose transparent parts say where the first picture is to be changed.")
    n: Annotated[int, BeforeValidator(whole), Field(strict=True, ge=1, le=10)] | None = None
    stream: Annotated[bool, BeforeValidator(truth), Field(strict=True)] | None = None
    partial_images: Annotated[int, BeforeValidator(whole), Field(strict=True, ge=0, le=3)] | None = None

    def request(self) -> ImageRequest:
        """The same in the contract's words. Blocks: the pictures are looked at."""
        if self.image is not None and self.images is not None:
            raise InvalidRequest("Give 'image' or 'images', not both.", param="images")
        references = pictures(self.image, "image") if self.images is None else pictures(self.images, "images")
        return replace(super().request(), references=references, mask=mask_of(self.mask, references))


class VideoBody(BaseModel):
    """The fields of a form or a JSON body. What is not listed goes to the provider."""

    model_config = ConfigDict(extra="allow", arbitrary_types_allowed=True, title="CreateVideoRequest")

    model: Annotated[str, Field(strict=True, min_length=1, max_length=256, description="A name of `model_list`.")]
    prompt: Annotated[str, Field(strict=True, min_length=1, max_length=32_000)]
    seconds: Annotated[int, BeforeValidator(whole), Field(strict=True, ge=1, le=600)] | None = None
    size: Annotated[str, Field(strict=True, pattern=r"^\d{1,5}[x:]\d{1,5}$")] | None = None
    ratio: Annotated[str, Field(strict=True, pattern=r"^\d{1,5}[x:]\d{1,5}$")] | None = Field(
        None, description="The same as `size`, as some vendors write it: 1280:720."
    )
    guardrails: Guardrails = None
    input_reference: Any = Field(None, description="A file, an address, a data: URI or {image_url}.")

    def request(self) -> VideoRequest:
        """The same in the contract's words."""
        size = self.size or self.ratio
        extra = {name: value for name, value in passed_on(self.model_extra).items() if value is not None}
        return VideoRequest(
            self.prompt,
            self.seconds,
            None if size is None else size.replace(":", "x"),
            reference(self.input_reference, "input_reference"),
            extra,
        )


class RemixBody(BaseModel):
    """The fields of a remix, and there are no others."""

    model_config = ConfigDict(extra="forbid", title="CreateVideoRemixRequest")

    prompt: Annotated[str, Field(strict=True, min_length=1, max_length=32_000)]
    guardrails: Guardrails = None


def video_object(job: Job) -> dict[str, Any]:
    """OpenAI's Video object. Every field holds for the life of the job."""
    request = job.request
    cancelled = {"code": "cancelled", "message": "The video was cancelled."} if job.state is State.CANCELLED else None
    error = cancelled if job.fault is None else {"code": job.fault.code, "message": job.fault.message}
    return {
        "id": job.id,
        "object": "video",
        "model": job.model,
        "status": _STATUS[job.state],
        "progress": 100 if job.state is State.COMPLETED else int(job.progress * 100),
        "created_at": int(job.created),
        "completed_at": None if job.completed is None else int(job.completed),
        "expires_at": None if job.expires is None else int(job.expires),
        "prompt": request.get("prompt"),
        "size": request.get("size"),
        "seconds": None if request.get("seconds") is None else str(request["seconds"]),
        "remixed_from_video_id": request.get("remixed_from_video_id"),
        "error": error,
    }


class TranscriptionBody(BaseModel):
    """The fields of the form. Those that are not listed go to the provider as they are."""

    model_config = ConfigDict(extra="allow", arbitrary_types_allowed=True, title="CreateTranscriptionRequest")

    model: Annotated[str, Field(strict=True, min_length=1, max_length=256, description="A name of `model_list`.")]
    file: Any = Field(None, description="The sound, with a name that ends as its kind does (talk.mp3).")
    prompt: Annotated[str, Field(strict=True, max_length=32_000)] | None = None
    guardrails: Guardrails = None

    def request(self, *, translate: bool) -> TranscriptionRequest:
        """The same in the contract's words. Raises ``InvalidRequest``."""
        if not isinstance(self.file, Upload):
            raise InvalidRequest(
                "Missing required parameter: 'file', one file of a form (multipart/form-data).",
                param="file",
                code="missing_required_parameter",
            )
        if not self.file.data:
            raise InvalidRequest("The file is empty.", param="file")
        return TranscriptionRequest(
            self.file.data,
            self.file.filename or "upload",
            self.file.media_type,
            translate,
            self.prompt or "",
            tuple(_fields(passed_on(self.model_extra))),
        )


def _fields(given: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The form's fields under the names that they came with."""
    for name, value in given.items():
        if isinstance(value, list):
            parts = [(f"{name}[]", each) for each in value]
        elif isinstance(value, dict):
            parts = [(f"{name}[{inner}]", each) for inner, each in value.items()]
        else:
            parts = [(name, value)]
        for spelled, each in parts:
            if isinstance(each, Upload):
                raise InvalidRequest(f"'{name}' is a file; the only one is 'file'.", param=name)
            yield spelled, each if isinstance(each, str) else json.dumps(each)
