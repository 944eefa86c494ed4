"""What an API server answers instead of what was asked for, by what a caller does about it."""

from __future__ import annotations

from typing import Any


class ApiError(Exception):
    """A request failed; ``transient`` tells whether the same request may succeed later."""

    def __init__(
        self,
        *,
        status: int,
        reason: str,
        message: str,
        causes: list[dict[str, Any]] | None = None,
        retry_after: float | None = None,
    ) -> None:
        """Keep the server's own words."""
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.message = message
        self.causes = causes or []
        self.retry_after = retry_after

    @property
    def transient(self) -> bool:
        """Tell whether waiting may help."""
        return self.status == 429 or self.status >= 500


class Unavailable(ApiError):
    """The server cannot be reached, does not answer in time, or fails inside."""


class TooManyRequests(ApiError):
    """The server asks for patience (``retry_after`` seconds)."""


class Unauthorized(ApiError):
    """The server does not accept the credentials."""


class Forbidden(ApiError):
    """The request is not allowed: by access rules, a quota or an admission policy."""


class NotFound(ApiError):
    """The object, or its kind, is not there."""


class Conflict(ApiError):
    """The object is not as the request supposes: version, uid, or a field's owner."""


class AlreadyExists(Conflict):
    """An object of that name is there already."""


class Gone(ApiError):
    """The resource version is too old to go on from; list again."""


class Invalid(ApiError):
    """The object breaks the rules of its kind."""


_BY_STATUS: dict[int, type[ApiError]] = {
    400: Invalid,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Gone,
    422: Invalid,
    429: TooManyRequests,
}


def error_from(status: int, body: Any, *, retry_after: float | None = None) -> ApiError:
    """Make the right error from a response's status code and Status body."""
    known = body if isinstance(body, dict) else {}
    reason = known.get("reason", "")
    kind = _BY_STATUS.get(status, Unavailable if status >= 500 else ApiError)
    if reason == "AlreadyExists":
        kind = AlreadyExists
    details = known.get("details") or {}
    if retry_after is None and details.get("retryAfterSeconds"):
        retry_after = float(details["retryAfterSeconds"])
    return kind(
        status=status,
        reason=reason or kind.__name__,
        message=known.get("message") or f"the API server answered {status}",
        causes=details.get("causes"),
        retry_after=retry_after,
    )
