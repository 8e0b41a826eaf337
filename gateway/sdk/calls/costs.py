"""What a call would cost, with nobody asked: the prices and the sums of the server's dry run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from gateway.api.bodies import ImageBody, VideoBody
from gateway.api.speech import SpeechBody
from gateway.errors import InvalidRequest
from gateway.ledger.quote import Quoted, quoted
from gateway.sdk.calls.call import Call, told, unknown
from gateway.services.deployments import Deployment
from gateway.services.options import tasks_of
from providers.base.contract import SpeechProvider, SpeechRequest, SpeechTasks, TaskProvider, TaskRequest

# LiteLLM's call types, without the "a" of those that are awaited.
_KINDS = {
    "speech": "speech",
    "image_generation": "image",
    "image_edit": "image",
    "create_video": "video",
    "video_generation": "video",
}
_NOT_OURS = "messages completion total_time region_name custom_pricing base_model".split()

# What a price may count that the call need not say.
_COUNTED = {
    "per_input_token": "input_tokens",
    "per_output_token": "output_tokens",
    "per_audio_second": "audio_seconds",
    "per_video_second": "video_seconds",
    "per_pixel": "size",
}


async def cost(model: object, prompt: str, options: Mapping[str, Any]) -> float:
    """``gateway.sdk.completion_cost`` without an answer: US dollars, at the dearest deployment of the model."""
    with told(model):
        given = {**options, **(options.get("optional_params") or {}), "optional_params": None}
        for name in _NOT_OURS:
            if given.pop(name, None):
                raise unknown(name)
        kind = _kind(given.pop("call_type", None))
        call = Call("cost", model, given)
        services = await call.opened()
        every = [each for each in services.catalog.deployments() if each.entry.model_name == call.group]
        makes = frozenset(kind for each in every for kind in each.makes) & frozenset(_KINDS.values())
        if kind is None and len(makes) == 1:
            (kind,) = makes
        if kind is None or kind not in makes:
            makes_what = ", ".join(sorted(makes)) or "nothing whose cost is known before it is made"
            raise InvalidRequest(f"Give the call_type: the model '{call.model}' makes {makes_what}.", param="call_type")
        request = _request(call, kind, prompt)
        quotes = [quoted(each.entry, each.price, _tasks(each, request)) for each in every if kind in each.makes]
        return max(_known(call.model, quote) for quote in quotes)


def _kind(call_type: object) -> str | None:
    if call_type is None:
        return None
    name = str(getattr(call_type, "value", call_type))
    kind = _KINDS.get(name) or _KINDS.get(name.removeprefix("a"))
    if kind is None:
        raise InvalidRequest(f"call_type must be one of {', '.join(_KINDS)}.", param="call_type")
    return kind


def _request(call: Call, kind: str, prompt: str) -> TaskRequest:
    if kind == "speech":
        call.fields.setdefault("input", prompt)
        return call.body(SpeechBody).request()
    if kind == "image":
        body = call.body(ImageBody, prompt=prompt or "-")  # what it says costs nothing
        return replace(body.request(), n=body.n or 1)
    return call.body(VideoBody, prompt=prompt or "-").request()


def _tasks(deployment: Deployment, request: TaskRequest) -> list[TaskRequest]:
    """What the deployment would be asked for, which may be paid one by one."""
    provider = deployment.provider
    parts: Sequence[TaskRequest] = [request]
    if isinstance(request, SpeechRequest):
        if isinstance(provider, SpeechProvider):
            return [request]
        parts = provider.parts(request) if isinstance(provider, SpeechTasks) else parts
    assert isinstance(provider, TaskProvider), "who does not answer at once makes tasks"
    return [task for part in parts for task in tasks_of(provider, part)]


def _known(model: str, quote: Quoted) -> float:
    """Raises ``InvalidRequest`` where it is not."""
    if quote.cost is not None:
        return quote.cost.usd
    lacking = [
        unit.replace("_", " ")
        for rate, unit in _COUNTED.items()
        if getattr(quote.price, rate, None) and getattr(quote.used, unit) is None
    ]
    if lacking:
        raise InvalidRequest(
            f"What this costs is not known before it is made: the price of '{model}' counts {' and '.join(lacking)}, "
            "which the call does not say.",
            param={"video seconds": "seconds", "size": "size"}.get(lacking[0]),
        )
    raise InvalidRequest(
        f"Nobody knows what this costs at '{model}'. Give a price with the call, such as input_cost_per_character, "
        "output_cost_per_image or output_cost_per_video_per_second.",
        param="model",
    )
