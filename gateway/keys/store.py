"""Where keys are kept, and what was spent with them: the protocol."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

from gateway.database import StoreError
from gateway.keys.amounts import Amounts, Total
from gateway.keys.key import VirtualKey

MINUTE = 60
"""Seconds: spend is kept by the minute."""


class AliasTaken(StoreError):
    """Another key has this ``key_alias``, or there is such a key already."""


class Spending(Protocol):
    """What was spent by whom. Both may raise ``StoreError``.

    Calls take effect in the order in which they are made: ``spent`` counts each ``add`` that was called before it.
    """

    async def spent(self, who: str, since: float) -> Total:
        """All that was added for ``who`` in the minute of ``since`` and later."""

    def add(self, names: Sequence[str], at: float, amounts: Amounts, sign: int = 1) -> asyncio.Future[None] | None:
        """Count a call of each of ``names``, or take it back (``sign`` -1). Kept when that ends; ``None``: already."""


class KeyStore(Spending, Protocol):
    """Several processes may use one store. Every method may raise ``StoreError``; what was written is durable then."""

    async def put(self, key: VirtualKey) -> None:
        """Write a new key. Raises ``AliasTaken``."""

    async def change(self, token: str, edit: Callable[[VirtualKey], VirtualKey]) -> VirtualKey:
        """Write what ``edit`` makes of the key that is there now; nobody else's change is lost.

        ``edit`` may run on another thread. Raises ``LookupError``, ``AliasTaken``.
        """

    async def get(self, token: str) -> VirtualKey | None:
        """One key."""

    async def delete(self, token: str) -> bool:
        """Forget it. Whether it was there. What was spent with it stays."""

    async def changed(self, since: int) -> tuple[Sequence[tuple[str, VirtualKey | None]], int]:
        """Tokens and keys changed after the mark ``since`` (0: all); ``None`` was deleted. Also the new mark."""

    async def close(self) -> None:
        """Let go of everything. Twice is harmless."""
