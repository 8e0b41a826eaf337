"""Who may call. A route is open or needs the key, and says which when it is registered; without a word it needs it."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from enum import Enum
from hashlib import sha256

from gateway.api.http import Header
from gateway.errors import Unauthorized

# In the order in which LiteLLM's proxy looks.
_HEADERS = (b"x-litellm-api-key", b"authorization", b"api-key", b"x-api-key")


class Access(Enum):
    """What a route asks of its caller."""

    KEY = "key"
    OPEN = "open"


class KeyCheck:
    """Compares the caller's key with the master key, in constant time. Without a master key everybody may call."""

    def __init__(self, master_key: str | None) -> None:
        self._digest = None if master_key is None else sha256(master_key.encode()).digest()

    @property
    def enabled(self) -> bool:
        """Whether a key is needed at all."""
        return self._digest is not None

    def check(self, headers: Sequence[Header]) -> None:
        """Raise ``Unauthorized`` unless ``headers`` carry the key."""
        if self._digest is None:
            return
        given = _key(headers)
        if given is None:
            raise Unauthorized(
                "You didn't provide an API key. Send it as 'Authorization: Bearer YOUR_KEY' "
                "(x-litellm-api-key, api-key and x-api-key work too)."
            )
        if not hmac.compare_digest(sha256(given).digest(), self._digest):
            raise Unauthorized("Incorrect API key provided. Ask whoever runs this gateway for one.")


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
