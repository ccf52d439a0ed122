"""Leaf, header and body: every rule of entry.md §1-3 has an input that breaks it."""

from __future__ import annotations

import dataclasses
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import cbor, entry
from protocol.entry import Body, Continuation, EvidenceClass, Header, Link, Relation
from protocol.errors import CaseledgerError, LimitExceeded, MalformedInput, UnknownVersion

CASE = b"\x07" * 32
HEADER = Header(EvidenceClass.CONTRACT, 3, CASE, 9)
BODY = Body(
    b"\x01" * 32, b"\x02" * 32, 1234, "application/pdf", b"\x03" * 32, b"\x04" * 32, b"\x05" * 32, None,
    1_700_000_000, None, b"\x06" * 32, (Link(Relation.REPLACES, b"\x08" * 32),),
)  # fmt: skip

BAD_HEADERS = {
    "version": (0, b"\x02", UnknownVersion),
    "class 0": (1, b"\x00", entry.UnknownEvidenceClass),
    "class 11": (1, b"\x0b", entry.UnknownEvidenceClass),
    "class 129": (1, b"\x81", entry.UnknownEvidenceClass),
    "flag bit 1": (2, b"\x00\x02", MalformedInput),
    "flag bit 15": (2, b"\x80\x00", MalformedInput),
    "submitter 0": (4, b"\x00" * 4, MalformedInput),
    "mediation record without the flag": (1, b"\x05", entry.PrivilegedFlagMissing),
    "continuation with a case": (1, b"\x80", MalformedInput),
    "document without a case": (16, bytes(32), MalformedInput),
}


@pytest.mark.parametrize("name", BAD_HEADERS)
def test_header_refuses(name: str) -> None:
    at, value, error = BAD_HEADERS[name]
    raw = bytearray(HEADER.pack())
    raw[at : at + len(value)] = value
    with pytest.raises(error):
        Header.parse(bytes(raw))


def test_header_layout_is_the_one_of_the_specification() -> None:
    raw = Header(EvidenceClass.MEDIATION_RECORD, 0x01020304, CASE, 0x05060708090A0B0C, 1).pack()
    assert raw.hex() == "0105000101020304" + "05060708090a0b0c" + "07" * 32
    assert Header.parse(raw).privileged


def test_leaf_carries_both_digests_and_its_hash_is_the_evidence_id() -> None:
    body = BODY.encode()
    leaf = entry.leaf(HEADER, body)
    assert leaf == HEADER.pack() + hashlib.sha256(body).digest() + hashlib.new("sm3", body).digest()
    assert entry.evidence_id(leaf) == hashlib.sha256(b"\x00" + leaf).digest()
    assert entry.parse_leaf(leaf).pack() == leaf
    assert entry.sequence_of(leaf) == 9
    assert entry.sequence_of(entry.unsequenced(leaf)) == 0
    assert entry.sequenced(entry.unsequenced(leaf), 9) == leaf


@pytest.mark.parametrize("size", [0, 111, 113])
def test_leaf_of_another_length_is_refused(size: int) -> None:
    for function in (entry.parse_leaf, entry.evidence_id, entry.unsequenced, entry.sequence_of):
        with pytest.raises(MalformedInput):
            function(bytes(size))


def raw_body(**changes: object) -> bytes:
    """The sample body with members replaced (`k3=…`) or dropped (`k3=DROP`)."""
    members = cbor.decode(BODY.encode(), max_bytes=2048)
    assert isinstance(members, dict)
    for name, value in changes.items():
        if value is DROP:
            del members[int(name[1:])]
        else:
            members[int(name[1:])] = value  # type: ignore[assignment]
    return cbor.encode(members)


DROP = object()
BAD_BODIES: dict[str, dict[str, object]] = {
    "version 2": {"k0": 2},
    "a key missing": {"k12": DROP},
    "a key too many": {"k13": None},
    "digest of 31 bytes": {"k1": b"\x01" * 31},
    "SM3 of 33 bytes": {"k2": b"\x01" * 33},
    "SHA-256 null": {"k1": None},
    "size 2^53": {"k3": 2**53},
    "size null": {"k3": None},
    "media type too short": {"k4": "a/"},
    "media type upper case": {"k4": "Text/plain"},
    "media type without slash": {"k4": "textplain"},
    "media type with two slashes": {"k4": "a/b/c"},
    "media type with parameters": {"k4": "text/plain; charset=utf-8"},
    "media type beginning with a dot": {"k4": ".a/b"},
    "media type of 128 bytes": {"k4": "a/" + "b" * 126},
    "media type with a newline at the end": {"k4": "text/plain\n"},
    "media type as bytes": {"k4": b"text/plain"},
    "salt short": {"k5": b"\x03" * 16},
    "case reference null": {"k6": None},
    "subject reference as text": {"k7": "x"},
    "actor reference short": {"k8": b"\x03" * 20},
    "event time 2^40": {"k9": 2**40},
    "event time true": {"k9": True},
    "provenance short": {"k10": b""},
    "manifest short": {"k11": b"\x01"},
    "links null": {"k12": None},
    "seventeen links": {"k12": [[1, b"\x08" * 32]] * 17},
    "relation 0": {"k12": [[0, b"\x08" * 32]]},
    "relation 6": {"k12": [[6, b"\x08" * 32]]},
    "link of three members": {"k12": [[1, b"\x08" * 32, 0]]},
    "link without an id": {"k12": [[1]]},
    "link id short": {"k12": [[1, b"\x08" * 31]]},
}


@pytest.mark.parametrize("name", BAD_BODIES)
def test_body_refuses(name: str) -> None:
    data = raw_body(**BAD_BODIES[name])
    with pytest.raises(MalformedInput):
        Body.parse(data)
    with pytest.raises(MalformedInput):
        entry.check_body(data)


def test_oversize_body_is_refused_as_such() -> None:
    for parse in (Body.parse, entry.check_body):
        with pytest.raises(LimitExceeded):
            parse(b"\xad" + bytes(2048))


def test_largest_body_stays_under_the_limit() -> None:
    full = dataclasses.replace(
        BODY, content_size=2**53 - 1, media_type="a/" + "b" * 125, actor_ref=CASE, provenance=CASE,
        event_time=2**40 - 1, links=tuple(Link(Relation.PAGE_OF, bytes([n]) * 32) for n in range(16)),
    )  # fmt: skip
    data = full.encode()
    assert len(data) <= entry.MAX_BODY
    assert Body.parse(data) == full
    assert entry.check_body(data).links == full.links


digest = st.binary(min_size=32, max_size=32)
maybe = st.none() | digest
name = st.from_regex(r"[a-z0-9][a-z0-9!#$&\-^_.+]{0,61}", fullmatch=True)
bodies = st.builds(
    Body,
    digest,
    digest,
    st.integers(0, 2**53 - 1) | st.sampled_from([0, 23, 24, 255, 256, 65535, 65536, 2**32 - 1, 2**32]),
    st.builds("{}/{}".format, name, name),
    digest,
    digest,
    maybe,
    maybe,
    st.none() | st.integers(0, 2**40 - 1) | st.sampled_from([23, 24, 255, 256, 65536, 2**32 - 1, 2**32]),
    maybe,
    maybe,
    st.lists(st.builds(Link, st.sampled_from(Relation), digest), max_size=16).map(tuple),
)


@given(bodies)
def test_pattern_and_parser_read_the_same_members(body: Body) -> None:
    data = body.encode()
    view = entry.check_body(data)
    assert (view.content_sha256, view.content_sm3) == (body.content_sha256, body.content_sm3)
    assert (view.salt, view.case_ref, view.manifest) == (body.salt, body.case_ref, body.manifest)
    assert view.links == body.links
    assert Body.parse(data) == body


@given(bodies, st.data())
def test_pattern_accepts_exactly_what_the_parser_accepts(body: Body, draw: st.DataObject) -> None:
    data = bytearray(body.encode())
    for _ in range(draw.draw(st.integers(1, 3))):
        at = draw.draw(st.integers(0, len(data) - 1))
        if draw.draw(st.booleans()):
            data[at] = draw.draw(st.integers(0, 255))
        else:
            del data[at : at + draw.draw(st.integers(1, 34))]
        if not data:
            return
    accepted = []
    for parse in (Body.parse, entry.check_body):
        try:
            parse(bytes(data))
            accepted.append(True)
        except CaseledgerError:
            accepted.append(False)
    assert accepted[0] == accepted[1]


CONTINUATION = Continuation(b"\x01" * 32, 17, b"\x02" * 32, b"\x03" * 32, b"\x04" * 32)


def test_continuation_body_is_read_for_its_class_alone() -> None:
    data = CONTINUATION.encode()
    assert entry.parse_body(data, EvidenceClass.LOG_CONTINUATION) == CONTINUATION
    with pytest.raises(MalformedInput):
        entry.parse_body(data, EvidenceClass.CONTRACT)
    with pytest.raises(MalformedInput):
        entry.parse_body(BODY.encode(), EvidenceClass.LOG_CONTINUATION)


@given(st.binary(max_size=300))
def test_parsers_raise_only_our_errors(data: bytes) -> None:
    for parse in (Body.parse, Continuation.parse, entry.check_body, entry.parse_leaf, Header.parse):
        try:
            parse(data)
        except CaseledgerError:
            continue


def test_every_class_and_relation_has_words_in_both_languages() -> None:
    for kind in EvidenceClass:
        assert kind.label.zh
        assert kind.label.en
    for relation in Relation:
        assert relation.label.zh
        assert relation.label.en


def test_a_continuation_of_more_leaves_than_a_tree_can_have_is_refused() -> None:
    assert Continuation.parse(dataclasses.replace(CONTINUATION, size=2**63 - 1).encode()).size == 2**63 - 1
    with pytest.raises(MalformedInput):
        dataclasses.replace(CONTINUATION, size=2**63).encode()
