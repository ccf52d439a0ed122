"""Conformance kind `merkle`: both forms, and lines that are no proof at all."""

from __future__ import annotations

import json
from typing import Any

import pytest

from protocol.hashing import SM3
from verifier.conformance import CHECKS, answer
from verifier.errors import ConformanceKindUnknown
from verifier.merkle import Tree, consistency_proof, tree_root


def ask(line: Any) -> dict[str, bool | str]:
    return answer("merkle", line if isinstance(line, bytes) else json.dumps(line).encode())


def inclusion(**change: Any) -> dict[str, Any]:
    tree = Tree(SM3, [SM3.leaf(bytes([i])) for i in range(7)])
    return {
        "kind": "inclusion",
        "hash": "sm3",
        "leafIdx": 6,
        "treeSize": 7,
        "root": tree.root.hex(),
        "leafHash": SM3.leaf(b"\6").hex(),
        "proof": [h.hex() for h in tree.path(6)],
    } | change


def consistency(**change: Any) -> dict[str, Any]:
    leaves = [SM3.leaf(bytes([i])) for i in range(8)]
    nodes = {
        (level, i): tree_root(SM3, leaves[i << level : (i + 1) << level])
        for level in range(4)
        for i in range(8)
    }
    return {
        "kind": "consistency",
        "hash": "sm3",
        "size1": 3,
        "size2": 8,
        "root1": tree_root(SM3, leaves[:3]).hex(),
        "root2": tree_root(SM3, leaves).hex(),
        "proof": [h.hex() for h in consistency_proof(SM3, 3, 8, lambda level, i: nodes[level, i])],
    } | change


def test_sm3_trees_and_both_spellings_of_hex_are_read() -> None:
    for line in (inclusion(), consistency(), inclusion(desc="a comment", wantErr=False)):
        assert ask(line)["code"] == "Ok"
    upper = inclusion()
    assert ask(inclusion(root="0x" + upper["root"], leafHash=upper["leafHash"].upper()))["code"] == "Ok"
    assert ask(inclusion(hash="sha256"))["code"] == "MerkleRootMismatch"


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"", "JsonMalformed"),
        (b"{", "JsonMalformed"),
        (b"\xff{}", "JsonMalformed"),
        (b"\xef\xbb\xbf{}", "JsonMalformed"),
        (b"{} {}", "JsonMalformed"),
        (b"NaN", "JsonMalformed"),
        (b'{"kind":Infinity}', "JsonMalformed"),
        (b'{"kind":1.0}', "JsonMalformed"),
        (b'{"kind":1e3}', "JsonMalformed"),
        (b'{"kind":-0}', "JsonLimit"),
        (b'{"kind":"inclusion","kind":"inclusion"}', "JsonDuplicateKey"),
        (b'{"kind":' + b"9" * 5000 + b"}", "JsonLimit"),
        (b"[" * 200_000, "JsonLimit"),
        (b'"' + b"\\" * 200_001, "JsonMalformed"),
        (b" " * (4 << 20) + b"{}", "JsonLimit"),
        (b"[]", "FieldInvalid"),
        (b"null", "FieldInvalid"),
        (b"{}", "FieldMissing"),
        (b'{"kind":"\\ud800"}', "FieldInvalid"),
        (b'{"kind":["inclusion"]}', "FieldInvalid"),
        (inclusion(leafIdx=True), "FieldInvalid"),
        (inclusion(leafIdx="6"), "FieldInvalid"),
        (inclusion(leafIdx=None), "FieldInvalid"),
        (inclusion(leafIdx=-1), "MerkleIndexOutOfRange"),
        (inclusion(leafIdx=7), "MerkleIndexOutOfRange"),
        (inclusion(treeSize=0), "MerkleIndexOutOfRange"),
        (inclusion(treeSize=1 << 63), "MerkleSizeOutOfRange"),
        (inclusion(treeSize=1 << 64), "MerkleSizeOutOfRange"),
        (inclusion(root="zz" * 32), "FieldInvalid"),
        (inclusion(root="0X" + "00" * 32), "FieldInvalid"),
        (inclusion(root="aA" * 32), "FieldInvalid"),
        (inclusion(root=" " + "00" * 32), "FieldInvalid"),
        (inclusion(root="00" * 32 + "\n"), "FieldInvalid"),
        (inclusion(root="０" * 64), "FieldInvalid"),
        (inclusion(root="00" * 31), "MerkleHashLength"),
        (inclusion(root="00" * 31 + "0"), "FieldInvalid"),
        (inclusion(root="00" * 32), "MerkleRootMismatch"),
        (inclusion(leafHash=""), "MerkleHashLength"),
        (inclusion(proof=["00"]), "MerkleHashLength"),
        (inclusion(proof="00"), "FieldInvalid"),
        (inclusion(proof=[1]), "FieldInvalid"),
        (inclusion(proof={}), "FieldInvalid"),
        (inclusion(proof=None), "MerkleProofLength"),
        (inclusion(proof=["00" * 32] * 65), "MerkleProofLength"),
        (inclusion(proof=["00" * 32] * 2000), "JsonLimit"),
        (inclusion(hash="md5"), "FieldInvalid"),
        (inclusion(size1=1), "FieldInvalid"),
        (inclusion(kind="exclusion"), "FieldInvalid"),
        (consistency(root="00" * 32), "FieldInvalid"),
        (consistency(size1=0), "MerkleConsistencyFromEmpty"),
        (consistency(size1=0, size2=0, proof=[]), "MerkleConsistencyFromEmpty"),
        (consistency(size1=9), "MerkleSizesDecrease"),
        (consistency(size1=8), "MerkleProofLength"),
        (consistency(size1=8, proof=[], root1="ab", root2="ac"), "MerkleRootMismatch"),
        (consistency(size1=4), "MerkleProofLength"),
        (consistency(root1="00" * 32), "MerkleRootMismatch"),
        (consistency(proof=None), "MerkleProofLength"),
    ],
)
def test_what_is_no_proof_has_a_stable_code(line: Any, code: str) -> None:
    assert ask(line) == {"accepted": False, "code": code, "detail": ask(line)["detail"]}


@pytest.mark.parametrize("name", ["kind", "leafIdx", "treeSize", "root", "leafHash", "proof"])
def test_a_missing_field_is_named(name: str) -> None:
    line = inclusion()
    del line[name]
    result = ask(line)
    assert result["code"] == "FieldMissing"
    assert str(result["detail"]).startswith(name)


def test_a_fault_of_the_program_is_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(value: object) -> str:
        raise ZeroDivisionError

    monkeypatch.setitem(CHECKS, "merkle", broken)
    assert ask({})["code"] == "VerifierFault"
    with pytest.raises(ConformanceKindUnknown):
        answer("unknown", b"{}")
