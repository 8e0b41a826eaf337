"""Server-sent events, of which only ``data`` counts: https://html.spec.whatwg.org/multipage/server-sent-events.html."""

from __future__ import annotations

from providers.base.errors import BadAnswer

EVENT_CAP = 64 * 1024 * 1024
"""Bytes of the longest event that is taken: ten minutes of sound in base64 are 40 MB."""


class Events:
    """Takes a body in pieces of any size, and gives the data of each event that is whole by then."""

    def __init__(self, vendor: str, cap: int = EVENT_CAP) -> None:
        self._vendor = vendor
        self._cap = cap
        self._line = bytearray()
        self._data: list[bytes] = []
        self._held = 0

    def feed(self, piece: bytes) -> list[bytes]:
        """The events that end in ``piece``. Raises ``BadAnswer`` for one that is too long."""
        found: list[bytes] = []
        *ended, rest = piece.split(b"\n")
        for part in ended:
            self._line += part
            line = bytes(self._line).removesuffix(b"\r")
            self._line.clear()
            if line.startswith(b"data:"):
                self._data.append(line[5:].removeprefix(b" "))
                self._held += len(line)
            elif not line:
                found += self.finish()
        self._line += rest
        if self._held + len(self._line) > self._cap:
            raise BadAnswer(f"{self._vendor} sent an event of more than {self._cap} bytes.", sent="yes")
        return found

    def finish(self) -> list[bytes]:
        """What is left at the body's end, where an empty line after the last event is missing."""
        if self._line.startswith(b"data:"):
            self._data.append(bytes(self._line[5:]).removeprefix(b" ").removesuffix(b"\r"))
        self._line.clear()
        data, self._data, self._held = self._data, [], 0
        return [b"\n".join(data)] if data else []
