"""`caseledger renew --rehash`, and `verify` past the end, as a person calls them; the authority is real."""

from __future__ import annotations

import dataclasses
import json
import time
from pathlib import Path

import pytest

from cli.main import main
from evidence.local_authority import Identity, make_identity
from protocol.acts import Purpose
from protocol.keyslot import KeySlot, KeyState
from tests.cli.test_receipt import serving
from tests.support.world import CONTENT, SUBMITTER, World, signed
from verifier.receipt import Receipt
from verifier.trust_payload import TimeAuthority

DAY = 86_400


@dataclasses.dataclass(frozen=True)
class Shelf:
    """A folder with two documents, their receipts, and a trust file under which both algorithms end."""

    folder: Path
    authority: Identity
    end: int

    @property
    def trust(self) -> list[str]:
        return ["--trust", str(self.folder / "trust.cltrust")]

    def kinds(self, name: str) -> list[str]:
        data = (self.folder / f"{name}.clr").read_bytes()
        return [one.kind for one in Receipt.parse(data).attestations]


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shelf:
    monkeypatch.setenv("CASELEDGER_LANG", "en")
    now = int(time.time())
    began, end = now - 10 * DAY, now + 30 * DAY
    authority = make_identity("A", began, signer_days=1000)
    slot = KeySlot(SUBMITTER, Purpose.ACT, began - 9, began + 9, 0, KeyState.ACTIVE)
    named = (TimeAuthority("A", (authority.root,), (), 0, None),)
    world = World(
        version=3, authorities=named, link_time=began, block_time=began + 2, slot=slot,
        algorithm_ends=((0, end), (1, end)),
    )  # fmt: skip
    payload = dataclasses.replace(world.payload, issued_at=began - DAY, valid_until=now + 900 * DAY)
    (tmp_path / "trust.cltrust").write_bytes(signed(payload))
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_bytes(CONTENT)
        (tmp_path / f"{name}.clr").write_bytes(world.receipt)
    return Shelf(tmp_path, authority, end)


def verify(shelf: Shelf, capsys: pytest.CaptureFixture[str], name: str, *more: str) -> dict[str, object]:
    capsys.readouterr()
    files = [str(shelf.folder / f"{name}.clr"), str(shelf.folder / name)]
    main(["verify", *files, *shelf.trust, "--json", *more])
    found: dict[str, object] = json.loads(capsys.readouterr().out)
    return found


def test_one_document_is_renewed_and_stands_past_the_end(
    shelf: Shelf, capsys: pytest.CaptureFixture[str]
) -> None:
    past = ("--at", str(shelf.end + DAY))
    assert verify(shelf, capsys, "a.txt", *past)["result"] == "INDETERMINATE"
    with serving(shelf.authority) as url:
        command = ["renew", "--rehash", str(shelf.folder / "a.txt"), str(shelf.folder / "a.txt.clr")]
        assert main([*command, "--url", url, *shelf.trust]) == 0
    assert "1 receipts renewed, 1 with their documents" in capsys.readouterr().out
    assert verify(shelf, capsys, "a.txt")["result"] == "VALID"
    found = verify(shelf, capsys, "a.txt", *past)
    assert (found["result"], found["missing"]) == ("VALID_REDUCED_TRUST", ["HashRenewed"] * 4)
    asked = verify(shelf, capsys, "a.txt", "--ignore", "sha256,sm3")
    assert asked["result"] == "VALID_REDUCED_TRUST"
    (shelf.folder / "a.txt").write_bytes(CONTENT + b" ")
    assert verify(shelf, capsys, "a.txt", *past)["result"] == "INVALID"
    assert shelf.kinds("b.txt") == []


def test_a_folder_is_renewed_with_one_token_and_what_is_wrong_is_left(
    shelf: Shelf, capsys: pytest.CaptureFixture[str]
) -> None:
    (shelf.folder / "b.txt").write_bytes(b"another")
    before = (shelf.folder / "b.txt.clr").read_bytes()
    folder = str(shelf.folder)
    with serving(shelf.authority) as url:
        assert main(["renew", "--rehash", folder, folder, "--url", url, *shelf.trust]) == 1
    assert "ContentMismatch" in capsys.readouterr().out
    assert shelf.kinds("a.txt") == ["rehash"]
    assert (shelf.folder / "b.txt.clr").read_bytes() == before


def test_what_is_due_is_listed_with_the_ends_of_algorithms(
    shelf: Shelf, capsys: pytest.CaptureFixture[str]
) -> None:
    metrics = shelf.folder / "m.prom"
    due = ["renew", str(shelf.folder), "--due", *shelf.trust, "--metrics", str(metrics)]
    assert main(due) == 0
    out = capsys.readouterr().out
    assert "SHA-256 ends" in out
    assert out.count("hash renewal due") == 2
    assert f'caseledger_algorithm_end_seconds{{algorithm="sha256"}} {shelf.end}\n' in metrics.read_text()
    assert "caseledger_receipts_without_hash_renewal 2\n" in metrics.read_text()
    with serving(shelf.authority) as url:
        main(["renew", "--rehash", str(shelf.folder), str(shelf.folder), "--url", url, *shelf.trust])
    capsys.readouterr()
    assert main(due) == 0
    assert "hash renewal due" not in capsys.readouterr().out
    assert "caseledger_receipts_without_hash_renewal 0\n" in metrics.read_text()


def test_one_document_goes_with_one_receipt(shelf: Shelf, capsys: pytest.CaptureFixture[str]) -> None:
    silent = ["--url", "http://127.0.0.1:9"]
    one = ["--rehash", str(shelf.folder / "a.txt"), str(shelf.folder)]
    assert main(["renew", *one, *shelf.trust, *silent]) == 2
    assert "DocumentMissing" in capsys.readouterr().err
    before = (shelf.folder / "a.txt.clr").read_bytes()
    assert main(["renew", "--rehash", str(shelf.folder), str(shelf.folder), *shelf.trust, *silent]) != 0
    assert (shelf.folder / "a.txt.clr").read_bytes() == before
