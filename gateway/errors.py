"""What the gateway itself answers instead of media. Status, type and code are OpenAI's; they are data on the class."""

from __future__ import annotations

from typing import ClassVar

from gateway.jobs.job import Fault


class GatewayError(Exception):
    """Base. ``str(error)`` is shown to the caller. ``param`` names the field at fault, in OpenAI's words."""

    status: ClassVar[int] = 500
    kind: ClassVar[str] = "server_error"
    code: str | None = "internal_error"

    def __init__(
        self, message: str, *, param: str | None = None, code: str | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.param = param
        self.retry_after = retry_after
        if code is not None:
            self.code = code


class InvalidRequest(GatewayError):
    """400: a field is wrong."""

    status = 400
    kind = "invalid_request_error"
    code = "invalid_value"


class Unauthorized(GatewayError):
    """401: no key, or a wrong one."""

    status = 401
    kind = "invalid_request_error"
    code = "invalid_api_key"


class ContentRefused(InvalidRequest):
    """400: a guard of the config refuses a text. ``why`` must not quote the text."""

    code = "content_policy_violation"

    def __init__(self, guard: str, param: str, why: str = "") -> None:
        super().__init__(f"The guardrail '{guard}' refuses '{param}'{f': {why}' if why else ''}.", param=param)


class GuardFailed(GatewayError):
    """500: a guard of the config failed or took too long, so nobody was asked."""

    code = "guardrail_failed"

    def __init__(self, guard: str) -> None:
        super().__init__(f"The guardrail '{guard}' failed, so this call was not made. The gateway's log has more.")


class Forbidden(GatewayError):
    """403: not from there, or not with this key."""

    status = 403
    kind = "invalid_request_error"
    code = "forbidden_origin"


class NotFound(GatewayError):
    """404: no such path."""

    status = 404
    kind = "invalid_request_error"
    code = "not_found"


class UnknownModel(NotFound):
    """404: no such model."""

    code = "model_not_found"


class MethodNotAllowed(GatewayError):
    """405. ``allowed`` are the methods that the path has."""

    status = 405
    kind = "invalid_request_error"
    code = "method_not_allowed"

    def __init__(self, message: str, allowed: tuple[str, ...]) -> None:
        super().__init__(message)
        self.allowed = allowed


class Timeout(GatewayError):
    """504: the task is not done within the time that a call may wait. It goes on; its result can still be fetched."""

    status = 504
    code = "task_timeout"


class TaskFailed(GatewayError):
    """A task ended without an output. What it says is what the provider said; the status is on the instance."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message, param=fault.param, code=fault.code)
        self.status = fault.status  # type: ignore[misc]
        self.kind = fault.kind  # type: ignore[misc]


class BodyTimeout(GatewayError):
    """408: the body did not come in time."""

    status = 408
    kind = "invalid_request_error"
    code = "request_timeout"


class TooLarge(GatewayError):
    """413: the body is over the limit."""

    status = 413
    kind = "invalid_request_error"
    code = "request_too_large"


class OverRate(GatewayError):
    """429: too many calls within a minute, or at once. ``retry_after`` says when there is room."""

    status = 429
    kind = "rate_limit_error"
    code = "rate_limit_exceeded"


class OverQuota(GatewayError):
    """429: a budget has no room for this call. The same call is refused until the budget is renewed or raised."""

    status = 429
    kind = "insufficient_quota"
    code = "insufficient_quota"


class Overloaded(GatewayError):
    """503: not now (shutting down, or too many connections); the same call may work a moment later."""

    status = 503
    code = "overloaded"
