"""Times as CometBFT writes them."""

from __future__ import annotations

from datetime import UTC, datetime


def parse_time(text: str) -> float:
    """RFC 3339 in UTC with up to nine decimals, to seconds since 1970. Raises ValueError."""
    stem, _, fraction = text.removesuffix("Z").partition(".")
    if len(fraction) > 9 or (fraction and not fraction.isdigit()):
        raise ValueError("not a time")
    whole = datetime.fromisoformat(stem).replace(tzinfo=UTC).timestamp()
    return whole + (int(fraction) / 10 ** len(fraction) if fraction else 0.0)
