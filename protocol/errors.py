"""The one error root. Every error that leaves a room carries a stable code.

The code is the same in Python, HTTP (RFC 9457), the CLI and, where the rule is a contract's, the name of
the Solidity custom error.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar


class CaseledgerError(Exception):
    """Base of all errors that a caller may see.

    Subclasses are named after their code. `detail` says what is wrong with this input, without personal
    data; `field` names the offending input in the caller's terms; `hint` says what to do about it.
    """

    http_status: ClassVar[int] = 400
    retryable: ClassVar[bool] = False
    title: ClassVar[str] = "request refused"
    more: Mapping[str, Any] = MappingProxyType({})
    """Further members that a boundary shows, where a document of the specification has them."""

    def __init__(self, detail: str = "", *, field: str | None = None, hint: str | None = None) -> None:
        super().__init__(detail or self.title)
        self.detail = detail or self.title
        self.field = field
        self.hint = hint

    @property
    def code(self) -> str:
        """Stable identifier, UpperCamelCase."""
        return type(self).__name__

    def as_dict(self) -> dict[str, str | None]:
        """The five members that every boundary shows."""
        return {
            "code": self.code,
            "title": self.title,
            "detail": self.detail,
            "field": self.field,
            "hint": self.hint,
        }


class MalformedInput(CaseledgerError):
    """Bytes or JSON that do not have the shape that the specification gives."""

    title = "malformed input"


class UnknownVersion(MalformedInput):
    """A version number that this release does not know."""

    title = "unknown version"


class LimitExceeded(MalformedInput):
    """Input larger or deeper than the parser's stated limit."""

    http_status = 413
    title = "input over the limit"
