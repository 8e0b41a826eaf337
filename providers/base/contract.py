"""What the gateway asks of a provider, and what it gets back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal, Protocol, TypeGuard, runtime_checkable

from engines.media import AudioFormat, AudioSpec, ByteStream
from engines.speech import Voice as Voice
from providers.base.errors import ProviderError
from providers.base.spool import Spool

SPEECH_FIELDS = ("model", "input", "voice", "instructions", "response_format", "speed", "stream_format")
"""The fields of OpenAI's ``/v1/audio/speech``."""


@dataclass(frozen=True, slots=True)
class SpeechRequest:
    """One ``/v1/audio/speech`` call, in OpenAI's words.

    ``voice`` is the caller's spelling, or the ``id`` of a voice object. ``format`` is what the caller wishes to hear in
    the end: a hint, since the gateway converts. ``extra`` holds every field that OpenAI's reference does not know, and
    under ``voice`` an object that describes a voice in the vendor's own words (``voice`` itself is empty then).
    """

    text: str
    voice: str
    format: AudioFormat = AudioFormat.MP3
    speed: float = 1.0
    instructions: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reference:
    """A picture, video or sound that the caller gave: an address to pass on, or the bytes with their sniffed type."""

    url: str | None = None
    data: bytes | None = None
    media_type: str = ""


@dataclass(frozen=True, slots=True)
class ImageRequest:
    """Pictures of ``/v1/images/generations`` or ``/v1/images/edits``, in OpenAI's words.

    ``n`` is how many: one, unless the provider is ``Several``. ``size`` is ``WxH`` or ``auto``; ``output_format`` png,
    jpeg or webp. Both are wishes where the provider lets one choose; ``mask`` is a png whose transparent parts say
    where the first of ``references`` is to be changed (who cannot do that raises ``Unsupported`` with
    ``param="mask"``); ``extra`` holds every other field.
    """

    prompt: str
    size: str | None = None
    output_format: str | None = None
    references: tuple[Reference, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)
    mask: Reference | None = None
    n: int = 1


@dataclass(frozen=True, slots=True)
class VideoRequest:
    """One ``/v1/videos`` call, in OpenAI's words. ``seconds`` is a whole number of them, ``size`` is ``WxH``."""

    prompt: str
    seconds: int | None = None
    size: str | None = None
    reference: Reference | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)


TaskRequest = SpeechRequest | ImageRequest | VideoRequest


@dataclass(slots=True)
class Usage:
    """What a call used. ``None`` is unknown, never zero. Filled in by the end of the stream.

    ``cost_usd`` is what the vendor itself says that it charges.
    """

    characters: int | None = None
    audio_seconds: float | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: float | None = None


@dataclass(slots=True)
class Audio:
    """Sound as the provider made it: ``spec`` says what the bytes are, not what was wished.

    ``chunks`` must be closed (``aclose``) by whoever stops reading early: that stops the work behind it.
    ``tempo`` is the part of the asked speed that is not in the bytes yet (2.0 = still to be played twice as fast).
    ``length`` is how many bytes there are in all, where that is known.
    """

    spec: AudioSpec
    chunks: ByteStream
    usage: Usage = field(default_factory=Usage)
    tempo: float = 1.0
    length: int | None = None


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether a model can answer (``idle``: it loads at its first request).

    ``detail`` says why not, or what whoever runs the server should know.
    """

    state: Literal["idle", "loading", "ready", "unavailable"]
    detail: str = ""


class Provider(Protocol):
    """What every opened model has. What else it can do is which of the protocols below it fits."""

    def readiness(self) -> Readiness:
        """A look at what is known now: calls nobody."""

    def warm(self) -> None:
        """Begin to load what the first request would otherwise wait for; returns at once."""


@runtime_checkable
class Checked(Protocol):
    """A model that speaks and knows beforehand what it would refuse."""

    def check(self, request: SpeechRequest) -> object:
        """Raise ``Refused`` or ``Unsupported`` for what would be refused; calls nobody."""


@runtime_checkable
class Probed(Protocol):
    """A model of which can be told, at no cost, whether it would answer now."""

    async def probe(self) -> Readiness:
        """Ask whoever must be asked; nothing is made and nothing is charged.

        ``detail`` is for whoever runs the server. Raises the ``ProviderError`` that a call would end with.
        """


@runtime_checkable
class SpeechProvider(Provider, Protocol):
    """A model that speaks."""

    async def speech(self, request: SpeechRequest) -> Audio:
        """Start speaking. Raises ``ProviderError`` before the first chunk wherever the fault can be known by then."""

    def voices(self) -> Sequence[Voice]:
        """The voices that can be asked for, the provider's own names first."""


def speaks(provider: Provider) -> TypeGuard[SpeechProvider]:
    """Whether it is a ``SpeechProvider``: ``isinstance`` looks at every method each time, this once for a class."""
    return _speaks(type(provider))


@cache
def _speaks(kind: type) -> bool:
    return issubclass(kind, SpeechProvider)


@dataclass(frozen=True, slots=True)
class TranscriptionRequest:
    """One ``/v1/audio/transcriptions`` call (``translate``: of ``/v1/audio/translations``), in OpenAI's words.

    ``file`` is the sound as it came, with its own name, by whose ending vendors tell what it is. ``fields`` are the
    others of the form, spelled as they came (``timestamp_granularities[]``), but for ``model`` and ``prompt``.
    """

    file: bytes = field(repr=False)
    filename: str
    media_type: str = ""
    translate: bool = False
    prompt: str = ""
    fields: tuple[tuple[str, str], ...] = ()


MediaRequest = TaskRequest | TranscriptionRequest


@dataclass(slots=True)
class Transcript:
    """Text in the form that was asked for: JSON, plain text, subtitles or events; ``media_type`` says which.

    ``chunks`` must be closed (``aclose``) by whoever stops reading early.
    """

    media_type: str
    chunks: ByteStream
    usage: Usage = field(default_factory=Usage)


@runtime_checkable
class TranscriptionProvider(Protocol):
    """A model that writes down what is said."""

    async def transcribe(self, request: TranscriptionRequest) -> Transcript:
        """Begin. Raises ``ProviderError`` before the first chunk wherever the fault can be known by then."""


@dataclass(frozen=True, slots=True)
class Submitted:
    """The vendor took the task. ``task`` is its own id for it, all that is needed to poll it after a restart.

    ``cost_usd`` is what the vendor says that it will charge. ``done`` is what one that answers at once has made; that
    task is looked at only if it could not be kept.
    """

    task: str
    cost_usd: float | None = None
    done: Done | None = None


@dataclass(frozen=True, slots=True)
class Address:
    """An output that the vendor keeps at an address, for a while; it is fetched with no credentials but ``headers``.

    ``trusted``: hosts (``host`` or ``host:port``) of the deployment's own configured address, which may be private.
    ``headers``, a key mostly, go to the very host and port of ``url`` alone, not on to where it redirects.
    """

    url: str
    trusted: frozenset[str] = frozenset()
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Made:
    """An output at hand: in memory, or on the disk where it is large."""

    data: bytes | Spool
    media_type: str


@dataclass(frozen=True, slots=True)
class Working:
    """Not done yet. ``progress`` is 0 to 1 where known; ``check_after`` are seconds where the vendor says."""

    progress: float | None = None
    check_after: float | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """All outputs, in order. Asking again gives fresh addresses for as long as the vendor keeps them."""

    outputs: tuple[Address | Made, ...]
    usage: Usage = field(default_factory=Usage)


@dataclass(frozen=True, slots=True)
class Failed:
    """It ended without an output. ``error`` is what a caller who waited is told.

    ``cost_usd`` is what the vendor says that it charges all the same; ``None``: it does not say.
    """

    error: ProviderError
    cost_usd: float | None = None


TaskState = Working | Done | Failed


@runtime_checkable
class TaskProvider(Protocol):
    """A model that answers "come back later", whatever it makes.

    ``makes`` is which of ``speech``, ``image``, ``video`` it takes; ``poll_interval`` the least number of seconds
    between two looks at one task, as the vendor asks.
    """

    makes: frozenset[str]
    poll_interval: float

    def check(self, request: TaskRequest) -> Mapping[str, str]:
        """Raise ``Refused`` or ``Unsupported`` for what the vendor would refuse; calls nobody.

        Returns what will be made otherwise than asked, in OpenAI's words (``{"size": "1920x1080"}``).
        """

    async def submit(self, request: TaskRequest) -> Submitted:
        """Hand the task over, once. A ``ProviderError`` says by ``sent`` whether the vendor may have taken it."""

    async def poll(self, task: str) -> TaskState:
        """One look. Raises ``ProviderError`` where the look itself failed, which says nothing about the task."""

    async def cancel(self, task: str) -> None:
        """Stop it, if it still runs. Harmless when it has ended, but the vendor may delete its outputs then."""


@runtime_checkable
class Remixer(Protocol):
    """A ``TaskProvider`` that can make one of its films again with another prompt."""

    def remixed(self, task: str, prompt: str) -> VideoRequest:
        """What to ask for: the film of the finished ``task`` with ``prompt`` in place of its own. Calls nobody."""


@runtime_checkable
class SpeechTasks(Protocol):
    """A ``TaskProvider`` of speech that leaves to the gateway what its vendor cannot do."""

    def parts(self, request: SpeechRequest) -> Sequence[SpeechRequest]:
        """``request`` as the tasks it takes, to be heard one after another; calls nobody.

        The text is cut where it is longer than the vendor takes, and ``speed`` is the vendor's part of the asked one:
        the gateway joins the sounds and does the rest of the speed, keeping the pitch.
        """

    def voices(self) -> Sequence[Voice]:
        """The voices that can be asked for, the provider's own names first."""


@runtime_checkable
class Several(Protocol):
    """A ``TaskProvider`` that makes several pictures as one task: up to ``most_images``."""

    most_images: int


@runtime_checkable
class Patient(Protocol):
    """A ``TaskProvider`` that says how long a call should wait for its tasks."""

    patience: float | None
    """Seconds; ``None``: as long as the gateway's config says."""
