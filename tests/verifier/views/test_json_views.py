"""JSON that says all, and ERC-1497 evidence that says where nothing is."""

from __future__ import annotations

import base64
import hashlib
import json
from functools import cache
from typing import Any

import pytest

from protocol.entry import EvidenceClass, parse_leaf
from protocol.errors import CaseledgerError
from tests.support.world import CONTENT, World
from verifier.receipt import Attestation, Receipt
from verifier.views import erc1497, json_view
from verifier.views.errors import JsonViewMismatch, ViewNotPossible


@cache
def world(kind: str = "ics23") -> World:
    return World(kind=kind, version=2)


@cache
def receipt(kind: str = "ics23") -> Receipt:
    later = World(kind=kind, block_time=world(kind).block_time + 50)
    listed = [
        world(kind).witness(),
        world(kind).witness(algorithm=1, size=20),
        Attestation("later/v9", b"\1"),
    ]
    if kind != "none":
        listed.append(world(kind).refreshed(later))
    return Receipt.parse(world(kind).attested(*listed))


@pytest.mark.parametrize("kind", ["ics23", "mpt-qbft", "none"])
def test_json_goes_back_to_the_same_receipt(kind: str) -> None:
    data = json_view.render(receipt(kind))
    assert json_view.receipt_of(data).encode() == receipt(kind).encode()
    shown = json.loads(data)
    assert shown["receiptId"] == hashlib.sha256(receipt(kind).core_bytes).hexdigest()
    assert shown["body"]["contentSha256"] == hashlib.sha256(CONTENT).hexdigest()
    assert [one["kind"] for one in shown["attestations"]][:3] == ["witness", "witness", "later/v9"]


def changed(value: Any, path: tuple[str | int, ...], new: object) -> bytes:
    spoilt = json.loads(json.dumps(value))
    at = spoilt
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = new
    return json.dumps(spoilt).encode()


@pytest.mark.parametrize(
    ("path", "new"),
    [
        (("body", "contentSha256"), "00" * 32),
        (("link", "time"), 1),
        (("leaf", "submitter"), 9),
        (("attestations", 0, "kind"), "rfc3161"),
        (("receipt",), "AAAA"),
        (("receipt",), "*"),
        (("receipt",), 7),
        (("another",), 1),
    ],
)
def test_json_that_says_something_else_than_its_receipt_is_refused(
    path: tuple[str | int, ...], new: object
) -> None:
    with pytest.raises(CaseledgerError):
        json_view.receipt_of(changed(json_view.as_json(receipt()), path, new))


def test_json_without_a_receipt_is_refused() -> None:
    for data in (b"[]", b"{}", b'{"receipt":null}'):
        with pytest.raises(JsonViewMismatch):
            json_view.receipt_of(data)


def test_withheld_bodies_and_unreadable_attestations_are_shown_as_such() -> None:
    withheld = Receipt.parse(World(withheld=True).attested(Attestation("witness", b"\x81\x01")))
    shown = json_view.as_json(withheld)
    assert shown["body"] is None
    assert shown["attestations"][0]["unreadable"] == "MalformedAttestation"


def test_erc1497_names_the_file_by_its_multihash_and_no_place() -> None:
    shown = json.loads(erc1497.render(receipt()))
    digest = _base58_decoded(shown["fileHash"])
    assert digest == b"\x12\x20" + hashlib.sha256(CONTENT).digest()
    assert shown["fileTypeExtension"] == "pdf"
    assert "uri" not in json.dumps(shown).lower()
    leaf = parse_leaf(world().core.leaf)
    assert shown["caseledger"]["evidenceGroupID"] == "0x" + leaf.header.case_commitment.hex()
    assert shown["caseledger"]["party"] == "0x" + world().key.address.hex()


def _base58_decoded(text: str) -> bytes:
    number = 0
    for char in text:
        number = number * 58 + erc1497._BASE58.index(char)
    return number.to_bytes(34, "big")


def test_base58_keeps_zeros_in_front() -> None:
    # Test vectors of the Base58 Internet draft.
    assert erc1497.base58(b"Hello World!") == "2NEpo7TZRRrLZSi2U"
    assert erc1497.base58(bytes.fromhex("0000287fb4cd")) == "11233QC4"


def test_no_erc1497_view_without_a_document() -> None:
    with pytest.raises(ViewNotPossible):
        erc1497.render(Receipt.parse(World(withheld=True).receipt))
    from protocol import cbor

    body = cbor.encode({0: 1, 1: bytes(32), 2: 5, 3: bytes(32), 4: bytes(32), 5: bytes(32)})
    first = World(continuation=body, evidence_class=EvidenceClass.LOG_CONTINUATION, index=0)
    with pytest.raises(ViewNotPossible):
        erc1497.render(Receipt.parse(first.receipt))


def test_receipt_inside_is_plain_base64() -> None:
    shown = json_view.as_json(receipt())
    assert base64.b64decode(shown["receipt"]) == receipt().encode()
