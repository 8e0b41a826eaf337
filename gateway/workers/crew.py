"""The workers of one server, as each of them sees the others."""

from __future__ import annotations

import json
import os
import secrets
import socket
from collections.abc import MutableMapping
from dataclasses import asdict, dataclass
from pathlib import Path

from gateway.workers.marks import Marks

PLACE = "MEDIA_GATEWAY_WORKER"
"""The variable by which the parent tells a worker its place."""

READY, DRAIN, NOW, LEAVE = b"r", b"d", b"n", b"l"
"""What a worker and its parent say: it serves; finish what is under way; end at once; the others have ended."""

_NAMES = 48  # bits of a name; claims are the numbers above


@dataclass(frozen=True, slots=True)
class Place:
    """``number`` of ``of`` workers. ``listening`` and ``control`` are descriptors that the parent has handed down.

    ``sockets`` is the folder in which the workers find each other. The parent's lock on the data folder is one of the
    descriptors too: it is not let go of before the last of them ends.
    """

    number: int
    of: int
    control: int
    listening: tuple[int, ...]
    sockets: str

    def told(self) -> str:
        """For the variable."""
        return json.dumps(asdict(self))


def place_of(env: MutableMapping[str, str] = os.environ) -> Place | None:
    """This process's place, which its own children are not told; ``None`` where it serves alone."""
    if PLACE not in env:
        return None
    told = json.loads(env.pop(PLACE))
    return Place(**{**told, "listening": tuple(told["listening"])})


class Crew:
    """Who lives, who leads, and who is handing over which call. ``name`` is this process's: no other ever has it.

    The leader is the one that looks at tasks, and does what else is done once.
    """

    def __init__(self, place: Place, marks: Path) -> None:
        self.place = place
        self.leads = place.number == 0
        self.control = socket.socket(fileno=place.control)
        self._marks = Marks(marks)
        self._holders: dict[str, set[object]] = {}
        self.name = f"{secrets.randbits(_NAMES):012x}"
        while not self._marks.take(int(self.name, 16)):
            self.name = f"{secrets.randbits(_NAMES):012x}"

    def alive(self, name: str) -> bool:
        """Whether there is a worker of this name."""
        return name == self.name or (len(name) == len(self.name) and self._marks.held(int(name, 16)))

    def share(self, call: str, holder: object) -> None:
        """``holder`` hands over ``call`` (a fingerprint): no other process may claim it till he drops it."""
        if call in self._holders or self._marks.take(_claim(call), shared=True):
            self._holders.setdefault(call, set()).add(holder)

    def claim(self, call: str, holder: object) -> bool:
        """``holder`` alone hands it over, or others of this process; ``False``: another process does now."""
        if not self._marks.take(_claim(call)):
            return False
        self._holders.setdefault(call, set()).add(holder)
        return True

    def drop(self, call: str, holder: object) -> None:
        """He does so no more. Harmless where he has not."""
        holders = self._holders.get(call, set())
        if holder in holders:
            holders.discard(holder)
            if not holders:
                del self._holders[call]
                self._marks.drop(_claim(call))

    def elsewhere(self, call: str) -> bool:
        """Whether another process hands it over now."""
        return self._marks.held(_claim(call))


def _claim(call: str) -> int:
    return (1 << _NAMES) + int(call[:15], 16)
