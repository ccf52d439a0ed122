"""A gateway's refusal as an error: its words cut short, without control characters."""

from __future__ import annotations

from typing import Any

import httpx

from agent.errors import GatewayRefused
from protocol.errors import MalformedInput
from protocol.expect import json_value

MAX_JSON = 32 * 1024 * 1024


def refusal(answer: httpx.Response, data: bytes) -> GatewayRefused:
    """A problem document, or what little can be said without one. Texts are the gateway's, cut short."""
    try:
        document = json_value(data, "answer", max_bytes=MAX_JSON) if data else {}
    except MalformedInput:
        document = {}
    if not isinstance(document, dict):
        document = {}

    def word(name: str, length: int) -> str | None:
        value = document.get(name)
        return "".join(c for c in value if c.isprintable())[:length] if isinstance(value, str) else None

    after = answer.headers.get("retry-after", "")
    refused = GatewayRefused(
        word("code", 64) or f"Http{answer.status_code}",
        word("detail", 500) or word("title", 200) or f"status {answer.status_code}",
        status=answer.status_code,
        field=word("field", 100),
        hint=word("hint", 300),
        retry_after=float(after) if after.isdigit() else None,
    )
    rule = _rule(document.get("rule"))
    if rule is not None:
        refused.more = {"rule": rule}
    return refused


def _rule(value: object) -> dict[str, Any] | None:
    """The member `rule` of a refused act on a case, cut short; None for anything else."""

    def words(member: object) -> dict[str, str]:
        texts = member if isinstance(member, dict) else {}
        return {lang: _shown(texts.get(lang), 600) for lang in ("zh", "en")}

    if not isinstance(value, dict):
        return None
    return {
        "name": _shown(value.get("name"), 64),
        "article": _shown(value.get("article"), 100),
        "cite": words(value.get("cite")),
        "text": words(value.get("text")),
    }


def _shown(value: object, length: int) -> str:
    """A gateway's text without what a terminal would take as a command."""
    return "".join(c for c in value if c.isprintable())[:length] if isinstance(value, str) else ""
