"""Looks every few hundredths of a second instead of every five: what else a test does takes less than one of those.

Nothing but the lengths of waits is changed. That Runway's own interval is kept is shown in ``tests/faces``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from pydantic import Field

import providers.runwayml
from gateway.jobs import look, schedule
from gateway.services import keeping
from providers.base.exchange import Deadlines, Fetch
from providers.base.vendor import Facts
from providers.runwayml import RunwaySettings

LOOK = 0.02
"""Seconds between two looks, and at most after a look that failed."""

SILENCE = 2.0
"""Seconds without a byte after which a provider is given up."""


class HastySettings(RunwaySettings):
    """Without the least of five seconds."""

    poll_interval: float = Field(LOOK, gt=0)


def hurry(put: Callable[[object, str, object], None] = setattr) -> None:
    """``put`` is ``monkeypatch.setattr`` in a test; a process of its own needs nothing undone."""
    known = providers.runwayml.VENDOR
    models = {name: Facts(facts.mode, HastySettings) for name, facts in known.models.items()}
    put(providers.runwayml, "VENDOR", replace(known, models=models))
    put(providers.runwayml, "_DEADLINES", Deadlines(first_byte=SILENCE, idle=SILENCE, total=2 * SILENCE))
    put(keeping, "Fetch", partial(Fetch, deadlines=Deadlines(first_byte=SILENCE, idle=SILENCE)))
    put(look, "_STUMBLE", LOOK)
    put(look, "_TRY_CAP", LOOK)
    put(look, "wait_after_error", partial(schedule.wait_after_error, cap=LOOK))
