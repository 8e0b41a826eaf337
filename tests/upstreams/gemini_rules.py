"""What Google's Gemini API lets in (https://ai.google.dev/api), as strictly as proto JSON is read."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any

from engines.pictures import sniff_picture

Json = dict[str, Any]

VOICES = frozenset(
    """
    Zephyr Puck Charon Kore Fenrir Leda Orus Aoede Callirrhoe Autonoe Enceladus Iapetus Umbriel Algieba Despina Erinome
    Algenib Rasalgethi Laomedeia Achernar Alnilam Schedar Gacrux Pulcherrima Achird Zubenelgenubi Vindemiatrix
    Sadachbia Sadaltager Sulafat
    """.split()
)


# The size of a picture of each aspect ratio: of the models of generation 2.5, and of the later ones (at 1K).
RATIOS = {
    "1:1": ("1024x1024", "1024x1024"), "2:3": ("832x1248", "848x1264"), "3:2": ("1248x832", "1264x848"),
    "3:4": ("864x1184", "896x1200"), "4:3": ("1184x864", "1200x896"), "4:5": ("896x1152", "928x1152"),
    "5:4": ("1152x896", "1152x928"), "9:16": ("768x1344", "768x1376"), "16:9": ("1344x768", "1376x768"),
    "21:9": ("1536x672", "1584x672"),
}  # fmt: skip
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


def check_picture(model: str, body: Any) -> Json:
    """What is to be drawn, and how. Raises ``Invalid``."""
    body = only(camel(body), "", "contents", "generationConfig")
    (content,) = body.get("contents") or [{}]
    parts = only(content, "contents", "role", "parts").get("parts") or []
    said, pictures = [], []
    for part in parts:
        only(part, "contents.parts", "text", "inlineData")
        if "inlineData" not in part:
            said.append(part["text"])
            continue
        inline = only(part["inlineData"], "contents.parts.inline_data", "mimeType", "data")
        try:
            data = base64.b64decode(inline["data"].replace("-", "+").replace("_", "/"), validate=True)
        except (KeyError, binascii.Error):
            raise Invalid("Invalid value at 'contents.parts.inline_data.data' (TYPE_BYTES)") from None
        if sniff_picture(data) != inline.get("mimeType") or inline.get("mimeType") == "image/gif":
            raise Invalid("Unable to process input image at inline_data.")
        pictures.append(data)
    first = model.startswith("gemini-2")
    if not "".join(said).strip():
        raise Invalid("contents is not specified")
    if len(pictures) > (3 if first else 14):
        raise Invalid("Too many parts with inline_data.")
    config = only(body.get("generationConfig"), "generation_config", "responseModalities", "imageConfig")
    if sorted(config.get("responseModalities") or []) not in (["IMAGE"], ["IMAGE", "TEXT"]):
        raise Invalid("The requested combination of response modalities is not supported.")
    shape = only(config.get("imageConfig", {}), "generation_config.image_config", "aspectRatio", "imageSize")
    if shape.get("aspectRatio", "1:1") not in RATIOS:
        raise Invalid("aspect_ratio is not supported.")
    if "imageSize" in shape and (first or shape["imageSize"] not in ("1K", "2K", "4K")):
        raise Invalid("image_size is not supported by this model.")
    return {"text": "\n".join(said), "pictures": pictures, "config": shape, "modalities": config["responseModalities"]}
