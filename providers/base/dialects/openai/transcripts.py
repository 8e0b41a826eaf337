"""``POST /audio/transcriptions`` and ``/audio/translations``: the form is passed on, and the answer as it comes."""

from __future__ import annotations

from providers.base.contract import Transcript, TranscriptionRequest
from providers.base.dialects.openai.host import Host
from providers.base.errors import BadAnswer, Refused
from providers.base.exchange import MIB, Deadlines, Part

DEADLINES = Deadlines(first_byte=600.0, idle=120.0, total=900.0)
ANSWER_CAP = 64 * MIB


def check_size(request: TranscriptionRequest, most: float | None) -> None:
    """``most`` is ``max_file_size_mb``. Raises ``Refused`` naming both sizes."""
    size = len(request.file) / MIB
    if most is not None and size > most:
        words = f"The file has {_shown(size)} MB, and this model takes {_shown(most)} MB (max_file_size_mb)."
        raise Refused(words, param="file")


def _shown(size: float) -> str:
    return f"{size:.9f}".rstrip("0").rstrip(".")


async def write(host: Host, model: str, request: TranscriptionRequest) -> Transcript:
    """The text, once its first bytes are there."""
    path = "/audio/translations" if request.translate else "/audio/transcriptions"
    fields = [Part("model", model), *([Part("prompt", request.prompt)] if request.prompt else [])]
    fields += [*(Part(name, value) for name, value in request.fields)]
    file = Part("file", request.file, request.filename, request.media_type or "application/octet-stream")
    answer = await host.stream(host.exchange("POST", path, form=(*fields, file), deadlines=DEADLINES), ANSWER_CAP)
    if answer.content_type in ("", "text/html"):
        await answer.aclose()
        raise BadAnswer(f"{host.name} answered with something that is no transcript.", sent="yes")
    return Transcript(answer.headers["content-type"], answer)
