"""The thread behind a SQLite file."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.database import Database, Schema

TABLE = Schema(1, "CREATE TABLE numbers (number INTEGER)")


@pytest.mark.parametrize("name", ["numbers.sqlite", None])
async def test_a_cursor_never_leaves_its_thread(tmp_path: Path, name: str | None) -> None:
    """One that is let go of on the loop's thread spoils the statement that runs on the other one."""
    database = Database(None if name is None else tmp_path / name, TABLE)
    db = database.connection
    assert await database.do(lambda: db.execute("INSERT INTO numbers VALUES (1)"), writes=True) is None
    assert await database.do(lambda: db.execute("SELECT number FROM numbers").fetchall()) == [(1,)]
    await database.close()
