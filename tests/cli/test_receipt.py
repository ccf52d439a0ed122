"""`caseledger receipt view` and `caseledger renew`, as a person calls them; the time authority is real."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import pytest

from cli.main import main
from cli.tsa import make_server
from evidence.local_authority import Identity, LocalAuthority, make_identity
from protocol.hashing import sha256
from tests.support.world import World, signed
from verifier.attestation import TokenAttestation
from verifier.receipt import Receipt
from verifier.timetoken_request import TimeRequest, token_of
from verifier.trust_payload import TimeAuthority
from verifier.views.tlog_proof import TlogProof

DAY = 86_400


@dataclasses.dataclass(frozen=True)
class Place:
    """A folder with an attested receipt whose first token ends in 30 days, and its trust file."""

    folder: Path
    world: World
    lasting: Identity

    @property
    def receipt(self) -> Path:
        return self.folder / "contract.pdf.clr"

    @property
    def trust(self) -> list[str]:
        return ["--trust", str(self.folder / "trust.cltrust")]

    def parsed(self) -> Receipt:
        return Receipt.parse(self.receipt.read_bytes())


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setenv("CASELEDGER_LANG", "en")
    now = int(time.time())
    short = make_identity("short", now - 300 * DAY, signer_days=330)
    lasting = make_identity("lasting", now - DAY, signer_days=1000)
    trusted = tuple(
        TimeAuthority(name, (of.root,), (), 0, None) for name, of in (("S", short), ("L", lasting))
    )
    began = now - 299 * DAY
    world = World(version=2, time_tokens=1, authorities=trusted, link_time=began, block_time=began + 2)
    payload = dataclasses.replace(world.payload, issued_at=began - DAY, valid_until=now + 5000 * DAY)
    (tmp_path / "trust.cltrust").write_bytes(signed(payload))
    request = TimeRequest("sha256", sha256(world.checkpoint().text()), 7)
    token = token_of(LocalAuthority(short, clock=lambda: began + 60).answer(request.encode()))
    witnessed = world.witness(time=began + 90)
    made = Place(tmp_path, world, lasting)
    made.receipt.write_bytes(world.attested(witnessed, TokenAttestation(0, None, token).encode()))
    return made


@contextmanager
def serving(of: Identity) -> Iterator[str]:
    server = make_server(LocalAuthority(of))
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_views_from_the_file_alone(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    for name, suffix in (("json", ".clr.json"), ("erc1497", ".erc1497.json"), ("tlog-proof", ".tlog-proof")):
        assert main(["receipt", "view", str(place.receipt), "--as", name, *place.trust]) == 0
        path = place.folder / f"contract.pdf{suffix}"
        assert str(path) in capsys.readouterr().out
        assert path.stat().st_size > 100
    proof = TlogProof.parse((place.folder / "contract.pdf.tlog-proof").read_bytes())
    assert len(proof.verify(place.world.core.leaf, place.world.payload)) == 4


def test_the_json_view_serves_as_a_receipt_for_other_views(place: Place) -> None:
    assert main(["receipt", "view", str(place.receipt), "--as", "json"]) == 0
    json_view = place.folder / "contract.pdf.clr.json"
    out = place.folder / "again.tlog-proof"
    assert (
        main(["receipt", "view", str(json_view), "--as", "tlog-proof", "--out", str(out), *place.trust]) == 0
    )
    assert out.exists()


def test_a_view_that_is_not_possible_writes_nothing(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    place.receipt.write_bytes(place.world.receipt)
    before = sorted(place.folder.iterdir())
    assert main(["receipt", "view", str(place.receipt), "--as", "tlog-proof", *place.trust]) == 1
    assert "ViewNotPossible" in capsys.readouterr().err
    assert sorted(place.folder.iterdir()) == before


def test_renew_lists_what_is_due_and_renews_it_in_place(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    metrics = place.folder / "renewal.prom"
    listed = [str(place.folder), "--due", "--json", "--metrics", str(metrics), *place.trust]
    assert main(["renew", *listed]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["state"], row["authorities"]) == ("due-now", ["S"])
    assert 25 * DAY < row["until"] - time.time() < 31 * DAY
    assert f"caseledger_receipts_renewal_due_seconds {row['until']}\n" in metrics.read_text()
    with serving(place.lasting) as url:
        assert main(["renew", str(place.folder), "--url", url, "--within", "10", *place.trust]) == 0
        assert len(place.parsed().attestations) == 2
        capsys.readouterr()
        assert main(["renew", str(place.folder), "--url", url, "--json", *place.trust]) == 0
        (row,) = json.loads(capsys.readouterr().out)
        assert row["state"] == "renewed"
        assert row["until"] - time.time() > 900 * DAY
        assert [one.kind for one in place.parsed().attestations] == ["witness", "rfc3161", "renewal"]
        assert main(["renew", str(place.folder), "--url", url, *place.trust]) == 0
        assert len(place.parsed().attestations) == 3


def test_authorities_come_from_the_home_and_the_next_is_asked_when_one_is_silent(place: Place) -> None:
    home = place.folder / "home"
    home.mkdir()
    with serving(place.lasting) as url:
        (home / "caseledger.toml").write_text(
            '[[time_authority]]\nname = "S"\nurl = "http://127.0.0.1:9"\n'
            f'[[time_authority]]\nname = "L"\nurl = "{url}"\n'
        )
        assert main(["renew", str(place.receipt), "--home", str(home), *place.trust]) == 0
    assert len(place.parsed().attestations) == 3


def test_a_receipt_that_is_due_and_not_renewed_is_a_failure(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    before = place.receipt.read_bytes()
    assert main(["renew", str(place.receipt), *place.trust, "--home", str(place.folder)]) == 1
    assert "NoTimeAuthority" in capsys.readouterr().err
    assert main(["renew", str(place.receipt), *place.trust, "--url", "http://127.0.0.1:9"]) == 1
    assert "TimeAuthoritySilent" in capsys.readouterr().out
    same = make_identity("short", int(time.time()) - 300 * DAY, signer_days=320)
    trusted = TimeAuthority("S2", (same.root,), (), 0, None)
    payload = dataclasses.replace(
        place.world.payload, issued_at=int(time.time()) - DAY, valid_until=int(time.time()) + DAY,
        authorities=(*place.world.authorities, trusted),
    )  # fmt: skip
    (place.folder / "more.cltrust").write_bytes(signed(payload))
    with serving(same) as url:
        more = ["--trust", str(place.folder / "more.cltrust")]
        assert main(["renew", str(place.receipt), *more, "--url", url]) == 1
    assert "ends no later" in capsys.readouterr().out
    stranger = make_identity("stranger", int(time.time()))
    with serving(stranger) as url:
        assert main(["renew", str(place.receipt), *place.trust, "--url", url]) == 1
    assert "RenewalRefused: AuthorityNotTrusted" in capsys.readouterr().out
    assert place.receipt.read_bytes() == before


def test_refresh_of_a_development_receipt_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world = World(kind="none")
    (tmp_path / "r.clr").write_bytes(world.receipt)
    (tmp_path / "t.cltrust").write_bytes(world.trust)
    command = ["receipt", "refresh", str(tmp_path / "r.clr"), "--trust", str(tmp_path / "t.cltrust")]
    assert main([*command, "--rpc", "http://127.0.0.1:9"]) == 1
    assert "RefreshNotPossible" in capsys.readouterr().err
