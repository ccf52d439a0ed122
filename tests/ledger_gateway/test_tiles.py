"""Hash tiles over HTTP: both trees' roots come out of them, and nothing but hashes does."""

from __future__ import annotations

import httpx
import pytest

from cli.stack import Stack
from protocol.hashing import HASH_LEN, SHA256, SM3
from protocol.submission import Acceptance, check_acceptance
from protocol.tilepath import TILE_WIDTH, tile_path
from tests.support.stack import BANK_A, caller, wait_for
from verifier.merkle import tree_root
from verifier.receipt import Receipt

pytestmark = [pytest.mark.chain, pytest.mark.database]


def test_tiles_make_the_anchored_roots_and_bad_paths_are_refused(local_stack: Stack) -> None:
    from agent.keys import load_ed25519
    from protocol.entry import evidence_id

    bank = caller(local_stack, "bank-a", BANK_A)
    submission = bank.submission([bank.entry() for _ in range(300)])
    key = load_ed25519(bank.home / "keys" / "log-centre.json").public_key
    leaves = check_acceptance(submission, Acceptance.parse(bank.post(submission).content), key)
    base = f"/v1/logs/{bank.log_id.hex()}"
    with httpx.Client(base_url=bank.url, trust_env=False, timeout=30) as http:

        def receipt() -> bytes | None:
            answer = http.get(f"/v1/evidence/{evidence_id(leaves[-1]).hex()}/receipt", headers=bank.headers())
            return answer.content if answer.status_code == 200 else None

        link = Receipt.parse(wait_for(receipt, 60)).core.link
        for prefix, alg, root in (("", SHA256, link.root_sha256), ("/sm3", SM3, link.root_sm3)):
            data = b""
            for index in range((link.size + TILE_WIDTH - 1) // TILE_WIDTH):
                width = min(TILE_WIDTH, link.size - index * TILE_WIDTH)
                answer = http.get(f"{base}{prefix}/tile/0/{tile_path(index, width)}")
                assert (answer.status_code, len(answer.content)) == (200, width * HASH_LEN)
                assert ("immutable" in answer.headers["cache-control"]) == (width == TILE_WIDTH)
                data += answer.content
            hashes = [data[at : at + HASH_LEN] for at in range(0, len(data), HASH_LEN)]
            assert tree_root(alg, hashes) == root
            above = http.get(f"{base}{prefix}/tile/1/{tile_path(0, 1)}").content
            assert above == tree_root(alg, hashes[:TILE_WIDTH])
        for path, status in (
            ("/tile/0/x999/999", 404), ("/tile/7/000", 404), ("/tile/8/000", 422), ("/tile/0/0", 422),
            ("/tile/0/000.p/0", 422), ("/tile/entries/000", 422), ("/tile/0/000/../../../blobs", 404),
            ("/checkpoint", 404),
        ):  # fmt: skip
            assert http.get(base + path).status_code == status, path
        assert http.get(f"/v1/logs/{'0' * 64}/tile/0/000").status_code == 404
        assert http.get("/v1/logs/x/tile/0/000").status_code == 422
