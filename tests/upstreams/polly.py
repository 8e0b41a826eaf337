"""AWS Polly on a real socket: each signature derived again by botocore, SSML read as XML, errors as AWS spells them.

with Polly() as polly:             # polly.base, polly.key, polly.secret
    polly.next(error("ThrottlingException", 400))
    ... polly.ledger, polly.requests
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree

from aiohttp import web
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from engines.media import AudioFormat
from tests.upstreams.speaking import Asked, Fault, Json, Speaking, pieces, sound

KEY, SECRET = "AKIDEXAMPLE0123456789", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
REGION = "eu-west-1"
CLASSIC = "Joanna Joey Brian Matthew Salli Amy Emma Ivy Kimberly Kendra Justin".split()
VOICES: Mapping[str, set[str]] = {
    "standard": {*CLASSIC, "Nicole"},
    "neural": {*CLASSIC, "Ruth", "Stephen", "Danielle", "Gregory"},
    "long-form": {"Danielle", "Gregory", "Ruth"},
    "generative": {"Joanna", "Matthew", "Amy", "Brian", "Salli", "Ruth", "Stephen", "Danielle", "Olivia"},
}
EVERY = set().union(*VOICES.values())
FORMATS = {
    "mp3": ("audio/mpeg", AudioFormat.MP3, ("8000", "16000", "22050", "24000", "44100", "48000")),
    "ogg_opus": ("audio/ogg", AudioFormat.OPUS, ("48000",)),
    "pcm": ("audio/pcm", AudioFormat.PCM, ("8000", "16000")),
}
FIELDS = {"Text", "OutputFormat", "VoiceId", "Engine", "TextType", "SampleRate", "LanguageCode", "LexiconNames"}


def error(name: str, status: int, message: str = "no") -> Fault:
    return Fault(status, {"message": message}, {"x-amzn-ErrorType": f"{name}:http://internal.amazon.com/"})


class Polly(Speaking):
    """The server. ``ledger``: voice, engine, characters."""

    def __init__(self) -> None:
        super().__init__()
        self.key, self.secret = KEY, SECRET

    def routes(self, app: web.Application) -> None:
        app.router.add_post("/v1/speech", self.noted(self._speech))
        app.router.add_get("/v1/voices", self.noted(self._voices))

    def _forged(self, request: web.Request, asked: Asked) -> Fault | None:
        """What is wrong with the signature."""
        given = re.fullmatch(
            r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/polly/aws4_request, "
            r"SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]{64})",
            asked.headers.get("authorization", ""),
        )
        if given is None:
            return error("MissingAuthenticationTokenException", 403, "Missing Authentication Token")
        key, day, region, names, signature = given.groups()
        if key != self.key:
            return error("UnrecognizedClientException", 403, "The security token included in the request is invalid.")
        stamp = asked.headers.get("x-amz-date", "")
        needed = {"host", "x-amz-date"} | ({"content-type"} if asked.body else set())
        if region != REGION or not stamp.startswith(day) or not needed <= set(names.split(";")):
            return error("InvalidSignatureException", 403, "Credential should be scoped to a valid region.")
        signed = {name: asked.headers[name] for name in names.split(";") if name != "host"}
        again = AWSRequest(asked.method, f"{self.base}{request.path_qs}", headers=signed, data=asked.body)
        again.context["timestamp"] = stamp
        auth = SigV4Auth(Credentials(self.key, self.secret), "polly", REGION)
        expected = auth.signature(auth.string_to_sign(again, auth.canonical_request(again)), again)
        return (
            None if expected == signature else error("InvalidSignatureException", 403, "The signature does not match.")
        )

    @staticmethod
    def _wrong(body: Json) -> Fault | None:
        if not {"Text", "OutputFormat", "VoiceId"} <= body.keys() <= FIELDS or body["VoiceId"] not in EVERY:
            text = "1 validation error detected: Value at 'voiceId' failed to satisfy constraint"
            return error("ValidationException", 400, text)
        engine = body.get("Engine", "standard")
        if engine not in VOICES or body["VoiceId"] not in VOICES[engine]:
            return error("EngineNotSupportedException", 400, "This voice does not support the selected engine")
        if body["OutputFormat"] not in FORMATS:
            return error("ValidationException", 400, "Value at 'outputFormat' failed to satisfy constraint")
        if "SampleRate" in body and body["SampleRate"] not in FORMATS[body["OutputFormat"]][2]:
            return error("InvalidSampleRateException", 400, "The specified sample rate is not supported.")
        if body.get("LexiconNames"):
            return error("LexiconNotFoundException", 404, "Lexicon not found")
        try:
            text, _ = Polly._read(body)
        except ValueError:
            return error("InvalidSsmlException", 400, "Invalid SSML request")
        too_long = len(text) > 3000 or len(body["Text"]) > 6000
        return error("TextLengthExceededException", 400, "Maximum text length has been exceeded") if too_long else None

    @staticmethod
    def _read(body: Json) -> tuple[str, float]:
        """The text that is charged for, and its speed."""
        if body.get("TextType", "text") == "text":
            return body["Text"], 1.0
        try:
            root = ElementTree.fromstring(body["Text"])
        except ElementTree.ParseError:
            raise ValueError from None
        rate = next((each.get("rate", "100%") for each in root.iter("prosody")), "100%")
        found = re.fullmatch(r"(\d+)%", rate)
        if root.tag != "speak" or found is None or not 20 <= int(found[1]) <= 200:
            raise ValueError
        return "".join(root.itertext()), int(found[1]) / 100

    async def _speech(self, request: web.Request, asked: Asked) -> web.StreamResponse:
        fault = self.fault()
        if fault is not None and fault.status:
            return self.answer(fault.status, fault.body, fault.headers)
        body: dict[str, Any] = json.loads(asked.body)
        if (wrong := self._forged(request, asked) or self._wrong(body)) is not None:
            return self.answer(wrong.status, wrong.body, wrong.headers)
        text, speed = self._read(body)
        kind, codec, _ = FORMATS[body["OutputFormat"]]
        rate = int(body.get("SampleRate", 16_000))
        self.ledger.append({"voice": body["VoiceId"], "engine": body.get("Engine"), "characters": len(text)})
        headers = {"Content-Type": kind, "x-amzn-RequestCharacters": str(len(text)), "x-amzn-RequestId": "r1"}
        parts = [] if fault is not None and fault.silent else pieces(sound(text, codec, rate, speed))
        return await self.stream(request, parts, headers, fault)

    async def _voices(self, request: web.Request, asked: Asked) -> web.StreamResponse:
        if (wrong := self._forged(request, asked)) is not None:
            return self.answer(wrong.status, wrong.body, wrong.headers)
        found = [
            {
                "Id": voice, "Name": voice, "Gender": "Female", "LanguageCode": "en-US", "LanguageName": "US English",
                "SupportedEngines": [engine for engine in VOICES if voice in VOICES[engine]],
            }
            for voice in sorted(VOICES.get(asked.query.get("Engine", ""), EVERY))
        ]  # fmt: skip
        return self.answer(200, {"Voices": found})
