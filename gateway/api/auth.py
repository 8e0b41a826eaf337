"""Who may call. A route is open or needs the key, and says which when it is registered; without a word it needs it."""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Sequence
from enum import Enum
from hashlib import sha256
from urllib.parse import urlsplit

from gateway.api.http import Header
from gateway.errors import Forbidden, Unauthorized

# In the order in which LiteLLM's proxy looks.
_HEADERS = (b"x-litellm-api-key", b"authorization", b"api-key", b"x-api-key")


class Access(Enum):
    """What a route asks of its caller."""

    KEY = "key"
    OPEN = "open"


class KeyCheck:
    """Compares the caller's key with the master key, in constant time.

    Without a master key whoever reaches the server may call, except pages of other sites in a browser on this machine
    (their requests carry an ``Origin``): unless ``everybody``, only loopback origins are let in then.
    """

    def __init__(self, master_key: str | None, *, everybody: bool = False) -> None:
        self._digest = None if master_key is None else sha256(master_key.encode()).digest()
        self._everybody = everybody

    @property
    def enabled(self) -> bool:
        """Whether a key is needed at all."""
        return self._digest is not None

    def owner(self, headers: Sequence[Header]) -> str:
        """A digest of the caller's key, by which what it made is found again; empty where there are no keys."""
        given = _key(headers) if self.enabled else None
        return "" if given is None else sha256(b"owner:" + given).hexdigest()

    def check(self, headers: Sequence[Header]) -> None:
        """Raise ``Unauthorized`` unless ``headers`` carry the key, ``Forbidden`` for a page of another site."""
        if self._digest is None:
            if not self._everybody:
                _check_origin(headers)
            return
        given = _key(headers)
        if given is None:
            raise Unauthorized(
                "You didn't provide an API key. Send it as 'Authorization: Bearer YOUR_KEY' "
                "(x-litellm-api-key, api-key and x-api-key work too)."
            )
        if not hmac.compare_digest(sha256(given).digest(), self._digest):
            raise Unauthorized("Incorrect API key provided. Ask whoever runs this gateway for one.")


def is_loopback(host: str) -> bool:
    """Whether a host name or address means this machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _check_origin(headers: Sequence[Header]) -> None:
    origin = next((value for key, value in headers if key == b"origin"), None)
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


def _key(headers: Sequence[Header]) -> bytes | None:
    for name in _HEADERS:
        for key, value in headers:
            if key == name:
                bare = value.strip()
                if bare[:7].lower() == b"bearer ":
                    bare = bare[7:].strip()
                elif name == b"authorization":
                    bare = b""  # another scheme, such as Basic
                if bare:
                    return bare
    return None
