"""AWS Polly: speech, streamed, signed with SigV4 (https://docs.aws.amazon.com/polly/latest/dg/API_SynthesizeSpeech.html).

The model is the engine. botocore finds the credentials and signs; it comes with ``media-gateway[aws]``.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any
from xml.sax.saxutils import escape

from pydantic import Field, SecretStr, model_validator

from engines.media import AudioFormat, AudioSpec
from providers.base import errors
from providers.base.contract import Audio, Provider, Readiness, SpeechRequest, Usage, Voice
from providers.base.dialects import options
from providers.base.dialects.audio_body import AudioBody
from providers.base.exchange import Exchange, Reply
from providers.base.price import Price
from providers.base.refusals import clean, refusal
from providers.base.settings import VendorSettings
from providers.base.vendor import Facts, Resources, Vendor
from providers.base.wire import Wire

ENGINES = {"standard": 4e-6, "neural": 16e-6, "long-form": 1e-4, "generative": 3e-5}
"""USD a character."""
REGION_VARIABLES = ("AWS_REGION_NAME", "AWS_REGION", "AWS_DEFAULT_REGION")
LONGEST = 3_000
"""Characters that are charged for; tags are not."""
SLOWEST, FASTEST = 0.2, 2.0

# LiteLLM's choice for six of them, where the engine has that voice; else one of like pitch and manner.
_BOTH = {
    "alloy": "Joanna", "ash": "Joey", "ballad": "Brian", "cedar": "Matthew", "coral": "Salli", "echo": "Matthew",
    "fable": "Amy", "marin": "Emma", "nova": "Ivy", "onyx": "Brian", "sage": "Kimberly", "shimmer": "Kendra",
    "verse": "Justin",
}  # fmt: skip
_MEN = ("ash", "ballad", "cedar", "echo", "onyx", "verse")
VOICES: Mapping[str, Mapping[str, str]] = {
    "standard": _BOTH,
    "neural": _BOTH,
    "long-form": {name: "Gregory" if name in _MEN else "Danielle" for name in _BOTH}
    | {"marin": "Ruth", "sage": "Ruth", "shimmer": "Ruth"},
    "generative": _BOTH
    | {"ash": "Stephen", "marin": "Ruth", "nova": "Danielle", "sage": "Olivia", "shimmer": "Ruth", "verse": "Stephen"},
}
"""OpenAI's names, by engine."""

_NAME = "AWS Polly"
_HINT = 'botocore is not installed: pip install "media-gateway[aws]".'
_VOICE = re.compile(r"[A-Za-z]{2,40}", re.ASCII)
_NO_XML = re.compile(r"[^\t\n\r\u0020-\uD7FF\uE000-\uFFFD\U00010000-\U0010FFFF]")
_FORMATS: Mapping[AudioFormat, tuple[str, int]] = {
    AudioFormat.MP3: ("mp3", 24_000),
    AudioFormat.OPUS: ("ogg_opus", 48_000),
    AudioFormat.AAC: ("mp3", 24_000),
    AudioFormat.FLAC: ("pcm", 16_000),
    AudioFormat.WAV: ("pcm", 16_000),
    AudioFormat.PCM: ("pcm", 16_000),
}
_SPECS = {"mp3": AudioFormat.MP3, "ogg_opus": AudioFormat.OPUS, "pcm": AudioFormat.PCM}
_RATES = {"mp3": (8000, 16000, 22050, 24000, 44100, 48000), "ogg_opus": (48000,), "pcm": (8000, 16000)}
_OPTIONS: Mapping[str, options.Check] = {
    "language_code": options.text,
    "lexicon_names": options.items(5),
    "sample_rate": options.one_of(*(rate for each in (int, str) for rate in map(each, _RATES["mp3"]))),
}
_CODES: Mapping[str, tuple[type[errors.ProviderError], str | None]] = {
    "TextLengthExceededException": (errors.Refused, "input"),
    "InvalidSsmlException": (errors.Refused, "input"),
    "InvalidSampleRateException": (errors.Refused, "sample_rate"),
    "LanguageNotSupportedException": (errors.Refused, "language_code"),
    "EngineNotSupportedException": (errors.Refused, "voice"),
    "LexiconNotFoundException": (errors.Refused, "lexicon_names"),
    "ThrottlingException": (errors.RateLimited, None),
}
_PARAMS = {"voiceId": "voice", "text": "input", "languageCode": "language_code", "lexiconNames": "lexicon_names"}


class PollySettings(VendorSettings):
    """Without keys botocore looks where AWS' tools do: environment, files, the machine's role.

    ``api_base`` is another address of the service, such as a VPC endpoint; ``voices`` are names for voices.
    """

    aws_access_key_id: SecretStr | None = None
    aws_secret_access_key: SecretStr | None = None
    aws_session_token: SecretStr | None = None
    aws_region_name: str | None = Field(None, pattern=r"^[a-z0-9-]{4,40}$")
    aws_profile_name: str | None = None
    api_base: str | None = Field(None, pattern=r"^https?://[^\s/]+/?$")
    voices: Mapping[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _keys_come_together(self) -> PollySettings:
        if (self.aws_access_key_id is None) != (self.aws_secret_access_key is None):
            raise ValueError("aws_access_key_id and aws_secret_access_key come together")
        return self


@dataclass(frozen=True, slots=True)
class Asked:
    """A request in Polly's words, and what will come: ``tempo`` is the part of the speed it does not do."""

    body: Mapping[str, object]
    spec: AudioSpec
    tempo: float


def asked(engine: str, request: SpeechRequest, voices: Mapping[str, str]) -> Asked:
    """``request`` in Polly's words. Raises ``Refused`` or ``Unsupported``, naming the field."""
    if request.instructions is not None:
        raise errors.Unsupported(f"{_NAME} cannot follow instructions; leave them out", param="instructions")
    if "voice" in request.extra:
        raise errors.Refused(f'{_NAME} takes a voice like {{"id": "Joanna"}}', param="voice")
    extra = options.checked(engine, request.extra, _OPTIONS)
    is_ssml = request.text.lstrip().startswith(("<speak>", "<speak "))
    if not is_ssml and len(request.text) > LONGEST:
        raise errors.Refused(f"{_NAME} takes {LONGEST:,} characters, not {len(request.text):,}", param="input")
    # What a generative voice does with a rate is not said; a document of the caller's has rates of its own.
    paced = 1.0 if is_ssml or engine == "generative" else min(max(request.speed, SLOWEST), FASTEST)
    codec, rate = _FORMATS[request.format]
    if "sample_rate" in extra:
        rate = int(extra["sample_rate"])
        if rate not in _RATES[codec]:
            rates = ", ".join(map(str, _RATES[codec]))
            raise errors.Refused(f"{codec} of {_NAME} has a sample_rate of {rates}", param="sample_rate")
    body: dict[str, object] = {
        "Engine": engine,
        "OutputFormat": codec,
        "SampleRate": str(rate),
        "Text": request.text if paced == 1.0 else _ssml(request.text, paced),
        "TextType": "ssml" if is_ssml or paced != 1.0 else "text",
        "VoiceId": _voice(engine, request.voice, voices),
    }
    for ours, theirs in (("language_code", "LanguageCode"), ("lexicon_names", "LexiconNames")):
        if ours in extra:
            body[theirs] = extra[ours]
    return Asked(body, AudioSpec(_SPECS[codec], rate), request.speed / paced)


def _ssml(text: str, speed: float) -> str:
    if (found := _NO_XML.search(text)) is not None:
        raise errors.Refused(f"the text has a character that cannot be spoken: {found[0]!r}", param="input")
    return f'<speak><prosody rate="{speed * 100:.0f}%">{escape(text)}</prosody></speak>'


def _voice(engine: str, voice: str, voices: Mapping[str, str]) -> str:
    named = {**VOICES.get(engine, _BOTH), **{name.lower(): target for name, target in voices.items()}}
    found = named.get(voice.lower(), voice)
    if not _VOICE.fullmatch(found):
        raise errors.Refused(f"unknown voice {voice!r}; {options.hint(voice.lower(), named)}", param="voice")
    return found


class Signer:
    """Finds the credentials, and signs. Both may read files or ask the machine's role, so they run on a thread."""

    def __init__(self, settings: PollySettings, region: str) -> None:
        self._settings = settings
        self._region = region
        self._credentials: Any = None

    def _found(self) -> Any:
        from botocore.credentials import Credentials
        from botocore.session import Session

        given = self._settings
        if given.aws_access_key_id is None or given.aws_secret_access_key is None:
            return Session(profile=given.aws_profile_name).get_credentials()
        token = given.aws_session_token
        key, secret = given.aws_access_key_id.get_secret_value(), given.aws_secret_access_key.get_secret_value()
        return Credentials(key, secret, token.get_secret_value() if token else None)

    def signed(self, url: str, body: bytes) -> dict[str, str]:
        """The headers of a POST. Raises ``Unavailable`` where there are no credentials."""
        if find_spec("botocore") is None:
            raise errors.Unavailable(f"{_NAME}: {_HINT}", reason="missing_package")
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest
        from botocore.exceptions import BotoCoreError

        try:
            self._credentials = self._credentials or self._found()
            if self._credentials is None:
                raise errors.Unavailable(f"There are no credentials for {_NAME} in this gateway.", reason="no_key")
            request = AWSRequest("POST", url, headers={"Content-Type": "application/json"}, data=body)
            SigV4Auth(self._credentials.get_frozen_credentials(), "polly", self._region).add_auth(request)
        except BotoCoreError as fault:
            why = f"The credentials for {_NAME} could not be had ({type(fault).__name__})."
            raise errors.Unavailable(why, reason="no_key") from None
        return dict(request.headers.items())


class Polly:
    """One engine as a ``SpeechProvider``."""

    def __init__(self, engine: str, settings: PollySettings, wire: Wire) -> None:
        self._engine = engine
        self._voices = settings.voices
        self._wire = wire
        given = next((os.environ[name] for name in REGION_VARIABLES if os.environ.get(name)), "us-east-1")
        region = settings.aws_region_name or given
        base = settings.api_base or f"https://polly.{region}.amazonaws.com"
        self._url = f"{base.rstrip('/')}/v1/speech"
        self._signer = Signer(settings, region)

    def readiness(self) -> Readiness:
        """Whether it can sign. Nobody is asked whether the keys are good ones."""
        return Readiness("ready") if find_spec("botocore") is not None else Readiness("unavailable", _HINT)

    def warm(self) -> None:
        """Nothing to load."""

    def voices(self) -> Sequence[Voice]:
        """The voices that have a name here; then OpenAI's and the config's names. Others are asked for by their id."""
        named = VOICES.get(self._engine, _BOTH)
        own = {voice: voice for voice in named.values()}
        return [Voice(name, shown, "en") for name, shown in {**own, **named, **self._voices}.items()]

    async def speech(self, request: SpeechRequest) -> Audio:
        """Start speaking; returns when the head of the answer is there."""
        made = asked(self._engine, request, self._voices)
        body = json.dumps(made.body).encode()
        headers = await asyncio.to_thread(self._signer.signed, self._url, body)
        answer = await self._wire.stream(Exchange(_NAME, "POST", self._url, headers, data=body))
        if answer.status != 200:
            raise _refused(await answer.reply())
        if not answer.content_type.startswith("audio/"):
            await answer.aclose()
            raise errors.BadAnswer(f"{_NAME} answered with something that is no sound.", sent="yes")
        billed = answer.headers.get("x-amzn-requestcharacters", "")
        usage = Usage(characters=int(billed) if re.fullmatch(r"[0-9]{1,9}", billed) else len(request.text))
        return Audio(made.spec, AudioBody(_NAME, answer, (made.spec, usage), tempo=made.tempo), usage, made.tempo)


def _refused(reply: Reply) -> errors.ProviderError:
    try:
        found = reply.json()
    except errors.BadAnswer:
        found = {}
    found = found if isinstance(found, dict) else {}
    said = str(found.get("message") or found.get("Message") or "")
    name = reply.headers.get("x-amzn-errortype", "").partition(":")[0]
    told = refusal(_NAME, reply.status, reply.headers, said)
    if name in _CODES:
        kind, param = _CODES[name]
        return kind(f"{_NAME}: {clean(said) or name}", sent="yes", param=param, retry_after=told.retry_after)
    if isinstance(told, errors.Refused):
        told.param = next((ours for theirs, ours in _PARAMS.items() if f"'{theirs}'" in said), None)
    return told


async def _open(model: str, settings: PollySettings, resources: Resources) -> Provider:
    return Polly(model, settings, resources.shared(Wire, Wire))


VENDOR = Vendor(
    name="aws_polly",
    models={
        name: Facts(
            "audio_speech",
            PollySettings,
            price=Price(per_character=usd, source="AWS' price list", as_of="2026-11-20", exact=False),
            formats=(AudioFormat.MP3, AudioFormat.OPUS),
            streams=True,
            limits=f"{LONGEST:,} characters",
        )
        for name, usd in ENGINES.items()
    },
    open=_open,
    env={
        "aws_access_key_id": ("AWS_ACCESS_KEY_ID",),
        "aws_secret_access_key": ("AWS_SECRET_ACCESS_KEY",),
        "aws_session_token": ("AWS_SESSION_TOKEN",),
        "aws_profile_name": ("AWS_PROFILE",),
        "aws_region_name": REGION_VARIABLES,
    },
    docs="https://docs.aws.amazon.com/polly/latest/dg/API_SynthesizeSpeech.html",
)
