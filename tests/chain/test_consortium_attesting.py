"""Witnesses and time authorities in the consortium's file, and how they get into a trust file's draft."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from chain.consortium import Consortium, ConsortiumInvalid, TimeAuthorityEntry, load, parse, render
from chain.trustfile import _attesting, changed
from tests.support.time_tokens import identity
from tests.support.trust_contracts import CASES
from tests.support.world import POLICY, World
from verifier.trust import TrustFile
from verifier.witness_policy import EMPTY_POLICY

PLAIN = Consortium("联盟", "consortium", 0, 1, 1, (), 2, (), (), {})
FULL = dataclasses.replace(
    PLAIN,
    witness_policy=POLICY,
    witness_required=True,
    authorities=(
        TimeAuthorityEntry("one", ("roots/one.pem",), ("1.2.3",), 5, None),
        TimeAuthorityEntry("two", ("roots/two.pem",), (), 0, 2_000_000_000),
    ),
    time_tokens_required=2,
)


def votes(text: str) -> bytes:
    """`parse` wants a majority of at least one vote; these files are about something else."""
    member = (
        '\n[[organisation]]\nslug = "m"\nname_zh = "m"\nname_en = "m"\nid = "' + "00" * 32 + '"\n'
        'roles = ["court"]\ninterest_group = 1\nvote = true\n'
    )
    head, mark, rest = text.replace("threshold = 0", "threshold = 1", 1).partition("\n[[")
    return (head + member + mark + rest).encode()


def attesting(found: Consortium) -> tuple[object, ...]:
    return found.witness_policy, found.witness_required, found.authorities, found.time_tokens_required


def test_the_file_round_trips() -> None:
    assert attesting(parse(votes(render(FULL)))) == attesting(FULL)
    assert attesting(parse(votes(render(PLAIN)))) == attesting(PLAIN)
    assert "witness" not in render(PLAIN)
    assert (FULL.attests, PLAIN.attests) == (True, False)


BAD = {
    "statement": ('statement = "sha256"', 'statement = "md5"'),
    "key not hex": ('key = "', 'key = "zz'),
    "a member of a group that is no list": ("members = [", "members = 5 #["),
    "unknown member of a witness": ("[[witness]]", "[[witness]]\ncolour = 1"),
    "authority without a root": ('roots = ["roots/one.pem"]', "roots = []"),
    "until that is no number": ("until = 2000000000", 'until = "never"'),
    "required that is no truth value": ("witness_required = true", "witness_required = 1"),
}


@pytest.mark.parametrize("name", BAD)
def test_another_form_is_refused(name: str) -> None:
    old, new = BAD[name]
    text = render(FULL)
    assert old in text
    with pytest.raises(ConsortiumInvalid):
        parse(votes(text.replace(old, new, 1)))


def test_roots_are_read_beside_the_file_and_become_authorities(tmp_path: Path) -> None:
    (tmp_path / "roots").mkdir()
    path = tmp_path / "consortium.toml"
    path.write_bytes(votes(render(FULL)))
    with pytest.raises(ConsortiumInvalid) as missing:
        load(path)
    assert missing.value.field == "time_authority.roots"
    roots = [identity("Authority A").root, identity("Authority B").root]
    for name, root in zip(("one", "two"), roots, strict=True):
        pem = x509.load_der_x509_certificate(root).public_bytes(Encoding.PEM)
        (tmp_path / "roots" / f"{name}.pem").write_bytes(pem)
    policy, authorities, required, tokens = _attesting(load(path), None)
    assert (policy, required, tokens) == (POLICY, 1, 2)
    assert [one.roots for one in authorities] == [(root,) for root in roots]
    assert (authorities[0].policies, authorities[0].not_before) == (("1.2.3",), 5)
    assert authorities[1].not_after == 2_000_000_000
    trust = World(version=2, authorities=authorities, witnesses=required, time_tokens=tokens).payload
    assert TrustFile.draft(trust).payload.authorities == authorities
    (tmp_path / "roots/one.pem").write_bytes(b"no certificate")
    with pytest.raises(ConsortiumInvalid):
        load(path)


def test_unread_roots_never_become_an_authority() -> None:
    with pytest.raises(ConsortiumInvalid):
        _attesting(FULL, None)


def test_a_file_that_says_nothing_keeps_what_is_held() -> None:
    assert _attesting(PLAIN, None) == (EMPTY_POLICY, (), 0, 0)
    held = TrustFile.parse(World(version=2, witnesses=1).trust)
    assert _attesting(PLAIN, held) == (POLICY, (), 1, 0)
    later = TrustFile.draft(dataclasses.replace(held.payload, witnesses_required=0))
    assert changed(held, later)
    assert not changed(held, TrustFile.draft(dataclasses.replace(held.payload, valid_until=2_000_000_000)))


def test_an_end_a_contract_or_a_name_alone_is_news() -> None:
    held = TrustFile.parse(World(version=4).trust)
    for news in (
        {"algorithm_ends": ((0, 2_000_000_000),)},
        {"contracts": (CASES,)},
        {"name": ("另一联盟", "another consortium")},
    ):
        assert changed(held, TrustFile.draft(dataclasses.replace(held.payload, **news))), news
    next_one = dataclasses.replace(
        held.payload, serial=2, predecessor=held.fingerprint, issued_at=held.payload.issued_at + 1
    )
    assert not changed(held, TrustFile.draft(next_one))
