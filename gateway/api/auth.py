"""Who may call. A route is open, needs a key or the master key, and says which when it is registered; without a word
it needs a key."""

from __future__ import annotations

import hmac
import ipaddress
import time
from collections.abc import Callable
from enum import Enum
from hashlib import sha256
from urllib.parse import urlsplit

from gateway.api.http import Headers
from gateway.errors import Forbidden, Unauthorized
from gateway.keys.periods import told
from gateway.keys.ring import Keyring
from gateway.record import Who

# In the order in which LiteLLM's proxy looks.
_HEADERS = (
    b"x-litellm-api-key",
    b"authorization",
    b"api-key",
    b"x-api-key",
    b"x-goog-api-key",
    b"ocp-apim-subscription-key",
)


_END_USER_HEADERS = (b"x-litellm-customer-id", b"x-litellm-end-user-id")


class Access(Enum):
    """What a route asks of its caller."""

    KEY = "key"
    OPEN = "open"


class KeyCheck:
    """Compares the caller's key with the master key, in constant time, and looks it up among the virtual keys.

    Without a master key whoever reaches the server may call, except pages of other sites in a browser on this machine
    (their requests carry an ``Origin``): unless ``everybody``, only loopback origins are let in then. Virtual keys are
    not looked at then. ``ring`` is asked for at each call; ``header`` is looked into before all others;
    ``user_header`` names the end user, after LiteLLM's own.
    """

    def __init__(
        self,
        master_key: str | None,
        ring: Callable[[], Keyring | None] = lambda: None,
        *,
        header: str | None = None,
        user_header: str | None = None,
        everybody: bool = False,
    ) -> None:
        self._digest = None if master_key is None else sha256(master_key.encode()).hexdigest()
        self._ring = ring
        self._headers = _HEADERS if header is None else (header.encode(), *_HEADERS)
        self.end_user_headers = (*_END_USER_HEADERS, *([] if user_header is None else [user_header.encode()]))
        self._everybody = everybody

    def owner(self, headers: Headers) -> str:
        """A digest of the caller's key, by which what it made is found again; empty where there are no keys."""
        given = None if self._digest is None else self._key(headers)
        return "" if given is None else sha256(b"owner:" + given).hexdigest()

    def check(self, headers: Headers) -> Who:
        """Who calls. Raises ``Unauthorized`` where that is nobody known, ``Forbidden`` for a page of another site."""
        if self._digest is None:
            if not self._everybody:
                _check_origin(headers)
            return Who()
        given = self._key(headers)
        if given is None:
            raise Unauthorized(
                "You didn't provide an API key. Send it as 'Authorization: Bearer YOUR_KEY' "
                "(x-litellm-api-key, api-key and x-api-key work too)."
            )
        token = sha256(given).hexdigest()
        if hmac.compare_digest(token, self._digest):
            return Who()
        ring = self._ring()
        key = None if ring is None else ring.find(token)
        if key is None:
            raise Unauthorized("Incorrect API key provided. Ask whoever runs this gateway for one.")
        if key.blocked:
            raise Unauthorized("This key is blocked. Ask whoever runs this gateway.", code="key_blocked")
        if key.expires is not None and key.expires <= time.time():
            raise Unauthorized(f"This key expired at {told(key.expires)}.", code="expired_key")
        return Who(token, key.key_alias or key.key_name, admin=False, user=key.user_id or "", tags=key.tags)

    def check_admin(self, headers: Headers) -> Who:
        """The same; raises ``Forbidden`` for a virtual key."""
        who = self.check(headers)
        if not who.admin:
            raise Forbidden("This needs the master key.", code="admin_only")
        return who

    def _key(self, headers: Headers) -> bytes | None:
        for name in self._headers:
            if name in headers:
                bare = headers[name].strip()
                if bare[:7].lower() == b"bearer ":
                    bare = bare[7:].strip()
                elif name == b"authorization":
                    bare = b""  # another scheme, such as Basic
                if bare:
                    return bare
        return None


def is_loopback(host: str) -> bool:
    """Whether a host name or address means this machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _check_origin(headers: Headers) -> None:
    origin = headers.get(b"origin")
    if origin is not None:
        try:
            host = urlsplit(origin.decode("latin-1")).hostname or ""
        except ValueError:
            host = ""
        if not is_loopback(host):
            raise Forbidden(
                "Without a master key, pages of other sites may not call this gateway. "
                "Set general_settings.master_key, or start it with --no-auth."
            )
