"""The row of a case (docs/spec/case.md §2): what an institution states about a claim and its debtor. No I/O.

A row holds a person's data: it stays in memory or sealed, and never enters a log, an error or the chain.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from enum import IntEnum, IntFlag

from protocol import cbor, expect
from protocol.errors import MalformedInput
from protocol.hashing import sha256
from protocol.i18n import Text

VERSION = 1
MAX_ROW = 6144
ROW_TAG = b"caseledger/case-row/v1"
CURRENCY = "CNY"
MAX_OVERDUE = 36_500
MAX_CONTRACT, MAX_NAME, MAX_ADDRESS, MAX_CLAIMS = 64, 300, 900, 3000
"""Bytes of UTF-8."""


class Product(IntEnum):
    """Kind of claim; the numbers are in the case leaf."""

    CREDIT_CARD = 1
    SMALL_LOAN = 2
    MICRO_ENTERPRISE_LOAN = 3
    PERSONAL_BUSINESS_LOAN = 4

    @property
    def label(self) -> Text:
        """Name of the product."""
        return _PRODUCT_LABELS[self]


_PRODUCT_LABELS = {
    Product.CREDIT_CARD: Text("信用卡", "credit card"),
    Product.SMALL_LOAN: Text("小额贷款", "small-amount loan"),
    Product.MICRO_ENTERPRISE_LOAN: Text("小微企业贷款", "small and micro enterprise loan"),
    Product.PERSONAL_BUSINESS_LOAN: Text("个人经营性贷款", "personal business loan"),
}


class Debtor(IntEnum):
    """Who owes."""

    PERSON = 1
    ORGANISATION = 2


class Reachability(IntEnum):
    """Whether the institution can reach the debtor."""

    NOT_STATED = 0
    REACHABLE = 1
    UNREACHABLE = 2


class RowFlag(IntFlag):
    """What triage asks about; each may also be not stated."""

    ELDERLY = 1
    HARDSHIP = 2
    MINOR_GUARANTOR = 4
    PRIOR_COMPLAINT = 8
    FRAUD_SIGNS = 16
    PETITION = 32


_ALL_FLAGS = sum(RowFlag)
NO_FLAGS = RowFlag(0)


@dataclass(frozen=True, slots=True)
class CaseRow:
    """One claim. Dates are `YYYY-MM-DD`, amounts integer fen. The person's data is kept out of `repr`."""

    owner: int
    contract: str = field(repr=False)
    product: int
    debtor: Debtor
    name: str = field(repr=False)
    identity: str = field(repr=False)
    phone: str | None = field(repr=False)
    address: str = field(repr=False)
    contract_date: str = field(repr=False)
    default_date: str = field(repr=False)
    principal: int = field(repr=False)
    interest: int = field(repr=False)
    fees: int = field(repr=False)
    total: int = field(repr=False)
    overdue_days: int = field(repr=False)
    reachability: Reachability = Reachability.NOT_STATED
    flags_stated: RowFlag = NO_FLAGS
    flags: RowFlag = NO_FLAGS
    claims: str | None = field(default=None, repr=False)

    def encode(self) -> bytes:
        """CBOR. The caller built the row from checked values; `parse` checks foreign ones."""
        return cbor.encode(
            {
                0: VERSION,
                1: self.owner,
                2: self.contract,
                3: int(self.product),
                4: int(self.debtor),
                5: self.name,
                6: self.identity,
                7: self.phone,
                8: self.address,
                9: self.contract_date,
                10: self.default_date,
                11: CURRENCY,
                12: (self.principal, self.interest, self.fees, self.total),
                13: self.overdue_days,
                14: int(self.reachability),
                15: int(self.flags_stated),
                16: int(self.flags),
                17: self.claims,
            }
        )

    @classmethod
    def parse(cls, data: bytes) -> CaseRow:
        """From CBOR.

        Raises:
            MalformedInput, UnknownVersion, LimitExceeded
        """
        raw = cbor.decode(data, max_bytes=MAX_ROW, max_depth=2, max_items=64)
        if isinstance(raw, dict) and 0 in raw:
            expect.version(raw[0], VERSION)
        v = expect.fields(raw, "row", range(18))
        if v[11] != CURRENCY:
            raise MalformedInput("currency: only CNY is known", field="currency")
        amounts = [
            expect.uint(amount, name, expect.UINT53_MAX)
            for amount, name in zip(
                expect.array(v[12], "amounts", 4), ("principal", "interest", "fees", "total"), strict=True
            )
        ]
        if sum(amounts[:3]) != amounts[3]:
            raise MalformedInput("total is not principal, interest and fees together", field="total")
        stated = expect.uint(v[15], "flags stated", _ALL_FLAGS)
        flags = expect.uint(v[16], "flags", _ALL_FLAGS)
        if flags & ~stated:
            raise MalformedInput("flags: one is set that was not stated", field="flags")
        contract_date, default_date = _date(v[9], "contract date"), _date(v[10], "default date")
        if default_date < contract_date:
            raise MalformedInput("default date: before the contract", field="default date")
        return cls(
            expect.uint(v[1], "owner", expect.UINT32_MAX, minimum=1),
            expect.text(v[2], "contract number", MAX_CONTRACT),
            expect.uint(v[3], "product", 255, minimum=1),
            Debtor(expect.uint(v[4], "debtor", 2, minimum=1)),
            expect.text(v[5], "name", MAX_NAME),
            _characters(v[6], "identity number", 18),
            None if v[7] is None else _characters(v[7], "phone", 11),
            expect.text(v[8], "address", MAX_ADDRESS),
            contract_date,
            default_date,
            amounts[0],
            amounts[1],
            amounts[2],
            amounts[3],
            expect.uint(v[13], "days overdue", MAX_OVERDUE),
            Reachability(expect.uint(v[14], "reachability", 2)),
            RowFlag(stated),
            RowFlag(flags),
            None if v[17] is None else expect.text(v[17], "claims", MAX_CLAIMS),
        )


def row_commitment(salt: bytes, encoded: bytes) -> bytes:
    """What the case leaf says about an encoded row."""
    return sha256(ROW_TAG + expect.octets(salt, "salt", 32) + encoded)


def _characters(value: object, name: str, length: int) -> str:
    found = expect.text(value, name, length)
    if len(found) != length or not found.isascii() or not found.isalnum():
        raise MalformedInput(f"{name}: {length} letters and digits are expected", field=name)
    return found


def _date(value: object, name: str) -> str:
    found = expect.text(value, name, 10)
    try:
        if date.fromisoformat(found).isoformat() != found:
            raise ValueError
    except ValueError:
        raise MalformedInput(f"{name}: YYYY-MM-DD is expected", field=name) from None
    return found
