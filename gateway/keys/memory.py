"""Keys in memory: for programs that keep nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

from gateway.keys.amounts import Amounts, Total
from gateway.keys.key import VirtualKey
from gateway.keys.store import MINUTE, AliasTaken


class MemoryKeyStore:
    """A ``KeyStore`` that lives as long as the process."""

    def __init__(self) -> None:
        self._rows: dict[str, tuple[int, VirtualKey | None]] = {}
        self._mark = 0
        self._spent: dict[str, dict[int, Total]] = defaultdict(dict)

    async def put(self, key: VirtualKey) -> None:
        """Write a new key."""
        if await self.get(key.token) is not None:
            raise AliasTaken("the key is there")
        self._checked(key)

    async def change(self, token: str, edit: Callable[[VirtualKey], VirtualKey]) -> VirtualKey:
        """See ``KeyStore``."""
        there = await self.get(token)
        if there is None:
            raise LookupError(token)
        return self._checked(edit(there))

    async def get(self, token: str) -> VirtualKey | None:
        """One key."""
        return self._rows.get(token, (0, None))[1]

    async def delete(self, token: str) -> bool:
        """Forget it."""
        if self._rows.get(token, (0, None))[1] is None:
            return False
        self._write(token, None)
        return True

    async def changed(self, since: int) -> tuple[Sequence[tuple[str, VirtualKey | None]], int]:
        """What was changed after ``since``."""
        return [(token, key) for token, (mark, key) in self._rows.items() if mark > since], self._mark

    async def spent(self, who: str, since: float) -> Total:
        """The sum."""
        total = Total()
        for minute, each in self._spent.get(who, {}).items():
            if minute >= since // MINUTE:
                total.merge(each)
        return total

    def add(self, names: Sequence[str], at: float, amounts: Amounts, sign: int = 1) -> None:
        """Count a call."""
        for who in names:
            self._spent[who].setdefault(int(at // MINUTE), Total()).add(amounts, sign)

    async def close(self) -> None:
        """Nothing is held."""

    def _checked(self, key: VirtualKey) -> VirtualKey:
        others = (each for _, each in self._rows.values() if each is not None and each.token != key.token)
        if key.key_alias is not None and key.key_alias in {each.key_alias for each in others}:
            raise AliasTaken("the alias is taken")
        self._write(key.token, key)
        return key

    def _write(self, token: str, key: VirtualKey | None) -> None:
        self._mark += 1
        self._rows[token] = (self._mark, key)
