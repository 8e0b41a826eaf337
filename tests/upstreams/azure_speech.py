"""Azure AI Speech on a real socket: its headers, SSML read by an XML parser, formats by name, a list of voices.

Azure's own client speaks over a WebSocket, so none of Azure's can be asked whether this is right: it keeps to the
documents on REST. What its errors say in their bodies is not documented: here they are empty, or a plain text.

with AzureSpeech() as azure:       # azure.base, azure.key
    azure.next(Fault(429, "", {"Retry-After": "7"}))
    ... azure.ledger, azure.requests
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from xml.etree import ElementTree

from aiohttp import web

from engines.media import AudioFormat
from tests.upstreams.speaking import Asked, Speaking, pieces, sound

KEY = "0123456789abcdef0123456789abcdef"
SSML, MSTTS = "http://www.w3.org/2001/10/synthesis", "https://www.w3.org/2001/mstts"
LANG = "{http://www.w3.org/XML/1998/namespace}lang"
VOICE = re.compile(r"[a-z]{2,3}(-[A-Za-z]+)+(:[A-Za-z]+)?Neural")
FORMATS = {
    "audio-24khz-48kbitrate-mono-mp3": ("audio/mpeg", AudioFormat.MP3),
    "audio-24khz-96kbitrate-mono-mp3": ("audio/mpeg", AudioFormat.MP3),
    "ogg-24khz-16bit-mono-opus": ("audio/ogg", AudioFormat.OPUS),
    "ogg-48khz-16bit-mono-opus": ("audio/ogg", AudioFormat.OPUS),
    "raw-24khz-16bit-mono-pcm": ("audio/pcm", AudioFormat.PCM),
}
ELEMENTS = {
    f"{{{SSML}}}speak": {"version", LANG},
    f"{{{SSML}}}voice": {"name"},
    f"{{{SSML}}}lang": {LANG},
    f"{{{SSML}}}prosody": {"rate"},
    f"{{{MSTTS}}}express-as": {"style", "styledegree", "role"},
}


@dataclass(frozen=True)
class Document:
    """What is in an SSML document."""

    text: str
    voice: str
    locale: str
    speed: float
    style: dict[str, str]
    lang: str | None


def read(ssml: bytes) -> Document:
    """Raises ``ValueError`` for what Azure would refuse, or (where it ignores things) would not do as asked."""
    try:
        root = ElementTree.fromstring(ssml)
    except ElementTree.ParseError as fault:
        raise ValueError(str(fault)) from None
    for each in root.iter():
        if each.tag not in ELEMENTS or not each.attrib.keys() <= ELEMENTS[each.tag]:
            raise ValueError(f"unexpected {each.tag} {each.attrib}")
    voices = list(root.iter(f"{{{SSML}}}voice"))
    if root.tag != f"{{{SSML}}}speak" or root.get("version") != "1.0" or not root.get(LANG) or not voices:
        raise ValueError("The speak element lacks something")
    if any(voice not in list(root) or not VOICE.fullmatch(voice.get("name", "")) for voice in voices):
        raise ValueError("Unsupported voice")
    style = next((dict(each.attrib) for each in root.iter(f"{{{MSTTS}}}express-as")), {})
    if style and ("style" not in style or not 0.01 <= float(style.get("styledegree", 1)) <= 2):
        raise ValueError("express-as")
    rate = next((each.get("rate", "") for each in root.iter(f"{{{SSML}}}prosody")), "+0%")
    if not re.fullmatch(r"[+-]\d+%", rate) or not -50 <= int(rate[:-1]) <= 100:
        raise ValueError("rate")
    lang = next((each.get(LANG) for each in root.iter(f"{{{SSML}}}lang")), None)
    text = "".join(root.itertext())
    return Document(text, voices[0].get("name", ""), root.get(LANG, ""), 1 + int(rate[:-1]) / 100, style, lang)


class AzureSpeech(Speaking):
    """The server. ``ledger``: voice, characters, output."""

    def __init__(self) -> None:
        super().__init__()
        self.key = KEY
        self.longest = 600.0

    def routes(self, app: web.Application) -> None:
        app.router.add_post("/cognitiveservices/v1", self.noted(self._speech))
        app.router.add_get("/cognitiveservices/voices/list", self.noted(self._voices))

    @staticmethod
    def said(status: int, text: str = "", headers: dict[str, str] | None = None) -> web.Response:
        return web.Response(status=status, text=text, headers=headers)

    async def _speech(self, request: web.Request, asked: Asked) -> web.StreamResponse:
        fault = self.fault()
        if fault is not None and fault.status:
            if isinstance(fault.body, dict) or fault.body.startswith("<"):
                return self.answer(fault.status, fault.body, fault.headers)
            return self.said(fault.status, fault.body, fault.headers)
        if asked.headers.get("ocp-apim-subscription-key") != self.key or "authorization" in asked.headers:
            return self.said(401)
        if asked.headers.get("content-type") != "application/ssml+xml":
            return self.said(415)
        output = asked.headers.get("x-microsoft-outputformat", "")
        if output not in FORMATS or not 0 < len(asked.headers.get("user-agent", "")) < 255 or request.query_string:
            return self.said(400, "Unsupported output format")
        try:
            found = read(asked.body)
        except ValueError as wrong:
            return self.said(400, str(wrong))
        kind, codec = FORMATS[output]
        self.ledger.append({"voice": found.voice, "characters": len(found.text), "output": output, "found": found})
        data = sound(found.text, codec, speed=found.speed)
        if codec is AudioFormat.PCM:
            data = data[: int(self.longest * 48_000)]
        parts = [] if fault is not None and fault.silent else pieces(data)
        return await self.stream(request, parts, {"Content-Type": kind}, fault)

    async def _voices(self, _: web.Request, asked: Asked) -> web.StreamResponse:
        if asked.headers.get("ocp-apim-subscription-key") != self.key:
            return self.said(401)
        voice = {
            "Name": "Microsoft Server Speech Text to Speech Voice (en-US, JennyNeural)", "DisplayName": "Jenny",
            "LocalName": "Jenny", "ShortName": "en-US-JennyNeural", "Gender": "Female", "Locale": "en-US",
            "LocaleName": "English (United States)", "SampleRateHertz": "24000", "VoiceType": "Neural", "Status": "GA",
        }  # fmt: skip
        return web.json_response([voice])
