"""A row from a gateway is opened only if it is the case that was asked for, in the batch, as committed."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from agent.errors import GatewayAnswerInvalid
from agent.intake.opening import open_case
from protocol.case_batch import RowUndecryptable, leaf_hash
from protocol.errors import CaseledgerError
from protocol.hashing import SHA256
from tests.support.case_batches import CENTRE, KEYS, OWNER, made_batch
from verifier.merkle import Tree

BATCH = made_batch(5)
LEAF = BATCH.leaves[3]
TREE = Tree(SHA256, [leaf_hash(row.leaf) for row in BATCH.rows])


def answer(at: int = 3, **changes: Any) -> dict[str, Any]:
    row = BATCH.rows[at]
    return {
        "caseId": BATCH.leaves[at].case_id.hex(),
        "leaf": row.leaf.hex(),
        "root": BATCH.root.hex(),
        "index": at,
        "size": 5,
        "path": [node.hex() for node in TREE.path(at)],
        "organisation": CENTRE,
        "wrapped": base64.b64encode(row.wrapped[0]).decode(),
        "ciphertext": base64.b64encode(row.ciphertext).decode(),
        **changes,
    }


def opened(given: dict[str, Any], organisation: int = CENTRE) -> Any:
    return open_case(given, LEAF.case_id, organisation, KEYS[organisation].private_bytes_raw())


def test_a_row_is_opened_and_shown_in_both_languages() -> None:
    case = opened(answer())
    assert (case.row.contract, case.index, case.size, case.root) == ("JK-3", 3, 5, BATCH.root)
    zh, en = dict(case.shown("zh")), dict(case.shown("en"))
    assert zh["合同编号"] == en["contract number"] == "JK-3"
    assert "10234.56" in zh.values()
    assert zh["产品类型"] == "信用卡"
    assert case.as_json()["fen"]["total"] == 1_023_456
    assert "示例甲" not in repr(case)


def _flip(text: str) -> str:
    data = bytearray(base64.b64decode(text))
    data[40] ^= 1
    return base64.b64encode(data).decode()


WRONG: dict[str, tuple[type[CaseledgerError], dict[str, Any]]] = {
    "another case of the batch": (GatewayAnswerInvalid, answer(2)),
    "another place": (GatewayAnswerInvalid, answer(index=2)),
    "a place beyond the end": (GatewayAnswerInvalid, answer(index=5)),
    "no path": (GatewayAnswerInvalid, answer(path=[])),
    "a long path": (GatewayAnswerInvalid, answer(path=["00" * 32] * 21)),
    "another root": (GatewayAnswerInvalid, answer(root="00" * 32)),
    "another leaf": (GatewayAnswerInvalid, answer(leaf=LEAF.encode()[:-1].hex() + "00")),
    "a short leaf": (GatewayAnswerInvalid, answer(leaf="00")),
    "no base64": (GatewayAnswerInvalid, answer(wrapped="é")),
    "too long": (GatewayAnswerInvalid, answer(ciphertext="A" * 140_000)),
    "a member more": (GatewayAnswerInvalid, answer(name="示例甲")),
    "changed": (RowUndecryptable, answer(ciphertext=_flip(answer()["ciphertext"]))),
    "wrapped for another": (
        RowUndecryptable,
        answer(wrapped=base64.b64encode(BATCH.rows[3].wrapped[1]).decode()),
    ),
    "the row of another case": (RowUndecryptable, answer(ciphertext=answer(2)["ciphertext"])),
}


@pytest.mark.parametrize("name", WRONG)
def test_an_answer_that_is_not_the_committed_row_is_refused(name: str) -> None:
    error, given = WRONG[name]
    with pytest.raises(error):
        opened(given)


def test_a_key_of_another_recipient_does_not_open_it() -> None:
    with pytest.raises(RowUndecryptable):
        opened(answer(), OWNER)
