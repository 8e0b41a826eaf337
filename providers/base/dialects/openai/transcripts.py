"""``POST /audio/transcriptions`` and ``/audio/translations``: the form is passed on, and the answer as it comes."""

from __future__ import annotations

from providers.base.contract import Transcript, TranscriptionRequest
from providers.base.dialects.openai.host import Host
from providers.base.errors import Refused
from providers.base.exchange import MIB, Deadlines, Part

DEADLINES = Deadlines(first_byte=600.0, idle=120.0, total=900.0)
ANSWER_CAP = 64 * MIB


def check_size(request: TranscriptionRequest, most: float | None) -> None:
    """``most`` is ``max_file_size_mb``. Raises ``Refused`` naming both sizes."""
    size = len(request.file) / MIB
    if most is not None and size > most:
        raise Refused(f"The file has {size:.7g} MB, and this model takes {most:g} MB (max_file_size_mb).", param="file")


async def write(host: Host, model: str, request: TranscriptionRequest) -> Transcript:
    """The text, once its first bytes are there."""
    path = "/audio/translations" if request.translate else "/audio/transcriptions"
    fields = [Part("model", model), *(Part(name, value) for name, value in request.fields)]
    file = Part("file", request.file, request.filename, request.media_type or "application/octet-stream")
    answer = await host.stream(host.exchange("POST", path, form=(*fields, file), deadlines=DEADLINES), ANSWER_CAP)
    return Transcript(answer.headers.get("content-type", "application/json"), answer)
