"""From a row of cells to a case row, or to all that is wrong with it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import TypeVar

from agent.intake import cells, identity
from agent.intake.cells import Cell
from agent.intake.columns import COLUMNS, NAMES, Layout
from agent.intake.rules import Defect
from protocol.case_row import (
    MAX_ADDRESS,
    MAX_CLAIMS,
    MAX_CONTRACT,
    MAX_NAME,
    CaseRow,
    Debtor,
    Product,
    Reachability,
    RowFlag,
)

T = TypeVar("T")

_PERSONS_ONLY = frozenset({Product.CREDIT_CARD, Product.PERSONAL_BUSINESS_LOAN})
_CONTRACT = re.compile(r"(?!#)[\w\-/.#()〔〕\[\]·、]+")
_NAME = re.compile(r"[\w\s·•.()（）\-&'’,，、]+")
_PHONE = re.compile(r"(?:\+?86|0086)?(1[3-9][0-9]{9})")
_PHONE_DROPPED = re.compile(r"[\s\-]+")
_OLDEST = 120
_ADULT = 18
_FLAGS = tuple((NAMES.index(c.name), c.name, int(c.flag)) for c in COLUMNS if c.flag is not None)
_COMBINED = tuple(RowFlag(bits) for bits in range(2 * max(RowFlag)))
_AT = {name: at for at, name in enumerate(NAMES)}
_LAST_DIGITS_LOST = "000"


@dataclass(slots=True)
class Checked:
    """What became of one row. `total` and `contract` are there whenever they could be read, for the sums and
    for finding repetitions among defective rows too."""

    row: CaseRow | None
    defects: list[Defect] = field(default_factory=list)
    total: int | None = None
    contract: str | None = None


@dataclass(frozen=True)
class Terms:
    """What rows are checked against besides themselves."""

    owner: int
    today: date
    """In Beijing."""
    epoch: date = cells.EPOCH_1900
    as_of: date | None = None
    """Day for which days overdue are stated; without it they are not compared with the date of default."""
    products: Mapping[str, Product] = field(default_factory=dict)


class RowCheck:
    """Checks the rows of one file."""

    def __init__(self, layout: Layout, terms: Terms, *, ragged: bool = False) -> None:
        """`ragged`: the format fixes the number of cells, so another number is a defect (CSV)."""
        self._positions = layout.positions
        self._width = layout.width
        self._terms = terms
        self._ragged = ragged

    def check(self, source: Sequence[Cell]) -> Checked:
        """All defects of a row, or its case row."""
        count = len(source)
        if self._ragged and (count < self._width or any(source[self._width :])):
            info = (("found", str(count)), ("expected", str(self._width)))
            return Checked(None, [Defect("row-cells", "", "", info)])
        row: list[Cell] = [source[at] if 0 <= at < count else None for at in self._positions]
        found = Checked(None)
        bad = found.defects
        contract = self._contract(row[_AT["contract_no"]], found)
        product = _keep(cells.product_of(row[_AT["product"]], self._terms.products), bad)
        number, debtor, born = self._identity(row[_AT["identity_no"]], bad)
        name = self._name(row[_AT["debtor_name"]], debtor, bad)
        reachability = _keep(cells.reachability_of(row[_AT["reachability"]]), bad)
        phone = self._phone(row[_AT["phone"]], reachability, bad)
        address = _keep(cells.text_of(row[_AT["address"]], "address", MAX_ADDRESS), bad)
        if address is not None and len(address) < 5:
            bad.append(Defect("address-short", "address", address))
        signed, broken = self._dates(row, born, bad)
        if debtor is Debtor.ORGANISATION and product in _PERSONS_ONLY:
            bad.append(Defect("debtor-kind", "identity_no", cells.raw(row[_AT["identity_no"]])))
        amounts = self._amounts(row, found)
        overdue = self._overdue(row[_AT["overdue_days"]], broken, bad)
        if (wrong := cells.currency_defect(row[_AT["currency"]])) is not None:
            bad.append(wrong)
        stated, flags = self._flags(row, bad)
        claims = None
        if not cells.is_empty(row[_AT["claims"]]):
            claims = _keep(cells.text_of(row[_AT["claims"]], "claims", MAX_CLAIMS), bad)
        # Whatever could not be read has left a defect; the types do not know that.
        if bad or contract is None or product is None or number is None or debtor is None or name is None:
            return found
        if address is None or signed is None or broken is None or amounts is None or overdue is None:
            return found
        if reachability is None:
            return found
        found.row = CaseRow(
            self._terms.owner, contract, product, debtor, name, number, phone, address,
            signed.isoformat(), broken.isoformat(), *amounts, overdue, reachability, stated, flags, claims,
        )  # fmt: skip
        return found

    def _contract(self, cell: Cell, found: Checked) -> str | None:
        if isinstance(cell, str) and cells.scientific(cells.trimmed(cell)):
            found.defects.append(Defect("lost-digits", "contract_no", cells.raw(cell)))
            return None
        value = _keep(cells.text_of(cell, "contract_no", MAX_CONTRACT), found.defects)
        if value is None:
            return None
        value = cells.half_width(value).replace(" ", "")
        if _CONTRACT.fullmatch(value) is None:
            found.defects.append(Defect("contract-format", "contract_no", cells.raw(cell)))
            return None
        if len(value.encode()) > MAX_CONTRACT:
            info = (("limit", str(MAX_CONTRACT)),)
            found.defects.append(Defect("too-long", "contract_no", cells.raw(cell), info))
            return None
        found.contract = value
        return value

    def _name(self, cell: Cell, debtor: Debtor | None, bad: list[Defect]) -> str | None:
        value = _keep(cells.text_of(cell, "debtor_name", MAX_NAME), bad)
        if value is None:
            return None
        value = unicodedata.normalize("NFC", value)
        digits = debtor is Debtor.PERSON and any(c.isdigit() for c in value)
        if len(value) < 2 or digits or _NAME.fullmatch(value) is None or "_" in value:
            bad.append(Defect("name-format", "debtor_name", cells.raw(cell)))
        return value

    def _identity(self, cell: Cell, bad: list[Defect]) -> tuple[str | None, Debtor | None, date | None]:
        value = _keep(cells.text_of(cell, "identity_no", 64), bad)
        if value is None:
            return None, None, None
        number = cells.half_width(value).replace(" ", "").upper()
        if identity.is_citizen(number):
            born = identity.birth_date(number)
            if born is not None and 0 <= (self._terms.today - born).days <= _OLDEST * 366:
                return number, Debtor.PERSON, born
            bad.append(Defect("identity-birth", "identity_no", cells.raw(cell)))
        elif identity.is_organisation(number):
            return number, Debtor.ORGANISATION, None
        else:
            bad.append(_identity_defect(number, cells.raw(cell)))
        return None, None, None

    def _phone(self, cell: Cell, reachability: Reachability | None, bad: list[Defect]) -> str | None:
        if cells.is_empty(cell):
            if reachability is not Reachability.UNREACHABLE:
                bad.append(Defect("phone-missing", "phone", ""))
            return None
        if isinstance(cell, str) and cell.lstrip().startswith("+"):
            cell = cell.lstrip()[1:]  # a country code, not a formula
        value = _keep(cells.text_of(cell, "phone", 64), bad)
        if value is None:
            return None
        value = _PHONE_DROPPED.sub("", cells.half_width(value))
        found = _PHONE.fullmatch(value)
        if found is None:
            rule = "lost-digits" if cells.scientific(value) else "phone-format"
            bad.append(Defect(rule, "phone", cells.raw(cell)))
            return None
        return found[1]

    def _dates(
        self, row: Sequence[Cell], born: date | None, bad: list[Defect]
    ) -> tuple[date | None, date | None]:
        terms = self._terms
        signed, broken = (
            _keep(cells.date_of(row[_AT[name]], name, terms.epoch, terms.today), bad)
            for name in ("contract_date", "default_date")
        )
        if signed is not None and broken is not None and broken < signed:
            bad.append(Defect("date-order", "default_date", cells.raw(row[_AT["default_date"]])))
        if signed is not None and born is not None and _age(born, signed) < _ADULT:
            bad.append(Defect("debtor-minor", "contract_date", cells.raw(row[_AT["contract_date"]])))
        return signed, broken

    def _amounts(self, row: Sequence[Cell], found: Checked) -> tuple[int, int, int, int] | None:
        principal, interest, fees, total = (
            _keep(cells.fen_of(row[_AT[name]], name), found.defects)
            for name in ("principal", "interest", "fees", "total")
        )
        found.total = total
        if total == 0:
            found.defects.append(Defect("amount-zero", "total", cells.raw(row[_AT["total"]])))
        if principal is None or interest is None or fees is None or total is None:
            return None
        if principal + interest + fees != total:
            info = (("total", yuan(total)), ("sum", yuan(principal + interest + fees)))
            found.defects.append(Defect("amount-sum", "total", cells.raw(row[_AT["total"]]), info))
        return principal, interest, fees, total

    def _overdue(self, cell: Cell, broken: date | None, bad: list[Defect]) -> int | None:
        days = _keep(cells.days_of(cell, "overdue_days"), bad)
        as_of = self._terms.as_of
        if days is not None and broken is not None and as_of is not None:
            expected = max((as_of - broken).days, 0)
            if days != expected:
                info = (("as_of", as_of.isoformat()), ("expected", str(expected)))
                bad.append(Defect("overdue-mismatch", "overdue_days", cells.raw(cell), info))
        return days

    def _flags(self, row: Sequence[Cell], bad: list[Defect]) -> tuple[RowFlag, RowFlag]:
        stated = flags = 0
        for at, name, flag in _FLAGS:
            if (cell := row[at]) is None:
                continue
            answer = cells.yes_or_no(cell, name)
            if isinstance(answer, Defect):
                bad.append(answer)
            elif answer is not None:
                stated |= flag
                flags |= flag if answer else 0
        return _COMBINED[stated], _COMBINED[flags]


def yuan(fen: int) -> str:
    """Amount as people write it."""
    return f"{fen // 100}.{fen % 100:02d}"


def _keep(value: T | Defect, bad: list[Defect]) -> T | None:
    if isinstance(value, Defect):
        bad.append(value)
        return None
    return value


def _age(born: date, on: date) -> int:
    return on.year - born.year - ((on.month, on.day) < (born.month, born.day))


def _identity_defect(number: str, value: str) -> Defect:
    """The first thing that is wrong with a number that is neither a citizen's nor an organisation's."""

    def defect(rule: str, **info: str) -> Defect:
        return Defect(rule, "identity_no", value, tuple(info.items()))

    if cells.scientific(number) or "." in number:
        return defect("lost-digits")
    if len(number) == 15 and number.isascii() and number.isdigit():
        return defect("identity-old")
    if len(number) != 18:
        return defect("identity-length", found=str(len(number)))
    if identity.organisation_shape(number):
        return defect("credit-code-checksum")
    if not identity.citizen_shape(number):
        return defect("identity-characters")
    if number.endswith(_LAST_DIGITS_LOST):
        return defect("lost-digits")
    if not identity.province_known(number):
        return defect("identity-region")
    if identity.birth_date(number) is None:
        return defect("identity-birth")
    return defect("identity-checksum")
