"""PAdES: what is signed validates, what is changed does not, and nothing half signed leaves."""

from __future__ import annotations

import asyncio
import io
import os
import stat
import time
from pathlib import Path
from typing import Any

import pytest
from asn1crypto import x509 as asn1_x509  # type: ignore[import-untyped]
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.ades.report import AdESPassed
from pyhanko.sign.validation import async_validate_pdf_signature
from pyhanko.sign.validation.ades import ades_lta_validation
from pyhanko.sign.validation.policy_decl import PdfSignatureValidationSpec, SignatureValidationSpec
from pyhanko_certvalidator import ValidationContext
from pyhanko_certvalidator.context import CertValidationPolicySpec
from pyhanko_certvalidator.policy_decl import REQUIRE_REVINFO, CertRevTrustPolicy
from pyhanko_certvalidator.registry import SimpleTrustManager

from evidence.certificate import development
from evidence.certificate.authority import asking
from evidence.certificate.development import Signer, make_signer
from evidence.certificate.errors import CertificateKeyUnusable, CertificateNotSigned
from evidence.certificate.signing import SigningKey, sign
from evidence.local_authority import LocalAuthority, make_identity

NAME = "某市金融纠纷一站式中心"
NOW = int(time.time())
PEM = serialization.Encoding.PEM


@pytest.fixture(scope="module")
def signer() -> Signer:
    return make_signer(NAME, NOW)


@pytest.fixture(scope="module")
def authority() -> LocalAuthority:
    return LocalAuthority(make_identity("TSA", NOW))


def key_of(signer: Signer) -> SigningKey:
    return SigningKey.parse(signer.key, signer.certificate, chain=signer.root)


def roots(signer: Signer, *more: bytes) -> list[Any]:
    root = x509.load_pem_x509_certificate(signer.root).public_bytes(serialization.Encoding.DER)
    return [asn1_x509.Certificate.load(one) for one in (root, *more)]


def checked(data: bytes, trusted: list[Any]) -> Any:
    signature = PdfFileReader(io.BytesIO(data)).embedded_regular_signatures[0]
    context = ValidationContext(trust_roots=trusted, allow_fetching=False)
    return asyncio.run(async_validate_pdf_signature(signature, context))


@pytest.fixture(scope="module")
def signed(three_pdf: bytes, signer: Signer, authority: LocalAuthority) -> bytes:
    return sign(three_pdf, key_of(signer), authority.answer)


def test_the_signature_validates_with_its_time_stamp(
    signed: bytes, signer: Signer, authority: LocalAuthority
) -> None:
    status = checked(signed, roots(signer, authority.identity.root))
    assert status.bottom_line
    assert status.timestamp_validity.valid
    assert status.timestamp_validity.trusted
    assert status.signing_cert.subject.native["common_name"] == NAME
    field = PdfFileReader(io.BytesIO(signed)).embedded_regular_signatures[0]
    assert str(field.sig_object["/SubFilter"]) == "/ETSI.CAdES.detached"


def test_signing_only_adds(three_pdf: bytes, signed: bytes) -> None:
    assert signed.startswith(three_pdf)


def test_a_changed_byte_breaks_the_signature(
    three_pdf: bytes, signed: bytes, signer: Signer, authority: LocalAuthority
) -> None:
    at = three_pdf.index(b"/Title") + 12
    changed = signed[:at] + bytes([signed[at] ^ 1]) + signed[at + 1 :]
    assert not checked(changed, roots(signer, authority.identity.root)).bottom_line


def test_another_root_does_not_vouch_for_it(signed: bytes, authority: LocalAuthority) -> None:
    other = make_signer(NAME, NOW)
    assert not checked(signed, roots(other, authority.identity.root)).bottom_line


def test_with_revocation_lists_it_lasts(three_pdf: bytes, signer: Signer, authority: LocalAuthority) -> None:
    key = SigningKey.parse(
        signer.key, signer.certificate, chain=signer.root, roots=[signer.root, authority.identity.root],
        revoked=[signer.revoked, authority.revocation_list()],
    )  # fmt: skip
    data = sign(three_pdf, key, authority.answer)
    reader = PdfFileReader(io.BytesIO(data))
    assert "/DSS" in reader.root
    assert [str(one.sig_object["/SubFilter"]) for one in reader.embedded_signatures][-1] == "/ETSI.RFC3161"
    trusted = SimpleTrustManager.build(trust_roots=roots(signer, authority.identity.root))
    policy = CertValidationPolicySpec(
        trust_manager=trusted, revinfo_policy=CertRevTrustPolicy(revocation_checking_policy=REQUIRE_REVINFO)
    )
    result = asyncio.run(
        ades_lta_validation(
            reader.embedded_regular_signatures[0], PdfSignatureValidationSpec(SignatureValidationSpec(policy))
        )
    )
    assert result.ades_subindic is AdESPassed.OK
    assert result.best_signature_time is not None


def test_no_signature_without_a_time(three_pdf: bytes, signer: Signer) -> None:
    def silent(_: bytes) -> bytes:
        raise CertificateNotSigned("down")

    with pytest.raises(CertificateNotSigned):
        sign(three_pdf, key_of(signer), silent)
    with pytest.raises(CertificateNotSigned):
        sign(three_pdf, key_of(signer), lambda _: b"\x30\x00")


def test_a_key_of_another_certificate_is_refused(signer: Signer) -> None:
    other = make_signer("other", NOW)
    with pytest.raises(CertificateKeyUnusable):
        SigningKey.parse(other.key, signer.certificate)


def test_an_error_never_shows_the_key(signer: Signer) -> None:
    broken = signer.key.replace(b"PRIVATE KEY-----\n", b"PRIVATE KEY-----\nAAAA", 1)
    with pytest.raises(CertificateKeyUnusable) as refused:
        SigningKey.parse(broken, signer.certificate)
    assert signer.key.splitlines()[1][:16].decode() not in f"{refused.value.detail}{refused.value}"
    assert refused.value.__cause__ is None


def _pem(key: Any, password: bytes | None = None) -> bytes:
    how = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return bytes(key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, how))


def test_weak_and_other_kinds_of_keys_are_refused(signer: Signer) -> None:
    for key in (ed25519.Ed25519PrivateKey.generate(), rsa.generate_private_key(65537, 1024)):  # noqa: S505
        with pytest.raises(CertificateKeyUnusable):
            SigningKey.parse(_pem(key), signer.certificate)


def test_a_password_opens_the_key(signer: Signer) -> None:
    key = serialization.load_pem_private_key(signer.key, None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    locked = _pem(key, b"correct")
    assert SigningKey.parse(locked, signer.certificate, password=b"correct").name == NAME
    for wrong in (b"wrong", None):
        with pytest.raises(CertificateKeyUnusable):
            SigningKey.parse(locked, signer.certificate, password=wrong)


def test_revocation_lists_need_roots(signer: Signer) -> None:
    with pytest.raises(CertificateKeyUnusable):
        SigningKey.parse(signer.key, signer.certificate, revoked=[signer.revoked])


def test_a_folder_that_is_no_authority_makes_none(tmp_path: Path) -> None:
    with pytest.raises(CertificateNotSigned):
        asking(str(tmp_path / "typo"))
    assert list(tmp_path.iterdir()) == []


def test_a_silent_url_is_an_error(three_pdf: bytes, signer: Signer) -> None:
    with pytest.raises(CertificateNotSigned):
        sign(three_pdf, key_of(signer), asking("http://127.0.0.1:9/"))


def test_the_key_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    development.save(make_signer(NAME, NOW), tmp_path / "new")
    mode = os.stat(tmp_path / "new" / development.KEY_FILE).st_mode
    assert stat.S_IMODE(mode) == 0o600
    with pytest.raises(FileExistsError):
        development.save(make_signer(NAME, NOW), tmp_path / "new")
