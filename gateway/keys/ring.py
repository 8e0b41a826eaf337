"""Every key that there is, at hand: looked up without waiting, and never older than a blink."""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import Awaitable, Callable

from gateway.database import StoreError
from gateway.keys.key import VirtualKey
from gateway.keys.store import KeyStore

REFRESH_SECONDS = 0.5
"""How long a change that another process has made may go unseen."""

_log = logging.getLogger(__name__)


class Keyring:
    """The keys of a store that is opened when it is first needed.

    ``there`` says whether there may be keys already; ``open_store`` opens the store, and makes it. Only keys that exist
    are held: an unknown one costs no memory.
    """

    def __init__(self, there: Callable[[], Awaitable[bool]], open_store: Callable[[], Awaitable[KeyStore]]) -> None:
        self._there = there
        self._open = open_store
        self._opening = asyncio.Lock()
        self._store: KeyStore | None = None
        self._mark = 0
        self._keys: dict[str, VirtualKey] = {}
        self._loop: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Read every key, and begin to look for changes. Raises ``StoreError``."""
        await self.refresh()
        self._loop = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Stop looking, and close the store."""
        if self._loop is not None:
            self._loop.cancel()
            await asyncio.wait([self._loop])
        if self._store is not None:
            await self._store.close()

    def find(self, token: str) -> VirtualKey | None:
        """The key with this hash."""
        key = self._keys.get(token)
        return key if key is not None and hmac.compare_digest(key.token, token) else None

    async def store(self) -> KeyStore:
        """The store, opened. Raises ``StoreError``."""
        async with self._opening:
            if self._store is None:
                self._store = await self._open()
            return self._store

    async def refresh(self) -> None:
        """See now what others have changed. Raises ``StoreError``."""
        if self._store is None and not await self._there():
            return
        changed, self._mark = await (await self.store()).changed(self._mark)
        for token, key in changed:
            if key is None:
                self._keys.pop(token, None)
            else:
                self._keys[token] = key

    async def _run(self) -> None:
        failing = ""
        while True:
            await asyncio.sleep(REFRESH_SECONDS)
            try:
                await self.refresh()
                failing = ""
            except StoreError as error:
                if str(error) != failing:  # once, not twice a second
                    failing = str(error)
                    _log.error("changes of keys are not seen: %s", error)
