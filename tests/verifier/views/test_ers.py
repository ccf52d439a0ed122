"""Evidence records: the hash tree for any number of objects, the record in DER, renewal, and refusals.

Second opinions: `openssl asn1parse` for the structure; Bouncy Castle's tsp.ers for the whole record, where
Java and its jars (bcprov, bcutil, bcpkix in the folder CASELEDGER_BOUNCYCASTLE) are.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.errors import CaseledgerError, MalformedInput
from protocol.hashing import ALGORITHMS, SHA256, SM3, HashAlg, sha256
from tests.support.time_tokens import NOW, Recipe, authority, identity
from verifier.timetoken_errors import AuthorityNotTrusted, TokenImprintMismatch, TokenSignatureInvalid
from verifier.views.errors import EvidenceRecordExpired, EvidenceRecordMalformed, EvidenceRecordMismatch
from verifier.views.ers import (
    ErsTree,
    EvidenceRecord,
    data_object,
    ers_root,
    evidence_record,
    reduced_tree,
    root_of,
)

YEAR = 365 * 86_400
BOUNCY = Path(os.environ.get("CASELEDGER_BOUNCYCASTLE", ".tools/bouncycastle"))


def leaf(number: int) -> bytes:
    return number.to_bytes(112, "big")


@cache
def hashes(count: int, alg: HashAlg = SHA256) -> tuple[bytes, ...]:
    return tuple(alg.digest(data_object(leaf(n))) for n in range(count))


@cache
def record(index: int = 5, count: int = 13, algorithm: str = "sha256") -> EvidenceRecord:
    alg = ALGORITHMS[algorithm]
    tree = ErsTree(alg, hashes(count, alg))
    token = Recipe(identity(), algorithm=algorithm, imprint=tree.root).make()
    return evidence_record(algorithm, tree.reduced(index), token)


def verify(one: EvidenceRecord, number: int = 5, *, at: int = NOW + 60, alg: HashAlg = SHA256) -> list[int]:
    trusted = (authority(identity()), authority(identity("Authority B"), "B"))
    return [token.gen_time for token in one.verify(alg.digest(data_object(leaf(number))), trusted, at=at)]


# The tree


def by_the_book(values: tuple[bytes, ...]) -> bytes:
    """RFC 4998 §4.2 written the long way, with groups of two in the given order."""
    level = list(values)
    while len(level) > 1:
        groups = [level[at : at + 2] for at in range(0, len(level), 2)]
        level = [one[0] if len(one) == 1 else sha256(b"".join(sorted(one))) for one in groups]
    return level[0]


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 70), st.data())
def test_every_object_leads_to_the_root_and_no_other_does(count: int, data: st.DataObject) -> None:
    values = hashes(count)
    index = data.draw(st.integers(0, count - 1))
    root = ers_root(values, SHA256)
    assert root == by_the_book(values)
    lists = reduced_tree(values, index, SHA256)
    assert root_of(SHA256, values[index], lists) == root
    assert (count == 1) == (lists == ())
    stranger = sha256(b"stranger")
    if lists:
        with pytest.raises(EvidenceRecordMismatch):
            root_of(SHA256, stranger, lists)
        spoilt = ((*lists[0][:-1], stranger), *lists[1:])
        if values[index] in spoilt[0]:
            assert root_of(SHA256, values[index], spoilt) != root


def test_the_first_list_never_holds_one_hash_alone() -> None:
    """RFC 4998 leaves open whether such a list is hashed once more; readers differ."""
    for count in range(2, 40):
        for index in range(count):
            assert len(reduced_tree(hashes(count), index, SHA256)[0]) == 2


def test_nothing_of_a_neighbour_but_one_hash_is_in_a_record() -> None:
    lists = reduced_tree(hashes(64), 9, SHA256)
    assert sum(map(len, lists)) == 7


def test_no_tree_without_hashes_or_with_short_ones() -> None:
    for wrong in ((), (b"short",)):
        with pytest.raises(MalformedInput):
            ers_root(wrong, SHA256)
    with pytest.raises(MalformedInput):
        reduced_tree(hashes(3), 3, SHA256)


# The record


@pytest.mark.parametrize("algorithm", ["sha256", "sm3"])
@pytest.mark.parametrize(("index", "count"), [(0, 1), (0, 2), (5, 13), (12, 13)])
def test_a_record_proves_its_leaf(index: int, count: int, algorithm: str) -> None:
    one = record(index, count, algorithm)
    read = EvidenceRecord.parse(one.encode())
    assert read == one
    assert verify(read, index, alg=ALGORITHMS[algorithm]) == [NOW]


def test_the_object_hash_is_the_evidence_id() -> None:
    assert sha256(data_object(leaf(1))) == SHA256.leaf(leaf(1))
    assert SM3.digest(data_object(leaf(1))) == SM3.leaf(leaf(1))


def test_another_leaf_authority_or_tree_is_refused() -> None:
    with pytest.raises(EvidenceRecordMismatch):
        verify(record(), 6 ^ 8)
    with pytest.raises(AuthorityNotTrusted):
        record().verify(hashes(13)[5], (authority(identity("Authority B"), "B"),), at=NOW + 60)
    other = EvidenceRecord("sha256", (record(5, 12).chain[0],))
    swapped = EvidenceRecord("sha256", (type(other.chain[0])(other.chain[0].lists, record().chain[0].token),))
    with pytest.raises(TokenImprintMismatch):
        verify(swapped)


def test_a_neighbour_in_the_first_list_is_proved_too_and_only_it() -> None:
    """Both children of a node are in the list: RFC 4998 §4.3 cannot tell them apart, nor need it."""
    proved = [n for n in range(13) if _proves(record(), n)]
    assert proved == [4, 5]


def _proves(one: EvidenceRecord, number: int) -> bool:
    try:
        verify(one, number)
    except EvidenceRecordMismatch:
        return False
    return True


def test_a_record_whose_certificate_ended_counts_only_when_it_was_renewed_in_time() -> None:
    later = NOW + 6 * YEAR
    with pytest.raises(EvidenceRecordExpired):
        verify(record(), at=later)
    in_time = Recipe(identity("Authority B", 3000), time=NOW + 4 * YEAR, imprint=record().renewal_imprint)
    trusted = (authority(identity()), authority(identity("Authority B", 3000), "B"))
    renewed = EvidenceRecord.parse(record().renewed(in_time.make()).encode())
    proved = renewed.verify(hashes(13)[5], trusted, at=later)
    assert [token.gen_time for token in proved] == [NOW, NOW + 4 * YEAR]
    late = Recipe(identity("Authority B", 3000), time=NOW + 5 * YEAR + 99, imprint=record().renewal_imprint)
    with pytest.raises(EvidenceRecordExpired):
        record().renewed(late.make()).verify(hashes(13)[5], trusted, at=later)
    elsewhere = Recipe(identity("Authority B", 3000), time=NOW + 4 * YEAR, imprint=sha256(b"other"))
    with pytest.raises(TokenImprintMismatch):
        record().renewed(elsewhere.make()).verify(hashes(13)[5], trusted, at=later)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 100_000), st.integers(1, 255))
def test_no_changed_byte_is_accepted(at: int, flip: int) -> None:
    data = bytearray(record().encode())
    data[at % len(data)] ^= flip
    with pytest.raises(CaseledgerError):
        verify(EvidenceRecord.parse(bytes(data)))


def test_other_forms_are_refused() -> None:
    good = record().encode()
    for wrong in (b"", good[:-1], good + b"\0", good[:4] + b"\x02\x01\x02" + good[7:], bytes(600_000)):
        with pytest.raises(EvidenceRecordMalformed):
            EvidenceRecord.parse(wrong)


def test_a_spoilt_token_has_its_own_code() -> None:
    data = record().encode()
    with pytest.raises(TokenSignatureInvalid):
        verify(EvidenceRecord.parse(data[:-1] + bytes([data[-1] ^ 1])))


# Second opinions


def test_openssl_reads_the_structure(tmp_path: Path) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl")
    path = tmp_path / "record.ers"
    path.write_bytes(record().encode())
    shown = subprocess.run(
        [openssl, "asn1parse", "-inform", "DER", "-in", path], check=True, capture_output=True, text=True
    ).stdout
    assert "Error" not in shown
    assert "INTEGER           :01" in shown
    assert shown.count("cont [ 2 ]") == 1
    assert "id-smime-ct-TSTInfo" in shown


def test_bouncy_castle_accepts_and_refuses_the_same(tmp_path: Path) -> None:
    java, jars = shutil.which("java"), sorted(BOUNCY.glob("bc*.jar"))
    if java is None or len(jars) < 3:
        pytest.skip(f"no Java, or no bcprov, bcutil and bcpkix in {BOUNCY}")
    renewing = identity("Authority B", 3000)
    (tmp_path / "A.der").write_bytes(identity().signer)
    (tmp_path / "B.der").write_bytes(renewing.signer)
    token = Recipe(renewing, time=NOW + 100, imprint=record().renewal_imprint).make()
    records = {
        "single": (record(0, 1), 0, "A"),
        "pair": (record(1, 2), 1, "A"),
        "odd": (record(12, 13), 12, "A"),
        "many": (record(), 5, "A"),
        "renewed": (record().renewed(token), 5, "B"),
    }
    cases = []
    for name, (one, index, signer) in records.items():
        (tmp_path / f"{name}.ers").write_bytes(one.encode())
        (tmp_path / f"{name}.bin").write_bytes(data_object(leaf(index)))
        # It would stamp all tokens of a chain as a group at the second renewal; RFC 4998 §5.2 says the last.
        expected = one.renewal_imprint.hex() if len(one.chain) == 1 else "renewed"
        cases.append((f"{signer}.der", f"{name}.ers", f"{name}.bin", expected))
    cases.append(("A.der", "odd.ers", "many.bin", "refused"))
    cases.append(("B.der", "many.ers", "many.bin", "refused"))
    arguments = [str(tmp_path / one) for case in cases for one in case[:3]]
    source = Path(__file__).with_name("BouncyCastleErs.java")
    path = os.pathsep.join(map(str, jars))
    done = subprocess.run(
        [java, "-XX:TieredStopAtLevel=1", "-cp", path, source, str(NOW + 200), *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    answers = done.stdout.split()
    answers[4] = answers[4] if answers[4] == "refused" else "renewed"
    assert answers == [case[3] for case in cases], done.stderr
