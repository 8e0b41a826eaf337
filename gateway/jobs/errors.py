"""What can go wrong with a job, and what its caller is told then."""

from __future__ import annotations

from gateway.database import StoreError as StoreError
from gateway.errors import GatewayError
from gateway.jobs.job import Fault
from providers.base.errors import ProviderError


class Conflict(StoreError):
    """Somebody else changed the row first (or it is gone, or its id is taken): read it again and decide anew."""


class IllegalMove(Exception):
    """A move that ``MOVES`` does not have: a defect in the caller."""


class UnknownJob(LookupError):
    """There is no such row."""


class SubmissionUnknown(GatewayError):
    """502: it was sent, and nobody can know whether the provider took it. It is never sent again."""

    status = 502
    code = "submission_unknown"
    sent = "maybe"


UNKNOWN = Fault(
    "The task was being submitted when the connection or the gateway broke. The provider may have taken it and may "
    "have charged for it; it was not repeated.",
    code="submission_unknown",
    kind="server_error",
    status=502,
)
INTERRUPTED = Fault(
    "The gateway stopped before the task was sent. Nothing was charged; the call may be repeated.",
    code="interrupted",
    kind="server_error",
    status=503,
)
LOST = Fault(
    "The provider finished the task, but its output could not be copied.",
    code="output_lost",
    kind="server_error",
    status=502,
)


def fault_of(error: ProviderError) -> Fault:
    """What a provider's error becomes in the row."""
    return Fault(str(error), code=error.code, kind=error.kind, status=error.status, param=error.param)
