"""What the sandbox can be asked for: each request checked, put into a task's id, and made from it."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from engines.codec import wav_header
from engines.errors import CodecError
from engines.media import SAMPLE_RATE
from engines.pictures import PictureFormat, shrink, sniff_picture
from engines.synthetic import labelled_picture, labelled_video, voice_like
from providers.base.contract import (
    Done,
    ImageRequest,
    Made,
    Reference,
    SpeechRequest,
    TaskRequest,
    Usage,
    VideoRequest,
)
from providers.base.errors import ProviderError, Refused, Unsupported

LONGEST_PROMPT = 32_000
LONGEST_INPUT = 4096
REFERENCE_SIDE = 256
"""Pixels of the longer side of a reference, as it is kept in a task's id."""

# What stands beside the prompt in OpenAI's reference and changes nothing that a test picture could show otherwise: it
# is written on it. `user` tells OpenAI who asked and moves no pixel there either.
_OPTIONS: Mapping[str, Mapping[str, type | tuple[str, ...]]] = {
    "image": {
        "background": ("auto", "opaque", "transparent"),
        "input_fidelity": ("high", "low"),
        "moderation": ("auto", "low"),
        "quality": ("auto", "low", "medium", "high", "standard", "hd"),
        "style": ("vivid", "natural"),
        "seed": int,
        "user": str,
    },
    "video": {"seed": int, "user": str},
    "speech": {},
}
_SILENT = ("seed", "user")
_SEED = re.compile(r"seed (-?[0-9]+)$")
_SIZE = re.compile(r"([0-9]{1,4})x([0-9]{1,4})")


class Task(BaseModel):
    """What an id says; bounded, so that a damaged one cannot ask for the impossible."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    kind: str
    variant: str
    nonce: int
    begun: Annotated[float, Field(allow_inf_nan=False)]
    takes: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    text: Annotated[str, Field(max_length=LONGEST_PROMPT)]
    note: Annotated[str, Field(max_length=400)] = ""
    width: Annotated[int, Field(ge=16, le=4096)] = 1024
    height: Annotated[int, Field(ge=16, le=4096)] = 1024
    format: PictureFormat = "png"
    seconds: Annotated[int, Field(ge=1, le=60)] = 4
    speed: Annotated[float, Field(ge=0.25, le=4)] = 1.0
    picture: Annotated[str, Field(max_length=200_000)] = ""

    def encoded(self) -> str:
        """The id."""
        return base64.urlsafe_b64encode(self.model_dump_json(exclude_defaults=True).encode()).decode().rstrip("=")

    @classmethod
    def decoded(cls, task: str) -> Self:
        """Raises ``ProviderError`` for what is no id of ours."""
        try:
            return cls.model_validate_json(base64.b64decode(task + "=" * (-len(task) % 4), b"-_", validate=True))
        except (ValidationError, ValueError) as error:
            raise ProviderError("the sandbox has no such task", sent="yes") from error


def _text(text: str, param: str, longest: int) -> str:
    if not text.strip():
        raise Refused(f"{param} is empty", param=param)
    if len(text) > longest:
        raise Refused(f"{param} has {len(text)} characters; at most {longest} are taken", param=param)
    return text.encode("utf-8", "replace").decode()  # half a surrogate pair cannot be stored


def _sides(size: str, *, even: bool, most: int) -> dict[str, Any]:
    match = _SIZE.fullmatch(size)
    width, height = (int(each) for each in match.groups()) if match else (0, 0)
    if not (16 <= width <= most and 16 <= height <= most) or (even and (width % 2 or height % 2)):
        what = "even numbers" if even else "numbers"
        raise Refused(f"size must be WIDTHxHEIGHT, {what} from 16 to {most}, got {size[:40]!r}", param="size")
    return {"width": width, "height": height}


def _note(kind: str, request: TaskRequest, references: int, seed: int) -> str:
    """What is written in the corner: each option that was given, the references, the seed."""
    known = _OPTIONS[kind]
    for option, value in request.extra.items():
        if option not in known:
            raise Unsupported(f"sandbox/{kind} knows no option {option!r}; leave it out", param=option)
        allowed = known[option]
        if isinstance(allowed, tuple):
            if value not in allowed:
                raise Refused(f"{option} must be one of {', '.join(allowed)}", param=option)
        elif not isinstance(value, allowed) or isinstance(value, bool):
            raise Refused(f"{option} must be {'a number' if allowed is int else 'a string'}", param=option)
    notes = [f"{option} {value}" for option, value in request.extra.items() if option not in _SILENT]
    if references:
        notes.append(f"with {references} reference{'s' if references > 1 else ''}")
    return ", ".join((*notes, f"seed {request.extra.get('seed', seed)}"))[:400]


def _plan_image(request: ImageRequest, seed: int) -> dict[str, Any]:
    size = "1024x1024" if request.size in (None, "auto") else request.size or ""
    if request.output_format not in (None, *get_args(PictureFormat)):
        raise Refused(f"output_format must be one of {', '.join(get_args(PictureFormat))}", param="output_format")
    return {
        "text": _text(request.prompt, "prompt", LONGEST_PROMPT),
        "note": _note("image", request, len(request.references), seed),
        "format": request.output_format or "png",
        **_sides(size, even=False, most=4096),
    }


def _plan_video(request: VideoRequest, seed: int) -> dict[str, Any]:
    seconds = 4 if request.seconds is None else request.seconds
    if not 1 <= seconds <= 60:
        raise Refused(f"seconds must be from 1 to 60, got {seconds}", param="seconds")
    return {
        "text": _text(request.prompt, "prompt", LONGEST_PROMPT),
        "note": _note("video", request, int(request.reference is not None), seed),
        "seconds": seconds,
        **_sides("1280x720" if request.size is None else request.size, even=True, most=1920),
    }


def _plan_speech(request: SpeechRequest, seed: int) -> dict[str, Any]:
    _note("speech", request, 0, seed)
    if not 0.25 <= request.speed <= 4:
        raise Refused(f"speed must be from 0.25 to 4, got {request.speed}", param="speed")
    manner = f"{request.voice}\n{request.instructions}".encode("utf-8", "replace")
    return {
        "text": _text(request.text, "input", LONGEST_INPUT),
        "note": hashlib.sha256(manner).hexdigest(),  # both move the pitch
        "speed": float(request.speed),
    }


def picture_of(request: TaskRequest) -> str:
    """The first picture that came with a request, small, in base64; empty where there is none. Blocks: use a thread.

    Its parts under a mask's transparent ones are transparent. An address is not fetched. Raises ``Refused``.
    """
    if isinstance(request, ImageRequest):
        given, param = request.references, "image"
    else:
        reference = request.reference if isinstance(request, VideoRequest) else None
        given, param = (() if reference is None else (reference,)), "input_reference"
    first = next((each.data for each in given if sniff_picture(each.data or b"")), None)
    if first is None:
        return ""
    mask = request.mask.data if isinstance(request, ImageRequest) and request.mask is not None else None
    try:
        return base64.b64encode(shrink(first, REFERENCE_SIDE, mask)).decode()
    except CodecError as error:
        raise Refused(str(error), param=param) from error


def remixed(task: Task, prompt: str) -> VideoRequest:
    """The request that makes a film again with another prompt: its size, length, seed and picture stay."""
    seed = _SEED.search(task.note)
    return VideoRequest(
        prompt,
        task.seconds,
        f"{task.width}x{task.height}",
        Reference(data=base64.b64decode(task.picture), media_type="image/webp") if task.picture else None,
        {} if seed is None else {"seed": int(seed[1])},
    )


def _make_image(task: Task) -> Done:
    picture = base64.b64decode(task.picture)
    data = labelled_picture(task.text, task.width, task.height, task.format, note=task.note, picture=picture)
    return Done((Made(data, f"image/{task.format}"),))


def _make_video(task: Task) -> Done:
    picture = base64.b64decode(task.picture)
    data = labelled_video(task.text, task.width, task.height, task.seconds, note=task.note, picture=picture)
    return Done((Made(data, "video/mp4"),))


def _make_speech(task: Task) -> Done:
    pcm = voice_like(task.text, task.speed, manner=task.note)
    usage = Usage(characters=len(task.text), audio_seconds=len(pcm) / (2 * SAMPLE_RATE))
    return Done((Made(wav_header(size=len(pcm)) + pcm, "audio/wav"),), usage)


@dataclass(frozen=True, slots=True)
class Kind:
    """One medium: the request it takes, how long it takes, how a request is planned (and refused) and then made."""

    mode: str
    summary: str
    seconds: float
    request: type
    plan: Callable[[Any, int], dict[str, Any]]
    make: Callable[[Task], Done]


KINDS: Mapping[str, Kind] = {
    "image": Kind("image_generation", "a picture of its prompt", 2, ImageRequest, _plan_image, _make_image),
    "video": Kind("video_generation", "a clip of its prompt", 5, VideoRequest, _plan_video, _make_video),
    "speech": Kind("audio_speech", "a chord as long as its text", 1, SpeechRequest, _plan_speech, _make_speech),
}
