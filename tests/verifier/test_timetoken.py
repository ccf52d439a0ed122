"""Each kind of bad time token is refused with its own code; a good one says what it proves."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given, settings
from hypothesis import strategies as st

from evidence.local_authority import POLICY, Identity, attribute, make_identity, seal, signing_certificate
from protocol.errors import CaseledgerError
from protocol.hashing import sha256
from tests.support.time_tokens import (
    DER,
    IMPRINTS,
    NOW,
    Recipe,
    authority,
    check,
    identity,
    intermediate,
    protection,
    reissue,
    revocation_list,
)
from verifier import timetoken_cms as cms
from verifier import timetoken_errors as errors
from verifier.timetoken import check_token
from verifier.timetoken_der import (
    OCTET_STRING,
    SEQUENCE,
    SET,
    context,
    encode,
    encode_integer,
    encode_oid,
    whole,
)

A = identity()
OTHER = identity("Authority B")
GOOD = Recipe(A)
TOKEN = GOOD.make()
"""One signature of it, the same for a whole run."""
SHA1 = encode(SEQUENCE, encode_oid("1.3.14.3.2.26"))


def refused(code: type[CaseledgerError], token: bytes, **how: object) -> None:
    with pytest.raises(code) as caught:
        check(token, **how)  # type: ignore[arg-type]
    assert type(caught.value) is code


@pytest.mark.parametrize("algorithm", ["sha256", "sm3"])
def test_a_good_token_says_what_it_proves(algorithm: str) -> None:
    found = check(replace(GOOD, algorithm=algorithm).make())
    assert (found.gen_time, found.authority, found.policy) == (NOW, "A", POLICY)
    assert (found.imprint_algorithm, found.nonce, found.accuracy_us) == (algorithm, 7, 1_000_000)
    end = int(x509.load_der_x509_certificate(A.signer).not_valid_after_utc.timestamp())
    assert found.signer_not_after == end
    assert not found.expired_at(end)
    found.check_current(end)
    with pytest.raises(errors.TimeTokenExpired):
        found.check_current(end + 1)


@pytest.mark.parametrize("nonce", [-1, -121])
def test_a_nonce_is_no_negative_number(nonce: int) -> None:
    """Before a second implementation is asked, which refuses it too."""
    refused(errors.TokenMalformed, replace(GOOD, nonce=nonce).make())


def test_the_certificate_may_travel_beside_the_token() -> None:
    token = replace(GOOD, certificates=()).make()
    assert check(token, certificates=[A.signer]).authority == "A"
    refused(errors.TokenSignerMissing, token)


def test_a_longer_path_is_walked_in_any_order() -> None:
    deep, middle = intermediate(A)
    trusted = [authority(deep, "deep")]
    assert check(replace(GOOD, of=deep).make(), trusted, certificates=[middle]).authority == "deep"
    assert check(replace(GOOD, of=deep, certificates=(middle, deep.signer, deep.root)).make(), trusted)
    refused(errors.AuthorityNotTrusted, replace(GOOD, of=deep).make(), authorities=trusted)


def test_an_issuer_that_may_not_issue_is_refused() -> None:
    for made, middle in (intermediate(A, ca=False), intermediate(A, path_length=0)):
        refused(
            errors.TokenPathInvalid,
            replace(GOOD, of=made).make(),
            authorities=[authority(made)],
            certificates=[middle],
        )


def test_a_certificate_that_nobody_needs_is_refused() -> None:
    refused(errors.TokenCertificateUnused, GOOD.make(), certificates=[OTHER.signer])
    refused(errors.TokenCertificateUnused, replace(GOOD, certificates=(A.signer, OTHER.signer)).make())


def test_another_authority_counts_for_nothing() -> None:
    refused(errors.AuthorityNotTrusted, replace(GOOD, of=OTHER).make())
    refused(errors.AuthorityNotTrusted, GOOD.make(), authorities=[])


def test_an_authority_of_the_same_name_is_a_forgery() -> None:
    twin = make_identity("Authority A", NOW)
    refused(errors.TokenPathInvalid, replace(GOOD, of=twin).make())


def test_expired_leaf() -> None:
    short = reissue(A, days=10)
    token = replace(GOOD, of=short, time=NOW + 20 * 86400).make()
    refused(errors.TokenPathExpired, token, at=NOW + 30 * 86400)
    before = replace(GOOD, time=NOW - 2 * 3600).make()
    refused(errors.TokenPathExpired, before)


def test_a_leaf_that_ended_after_genTime_is_judged_by_the_caller() -> None:
    short = reissue(A, days=10)
    found = check(replace(GOOD, of=short).make(), at=NOW + 30 * 86400)
    assert found.expired_at(NOW + 30 * 86400)


KEY_USAGE = {
    "content_commitment": False, "data_encipherment": False, "key_agreement": False, "key_cert_sign": False,
    "crl_sign": False, "encipher_only": False, "decipher_only": False,
}  # fmt: skip


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: reissue(A, critical=False),
        lambda: reissue(A, usages=(ExtendedKeyUsageOID.TIME_STAMPING, ExtendedKeyUsageOID.CODE_SIGNING)),
        lambda: reissue(A, usages=(ExtendedKeyUsageOID.CODE_SIGNING,)),
        lambda: reissue(A, usages=()),
        lambda: reissue(
            A, key_usage=x509.KeyUsage(digital_signature=True, key_encipherment=True, **KEY_USAGE)
        ),
    ],
    ids=["not critical", "two usages", "another usage", "no usage", "key for more than signatures"],
)
def test_wrong_usage(wrong: Callable[[], Identity]) -> None:
    refused(errors.TokenKeyUsage, replace(GOOD, of=wrong()).make())


def test_a_critical_extension_that_we_do_not_know() -> None:
    odd = reissue(A, extra=x509.UnrecognizedExtension(x509.ObjectIdentifier("2.999.1"), b"\x05\x00"))
    refused(errors.TokenPathInvalid, replace(GOOD, of=odd).make())


def test_wrong_imprint() -> None:
    refused(errors.TokenImprintMismatch, replace(GOOD, imprint=sha256(b"other")).make())


def test_an_imprint_that_the_caller_does_not_expect() -> None:
    def only_sm3(name: str) -> bytes:
        if name != "sm3":
            raise errors.TokenAlgorithmMismatch(name)
        return IMPRINTS[name]

    with pytest.raises(errors.TokenAlgorithmMismatch):
        check_token(
            GOOD.make(), (), (), imprint_of=only_sm3, authorities=[authority(A)], at=NOW, not_before=0
        )


def test_broken_signature() -> None:
    token = GOOD.make()
    for end in (1, 20, 40):
        broken = bytearray(token)
        broken[-end] ^= 1
        refused(errors.TokenSignatureInvalid, bytes(broken))


def test_a_signature_by_another_key_of_the_same_authority() -> None:
    stranger = ec.generate_private_key(ec.SECP256R1())
    refused(errors.TokenSignatureInvalid, replace(GOOD, of=replace(A, signer_key=stranger)).make())


def test_swapped_certificate() -> None:
    """The same key under a second certificate of the same authority, also with the same serial number."""
    serial = x509.load_der_x509_certificate(A.signer).serial_number
    twin = reissue(A, serial=serial)
    refused(errors.TokenSigningCertificateMismatch, replace(GOOD, of=twin, named=A.signer).make())
    refused(errors.TokenSigningCertificateMismatch, replace(GOOD, certificates=(twin.signer,)).make())
    other = reissue(A)
    refused(errors.TokenSigningCertificateMismatch, replace(GOOD, named=other.signer).make())


def without(kind: str) -> Callable[[list[bytes]], list[bytes]]:
    return lambda attributes: [one for one in attributes if encode_oid(kind) not in one]


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (cms.SIGNING_CERTIFICATE_V2, errors.TokenSigningCertificateMissing),
        (cms.CONTENT_TYPE, errors.TokenAttributeMissing),
        (cms.MESSAGE_DIGEST, errors.TokenAttributeMissing),
    ],
)
def test_a_missing_attribute(kind: str, code: type[CaseledgerError]) -> None:
    refused(code, replace(GOOD, attributes=without(kind)).make())


def test_a_second_signing_certificate_attribute() -> None:
    value = signing_certificate(A.signer)
    other = signing_certificate(OTHER.signer)

    def twice(attributes: list[bytes]) -> list[bytes]:
        return [*attributes, attribute(cms.SIGNING_CERTIFICATE_V2, other)]

    def double(attributes: list[bytes]) -> list[bytes]:
        return [
            *without(cms.SIGNING_CERTIFICATE_V2)(attributes),
            attribute(cms.SIGNING_CERTIFICATE_V2, value, other),
        ]

    for spoilt in (twice, double):
        refused(errors.TokenSigningCertificateRepeated, replace(GOOD, attributes=spoilt).make())


def test_a_digest_attribute_twice() -> None:
    def twice(attributes: list[bytes]) -> list[bytes]:
        return [*attributes, attribute(cms.MESSAGE_DIGEST, encode(OCTET_STRING, bytes(32)))]

    refused(errors.TokenAttributeRepeated, replace(GOOD, attributes=twice).make())


def test_another_digest_of_the_content() -> None:
    def other(attributes: list[bytes]) -> list[bytes]:
        kept = without(cms.MESSAGE_DIGEST)(attributes)
        return [*kept, attribute(cms.MESSAGE_DIGEST, encode(OCTET_STRING, bytes(32)))]

    refused(errors.TokenDigestMismatch, replace(GOOD, attributes=other).make())


def test_sha1_in_the_signing_certificate_attribute() -> None:
    first = encode(SEQUENCE, encode(SEQUENCE, encode(SEQUENCE, encode(OCTET_STRING, bytes(20)))))

    def old(attributes: list[bytes]) -> list[bytes]:
        kept = without(cms.SIGNING_CERTIFICATE_V2)(attributes)
        return [*kept, attribute(cms.SIGNING_CERTIFICATE, first)]

    refused(errors.TokenAlgorithmWeak, replace(GOOD, attributes=old).make())

    def named(attributes: list[bytes]) -> list[bytes]:
        ess = encode(SEQUENCE, SHA1, encode(OCTET_STRING, bytes(20)))
        kept = without(cms.SIGNING_CERTIFICATE_V2)(attributes)
        return [*kept, attribute(cms.SIGNING_CERTIFICATE_V2, encode(SEQUENCE, encode(SEQUENCE, ess)))]

    refused(errors.TokenAlgorithmWeak, replace(GOOD, attributes=named).make())


def test_sha1_as_imprint_digest_or_signature() -> None:
    sha256_name = encode(SEQUENCE, encode_oid("2.16.840.1.101.3.4.2.1"))

    def weak_imprint(content: bytes) -> bytes:
        imprint = encode(SEQUENCE, sha256_name, encode(OCTET_STRING, IMPRINTS["sha256"]))
        return spliced(content, imprint, encode(SEQUENCE, SHA1, encode(OCTET_STRING, bytes(20))))

    refused(errors.TokenAlgorithmWeak, replace(GOOD, content=weak_imprint).make())
    token = parts(GOOD.make())
    refused(errors.TokenAlgorithmWeak, token(signer_digest=SHA1))
    refused(errors.TokenAlgorithmWeak, token(digests=encode(SET, SHA1)))
    refused(
        errors.TokenAlgorithmWeak,
        token(signature_algorithm=encode(SEQUENCE, encode_oid("1.2.840.10045.4.1"))),
    )


def spliced(content: bytes, old: bytes, new: bytes) -> bytes:
    """TSTInfo with a member replaced."""
    assert old in content
    body = content[2:] if content[1] < 0x80 else content[3:]
    return encode(SEQUENCE, body.replace(old, new))


def test_sha1_in_a_certificate_of_the_path() -> None:
    """The library makes none any more; the name in a made one is changed."""
    refused(errors.TokenAlgorithmWeak, replace(GOOD, of=renamed_signature(A)).make())


def renamed_signature(of: Identity) -> Identity:
    strong, sha1 = encode_oid("1.2.840.10045.4.3.2"), encode_oid("1.2.840.10045.4.1")
    outer = whole(of.signer).members()
    tbs = outer.next(SEQUENCE)
    outer.next(SEQUENCE)
    signature = outer.next()
    body = encode(SEQUENCE, tbs.value.replace(encode(SEQUENCE, strong), encode(SEQUENCE, sha1)))
    return replace(of, signer=encode(SEQUENCE, body, encode(SEQUENCE, sha1), signature.raw))


def test_trailing_bytes() -> None:
    refused(errors.TokenTrailingBytes, GOOD.make() + b"\0")
    padded = seal(
        content_of(GOOD.make()) + b"\0",
        attributes_of(GOOD.make()),
        A,
        certificates=(A.signer,),
    )
    refused(errors.TokenMalformed, padded)


def content_of(token: bytes) -> bytes:
    return cms.parse(token).content


def attributes_of(token: bytes) -> list[bytes]:
    members = whole(cms.parse(token).signed).members(SET)
    return [one.raw for one in members.rest(16)]


@pytest.mark.parametrize("version", [0, 2])
def test_wrong_version(version: int) -> None:
    refused(errors.TokenVersion, replace(GOOD, version=version).make())


def test_future_genTime() -> None:
    token = replace(GOOD, time=NOW + 61).make()
    refused(errors.TokenInFuture, token)
    assert check(token, at=NOW + 61)


def test_older_than_the_batch() -> None:
    refused(errors.TokenBeforeBlock, GOOD.make(), not_before=NOW + 1)
    assert check(GOOD.make(), not_before=NOW)


def test_unrequested_policy() -> None:
    token = replace(GOOD, policy="2.999.7").make()
    refused(errors.TokenPolicyNotAccepted, token)
    assert check(token, [authority(A, policies=())]).policy == "2.999.7"


def test_outside_the_time_for_which_an_authority_is_trusted() -> None:
    for window in ((NOW + 1, None), (0, NOW - 1)):
        trusted = [authority(A, not_before=window[0], not_after=window[1])]
        refused(errors.TokenOutsideAuthorityWindow, GOOD.make(), authorities=trusted)
    assert check(GOOD.make(), [authority(A, not_before=NOW, not_after=NOW)])


def test_two_authorities_under_one_root_are_told_apart_by_policy() -> None:
    trusted = [authority(A, "one", policies=("2.999.7",)), authority(A, "two")]
    assert check(GOOD.make(), trusted).authority == "two"
    assert check(replace(GOOD, policy="2.999.7").make(), trusted).authority == "one"


# Revocation


HARMLESS = x509.ReasonFlags.superseded
STOLEN = x509.ReasonFlags.key_compromise


@pytest.mark.parametrize(
    ("when", "reason", "invalid_from"),
    [
        (NOW, HARMLESS, None),
        (NOW - 1, HARMLESS, None),
        (NOW + 30, STOLEN, None),
        (NOW + 30, STOLEN, NOW),
        (NOW + 30, None, None),
        (NOW + 30, x509.ReasonFlags.certificate_hold, None),
    ],
)
def test_revoked(when: int, reason: x509.ReasonFlags | None, invalid_from: int | None) -> None:
    listed = revocation_list(A, when=when, reason=reason, invalid_from=invalid_from)
    refused(errors.TokenRevoked, GOOD.make(), revocation=[listed])


@pytest.mark.parametrize(
    ("reason", "invalid_from"), [(HARMLESS, None), (x509.ReasonFlags.unspecified, None), (STOLEN, NOW + 1)]
)
def test_revoked_later_without_harm(reason: x509.ReasonFlags, invalid_from: int | None) -> None:
    listed = revocation_list(A, when=NOW + 30, reason=reason, invalid_from=invalid_from)
    assert check(GOOD.make(), revocation=[listed])


def test_a_list_that_revokes_another() -> None:
    assert check(GOOD.make(), revocation=[revocation_list(A, when=NOW, reason=None, serial=99)])


def test_a_list_by_another_key_or_authority() -> None:
    forged = revocation_list(A, when=NOW, reason=None, key=OTHER.root_key, serial=99)
    foreign = revocation_list(OTHER, when=NOW, reason=None)
    for data in (forged, foreign):
        refused(errors.RevocationInvalid, GOOD.make(), revocation=[data])
    refused(errors.RevocationMalformed, GOOD.make(), revocation=[b"\x30\x00"])


def ocsp_answer(status: ocsp.OCSPCertStatus, *, about: bytes = A.signer) -> bytes:
    moment = datetime.fromtimestamp(NOW + 30, UTC)
    revoked = status is ocsp.OCSPCertStatus.REVOKED
    root = x509.load_der_x509_certificate(A.root)
    answer = (
        ocsp.OCSPResponseBuilder()
        .add_response(
            cert=x509.load_der_x509_certificate(about),
            issuer=root,
            algorithm=hashes.SHA256(),
            cert_status=status,
            this_update=moment,
            next_update=moment + timedelta(days=1),
            revocation_time=moment - timedelta(days=1) if revoked else None,
            revocation_reason=STOLEN if revoked else None,
        )
        .responder_id(ocsp.OCSPResponderEncoding.NAME, root)
        .sign(A.root_key, hashes.SHA256())
    )
    return answer.public_bytes(DER)


def test_an_answer_of_the_issuers_responder() -> None:
    assert check(GOOD.make(), revocation=[ocsp_answer(ocsp.OCSPCertStatus.GOOD)])
    refused(errors.TokenRevoked, GOOD.make(), revocation=[ocsp_answer(ocsp.OCSPCertStatus.REVOKED)])
    refused(errors.RevocationInvalid, GOOD.make(), revocation=[ocsp_answer(ocsp.OCSPCertStatus.UNKNOWN)])
    forged = bytearray(ocsp_answer(ocsp.OCSPCertStatus.GOOD))
    forged[-1] ^= 1
    refused(errors.RevocationInvalid, GOOD.make(), revocation=[bytes(forged)])
    foreign = ocsp_answer(ocsp.OCSPCertStatus.GOOD, about=reissue(A).signer)
    refused(errors.RevocationInvalid, GOOD.make(), revocation=[foreign])


# Form


def parts(token: bytes) -> Callable[..., bytes]:
    """A token put together again with some of its parts replaced."""
    outer = whole(token).members()
    kind = outer.next().raw
    body = outer.next().members(context(0)).next().members()
    version, digests, content, certificates, signers = (body.next().raw for _ in range(5))
    signer = whole(signers).members(SET).next().members()
    number, sid, signer_digest, attributes, signature_algorithm, signature = (
        signer.next().raw for _ in range(6)
    )

    def build(**other: bytes) -> bytes:
        info = encode(
            SEQUENCE,
            other.get("number", number),
            other.get("sid", sid),
            other.get("signer_digest", signer_digest),
            other.get("attributes", attributes),
            other.get("signature_algorithm", signature_algorithm),
            other.get("signature", signature),
            other.get("unsigned", b""),
        )
        signed_data = encode(
            SEQUENCE,
            other.get("version", version),
            other.get("digests", digests),
            other.get("content", content),
            other.get("certificates", certificates),
            other.get("crls", b""),
            encode(SET, info, *[info] * ("twice" in other)),
        )
        return encode(SEQUENCE, other.get("kind", kind), encode(context(0), signed_data))

    assert build() == token
    return build


def _beside(more: bytes, found: list[bytes]) -> list[bytes]:
    return [*found, more]


def test_the_signed_copy_of_the_algorithms_is_theirs() -> None:
    """RFC 6211: without it, an attacker could name a weaker digest beside the same attributes."""
    made = replace(GOOD, attributes=partial(_beside, protection()))
    assert check(made.make()).gen_time == GOOD.time
    for other in (protection(digest="2.16.840.1.101.3.4.2.2"), protection(signature="1.2.840.10045.4.3.3")):
        made = replace(GOOD, attributes=partial(_beside, other))
        refused(errors.TokenAlgorithmMismatch, made.make())


def test_structure_is_refused_before_anything_is_read() -> None:
    """A broken value at the end is found before the wrong content type at the beginning."""
    token = parts(GOOD.make())
    data = encode_oid("1.2.840.113549.1.7.1")
    refused(errors.TokenMalformed, token(kind=data, certificates=b"\xa0\x02\x30\x05"))
    deep = b""
    for _ in range(40):
        deep = encode(SEQUENCE, deep)
    refused(errors.TokenMalformed, token(kind=data, certificates=encode(context(0), deep)))
    many = encode(context(0), *(encode(SEQUENCE, encode_integer(at)) for at in range(9)))
    refused(errors.TokenLimit, token(certificates=many))


def test_form() -> None:
    token = parts(GOOD.make())
    data = encode_oid("1.2.840.113549.1.7.1")
    for code, made in {
        errors.TokenSignerCount: token(twice=b""),
        errors.TokenContentType: token(kind=data),
        errors.TokenAlgorithmUnknown: token(signature_algorithm=encode(SEQUENCE, encode_oid("1.3.101.112"))),
        errors.TokenAlgorithmMismatch: token(
            signature_algorithm=encode(SEQUENCE, encode_oid("1.2.840.10045.4.3.3"))
        ),
        errors.TokenAttributeMissing: token(attributes=b""),
        errors.CertificateMalformed: token(certificates=encode(context(0), encode(SEQUENCE, b"\x05\x00"))),
        errors.TokenLimit: token(unsigned=encode(context(1), bytes(cms.MAX_TOKEN))),
    }.items():
        refused(code, made)
    for malformed in (
        token(version=encode_integer(1)),
        token(number=encode_integer(3)),
        token(unsigned=encode(context(1), b"")),
        token(certificates=encode(context(0))),
        token(content=b""),
    ):
        refused(errors.TokenMalformed, malformed)


def test_a_list_inside_the_token_counts() -> None:
    listed = revocation_list(A, when=NOW, reason=None)
    refused(errors.TokenRevoked, parts(GOOD.make())(crls=encode(context(1), listed)))


def test_no_bit_of_a_token_may_change() -> None:
    """A sample; the slow test below takes all of them."""
    rng = random.Random(3161)  # noqa: S311
    flipped(rng.sample(range(8 * len(TOKEN)), 600))


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ["sha256", "sm3"])
def test_no_bit_of_a_token_may_change_all(algorithm: str) -> None:
    token = replace(GOOD, algorithm=algorithm).make()
    flipped(range(8 * len(token)), token)


def flipped(bits: list[int] | range, token: bytes | None = None) -> None:
    token = token or TOKEN
    assert check(token)
    for bit in bits:
        changed = bytearray(token)
        changed[bit >> 3] ^= 1 << (bit & 7)
        with pytest.raises(CaseledgerError):
            check(bytes(changed))


def test_unused_bits_of_a_signature_are_refused() -> None:
    """Nothing signs their number: with a last bit of 0 it could be changed."""
    listed = revocation_list(A, when=NOW, reason=None, serial=99)
    answer = ocsp_answer(ocsp.OCSPCertStatus.GOOD)
    deep, middle = intermediate(A)
    for data in (listed, answer, middle):
        at = max(data.rfind(bytes([0x00, 0x30, length])) for length in range(0x42, 0x49))
        changed = data[:at] + b"\x01" + data[at + 1 : -1] + bytes([data[-1] & 0xFE])
        if data is middle:
            refused(
                errors.CertificateMalformed,
                replace(GOOD, of=deep).make(),
                authorities=[authority(deep)],
                certificates=[changed],
            )
        else:
            refused(errors.RevocationMalformed, TOKEN, revocation=[changed])


def test_no_bit_of_what_travels_beside_may_change() -> None:
    token = replace(GOOD, certificates=()).make()
    listed = revocation_list(A, when=NOW, reason=None, serial=99)
    assert check(token, certificates=[A.signer], revocation=[listed])
    rng = random.Random(5280)  # noqa: S311
    for _ in range(200):
        certificate, changed = bytearray(A.signer), bytearray(listed)
        bit = rng.randrange(8 * len(certificate))
        certificate[bit >> 3] ^= 1 << (bit & 7)
        with pytest.raises(CaseledgerError):
            check(token, certificates=[bytes(certificate)])
        bit = rng.randrange(8 * len(changed))
        changed[bit >> 3] ^= 1 << (bit & 7)
        with pytest.raises(CaseledgerError):
            check(token, certificates=[A.signer], revocation=[bytes(changed)])


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_the_parser_refuses_noise_by_name(data: bytes) -> None:
    with pytest.raises(CaseledgerError):
        check(data)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_the_parser_refuses_spliced_tokens_by_name(data: st.DataObject) -> None:
    token = TOKEN
    begin = data.draw(st.integers(0, len(token) - 1))
    end = data.draw(st.integers(begin + 1, len(token)))
    middle = data.draw(st.binary(max_size=40))
    if middle == token[begin:end]:
        return
    with pytest.raises(CaseledgerError):
        check(token[:begin] + middle + token[end:])


def test_nesting_costs_nothing() -> None:
    deep = b"\x05\x00"
    while len(deep) < cms.MAX_TOKEN - 8:
        deep = encode(SEQUENCE, deep)
    refused(errors.TokenMalformed, deep)
