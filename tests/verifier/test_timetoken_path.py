"""Paths to a named root: what an issuer may not issue, names it may not give, keys that are too weak."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from protocol.errors import CaseledgerError
from tests.support.time_tokens import DER, NOW
from verifier import timetoken_errors as errors
from verifier.timetoken_path import Certificate, check_path, find_path, load

STAMPING = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING])
CA = x509.BasicConstraints(ca=True, path_length=None)
KEYS = [ec.generate_private_key(ec.SECP256R1()) for _ in range(4)]


def name(*values: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, one) for one in values])


@dataclass
class Step:
    """One certificate. `extensions`: critical ones."""

    subject: x509.Name
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
    extensions: Sequence[x509.ExtensionType] = ()
    plain: Sequence[x509.ExtensionType] = field(default_factory=tuple)
    days: int = 99


def issue(*steps: Step) -> tuple[Certificate, ...]:
    """Root first in the arguments, signer first in the answer; each issues the next."""
    made: list[Certificate] = []
    issuer = steps[0]
    begin = datetime.fromtimestamp(NOW, UTC) - timedelta(hours=1)
    for step in steps:
        builder = (
            x509.CertificateBuilder()
            .subject_name(step.subject)
            .issuer_name(issuer.subject)
            .public_key(step.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(begin)
            .not_valid_after(begin + timedelta(days=step.days))
        )
        for extension in step.extensions:
            builder = builder.add_extension(extension, critical=True)
        for extension in step.plain:
            builder = builder.add_extension(extension, critical=False)
        made.append(load(builder.sign(issuer.key, hashes.SHA256()).public_bytes(DER)))
        issuer = step
    return tuple(reversed(made))


def root(*more: x509.ExtensionType) -> Step:
    return Step(name("root"), KEYS[0], (CA, *more))


def signer(*more: x509.ExtensionType, subject: x509.Name | None = None) -> Step:
    return Step(subject or name("land", "signer"), KEYS[2], (STAMPING, *more))


def directory(*values: str) -> x509.DirectoryName:
    return x509.DirectoryName(name(*values))


def accepted(*steps: Step) -> None:
    path = issue(*steps)
    found = find_path(path[0], path[:-1][::-1], path[-1:])
    assert found == path
    check_path(found, NOW)


def refused(code: type[CaseledgerError], *steps: Step) -> None:
    path = issue(*steps)
    with pytest.raises(code):
        check_path(find_path(path[0], path[:-1], path[-1:]), NOW)


def test_paths_that_hold() -> None:
    middle = Step(name("middle"), KEYS[1], (CA,))
    accepted(root(), signer())
    accepted(root(), middle, signer())
    accepted(root(), middle, Step(name("lower"), KEYS[3], (CA,), (STAMPING,)), signer())


def test_an_issuer_for_other_purposes() -> None:
    mail = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
    refused(errors.TokenPathInvalid, root(), Step(name("m"), KEYS[1], (CA,), (mail,)), signer())
    anything = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE])
    accepted(root(), Step(name("m"), KEYS[1], (CA,), (anything,)), signer())
    signs = x509.KeyUsage(
        digital_signature=True, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=False, crl_sign=True, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    refused(errors.TokenPathInvalid, root(), Step(name("m"), KEYS[1], (CA, signs)), signer())


def test_path_length_counts_the_issuers_below() -> None:
    limited = x509.BasicConstraints(ca=True, path_length=1)
    first, second = Step(name("1"), KEYS[1], (CA,)), Step(name("2"), KEYS[3], (CA,))
    top = Step(name("root"), KEYS[0], (limited,))
    accepted(top, first, signer())
    refused(errors.TokenPathInvalid, top, first, second, signer())


def test_a_root_or_issuer_that_has_ended() -> None:
    ended = Step(name("root"), KEYS[0], (CA,), days=1)
    path = issue(ended, signer())
    check_path(path, NOW)
    with pytest.raises(errors.TokenPathExpired):
        check_path(path, NOW + 2 * 86400)


def test_names_that_an_issuer_may_not_give() -> None:
    only = x509.NameConstraints(permitted_subtrees=[directory("land")], excluded_subtrees=None)
    without = x509.NameConstraints(permitted_subtrees=None, excluded_subtrees=[directory("land", "court")])
    accepted(root(only), signer())
    refused(errors.TokenPathInvalid, root(only), signer(subject=name("sea", "signer")))
    accepted(root(without), signer())
    refused(errors.TokenPathInvalid, root(without), signer(subject=name("land", "court", "signer")))
    alternative = x509.SubjectAlternativeName([directory("sea")])
    refused(errors.TokenPathInvalid, root(only), signer(alternative))
    middle = Step(name("land", "middle"), KEYS[1], (CA, only))
    refused(errors.TokenPathInvalid, root(), middle, signer(subject=name("sea")))


def test_constraints_on_names_that_are_not_matched_here() -> None:
    hosts = x509.NameConstraints(permitted_subtrees=[x509.DNSName("example.org")], excluded_subtrees=None)
    accepted(root(hosts), signer())
    refused(
        errors.TokenPathInvalid,
        root(hosts),
        signer(x509.SubjectAlternativeName([x509.DNSName("example.org")])),
    )
    mail = x509.NameConstraints(permitted_subtrees=None, excluded_subtrees=[x509.RFC822Name("example.org")])
    address = x509.Name([x509.NameAttribute(NameOID.EMAIL_ADDRESS, "tsa@example.org")])
    refused(errors.TokenPathInvalid, root(mail), signer(subject=address))
    networks = x509.NameConstraints([x509.IPAddress(ip_network("10.0.0.0/8"))], None)
    accepted(root(networks), signer())


def test_keys_that_are_too_weak() -> None:
    weak = Step(name("land", "signer"), rsa.generate_private_key(65537, 1024), (STAMPING,))  # noqa: S505
    refused(errors.TokenAlgorithmWeak, root(), weak)
    short = Step(name("land", "signer"), ec.generate_private_key(ec.SECP192R1()), (STAMPING,))
    refused(errors.TokenAlgorithmWeak, root(), short)


def test_issuers_that_issue_each_other_end() -> None:
    a, b = Step(name("a"), KEYS[0], (CA,)), Step(name("b"), KEYS[1], (CA,))
    _, b_by_a, _ = issue(a, b, Step(name("x"), KEYS[3]))[::-1]
    _, a_by_b, _ = issue(b, a, Step(name("x"), KEYS[3]))[::-1]
    leaf = issue(b, signer())[0]
    other = issue(Step(name("other"), KEYS[2], (CA,)))
    with pytest.raises(errors.AuthorityNotTrusted):
        find_path(leaf, (b_by_a, a_by_b, leaf), other)


def test_many_ways_to_a_root_are_not_walked_for_long() -> None:
    a, b = Step(name("a"), KEYS[0], (CA,)), Step(name("a"), KEYS[1], (CA,))
    crowd = [issue(a, b)[0] for _ in range(6)] + [issue(b, a)[0] for _ in range(6)]
    leaf = issue(b, signer())[0]
    with pytest.raises((errors.TokenLimit, errors.AuthorityNotTrusted, errors.TokenPathInvalid)):
        find_path(leaf, crowd, issue(Step(name("other"), KEYS[2], (CA,))))


def test_certificates_that_are_none() -> None:
    good = issue(root())[0].der
    for data in (b"", b"\x30\x00", good[:-1], good + b"\0", bytes(100)):
        with pytest.raises(errors.CertificateMalformed):
            load(data)
    with pytest.raises(errors.TokenLimit):
        load(bytes(10_000))
