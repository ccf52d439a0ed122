"""The running gateway: each bad input has its code and status, nothing is accepted half."""

from __future__ import annotations

import base64
import json
import os
import re
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.keys import load_ed25519
from agent.renewing import refreshed
from cli.main import main
from cli.stack import Stack
from protocol import blob, cbor
from protocol.acts import Domain
from protocol.entry import Header
from protocol.hashing import sha256
from protocol.submission import Acceptance, Submission, check_acceptance
from tests.support.stack import BANK_A, BANK_B, Caller, caller, wait_for
from verifier.attestation import ChainAttestation
from verifier.attestation import parse as parse_attestation
from verifier.receipt import Attestation, Receipt
from verifier.views.cose_receipt import verify_cose_receipt

pytestmark = [pytest.mark.chain, pytest.mark.database]


@pytest.fixture(scope="module")
def bank(local_stack: Stack) -> Caller:
    return caller(local_stack, "bank-a", BANK_A)


@pytest.fixture(scope="module")
def other(local_stack: Stack) -> Caller:
    return caller(local_stack, "bank-b", BANK_B)


@pytest.fixture(scope="module")
def http(bank: Caller) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=bank.url, trust_env=False, timeout=30) as client:
        yield client


def accepted_size(http: httpx.Client) -> int:
    return int(http.get("/v1/logs").json()["logs"][0]["size"])


def refusal(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.status_code, answer.json()["code"]


# what is wrong with a submission


def _with(submission: Submission, **changes: Any) -> bytes:
    return replace(submission, **changes).encode()


def _header(bank: Caller, **changes: Any) -> bytes:
    header = Header.parse(bank.entry()[0])
    return replace(header, **changes).pack()


def _body_with(bank: Caller, **changes: Any) -> bytes:
    value: dict[cbor.Key, cbor.Encodable] = dict(enumerate(_members(bank.entry()[1])))
    value.update({int(k[1:]): v for k, v in changes.items()})
    return cbor.encode(value)


def _members(body: bytes) -> list[Any]:
    value = cbor.decode(body, max_bytes=4096)
    assert isinstance(value, dict)
    return [value[i] for i in range(13)]


def _unsigned(bank: Caller, entries: list[tuple[bytes, bytes]]) -> bytes:
    """Entries that `Submission.sign` would refuse to sign; the signature is that of other ones."""
    good = bank.submission()
    return replace(good, entries=tuple(entries)).encode()


HIGH_S = b"\x01" * 32 + b"\xfe" * 32 + b"\x1b"


def _elsewhere(bank: Caller, chain: int) -> Domain:
    """The next chain, or another contract of this one."""
    return Domain(bank.domain.chain_id + chain, bank.domain.contract if chain else bytes(20))


def _version(bank: Caller, number: bytes) -> bytes:
    return bank.submission().encode().replace(b"\xa6\x00\x01", b"\xa6\x00" + number, 1)


def _one(bank: Caller, header: bytes | None = None, body: bytes | None = None) -> bytes:
    good = bank.entry()
    return _unsigned(bank, [(header or good[0], body or good[1])])


BAD: dict[str, tuple[int, str, Callable[[Caller], bytes]]] = {
    "no bytes": (422, "MalformedInput", lambda b: b""),
    "not CBOR": (422, "MalformedInput", lambda b: b"\xff\x00hello"),
    "CBOR with a tail": (422, "MalformedInput", lambda b: b.submission().encode() + b"\x00"),
    "truncated": (422, "MalformedInput", lambda b: b.submission().encode()[:-1]),
    "nested without end": (413, "LimitExceeded", lambda b: b"\x81" * 5000),
    "unknown version": (422, "UnknownVersion", lambda b: _version(b, b"\x02")),
    "no entries": (422, "MalformedInput", lambda b: _with(b.submission(), entries=())),
    "long integer form": (422, "MalformedInput", lambda b: _version(b, b"\x18\x01")),
    "header too short": (422, "MalformedInput", lambda b: _one(b, b.entry()[0][:-1])),
    "unknown class": (422, "UnknownEvidenceClass", lambda b: _one(b, b"\x01\x63" + b.entry()[0][2:])),
    "unknown header version": (422, "UnknownVersion", lambda b: _one(b, b"\x02" + b.entry()[0][1:])),
    "sequence given": (422, "MalformedInput", lambda b: _one(b, _header(b, sequence=7))),
    "entry of another organisation": (403, "SubmitterMismatch", lambda b: _one(b, _header(b, submitter=2))),
    "oversize body": (413, "LimitExceeded", lambda b: _one(b, body=bytes(2049))),
    "body of an unknown version": (422, "UnknownVersion", lambda b: _one(b, body=_body_with(b, k0=2))),
    "digest too short": (422, "MalformedInput", lambda b: _one(b, body=_body_with(b, k1=bytes(31)))),
    "size over 53 bits": (422, "MalformedInput", lambda b: _one(b, body=_body_with(b, k3=2**53))),
    "media type": (422, "MalformedInput", lambda b: _one(b, body=_body_with(b, k4="PDF"))),
    "the same entry twice": (422, "MalformedInput", lambda b: _unsigned(b, [b.entry()] * 2)),
    "signature too short": (422, "MalformedInput", lambda b: _with(b.submission(), signature=bytes(64))),
    "signature of zeros": (401, "BadSignature", lambda b: _with(b.submission(), signature=bytes(65))),
    "signature in the upper half": (401, "BadSignature", lambda b: _with(b.submission(), signature=HIGH_S)),
    "signed by nobody's key": (403, "KeyUnknown", lambda b: _with(b.submission(), entries=(b.entry(),))),
    "signed for another chain": (403, "KeyUnknown", lambda b: b.submission(domain=_elsewhere(b, 1)).encode()),
    "signed for another contract": (
        403, "KeyUnknown", lambda b: b.submission(domain=_elsewhere(b, 0)).encode()),
    "key of another purpose": (403, "KeyWrongPurpose", lambda b: b.submission(key=b.key("auth")).encode()),
    "expired act": (403, "ActExpired", lambda b: b.submission(valid_until=int(time.time()) - 5).encode()),
    "another log": (404, "LogUnknown", lambda b: b.submission(log_id=bytes(32)).encode()),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_submission_has_its_code_and_nothing_is_accepted(
    bank: Caller, http: httpx.Client, name: str
) -> None:
    status, code, build = BAD[name]
    before = accepted_size(http)
    assert refusal(bank.post(build(bank))) == (status, code)
    assert accepted_size(http) == before


def test_signature_of_another_organisation_is_refused(bank: Caller, other: Caller) -> None:
    assert refusal(bank.post(bank.submission(key=other.key()))) == (403, "KeyWrongOrganisation")


def test_one_bad_entry_among_many_spoils_all_and_is_named(bank: Caller, http: httpx.Client) -> None:
    before = accepted_size(http)
    good = [bank.entry() for _ in range(20)]
    answer = bank.post(_unsigned(bank, [*good[:13], (good[13][0], b"\xa0"), *good[14:]]))
    assert refusal(answer) == (422, "MalformedInput")
    assert answer.json()["field"].startswith("entries[13]")
    assert accepted_size(http) == before


def test_same_submission_again_gets_the_same_answer(bank: Caller, http: httpx.Client) -> None:
    submission = bank.submission([bank.entry() for _ in range(3)])
    first = bank.post(submission)
    size = accepted_size(http)
    assert first.status_code == 200
    assert bank.post(submission).content == first.content
    assert accepted_size(http) == size


def test_entry_of_an_earlier_submission_is_a_duplicate_and_takes_the_rest_along(
    bank: Caller, http: httpx.Client
) -> None:
    entry = bank.entry()
    assert bank.post(bank.submission([entry])).status_code == 200
    before = accepted_size(http)
    answer = bank.post(bank.submission([bank.entry(), entry]))
    assert refusal(answer) == (409, "DuplicateEntry")
    assert accepted_size(http) == before


def test_promise_holds_under_the_logs_key_in_cbor_and_json(bank: Caller, local_stack: Stack) -> None:
    key = load_ed25519(local_stack.keys / "log-centre.json").public_key
    submission = bank.submission([bank.entry(), bank.entry()])
    leaves = check_acceptance(submission, Acceptance.parse(bank.post(submission).content), key)
    assert len(leaves) == 2
    text = bank.post(
        submission.to_json().encode(), **{"content-type": "application/json", "accept": "application/json"}
    )
    assert check_acceptance(submission, Acceptance.from_json(text.content), key) == leaves


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"version":1,"version":1}', '{"version":NaN}', "[" * 3000, '{"version": 1}']
)
def test_malformed_json_submission(bank: Caller, text: str) -> None:
    found = refusal(bank.post(text.encode(), **{"content-type": "application/json"}))
    assert found == (422, "MalformedInput")


def test_other_media_types_are_refused(bank: Caller) -> None:
    found = refusal(bank.post(b"x", **{"content-type": "text/plain"}))
    assert found == (415, "UnsupportedMediaType")


def test_too_large_a_submission_is_refused_while_it_arrives(bank: Caller, http: httpx.Client) -> None:
    answer = http.post(bank.path, content=bytes(9 * 2**20), headers={"content-type": "application/cbor"})
    assert refusal(answer) == (413, "BodyTooLarge")

    def endless() -> Iterator[bytes]:
        for _ in range(200):
            yield bytes(65_536)

    try:
        streamed = http.post(bank.path, content=endless(), headers={"content-type": "application/cbor"})
    except (httpx.WriteError, httpx.ReadError, httpx.RemoteProtocolError):
        return  # the gateway closed the connection on us, which is refusal enough
    assert refusal(streamed) == (413, "BodyTooLarge")


# reading


def test_reads_need_a_login(http: httpx.Client) -> None:
    some = "ab" * 32
    for method, path in (
        ("GET", "/v1/evidence"),
        ("GET", f"/v1/evidence/{some}"),
        ("GET", f"/v1/evidence/{some}/receipt"),
        ("POST", "/v1/receipts"),
        ("POST", "/v1/evidence/find"),
        ("GET", f"/v1/blobs/{blob.cid(bytes(32))}"),
        ("PUT", f"/v1/blobs/{blob.cid(bytes(32))}"),
    ):
        answer = http.request(method, path)
        assert answer.status_code == 401, path
        assert answer.headers["www-authenticate"].startswith("Bearer")
        if method != "HEAD":
            assert refusal(answer)[1] == "NotAuthenticated"


def test_login_for_another_gateway_is_refused(bank: Caller, http: httpx.Client) -> None:
    header = {"authorization": f"Bearer {bank.token('http://127.0.0.1:1')}"}
    assert refusal(http.get("/v1/evidence", headers=header)) == (401, "WrongAudience")


BAD_READS: dict[str, tuple[str, str, Any, int, str]] = {
    "id not hex": ("GET", "/v1/evidence/xyz", None, 422, "MalformedInput"),
    "id upper case": ("GET", "/v1/evidence/" + "AB" * 32, None, 422, "MalformedInput"),
    "id unknown": ("GET", "/v1/evidence/" + "ab" * 32, None, 404, "EvidenceNotFound"),
    "receipt unknown": ("GET", "/v1/evidence/" + "ab" * 32 + "/receipt", None, 404, "EvidenceNotFound"),
    "page too long": ("GET", "/v1/evidence?limit=100000", None, 422, "InvalidRequest"),
    "cursor made up": ("GET", "/v1/evidence?cursor=zz", None, 422, "MalformedInput"),
    "case not hex": ("GET", "/v1/evidence?case=1", None, 422, "InvalidRequest"),
    "digest missing": ("POST", "/v1/evidence/find", {}, 422, "InvalidRequest"),
    "digest not hex": ("POST", "/v1/evidence/find", {"contentSha256": "x"}, 422, "InvalidRequest"),
    "unknown member": (
        "POST", "/v1/evidence/find", {"contentSha256": "ab" * 32, "x": 1}, 422, "InvalidRequest"),
    "no ids": ("POST", "/v1/receipts", {"ids": []}, 422, "InvalidRequest"),
    "too many ids": ("POST", "/v1/receipts", {"ids": ["ab" * 32] * 1001}, 422, "InvalidRequest"),
    "chunk address": ("GET", "/v1/blobs/bafkreixyz", None, 422, "MalformedInput"),
    "chunk absent": ("GET", "/v1/blobs/" + blob.cid(b"\x01" * 32), None, 404, "NotFound"),
    "no path": ("GET", "/v2/evidence", None, 404, "NotFound"),
    "act unknown": ("POST", "/v1/acts", {"act": "Mint"}, 422, "UnknownAct"),
    "act malformed": (
        "POST", "/v1/acts", {"act": "RevokeKey", "request": {}, "signature": ""}, 422, "MalformedInput"),
    "act not found": ("GET", "/v1/acts/" + "ab" * 32, None, 404, "ActUnknown"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_READS)
def test_bad_request_has_its_code(bank: Caller, http: httpx.Client, name: str) -> None:
    method, path, body, status, code = BAD_READS[name]
    answer = http.request(method, path, json=body, headers=bank.headers())
    assert refusal(answer) == (status, code)


def test_json_with_a_member_twice_is_not_interpreted(bank: Caller, http: httpx.Client) -> None:
    text = b'{"act":"RevokeKey","act":"Suspend"}'
    answer = http.post("/v1/acts", content=text, headers={"content-type": "application/json"})
    assert refusal(answer) == (422, "MalformedInput")


def test_act_whose_signature_does_not_hold_is_refused_with_the_contracts_error(
    bank: Caller, http: httpx.Client
) -> None:
    request = {
        "organisation": BANK_A,
        "publicKey": "11" * 32,
        "notBefore": 0,
        "notAfter": 2**40 - 1,
        "nonce": 77,
        "validUntil": int(time.time()) + 600,
    }
    document = {"act": "SetHpkeKey", "request": request, "signature": (bytes(64) + b"\x1b").hex()}
    answer = http.post("/v1/acts", json=document)
    assert 400 <= answer.status_code < 500
    assert re.fullmatch(r"[A-Z][A-Za-z0-9]+", answer.json()["code"])
    assert answer.json()["code"] != "UnknownRevert"


# visibility and receipts


def test_owner_reads_its_entry_and_receipt_and_others_see_nothing(
    bank: Caller, other: Caller, http: httpx.Client, local_stack: Stack
) -> None:
    content, case_id = secrets.token_bytes(20), secrets.token_bytes(32)
    submission = bank.submission([bank.entry(case_id, content), bank.entry(case_id)])
    key = load_ed25519(local_stack.keys / "log-centre.json").public_key
    leaves = check_acceptance(submission, Acceptance.parse(bank.post(submission).content), key)
    identifier = sha256(b"\x00" + leaves[0]).hex()
    path = f"/v1/evidence/{identifier}"
    assert http.get(path, headers=bank.headers()).json()["id"] == identifier
    assert http.get(path, headers=other.headers()).status_code == 404
    presented = {**other.headers(), "x-case-id": case_id.hex()}
    assert http.get(path, headers=presented).json()["id"] == identifier
    digest = {"contentSha256": sha256(content).hex()}
    found = http.post("/v1/evidence/find", json=digest, headers=bank.headers()).json()["items"]
    assert [item["id"] for item in found] == [identifier]
    assert http.post("/v1/evidence/find", json=digest, headers=other.headers()).json()["items"] == []
    listed = http.get("/v1/evidence?limit=1", headers=bank.headers()).json()
    assert len(listed["items"]) == 1
    assert listed["next"]

    def receipt() -> httpx.Response | None:
        answer = http.get(path + "/receipt", headers=bank.headers())
        if answer.status_code == 409:
            assert refusal(answer) == (409, "ReceiptNotReady")
            return None
        return answer

    single = wait_for(receipt, 60)
    assert single.headers["content-type"] == "application/cbor"
    held = {**bank.headers(), "if-none-match": single.headers["etag"]}
    assert http.get(path + "/receipt", headers=held).status_code == 304
    assert http.get(path + "/receipt", headers=other.headers()).status_code == 404
    unknown = "cd" * 32
    bulk = http.post("/v1/receipts", json={"ids": [identifier, unknown]}, headers=bank.headers()).json()
    assert base64.b64decode(bulk["results"][0]["receipt"]) == single.content
    assert bulk["results"][1]["error"]["code"] == "EvidenceNotFound"


def test_receipt_in_other_formats(
    bank: Caller, other: Caller, http: httpx.Client, local_stack: Stack, tmp_path: Path
) -> None:
    case_id = secrets.token_bytes(32)
    submission = bank.submission([bank.entry(case_id, secrets.token_bytes(20)) for _ in range(3)])
    key = load_ed25519(local_stack.keys / "log-centre.json").public_key
    leaves = check_acceptance(submission, Acceptance.parse(bank.post(submission).content), key)
    identifier = sha256(b"\x00" + leaves[0]).hex()
    path = f"/v1/evidence/{identifier}"

    def receipt() -> httpx.Response | None:
        answer = http.get(path + "/receipt", headers=bank.headers())
        return None if answer.status_code == 409 else answer

    single = wait_for(receipt, 60)
    core = Receipt.parse(single.content).core
    cose = http.get(path + "/receipt?view=cose", headers=bank.headers())
    assert cose.headers["content-type"] == "application/cose"
    verify_cose_receipt(cose.content, core, key)
    assert http.get(path + "/receipt?view=cose", headers=other.headers()).status_code == 404
    assert refusal(http.get(path + "/receipt?view=pdf", headers=bank.headers())) == (422, "InvalidRequest")

    again = http.get(path + "/receipt?view=chain", headers=bank.headers()).content
    added = parse_attestation(Attestation("chain", again), 0)
    assert isinstance(added, ChainAttestation)
    trust = (local_stack.home / "trust" / "accepted.cltrust").read_bytes()
    out = refreshed(Receipt.parse(single.content), added, trust, int(time.time()) + 30)
    assert out.attestations[-1].kind == "chain"
    assert http.get(path + "/receipt?view=chain", headers=other.headers()).status_code == 404

    file = tmp_path / "document.clr"
    file.write_bytes(single.content)
    assert main(["receipt", "refresh", str(file), "--node", "--home", str(local_stack.home)]) == 0
    kept = Receipt.parse(file.read_bytes())
    assert kept.core == core
    assert kept.attestations[-1].kind == "chain"
    # This network has no time authority.
    pending = http.get(path + "/receipt?view=ers", headers=bank.headers())
    assert refusal(pending) == (409, "EvidenceRecordPending")


def test_chunk_is_kept_under_its_address_only(bank: Caller, http: httpx.Client) -> None:
    data = secrets.token_bytes(1000)
    path = f"/v1/blobs/{blob.cid(sha256(data))}"
    assert http.head(path, headers=bank.headers()).status_code == 404
    assert refusal(http.put(path, content=data[:-1], headers=bank.headers())) == (422, "InvalidRequest")
    assert http.head(path, headers=bank.headers()).status_code == 404
    assert http.put(path, content=data, headers=bank.headers()).status_code == 201
    assert http.put(path, content=data, headers=bank.headers()).status_code == 200
    assert http.get(path, headers=bank.headers()).content == data
    large = bytes(2**20 + 1)
    over = http.put(f"/v1/blobs/{blob.cid(sha256(large))}", content=large, headers=bank.headers())
    assert refusal(over) == (413, "BodyTooLarge")


# the whole process


def test_nothing_listens_outside_loopback(local_stack: Stack) -> None:
    ours = {service.pid for service in local_stack.state().services}
    inodes = set()
    for pid in ours:
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            try:
                target = os.readlink(descriptor)
            except OSError:
                continue
            if target.startswith("socket:["):
                inodes.add(target[8:-1])
    listening = []
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in inodes:
                listening.append(fields[1].split(":")[0])
    assert listening == ["0100007F"]


def test_logs_and_metrics_hold_no_digest_and_no_body(
    bank: Caller, http: httpx.Client, local_stack: Stack
) -> None:
    content = secrets.token_bytes(16)
    assert bank.post(bank.submission([bank.entry(content=content)])).status_code == 200
    http.post("/v1/evidence/find", json={"contentSha256": sha256(content).hex()}, headers=bank.headers())
    told = (local_stack.run_folder / "gateway.log").read_text() + http.get("/metrics").text
    for secret in (sha256(content).hex(), bank.token()[:40], content.hex()):
        assert secret not in told
    for line in (local_stack.run_folder / "gateway.log").read_text().splitlines():
        json.loads(line)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=400), kind=st.sampled_from(["application/cbor", "application/json"]))
def test_random_bytes_are_refused_never_a_fault(bank: Caller, data: bytes, kind: str) -> None:
    status, code = refusal(bank.post(data, **{"content-type": kind}))
    assert status in (413, 422)
    assert code != "InternalError"


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(position=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_every_turned_bit_of_a_submission_is_refused(bank: Caller, position: int, bit: int) -> None:
    data = bank.submission().encode()
    at = position % len(data)
    status, code = refusal(bank.post(data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :]))
    assert status in (401, 403, 404, 413, 422)
    assert code != "InternalError"
