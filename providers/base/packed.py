"""Media as base64 text, back into bytes."""

from __future__ import annotations

import base64
from contextlib import suppress

from pydantic import ConfigDict, TypeAdapter

_BYTES = TypeAdapter(bytes, config=ConfigDict(val_json_bytes="base64"))


def unpacked(text: str) -> bytes:
    """The bytes that ``text`` is in base64. Raises ``ValueError``, also without padding.

    Five times as fast as the standard library, and without letting go of the interpreter's lock: with databases'
    threads waiting for that, what let go of it for two microseconds cost the loop as much as it had saved.
    """
    if len(text) % 4 == 0 and "-" not in text and "_" not in text:  # it takes less, and the other alphabet, too
        with suppress(ValueError):
            return _BYTES.validate_strings(text)
    return base64.b64decode(text, validate=True)  # which lets bits be left over: what is paid for is not lost by them
