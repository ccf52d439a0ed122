"""A case's row as a gateway gives it: opened with the recipient's key, held against leaf and batch root."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from agent.errors import GatewayAnswerInvalid
from agent.intake.columns import BY_NAME
from agent.intake.validate import yuan
from protocol import expect
from protocol.case_batch import MAX_CASES, MAX_FRAME, CaseLeaf, SealedRow, leaf_hash, open_row
from protocol.case_row import CaseRow, Product, Reachability, RowFlag
from protocol.errors import CaseledgerError
from protocol.hashing import SHA256
from protocol.i18n import Language, Text
from verifier.merkle import verify_inclusion

MAX_PATH = 20
_YES, _NO, _UNSTATED = Text("是", "yes"), Text("否", "no"), Text("未说明", "not stated")
_REACHABLE = {
    Reachability.REACHABLE: Text("可联系", "reachable"),
    Reachability.UNREACHABLE: Text("失联", "unreachable"),
    Reachability.NOT_STATED: _UNSTATED,
}
_MEMBERS = ("caseId", "leaf", "root", "index", "size", "path", "organisation", "wrapped", "ciphertext")


@dataclass(frozen=True)
class OpenedCase:
    """A row that is the one its leaf commits to, and a leaf that is in the batch."""

    case_id: bytes
    root: bytes
    index: int
    size: int
    row: CaseRow = field(repr=False)

    def shown(self, lang: Language) -> Iterator[tuple[str, str]]:
        """Headings and values as a person reads them."""
        row = self.row
        values = {
            "contract_no": row.contract,
            "product": _product(row.product, lang),
            "debtor_name": row.name,
            "identity_no": row.identity,
            "phone": row.phone or "",
            "address": row.address,
            "contract_date": row.contract_date,
            "default_date": row.default_date,
            "principal": yuan(row.principal),
            "interest": yuan(row.interest),
            "fees": yuan(row.fees),
            "total": yuan(row.total),
            "overdue_days": str(row.overdue_days),
            "reachability": _REACHABLE[row.reachability].choose(lang),
            "claims": row.claims or "",
        }
        for name, value in values.items():
            if value:
                yield BY_NAME[name].label.choose(lang), value
        for flag in RowFlag:
            column = next(one for one in BY_NAME.values() if one.flag is flag)
            said = _UNSTATED if not row.flags_stated & flag else _YES if row.flags & flag else _NO
            yield column.label.choose(lang), said.choose(lang)

    def as_json(self) -> dict[str, Any]:
        """Everything; amounts in fen."""
        row = self.row
        return {
            "caseId": self.case_id.hex(),
            "root": self.root.hex(),
            "index": self.index,
            "size": self.size,
            "owner": row.owner,
            "contract_no": row.contract,
            "product": int(row.product),
            "debtor": int(row.debtor),
            "debtor_name": row.name,
            "identity_no": row.identity,
            "phone": row.phone,
            "address": row.address,
            "contract_date": row.contract_date,
            "default_date": row.default_date,
            "fen": {name: getattr(row, name) for name in ("principal", "interest", "fees", "total")},
            "overdue_days": row.overdue_days,
            "reachability": int(row.reachability),
            "flags_stated": int(row.flags_stated),
            "flags": int(row.flags),
            "claims": row.claims,
        }


def open_case(answer: Mapping[str, Any], case_id: bytes, organisation: int, private_key: bytes) -> OpenedCase:
    """Opens what a gateway answered. That the root is on the chain is for the reader's own node to say.

    Raises:
        GatewayAnswerInvalid: not the documented shape, another case, or a leaf that is not in the batch.
        RowUndecryptable
    """
    try:
        given = expect.json_members(dict(answer), "row", _MEMBERS)
        leaf = expect.from_hex(given["leaf"], "leaf")
        root = expect.from_hex(given["root"], "root", 32)
        size = expect.uint(given["size"], "size", MAX_CASES, minimum=1)
        index = expect.uint(given["index"], "index", size - 1)
        nodes = expect.json_array(given["path"], "path", MAX_PATH)
        path = [expect.from_hex(node, "path", 32) for node in nodes]
        wrapped, ciphertext = _base64(given["wrapped"], 200), _base64(given["ciphertext"], 2 * MAX_FRAME)
        if CaseLeaf.parse(leaf).case_id != case_id:
            raise GatewayAnswerInvalid("the gateway gave another case", field="case")
        verify_inclusion(SHA256, leaf_hash(leaf), index, size, path, root)
    except GatewayAnswerInvalid:
        raise
    except CaseledgerError as error:
        raise GatewayAnswerInvalid(f"the row is not as documented: {error.detail}", field="row") from None
    opened = open_row(SealedRow(leaf, ciphertext, (wrapped,)), wrapped, organisation, private_key)
    return OpenedCase(case_id, root, index, size, opened.row)


def _base64(value: object, most: int) -> bytes:
    if not isinstance(value, str) or len(value) > most:
        raise GatewayAnswerInvalid("base64 of a row is expected", field="row")
    try:
        return base64.b64decode(value, validate=True)
    except ValueError:
        raise GatewayAnswerInvalid("base64 of a row is expected", field="row") from None


def _product(number: int, lang: Language) -> str:
    try:
        return Product(number).label.choose(lang)
    except ValueError:
        return str(number)
