"""The organisation's SM2 signature on its own submissions: added to receipts, never in their way."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent import keys
from agent.journal import Draft, Entry, Journal, Placement
from agent.keys import KeyLabel, Sm2Key
from agent.sm2_envelope import Sm2Envelopes
from protocol import entry as leaves
from protocol.errors import MalformedInput
from protocol.hashing import SHA256
from protocol.sm2 import Sm2LibraryMissing
from tests.support.fakechain import secp256k1, seeded
from tests.support.vectors_sm2 import PRIVATE
from tests.support.world import AT, CASE_ID, SUBMITTER, World
from verifier.receipt import Receipt
from verifier.verify import verify_receipt

WORLD = World(version=2, witnesses=1)
RECEIPT = WORLD.attested()
KEY = Sm2Key(KeyLabel("sm2", "act", SUBMITTER), PRIVATE)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal(tmp_path / "journal.db") as made:
        yield made


def accepted(journal: Journal, order: tuple[int, ...] = (0, 1, 2, 3, 4)) -> Entry:
    """The world's whole submission in the journal; the entry of its receipt."""
    drafts = [
        Draft(f"/{at}", seeded("c", at), seeded("m", at), 1, "text/plain", CASE_ID, 1, SUBMITTER, 0, *entry)
        for at, entry in enumerate(WORLD.submission.entries[n] for n in order)
    ]
    numbers = journal.add(drafts)
    entries = [journal.entry(number) for number in numbers]
    submission = journal.open_submission(
        entries, log_id=bytes(32), root=bytes(32), valid_until=1, signature=bytes(65), gateway="http://a"
    )
    assert submission is not None
    ids = [SHA256.leaf(leaves.leaf(one.header, one.body)) for one in entries]
    placements = [Placement(1 + at, at, identity) for at, identity in enumerate(ids)]
    journal.accept(submission, acceptance=b"x", deadline=2**33, placements=placements)
    return journal.entry(numbers[2])


def test_the_receipt_gets_it_behind_what_it_has_and_it_counts(journal: Journal) -> None:
    envelopes = Sm2Envelopes(journal, KEY, WORLD.key)
    entry = accepted(journal)
    out = envelopes.add(entry, RECEIPT)
    before, after = Receipt.parse(RECEIPT), Receipt.parse(out)
    assert (after.core_bytes, after.attestations[:-1]) == (before.core_bytes, before.attestations)
    report = verify_receipt(out, WORLD.trust, at=AT)
    assert report.facts["sm2Key"] == KEY.public_key.hex()
    assert report.result.value == "VALID"
    # Signed once for all receipts of the submission.
    assert envelopes.add(entry, RECEIPT) == out


def test_another_act_key_or_submission_leaves_the_receipt_as_it_is(journal: Journal) -> None:
    entry = accepted(journal)
    rotated = dataclasses.replace(WORLD.key, private=secp256k1("next").secret)
    assert Sm2Envelopes(journal, KEY, rotated).add(entry, RECEIPT) == RECEIPT
    unsent = dataclasses.replace(entry, submission=None)
    assert Sm2Envelopes(journal, KEY, WORLD.key).add(unsent, RECEIPT) == RECEIPT


def test_a_journal_with_other_leaves_makes_no_false_attestation(journal: Journal) -> None:
    entry = accepted(journal, (1, 0, 2, 3, 4))
    assert Sm2Envelopes(journal, KEY, WORLD.key).add(entry, RECEIPT) == RECEIPT


def test_the_key_lives_in_the_same_key_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = keys.new_key("sm2", KeyLabel("chops", "act", SUBMITTER))
    path = keys.save_key(made, tmp_path)
    assert path.stat().st_mode & 0o077 == 0
    assert keys.load_sm2(path) == made
    other = keys.save_key(keys.new_key("ed25519", KeyLabel("e", "log")), tmp_path)
    with pytest.raises(keys.KeyKindMismatch):
        keys.load_sm2(other)
    path.write_text(path.read_text().replace(made.public[:8], "00000000"))
    with pytest.raises(MalformedInput):
        keys.load_sm2(path)
    monkeypatch.setitem(sys.modules, "gmalg.sm2", None)
    with pytest.raises(Sm2LibraryMissing):
        keys.load_sm2(path)
