"""Speech through Gemini's ``generateContent``: what is asked, and what its answers mean.

Source: https://ai.google.dev/gemini-api/docs/speech-generation. Up to 3.1 the text is a prompt that says how it is to
be read; from 3.8 on it is spoken word for word, and the manner goes beside it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from engines.media import SAMPLE_RATE, AudioFormat, AudioSpec, sniff
from providers.base.contract import SpeechRequest, Usage, Voice
from providers.base.dialects.event_sound import count, parsed, unpacked
from providers.base.dialects.google import items, member, refused
from providers.base.dialects.options import checked
from providers.base.errors import BadAnswer, Broken, PolicyViolation, Refused
from providers.base.refusals import clean

VOICES = {
    "Zephyr": "Bright", "Puck": "Upbeat", "Charon": "Informative", "Kore": "Firm", "Fenrir": "Excitable",
    "Leda": "Youthful", "Orus": "Firm", "Aoede": "Breezy", "Callirrhoe": "Easy-going", "Autonoe": "Bright",
    "Enceladus": "Breathy", "Iapetus": "Clear", "Umbriel": "Easy-going", "Algieba": "Smooth", "Despina": "Smooth",
    "Erinome": "Clear", "Algenib": "Gravelly", "Rasalgethi": "Informative", "Laomedeia": "Upbeat", "Achernar": "Soft",
    "Alnilam": "Firm", "Schedar": "Even", "Gacrux": "Mature", "Pulcherrima": "Forward", "Achird": "Friendly",
    "Zubenelgenubi": "Casual", "Vindemiatrix": "Gentle", "Sadachbia": "Lively", "Sadaltager": "Knowledgeable",
    "Sulafat": "Warm",
}  # fmt: skip
"""Gemini's prebuilt voices, each with Google's word for it."""

# LiteLLM's choice, which leaves nova out; hers is a voice that is as bright.
OPENAI_VOICES = {
    "alloy": "Kore", "ash": "Iapetus", "ballad": "Algieba", "cedar": "Achird", "coral": "Sulafat", "echo": "Charon",
    "fable": "Umbriel", "marin": "Despina", "nova": "Zephyr", "onyx": "Orus", "sage": "Vindemiatrix",
    "shimmer": "Achernar", "verse": "Puck",
}  # fmt: skip

PARAMS = {"voice": "voice", "language": "language_code", "contents": "input"}
"""Parts of Google's field names, and what they are in OpenAI's words."""

_NAMES = {name.lower(): name for name in VOICES} | OPENAI_VOICES
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}")
_OWN_VOICE = re.compile(r"voice(key)?_[\w.~-]{1,240}", re.ASCII)
_SPEAKER = re.compile(r"[^:\s][^:\n]{0,63}")
_FORBIDDEN = frozenset(
    "SAFETY RECITATION LANGUAGE BLOCKLIST PROHIBITED_CONTENT SPII MODEL_ARMOR JAILBREAK IMAGE_SAFETY".split()
)


def verbatim(model: str) -> bool:
    """Whether ``model`` speaks its text word for word (3.8 and later)."""
    version = re.search(r"gemini-(\d+)\.(\d+)", model)
    return version is not None and (int(version[1]), int(version[2])) >= (3, 8)


def listed() -> list[Voice]:
    """Gemini's voices, then OpenAI's names; each speaks every language of the model."""
    own = [Voice(name, f"{name} ({manner})", "mul") for name, manner in VOICES.items()]
    return own + [Voice(name, f"{name} ({target})", "mul") for name, target in OPENAI_VOICES.items()]


def speech_body(model: str, request: SpeechRequest) -> dict[str, Any]:
    """The body that asks for ``request``, but for its speed. Raises ``Refused`` and ``Unsupported``."""
    extra = dict(request.extra)
    described = extra.pop("voice", None)
    given = checked(model, extra, {"language_code": _tag, "languageCode": _tag})
    language = given.get("language_code", given.get("languageCode"))
    speech: dict[str, Any] = {}
    speakers: list[str] = []
    if described is not None:
        voices = _speakers(model, described)
        speakers = [*voices]
        speech["multiSpeakerVoiceConfig"] = {
            "speakerVoiceConfigs": [{"speaker": speaker, "voiceConfig": voice} for speaker, voice in voices.items()]
        }
    else:
        speech["voiceConfig"] = _voice(model, request.voice)
    if language is not None:
        speech["languageCode"] = language
    return {
        "contents": [{"role": "user", "parts": _parts(model, request, speakers)}],
        "generationConfig": {"responseModalities": ["AUDIO"], "speechConfig": speech},
    }


def _tag(value: Any) -> str | None:
    return None if isinstance(value, str) and _LANGUAGE.fullmatch(value) else "a tag such as en-US"


def _voice(model: str, voice: str) -> dict[str, Any]:
    known = _NAMES.get(voice.lower())
    if known is not None:
        return {"prebuiltVoiceConfig": {"voiceName": known}}
    if verbatim(model) and _OWN_VOICE.fullmatch(voice):
        return {"voice": voice}
    near = get_close_matches(voice.lower(), _NAMES, n=1)
    hint = f"did you mean {_NAMES[near[0]] if near[0] not in OPENAI_VOICES else near[0]!r}?" if near else ""
    names = f"Gemini's voices are {', '.join(sorted(VOICES))}; OpenAI's names are known too."
    raise Refused(f"{model} has no voice {voice[:100]!r}; {hint or names}", param="voice")


def _speakers(model: str, described: object) -> dict[str, dict[str, Any]]:
    """The voice of each speaker, from ``voice`` as an object in Google's words."""
    inner = member(described, "multiSpeakerVoiceConfig", dict)
    configs = items(inner, "speakerVoiceConfigs")
    if not isinstance(described, dict) or inner is None or len(described) > 1 or len(inner) > 1 or len(configs) != 2:
        raise Refused(
            'voice, as an object, must be {"multiSpeakerVoiceConfig": {"speakerVoiceConfigs": [{"speaker": …, '
            '"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": …}}}, …]}} with two speakers',
            param="voice",
        )
    voices: dict[str, dict[str, Any]] = {}
    for place, config in enumerate(configs):
        speaker, chosen = member(config, "speaker", str), member(config, "voiceConfig", dict)
        name = member(member(chosen, "prebuiltVoiceConfig", dict), "voiceName", str) or member(chosen, "voice", str)
        if speaker is None or name is None or len(config) > 2 or len(chosen or ()) > 1:
            where = f"speakerVoiceConfigs[{place}]"
            raise Refused(f"{where} of voice must have a speaker and a voiceConfig with one voiceName", param="voice")
        if not _SPEAKER.fullmatch(speaker) or speaker in voices:
            raise Refused("the speakers of voice must be two names of up to 64 characters, no colons", param="voice")
        voices[speaker] = _voice(model, name)
    return voices


def _parts(model: str, request: SpeechRequest, speakers: list[str]) -> list[dict[str, Any]]:
    if not verbatim(model):
        # Always with a directive: a bare text may be taken for a question, and be refused as one.
        among = f" this conversation between {' and '.join(speakers)}" if speakers else ""
        manner = f", following these directions: {request.instructions}\n\n" if request.instructions else ":\n"
        return [{"text": f"Read aloud{among}{manner}{request.text}"}]
    style = {"style": request.instructions} if request.instructions else {}
    turns = _turns(request.text, speakers) if speakers else [(None, request.text)]
    parts: list[dict[str, Any]] = []
    for speaker, text in turns:
        beside = ({"speaker": speaker} if speaker else {}) | style
        parts.append({"text": text} | ({"speechMetadata": beside} if beside else {}))
    return parts


def _turns(text: str, speakers: list[str]) -> list[tuple[str | None, str]]:
    """A dialogue cut where a line begins with ``<speaker>:``."""
    names = "|".join(map(re.escape, speakers))
    before, *rest = re.split(rf"^[ \t]*({names})[ \t]*:[ \t]*", text, flags=re.MULTILINE)
    turns = [(speaker, said.strip()) for speaker, said in zip(rest[::2], rest[1::2], strict=True) if said.strip()]
    if before.strip() or not turns:
        raise Refused(
            f"each turn of input must begin with {' or '.join(f'{name}:' for name in speakers)}", param="input"
        )
    return [*turns]


class Answers:
    """A ``Reader`` of the answers in a stream. ``usage`` gets the tokens of this try on top of what it had.

    ``charged``: sound was counted. ``why`` is Google's reason for the end, once it has said one.
    """

    def __init__(self, vendor: str, usage: Usage) -> None:
        self.vendor = vendor
        self.spec: AudioSpec | None = None
        self.why = ""
        self.charged = False
        self._usage = usage
        self._before = usage.input_tokens, usage.output_tokens

    def read(self, event: bytes) -> bytes:
        """The sound in one answer."""
        found = parsed(self.vendor, event)
        if "error" in found:
            code = count(member(found["error"], "code", int)) or 0
            raise refused(self.vendor, code if 400 <= code < 600 else 500, {}, found, PARAMS)
        self._count(member(found, "usageMetadata", dict))
        blocked = member(member(found, "promptFeedback", dict), "blockReason", str)
        if blocked:
            raise PolicyViolation(f"{self.vendor} blocked the text ({clean(blocked)}).", sent="yes", param="input")
        first = next(iter(items(found, "candidates")), None)
        sound = b"".join(map(self._heard, items(member(first, "content", dict), "parts")))
        self.why = member(first, "finishReason", str) or self.why
        if self.why in _FORBIDDEN:
            raise PolicyViolation(f"{self.vendor} blocked the speech ({self.why}).", sent="yes", param="input")
        return sound

    def finish(self) -> None:
        """Raise where there was sound that is not known to be whole."""
        if self.spec is None or self.why == "STOP":
            return
        if self.why == "MAX_TOKENS":
            raise Broken(f"{self.vendor} stopped in the middle: the speech is longer than it makes.", sent="yes")
        reason = f"it says {clean(self.why)}" if self.why else "no reason given"
        raise BadAnswer(f"{self.vendor} stopped in the middle of the speech ({reason}).", sent="yes")

    def _heard(self, part: object) -> bytes:
        inline = member(part, "inlineData", dict)
        if inline is None:
            return b""
        data = unpacked(self.vendor, inline.get("data"))
        if not data:
            return b""
        if self.spec is None or self.spec.format is AudioFormat.PCM:  # what follows of a file has no head of its own
            spec = spec_of(self.vendor, member(inline, "mimeType", str) or "", data)
            if self.spec not in (None, spec):
                raise BadAnswer(f"{self.vendor} changed the kind of sound in the middle.", sent="yes")
            self.spec = spec
        return data

    def _count(self, metadata: Mapping[str, Any] | None) -> None:
        given = count(member(metadata, "promptTokenCount", int))
        made = count(member(metadata, "candidatesTokenCount", int))
        before_given, before_made = self._before
        if given is not None:
            self._usage.input_tokens = (before_given or 0) + given
        if made is not None:
            self._usage.output_tokens = (before_made or 0) + made
        for detail in items(metadata, "candidatesTokensDetails"):
            tokens = count(member(detail, "tokenCount", int))
            self.charged = self.charged or (member(detail, "modality", str) == "AUDIO" and bool(tokens))


def spec_of(vendor: str, mime: str, data: bytes) -> AudioSpec:
    """What sound is: a file shows it, raw samples are as the type says. Raises ``BadAnswer`` for any other."""
    kind, *given = (each.strip().lower() for each in mime.split(";"))
    values = dict(each.partition("=")[::2] for each in given)
    if data[:4] == b"RIFF" and data[8:12] == b"WAVE":
        return AudioSpec(AudioFormat.WAV)
    if kind in ("audio/l16", "audio/pcm", ""):
        rate, channels = values.get("rate", str(SAMPLE_RATE)), values.get("channels", "1")
        if re.fullmatch(r"[1-9][0-9]{3,5}", rate) and channels in ("1", "2"):
            return AudioSpec(AudioFormat.PCM, int(rate), int(channels))
    elif kind.startswith("audio/") and (shown := sniff(data[:12])) is not None:
        return AudioSpec(shown)
    raise BadAnswer(f"{vendor} sent sound of a kind that nobody knows ({clean(mime)[:60]}).", sent="yes")
