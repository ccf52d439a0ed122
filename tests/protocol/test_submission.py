"""Submission, promise and acceptance: forms, rules, and what an agent catches in a log's answer."""

from __future__ import annotations

import dataclasses
import json
import time
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import cbor, entry
from protocol.acts import BadSignature
from protocol.entry import Body, Continuation, EvidenceClass, Header
from protocol.errors import CaseledgerError, LimitExceeded, MalformedInput, UnknownVersion
from protocol.hashing import SHA256
from protocol.submission import (
    MAX_ENTRIES,
    Acceptance,
    EntryBytes,
    Promise,
    PromiseMismatch,
    Submission,
    SubmitterMismatch,
    _parse_usual,
    check_acceptance,
    group_leaf,
    request_root,
)
from tests.support import fakechain
from tests.support.fakechain import seeded
from tests.support.world import LINK_TIME, SUBMITTER, World
from verifier.merkle_tree import Tree

WORLD = World()
GOOD = WORLD.submission


def entries(count: int, submitter: int = SUBMITTER) -> list[EntryBytes]:
    header = Header(EvidenceClass.CONTRACT, submitter, seeded("case")).pack()
    return [
        (
            header,
            Body(
                seeded("c", n), seeded("m", n), n, "application/pdf", seeded("s", n), seeded("r", n)
            ).encode(),
        )
        for n in range(count)
    ]


def with_entries(*members: EntryBytes) -> Submission:
    return dataclasses.replace(GOOD, entries=members)


ENCODED = with_entries(*entries(3)).encode()


def test_cbor_and_json_say_the_same() -> None:
    assert Submission.parse(GOOD.encode()) == GOOD
    assert Submission.from_json(GOOD.to_json()) == GOOD


def test_the_signer_is_recovered_over_all_entries() -> None:
    checked = GOOD.check()
    assert checked.signer(WORLD.domain) == WORLD.key.address
    assert checked.root == GOOD.root()
    assert list(checked.leaves) == GOOD.unsequenced_leaves()
    assert list(checked.leaf_hashes) == [SHA256.leaf(leaf) for leaf in checked.leaves]
    for view, (_, body) in zip(checked.views, GOOD.entries, strict=True):
        assert view == entry.check_body(body)
    other = with_entries(*GOOD.entries[:-1]).check()
    assert other.signer(WORLD.domain) != WORLD.key.address


HEADER, BODY = GOOD.entries[0]
BAD_ENTRIES: dict[str, tuple[EntryBytes, type[CaseledgerError]]] = {
    "another organisation": (entries(1, 4)[0], SubmitterMismatch),
    "sequence set by the submitter": ((HEADER[:15] + b"\x01" + HEADER[16:], BODY), MalformedInput),
    "header of 47 bytes": ((HEADER[:47], BODY), MalformedInput),
    "header of 49 bytes": ((HEADER + b"\x00", BODY), MalformedInput),
    "unknown version": ((b"\x02" + HEADER[1:], BODY), UnknownVersion),
    "unknown class": ((b"\x01\x0c" + HEADER[2:], BODY), entry.UnknownEvidenceClass),
    "mediation record in the open": ((b"\x01\x05" + HEADER[2:], BODY), entry.PrivilegedFlagMissing),
    "no case": ((HEADER[:16] + bytes(32), BODY), MalformedInput),
    "oversize body": ((HEADER, bytes(2049)), LimitExceeded),
    "malformed body": ((HEADER, BODY[:-1]), MalformedInput),
    "the same entry twice": (GOOD.entries[1], MalformedInput),
    "continuation among others": (
        (
            Header(EvidenceClass.LOG_CONTINUATION, SUBMITTER, bytes(32)).pack(),
            Continuation(seeded(1), 5, seeded(2), seeded(3), seeded(4)).encode(),
        ),
        MalformedInput,
    ),
}


@pytest.mark.parametrize("name", BAD_ENTRIES)
def test_one_bad_entry_refuses_all_and_is_named(name: str) -> None:
    bad, error = BAD_ENTRIES[name]
    with pytest.raises(error) as caught:
        with_entries(GOOD.entries[1], bad, GOOD.entries[2]).check()
    if name != "the same entry twice":
        assert (caught.value.field or "").startswith("entries[1]")


def test_a_continuation_stands_alone() -> None:
    member = BAD_ENTRIES["continuation among others"][0]
    assert with_entries(member).check().views == (None,)


BAD_MEMBERS: dict[str, dict[int, object]] = {
    "version 2": {0: 2},
    "log id short": {1: b"\x01" * 31},
    "organisation 0": {2: 0},
    "organisation 2^32": {2: 2**32},
    "validUntil 2^40": {3: 2**40},
    "signature of 64 bytes": {4: bytes(64)},
    "no entries": {5: ()},
    "entry of one member": {5: ((HEADER,),)},
    "entry as a map": {5: ({0: HEADER},)},
    "body null": {5: ((HEADER, None),)},
    "unknown key": {6: 0},
}


@pytest.mark.parametrize("name", BAD_MEMBERS)
def test_cbor_refuses(name: str) -> None:
    value = cbor.decode(GOOD.encode(), max_bytes=2**20)
    assert isinstance(value, dict)
    data = cbor.encode({**value, **BAD_MEMBERS[name]})  # type: ignore[dict-item]
    with pytest.raises(MalformedInput):
        Submission.parse(data)


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2}, {"logId": "ab"}, {"organisation": "3"}, {"organisation": True}, {"signature": 5},
        {"entries": []}, {"entries": [{"header": "00"}]}, {"entries": {}}, {"extra": 1},
        {"logId": "AB" * 32}, {"logId": "0x" + "ab" * 32},
    ],
)  # fmt: skip
def test_json_refuses(change: dict[str, object]) -> None:
    with pytest.raises(MalformedInput):
        Submission.from_json(json.dumps({**json.loads(GOOD.to_json()), **change}))


@pytest.mark.parametrize("text", ["", "[]", "null", "{", '{"version":1,"version":1}', "NaN", "\xff"])
def test_what_is_not_a_json_submission_is_refused(text: str) -> None:
    with pytest.raises(MalformedInput):
        Submission.from_json(text)


def test_limits() -> None:
    with pytest.raises(LimitExceeded):
        Submission.parse(bytes(8 * 2**20 + 1))
    with pytest.raises(LimitExceeded):
        Submission.from_json(" " * (17 * 2**20))
    many = dataclasses.replace(GOOD, entries=((HEADER, b""),) * (MAX_ENTRIES + 1))
    with pytest.raises(LimitExceeded):
        Submission.parse(many.encode())
    with pytest.raises(LimitExceeded):
        many.check()


@given(st.binary(max_size=400), st.data())
def test_parsers_raise_only_our_errors(noise: bytes, draw: st.DataObject) -> None:
    data = bytearray(GOOD.encode())
    at = draw.draw(st.integers(0, len(data) - 1))
    data[at : at + draw.draw(st.integers(0, 40))] = noise[: draw.draw(st.integers(0, 40))]
    for parse in (Submission.parse, Acceptance.parse, Promise.parse):
        for candidate in (bytes(data), noise):
            try:
                parse(candidate)
            except CaseledgerError:
                continue


LOG_KEY = fakechain.ed25519("log")
LOG_PUBLIC = LOG_KEY.public_key().public_bytes_raw()


def acceptance(submission: Submission = GOOD, first: int = 40, position: int = 1) -> Acceptance:
    """What an honest log answers: this request is second of three in its group."""
    leaves = [entry.sequenced(leaf, first + at) for at, leaf in enumerate(submission.unsequenced_leaves())]
    roots = [seeded("other request"), request_root(leaves), seeded("third request")]
    group = Tree(SHA256, [group_leaf(root) for root in roots])
    promise = Promise(submission.log_id, group.root, 3, LINK_TIME, LINK_TIME + 3600)
    return Acceptance(
        promise.encode(),
        LOG_KEY.sign(promise.message()),
        first,
        90,
        len(leaves),
        position,
        group.path(position),
    )


def test_an_honest_answer_gives_the_leaves() -> None:
    answer = acceptance()
    assert Acceptance.parse(answer.encode()) == answer
    assert Acceptance.from_json(answer.to_json()) == answer
    leaves = check_acceptance(GOOD, answer, LOG_PUBLIC)
    assert [entry.sequence_of(leaf) for leaf in leaves] == [40, 41, 42, 43, 44]


@pytest.mark.parametrize("path", range(0, 13))
@pytest.mark.parametrize("number", [1, 23, 24, 255, 256, 65_535, 65_536, 2**32 - 1, 2**32, 2**64 - 1])
def test_acceptance_written_by_hand_is_what_the_encoder_writes(path: int, number: int) -> None:
    answer = Acceptance(b"p" * 100, b"s" * 64, number, number, number, number, (b"n" * 32,) * path)
    values: list[cbor.Encodable] = [
        1,
        answer.promise,
        answer.signature,
        number,
        number,
        number,
        number,
        answer.group_path,
    ]
    assert answer.encode() == cbor.encode(dict(enumerate(values)))


def resigned(**changes: object) -> Acceptance:
    promise = dataclasses.replace(Promise.parse(acceptance().promise), **changes)  # type: ignore[arg-type]
    return dataclasses.replace(
        acceptance(), promise=promise.encode(), signature=LOG_KEY.sign(promise.message())
    )


DISHONEST: dict[str, tuple[Acceptance, type[CaseledgerError]]] = {
    "another sequence": (dataclasses.replace(acceptance(), first_sequence=41), PromiseMismatch),
    "fewer entries": (dataclasses.replace(acceptance(), count=4), PromiseMismatch),
    "another log": (resigned(log_id=seeded("log")), PromiseMismatch),
    "another group root": (resigned(group_root=seeded("root")), PromiseMismatch),
    "another place in the group": (dataclasses.replace(acceptance(), group_position=0), PromiseMismatch),
    "place outside the group": (dataclasses.replace(acceptance(), group_position=3), MalformedInput),
    "path cut": (dataclasses.replace(acceptance(), group_path=()), MalformedInput),
    "signature of another key": (
        dataclasses.replace(acceptance(), signature=fakechain.ed25519("x").sign(b"")),
        BadSignature,
    ),
    "deadline changed after signing": (
        dataclasses.replace(
            acceptance(),
            promise=dataclasses.replace(Promise.parse(acceptance().promise), deadline=2**39).encode(),
        ),
        BadSignature,
    ),
}


@pytest.mark.parametrize("name", DISHONEST)
def test_the_agent_catches(name: str) -> None:
    answer, error = DISHONEST[name]
    with pytest.raises(error):
        check_acceptance(GOOD, answer, LOG_PUBLIC)


def test_a_deadline_before_acceptance_is_refused() -> None:
    with pytest.raises(MalformedInput):
        Promise.parse(Promise(seeded(1), seeded(2), 1, 100, 99).encode())


def test_500_entries_are_parsed_and_checked_fast_enough() -> None:
    # 40,000 leaves/s are wanted from the whole of accept; this part is only kept from falling far.
    data = dataclasses.replace(GOOD, entries=tuple(entries(500))).encode()
    best = 9.0
    for _ in range(5):
        start = time.process_time()
        Submission.parse(data).check()
        best = min(best, time.process_time() - start)
    assert 500 / best > 20_000


def _slowly(data: bytes) -> Submission | str:
    """What the general decoder makes of it: the submission, or the refusal's code."""
    with mock.patch("protocol.submission._parse_usual", return_value=None):
        return _outcome(data)


def _outcome(data: bytes) -> Submission | str:
    try:
        return Submission.parse(data)
    except CaseledgerError as error:
        return f"{error.code} {error.field}"


@given(
    lengths=st.lists(st.sampled_from([0, 23, 24, 25, 255, 256, 257, 2048, 70_000]), min_size=1, max_size=26),
    header=st.sampled_from([47, 48, 48, 48, 49]),
    organisation=st.integers(0, 2**32),
    valid_until=st.integers(0, 2**40),
)
def test_the_short_way_reads_what_the_general_decoder_reads(
    lengths: list[int], header: int, organisation: int, valid_until: int
) -> None:
    members = tuple((seeded("h")[:1] * header, bytes(length)) for length in lengths)
    data = dataclasses.replace(
        GOOD, organisation=organisation, valid_until=valid_until, entries=members
    ).encode()
    assert _outcome(data) == _slowly(data)


@given(at=st.integers(0, 10**6), byte=st.integers(0, 255), cut=st.integers(0, 3), more=st.binary(max_size=3))
def test_the_short_way_refuses_what_the_general_decoder_refuses(
    at: int, byte: int, cut: int, more: bytes
) -> None:
    changed = bytearray(ENCODED)
    changed[at % len(changed)] = byte
    data = bytes(changed[: len(changed) - cut]) + more
    assert _outcome(data) == _slowly(data)


def test_the_short_way_is_the_usual_one() -> None:
    for count in (1, 23, 24, 300):
        assert _parse_usual(with_entries(*entries(count)).encode()) is not None
