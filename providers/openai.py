"""OpenAI (https://platform.openai.com/docs/api-reference), and any server that speaks its API (``api_base``)."""

from __future__ import annotations

import os
from urllib.parse import urlsplit

from pydantic import Field, SecretStr

from engines.media import AudioFormat
from providers.base.contract import Provider, Readiness
from providers.base.dialects.openai import films
from providers.base.dialects.openai.host import Host
from providers.base.dialects.openai.models import (
    FAMILIES,
    Draws,
    Everything,
    Films,
    Model,
    ModelSettings,
    Speaks,
    Writes,
    listed,
)
from providers.base.price import Price
from providers.base.vendor import Facts, Resources, Vendor
from providers.base.wire import Wire

API = "https://api.openai.com/v1"
BASE_VARIABLES = ("OPENAI_BASE_URL", "OPENAI_API_BASE")
KEY_VARIABLE = "OPENAI_API_KEY"


class OpenAISettings(ModelSettings):
    """``api_base`` with its ``/v1``. ``$OPENAI_API_KEY`` is sent to OpenAI, and where ``$OPENAI_BASE_URL`` leads."""

    api_key: SecretStr | None = None
    api_base: str | None = Field(None, pattern=r"^https?://[^\s?#]+$")
    organization: str | None = Field(None, pattern=r"^[\x21-\x7e]+$")


def host_of(settings: OpenAISettings, wire: Wire) -> Host:
    """Where a deployment's calls go, and with what."""
    variable = next((os.environ[name] for name in BASE_VARIABLES if os.environ.get(name)), None)
    base = (settings.api_base or variable or API).rstrip("/")
    place = urlsplit(base)
    own = place.hostname == "api.openai.com" or (place.hostname or "").endswith(".api.openai.com")
    key = settings.api_key.get_secret_value() if settings.api_key else ""
    if not key and (own or settings.api_base is None):
        key = os.environ.get(KEY_VARIABLE, "")
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    if settings.organization:
        headers["OpenAI-Organization"] = settings.organization
    return Host(
        "OpenAI" if own else "The provider",
        lambda path: base + path,
        wire,
        headers,
        strict=own,
        trusted=frozenset() if own else frozenset({place.netloc}),
        lacks=f"no API key: set {KEY_VARIABLE} or api_key in the config." if own and not key else "",
    )


_SPEECH = ("gpt-4o-mini-tts", "gpt-4o-mini-tts-2025-12-15", "tts-1", "tts-1-hd")
_IMAGES = (
    "chatgpt-image-latest", "gpt-image-1-mini", "gpt-image-1.5", "gpt-image-2", "gpt-image-2-2026-04-21",
    "gpt-image-2.5-flare", "gpt-image-2.5-sunburst", "gpt-image-2.6-flare", "gpt-image-2.6-sunburst",
)  # fmt: skip
_VIDEOS = ("sora-2", "sora-2-pro")
_TRANSCRIPTS = ("gpt-4o-mini-transcribe", "gpt-4o-transcribe", "gpt-transcribe", "whisper-1")
_SOURCE, _AS_OF = "https://platform.openai.com/docs/pricing", "2026-11-20"


def _tokens(given: float, made: float) -> Price:
    """By USD for a million; a hint, since tokens of pictures and of texts that come in have prices of their own."""
    millionth = 1e-6
    return Price(
        per_input_token=given * millionth, per_output_token=made * millionth, source=_SOURCE, as_of=_AS_OF, exact=False
    )


def _second(usd: float) -> Price:
    return Price(per_video_second=usd, seconds=4, size="720x1280", source=_SOURCE, as_of=_AS_OF, exact=False)


_PRICES = {
    "tts-1": Price(per_character=15e-6, source=_SOURCE, as_of=_AS_OF),
    "tts-1-hd": Price(per_character=30e-6, source=_SOURCE, as_of=_AS_OF),
    "gpt-4o-mini-tts": _tokens(0.60, 12),
    "gpt-4o-mini-tts-2025-12-15": _tokens(0.60, 12),
    **{
        name: _tokens(5, 30)
        for name in _IMAGES
        if name.startswith(("gpt-image-2-", "gpt-image-2.5-")) or name == "gpt-image-2"
    },
    "sora-2": _second(0.10),
    "sora-2-pro": _second(0.30),
}


class _Listed(Model):
    async def probe(self) -> Readiness:
        """Whether it stands in the list of models; costs nothing."""
        return await listed(self.model, self.host)


class _Speaks(_Listed, Speaks): ...


class _Draws(_Listed, Draws): ...


class _Films(_Listed, Films): ...


class _Writes(_Listed, Writes): ...


class _Everything(_Listed, Everything): ...


_KINDS = (
    ("audio_speech", _Speaks, _SPEECH),
    ("image_generation", _Draws, _IMAGES),
    ("video_generation", _Films, _VIDEOS),
    ("audio_transcription", _Writes, _TRANSCRIPTS),
)
_CLASSES = {name: kind for _, kind, names in _KINDS for name in names}


async def _open(model: str, settings: OpenAISettings, resources: Resources) -> Provider:
    host = host_of(settings, resources.shared(Wire, Wire))
    return _CLASSES.get(model, _Everything)(model, settings, host)


VENDOR = Vendor(
    name="openai",
    models={
        **{
            name: Facts(
                mode,
                OpenAISettings,
                "OpenAI announced its end for 2026-09-24" if names is _VIDEOS else "",
                _PRICES.get(name),
                formats=tuple(AudioFormat) if names is _SPEECH else (),
                streams=True if names is _SPEECH else None,
                limits=f"{', '.join(map(str, films.SECONDS))} s" if names is _VIDEOS else "",
            )
            for mode, _, names in _KINDS
            for name in names
        },
        **{
            name: Facts(mode, OpenAISettings, "any other model whose name begins so") for name, mode in FAMILIES.items()
        },
        "*": Facts(
            "audio_speech",
            OpenAISettings,
            "any other model, and those of servers that speak OpenAI's API: whatever callers ask of it",
            formats=tuple(AudioFormat),
        ),
    },
    open=_open,
    env={"api_key": (KEY_VARIABLE,), "api_base": BASE_VARIABLES},
    docs="https://platform.openai.com/docs/api-reference",
    bare=True,
)
