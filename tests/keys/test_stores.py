"""Both stores keep the law; the file is shared with other processes and holds no key."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.inbox import kept
from gateway.keys.amounts import Amounts
from gateway.keys.key import token_of
from gateway.keys.memory import MemoryKeyStore
from gateway.keys.ring import Keyring
from gateway.keys.sqlite import SqliteKeyStore
from gateway.keys.store import KeyStore
from tests.contracts.keys import KeyStoreContract, change, make


class TestMemory(KeyStoreContract):
    @pytest.fixture
    def store(self) -> KeyStore:
        return MemoryKeyStore()


class TestSqlite(KeyStoreContract):
    @pytest.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[KeyStore]:
        store = SqliteKeyStore(tmp_path / "keys.sqlite")
        yield store
        await store.close()
        await store.close()


async def test_two_stores_of_one_file(tmp_path: Path) -> None:
    path = tmp_path / "keys.sqlite"
    one, other = await asyncio.gather(*(asyncio.to_thread(SqliteKeyStore, path) for _ in range(2)))
    keys = [make(f"sk-{number}") for number in range(20)]
    await asyncio.gather(*((one, other)[place % 2].put(key) for place, key in enumerate(keys)))
    for store in (one, other):
        found, mark = await store.changed(0)
        assert {token for token, _ in found} == {key.token for key in keys}
        assert mark == 20
    await kept(one.add(["a"], 0, Amounts(images=1)))
    await kept(other.add(["a"], 0, Amounts(images=1)))
    assert (await other.spent("a", 0)).images >= 1  # it is in the file, where the first one finds it
    assert (await one.spent("a", 0)).images == 2
    assert {stat.S_IMODE(each.stat().st_mode) for each in os.scandir(tmp_path)} == {0o600}
    await one.close()
    await other.close()


async def test_many_open_a_new_file_at_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for number in range(10):
        path = tmp_path / f"{number}.sqlite"
        stores = await asyncio.gather(*(asyncio.to_thread(SqliteKeyStore, path) for _ in range(4)))
        assert len(list(tmp_path.glob(f"{number}.journal-*"))) == 4  # noqa: ASYNC240
        for store in stores:
            await store.close()
    assert caplog.records == []


async def test_a_keyring_sees_what_another_process_writes(tmp_path: Path) -> None:
    path = tmp_path / "keys.sqlite"

    async def there() -> bool:
        return path.exists()

    async def opened() -> KeyStore:
        return SqliteKeyStore(path)

    ring = Keyring(there, opened)
    await ring.start()
    assert not await there()  # who has no keys needs no file
    token = token_of("sk-one")
    assert ring.find(token) is None
    other = SqliteKeyStore(path)
    await other.put(make("sk-one"))
    async with asyncio.timeout(10):
        while ring.find(token) is None:
            await asyncio.sleep(0.02)
    await change(other, make("sk-one", blocked=True))
    await ring.refresh()
    assert ring.find(token).blocked
    await other.delete(token)
    await ring.refresh()
    assert ring.find(token) is None
    assert ring.find("unknown") is None
    await other.close()
    await ring.close()


ROOT = Path(__file__).parent.parent.parent
KILLED = """
import asyncio, os, sys
from pathlib import Path
from gateway.keys.amounts import Amounts
from gateway.keys.limits import Budget, Limits
from gateway.keys.sqlite import SqliteKeyStore

async def main():
    store = SqliteKeyStore(Path(sys.argv[1]))
    async def spending():
        return store
    limits = Limits(spending)
    budget = Budget("k", "This key", {"images": 10})
    settled = await limits.reserve([budget], Amounts(images=3))
    await limits.reserve([budget], Amounts(images=5))  # under way when the process dies
    assert settled.settle() is None  # nothing to wait for
    print("settled", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


def test_settled_spend_survives_kill_9_and_reservations_do_not(tmp_path: Path) -> None:
    path = tmp_path / "keys.sqlite"
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    with process:
        assert process.stdout.readline() == b"settled\n"
        process.send_signal(signal.SIGKILL)

    async def images() -> float:
        store = SqliteKeyStore(path)
        found = await store.spent("k", 0)
        await store.close()
        return found.images

    assert asyncio.run(images()) == 3
