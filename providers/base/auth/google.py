"""Access tokens of Google's, from a service account or the machine's own credentials, refreshed off the event loop.

https://cloud.google.com/docs/authentication/application-default-credentials. google-auth does the work, on a thread;
what it sends goes through the house's one HTTP client.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import google.auth
from google.auth import exceptions
from google.oauth2 import credentials as oauth2
from google.oauth2 import service_account

from providers.base import errors
from providers.base.exchange import Deadlines, Exchange
from providers.base.wire import Wire

FILE_VARIABLE = "GOOGLE_APPLICATION_CREDENTIALS"

SCOPE = "https://www.googleapis.com/auth/cloud-platform"

_NAME = "Google's sign-in"


@dataclass(frozen=True, slots=True)
class _Response:
    status: int
    headers: Mapping[str, str]
    data: bytes


class _Transport:
    """For google-auth, on its thread: the exchange itself happens on the event loop."""

    def __init__(self, wire: Wire, loop: asyncio.AbstractEventLoop) -> None:
        self._wire = wire
        self._loop = loop

    def __call__(
        self,
        url: str,
        method: str = "GET",
        body: bytes | str | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        **_: Any,
    ) -> _Response:
        seconds = min(timeout or 20.0, 30.0)
        deadlines = Deadlines(connect=min(seconds, 5.0), first_byte=seconds, idle=seconds, total=2 * seconds)
        data = body.encode() if isinstance(body, str) else body
        exchange = Exchange(_NAME, method, url, dict(headers or {}), data=data, deadlines=deadlines, cap=1 << 20)
        try:
            reply = asyncio.run_coroutine_threadsafe(self._wire.call(exchange), self._loop).result()
        except errors.ProviderError as error:
            raise exceptions.TransportError(str(error)) from None
        return _Response(reply.status, reply.headers, reply.body)


class GoogleAccount:
    """Who the gateway is to Google. ``source``: the JSON of a service account or an authorized user, or the file
    that it is in; ``None``: what the machine has (``GOOGLE_APPLICATION_CREDENTIALS``, gcloud's, the metadata server's).
    """

    def __init__(self, source: str | None, wire: Wire) -> None:
        self._source = source
        self._wire = wire
        self._credentials: Any = None
        self._refreshing: asyncio.Task[None] | None = None
        self.project: str | None = None

    async def headers(self) -> dict[str, str]:
        """The header of a call; afterwards ``project`` is known, where the credentials say it.

        Raises ``Unavailable`` (there are no credentials), ``UpstreamAuth`` and ``UpstreamDown``, all of them unsent.
        """
        if self._credentials is None or not self._credentials.valid:
            if self._refreshing is None or self._refreshing.done():
                self._refreshing = asyncio.create_task(self._refresh())
                self._refreshing.add_done_callback(_seen)
            await asyncio.shield(self._refreshing)  # one who leaves must not stop it for the others
        return {"Authorization": f"Bearer {self._credentials.token}"}

    async def close(self) -> None:
        """Wait for nobody."""
        if self._refreshing is not None:
            self._refreshing.cancel()

    async def _refresh(self) -> None:
        request = _Transport(self._wire, asyncio.get_running_loop())
        try:
            await asyncio.to_thread(self._load_and_refresh, request)
        except exceptions.TransportError:
            raise errors.UpstreamDown(f"{_NAME} cannot be reached, or did not answer in time.") from None
        except exceptions.RefreshError:
            raise errors.UpstreamAuth(f"{_NAME} refused the credentials of this gateway.") from None
        except (
            exceptions.GoogleAuthError,
            OSError,
            ValueError,
            LookupError,
            TypeError,
            AttributeError,
            ArithmeticError,
            RecursionError,
        ):
            text = "There are no credentials for Google in this gateway, or they cannot be read."
            raise errors.Unavailable(text, reason="no_key") from None

    def _load_and_refresh(self, request: _Transport) -> None:
        """On a thread: reads files, signs, waits for answers."""
        if self._credentials is None:
            self._credentials, self.project = self._load(request)
        self._credentials.refresh(request)

    def _load(self, request: _Transport) -> Any:
        """The credentials and their project."""
        source = self._source or os.environ.get(FILE_VARIABLE)
        if source is not None:
            info = json.loads(source if source.lstrip().startswith("{") else Path(source).read_text("utf-8"))
            match info["type"]:
                case "service_account":
                    made = service_account.Credentials.from_service_account_info(info, scopes=[SCOPE])
                    return made, made.project_id
                case "authorized_user":
                    return oauth2.Credentials.from_authorized_user_info(info, scopes=[SCOPE]), info.get(
                        "quota_project_id"
                    )
            if self._source is not None:
                raise ValueError
        return google.auth.default(scopes=[SCOPE], request=request)


def _seen(task: asyncio.Task[None]) -> None:
    """asyncio complains of a failure that nobody stayed for."""
    if not task.cancelled():
        task.exception()
