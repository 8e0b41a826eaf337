"""Whatever a vendor answers becomes a result or a mapped error; ``bench/mutated_answers.py`` asks for many more."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable
from pathlib import Path

import pytest

pytest.importorskip("botocore")
pytest.importorskip("google.auth")

from tests.chaos.spoilt import lines, record, spoil
from tests.upstreams.every import every


async def within(work: Awaitable[None]) -> None:
    async with asyncio.timeout(20):
        await work


async def test_no_answer_is_more_than_an_adapter_can_bear(tmp_path: Path) -> None:
    with every(tmp_path) as vendors:
        asked = lines(vendors.config)
        told = [await record(each) for each in asked]
    ends: Counter[str] = Counter()
    for line, answers in zip(asked, told, strict=True):
        ends += await spoil(line, answers, 20, 1, within)
    assert ends.total() == 20 * len(asked) > 300
    assert ends["a result"] < ends.total() / 2
    assert len(ends) > 5
