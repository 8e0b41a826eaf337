"""What a provider can answer instead of media. Status, code and what may be done next are data on the class."""

from __future__ import annotations

from typing import ClassVar, Literal

Sent = Literal["no", "maybe", "yes"]


class ProviderError(Exception):
    """Base. ``str(error)`` is shown to the caller, so it holds no secret and no address of ours.

    ``status`` and ``code`` are what the caller gets. ``retryable``: the same provider may do better a moment later.
    ``falls_back``: another deployment may be asked instead. ``sent``: whether the request had left for the vendor
    (``"maybe"`` = nobody can know), which decides whether a paid request may be made again.
    """

    status: ClassVar[int] = 502
    code: ClassVar[str] = "provider_error"
    kind: ClassVar[str] = "server_error"
    retryable: ClassVar[bool] = False
    falls_back: ClassVar[bool] = True

    def __init__(
        self, message: str, *, sent: Sent = "no", param: str | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.sent = sent
        self.param = param
        self.retry_after = retry_after


class PullError(Exception):
    """A model's files could not be fetched. ``str(error)`` is for the person at the keyboard."""


class Refused(ProviderError):
    """The request is wrong, here and on a second try. ``param`` names the field in OpenAI's words."""

    status = 400
    code = "invalid_value"
    kind = "invalid_request_error"
    falls_back = False


class Unsupported(Refused):
    """An option that this model cannot honour; ``param`` names it. Never dropped in silence."""

    code = "unsupported_parameter"


class PolicyViolation(Refused):
    """The provider's rules forbid what was asked for."""

    code = "content_policy_violation"


class Busy(ProviderError):
    """Full for now: ``retry_after`` seconds from now is worth a try."""

    status = 429
    code = "engine_overloaded"
    kind = "rate_limit_error"
    retryable = True


class Unavailable(ProviderError):
    """The model cannot serve at all until somebody mends something. ``reason`` is a short token for headers."""

    status = 503
    code = "model_not_ready"

    def __init__(self, message: str, *, reason: str = "not_ready") -> None:
        super().__init__(message)
        self.reason = reason


class Broken(ProviderError):
    """The provider took the request and failed at it."""

    status = 500
    code = "generation_failed"


class UpstreamAuth(ProviderError):
    """The provider refused our credentials: a fault of the configuration, never of the caller's key."""

    code = "provider_auth"


class OutOfCredits(ProviderError):
    """The account at the provider has nothing left."""

    status = 402
    code = "insufficient_quota"
    kind = "insufficient_quota"


class RateLimited(ProviderError):
    """The provider asks for a pause; ``retry_after`` seconds where it says how long."""

    status = 429
    code = "rate_limit_exceeded"
    kind = "rate_limit_error"
    retryable = True


class UpstreamDown(ProviderError):
    """The provider cannot be reached, hung up, or answered with a fault of its own."""

    code = "provider_unavailable"
    retryable = True


class UpstreamTimeout(ProviderError):
    """The provider did not answer in time."""

    status = 504
    code = "provider_timeout"
    retryable = True


class BadAnswer(ProviderError):
    """The provider's answer makes no sense: not HTTP, not JSON, cut short, larger than is taken."""

    code = "provider_bad_answer"


class Gone(BadAnswer):
    """There is no output at its address (any more); a fresh look at the task may give another address."""

    code = "output_expired"


class AddressRefused(Refused):
    """A caller's address leads to where the gateway does not go."""

    code = "invalid_url"


class OutputRefused(AddressRefused):
    """The same for an output's address: the provider's fault, and another may do better."""

    status = 502
    code = "provider_bad_answer"
    kind = "server_error"
    falls_back = True
