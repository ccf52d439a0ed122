"""The tlog-proof of a receipt: what a C2SP verifier reads from it, and each way in which it is refused."""

from __future__ import annotations

import base64
import dataclasses
import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.checkpoint import (
    TYPE_COSIGNATURE,
    TYPE_ED25519,
    CheckpointMalformed,
    CheckpointSignatureInvalid,
    CosignatureInvalid,
    key_id,
)
from protocol.errors import CaseledgerError
from protocol.hashing import SHA256
from tests.support.world import BANK_A, BANK_B, COURT, REGULATOR, WITNESSES, World, witness_private
from verifier.errors import LogNotTrusted, MerkleRootMismatch
from verifier.merkle_verify import root_from_inclusion
from verifier.receipt import Receipt
from verifier.views.errors import TlogProofMalformed, ViewNotPossible
from verifier.views.tlog_proof import TlogProof, leaf_of, tlog_proof
from verifier.witness_policy import satisfied


@cache
def world() -> World:
    return World(version=2)


@cache
def proof(size: int | None = None) -> bytes:
    receipt = Receipt.parse(world().attested(world().witness(size=size), world().witness(algorithm=1)))
    return tlog_proof(receipt, world().payload)


def line(data: bytes, number: int) -> bytes:
    return data.split(b"\n")[number]


@pytest.mark.parametrize("size", [None, 40])
def test_form_line_by_line(size: int | None) -> None:
    lines = proof(size).decode().split("\n")
    leaf = world().core.leaf
    assert lines[0] == "c2sp.org/tlog-proof@v1"
    assert lines[1] == "extra " + base64.b64encode(leaf).decode()
    assert lines[2] == f"index {world().index}"
    gap = lines.index("")
    path = [base64.b64decode(one) for one in lines[3:gap]]
    origin, tree_size, root, empty, *signatures, end = lines[gap + 1 :]
    assert (origin, int(tree_size)) == (world().origin, size or len(world().leaves))
    assert root_from_inclusion(SHA256, SHA256.leaf(leaf), world().index, int(tree_size), path) == (
        base64.b64decode(root)
    )
    assert (empty, end) == ("", "")
    names = [one.split(" ")[1] for one in signatures]
    assert names == [world().origin, COURT, REGULATOR, BANK_A, BANK_B]


@pytest.mark.parametrize("size", [None, 40])
def test_reads_back_and_verifies(size: int | None) -> None:
    read = TlogProof.parse(proof(size))
    assert read.encode() == proof(size)
    names = read.verify(leaf_of(read), world().payload)
    assert names == (COURT, REGULATOR, BANK_A, BANK_B)
    assert satisfied(world().payload.witness_policy, set(names))


def test_the_attestation_with_the_most_cosignatures_is_taken() -> None:
    few, many = world().witness(COURT), world().witness(size=20)
    receipt = Receipt.parse(world().attested(few, many))
    assert TlogProof.parse(tlog_proof(receipt, world().payload)).note.checkpoint.size == 20


def test_without_witness_attestation_there_is_no_view() -> None:
    with pytest.raises(ViewNotPossible):
        tlog_proof(Receipt.parse(world().receipt), world().payload)
    only_sm3 = Receipt.parse(world().attested(world().witness(algorithm=1)))
    with pytest.raises(ViewNotPossible):
        tlog_proof(only_sm3, world().payload)


def test_witnesses_that_the_trust_file_does_not_name_stay_out() -> None:
    receipt = Receipt.parse(world().attested())
    nobody = dataclasses.replace(world().payload, witness_policy=type(world().payload.witness_policy)())
    read = TlogProof.parse(tlog_proof(receipt, nobody))
    assert [one.name for one in read.note.signatures] == [world().origin]


def test_a_spoilt_signature_never_goes_into_a_view() -> None:
    listed = world().witness()
    spoilt = dataclasses.replace(listed, payload=listed.payload[:-1] + bytes([listed.payload[-1] ^ 1]))
    with pytest.raises(CosignatureInvalid):
        tlog_proof(Receipt.parse(world().attested(spoilt)), world().payload)
    other = dataclasses.replace(
        world().payload, logs=(dataclasses.replace(world().payload.logs[0], log_key=bytes(32)),)
    )
    with pytest.raises(CheckpointSignatureInvalid):
        tlog_proof(Receipt.parse(world().attested()), other)
    unnamed = dataclasses.replace(world().payload, logs=())
    with pytest.raises(LogNotTrusted):
        tlog_proof(Receipt.parse(world().attested()), unnamed)


def test_another_leaf_or_place_does_not_verify() -> None:
    read = TlogProof.parse(proof())
    with pytest.raises(MerkleRootMismatch):
        read.verify(world().leaves[0], world().payload)
    with pytest.raises(CaseledgerError):
        dataclasses.replace(read, index=read.index ^ 1).verify(world().core.leaf, world().payload)


MALFORMED = {
    "head": lambda data: data.replace(b"@v1", b"@v2", 1),
    "index missing": lambda data: data.replace(line(data, 2) + b"\n", b"", 1),
    "index with a zero before it": lambda data: data.replace(b"index ", b"index 0", 1),
    "index negative": lambda data: data.replace(b"index ", b"index -", 1),
    "path not base64": lambda data: data.replace(line(data, 3), b"*", 1),
    "path of 31 bytes": lambda data: data.replace(line(data, 3), base64.b64encode(bytes(31)), 1),
    "extra empty": lambda data: data.replace(line(data, 1), b"extra ", 1),
    "carriage returns": lambda data: data.replace(b"\n", b"\r\n"),
    "no checkpoint": lambda data: data[: data.index(b"\n\n") + 2],
    "nothing": lambda data: b"",
    "too long": lambda data: data + bytes(65_536),
}


@pytest.mark.parametrize("spoil", MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed_proofs_are_refused(spoil: object) -> None:
    assert callable(spoil)
    with pytest.raises((TlogProofMalformed, CheckpointMalformed)):
        TlogProof.parse(spoil(proof()))


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_no_changed_byte_proves_something_else(data: st.DataObject) -> None:
    whole = bytearray(proof())
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] ^= data.draw(st.integers(1, 255))
    try:
        read = TlogProof.parse(bytes(whole))
        names = read.verify(world().core.leaf, world().payload)
    except CaseledgerError:
        return
    # What is left: the unauthenticated extra line, and lines by keys that are no longer ours.
    good = TlogProof.parse(proof())
    assert (read.index, read.path, read.note.text) == (good.index, good.path, good.note.text)
    assert read.extra != good.extra or set(names) < {COURT, REGULATOR, BANK_A, BANK_B}


def verifier_key(name: str, kind: int, public_key: bytes) -> str:
    """A signed-note verifier key."""
    encoded = base64.b64encode(bytes([kind]) + public_key).decode()
    return f"{name}+{key_id(name, kind, public_key).hex()}+{encoded}"


def test_the_go_libraries_of_the_transparency_community_read_it(tmp_path: Path) -> None:
    go = shutil.which("go")
    if go is None:
        pytest.skip("no Go")
    source = Path(__file__).with_name("tlog_check")
    program = tmp_path / "check"
    environment = {**os.environ, "GOPROXY": "off", "GOFLAGS": "-mod=readonly", "GOTOOLCHAIN": "local"}
    built = subprocess.run(
        [go, "build", "-o", program, "."], check=False, cwd=source, env=environment, capture_output=True,
        text=True, timeout=200,
    )  # fmt: skip
    if built.returncode and ("module lookup disabled" in built.stderr or "requires go" in built.stderr):
        pytest.skip(f"modules are not on this machine (`go mod download` in {source.name}), or Go is older")
    assert built.returncode == 0, built.stderr
    log_key = world().log_key.public_key().public_bytes_raw()
    keys = [verifier_key(world().origin, TYPE_ED25519, log_key), world().origin]
    for name in WITNESSES:
        public_key = witness_private(name).public_key().public_bytes_raw()
        keys.append(verifier_key(name, TYPE_COSIGNATURE, public_key))

    def read(data: bytes) -> str:
        file = tmp_path / "proof"
        file.write_bytes(data)
        return subprocess.run(
            [program, file, *keys], check=False, capture_output=True, text=True, timeout=60
        ).stdout.strip()

    assert read(proof(40)) == f"{world().origin} 40 {world().index} 5 true"
    assert read(proof(40).replace(b"index 6", b"index 7")).startswith("refused: calculated root")
    assert read(proof(40).replace(line(proof(40), 1), b"extra AAAA")).startswith("refused: calculated root")
