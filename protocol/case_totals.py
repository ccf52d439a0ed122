"""What a batch adds up to, committed in its Import (docs/spec/case.md §8). No I/O."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field

from protocol import cbor, expect
from protocol.case_batch import MAX_CASES
from protocol.errors import MalformedInput
from protocol.hashing import sha256

VERSION = 1
MAX_FILE = 16_384
TOTALS_TAG = b"caseledger/case-totals/v1"
RULES_TAG = b"caseledger/import-rules/v1"


@dataclass(frozen=True, slots=True)
class ProductTotals:
    """Count and sums (fen) of the cases of one product. Sums are the institution's own business."""

    product: int
    count: int
    principal: int = field(repr=False)
    interest: int = field(repr=False)
    fees: int = field(repr=False)
    total: int = field(repr=False)


@dataclass(frozen=True, slots=True)
class BatchTotals:
    """The opening of a batch's totals."""

    root: bytes
    owner: int
    products: tuple[ProductTotals, ...]
    salt: bytes = field(repr=False)

    @classmethod
    def fresh(cls, root: bytes, owner: int, products: Iterable[ProductTotals]) -> BatchTotals:
        """With a new salt.

        Raises:
            MalformedInput: they break a rule, such as a sum of 2^64 or more.
        """
        ordered = tuple(sorted(products, key=lambda one: one.product))
        return cls.parse(cls(root, owner, ordered, secrets.token_bytes(32)).encode())

    @property
    def count(self) -> int:
        """Cases of the batch."""
        return sum(one.count for one in self.products)

    @property
    def total(self) -> int:
        """Sum of all claims, in fen."""
        return sum(one.total for one in self.products)

    def encode(self) -> bytes:
        """The file."""
        members = [(p.product, p.count, p.principal, p.interest, p.fees, p.total) for p in self.products]
        return cbor.encode({0: VERSION, 1: self.root, 2: self.owner, 3: members, 4: self.salt})

    @property
    def commitment(self) -> bytes:
        """`totals` of the act Import."""
        return sha256(TOTALS_TAG + self.encode())

    @classmethod
    def parse(cls, data: bytes) -> BatchTotals:
        """From the file.

        Raises:
            MalformedInput, UnknownVersion, LimitExceeded
        """
        raw = cbor.decode(data, max_bytes=MAX_FILE, max_depth=3)
        if isinstance(raw, dict) and 0 in raw:
            expect.version(raw[0], VERSION)
        value = expect.fields(raw, "totals", range(5))
        members = expect.array(value[3], "products", minimum=1, maximum=255)
        products = tuple(_product(member) for member in members)
        names = [one.product for one in products]
        if names != sorted(set(names)):
            raise MalformedInput("products: ascending and each once", field="products")
        found = cls(
            expect.octets(value[1], "batch root", 32),
            expect.uint(value[2], "owner", expect.UINT32_MAX, minimum=1),
            products,
            expect.octets(value[4], "salt", 32),
        )
        expect.uint(found.count, "count", MAX_CASES)
        return found


def _product(value: cbor.Value) -> ProductTotals:
    product, count, *amounts = expect.array(value, "product", 6)
    sums = [
        expect.uint(amount, name)
        for amount, name in zip(amounts, ("principal", "interest", "fees", "total"), strict=True)
    ]
    if sum(sums[:3]) != sums[3]:
        raise MalformedInput("total is not principal, interest and fees together", field="total")
    return ProductTotals(
        expect.uint(product, "product", 255, minimum=1),
        expect.uint(count, "count", MAX_CASES, minimum=1),
        *sums,
    )


def rules_digest(version: str, codes: Iterable[str], triage: bytes | None) -> bytes:
    """`rules` of the act Import. `triage`: digest of the table that sorted the rows, if one did."""
    table = None if triage is None else expect.octets(triage, "triage table", 32)
    return sha256(RULES_TAG + cbor.encode({0: VERSION, 1: version, 2: sorted(codes), 3: table}))
