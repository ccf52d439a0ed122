"""The development time authority answers what it should, refuses the rest, and keeps its identity."""

from __future__ import annotations

import http.client
import stat
from pathlib import Path
from threading import Thread

import pytest

from cli.tsa import LIST_PATH, make_server
from evidence.local_authority import (
    POLICY,
    ROOT_KEY,
    SIGNER_FILE,
    SIGNER_KEY,
    LocalAuthority,
    TimeAuthorityDamaged,
    make_identity,
)
from tests.support.time_tokens import IMPRINTS, NOW, authority, check
from verifier.timetoken_der import OCTET_STRING, SEQUENCE, encode, encode_integer, encode_oid
from verifier.timetoken_errors import TimeRequestRefused
from verifier.timetoken_request import ANSWER_TYPE, REQUEST_TYPE, TimeRequest, token_of


def test_its_files_are_private_and_stay(tmp_path: Path) -> None:
    first = LocalAuthority.open(tmp_path / "a", "a", clock=lambda: NOW)
    again = LocalAuthority.open(tmp_path / "a", "a", clock=lambda: NOW + 1)
    assert first.identity.root == again.identity.root
    assert stat.S_IMODE((tmp_path / "a" / ROOT_KEY).stat().st_mode) == 0o600
    answer = again.answer(TimeRequest("sm3", IMPRINTS["sm3"], 5).encode())
    found = check(token_of(answer), [authority(first.identity)], revocation=[again.revocation_list()])
    assert (found.gen_time, found.nonce) == (NOW + 1, 5)


def test_damaged_files_are_named(tmp_path: Path) -> None:
    LocalAuthority.open(tmp_path, "a", clock=lambda: NOW)
    other = make_identity("b", NOW)
    (tmp_path / SIGNER_FILE).write_bytes(other.signer)
    with pytest.raises(TimeAuthorityDamaged, match="do not belong together"):
        LocalAuthority.open(tmp_path, "a")
    (tmp_path / SIGNER_KEY).unlink()
    with pytest.raises(TimeAuthorityDamaged):
        LocalAuthority.open(tmp_path, "a")


def raw_request(digest: str, size: int) -> bytes:
    name = encode(SEQUENCE, encode_oid(digest))
    return encode(SEQUENCE, encode_integer(1), encode(SEQUENCE, name, encode(OCTET_STRING, bytes(size))))


@pytest.mark.parametrize(
    ("data", "failure"),
    [
        (TimeRequest("sha256", IMPRINTS["sha256"], 1, "2.999.8").encode(), "unacceptedPolicy"),
        (b"\x30\x00", "badDataFormat"),
        (raw_request("1.3.14.3.2.26", 20), "badAlg"),
        (raw_request("2.16.840.1.101.3.4.2.3", 64), "badAlg"),
        (raw_request("2.16.840.1.101.3.4.2.1", 20), "badDataFormat"),
    ],
)
def test_what_it_refuses(data: bytes, failure: str) -> None:
    made = LocalAuthority(make_identity("a", NOW), clock=lambda: NOW)
    with pytest.raises(TimeRequestRefused, match=failure):
        token_of(made.answer(data))


def test_over_http(tmp_path: Path) -> None:
    made = LocalAuthority(make_identity("a", NOW), clock=lambda: NOW)
    server = make_server(made)
    assert server.server_address[0] == "127.0.0.1"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        connection = http.client.HTTPConnection("127.0.0.1", int(server.server_address[1]), timeout=5)

        def ask(method: str, path: str, body: bytes | None, kind: str) -> tuple[int, str | None, bytes]:
            connection.request(method, path, body, {"content-type": kind})
            answer = connection.getresponse()
            return answer.status, answer.headers["content-type"], answer.read()

        request = TimeRequest("sha256", IMPRINTS["sha256"], 9, POLICY).encode()
        status, kind, body = ask("POST", "/", request, REQUEST_TYPE)
        assert (status, kind) == (200, ANSWER_TYPE)
        status, _, listed = ask("GET", LIST_PATH, None, "")
        assert status == 200
        assert check(token_of(body), [authority(made.identity)], revocation=[listed]).nonce == 9
        assert ask("POST", "/", request, "text/plain")[0] == 415
        assert ask("POST", "/", bytes(5000), REQUEST_TYPE)[0] == 413
        assert ask("GET", "/other", None, "")[0] == 404
        connection.close()
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
