"""`openssl ts` as the second opinion in both directions; it is no part of the product."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

import pytest

from evidence.local_authority import POLICY, LocalAuthority, make_identity
from tests.support.time_tokens import IMPRINTS, MESSAGE, authority, check
from verifier import timetoken_errors as errors
from verifier.timetoken_request import TimeRequest, token_of
from verifier.trust_payload import TimeAuthority

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl program here")

CONFIGURATION = f"""
[tsa]
default_tsa = here
[here]
serial = serial
signer_digest = sha256
default_policy = {POLICY}
other_policies = 2.999.7
digests = sha1, sha256, sm3
accuracy = secs:1
tsa_name = yes
ess_cert_id_chain = no
ess_cert_id_alg = sha256
[root]
basicConstraints = critical,CA:true
keyUsage = critical,keyCertSign,cRLSign
[signer]
extendedKeyUsage = critical,timeStamping
keyUsage = critical,digitalSignature
[req]
distinguished_name = name
[name]
"""


def openssl(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["openssl", *arguments], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )
    if done.returncode:
        raise AssertionError(done.stdout + done.stderr)
    return done.stdout


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority of openssl's: RSA signer under an EC root."""
    folder = tmp_path_factory.mktemp("openssl")
    (folder / "ts.cnf").write_text(CONFIGURATION)
    (folder / "serial").write_text("01")
    (folder / "message").write_bytes(MESSAGE)
    new = ("-nodes", "-config", "ts.cnf")
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256")
    openssl(folder, "req", "-x509", *curve, *new, "-keyout", "root.key", "-out", "root.pem",
            "-subj", "/CN=their root", "-days", "10", "-extensions", "root")  # fmt: skip
    openssl(folder, "req", "-newkey", "rsa:2048", *new, "-keyout", "signer.key", "-out", "signer.csr",
            "-subj", "/CN=their signer")  # fmt: skip
    openssl(folder, "x509", "-req", "-in", "signer.csr", "-CA", "root.pem", "-CAkey", "root.key",
            "-out", "signer.pem", "-days", "5", "-extfile", "ts.cnf", "-extensions", "signer")  # fmt: skip
    openssl(folder, "x509", "-in", "root.pem", "-outform", "DER", "-out", "root.der")
    return folder


def their_token(folder: Path, digest: str, *options: str) -> bytes:
    openssl(folder, "ts", "-query", "-data", "message", f"-{digest}", *options, "-out", "query")
    openssl(folder, "ts", "-reply", "-config", "ts.cnf", "-queryfile", "query", "-signer", "signer.pem",
            "-inkey", "signer.key", "-out", "reply")  # fmt: skip
    return token_of((folder / "reply").read_bytes())


def trusted(folder: Path) -> TimeAuthority:
    return TimeAuthority("theirs", ((folder / "root.der").read_bytes(),), (POLICY,), 0, None)


@pytest.mark.parametrize("digest", ["sha256", "sm3"])
def test_we_accept_their_token(theirs: Path, digest: str) -> None:
    token = their_token(theirs, digest, "-cert")
    request = TimeRequest.parse((theirs / "query").read_bytes())
    found = check(token, [trusted(theirs)], at=int(time.time()))
    assert (found.imprint_algorithm, found.policy) == (digest, POLICY)
    assert request.imprint == IMPRINTS[digest]
    request.check(found)


def test_we_refuse_their_bad_tokens(theirs: Path) -> None:
    now = int(time.time())
    with pytest.raises(errors.TokenAlgorithmWeak):
        check(their_token(theirs, "sha1", "-cert"), [trusted(theirs)], at=now)
    with pytest.raises(errors.TokenPolicyNotAccepted):
        check(their_token(theirs, "sha256", "-cert", "-tspolicy", "2.999.7"), [trusted(theirs)], at=now)
    with pytest.raises(errors.TokenSignerMissing):
        check(their_token(theirs, "sha256"), [trusted(theirs)], at=now)
    with pytest.raises(errors.TokenInFuture):
        check(their_token(theirs, "sha256", "-cert"), [trusted(theirs)], at=now - 10)
    with pytest.raises(errors.AuthorityNotTrusted):
        check(their_token(theirs, "sha256", "-cert"), at=now)


@pytest.mark.parametrize("digest", ["sha256", "sm3"])
@pytest.mark.parametrize("nonce", [True, False])
def test_they_accept_our_answer(theirs: Path, tmp_path: Path, digest: str, nonce: bool) -> None:
    now = int(time.time())
    ours = LocalAuthority(make_identity("ours", now))
    (tmp_path / "message").write_bytes(MESSAGE)
    (tmp_path / "root.der").write_bytes(ours.identity.root)
    openssl(tmp_path, "x509", "-inform", "DER", "-in", "root.der", "-out", "root.pem")
    options = ["-cert"] + ([] if nonce else ["-no_nonce"])
    openssl(tmp_path, "ts", "-query", "-data", "message", f"-{digest}", *options, "-out", "query")
    (tmp_path / "reply").write_bytes(ours.answer((tmp_path / "query").read_bytes()))
    for how in (("-queryfile", "query"), ("-data", "message")):
        said = openssl(tmp_path, "ts", "-verify", *how, "-in", "reply", "-CAfile", "root.pem")
        assert "Verification: OK" in said
    token = token_of((tmp_path / "reply").read_bytes())
    assert check(token, [authority(ours.identity)], at=now + 5).imprint_algorithm == digest


def test_they_refuse_another_root(theirs: Path, tmp_path: Path) -> None:
    ours = LocalAuthority(make_identity("ours", int(time.time())))
    (tmp_path / "message").write_bytes(MESSAGE)
    openssl(tmp_path, "ts", "-query", "-data", "message", "-sha256", "-cert", "-out", "query")
    (tmp_path / "reply").write_bytes(ours.answer((tmp_path / "query").read_bytes()))
    root = str(theirs / "root.pem")
    with pytest.raises(AssertionError, match="FAILED"):
        openssl(tmp_path, "ts", "-verify", "-queryfile", "query", "-in", "reply", "-CAfile", root)


def test_they_understand_our_request_and_our_refusal(theirs: Path, tmp_path: Path) -> None:
    request = TimeRequest("sm3", IMPRINTS["sm3"], 2**63 + 1, POLICY)
    (tmp_path / "query").write_bytes(request.encode())
    said = openssl(tmp_path, "ts", "-query", "-in", "query", "-text")
    assert "sm3" in said.lower()
    assert "Certificate required: yes" in said
    ours = LocalAuthority(make_identity("ours", int(time.time())))
    (tmp_path / "reply").write_bytes(ours.answer(TimeRequest("sm3", IMPRINTS["sm3"], 1, "2.999.8").encode()))
    said = openssl(tmp_path, "ts", "-reply", "-in", "reply", "-text")
    assert "unsupported" in said or "rejection" in said.lower() or "policy" in said
