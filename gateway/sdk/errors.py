"""What the functions raise: classes with the names that OpenAI's and LiteLLM's SDKs have for the same."""

from __future__ import annotations


class APIError(Exception):
    """Base. ``status_code`` is what the server would answer; ``code``, ``param`` and ``type`` are OpenAI's.

    ``retry_after``: seconds after which it is worth another try, where somebody said so.
    """

    status_code = 500

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        type: str = "server_error",  # noqa: A002 - OpenAI's word
        model: str = "",
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.param = param
        self.type = type
        self.model = model
        self.retry_after = retry_after
        self.llm_provider = model.partition("/")[0] if "/" in model else ""


class APIConnectionError(APIError):
    """The provider cannot be reached, or hung up."""


class Timeout(APIError):
    """Not done in time: by the provider, or a task that goes on."""

    status_code = 408


class BadRequestError(APIError):
    """The call is wrong; ``param`` names the field."""

    status_code = 400


class UnsupportedParamsError(BadRequestError):
    """An option that the model cannot honour."""


class ContentPolicyViolationError(BadRequestError):
    """The provider's rules, or a guard of the config, forbid what was asked for."""


class AuthenticationError(APIError):
    """The provider refused the key, or there is none."""

    status_code = 401


class PermissionDeniedError(APIError):
    """Not with this key."""

    status_code = 403


class NotFoundError(APIError):
    """No such model or video, or it is no longer kept."""

    status_code = 404


class RateLimitError(APIError):
    """Too many calls, or the account has nothing left."""

    status_code = 429


class InternalServerError(APIError):
    """The provider failed, or nobody knows whether it took the task (``code`` is ``submission_unknown``)."""


class BadGatewayError(APIError):
    """The provider's answer makes no sense."""

    status_code = 502


class ServiceUnavailableError(APIError):
    """The model cannot answer now; the message says what is missing."""

    status_code = 503


BY_STATUS: dict[int, type[APIError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    402: RateLimitError,
    403: PermissionDeniedError,
    404: NotFoundError,
    408: Timeout,
    413: BadRequestError,
    429: RateLimitError,
    502: BadGatewayError,
    503: ServiceUnavailableError,
    504: Timeout,
}
BY_CODE: dict[str, type[APIError]] = {
    "unsupported_parameter": UnsupportedParamsError,
    "content_policy_violation": ContentPolicyViolationError,
    "provider_auth": AuthenticationError,
    "provider_unavailable": APIConnectionError,
    "insufficient_quota": RateLimitError,
}
