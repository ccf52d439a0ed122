"""The first pass over a file: every row checked, what would be written, what is wrong. Nothing is changed."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from agent.intake.columns import Layout
from agent.intake.errors import DeclaredMismatch, FileEmpty, FileTooLarge
from agent.intake.rules import Defect, masked
from agent.intake.source import Declared, Source, Table
from agent.intake.store import IntakeStore, Known
from agent.intake.text import MAX_ROWS
from agent.intake.validate import Checked, RowCheck, Terms, yuan
from agent.intake.xlsx import MAX_ROWS as MAX_SHEET_ROWS
from protocol.case_row import CaseRow, Product
from protocol.i18n import Language

MAX_DESCRIBED = 100_000
"""Defective rows that are kept with all their defects; more than that is a wrong file, not wrong rows."""
SAMPLES = 3
_NAMED_ROWS = 5
PROGRESS_EVERY = 1000
_KNOWN = 255
Progress = Callable[[str, int], None]


def no_progress(_stage: str, _done: int) -> None:
    """Where nobody watches."""


@dataclass
class Preview:
    """What a file holds. `defects` has values unmasked: it goes into the bank's own file alone."""

    layout: Layout
    headings_at: int
    part: str
    widest: int = 0
    rows: int = 0
    good: Counter[int] = field(default_factory=Counter)
    """New rows without defect, by product."""
    fen: Counter[int] = field(default_factory=Counter)
    """Their totals."""
    parsed_fen: int = 0
    """Sum of all totals that could be read, of defective rows too: what is held against the declared sum."""
    unread_totals: int = 0
    known: Counter[str] = field(default_factory=Counter)
    """Rows that are in an earlier batch with the same content, by batch id."""
    defects: dict[int, list[Defect]] = field(default_factory=dict)
    rules: Counter[str] = field(default_factory=Counter)
    bad_rows: int = 0
    samples: list[tuple[int, CaseRow]] = field(default_factory=list)
    declared: Declared = field(default_factory=Declared)

    @property
    def new(self) -> int:
        """Rows that a commit would write."""
        return sum(self.good.values())

    def mismatches(self) -> list[str]:
        """What differs from the declared; empty where all agrees or nothing was declared.

        The sum cannot be compared while totals are unreadable; their rows come back anyway.
        """
        found = []
        if self.declared.rows is not None and self.declared.rows != self.rows:
            found.append(f"rows: declared {self.declared.rows}, found {self.rows}")
        if self.declared.fen is not None and not self.unread_totals and self.declared.fen != self.parsed_fen:
            found.append(f"sum: declared {yuan(self.declared.fen)}, found {yuan(self.parsed_fen)}")
        return found

    def must_agree(self) -> None:
        """Raises DeclaredMismatch."""
        if found := self.mismatches():
            raise DeclaredMismatch(
                "; ".join(found),
                field="rows",
                hint="the file may be cut off: export it again, or mend the declaration",
            )

    def summary(self) -> dict[str, Any]:
        """Without any person's data: for JSON, for the journal."""
        return {
            "rows": self.rows,
            "new": self.new,
            "known": dict(self.known),
            "defective": self.bad_rows,
            "products": {
                str(product): {"rows": count, "sum": yuan(self.fen[product])}
                for product, count in sorted(self.good.items())
            },
            "sum": yuan(sum(self.fen.values())),
            "defects": dict(self.rules.most_common()),
            "declared": {
                "rows": self.declared.rows,
                "sum": None if self.declared.fen is None else yuan(self.declared.fen),
            },
            "parsedSum": yuan(self.parsed_fen),
            "unreadTotals": self.unread_totals,
            "mismatches": self.mismatches(),
            "columns": dict(self.layout.headings),
            "unusedColumns": list(self.layout.unused),
        }

    def sample_lines(self) -> Iterator[dict[str, str]]:
        """First good rows, masked."""
        for _, row in self.samples:
            yield {
                "contract_no": masked("contract_no", row.contract),
                "product": Product(row.product).label.zh,
                "debtor_name": masked("debtor_name", row.name),
                "identity_no": masked("identity_no", row.identity),
                "phone": masked("phone", row.phone or ""),
                "address": masked("address", row.address),
                "default_date": row.default_date,
                "total": yuan(row.total),
                "overdue_days": str(row.overdue_days),
            }


def open_table(source: Source, lang: Language, declared: Declared | None = None) -> Table:
    """The table, with what was declared beside the file put to what it says itself."""
    table = source.table(lang)
    if declared is not None:
        table.declared.take(declared.rows, declared.fen)
    return table


def checked_rows(source: Source, table: Table, terms: Terms) -> Iterator[tuple[int, Checked]]:
    """Every row of data with what became of it.

    Raises:
        FileTooLarge
    """
    check = RowCheck(table.layout, terms, ragged=table.ragged).check
    limit = MAX_SHEET_ROWS if source.format == "xlsx" else MAX_ROWS
    unreadable = Defect("row-unreadable", "", "")
    for count, (number, cells) in enumerate(table.rows, 1):
        if count > limit:
            raise FileTooLarge(f"more than {limit} rows", field="file", hint="split it")
        yield number, check(cells) if cells is not None else Checked(None, [unreadable])


class _Seen:
    """Rows by the keyed hash of their contract, 21 bytes a row, to find repetitions in a million."""

    def __init__(self) -> None:
        self.numbers = array("L")
        self.hashes = array("Q")
        self.products = array("B")
        self.totals = array("Q")
        """Fen; of a known row the number of its batch in `batches`."""
        self.batches: list[str] = []

    def batch(self, name: str) -> int:
        if name not in self.batches:
            self.batches.append(name)
        return self.batches.index(name)

    def add(self, number: int, key: bytes, product: int, total: int) -> None:
        self.numbers.append(number)
        self.hashes.append(int.from_bytes(key[:8], "big"))
        self.products.append(product)
        self.totals.append(total)

    def repeated(self) -> Iterator[list[int]]:
        """Positions of rows with the same contract, in file order."""
        hashes = self.hashes
        order = sorted(range(len(hashes)), key=hashes.__getitem__)
        begin = 0
        for at in range(1, len(order) + 1):
            if at == len(order) or hashes[order[at]] != hashes[order[begin]]:
                if at - begin > 1:
                    yield sorted(order[begin:at])
                begin = at


def preview(
    source: Source,
    terms: Terms,
    store: IntakeStore,
    *,
    lang: Language = "zh",
    declared: Declared | None = None,
    batch: bytes | None = None,
    progress: Progress = no_progress,
) -> Preview:
    """Checks a whole file. `batch`: an unfinished batch of this very file, whose rows count as new.

    Raises:
        ImportRefused, FileChanged
    """
    table = open_table(source, lang, declared)
    terms = with_epoch(terms, table)
    result = Preview(table.layout, table.headings_at, table.part, declared=table.declared)
    seen = _Seen()
    for number, found in checked_rows(source, table, terms):
        result.rows += 1
        if result.rows % PROGRESS_EVERY == 0:
            progress("check", result.rows)
        if found.total is None:
            result.unread_totals += 1
        else:
            result.parsed_fen += found.total
        row = found.row
        product, total = 0, 0
        if row is not None:
            known = store.known(row, except_batch=batch)
            if known is None:
                product, total = int(row.product), row.total
                result.good[product] += 1
                result.fen[product] += row.total
                if len(result.samples) < SAMPLES:
                    result.samples.append((number, row))
            elif known.same:
                name = known.batch.hex()
                result.known[name] += 1
                product, total = _KNOWN, seen.batch(name)
            else:
                found.defects.append(_changed(known))
        if found.contract is not None:
            seen.add(number, store.contract_key(terms.owner, found.contract), product, total)
        if found.defects:
            _note(result, number, found.defects)
    result.widest = table.widest
    if not result.rows:
        raise FileEmpty("headings, but no rows", field="file")
    _repetitions(result, seen)
    result.rules = Counter(defect.rule for defects in result.defects.values() for defect in defects)
    source.unchanged()
    progress("check", result.rows)
    return result


def with_epoch(terms: Terms, table: Table) -> Terms:
    """The terms with the epoch of this workbook's dates."""
    return Terms(terms.owner, terms.today, table.epoch, terms.as_of, terms.products)


def _changed(known: Known) -> Defect:
    return Defect("contract-changed", "contract_no", "", (("batch", known.batch.hex()[:16]),))


def _note(result: Preview, number: int, defects: list[Defect]) -> None:
    if number not in result.defects:
        if len(result.defects) == MAX_DESCRIBED:
            raise FileTooLarge(
                f"more than {MAX_DESCRIBED} rows have defects",
                field="file",
                hint="check the columns and the mapping on a few rows first",
            )
        result.bad_rows += 1
        result.defects[number] = []
    result.defects[number].extend(defects)


def _repetitions(result: Preview, seen: _Seen) -> None:
    """None of the rows with one contract is taken: which of them is right, only the bank knows."""
    for positions in seen.repeated():
        numbers = [seen.numbers[at] for at in positions]
        named = "、".join(map(str, numbers[:_NAMED_ROWS])) + ("…" if len(numbers) > _NAMED_ROWS else "")
        for at, number in zip(positions, numbers, strict=True):
            if (product := seen.products[at]) == _KNOWN:
                result.known[seen.batches[seen.totals[at]]] -= 1
            elif product:
                result.good[product] -= 1
                result.fen[product] -= seen.totals[at]
            _note(result, number, [Defect("contract-repeated", "contract_no", "", (("rows", named),))])
    result.good, result.fen, result.known = +result.good, +result.fen, +result.known
    result.samples = [sample for sample in result.samples if sample[0] not in result.defects]
