"""RunwayML: speech, pictures and films, all of them as tasks (https://docs.dev.runwayml.com).

A create answers with an id, a look at the task with its state; outputs are addresses that expire and are fetched with
no credentials. Runway asks for at least five seconds between two looks at one task, and says not to hand its addresses
to users.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlsplit

from pydantic import Field, SecretStr, field_validator

from providers.base import errors
from providers.base.contract import (
    Address,
    Done,
    Failed,
    Provider,
    Readiness,
    SpeechRequest,
    Submitted,
    TaskRequest,
    TaskState,
    Usage,
    Voice,
    Working,
)
from providers.base.exchange import Deadlines, Exchange, Reply
from providers.base.refusals import clean, refusal
from providers.base.settings import VendorSettings
from providers.base.vendor import Facts, Resources, Vendor
from providers.base.wire import Wire
from providers.runwayml.models import MODELS, PRESETS, VOICES, Image, Speech
from providers.runwayml.prices import CREDIT, PRICES
from providers.runwayml.requests import create, parts

API = "https://api.dev.runwayml.com"
VERSION = "2024-11-06"
KEY_VARIABLES = ("RUNWAYML_API_SECRET", "RUNWAYML_API_KEY")
BASE_VARIABLE, TIMEOUT_VARIABLE = "RUNWAYML_API_BASE", "RUNWAYML_POLLING_TIMEOUT"

_NAME = "Runway"
_ID_LIMIT = 500
_DEADLINES = Deadlines(first_byte=60.0, idle=30.0, total=90.0)  # 60 s is what Runway's own SDK waits
# Runway's names for what the caller calls otherwise.
_PARAMS = {"promptText": "prompt", "ratio": "size", "duration": "seconds", "promptImage": "input_reference"}

_ASSETS = {"speech": "voice", "image": "referenceImages", "video": "input_reference"}


class RunwaySettings(VendorSettings):
    """``api_base`` with or without ``/v1``. ``poll_interval`` in seconds: Runway asks for five or more.

    ``polling_timeout``: seconds that a call waits for its tasks; they go on after that.
    """

    api_key: SecretStr | None = None
    api_base: str | None = Field(None, pattern=r"^https?://[^\s/]+(/v1)?/?$")
    poll_interval: float = Field(5.0, ge=5.0, le=300.0)
    polling_timeout: float | None = Field(None, gt=0, le=86_400, validate_default=True)

    @field_validator("polling_timeout", mode="before")
    @classmethod
    def _or_as_litellm_has_it(cls, given: object) -> object:
        variable = os.environ.get(TIMEOUT_VARIABLE)
        if given is not None or not variable:
            return given
        if not re.fullmatch(r"\d{1,5}(\.\d+)?", variable) or float(variable) == 0:
            raise ValueError(f"${TIMEOUT_VARIABLE} must be a number of seconds, not {variable[:40]!r}")
        return float(variable)


class Runway:
    """One model as a ``TaskProvider``."""

    def __init__(self, model: str, settings: RunwaySettings, wire: Wire) -> None:
        self._model = model
        facts = MODELS[model]
        kind = "speech" if isinstance(facts, Speech) else "image" if isinstance(facts, Image) else "video"
        self.makes = frozenset({kind})
        self.poll_interval = settings.poll_interval
        self.patience = settings.polling_timeout
        self._wire = wire
        given = settings.api_base or os.environ.get(BASE_VARIABLE) or API
        self._base = given.rstrip("/").removesuffix("/v1")
        variable = next((name for name in KEY_VARIABLES if os.environ.get(name)), None)
        self._key = settings.api_key or (SecretStr(os.environ[variable]) if variable else None)
        # Outputs from the very host that the config names are trusted, also where that is a private one.
        self._trusted = frozenset({urlsplit(self._base).netloc}) if self._base != API else frozenset()

    def readiness(self) -> Readiness:
        """Whether there is a key. Nobody is asked whether it is a good one."""
        if self._key is None:
            return Readiness("unavailable", f"no API key: set {KEY_VARIABLES[0]} or api_key in the config.")
        return Readiness("ready")

    def warm(self) -> None:
        """Nothing to load."""

    async def probe(self) -> Readiness:
        """The account's balance: free to ask for, and only with a key that is good."""
        reply = await self._call("GET", "/v1/organization")
        if not reply.ok:
            raise _refused(reply, self.makes)
        found = reply.json()
        credit = found.get("creditBalance") if isinstance(found, dict) else None
        if not isinstance(credit, int | float):
            raise errors.BadAnswer(f"{_NAME} answered with something that is no account.", sent="yes")
        if credit <= 0:
            raise errors.OutOfCredits(f"The account at {_NAME} is out of credits.", sent="yes")
        return Readiness("ready", f"{credit:,} credits are left.")

    def check(self, request: TaskRequest) -> Mapping[str, str]:
        """Raise what Runway would refuse; returns what it would make otherwise than asked."""
        return create(self._model, request).adjusted

    def parts(self, request: SpeechRequest) -> Sequence[SpeechRequest]:
        """Texts that are short enough, as fast as the model can."""
        return parts(self._model, request)

    def voices(self) -> Sequence[Voice]:
        """Runway's presets, then OpenAI's names, each with its preset. They speak every language of the model."""
        facts = MODELS[self._model]
        if not isinstance(facts, Speech) or facts.voice != "runway-preset":
            return ()
        named = {name: name for name in PRESETS} | VOICES
        return [Voice(name, preset, "mul") for name, preset in named.items()]

    async def submit(self, request: TaskRequest) -> Submitted:
        """Make a task."""
        made = create(self._model, request)
        try:
            reply = await self._call("POST", made.path, made.body)
        except errors.ProviderError as error:
            if error.sent == "yes":  # half an answer came: the task may be there
                error.sent = "maybe"
            raise
        if not reply.ok:
            raise _refused(reply, self.makes)
        try:
            made_task = reply.json()
            name = made_task["id"]
            if not (isinstance(name, str) and 0 < len(name) <= _ID_LIMIT and name.isascii() and name.isprintable()):
                raise TypeError
            return Submitted(name, _usd(made_task.get("estimatedCost")))
        except (errors.BadAnswer, KeyError, TypeError, AttributeError):
            # It said yes, and not under which id: it may be running, and be charged.
            raise errors.BadAnswer(f"{_NAME} took the task, but its answer has no id.", sent="maybe") from None

    async def poll(self, task: str) -> TaskState:
        """One look."""
        reply = await self._call("GET", f"/v1/tasks/{quote(task, safe='')}")
        if reply.status == 404:
            return Failed(errors.Gone(f"{_NAME} no longer knows the task.", sent="yes"))
        if not reply.ok:
            raise _refused(reply, self.makes)
        found = reply.json()
        if not isinstance(found, dict):
            raise errors.BadAnswer(f"{_NAME} answered with something that is no task.", sent="yes")
        return self._state(found)

    async def cancel(self, task: str) -> None:
        """Stop it; what has not begun costs nothing. Of one that has ended the outputs are deleted."""
        reply = await self._call("DELETE", f"/v1/tasks/{quote(task, safe='')}")
        if not reply.ok and reply.status != 404:
            raise _refused(reply, self.makes)

    async def _call(self, method: str, path: str, body: Mapping[str, object] | None = None) -> Reply:
        if self._key is None:
            raise errors.Unavailable(f"There is no key for {_NAME} in this gateway.", reason="no_key")
        headers = {"Authorization": f"Bearer {self._key.get_secret_value()}", "X-Runway-Version": VERSION}
        exchange = Exchange(_NAME, method, self._base + path, headers, json=body, deadlines=_DEADLINES)
        return await self._wire.call(exchange)

    def _state(self, found: Mapping[str, Any]) -> TaskState:
        cost = _usd(found.get("cost"))
        match found.get("status"):
            case "PENDING" | "THROTTLED":
                return Working(0.0)
            case "RUNNING":
                progress = found.get("progress")
                if isinstance(progress, int | float) and not isinstance(progress, bool) and 0 <= progress <= 1:
                    return Working(float(progress))
                return Working(None)
            case "SUCCEEDED":
                outputs = found.get("output")
                if not isinstance(outputs, list) or not all(isinstance(each, str) for each in outputs) or not outputs:
                    raise errors.BadAnswer(f"{_NAME} finished a task without an output.", sent="yes")
                return Done(tuple(Address(each, self._trusted) for each in outputs), Usage(cost_usd=cost))
            case "FAILED":
                code, said = str(found.get("failureCode") or ""), str(found.get("failure") or "")
                return Failed(_failure(code, said, self.makes), cost)
            case "CANCELLED":
                return Failed(errors.Broken(f"The task was cancelled at {_NAME}.", sent="yes"), cost)
        raise errors.BadAnswer(f"{_NAME} answered with a state that nobody knows.", sent="yes")


def _usd(cost: Any) -> float | None:
    """``{"credits": 25}`` in USD; what is no number of credits is unknown."""
    given = cost.get("credits") if isinstance(cost, Mapping) else None
    if isinstance(given, int | float) and not isinstance(given, bool) and 0 <= given < 1e9:
        return round(given * CREDIT, 12)
    return None


def _failure(code: str, said: str, makes: Collection[str]) -> errors.ProviderError:
    """By the families of ``failureCode``, as Runway's list of codes is open.

    Source: https://docs.dev.runwayml.com/errors/task-failures.
    """
    text = f"{_NAME}: {clean(said) or 'the task failed'}"
    families = code.split(".")
    if "SAFETY" in families[:2]:
        return errors.PolicyViolation(text, sent="yes", param="input" if "speech" in makes else "prompt")
    if families[0] == "ASSET":
        return errors.Refused(text, sent="yes", param=next(_ASSETS[kind] for kind in makes))
    if families[0] == "THIRD_PARTY":
        return errors.UpstreamDown(text, sent="yes")
    return errors.Broken(text, sent="yes")


def _refused(reply: Reply, makes: Collection[str]) -> errors.ProviderError:
    try:
        found = reply.json()
    except errors.BadAnswer:
        found = {}
    found = found if isinstance(found, dict) else {}
    said = str(found.get("error") or "")
    if reply.status == 400 and "credits" in said:
        return errors.OutOfCredits(f"The account at {_NAME} is out of credits.", sent="yes")
    issues = found.get("issues")
    first = issues[0] if isinstance(issues, list) and issues and isinstance(issues[0], dict) else {}
    path = first.get("path") or [None]
    told = refusal(_NAME, reply.status, reply.headers, f"{said} {first.get('message') or ''}".strip())
    if isinstance(path, list) and path and isinstance(told, errors.Refused):
        names = _PARAMS | {"promptText": "input"} if "speech" in makes else _PARAMS
        told.param = names.get(str(path[0]), path[0] if isinstance(path[0], str) else None)
    if reply.status in (500, 504):
        # It broke at the request, or something in front of it gave up waiting. Runway documents 502 and 503 as load
        # shedding, to be tried again.
        told.sent = "maybe"
    return told


async def _open(model: str, settings: RunwaySettings, resources: Resources) -> Provider:
    return Runway(model, settings, resources.shared(Wire, Wire))


_MODES = {"Speech": "audio_speech", "Image": "image_generation", "Video": "video_generation"}

VENDOR = Vendor(
    name="runwayml",
    models={
        name: Facts(
            _MODES[type(facts).__name__],
            RunwaySettings,
            price=PRICES.get(name),
            streams=False if isinstance(facts, Speech) else None,
            limits=f"{facts.longest:,} characters (UTF-16)",
        )
        for name, facts in MODELS.items()
    },
    open=_open,
    env={"api_key": KEY_VARIABLES, "api_base": (BASE_VARIABLE,), "polling_timeout": (TIMEOUT_VARIABLE,)},
    docs="https://docs.dev.runwayml.com",
)
