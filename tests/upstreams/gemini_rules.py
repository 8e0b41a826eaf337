"""What Google's Gemini API lets in (https://ai.google.dev/api), as strictly as proto JSON is read."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any

Json = dict[str, Any]

VOICES = frozenset(
    """
    Zephyr Puck Charon Kore Fenrir Leda Orus Aoede Callirrhoe Autonoe Enceladus Iapetus Umbriel Algieba Despina Erinome
    Algenib Rasalgethi Laomedeia Achernar Alnilam Schedar Gacrux Pulcherrima Achird Zubenelgenubi Vindemiatrix
    Sadachbia Sadaltager Sulafat
    """.split()
)


FILM_PARAMETERS = ("aspectRatio", "durationSeconds", "resolution", "negativePrompt", "personGeneration", "seed")


class Invalid(Exception):
    """A body that Google would refuse."""


def _camel(name: str) -> str:
    return re.sub(r"_([a-z])", lambda match: match[1].upper(), name)


def camel(value: Any) -> Any:
    """The same with every name in camelCase: proto JSON reads both."""
    if isinstance(value, dict):
        return {_camel(name): camel(each) for name, each in value.items()}
    return [camel(each) for each in value] if isinstance(value, list) else value


def snaked(value: Any) -> Any:
    if isinstance(value, dict):
        return {re.sub("([A-Z])", lambda m: "_" + m[1].lower(), name): snaked(each) for name, each in value.items()}
    return [snaked(each) for each in value] if isinstance(value, list) else value


def only(value: Any, where: str, *names: str) -> Json:
    if not isinstance(value, dict):
        raise Invalid(f"Invalid value at '{where}'")
    for name in value:
        if name not in names:
            raise Invalid(f"Invalid JSON payload received. Unknown name \"{name}\" at '{where}': Cannot find field.")
    return value


def _voice(config: Any, where: str, verbatim: bool) -> str:
    config = only(config, where, "prebuiltVoiceConfig", "voice")
    if "voice" in config and verbatim:
        name = config["voice"]
        if isinstance(name, str) and (name in VOICES or name.startswith(("voice_", "voicekey_"))):
            return name
    name = only(config.get("prebuiltVoiceConfig", {}), where, "voiceName").get("voiceName")
    if name not in VOICES:
        raise Invalid(f"Voice name {name} is not supported.")
    return str(name)


def _speakers(speech: Json, parts: list[Json], verbatim: bool) -> dict[str, str]:
    if "multiSpeakerVoiceConfig" in speech:
        configs = only(speech["multiSpeakerVoiceConfig"], "multi_speaker", "speakerVoiceConfigs")["speakerVoiceConfigs"]
        if len(configs) != 2 or "voiceConfig" in speech:
            raise Invalid("The number of speakers has to be 2.")
        for each in configs:
            only(each, "speaker_voice_configs", "speaker", "voiceConfig")
        voices = {each["speaker"]: _voice(each["voiceConfig"], "voice_config", verbatim) for each in configs}
        for part in parts:
            if verbatim and part.get("speechMetadata", {}).get("speaker") not in voices:
                raise Invalid("Each part has to name its speaker.")
        return voices
    return {"": _voice(speech.get("voiceConfig", {}), "voice_config", verbatim)} if speech else {}


def check_speech(model: str, body: Any) -> Json:
    """What is to be said, and by whom. Raises ``Invalid``."""
    verbatim = model.startswith("gemini-3.8")
    body = only(camel(body), "", "contents", "generationConfig")
    (content,) = body.get("contents") or [{}]
    parts = only(content, "contents", "role", "parts").get("parts") or []
    if content.get("role") not in (None, "user") or not parts:
        raise Invalid("contents is not specified")
    said = []
    for part in parts:
        only(part, "contents.parts", "text", *(["speechMetadata"] if verbatim else []))
        only(part.get("speechMetadata", {}), "contents.parts.speechMetadata", "speaker", "style")
        if not isinstance(part.get("text"), str) or not part["text"].strip():
            raise Invalid("contents.parts must not be empty.")
        said.append(part["text"])
    text = "\n".join(said)
    config = only(body.get("generationConfig"), "generation_config", "responseModalities", "speechConfig")
    if config.get("responseModalities") != ["AUDIO"]:
        raise Invalid("The requested combination of response modalities is not supported.")
    if not verbatim and ":" not in text and len(text) < 40:
        raise Invalid("Model tried to generate text, but it should only be used for TTS.")
    names = ("voiceConfig", "multiSpeakerVoiceConfig", "languageCode")
    speech = only(config.get("speechConfig", {}), "generation_config.speech_config", *names)
    voices = _speakers(speech, parts, verbatim)
    return {"text": text, "voices": voices, "parts": parts, "language": speech.get("languageCode")}


def check_film(body: Any, names: tuple[str, ...] = FILM_PARAMETERS) -> Json:
    body = only(camel(body), "", "instances", "parameters")
    (instance,) = body.get("instances") or [{}]
    only(instance, "instances", "prompt", "image")
    if not isinstance(instance.get("prompt"), str) or not instance["prompt"].strip():
        raise Invalid("The prompt is empty.")
    if "image" in instance:
        image = only(instance["image"], "instances.image", "bytesBase64Encoded", "mimeType")
        try:
            base64.b64decode(image["bytesBase64Encoded"], validate=True)
        except (KeyError, binascii.Error):
            raise Invalid("Invalid image.") from None
        if image.get("mimeType") not in ("image/png", "image/jpeg", "image/webp"):
            raise Invalid("Unsupported image type.")
    given = only(body.get("parameters", {}), "parameters", *names)
    if given.get("aspectRatio", "16:9") not in ("16:9", "9:16"):
        raise Invalid("The aspect_ratio is not supported.")
    if given.get("durationSeconds", 8) not in (4, 6, 8) or isinstance(given.get("durationSeconds"), float):
        raise Invalid("The number value for `durationSeconds` is out of bound.")
    if given.get("resolution", "720p") not in ("720p", "1080p", "4k"):
        raise Invalid("The resolution is not supported.")
    return {"instance": instance, "parameters": given}
