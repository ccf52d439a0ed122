"""From what a person typed to what an import needs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta, timezone
from pathlib import Path

from agent.errors import ArgumentRefused
from agent.intake import cells
from agent.intake.commit import Request
from agent.intake.mapping import ColumnMapping, load_mapping, mapping_path
from agent.intake.party import recipients_of
from agent.intake.rules import Defect
from agent.intake.source import Declared
from agent.intake.text import encoding_named
from agent.intake.validate import Terms

_BEIJING = timezone(timedelta(hours=8))


def today_in_beijing() -> date:
    """The day on which dates in the future begin tomorrow."""
    return datetime.now(_BEIJING).date()


def request_of(
    home: Path, organisation: int, *, mapping: str | None = None, to: Sequence[int] | None = None,
    rows: int | None = None, sum_text: str | None = None, as_of: str | None = None,
    encoding: str | None = None, sheet: str | None = None,
) -> Request:  # fmt: skip
    """The request of a command line. `to` is None where nothing will be sealed.

    Raises:
        ArgumentRefused, MappingInvalid, RecipientUnknown, MalformedInput
    """
    chosen = ColumnMapping() if mapping is None else load_mapping(mapping_path(home, mapping))
    if encoding is not None:
        encoding_named(encoding)
    today = today_in_beijing()
    terms = Terms(organisation, today, as_of=_day(as_of, today), products=chosen.words)
    recipients = () if to is None else recipients_of(home, organisation, to)
    return Request(terms, chosen, recipients, _declared(rows, sum_text), encoding, sheet)


def _day(text: str | None, today: date) -> date | None:
    if text is None:
        return None
    found = cells.date_of(text, "as_of", cells.EPOCH_1900, today)
    if isinstance(found, Defect):
        raise ArgumentRefused("YYYY-MM-DD, not after today", field="as-of")
    return found


def _declared(rows: int | None, sum_text: str | None) -> Declared:
    declared = Declared()
    if rows is not None:
        if rows < 0:
            raise ArgumentRefused("a number of rows", field="rows")
        declared.take(rows=rows)
    if sum_text is not None:
        fen = cells.fen_of(sum_text, "sum")
        if isinstance(fen, Defect):
            raise ArgumentRefused("an amount in yuan with at most two decimals", field="sum")
        declared.take(fen=fen)
    return declared
