"""Errors as RFC 9457 problem documents: one shape, five members as at every boundary, no upstream text."""

from __future__ import annotations

import json
from typing import Any, ClassVar

from protocol.errors import CaseledgerError

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:caseledger:problem:"


class NotAuthenticated(CaseledgerError):
    """No token, or one that is not a valid login act."""

    http_status = 401
    title = "login needed"


class TokenExpired(NotAuthenticated):
    """The login act's time is over, has not begun, or spans more than ten minutes."""

    title = "login act not valid now"


class WrongAudience(NotAuthenticated):
    """A login act for another gateway; accepting it would let that gateway act as its user."""

    title = "login act for another gateway"


class Forbidden(CaseledgerError):
    """The caller is known and may not do this."""

    http_status = 403
    title = "not allowed"


class NotFound(CaseledgerError):
    """Nothing that this caller may know of is there."""

    http_status = 404
    title = "not found"


class MethodNotAllowed(CaseledgerError):
    """The path exists, the method does not."""

    http_status = 405
    title = "method not allowed"


class UnsupportedMediaType(CaseledgerError):
    """A body in a media type that this route does not read."""

    http_status = 415
    title = "unsupported media type"


class BodyTooLarge(CaseledgerError):
    """More bytes than the route takes; refused while they arrive."""

    http_status = 413
    title = "body too large"


class InvalidRequest(CaseledgerError):
    """A parameter or JSON member that does not have the documented shape."""

    http_status = 422
    title = "request does not have the documented shape"


class IdempotencyConflict(CaseledgerError):
    """The same Idempotency-Key with other content."""

    http_status = 409
    title = "idempotency key used for another request"


class TooManyRequests(CaseledgerError):
    """The organisation's rate is used up."""

    http_status = 429
    retryable = True
    title = "too many requests"

    def __init__(self, detail: str = "", *, retry_after: float = 1.0) -> None:
        super().__init__(detail, hint="send fewer requests, or bulk ones")
        self.retry_after = retry_after


class Unavailable(CaseledgerError):
    """Something this gateway stands on is down; nothing was done."""

    http_status = 503
    retryable = True
    title = "temporarily unavailable"


class InternalError(CaseledgerError):
    """Our fault. The cause is in the log under the request id, never in the answer."""

    http_status = 500
    title = "internal error"


class Problem:
    """An answer: status, headers and body of one error."""

    HEADERS: ClassVar[dict[int, tuple[bytes, bytes]]] = {
        401: (b"www-authenticate", b'Bearer realm="caseledger"'),
    }

    def __init__(self, error: CaseledgerError, request_id: str, status: int | None = None) -> None:
        self.status = status or http_status(error)
        document: dict[str, Any] = {
            "type": TYPE_PREFIX + error.code,
            "status": self.status,
            "instance": "urn:caseledger:request:" + request_id,
            **error.as_dict(),
            **error.more,
        }
        self.body = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
        self.headers: list[tuple[bytes, bytes]] = [
            (b"content-type", MEDIA_TYPE.encode()),
            (b"content-length", str(len(self.body)).encode()),
        ]
        if self.status in self.HEADERS:
            self.headers.append(self.HEADERS[self.status])
        if self.status in (429, 503):
            seconds = max(1, round(float(getattr(error, "retry_after", None) or 1.0)))
            self.headers.append((b"retry-after", str(seconds).encode()))


def http_status(error: CaseledgerError) -> int:
    """The status of an error. Input that this API cannot take is 422, whether bytes or rules are broken;
    400 is left to what is no HTTP."""
    return 422 if error.http_status == 400 else error.http_status
