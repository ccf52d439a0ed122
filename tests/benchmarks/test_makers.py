"""What the benches feed in is what the product gets: real entries, real roots, wrong signatures wrong."""

from __future__ import annotations

import socket
import threading

import pytest

from benchmarks.entries import EntryMaker, OneMember, Submitter
from benchmarks.gas import UniformLog
from benchmarks.load import drive, http_request
from benchmarks.tessera import note_signer
from evidence.admission import check_signer
from evidence.errors import KeyUnknown
from protocol.acts import BadSignature, Domain
from protocol.entry import Body
from protocol.hashing import SHA256, SM3, HashAlg
from verifier.merkle_tree import consistency_proof, tree_root
from verifier.merkle_verify import verify_consistency

DOMAIN = Domain(1776, bytes(range(20)))


def test_made_entries_are_distinct_and_parse() -> None:
    entries = EntryMaker(5).make(50)
    bodies = [Body.parse(body) for _, body in entries]
    assert len({body.salt for body in bodies}) == len({body.content_sha256 for body in bodies}) == 50


def test_the_forged_submission_is_nobody_s() -> None:
    submitter = Submitter.fresh(bytes(32), DOMAIN, 5)
    member = OneMember(submitter)
    good, forged = submitter.submissions(1, 3)[0], submitter.forged(3)
    assert check_signer(good.check().signer(DOMAIN), 5, member).organisation == 5
    with pytest.raises((KeyUnknown, BadSignature)):
        check_signer(forged.check().signer(DOMAIN), 5, member)


@pytest.mark.parametrize("alg", [SHA256, SM3])
def test_roots_and_proofs_of_a_uniform_log_are_real(alg: HashAlg) -> None:
    log, leaf = UniformLog(alg), alg.leaf(bytes(112))
    for size in (1, 2, 3, 7, 8, 100, 129):
        assert log.root(size) == tree_root(alg, [leaf] * size)
    proof = consistency_proof(alg, 77, 130, log.node)
    verify_consistency(alg, 77, 130, log.root(77), log.root(130), proof)


def test_a_signer_line_has_the_form_of_the_standard() -> None:
    kind, word, name, digest, secret = note_signer("bench.localhost/log").split("+", 4)
    assert (kind, word, name, len(digest)) == ("PRIVATE", "KEY", "bench.localhost/log", 8)
    assert len(secret) == 44


def test_the_load_client_counts_every_answer() -> None:
    server = socket.create_server(("127.0.0.1", 0))

    def serve(connection: socket.socket) -> None:
        with connection:
            while data := connection.recv(4096):
                code = b"403 no" if b"/wrong" in data else b"200 ok"
                connection.sendall(b"HTTP/1.1 " + code + b"\r\nContent-Length: 2\r\n\r\nok")

    def listen() -> None:
        for _ in range(3):
            threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()

    threading.Thread(target=listen, daemon=True).start()
    right, wrong = (http_request("POST", path, "h", b"x") for path in ("/right", "/wrong"))
    result = drive(server.getsockname(), [right] * 20 + [wrong] * 4, connections=3)
    server.close()
    assert result.statuses == {200: 20, 403: 4}
    assert len(result.latencies) == len(result.arrivals) == 24
    assert result.rate_within(0.1, 0.9) > 0
