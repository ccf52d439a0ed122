"""Checkpoints and signed notes: one form each, hard limits, signatures bound to every line."""

from __future__ import annotations

import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.checkpoint import (
    MAX_NOTE,
    TYPE_COSIGNATURE,
    TYPE_ED25519,
    TYPE_MLDSA44,
    Checkpoint,
    CheckpointMalformed,
    CheckpointSignatureInvalid,
    CosignatureInvalid,
    NoteSignature,
    SignedNote,
    check_log_origin,
    cosign_checkpoint,
    cosignature_message,
    key_id,
    mldsa_message,
    sign_checkpoint,
    split_origin,
    statement_origin,
    verify_checkpoint,
    verify_cosignature,
)
from protocol.errors import CaseledgerError, LimitExceeded, MalformedInput
from tests.support.fakechain import ed25519, seeded

HEAD = Checkpoint("centre.example/evidence", 13, seeded("root"))
TEXT = HEAD.text()
LOG = ed25519("log")
WITNESS = ed25519("witness")
LOG_PUBLIC = LOG.public_key().public_bytes_raw()
WITNESS_PUBLIC = WITNESS.public_key().public_bytes_raw()
NOTE = SignedNote(
    TEXT, (sign_checkpoint(LOG, HEAD), cosign_checkpoint(WITNESS, "court.example/w", 1_800_000_000, HEAD))
)

BAD_TEXTS = {
    "empty": b"",
    "two lines": b"a\n1\n",
    "an extension line": TEXT + b"extra\n",
    "no last LF": TEXT[:-1],
    "an empty line more": TEXT + b"\n",
    "CRLF": TEXT.replace(b"\n", b"\r\n"),
    "size with a leading zero": TEXT.replace(b"\n13\n", b"\n013\n"),
    "size with a sign": TEXT.replace(b"\n13\n", b"\n+13\n"),
    "size negative": TEXT.replace(b"\n13\n", b"\n-1\n"),
    "size in other digits": TEXT.replace(b"\n13\n", "\n１３\n".encode()),
    "size of 2^63": TEXT.replace(b"\n13\n", b"\n9223372036854775808\n"),
    "size absent": TEXT.replace(b"\n13\n", b"\n\n"),
    "origin with a space": TEXT.replace(b"centre.", b"centre "),
    "origin with a plus": TEXT.replace(b"centre.", b"centre+"),
    "origin not ASCII": TEXT.replace(b"centre", "中".encode()),
    "origin of two trees": TEXT.replace(b"evidence", b"evidence/sm3/sm3"),
    "root without padding": TEXT.replace(b"=\n", b"\n"),
    "root of 31 bytes": f"a\n1\n{'A' * 40}AA==\n".encode(),
    "root in the URL alphabet": f"a\n1\n{'-' * 43}=\n".encode(),
    "root with loose bits": f"a\n1\n{'A' * 42}B=\n".encode(),
    "too long": b"a" * 400 + TEXT,
}


@pytest.mark.parametrize("name", BAD_TEXTS)
def test_a_checkpoint_has_one_form(name: str) -> None:
    with pytest.raises(MalformedInput):
        Checkpoint.parse(BAD_TEXTS[name])


@given(st.binary(min_size=32, max_size=32), st.integers(0, 2**63 - 1), st.booleans())
def test_a_checkpoint_comes_back(root: bytes, size: int, sm3: bool) -> None:
    head = Checkpoint(statement_origin("centre.example/evidence", int(sm3)), size, root)
    assert Checkpoint.parse(head.text()) == head
    assert head.algorithm == int(sm3)


@pytest.mark.parametrize(("size", "root"), [(-1, bytes(32)), (2**63, bytes(32)), (1, bytes(31))])
def test_a_checkpoint_outside_its_ranges_is_not_made(size: int, root: bytes) -> None:
    with pytest.raises(CheckpointMalformed):
        Checkpoint("a", size, root)


def test_the_text_is_three_lines() -> None:
    head = Checkpoint("example.com/log", 5, bytes(32))
    assert head.text() == b"example.com/log\n5\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"


def test_the_sm3_tree_has_its_own_origin() -> None:
    assert statement_origin("a/b", 0) == "a/b"
    assert statement_origin("a/b", 1) == "a/b/sm3"
    assert (split_origin("a/b"), split_origin("a/b/sm3")) == (("a/b", 0), ("a/b", 1))
    longest = "o" * 128
    assert Checkpoint.parse(Checkpoint(statement_origin(longest, 1), 1, bytes(32)).text()).algorithm == 1
    for refused in ("a/sm3", "", "a b", "o" * 129):
        with pytest.raises(MalformedInput):
            check_log_origin(refused)
        with pytest.raises(MalformedInput):
            statement_origin(refused, 0)
    with pytest.raises(MalformedInput):
        statement_origin("a", 2)


def test_key_ids_bind_name_type_and_key() -> None:
    made = key_id("court.example/w", TYPE_COSIGNATURE, WITNESS_PUBLIC)
    assert made == hashlib.sha256(b"court.example/w\n\x04" + WITNESS_PUBLIC).digest()[:4]
    others = {
        key_id("court.example/x", TYPE_COSIGNATURE, WITNESS_PUBLIC),
        key_id("court.example/w", TYPE_ED25519, WITNESS_PUBLIC),
        key_id("court.example/w", TYPE_COSIGNATURE, LOG_PUBLIC),
    }
    assert len({made, *others}) == 4
    for name, kind, key in (("w", 5, WITNESS_PUBLIC), ("w", 4, b"short"), ("a b", 4, WITNESS_PUBLIC)):
        with pytest.raises(CheckpointMalformed):
            key_id(name, kind, key)


def test_the_cosigned_message_is_that_of_the_specification() -> None:
    assert cosignature_message(1679315147, b"x\n") == b"cosignature/v1\ntime 1679315147\nx\n"
    for time in (-1, 2**63):
        with pytest.raises(CheckpointMalformed):
            cosignature_message(time, b"x\n")


def test_signatures_of_log_and_witness_verify() -> None:
    log, witness = NOTE.signatures
    verify_checkpoint(LOG_PUBLIC, HEAD, log.signature)
    assert (log.name, witness.time) == (HEAD.origin, 1_800_000_000)
    verify_cosignature(TYPE_COSIGNATURE, witness.name, WITNESS_PUBLIC, witness.time, HEAD, witness.untimed)


OTHERS = {
    "origin": Checkpoint("centre.example/other", 13, HEAD.root),
    "tree": Checkpoint("centre.example/evidence/sm3", 13, HEAD.root),
    "size": Checkpoint(HEAD.origin, 14, HEAD.root),
    "root": Checkpoint(HEAD.origin, 13, seeded("another root")),
}


@pytest.mark.parametrize("name", OTHERS)
def test_a_signature_stands_over_no_other_checkpoint(name: str) -> None:
    log, witness = NOTE.signatures
    with pytest.raises(CheckpointSignatureInvalid):
        verify_checkpoint(LOG_PUBLIC, OTHERS[name], log.signature)
    with pytest.raises(CosignatureInvalid):
        verify_cosignature(
            TYPE_COSIGNATURE, witness.name, WITNESS_PUBLIC, witness.time, OTHERS[name], witness.untimed
        )


def test_a_cosignature_is_refused_at_another_time_key_type_or_length() -> None:
    witness = NOTE.signatures[1]
    for kind, key, time, signature in (
        (TYPE_COSIGNATURE, WITNESS_PUBLIC, witness.time + 1, witness.untimed),
        (TYPE_COSIGNATURE, LOG_PUBLIC, witness.time, witness.untimed),
        (TYPE_COSIGNATURE, b"short", witness.time, witness.untimed),
        (TYPE_ED25519, WITNESS_PUBLIC, witness.time, witness.untimed),
        (TYPE_MLDSA44, WITNESS_PUBLIC, witness.time, witness.untimed),
        (TYPE_COSIGNATURE, WITNESS_PUBLIC, witness.time, witness.untimed[:-1]),
        (TYPE_COSIGNATURE, WITNESS_PUBLIC, witness.time, bytes(64)),
    ):
        with pytest.raises(CosignatureInvalid):
            verify_cosignature(kind, witness.name, key, time, HEAD, signature)
    # A plain signature over the text is no cosignature, nor the other way round.
    with pytest.raises(CosignatureInvalid):
        verify_cosignature(TYPE_COSIGNATURE, "w", WITNESS_PUBLIC, 5, HEAD, WITNESS.sign(TEXT))
    with pytest.raises(CheckpointSignatureInvalid):
        verify_checkpoint(WITNESS_PUBLIC, HEAD, witness.untimed)


def test_an_mldsa_cosignature_binds_name_time_and_tree() -> None:
    key = MLDSA44PrivateKey.generate()
    public = key.public_key().public_bytes_raw()
    signature = key.sign(mldsa_message("court.example/w", 77, HEAD))
    verify_cosignature(TYPE_MLDSA44, "court.example/w", public, 77, HEAD, signature)
    for name, time, head in (
        ("court.example/x", 77, HEAD),
        ("court.example/w", 78, HEAD),
        ("court.example/w", 77, OTHERS["size"]),
        ("court.example/w", 77, OTHERS["tree"]),
    ):
        with pytest.raises(CosignatureInvalid):
            verify_cosignature(TYPE_MLDSA44, name, public, time, head, signature)
    assert len(key_id("court.example/w", TYPE_MLDSA44, public)) == 4


def test_a_note_comes_back() -> None:
    data = NOTE.encode()
    assert SignedNote.parse(data) == NOTE
    assert SignedNote.parse(data).checkpoint == HEAD
    witness = NOTE.signatures[1]
    assert NOTE.by(witness.name, witness.key_id) == (witness,)
    assert NOTE.by(witness.name, b"none") == ()
    assert NOTE.with_signatures([witness]).signatures == (*NOTE.signatures, witness)
    poem = SignedNote(b"one\n\ntwo\n", (witness,))
    assert SignedNote.parse(poem.encode()) == poem


LINE = NOTE.signatures[0].line()
DASH = "\u2014 ".encode()
BAD_NOTES = {
    "empty": b"",
    "no signatures": TEXT,
    "no signatures behind the empty line": TEXT + b"\n",
    "no last LF": NOTE.encode()[:-1],
    "hyphen for the dash": TEXT + b"\n- a AAAAAAA=\n",
    "two spaces": TEXT + b"\n" + DASH + b"a  AAAAAAA=\n",
    "no name": TEXT + b"\n" + DASH + b" AAAAAAA=\n",
    "name with a plus": TEXT + b"\n" + DASH + b"a+b AAAAAAA=\n",
    "name with a wide space": TEXT + b"\n" + DASH + "a\u3000b AAAAAAA=\n".encode(),
    "name with a direction override": TEXT + b"\n" + DASH + "a\u202eb AAAAAAA=\n".encode(),
    "name too long": TEXT + b"\n" + DASH + b"a" * 300 + b" AAAAAAA=\n",
    "key id alone": TEXT + b"\n" + DASH + b"a AAAAAA==\n",
    "base64 without padding": TEXT + b"\n" + DASH + b"a AAAAAAA\n",
    "not UTF-8": TEXT + b"\n" + DASH + b"\xff AAAAAAA=\n",
    "text not UTF-8": b"\xff\n\n" + LINE + b"\n",
    "text with a tab": b"a\tb\n\n" + LINE + b"\n",
    "text empty": b"\n\n" + LINE + b"\n",
    "65 signatures": TEXT + b"\n" + (LINE + b"\n") * 65,
    "signature too long": TEXT + b"\n" + DASH + b"a " + b"AAAA" * 4000 + b"\n",
    "too long": b"a" * MAX_NOTE + NOTE.encode(),
}


@pytest.mark.parametrize("name", BAD_NOTES)
def test_a_note_has_one_form(name: str) -> None:
    with pytest.raises(MalformedInput):
        SignedNote.parse(BAD_NOTES[name])


def test_a_note_that_could_not_be_read_is_not_written() -> None:
    good = NOTE.signatures[0]
    for text, signatures in (
        (b"no end", (good,)),
        (TEXT, ()),
        (TEXT, (good,) * 65),
        (TEXT, (NoteSignature("a b", good.key_id, good.signature),)),
        (TEXT, (NoteSignature("a", b"\x01", good.signature),)),
        (TEXT, (NoteSignature("a", good.key_id, b""),)),
    ):
        with pytest.raises(CheckpointMalformed):
            SignedNote(text, signatures).encode()
    with pytest.raises(CheckpointMalformed):
        _ = NoteSignature("a", good.key_id, bytes(8)).time


def test_a_long_text_and_a_long_cosigner_are_over_the_limit() -> None:
    with pytest.raises(LimitExceeded):
        mldsa_message("n" * 256, 1, HEAD)
    with pytest.raises(MalformedInput):
        SignedNote(b"a" * 1024 + b"\n", (NOTE.signatures[0],)).encode()


@settings(max_examples=200)
@given(st.binary(max_size=200))
def test_noise_is_refused_without_another_error(data: bytes) -> None:
    for parse in (Checkpoint.parse, SignedNote.parse, NoteSignature.parse):
        with pytest.raises(CaseledgerError):
            parse(data)


def test_every_changed_byte_of_a_note_is_another_note_or_refused() -> None:
    data = NOTE.encode()
    for offset in range(len(data)):
        changed = bytearray(data)
        changed[offset] ^= 1
        try:
            note = SignedNote.parse(bytes(changed))
        except CaseledgerError:
            continue
        assert note != NOTE
        assert note.encode() == bytes(changed)
