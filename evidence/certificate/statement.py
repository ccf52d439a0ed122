"""What the issuer adds of its own: names and numbers that no proof carries. Shown as the issuer's word only.

JSON: {"operator": text, "filingNumber": text, "organisations": {"<index>": text, ...}}, all optional; a text
is a string, or {"zh": ..., "en": ...}.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from evidence.certificate.errors import StatementMalformed
from evidence.certificate.text import visible
from protocol.errors import MalformedInput
from protocol.expect import json_value
from protocol.i18n import Text

MAX_STATEMENT = 262_144
_MEMBERS = {"operator", "filingNumber", "organisations"}


@dataclass(frozen=True)
class Statement:
    """The issuer's claims; organisations by index."""

    operator: Text | None = None
    filing_number: Text | None = None
    organisations: Mapping[int, Text] = field(default_factory=dict)

    @classmethod
    def parse(cls, data: bytes) -> Statement:
        """From JSON.

        Raises:
            StatementMalformed
        """
        if len(data) > MAX_STATEMENT:
            raise StatementMalformed(f"over {MAX_STATEMENT} bytes")
        try:
            value = json_value(data, "statement", max_bytes=MAX_STATEMENT)
        except MalformedInput:
            raise StatementMalformed("not JSON in UTF-8") from None
        if not isinstance(value, dict) or value.keys() - _MEMBERS:
            raise StatementMalformed(f"an object with {', '.join(sorted(_MEMBERS))} is expected")
        listed = value.get("organisations", {})
        if not isinstance(listed, dict):
            raise StatementMalformed("an object is expected", field="organisations")
        named: dict[int, Text] = {}
        for index, name in listed.items():
            if not (index.isascii() and index.isdigit() and len(index) <= 10):
                raise StatementMalformed("organisation indexes are decimal numbers", field="organisations")
            named[int(index)] = _text(name, "organisations")
        return cls(
            _text(value["operator"], "operator") if "operator" in value else None,
            _text(value["filingNumber"], "filingNumber") if "filingNumber" in value else None,
            named,
        )


def _text(value: object, where: str) -> Text:
    both = (value, value) if isinstance(value, str) else None
    if isinstance(value, dict) and value.keys() == {"zh", "en"}:
        both = value["zh"], value["en"]
    if both is None or not all(isinstance(one, str) and 0 < len(one) <= 256 for one in both):
        raise StatementMalformed("a text, or one in zh and en, of at most 256 characters", field=where)
    return Text(visible(both[0]), visible(both[1]))
