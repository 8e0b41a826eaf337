"""Vertex AI, Cloud Text-to-Speech and Google's sign-in on one real socket; what is asked and said is as ``gemini``'s.

with Vertex() as vertex:                  # vertex.base, vertex.service_account(), vertex.token
"""

from __future__ import annotations

import base64
import json
import time
from functools import lru_cache
from typing import Any

from aiohttp import web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.auth import jwt

from engines.codec import wav_header
from engines.synthetic import labelled_video, voice_like
from tests.upstreams.gemini import Fault, Gemini, Operation, error
from tests.upstreams.gemini_rules import FILM_PARAMETERS, Invalid, Json, camel, only

PROJECT = "media-test"
EMAIL = "gateway@media-test.iam.gserviceaccount.com"
VOICES = ("en-US-Wavenet-D", "en-US-Wavenet-F", "en-US-Studio-O", "en-US-Studio-M", "en-GB-Studio-B", "de-DE-Neural2-B")
CHIRP = "en-US-Chirp3-HD-"
MODELS = frozenset(
    """
    gemini-2.5-flash-tts gemini-2.5-pro-tts gemini-3.1-flash-tts-preview gemini-3.8-flash-tts gemini-3.8-flash-lite-tts
    """.split()
)


@lru_cache
def _keys() -> tuple[str, str]:
    """A private key and its public half, made once."""
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return private.decode(), public.decode()


class Vertex(Gemini):
    """``tokens`` counts the sign-ins; ``refuse_sign_in`` is the body of a refusal. ``lifetime`` of tokens in seconds."""

    film_parameters = (*FILM_PARAMETERS, "generateAudio", "sampleCount")

    def __init__(self, *, lifetime: int = 3599, **options: Any) -> None:
        super().__init__(**options)
        self.tokens = 0
        self.lifetime = lifetime
        self.refuse_sign_in: Json | None = None
        self.spoken_whole: list[Json] = []

    @property
    def token(self) -> str:
        return f"ya29.token-{self.tokens}"

    def service_account(self) -> Json:
        return {
            "type": "service_account",
            "project_id": PROJECT,
            "private_key_id": "kid-1",
            "private_key": _keys()[0],
            "client_email": EMAIL,
            "token_uri": f"{self.base}/token",
        }

    def speech_models(self) -> frozenset[str]:
        return MODELS

    def routes(self, router: web.UrlDispatcher) -> None:
        place = "/{version:v1|v1beta1}/projects/{project}/locations/{location}/publishers/google/models/{model}"
        router.add_post(place + ":generateContent", self.route("speech", self._whole))
        router.add_post(place + ":streamGenerateContent", self.route("speech", self._stream))
        router.add_post(place + ":predictLongRunning", self.route("submit", self._begin))
        router.add_post(place + ":fetchPredictOperation", self.route("poll", self._fetch))
        known = "/{version:v1|v1beta1}/publishers/google/models/{model}"
        router.add_get(known, self.route("poll", self._model), allow_head=False)
        router.add_post("/v1/text:synthesize", self.route("speech", self._synthesize))
        router.add_get("/v1/voices", self.route("poll", self._voices), allow_head=False)
        router.add_post("/token", self._sign_in)

    def refusal(self, request: web.Request) -> Fault | None:
        if request.headers.get("Authorization") != f"Bearer {self.token}" or "x-goog-api-key" in request.headers:
            return Fault(401, error(401, "Request had invalid authentication credentials."))
        if request.match_info.get("project", PROJECT) != PROJECT:
            return Fault(403, error(403, "Permission denied."))
        return None

    async def _sign_in(self, request: web.Request) -> web.Response:
        await self.asked(request)
        if self.refuse_sign_in is not None:
            return web.json_response(self.refuse_sign_in, status=400)
        form = await request.post()
        claims = jwt.decode(str(form["assertion"]), certs=_keys()[1], audience="https://oauth2.googleapis.com/token")
        header = jwt.decode_header(str(form["assertion"]))
        right = (
            form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
            and claims["iss"] == EMAIL
            and claims["scope"] == "https://www.googleapis.com/auth/cloud-platform"
            and header["kid"] == "kid-1"
            and claims["exp"] <= time.time() + 3700
        )
        if not right:
            return web.json_response({"error": "invalid_grant", "error_description": "Bad assertion."}, status=400)
        self.tokens += 1
        return web.json_response({"access_token": self.token, "expires_in": self.lifetime, "token_type": "Bearer"})

    async def _begin(self, request: web.Request, fault: Fault) -> web.StreamResponse:
        made = await self._submit(request, fault)
        if made.status != 200:
            return made
        operation = self.operations.popitem()[1]
        model = request.path.partition("/")[2].partition("/")[2].removesuffix(":predictLongRunning")
        name = f"{model}/operations/{len(self.ledger)}"
        self.operations[name] = Operation(name, operation.entry, operation.fault, operation.made)
        return web.json_response({"name": name})

    async def _fetch(self, request: web.Request, fault: Fault) -> web.StreamResponse:
        body = only(camel(json.loads(self.requests[-1].body)), "", "operationName")
        operation = self.operations.get(body["operationName"])
        model = request.path.partition("/projects/")[2].removesuffix(":fetchPredictOperation")
        if operation is None or not operation.name.startswith(f"projects/{model}/operations/"):
            return web.json_response(error(404, "The operation is not found."), status=404)
        if time.monotonic() + self._ahead < operation.made + self.seconds:
            return web.json_response({"name": operation.name})
        film = base64.b64encode(labelled_video(operation.entry["instance"]["prompt"], 64, 48, 1)).decode()
        found = operation.fault.operation or {
            "response": {"videos": [{"bytesBase64Encoded": film, "mimeType": "video/mp4"}]}
        }
        return web.json_response({"name": operation.name, "done": True, **found})

    async def _voices(self, request: web.Request, fault: Fault) -> web.StreamResponse:
        voices = [{"name": name, "languageCodes": [name[:5]], "naturalSampleRateHertz": 24_000} for name in VOICES]
        return web.json_response({"voices": voices})

    async def _synthesize(self, request: web.Request, fault: Fault) -> web.StreamResponse:
        body = camel(json.loads(self.requests[-1].body))
        said, voice, audio = _checked(body)
        self.spoken_whole.append(body | {"project": request.headers.get("x-goog-user-project")})
        sound = b"" if fault.silent else voice_like(said, float(audio.get("speakingRate", 1)), manner=voice)
        sound = wav_header(size=len(sound)) + sound if audio["audioEncoding"] == "LINEAR16" else sound
        return web.json_response({"audioContent": base64.b64encode(sound).decode()})


def _checked(body: Json) -> tuple[str, str, Json]:
    only(body, "", "input", "voice", "audioConfig")
    given = only(body.get("input"), "input", "text", "ssml")
    if len(given) != 1 or len(next(iter(given.values())).encode()) > 5000:
        raise Invalid("Either `input.text` or `input.ssml` is longer than the limit of 5000 bytes, or both are set.")
    voice = only(body.get("voice"), "voice", "languageCode", "name", "ssmlGender", "modelName")
    name = voice.get("name", "")
    if not name.startswith(voice.get("languageCode") or "?") or not (name in VOICES or name.startswith(CHIRP)):
        raise Invalid(f"Voice '{name}' does not exist. Is it misspelled?")
    names = ("audioEncoding", "sampleRateHertz", "speakingRate", "pitch", "volumeGainDb", "effectsProfileId")
    audio = only(body.get("audioConfig"), "audio_config", *names)
    if audio.get("audioEncoding") not in ("LINEAR16", "PCM", 1, 7):
        raise Invalid("This server makes LINEAR16 and PCM only.")
    if audio["audioEncoding"] in (1, 7):  # proto JSON reads numbers too
        audio = audio | {"audioEncoding": {1: "LINEAR16", 7: "PCM"}[audio["audioEncoding"]]}
    if not 0.25 <= float(audio.get("speakingRate", 1)) <= 2.0:
        raise Invalid("speaking_rate has to be from 0.25 to 2.0.")
    return next(iter(given.values())), str(name), audio
