"""LiteLLM's Python functions for media, with no server: ``from gateway import speech`` in place of ``from litellm``.

Models are ``<vendor>/<model>`` with their keys as arguments or in the environment, or names of a config
(``configure``, ``$MEDIA_GATEWAY_CONFIG``). The functions that wait work in scripts and where a loop runs already
(notebooks), the others in any event loop. They take LiteLLM's arguments, and raise the classes of
``gateway.sdk.errors``, whose base is ``APIError``. What they share is loaded with the first call.
"""

from __future__ import annotations

import asyncio
import os
import sys
from typing import TYPE_CHECKING, Any, TypeVar

from gateway.sdk.answers import (
    Answer,
    ImageObject,
    ImageResponse,
    TranscriptionResponse,
    VideoDeleted,
    VideoObject,
)
from gateway.sdk.errors import (
    APIConnectionError,
    APIError,
    AuthenticationError,
    BadGatewayError,
    BadRequestError,
    ContentPolicyViolationError,
    InternalServerError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    ServiceUnavailableError,
    Timeout,
    UnsupportedParamsError,
)
from gateway.sdk.loop import Background
from gateway.sdk.sounds import Source, SpeechResponse, SpeechStream

if TYPE_CHECKING:
    from types import ModuleType

T = TypeVar("T")

__all__ = [
    "APIConnectionError",
    "APIError",
    "AuthenticationError",
    "BadGatewayError",
    "BadRequestError",
    "ContentPolicyViolationError",
    "ImageObject",
    "ImageResponse",
    "InternalServerError",
    "NotFoundError",
    "PermissionDeniedError",
    "RateLimitError",
    "ServiceUnavailableError",
    "SpeechResponse",
    "SpeechStream",
    "Timeout",
    "TranscriptionResponse",
    "UnsupportedParamsError",
    "VideoDeleted",
    "VideoObject",
    "aimage_edit",
    "aimage_generation",
    "aspeech",
    "atranscription",
    "avideo_content",
    "avideo_delete",
    "avideo_generation",
    "avideo_list",
    "avideo_remix",
    "avideo_status",
    "close",
    "completion_cost",
    "configure",
    "image_edit",
    "image_generation",
    "speech",
    "transcription",
    "video_content",
    "video_delete",
    "video_generation",
    "video_list",
    "video_remix",
    "video_status",
]


async def _close() -> None:
    if (calls := sys.modules.get("gateway.sdk.calls")) is not None:
        await calls.HOUSE.close()


_LOOP = Background(_close)


def _calls() -> ModuleType:
    from gateway.sdk import calls

    return calls


async def _asked(kind: type[T], name: str, *given: Any) -> T:
    """What one of the calls returns. They are loaded on a thread: that takes a while, and nobody's loop shall stand."""
    calls = await asyncio.to_thread(_calls)
    answer = await getattr(calls, name)(*given)
    assert isinstance(answer, kind)
    return answer


def configure(path: str | os.PathLike[str] | None) -> None:
    """Use a config, for the names, keys, fallbacks and guards in it; ``None``: as at the beginning.

    Call it before the others: what they have opened is closed. Raises ``BadRequestError`` with every fault of it.
    """

    _LOOP.run(_asked(type(None), "configure", path))


def close() -> None:
    """Close what is open; the end of the program does it too."""
    _LOOP.close()


def speech(
    model: str,
    input: str,  # noqa: A002 - OpenAI's word
    voice: str | dict[str, Any] | None = None,
    api_key: str | None = None,
    api_base: str | None = None,
    **options: Any,
) -> SpeechResponse:
    """Speak a text, as mp3 unless ``response_format`` names another one of the six.

    The sound comes whole; with ``stream=True`` it is a ``SpeechStream``, whose ``iter_bytes`` begins with the first
    bytes that are made. Use it as a context (``with speech(…, stream=True) as sound``), or read it to its end.
    Also ``speed``, ``instructions``, ``timeout``, ``max_retries``, ``fallbacks`` and the vendor's own options. Without
    a ``voice``, and a config that has one, ``alloy`` speaks.
    """
    account = {"api_key": api_key, "api_base": api_base}
    return _heard(_LOOP.run(_asked(object, "speech", model, input, voice, {**account, **options})))


async def aspeech(
    model: str,
    input: str,  # noqa: A002 - OpenAI's word
    voice: str | dict[str, Any] | None = None,
    api_key: str | None = None,
    api_base: str | None = None,
    **options: Any,
) -> SpeechResponse:
    """As ``speech``, awaited."""
    account = {"api_key": api_key, "api_base": api_base}
    return _heard(await _LOOP.hop(_asked(object, "speech", model, input, voice, {**account, **options})))


def _heard(made: object) -> SpeechResponse:
    """A stream is made here, where nothing but its reader holds it: who forgets it ends it."""
    if isinstance(made, Source):
        return SpeechStream(made, _LOOP)
    assert isinstance(made, SpeechResponse)
    return made


def image_generation(
    prompt: str,
    model: str | None = None,
    n: int | None = None,
    quality: str | None = None,
    response_format: str | None = None,
    size: str | None = None,
    **options: Any,
) -> ImageResponse:
    """Draw. ``data[0].url`` is the address of a file in the data folder; with ``response_format="b64_json"``, and where
    none is given to a model named ``gpt-image…``, there is ``data[0].b64_json`` instead.
    """
    fields = {"n": n, "quality": quality, "response_format": response_format, "size": size}
    return _LOOP.run(_asked(ImageResponse, "images", prompt, model, {**fields, **options}))


async def aimage_generation(
    prompt: str,
    model: str | None = None,
    n: int | None = None,
    quality: str | None = None,
    response_format: str | None = None,
    size: str | None = None,
    **options: Any,
) -> ImageResponse:
    """As ``image_generation``, awaited."""
    fields = {"n": n, "quality": quality, "response_format": response_format, "size": size}
    return await _LOOP.hop(_asked(ImageResponse, "images", prompt, model, {**fields, **options}))


def image_edit(
    image: Any,
    prompt: str,
    model: str | None = None,
    mask: Any = None,
    n: int | None = None,
    quality: str | None = None,
    **options: Any,
) -> ImageResponse:
    """Draw from a picture, or a list of up to 16: addresses, paths, files or their bytes. Also what
    ``image_generation`` takes; ``mask`` is a png whose transparent parts say where the first picture is to be changed.
    """
    fields = {"mask": mask, "n": n, "quality": quality}
    return _LOOP.run(_asked(ImageResponse, "edit", image, prompt, model, {**fields, **options}))


async def aimage_edit(
    image: Any,
    prompt: str,
    model: str | None = None,
    mask: Any = None,
    n: int | None = None,
    quality: str | None = None,
    **options: Any,
) -> ImageResponse:
    """As ``image_edit``, awaited."""
    fields = {"mask": mask, "n": n, "quality": quality}
    return await _LOOP.hop(_asked(ImageResponse, "edit", image, prompt, model, {**fields, **options}))


def video_generation(
    prompt: str,
    model: str | None = None,
    input_reference: Any = None,
    seconds: int | str | None = None,
    size: str | None = None,
    **options: Any,
) -> VideoObject:
    """Begin a film, and return at once. ``input_reference`` is an address, a path, a file or its bytes.

    The film is kept in the data folder: its ``id`` holds in other processes too, where the key is there.
    """
    fields = {"input_reference": input_reference, "seconds": seconds, "size": size}
    return _LOOP.run(_asked(VideoObject, "video", prompt, model, {**fields, **options}))


async def avideo_generation(
    prompt: str,
    model: str | None = None,
    input_reference: Any = None,
    seconds: int | str | None = None,
    size: str | None = None,
    **options: Any,
) -> VideoObject:
    """As ``video_generation``, awaited."""
    fields = {"input_reference": input_reference, "seconds": seconds, "size": size}
    return await _LOOP.hop(_asked(VideoObject, "video", prompt, model, {**fields, **options}))


def video_status(video_id: str, **options: Any) -> VideoObject:
    """How far a film is. ``api_key`` and ``api_base`` are for where this process and the environment have none."""
    return _LOOP.run(_asked(VideoObject, "video_status", video_id, options))


async def avideo_status(video_id: str, **options: Any) -> VideoObject:
    """As ``video_status``, awaited."""
    return await _LOOP.hop(_asked(VideoObject, "video_status", video_id, options))


def video_content(video_id: str, variant: str | None = None, **options: Any) -> bytes:
    """The finished film; ``variant``: ``thumbnail`` (webp) or ``spritesheet`` (jpeg)."""
    return _LOOP.run(_asked(bytes, "video_content", video_id, variant, options))


async def avideo_content(video_id: str, variant: str | None = None, **options: Any) -> bytes:
    """As ``video_content``, awaited."""
    return await _LOOP.hop(_asked(bytes, "video_content", video_id, variant, options))


def video_list(
    after: str | None = None, limit: int | None = None, order: str | None = None, **options: Any
) -> list[VideoObject]:
    """The films of the data folder as they were last seen, the newest first (``order="asc"``: the oldest).

    At most ``limit`` (20; up to 100), from behind the film ``after``; of one vendor with ``custom_llm_provider``.
    """
    page = (after, 20 if limit is None else limit, order or "desc")
    return _LOOP.run(_asked(list, "video_list", *page, options))


async def avideo_list(
    after: str | None = None, limit: int | None = None, order: str | None = None, **options: Any
) -> list[VideoObject]:
    """As ``video_list``, awaited."""
    page = (after, 20 if limit is None else limit, order or "desc")
    return await _LOOP.hop(_asked(list, "video_list", *page, options))


def video_remix(video_id: str, prompt: str, **options: Any) -> VideoObject:
    """Begin a finished film again with another prompt, by the model that made it, where that one can."""
    return _LOOP.run(_asked(VideoObject, "video_remix", video_id, prompt, options))


async def avideo_remix(video_id: str, prompt: str, **options: Any) -> VideoObject:
    """As ``video_remix``, awaited."""
    return await _LOOP.hop(_asked(VideoObject, "video_remix", video_id, prompt, options))


def video_delete(video_id: str, **options: Any) -> VideoDeleted:
    """Forget a film; one that is still made is cancelled at its vendor first."""
    return _LOOP.run(_asked(VideoDeleted, "video_delete", video_id, options))


async def avideo_delete(video_id: str, **options: Any) -> VideoDeleted:
    """As ``video_delete``, awaited."""
    return await _LOOP.hop(_asked(VideoDeleted, "video_delete", video_id, options))


def transcription(model: str, file: Any, **options: Any) -> TranscriptionResponse:
    """Write down what is said in a file: a path, an open file, its bytes, or ``(name, bytes)``."""
    return _LOOP.run(_asked(TranscriptionResponse, "transcription", model, file, options))


async def atranscription(model: str, file: Any, **options: Any) -> TranscriptionResponse:
    """As ``transcription``, awaited."""
    return await _LOOP.hop(_asked(TranscriptionResponse, "transcription", model, file, options))


def completion_cost(
    completion_response: Answer | SpeechResponse | None = None,
    model: str | None = None,
    prompt: str = "",
    **options: Any,
) -> float:
    """What a call has cost, in US dollars; of a film that is not finished, what it will.

    Without an answer: what a call of ``model`` would cost, with nobody asked. ``prompt`` is the text to speak, and
    ``call_type`` says what is made where the model makes several things; ``n``, ``size``, ``quality``, ``seconds``
    and prices as with the call itself. Raises ``BadRequestError`` where that is not known.
    """
    if completion_response is None and model is not None:
        return _LOOP.run(_asked(float, "cost", model, prompt, options))
    if not isinstance(completion_response, Answer | SpeechResponse):
        raise BadRequestError(
            "completion_response must be what a function of gateway.sdk has returned; or leave it out and give a "
            "model.",
            param="completion_response",
        )
    # LiteLLM is told these again; the answer knows them.
    known = ("call_type", "custom_llm_provider")
    if given := [name for name, value in options.items() if value is not None and name not in known]:
        raise BadRequestError(f"'{given[0]}' is not known here: the answer knows its own cost.", param=given[0])
    cost = completion_response._hidden_params.get("response_cost")
    if cost is None:
        raise BadRequestError(_UNREAD if _unread(completion_response) else _UNPRICED)
    return float(cost)


_UNREAD = "What a stream costs is known when it has been read to its end."
_UNPRICED = (
    "The cost of this call is not known. Where nobody knows the price of a model, give one with the call, such as "
    "input_cost_per_character, output_cost_per_image or output_cost_per_video_per_second."
)


def _unread(answer: Answer | SpeechResponse) -> bool:
    return isinstance(answer, SpeechStream) and not answer.is_closed
