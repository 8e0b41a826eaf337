"""OpenAI's SDK over lines that lose answers: it tries again by itself, and nothing is charged twice."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.chaos.line import FATES
from tests.chaos.lost import lose

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


async def test_one_charge_a_call_over_lossy_lines(tmp_path: Path) -> None:
    """Pictures, speech and films; of ten answers three are lost, cut in half or late. The waits of both go on at once.

    What was lost between the gateway and Runway may be charged: it is never sent again, and the caller is told.
    """
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    one, two = await asyncio.gather(
        lose(60, 0.3, 0.0, seed=5, at_once=60, folder=tmp_path / "one"),
        lose(60, 0.3, 0.3, seed=6, at_once=60, folder=tmp_path / "two"),
    )
    assert one.wrong == two.wrong == []
    assert all(count[fate] for count in (one.client, two.upstream) for fate in FATES)
    assert one.ends.keys() <= {"ok", "connection"}
    assert one.rows.keys() == {"completed"}
    assert one.charges == {1: 60}
    assert two.ends["ok"] > 20
    assert two.ends["submission_unknown"] > 5
    assert max(two.charges) == 1
