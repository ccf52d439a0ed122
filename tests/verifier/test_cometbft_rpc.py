"""The RPC form: one spelling of each value."""

from __future__ import annotations

import pytest

from verifier.cometbft import Timestamp
from verifier.cometbft_rpc import ZERO_TIME, parse_time
from verifier.errors import CometMalformed


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("1970-01-01T00:00:00Z", Timestamp(0, 0)),
        ("2026-11-23T05:48:32.132747053Z", Timestamp(1795412912, 132747053)),
        ("2024-02-29T23:59:59.5Z", Timestamp(1709251199, 500_000_000)),
        ("9999-12-31T23:59:59.999999999Z", Timestamp(253402300799, 999_999_999)),
    ],
)
def test_times_keep_their_nanoseconds(text: str, time: Timestamp) -> None:
    assert parse_time(text) == time


@pytest.mark.parametrize(
    "text",
    [
        ZERO_TIME,
        "",
        "1969-12-31T23:59:59Z",
        "2026-11-23T05:48:32.0Z",
        "2026-11-23T05:48:32.10Z",
        "2026-11-23T05:48:32.Z",
        "2026-11-23T05:48:32.1234567891Z",
        "2026-11-23T05:48:32+00:00",
        "2026-11-23T05:48:32z",
        "2026-11-23t05:48:32Z",
        "2026-11-23 05:48:32Z",
        "2026-11-23T05:48:60Z",
        "2026-11-23T24:00:00Z",
        "2026-11-23T05:60:00Z",
        "2026-02-29T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "2026-00-01T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "2026-11-23T05:48:32Z\n",
        "２026-11-23T05:48:32Z",
    ],
)
def test_other_spellings_are_refused(text: str) -> None:
    with pytest.raises(CometMalformed):
        parse_time(text)
