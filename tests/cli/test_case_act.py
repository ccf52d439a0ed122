"""Words and names of the commands that move a case; the commands themselves run in e2e."""

from __future__ import annotations

import argparse
import dataclasses
import string
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from agent.client import GatewayClient
from agent.errors import GatewayRefused
from agent.keys import KeyLabel, Secp256k1Key, new_key
from cases.lifecycle_v1 import LIFECYCLE_V1
from chain.bindings import LIFECYCLE
from chain.case_acts import SignedCaseAct, document, evidence_digest
from chain.case_contracts import CaseContracts, PolicyVersion
from cli import case_act
from cli.case_act import VERBS, NameUnknown, _named
from cli.case_act_texts import TEXTS
from cli.case_ways import Found, lifecycle
from cli.main import _report
from protocol.case_acts import Move


def test_both_languages_have_the_same_places_to_fill() -> None:
    for name, text in TEXTS.items():
        places = [{p for _, p, _, _ in string.Formatter().parse(words) if p} for words in (text.zh, text.en)]
        assert places[0] == places[1], name
    assert set(VERBS) <= set(TEXTS)


def test_an_unknown_name_is_answered_with_those_that_there_are() -> None:
    with pytest.raises(NameUnknown) as refused:
        _named(LIFECYCLE_V1.holds, "holiday", "kind")
    assert refused.value.hint is not None
    assert "public-notice" in refused.value.hint
    assert _named(LIFECYCLE_V1.transitions, "admit", "transition").id == 1


def test_a_policy_of_another_release_is_not_guessed() -> None:
    assert lifecycle(LIFECYCLE_V1.table_hash.hex()) is LIFECYCLE_V1
    for other in ("00" * 32, "zz", ""):
        with pytest.raises(Exception, match="another release"):
            lifecycle(other)


def _refusal(rule: object) -> GatewayRefused:
    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(409, json={"code": "CaseTooEarly", "detail": "d", "rule": rule})

    client = GatewayClient("http://127.0.0.1:1", transport=httpx.MockTransport(answer))
    with client, pytest.raises(GatewayRefused) as refused:
        client.case_act("00" * 32, {})
    return refused.value


def test_a_refusal_is_shown_with_its_rule(capsys: pytest.CaptureFixture[str]) -> None:
    rule = {
        "name": "judged", "article": "CPL 155", "cite": {"zh": "第155条", "en": "Art. 155"},
        "text": {"zh": "期限未过。", "en": "The deadline has not passed."},
    }  # fmt: skip
    error = _refusal(rule)
    _report(error, "zh", as_json=False)
    shown = capsys.readouterr().err
    assert "CaseTooEarly" in shown
    assert "期限未过。 (第155条)" in shown
    _report(error, "en", as_json=True)
    assert '"article": "CPL 155"' in capsys.readouterr().err


@pytest.mark.parametrize(
    "rule",
    [None, "text", 7, [], {}, {"text": 5, "cite": []}, {"text": {"zh": "\x1b[2J" + "长" * 5000, "en": None}}],
)
def test_what_a_gateway_writes_as_a_rule_is_cut_to_shape(
    rule: object, capsys: pytest.CaptureFixture[str]
) -> None:
    error = _refusal(rule)
    for lang in ("zh", "en"):
        _report(error, lang, as_json=False)
    shown = capsys.readouterr().err
    assert "\x1b" not in shown
    assert len(shown) < 2000


# What leaves the machine


@dataclass
class Recording:
    """A way that keeps what it is given; a gateway may show whatever it likes."""

    shown: list[dict[str, Any]] = field(default_factory=list)
    checked: list[dict[str, Any]] = field(default_factory=list)
    sent: list[dict[str, Any]] = field(default_factory=list)

    def find(self, case_id: bytes) -> Found:
        return Found(LIFECYCLE_V1, 3, {})

    def check(self, case_id: bytes, document: dict[str, Any]) -> dict[str, Any]:
        self.checked.append(document)
        return {"taken": True, "case": None}

    def send(self, case_id: bytes, document: dict[str, Any], wait: float) -> dict[str, Any]:
        self.sent.append(document)
        return {"state": "mined", "blockNumber": 1, "case": None, "transaction": "00"}

    def waiting(self) -> list[dict[str, Any]]:
        return self.shown

    def evidence(self, given: Sequence[str]) -> tuple[bytes, ...]:
        return tuple(map(bytes.fromhex, given))


BANK, CENTRE = 5, 1
VERSION = PolicyVersion(LIFECYCLE, LIFECYCLE_V1.source_digest)
CONTRACTS = CaseContracts(7, VERSION, *(bytes([n]) * 20 for n in range(1, 7)))
CASE = b"\x5a" * 32


def ask(way: Recording, organisation: int, *words: str) -> int:
    """One command line, over this way and with a fresh key of that organisation."""
    parser = argparse.ArgumentParser()
    case_act.add_verbs(parser.add_subparsers(dest="verb"))
    key = new_key("secp256k1", KeyLabel(f"o{organisation}", "act", organisation))
    assert isinstance(key, Secp256k1Key)
    profile: Any = SimpleNamespace(organisation=organisation, act_key=key)
    command = case_act._Command(parser.parse_args(words), "en", profile, CONTRACTS, way)
    return command.cosign() if words[0] == "cosign" else command.act()


def test_what_is_only_asked_is_not_signed(capsys: pytest.CaptureFixture[str]) -> None:
    way = Recording()
    words = ("move", CASE.hex(), "settle", "--co", str(CENTRE), "--evidence", "11" * 32)
    assert ask(way, BANK, *words, "--dry-run") == 0
    (asked,) = way.checked
    assert (asked["signature"], "coSignature" in asked, way.sent) == ("", False, [])
    assert "would be taken" in capsys.readouterr().out
    assert ask(way, BANK, *words) == 0
    (sent,) = way.sent
    assert len(sent["signature"]) == 130
    assert sent["request"]["evidence"] == evidence_digest([bytes.fromhex("11" * 32)]).hex()
    assert (
        sent["request"]["validUntil"] > time.time() + 6 * 86_400
    )  # another organisation has to sign as well


def test_only_the_act_that_was_named_is_cosigned() -> None:
    """A gateway that shows another act under the name gets no signature for it."""
    until = int(time.time()) + 600
    agreed = Move(CASE, 3, 8, BANK, CENTRE, 0, bytes(32), bytes(32), bytes(32), until)
    other = dataclasses.replace(agreed, transition=5)
    named = agreed.digest(CONTRACTS.ledger_domain).hex()
    for act, taken in ((agreed, True), (other, False)):
        shown = {"id": named, "document": document(SignedCaseAct(act, b"\x01" * 65))}
        way = Recording(shown=[shown])
        if taken:
            assert ask(way, CENTRE, "cosign", named) == 0
            assert len(way.sent[0]["coSignature"]) == 130
            assert way.sent[0]["request"] == shown["document"]["request"]  # type: ignore[index]
            continue
        with pytest.raises(NameUnknown):
            ask(way, CENTRE, "cosign", named)
        assert way.sent == []
    way = Recording(shown=[{"id": named, "document": document(SignedCaseAct(agreed, b"\x01" * 65))}])
    with pytest.raises(NameUnknown):
        ask(way, BANK, "cosign", named)
    assert way.sent == []
