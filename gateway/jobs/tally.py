"""What is counted of jobs while they move, for whoever watches the gateway."""

from __future__ import annotations

from bisect import bisect_left

from gateway.jobs.job import TERMINAL, Job, State

LAGS = (0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0, 120.0, 600.0)
"""Seconds: the upper ends of the classes in which lags are counted; there is one more, without an end."""


class Tally:
    """``living`` jobs by state, now; ``ended`` ones since the start, likewise; how late looks began; bytes kept.

    Where others move jobs too (not ``alone``), the living are not counted here: somebody sets them.
    """

    def __init__(self) -> None:
        self.alone = True
        self.living = dict.fromkeys((state for state in State if state not in TERMINAL), 0)
        self.ended = dict.fromkeys((state for state in State if state in TERMINAL), 0)
        self.lags = [0] * (len(LAGS) + 1)
        self.lag_seconds = 0.0
        self.kept: dict[str, int] = {}

    def known(self, job: Job) -> None:
        """A job was made, or found at the start."""
        if self.alone:
            self.living[job.state] += 1

    def moved(self, before: State, after: State) -> None:
        """A known job went on."""
        if after in TERMINAL:
            self.ended[after] += 1
        if self.alone:
            self.living[before] -= 1
            if after not in TERMINAL:
                self.living[after] += 1

    def looked(self, lag: float) -> None:
        """A look began ``lag`` seconds after it was due."""
        self.lags[bisect_left(LAGS, lag)] += 1
        self.lag_seconds += max(0.0, lag)
