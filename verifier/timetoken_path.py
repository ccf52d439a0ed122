"""From a time authority's certificate to a root that the trust file names, valid at genTime (RFC 5280 §6).

Names are compared byte for byte, which is stricter than the standard. What a certificate says critically and
this file does not know makes the path invalid.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from verifier.timetoken_cms import MAX_CERTIFICATE, MAX_CERTIFICATES
from verifier.timetoken_der import (
    BIT_STRING,
    BOOLEAN,
    INTEGER,
    OCTET_STRING,
    OID,
    SEQUENCE,
    Element,
    context,
    whole,
)
from verifier.timetoken_errors import (
    AuthorityNotTrusted,
    CertificateMalformed,
    DerMalformed,
    TokenAlgorithmUnknown,
    TokenAlgorithmWeak,
    TokenKeyUsage,
    TokenLimit,
    TokenPathExpired,
    TokenPathInvalid,
)

if TYPE_CHECKING:
    from cryptography import x509

MAX_PATH = 6
"""Certificates of a path, both ends counted."""
MAX_ATTEMPTS = 32
"""Signatures that the search for a path may verify."""
MIN_RSA_BITS = 2048
MIN_EC_BITS = 256
_STRONG = ("sha256", "sha384", "sha512")

BASIC_CONSTRAINTS, KEY_USAGE, EXTENDED_KEY_USAGE = "2.5.29.19", "2.5.29.15", "2.5.29.37"
NAME_CONSTRAINTS, ALTERNATIVE_NAME, CERTIFICATE_POLICIES = "2.5.29.30", "2.5.29.17", "2.5.29.32"
_KNOWN = {
    BASIC_CONSTRAINTS,
    KEY_USAGE,
    EXTENDED_KEY_USAGE,
    NAME_CONSTRAINTS,
    ALTERNATIVE_NAME,
    CERTIFICATE_POLICIES,
}
_EC_KEY = "1.2.840.10045.2.1"
TIME_STAMPING = "1.3.6.1.5.5.7.3.8"
ANY_USAGE = "2.5.29.37.0"
_DIRECTORY, _MAIL = context(4), 0x81
_MAIL_ATTRIBUTE = "1.2.840.113549.1.9.1"


Subtree = tuple[int, tuple[bytes, ...]]
"""Tag of a GeneralName, and the relative names of a directory name."""


@dataclass(frozen=True)
class Certificate:
    """A certificate, parsed twice: by the library for keys and dates, by us for what paths are made of.

    `issuer` and `subject` are encodings; `extensions` maps an identifier to (critical, encoding).
    """

    der: bytes
    x509: x509.Certificate
    serial: int
    issuer: bytes
    subject: bytes
    extensions: dict[str, tuple[bool, bytes]]

    @property
    def from_time(self) -> int:
        """First second of validity, UTC."""
        return int(self.x509.not_valid_before_utc.timestamp())

    @property
    def until_time(self) -> int:
        """Last second of validity, UTC."""
        return int(self.x509.not_valid_after_utc.timestamp())

    def extension(self, name: str) -> bytes | None:
        found = self.extensions.get(name)
        return None if found is None else found[1]

    def usages(self) -> tuple[str, ...] | None:
        """Extended key usages; None without the extension."""
        found = self.extension(EXTENDED_KEY_USAGE)
        return None if found is None else tuple(one.oid() for one in whole(found).members().rest(16))

    def key_usage(self) -> set[int] | None:
        """Numbers of the bits that are set (RFC 5280 §4.2.1.3); None without the extension."""
        found = self.extension(KEY_USAGE)
        if found is None:
            return None
        unused, *bits = whole(found).expect(BIT_STRING).value
        if not 1 <= len(bits) <= 2 or unused > 7 or bits[-1] & (2 << unused) - 1 != 1 << unused:
            raise CertificateMalformed("key usage")
        return {
            8 * byte + bit for byte, value in enumerate(bits) for bit in range(8) if value >> (7 - bit) & 1
        }

    def authority(self) -> tuple[bool, int | None]:
        """Whether it may issue certificates, and how many issuers may follow it (None: any number)."""
        found = self.extension(BASIC_CONSTRAINTS)
        if found is None:
            return False, None
        members = whole(found).members()
        flag = members.optional(BOOLEAN)
        length = members.optional(INTEGER)
        members.finish()
        return flag is not None and flag.boolean(), None if length is None else length.integer()

    def constraints(self) -> tuple[list[Subtree], list[Subtree]]:
        """Permitted and excluded names; both empty without the extension."""
        found = self.extension(NAME_CONSTRAINTS)
        if found is None:
            return [], []
        members = whole(found).members()
        permitted, excluded = (members.optional(context(number)) for number in (0, 1))
        members.finish()
        return (
            [] if permitted is None else list(_subtrees(permitted.members(context(0)).rest(64))),
            [] if excluded is None else list(_subtrees(excluded.members(context(1)).rest(64))),
        )


@lru_cache(maxsize=64)
def load(der: bytes) -> Certificate:
    """Parse one certificate.

    Raises:
        CertificateMalformed, TokenLimit
    """
    from cryptography import x509

    if len(der) > MAX_CERTIFICATE:
        raise TokenLimit(f"certificate of {len(der)} bytes, at most {MAX_CERTIFICATE}", field="certificates")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            parsed = x509.load_der_x509_certificate(der)
        outer = whole(der).members()
        members = outer.next(SEQUENCE).members()
        outer.next(SEQUENCE)
        # Nothing signs the number of unused bits, and the library does not look at it.
        outer.next().bits()
        outer.finish()
        members.next(context(0))
        serial = members.next(INTEGER).integer()
        members.next(SEQUENCE)
        issuer = members.next(SEQUENCE).raw
        members.next(SEQUENCE)
        subject = members.next(SEQUENCE).raw
        _check_point(members.next(SEQUENCE))
        found = members.optional(context(3))
        members.finish()
        extensions: dict[str, tuple[bool, bytes]] = {}
        if found is not None:
            wrapped = found.members(context(3))
            for extension in wrapped.next(SEQUENCE).members().rest(32):
                parts = extension.members()
                name = parts.next(OID).oid()
                critical = parts.optional(BOOLEAN)
                value = parts.next(OCTET_STRING).octets()
                parts.finish()
                if name in extensions:
                    raise CertificateMalformed(f"extension {name} occurs twice", field="certificates")
                extensions[name] = (critical is not None and critical.boolean(), value)
            wrapped.finish()
        certificate = Certificate(der, parsed, serial, issuer, subject, extensions)
        # What would fail later fails here, once.
        certificate.usages(), certificate.key_usage(), certificate.authority(), certificate.constraints()
        parsed.public_key()
        alternative_names(certificate)
    except CertificateMalformed:
        raise
    except Exception:  # the library has a dozen unrelated classes for a certificate that it cannot read
        raise CertificateMalformed("not a certificate", field="certificates") from None
    if not 0 < serial < 2**160:
        raise CertificateMalformed("serial number out of range", field="certificates")
    return certificate


def _check_point(key: Element) -> None:
    """A point of a curve is uncompressed or compressed (SEC 1 §2.3.3); the library reads hybrids too."""
    members = key.members()
    kind = members.next(SEQUENCE).members().next(OID).oid()
    point = members.next().bits()
    members.finish()
    if kind == _EC_KEY and point[:1] not in (b"\x02", b"\x03", b"\x04"):
        raise CertificateMalformed("form of a point", field="certificates")


def check_key(certificate: Certificate, kind: str | None = None) -> None:
    """The key is strong enough, and of this kind ("rsa", "ec") if one is given.

    Raises:
        TokenAlgorithmWeak, TokenAlgorithmUnknown
    """
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    key = certificate.x509.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        found, weak = "rsa", key.key_size < MIN_RSA_BITS
    elif isinstance(key, ec.EllipticCurvePublicKey):
        found, weak = "ec", key.key_size < MIN_EC_BITS
    elif isinstance(key, ed25519.Ed25519PublicKey):
        found, weak = "ed25519", False
    else:
        raise TokenAlgorithmUnknown("a key that this verifier does not know")
    if weak:
        raise TokenAlgorithmWeak(f"{found} key too short")
    if kind not in (None, found):
        raise TokenAlgorithmUnknown(f"{found} key for a {kind} signature")


def check_signature_algorithm(hash_name: str | None) -> None:
    """The digest of a certificate's or list's signature is one that still holds; None for Ed25519.

    Raises:
        TokenAlgorithmWeak, TokenAlgorithmUnknown
    """
    if hash_name in ("md2", "md5", "sha1"):
        raise TokenAlgorithmWeak(f"a signature over {hash_name}")
    if hash_name is not None and hash_name not in _STRONG:
        raise TokenAlgorithmUnknown(f"a signature over {hash_name}")


class _Search:
    """Walks from a certificate to a root; remembers why a step was not possible."""

    def __init__(self, given: Sequence[Certificate], roots: Sequence[Certificate]) -> None:
        self._given = given
        self._roots = roots
        self._attempts = 0
        self.forged = False

    def path(self, walked: tuple[Certificate, ...]) -> tuple[Certificate, ...] | None:
        """The walked certificates and those that lead on to a root."""
        last = walked[-1]
        for root in self._roots:
            if self._issued(last, root):
                return (*walked, root)
        if len(walked) + 2 > MAX_PATH:
            return None
        for issuer in self._given:
            if issuer not in walked and issuer not in self._roots and self._issued(last, issuer):
                found = self.path((*walked, issuer))
                if found is not None:
                    return found
        return None

    def _issued(self, child: Certificate, issuer: Certificate) -> bool:
        if child.issuer != issuer.subject:
            return False
        self._attempts += 1
        if self._attempts > MAX_ATTEMPTS:
            raise TokenLimit("too many ways to a root", field="certificates")
        if signed_by(child, issuer):
            return True
        self.forged = True
        return False


def signed_by(child: Certificate, issuer: Certificate) -> bool:
    """Whether the issuer's key made the signature of `child`.

    Raises:
        TokenAlgorithmWeak, TokenAlgorithmUnknown
    """
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

    try:
        digest = child.x509.signature_hash_algorithm
    except UnsupportedAlgorithm:
        raise TokenAlgorithmUnknown(child.x509.signature_algorithm_oid.dotted_string) from None
    check_signature_algorithm(None if digest is None else digest.name)
    try:
        child.x509.verify_directly_issued_by(issuer.x509)
    except (InvalidSignature, ValueError, TypeError, UnsupportedAlgorithm):
        return False
    return True


def find_path(
    signer: Certificate, given: Sequence[Certificate], roots: Sequence[Certificate]
) -> tuple[Certificate, ...]:
    """Signer, intermediates, root: each signed by the next.

    Raises:
        AuthorityNotTrusted: the path leads to no named root
        TokenPathInvalid: it leads to one by name, but a signature is wrong
        TokenAlgorithmWeak, TokenAlgorithmUnknown, TokenLimit
    """
    if len(given) > 2 * MAX_CERTIFICATES:
        raise TokenLimit("too many certificates", field="certificates")
    search = _Search(given, roots)
    found = search.path((signer,))
    if found is not None:
        return found
    if search.forged:
        raise TokenPathInvalid("a certificate is not signed by the issuer that it names")
    raise AuthorityNotTrusted("the path ends at no root that the trust file names")


def check_path(path: Sequence[Certificate], time: int) -> None:
    """The rules of a path whose signatures hold, at `time` (seconds UTC).

    Raises:
        TokenPathExpired, TokenPathInvalid, TokenKeyUsage, TokenAlgorithmWeak, TokenAlgorithmUnknown
    """
    issuers_below = 0
    for position, certificate in enumerate(path):
        if not certificate.from_time <= time <= certificate.until_time:
            raise TokenPathExpired(
                f"certificate {position} of the path holds {certificate.from_time}..{certificate.until_time}"
            )
        for name, (critical, _) in certificate.extensions.items():
            if critical and name not in _KNOWN:
                raise TokenPathInvalid(f"critical extension {name}")
        check_key(certificate)
        if position == 0:
            continue
        may_issue, length = certificate.authority()
        usage = certificate.key_usage()
        if not may_issue or (usage is not None and 5 not in usage):
            raise TokenPathInvalid(f"certificate {position} of the path may issue none")
        if length is not None and issuers_below > length:
            raise TokenPathInvalid(f"certificate {position} of the path allows {length} issuers below it")
        if certificate.issuer != certificate.subject:
            issuers_below += 1
        usages = certificate.usages()
        if position < len(path) - 1 and usages is not None and not {TIME_STAMPING, ANY_USAGE} & set(usages):
            raise TokenPathInvalid(f"certificate {position} of the path issues none for time stamps")
        _check_names(certificate, path[:position])
    check_signer_usage(path[0])


def check_signer_usage(signer: Certificate) -> None:
    """For time stamps alone, critically (RFC 3161 §2.3); keyUsage, if there, only for signatures.

    Raises:
        TokenKeyUsage
    """
    critical, _ = signer.extensions.get(EXTENDED_KEY_USAGE, (False, b""))
    if not critical or signer.usages() != (TIME_STAMPING,):
        raise TokenKeyUsage("the extended key usage is not critically time stamping alone")
    usage = signer.key_usage()
    if usage is not None and (not usage or not usage <= {0, 1}):
        raise TokenKeyUsage("the key is for more than signatures")


def _check_names(issuer: Certificate, below: Sequence[Certificate]) -> None:
    """Name constraints (RFC 5280 §4.2.1.10) on directory names; a constraint on a kind of name that we do not
    match is refused where such a name occurs.
    """
    allowed, barred = issuer.constraints()
    if not allowed and not barred:
        return
    try:
        for certificate in below:
            # A self-issued certificate is the issuer itself with a new key; the last one is never spared.
            if certificate is not below[0] and certificate.issuer == certificate.subject:
                continue
            for kind, name in _names(certificate):
                rules = [base for tag, base in allowed if tag == kind]
                if kind != _DIRECTORY and (rules or any(tag == kind for tag, _ in barred)):
                    raise TokenPathInvalid("a name constraint that this verifier does not match")
                if rules and not any(name[: len(base)] == base for base in rules):
                    raise TokenPathInvalid("a name outside of what its issuer may name")
                if any(name[: len(base)] == base for tag, base in barred if tag == kind):
                    raise TokenPathInvalid("a name that its issuer may not name")
    except DerMalformed:
        raise TokenPathInvalid("names malformed") from None


def _subtrees(found: Iterable[Element]) -> Iterable[Subtree]:
    for one in found:
        members = one.members()
        base = members.next()
        members.finish()  # minimum and maximum are never used (RFC 5280)
        yield base.tag, _rdns(base.value) if base.tag == _DIRECTORY else ()


def _rdns(name: bytes) -> tuple[bytes, ...]:
    """The relative names of a Name's encoding."""
    return tuple(one.raw for one in whole(name).members().rest(32))


def _names(certificate: Certificate) -> list[tuple[int, tuple[bytes, ...]]]:
    """Subject and alternative names as (tag of the GeneralName, relative names of a directory name)."""
    rdns = _rdns(certificate.subject)
    names: list[tuple[int, tuple[bytes, ...]]] = [(_DIRECTORY, rdns)] if rdns else []
    for rdn in rdns:
        for attribute in whole(rdn).members(0x31).rest(8):
            if attribute.members().next(OID).oid() == _MAIL_ATTRIBUTE:
                names.append((_MAIL, ()))
    for name in alternative_names(certificate):
        tag = name[0]
        names.append((tag, _rdns(whole(name).value) if tag == _DIRECTORY else ()))
    return names


def alternative_names(certificate: Certificate) -> tuple[bytes, ...]:
    """Encodings of the subject's alternative GeneralNames.

    Raises:
        DerMalformed
    """
    found = certificate.extension(ALTERNATIVE_NAME)
    return () if found is None else tuple(one.raw for one in whole(found).members().rest(32))
