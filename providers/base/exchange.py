"""What is sent and what comes back, with no network in it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic_core import from_json, to_json

from providers.base.egress import Egress
from providers.base.errors import BadAnswer
from providers.base.spool import Spool

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Seconds. ``connect`` for one address, ``first_byte`` from the first byte out to the status in, ``idle`` between
    two pieces of the body, ``total`` from the call to the body's end, waiting for a free connection included.
    """

    connect: float = 5.0
    first_byte: float = 60.0
    idle: float = 60.0
    total: float = 600.0


@dataclass(frozen=True, slots=True)
class Part:
    """One field of a multipart form; with a ``filename`` it is a file."""

    name: str
    value: str | bytes = field(repr=False)
    filename: str | None = None
    media_type: str | None = None


@dataclass(slots=True)
class Exchange:
    """One request to a vendor, whose name is for messages. At most one of ``json``, ``data`` and ``form`` is the body.

    ``cap`` is the largest answer in bytes, as it is after decompression, when it is taken as a whole. ``egress``: where
    it may go, for an address that is not a vendor's; ``None`` is anywhere.
    """

    vendor: str
    method: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    json: Any = field(default=None, repr=False)
    data: bytes | None = field(default=None, repr=False)
    form: tuple[Part, ...] = field(default=(), repr=False)
    deadlines: Deadlines = Deadlines()
    cap: int = 8 * MIB
    egress: Egress | None = None


@dataclass(frozen=True, slots=True)
class Fetch:
    """One output or reference to get. ``cap`` is its largest size in bytes.

    ``headers`` are its credentials, if it needs any; they go to the host and port of ``url`` alone.
    ``param`` names the caller's field that the address came in; without one it is the vendor's, and so are the faults.
    """

    url: str = field(repr=False)
    egress: Egress
    cap: int
    vendor: str = "The provider"
    param: str | None = None
    deadlines: Deadlines = Deadlines(first_byte=30.0, idle=30.0)
    hops: int = 5
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer. ``headers`` have names in lower case; ``spools``: see ``sieve.call``."""

    vendor: str
    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    spools: Mapping[str, Spool] = field(default_factory=dict, repr=False)

    @property
    def ok(self) -> bool:
        """Whether the status is one of the 200s."""
        return 200 <= self.status < 300

    def json(self) -> Any:
        """The body's value. Raises ``BadAnswer`` where it is no JSON."""
        try:
            return json_value(self.body)
        except (ValueError, RecursionError):
            raise BadAnswer(
                f"{self.vendor} answered {self.status} with something that is not JSON.", sent="yes"
            ) from None


def json_text(value: Any) -> bytes:
    """A body in JSON, in UTF-8. Raises ``TypeError``."""
    try:
        return to_json(value)
    except ValueError:
        return json.dumps(value).encode()  # which can write half a character


def json_value(text: bytes | str) -> Any:
    """The value of a JSON text. Raises ``ValueError``, ``RecursionError``."""
    try:
        return from_json(text, cache_strings="keys")  # a tenth of the time, where there is media in it
    except ValueError:
        return json.loads(text)  # which takes half a character too, and other alphabets than UTF-8
