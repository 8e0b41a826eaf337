"""What the functions return: objects with the attributes that LiteLLM's have."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass
class Answer:
    """Its fields can be read as attributes and as keys.

    ``_hidden_params``: ``response_cost`` in US dollars (``None``: unknown), ``cost_certainty``, ``model_id`` (the
    deployment), ``custom_llm_provider``, ``litellm_call_id``, and as ``additional_headers`` what the server's headers
    would say: who served, in whose place, what was left out.
    """

    _hidden_params: dict[str, Any] = field(default_factory=dict, repr=False, compare=False, kw_only=True)

    def __getitem__(self, name: str) -> Any:
        return self.model_dump()[name]

    def __contains__(self, name: object) -> bool:
        return name in self.model_dump()

    def get(self, name: str, default: Any = None) -> Any:
        """A field, or ``default`` where there is none."""
        return self.model_dump().get(name, default)

    def model_dump(self) -> dict[str, Any]:
        """The fields as plain data."""
        return {name: value for name, value in asdict(self).items() if not name.startswith("_")}

    def json(self) -> dict[str, Any]:
        """As ``model_dump``; the name is LiteLLM's."""
        return self.model_dump()

    def model_dump_json(self) -> str:
        """The fields as JSON."""
        return json.dumps(self.model_dump(), ensure_ascii=False)


@dataclass
class ImageObject(Answer):
    """One picture. ``url`` is an address of this machine (``file://``), unless ``b64_json`` was asked for."""

    url: str | None = None
    b64_json: str | None = None
    revised_prompt: str | None = None


@dataclass
class ImageResponse(Answer):
    """Pictures. ``created`` is since the epoch."""

    created: int
    data: list[ImageObject]
    output_format: str | None = None
    size: str | None = None

    def model_dump(self) -> dict[str, Any]:
        """The fields as plain data."""
        return {**super().model_dump(), "data": [each.model_dump() for each in self.data]}


@dataclass
class VideoObject(Answer):
    """A film, finished or not: OpenAI's object. ``status`` is queued, in_progress, completed or failed.

    Times are since the epoch; ``progress`` is a percentage; ``error`` has ``code`` and ``message``.
    """

    id: str
    status: str
    created_at: int
    object: str = "video"
    model: str | None = None
    progress: int | None = None
    completed_at: int | None = None
    expires_at: int | None = None
    prompt: str | None = None
    size: str | None = None
    seconds: str | None = None
    remixed_from_video_id: str | None = None
    error: dict[str, str] | None = None
    usage: dict[str, float] | None = None


@dataclass
class VideoDeleted(Answer):
    """A film that is forgotten."""

    id: str
    object: str = "video.deleted"
    deleted: bool = True


@dataclass
class TranscriptionResponse(Answer):
    """What was said. ``text`` is the whole answer where a format other than JSON was asked for."""

    text: str
    more: dict[str, Any] = field(default_factory=dict)
    """The other fields of ``verbose_json``: words, segments, language, duration."""

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("_") and name != "more" and name in self.more:
            return self.more[name]
        raise AttributeError(name)

    def model_dump(self) -> dict[str, Any]:
        """The fields as plain data."""
        return {"text": self.text, **self.more}
