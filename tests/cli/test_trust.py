"""`caseledger trust` and `caseledger keys`: a trust file from draft to acceptance, and what is refused."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from agent.keys import Ed25519Key, KeyLabel, save_key
from cli.main import main
from cli.trust_json import from_json, to_json
from protocol.errors import MalformedInput
from tests.support.world import World, signed, trust_private
from verifier.trust import TrustFile
from verifier.trust_payload import TimeAuthority, TrustPayload

WORLD = World()
HELD = TrustFile.parse(WORLD.trust)
ROOT = b"\x30\x82\x01\x00" + bytes(256)
ATTESTED = World(
    version=2,
    witnesses=1,
    time_tokens=1,
    to_height=4712,
    closed_at=1_800_000_100,
    authorities=(TimeAuthority("stamping office", (ROOT,), ("1.2.3",), 0, None),),
)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CASELEDGER_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CASELEDGER_LANG", "en")
    (tmp_path / "t.cltrust").write_bytes(WORLD.trust)
    return tmp_path


def write(folder: Path, name: str, payload: TrustPayload, *roles: str) -> TrustFile:
    (folder / name).write_bytes(signed(payload, *roles))
    return TrustFile.parse((folder / name).read_bytes())


def successor(held: TrustFile, **changes: object) -> TrustPayload:
    return dataclasses.replace(
        held.payload,
        serial=held.payload.serial + 1,
        predecessor=held.fingerprint,
        **changes,  # type: ignore[arg-type]
    )


def accepted(home: Path) -> bytes:
    return (home / "home/trust/accepted.cltrust").read_bytes()


def test_from_draft_to_acceptance(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "draft.json").write_text(json.dumps(to_json(WORLD.payload)))
    assert main(["trust", "new", "draft.json", "new.cltrust"]) == 0
    for role in ("court", "regulator"):
        key = Ed25519Key(KeyLabel(role, "trust"), trust_private(role).private_bytes_raw())
        save_key(key, home / "home/keys")
        assert main(["trust", "sign", "new.cltrust", "--key", role]) == 0
    TrustFile.parse((home / "new.cltrust").read_bytes()).check()
    capsys.readouterr()
    assert main(["trust", "fingerprint", "new.cltrust"]) == 0
    fingerprint = capsys.readouterr().out.strip()
    assert fingerprint == HELD.fingerprint.hex()
    assert main(["trust", "accept", "new.cltrust", "--fingerprint", fingerprint]) == 0
    assert TrustFile.parse(accepted(home)).payload == WORLD.payload


def test_the_first_needs_its_fingerprint(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trust", "accept", "t.cltrust"]) == 1
    assert "FingerprintNeeded" in capsys.readouterr().err
    assert main(["trust", "accept", "t.cltrust", "--fingerprint", "00" * 32]) == 1
    assert "TrustFingerprintMismatch" in capsys.readouterr().err
    assert not (home / "home").exists()


@pytest.fixture
def held(home: Path) -> Path:
    assert main(["trust", "accept", "t.cltrust", "--fingerprint", HELD.fingerprint.hex()]) == 0
    return home


def test_a_successor_is_accepted_and_the_old_one_kept(held: Path) -> None:
    new = write(held, "new.cltrust", successor(HELD))
    assert main(["trust", "accept", "new.cltrust"]) == 0
    assert TrustFile.parse(accepted(held)).fingerprint == new.fingerprint
    kept = held / f"home/trust/000001-{HELD.fingerprint.hex()[:16]}.cltrust"
    assert kept.read_bytes() == WORLD.trust
    assert main(["trust", "accept", "new.cltrust"]) == 0


def test_a_gap_is_bridged_by_the_files_between(held: Path, capsys: pytest.CaptureFixture[str]) -> None:
    second = write(held, "2.cltrust", successor(HELD))
    write(held, "3.cltrust", successor(second))
    assert main(["trust", "accept", "3.cltrust"]) == 1
    assert "TrustPredecessorMismatch" in capsys.readouterr().err
    assert main(["trust", "accept", "3.cltrust", "--through", "2.cltrust"]) == 0


REFUSED: dict[str, tuple[TrustPayload, tuple[str, ...], str]] = {
    "operator alone": (successor(HELD), ("centre",), "TrustQuorumMissing"),
    "older": (dataclasses.replace(HELD.payload, valid_until=2**39), (), "TrustSerialNotHigher"),
    "log key changed": (
        successor(HELD, logs=(dataclasses.replace(HELD.payload.logs[0], log_key=bytes(32)),)),
        (),
        "TrustHeldChanged",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refuses_and_keeps_the_held_one(held: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    payload, roles, code = REFUSED[name]
    write(held, "new.cltrust", payload, *roles)
    assert main(["trust", "accept", "new.cltrust"]) == 1
    assert code in capsys.readouterr().err
    assert accepted(held) == WORLD.trust
    # A fingerprint vouches for the first file alone; it does not lift the rules of succession.
    fingerprint = TrustFile.parse((held / "new.cltrust").read_bytes()).fingerprint.hex()
    assert main(["trust", "accept", "new.cltrust", "--fingerprint", fingerprint]) == 1
    assert accepted(held) == WORLD.trust


def test_show_says_who_signed_and_fails_without_a_quorum(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["trust", "show", "t.cltrust"]) == 0
    shown = capsys.readouterr().out
    assert HELD.fingerprint.hex() in shown
    assert "regulator office" in shown
    assert main(["trust", "show", "t.cltrust", "--json"]) == 0
    assert from_json(capsys.readouterr().out.encode()) == WORLD.payload
    write(home, "op.cltrust", WORLD.payload, "centre")
    assert main(["trust", "show", "op.cltrust"]) == 1
    refused = capsys.readouterr()
    assert "TrustQuorumMissing" in refused.err
    assert "not signed" in refused.out


def test_a_key_that_the_file_does_not_name_cannot_sign(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_key(Ed25519Key(KeyLabel("x", "trust"), bytes(range(32))), home / "home/keys")
    assert main(["trust", "sign", "t.cltrust", "--key", "x"]) == 1
    assert "TrustSignatureInvalid" in capsys.readouterr().err
    assert (home / "t.cltrust").read_bytes() == WORLD.trust


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2}, {"serial": "1"}, {"extra": 0}, {"keys": {}}, {"name": {"zh": "x"}}, {"policy": None},
        {"predecessor": "zz"}, {"chains": [{}]}, {"logs": [1]},
    ],
)  # fmt: skip
def test_a_draft_of_another_form_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(MalformedInput):
        from_json(json.dumps({**to_json(WORLD.payload), **change}).encode())


def test_keys_new_and_list(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    new = ["keys", "new", "bank-act", "--purpose", "act", "--organisation", "3"]
    assert main([*new, "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    path = Path(made["path"])
    assert path.stat().st_mode & 0o777 == 0o600
    private = json.loads(path.read_text())["private"]
    assert main(new) == 1
    assert "KeyFileExists" in capsys.readouterr().err
    assert main(["keys", "list"]) == 0
    listed = capsys.readouterr().out
    assert made["public"] in listed
    assert private not in listed
    assert main(["keys", "list", "--json"]) == 0
    assert private not in capsys.readouterr().out


def test_witnesses_and_authorities_come_back_from_json() -> None:
    document = to_json(ATTESTED.payload)
    assert from_json(json.dumps(document).encode()) == ATTESTED.payload
    changes: tuple[dict[str, object], ...] = (
        {"version": 1}, {"version": 3}, {"version": True}, {"quorum": 5}, {"groups": {}},
    )  # fmt: skip
    for change in changes:
        with pytest.raises(MalformedInput):
            from_json(json.dumps({**document, **change}).encode())
    with pytest.raises(MalformedInput):
        from_json(json.dumps({**to_json(WORLD.payload), "version": 2}).encode())


@pytest.mark.parametrize(
    ("lang", "words"),
    [
        ("zh", ("见证方 court.example/witness", "2 中取 1", "见证条件  all  必须",
                "时间戳机构 stamping office", "须有时间戳的机构数  1", "卸任于 2027-01-15")),
        ("en", ("witness court.example/witness", "1 of 2", "witness quorum  all  required",
                "time authority stamping office", "tokens are required  1", "ended 2027-01-15")),
    ],
)  # fmt: skip
def test_show_names_witnesses_groups_and_authorities(
    home: Path, capsys: pytest.CaptureFixture[str], lang: str, words: tuple[str, ...]
) -> None:
    (home / "two.cltrust").write_bytes(ATTESTED.trust)
    assert main(["trust", "show", "two.cltrust", "--lang", lang]) == 0
    out = capsys.readouterr().out
    for word in words:
        assert word in out, word
