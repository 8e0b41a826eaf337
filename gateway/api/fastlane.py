"""The outermost ASGI application: ids, errors, limits and the hot routes; everything else goes on to FastAPI.

A hot route is an entry of a dict: no dependency machinery, no middleware stack. Measured with the same upstream at 64
connections, requests a second: FastAPI 1,920, a bare Starlette route 2,970, a plain ASGI endpoint 6,350.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from gateway.api.auth import Access, KeyCheck
from gateway.api.body import ClientGone
from gateway.api.errors import send_error
from gateway.api.health import PROBES
from gateway.api.http import App, Call, Endpoint, Message, Receive, Scope, Send, send_json
from gateway.api.served import answer_headers
from gateway.api.stream import StreamBroken
from gateway.database import StoreError
from gateway.errors import GatewayError, MethodNotAllowed, Overloaded
from gateway.ids import request_id
from gateway.ledger.quote import Quoted
from gateway.record import Record, Who
from gateway.telemetry.ended import Ended
from gateway.telemetry.telling import Telling
from providers.base.errors import ProviderError

Enter = Callable[[Who], Callable[[], None]]
Keep = Callable[[Record], Awaitable[object] | None]
"""Writes a call down as it stands; raises ``StoreError``. ``None``: nothing to wait for."""

UNKEPT = "What this needs cannot be read or written now; the log says why."

_log = logging.getLogger(__name__)


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
    """``app`` behind the hot ``routes``. ``draining`` refuses new work while what is under way is finished.

    ``keep`` writes the calls of hot routes down: each before the last byte of its answer is sent. ``enter`` is asked
    before a hot route, and what it returns is called after it. ``telling`` hears of every call that has ended.
    """

    def __init__(
        self, app: App, routes: Iterable[FastRoute], keys: KeyCheck, watching: tuple[Keep, Enter, Telling]
    ) -> None:
        self._app = app
        self._keep, self._enter, self._telling = watching
        self._routes: dict[str, dict[str, FastRoute]] = {}
        for route in routes:
            self._routes.setdefault(route.path, {})[route.method] = route
        self._keys = keys
        self.draining = False
        self._active = 0
        self._idle = asyncio.Event()

    @property
    def active(self) -> int:
        """How many calls are under way."""
        return self._active

    async def idle(self) -> None:
        """Wait until no call is under way."""
        while self._active:
            self._idle.clear()
            await self._idle.wait()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        call = Call(scope, receive, send, Record("", scope["path"]))
        call.record.id = request_id(call.headers.get(b"x-request-id"))
        call.send = self._dressed(call, send)
        self._active += 1
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
        except Quoted as found:
            call.record.attempts.clear()
            call.record.outcome = "dry run"
            await send_json(call.send, 200, found.answer())
        except (GatewayError, ProviderError) as error:
            call.record.outcome = f"{error.code}: {error}"
            await self._refuse(call, error)
        except Exception as error:  # noqa: BLE001 - the last-resort handler
            call.record.outcome = f"crash: {type(error).__name__}"
            _log.exception("request %s crashed", call.record.id)
            await self._refuse(call, GatewayError(f"The gateway failed. Its log has more under {call.record.id}."))
        finally:
            if call.record.media and not (call.complete and call.record.code == call.noted):
                await self._write(call)  # no last byte was sent, or more is known since
            self._active -= 1
            if not self._active:
                self._idle.set()
            call.send = send  # the dressed one holds the call: nothing shall wait for the collector
            self._telling.later(_ended(call, call.scope["path"] in self._routes))

    async def _serve(self, call: Call) -> None:
        methods = self._routes.get(call.scope["path"])
        if methods is None:
            if self.draining and call.scope["method"] == "POST":
                raise _shutting_down()
            await self._framework(call)
            return
        route = methods.get(call.scope["method"])
        if route is None:
            method, path = call.scope["method"], call.scope["path"]
            others = tuple(each for fast in methods.values() for each in fast.also)
            if method not in others:
                raise MethodNotAllowed(f"Not allowed to {method} on {path}.", (*methods, *others))
            await self._framework(call)
            return
        call.record.media = True
        if route.access is Access.KEY:
            call.record.who = self._keys.check(call.headers)
        if self.draining:
            raise _shutting_down()
        leave = self._enter(call.record.who)
        try:
            await route.endpoint(call)
        except StoreError as error:
            _log.error("request %s: %s", call.record.id, error)
            raise Overloaded(UNKEPT) from error
        finally:
            leave()

    async def _framework(self, call: Call) -> None:
        """What is not hot is FastAPI's; its handlers find the call in the scope, and all earlier ones counted."""
        self._telling.now()
        state = call.scope.setdefault("state", {})
        state["call"] = call
        try:
            await self._app(call.scope, call.receive, call.send)
        finally:
            del state["call"]

    async def _refuse(self, call: Call, error: GatewayError | ProviderError) -> None:
        call.record.code = error.code
        if call.record.status:
            return  # an answer had begun: without its end the server cuts the connection
        declared = call.headers.get(b"content-length") or b"0"
        # A body of unknown or great length that nobody will read is not worth keeping the connection for.
        close = call.headers.get(b"transfer-encoding") is not None or len(declared) > 6
        await send_error(call.send, error, ((b"connection", b"close"),) if close else ())

    def _dressed(self, call: Call, send: Send) -> Send:
        """``send`` that adds to every answer what every answer has, and writes the call down before the last byte."""
        record = call.record

        async def dressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                record.status = message["status"]
                message["headers"] = answer_headers(message.get("headers", ()), record)
                await send(message)
                return
            body = message.get("body", b"")
            if not message.get("more_body", False):
                call.complete = True
                if record.media:
                    if body and record.first_byte is None:
                        record.first_byte = record.seconds
                    await self._write(call)
            await send(message)
            record.sent += len(body)
            if body and record.first_byte is None:
                record.first_byte = record.seconds

        return dressed

    async def _write(self, call: Call) -> None:
        call.noted = call.record.code
        try:
            if (kept := self._keep(call.record)) is not None:
                await kept
        except StoreError as error:
            # What was made is paid for: it is not kept from the caller because we could not write it down.
            _log.error("request %s is not in the ledger: %s", call.record.id, error)
        for each in call.record.writing:
            if not each.done():
                await asyncio.wait([each])


def _shutting_down() -> Overloaded:
    return Overloaded("This gateway is shutting down; try again.", code="shutting_down", retry_after=1)


def _ended(call: Call, hot: bool) -> Ended:
    scope, record = call.scope, call.record
    # The path as it was sent: decoded, it could hold line ends.
    path = scope["raw_path"].decode("ascii", "replace")
    # FastAPI leaves the route that it found in the scope.
    route = scope["path"] if hot else getattr(scope.get("route"), "path", "")
    client = scope["client"][0] if scope.get("client") else ""
    return Ended(
        record, scope["method"], path, route, record.seconds, scope["path"] in PROBES, scope["headers"], client
    )
