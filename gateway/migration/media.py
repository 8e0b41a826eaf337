"""Whether an entry of ``model_list`` is of a model that makes media: a proxy of LiteLLM's mostly has others too."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any

from gateway.config import Vendors, litellm_keys
from providers.base.vendor import Vendor

_MEDIA_MODES = frozenset("audio_speech audio_transcription image_edit image_generation video_generation".split())

# By what their names hold, whoever makes them. Media goes first: gpt-4o-mini-tts.
_MEDIA = re.compile(
    r"tts|speech|speak|audio|voice|voxtral|sound|music|song|transcri|whisper|orpheus|kokoro|image|picture|dall-?e|flux"
    r"|diffusion|recraft|ideogram|video|veo|sora|kling|wan-|film|chirp|lyria",
    re.IGNORECASE,
)
_OTHERS = re.compile(
    r"gpt|chat|instruct|claude|llama|mistral|mixtral|qwen|gemini-|gemma|deepseek|command-|grok|embed|rerank|moderation"
    r"|^o\d|^phi-|davinci|babbage|kimi|glm-|bge-|realtime|codestral",
    re.IGNORECASE,
)


def not_media(entry: dict[str, Any], vendors: Vendors) -> str:
    """Why the model of this entry makes no media; empty: it does, or nobody knows."""
    model, vendor = _target(entry, vendors)
    name = model.rpartition("/")[2]
    if vendor is not None and (name in vendor.models or model in vendor.models or list(vendor.models) == ["*"]):
        return ""
    mode = mode_of(entry)
    if mode in litellm_keys.MODES - _MEDIA_MODES:
        return f"not a media model (mode: {mode})"
    if mode not in _MEDIA_MODES and not _MEDIA.search(name) and _OTHERS.search(name):
        return "not a media model, by its name"
    return ""


def remark(entry: dict[str, Any], vendors: Vendors) -> str:
    """What is different about an entry that works; mostly nothing."""
    model, vendor = _target(entry, vendors)
    if vendor is None or model in vendor.models:
        return "" if model != "*" or vendor is None else _all(vendor)
    if "*" in model:
        return _all(vendor)
    facts = vendor.facts(model)
    if facts is not None and mode_of(entry) not in _MEDIA_MODES and list(vendor.models) != ["*"]:
        return f"not known here by name, so it counts as {facts.mode}: say what it is with model_info.mode"
    return ""


def mode_of(entry: dict[str, Any]) -> str:
    """``model_info.mode`` as written; empty where there is none."""
    info = entry.get("model_info")
    mode = info.get("mode") if isinstance(info, dict) else None
    return mode if isinstance(mode, str) else ""


def _all(vendor: Vendor) -> str:
    count = sum("*" not in name for name in vendor.models)
    return f"the * stands for the media models that are known here ({count} of this vendor), and for no others"


def _target(entry: dict[str, Any], vendors: Vendors) -> tuple[str, Vendor | None]:
    """The model without its vendor, and the vendor, if it is here."""
    params = entry.get("litellm_params", entry.get("params"))
    written = params if isinstance(params, dict) else {}
    model, given = (value if isinstance(value, str) else "" for value in map(written.get, ("model", _PROVIDER)))
    name, _, rest = model.partition("/")
    if given:
        name, rest = given, model.removeprefix(f"{given}/")
    with suppress(ImportError):  # an extra that is not installed
        if name in vendors.names() and rest:
            return rest, vendors.load(name)
        for each in vendors.names() if "/" not in model else ():
            vendor = vendors.load(each)
            if vendor.bare and model in vendor.models:
                return model, vendor
    return model, None


_PROVIDER = "custom_llm_provider"
