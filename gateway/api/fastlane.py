"""The outermost ASGI application: ids, errors, limits and the hot routes; everything else goes on to FastAPI.

A hot route is an entry of a dict: no dependency machinery, no middleware stack. Measured with the same upstream at 64
connections, requests a second: FastAPI 1,920, a bare Starlette route 2,970, a plain ASGI endpoint 6,350.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from gateway.api.auth import Access, KeyCheck
from gateway.api.body import ClientGone
from gateway.api.errors import send_error
from gateway.api.health import PROBES
from gateway.api.http import App, Call, Endpoint, Message, Receive, Scope, Send
from gateway.api.served import attempt_headers, plain
from gateway.api.stream import StreamBroken
from gateway.errors import GatewayError, MethodNotAllowed, Overloaded
from gateway.ids import request_id
from gateway.record import Record
from providers.base.errors import ProviderError

_log = logging.getLogger(__name__)
_access = logging.getLogger("gateway.access")


@dataclass(frozen=True, slots=True)
class FastRoute:
    """One hot route. ``operation`` is its OpenAPI description, so that ``/docs`` shows it like any other.

    ``also`` are methods that FastAPI serves on the same path.
    """

    method: str
    path: str
    endpoint: Endpoint
    operation: Mapping[str, Any]
    access: Access = Access.KEY
    also: tuple[str, ...] = ()


class Fastlane:
    """``app`` behind the hot ``routes``. ``draining`` refuses new work while what is under way is finished."""

    def __init__(self, app: App, routes: Iterable[FastRoute], keys: KeyCheck) -> None:
        self._app = app
        self._routes: dict[str, dict[str, FastRoute]] = {}
        for route in routes:
            self._routes.setdefault(route.path, {})[route.method] = route
        self._keys = keys
        self.draining = False
        self._active = 0
        self._idle = asyncio.Event()
        self._idle.set()

    async def idle(self) -> None:
        """Wait until no call is under way."""
        await self._idle.wait()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = next((value for key, value in scope["headers"] if key == b"x-request-id"), None)
        call = Call(scope, receive, send, Record(request_id(given), scope["path"]))
        call.send = _dressed(call, send)
        scope.setdefault("state", {})["call"] = call
        self._active += 1
        self._idle.clear()
        try:
            await self._serve(call)
        except asyncio.CancelledError:  # the server ends, and has waited long enough
            call.record.outcome = "shut down"
            await self._refuse(call, _shutting_down())
        except ClientGone:
            call.record.code, call.record.outcome = "client_gone", "client gone"
        except StreamBroken as error:
            # Returning without the last chunk makes the server cut the connection.
            call.record.code, call.record.outcome = call.record.code or "stream_broken", f"broken: {error}"
        except (GatewayError, ProviderError) as error:
            call.record.outcome = f"{error.code}: {error}"
            await self._refuse(call, error)
        except Exception as error:  # noqa: BLE001 - the last-resort handler
            call.record.outcome = f"crash: {type(error).__name__}"
            _log.exception("request %s crashed", call.record.id)
            await self._refuse(call, GatewayError(f"The gateway failed. Its log has more under {call.record.id}."))
        finally:
            self._active -= 1
            if not self._active:
                self._idle.set()
            _report(call)

    async def _serve(self, call: Call) -> None:
        methods = self._routes.get(call.scope["path"])
        if methods is None:
            if self.draining and call.scope["method"] == "POST":
                raise _shutting_down()
            await self._app(call.scope, call.receive, call.send)
            return
        route = methods.get(call.scope["method"])
        if route is None:
            method, path = call.scope["method"], call.scope["path"]
            others = tuple(each for fast in methods.values() for each in fast.also)
            if method not in others:
                raise MethodNotAllowed(f"Not allowed to {method} on {path}.", (*methods, *others))
            await self._app(call.scope, call.receive, call.send)
            return
        if route.access is Access.KEY:
            self._keys.check(call.scope["headers"])
        if self.draining:
            raise _shutting_down()
        await route.endpoint(call)

    async def _refuse(self, call: Call, error: GatewayError | ProviderError) -> None:
        call.record.code = error.code
        if call.record.status:
            return  # an answer had begun: without its end the server cuts the connection
        declared = call.header(b"content-length") or b"0"
        # A body of unknown or great length that nobody will read is not worth keeping the connection for.
        close = call.header(b"transfer-encoding") is not None or len(declared) > 6
        await send_error(call.send, error, ((b"connection", b"close"),) if close else ())


def _dressed(call: Call, send: Send) -> Send:
    """``send`` that adds to every answer what every answer has."""

    async def dressed(message: Message) -> None:
        if message["type"] == "http.response.start":
            call.record.status = message["status"]
            spent = int(call.record.seconds * 1000)
            message["headers"] = [
                *message.get("headers", ()),
                (b"x-request-id", call.record.id.encode()),
                (b"openai-processing-ms", str(spent).encode()),
                (b"x-content-type-options", b"nosniff"),
                *attempt_headers(call.record),
            ]
            if call.record.guardrails:
                applied = plain(",".join(call.record.guardrails))
                message["headers"].append((b"x-litellm-applied-guardrails", applied))
        elif not message.get("more_body", False):
            call.complete = True
        await send(message)
        if call.record.first_byte is None and message.get("body"):
            call.record.first_byte = call.record.seconds

    return dressed


def _shutting_down() -> Overloaded:
    return Overloaded("This gateway is shutting down; try again.", code="shutting_down", retry_after=1)


def _report(call: Call) -> None:
    """One line a call. No query string and no body: they are the caller's."""
    # The path as it was sent: decoded, it could hold line ends.
    path = call.scope["raw_path"].decode("ascii", "replace")
    level = logging.DEBUG if path in PROBES else logging.INFO
    if _access.isEnabledFor(level):
        record = call.record
        served = f"{record.provider}/{record.group}" if record.provider else ""
        told = {"model": record.model, "served": served, "outcome": record.outcome}
        notes = "".join(f" {name}={value!r}" for name, value in told.items() if value)
        spent = record.seconds * 1000
        _access.log(level, "%s %s %d %.0fms %s%s", call.scope["method"], path, record.status, spent, record.id, notes)
