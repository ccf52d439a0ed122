"""The two verifiers read the same certificates: one with a library, the other by itself."""

from __future__ import annotations

import random
import subprocess
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import cast

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from protocol.errors import CaseledgerError
from tests.support.second import ROOT, needs_node, node
from tests.support.time_tokens import DER, identity, intermediate
from verifier.timetoken_path import load

READER = ROOT / "tests" / "support" / "read_certificates.mjs"
OF = identity()
TEXTS = {
    _ASN1Type.BMPString: "ab\U0001f600c",
    _ASN1Type.UniversalString: "ab\U0001f600",
    _ASN1Type.PrintableString: "abc (1)",
    _ASN1Type.T61String: "abc",
    _ASN1Type.IA5String: "abc",
}


def _full(kind: _ASN1Type, text: str) -> bytes:
    """A certificate with every extension that is read, its names of one kind of string."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text, _type=kind)])
    usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(OF.signer_key.public_key())
        .serial_number(5)
        .not_valid_before(datetime(2026, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2056, 1, 1, tzinfo=UTC))
        .add_extension(x509.BasicConstraints(True, 3), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING]), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName("a.b"), x509.DirectoryName(name)]), critical=False
        )
    )
    return builder.sign(OF.signer_key, hashes.SHA256()).public_bytes(DER)


def certificates() -> list[bytes]:
    """Intact ones of every kind here."""
    deep, between = intermediate(OF)
    return [OF.signer, OF.root, between, deep.signer, *(_full(*one) for one in TEXTS.items())]


def ours(certificate: bytes) -> str:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            load.__wrapped__(certificate)
    except CaseledgerError as error:
        return error.code
    return "Ok"


def compare(made: list[bytes]) -> None:
    lines = "\n".join(one.hex() for one in made)
    command = [cast(str, node()), str(READER)]
    answered = subprocess.run(command, input=lines.encode(), capture_output=True, timeout=600, check=True)
    theirs = answered.stdout.decode().split()
    pairs = ((ours(one), other, one) for one, other in zip(made, theirs, strict=True))
    wrong = [f"{mine} / {other}: {one.hex()}" for mine, other, one in pairs if mine != other]
    assert not wrong, f"{len(wrong)} of {len(made)} differ:\n" + "\n".join(wrong[:10])


def damaged(certificate: bytes, values: int, rng: random.Random) -> Iterator[bytes]:
    """Each byte changed to other values, the tags of texts to every one."""
    tags = {at + 5 for at in range(len(certificate)) if certificate[at : at + 3] == b"\x06\x03\x55"}
    for at, byte in enumerate(certificate):
        others = range(256) if at in tags and values > 1 else rng.sample(range(256), values)
        for value in others:
            if value != byte:
                yield certificate[:at] + bytes([value]) + certificate[at + 1 :]


@needs_node
def test_the_two_read_damaged_certificates_alike() -> None:
    intact = certificates()
    assert {ours(one) for one in intact} == {"Ok"}
    rng = random.Random(1)  # noqa: S311
    compare(intact + [made for one in intact for made in damaged(one, 1, rng)])


@needs_node
@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_two_read_many_damaged_certificates_alike() -> None:
    rng = random.Random(2)  # noqa: S311
    compare([made for one in certificates() for made in damaged(one, 24, rng)])
