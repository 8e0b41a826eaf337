"""Ids that are handed out."""

from __future__ import annotations

import time

from gateway.ids import ordered


def test_they_grow_with_time_and_are_never_the_same() -> None:
    before = time.time_ns() // 1_000_000
    ids = [ordered() for _ in range(5000)]
    after = time.time_ns() // 1_000_000
    assert len({each[12:] for each in ids}) == 5000
    assert {len(each) for each in ids} == {32}
    moments = [int(each[:12], 16) for each in ids]
    assert before <= moments[0] <= moments[-1] <= after
    assert moments == sorted(moments)
    int("".join(ids), 16)  # digits and nothing else
