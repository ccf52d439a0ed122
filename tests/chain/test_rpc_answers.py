"""Reading what nodes answer: what an outvoted receipt is called."""

from __future__ import annotations

import pytest

from chain.rpc.answers import how_false
from chain.rpc.nodes import Lie

RIGHT = {"blockHash": "0x" + "ab" * 32, "status": "0x1"}


@pytest.mark.parametrize(
    ("told", "right", "lie"),
    [
        ({**RIGHT, "status": "0x0"}, RIGHT, Lie.FALSE_RECEIPT),
        ({**RIGHT, "blockHash": "0x" + "AB" * 32, "status": "0x0"}, RIGHT, Lie.FALSE_RECEIPT),
        ({**RIGHT, "blockHash": "0x" + "cd" * 32}, RIGHT, Lie.FORKED_BLOCK),
        (RIGHT, None, Lie.FALSE_RECEIPT),
    ],
)
def test_a_receipt_of_another_block_is_a_fork_and_of_the_same_block_is_false(
    told: dict[str, str], right: dict[str, str] | None, lie: Lie
) -> None:
    assert how_false(told, right) is lie
