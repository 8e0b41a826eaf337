"""What all calls share: their options, how they reach the services, and what goes wrong, in the SDK's words."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from engines.media import ByteStream
from gateway.api.errors import invalid
from gateway.api.fields import Upload
from gateway.api.served import served_headers
from gateway.build import Services
from gateway.config import ConfigError
from gateway.data import DataFolderError
from gateway.database import StoreError
from gateway.errors import GatewayError, InvalidRequest
from gateway.policy.attempts import Wishes
from gateway.record import Cost, Record, Who
from gateway.sdk import errors
from gateway.sdk.house import CALL, House, shown, split
from gateway.services.caller import Caller
from gateway.services.hooks import HookError
from gateway.services.served import Served
from providers.base.errors import ProviderError, Unavailable

HOUSE = House()

B = TypeVar("B", bound=BaseModel)
_NO_KEY = "Give api_key with the call, or set the provider's environment variable."


class Options(BaseModel):
    """Keyword arguments that are for the gateway. ``timeout``: seconds until the answer begins."""

    model_config = ConfigDict(extra="allow", allow_inf_nan=False)

    timeout: Annotated[float, Field(gt=0)] | None = None
    max_retries: Annotated[int, Field(ge=0, le=100)] | None = None
    num_retries: Annotated[int, Field(ge=0, le=100)] | None = None
    fallbacks: tuple[str, ...] | None = None
    disable_fallbacks: bool = False
    metadata: dict[str, Any] | None = None
    litellm_metadata: dict[str, Any] | None = None
    tags: tuple[str, ...] = ()
    user: Annotated[str, Field(max_length=256)] = ""
    extra_body: dict[str, Any] | None = None

    def caller(self, kind: str, model: str) -> Caller:
        """Who asks, and how it shall be answered."""
        said = [
            metadata["tags"] for metadata in (self.metadata, self.litellm_metadata) if metadata and "tags" in metadata
        ]
        tags = (*self.tags, *(str(tag) for each in said for tag in each))
        record = Record(
            secrets.token_hex(16), f"/{kind}", kind=kind, model=model, who=Who(end_user=self.user, tags=tags)
        )
        retries = self.max_retries if self.num_retries is None else self.num_retries
        wishes = Wishes(self.fallbacks, not self.disable_fallbacks, retries, self.timeout, frozenset(tags))
        return Caller(route=record.route, key=record.id, record=record, wishes=wishes)


# What LiteLLM has and nothing here needs: these values change nothing there either.
HOLLOW = ("client", "optional_params", "extra_headers", "extra_query", "headers", "aspeech", "logger_fn")


class Call:
    """One call: its options, where it goes, and what it was called with."""

    def __init__(self, kind: str, model: object, given: Mapping[str, Any]) -> None:
        if not isinstance(model, str) or not model:
            raise InvalidRequest(
                "Missing required parameter: 'model'.", param="model", code="missing_required_parameter"
            )
        given = {name: value for name, value in given.items() if value is not None}
        for name in HOLLOW:
            if given.pop(name, None):
                raise unknown(name)
        self.account, rest = split(model, given)
        options = validated(Options, rest)
        self.kind, self.model, self.group = kind, model, model
        self.caller = options.caller(kind, model)
        self.fields = {**(options.model_extra or {}), **(options.extra_body or {})}

    async def opened(self, *, lasting: bool = False) -> Services:
        """The services, with the deployments of the model and its fallbacks in them."""
        services = await HOUSE.services(lasting=lasting)
        self.group = await HOUSE.model(services, self.model, self.account)
        wishes = self.caller.wishes
        if wishes.fallbacks:
            groups = [await HOUSE.model(services, each, {}) for each in wishes.fallbacks]
            self.caller = replace(self.caller, wishes=replace(wishes, fallbacks=tuple(groups)))
        return services

    def body(self, shape: type[B], **fields: Any) -> B:
        """The body that the server would be sent. What it says of guards and of the cache holds."""
        named = {name: value for name, value in fields.items() if value is not None}
        model = {"model": self.group} if "model" in shape.model_fields else {}
        body = validated(shape, {**model, **named, **self.fields})
        self.caller = replace(self.caller, guardrails=getattr(body, "guardrails", None) or ())
        if (cache := getattr(body, "cache", None)) is not None:
            self.caller = replace(self.caller, cache=cache.wishes())
        return body

    def hidden(self, served: Served, cost: Cost | None) -> dict[str, Any]:
        """``_hidden_params`` of the answer."""
        headers = {name.decode(): shown(value.decode()) for name, value in served_headers(served)}
        return {
            "response_cost": None if cost is None else cost.usd,
            "cost_certainty": "unknown" if cost is None else cost.certainty,
            "model_id": served.deployment,
            "custom_llm_provider": served.provider,
            "litellm_call_id": self.caller.record.id,
            "additional_headers": headers,
        }


async def configure(path: str | PathLike[str] | None) -> None:
    """``gateway.sdk.configure``."""
    with told():
        await HOUSE.use(path)


@contextlib.contextmanager
def told(model: object = "") -> Iterator[None]:
    """Errors of the services as those of ``gateway.sdk.errors``."""
    name = model if isinstance(model, str) else ""
    try:
        yield
    except (GatewayError, ProviderError) as error:
        kind = errors.BY_CODE.get(error.code or "") or errors.BY_STATUS.get(error.status, errors.InternalServerError)
        text = shown(str(error))
        if isinstance(error, Unavailable) and error.reason == "no_key":
            kind, text = errors.AuthenticationError, f"{text} {_NO_KEY}"
        raise kind(
            text,
            code=error.code,
            param=error.param,
            type=error.kind,
            model=name,
            retry_after=error.retry_after,
        ) from error
    except ConfigError as error:
        faults = [problem for problem in error.problems if problem.severity == "error"]
        if faults[0].file == CALL:  # not in a file of the caller's: it was made of a call
            param = faults[0].where.rpartition(".")[2]
            wrong = f"{param} {faults[0].message}" + (f" ({faults[0].hint})" if faults[0].hint else "")
        else:
            param, wrong = None, "\n".join(map(str, faults))
        raise errors.BadRequestError(
            wrong, param=param, code="invalid_value", type="invalid_request_error", model=name
        ) from error
    except (DataFolderError, StoreError, HookError) as error:
        raise errors.ServiceUnavailableError(str(error), code="overloaded", model=name) from error


def unknown(name: str) -> InvalidRequest:
    """An option that would change nothing."""
    return InvalidRequest(f"'{name}' is not known here: nothing of it would be used.", param=name)


def validated(shape: type[B], given: Mapping[str, Any]) -> B:
    """Raises ``InvalidRequest``."""
    try:
        return shape.model_validate(given)
    except ValidationError as error:
        raise invalid(error) from None


async def whole(chunks: ByteStream) -> bytes:
    """All of them; they are closed."""
    try:
        return b"".join([piece async for piece in chunks])
    finally:
        await chunks.aclose()


async def upload(given: Any) -> Any:
    """A file that a caller names, has opened or has read, as an upload; what is none of these as it is."""
    if isinstance(given, tuple) and len(given) > 1:
        made = await upload(given[1])
        return Upload(made.data, str(given[0])) if isinstance(made, Upload) else given
    if isinstance(given, bytes | bytearray):
        return Upload(bytes(given))
    if isinstance(given, str) and not given.startswith(("http://", "https://", "data:")) and len(given) < 4096:
        given = Path(given)
    if isinstance(given, PathLike):
        path = Path(given)
        try:
            return Upload(await asyncio.to_thread(path.read_bytes), path.name)
        except OSError as error:
            raise InvalidRequest(f"{path} cannot be read: {error.strerror}.") from error
    if hasattr(given, "read"):
        return Upload(await asyncio.to_thread(given.read), Path(str(getattr(given, "name", ""))).name)
    return given
