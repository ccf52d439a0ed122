"""Cursors of lists of cases: opaque, checked against damage, and good only for the list that gave them.

A cursor is no right: who may see what is asked again on every page.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from dataclasses import dataclass
from enum import StrEnum

from cases.errors import CursorInvalid
from protocol.hashing import sha256

_TAG = b"caseledger/case-cursor/v1"
_VERSION = 1
_DIGEST, _CHECK, _TIME, _ID = 8, 8, 8, 32
_LONGEST = 160


class Sort(StrEnum):
    """The orders of a list."""

    CASE = "case"
    DEADLINE = "deadline"


@dataclass(frozen=True)
class Key:
    """Place in a list: the last row seen. `deadline` 0 in the order of cases."""

    case_id: bytes
    deadline: int = 0


def encode(sort: Sort, filters: bytes, key: Key) -> str:
    """A cursor; `filters` is whatever tells one list from another."""
    body = _head(sort, filters) + key.deadline.to_bytes(_TIME, "big") + key.case_id
    return base64.urlsafe_b64encode(body + _check(body)).rstrip(b"=").decode()


def decode(text: str, sort: Sort, filters: bytes) -> Key:
    """The place. Raises CursorInvalid."""
    try:
        if len(text) > _LONGEST:
            raise ValueError
        data = base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (ValueError, binascii.Error):
        raise _refused() from None
    body, check = data[:-_CHECK], data[-_CHECK:]
    head = _head(sort, filters)
    whole = len(body) == len(head) + _TIME + _ID
    if not (whole and hmac.compare_digest(_check(body), check) and body.startswith(head)):
        raise _refused()
    deadline = int.from_bytes(body[len(head) : -_ID], "big")
    if deadline >= 1 << 40 or encode(sort, filters, Key(body[-_ID:], deadline)) != text:
        raise _refused()
    return Key(body[-_ID:], deadline)


def _head(sort: Sort, filters: bytes) -> bytes:
    order = list(Sort).index(sort)
    return bytes((_VERSION, order)) + sha256(_TAG + filters)[:_DIGEST]


def _check(body: bytes) -> bytes:
    return sha256(_TAG + body)[:_CHECK]


def _refused() -> CursorInvalid:
    return CursorInvalid(
        "not a cursor of this list", field="cursor", hint="use `next` of a page with the same filters"
    )
