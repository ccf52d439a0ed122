"""A time token taken apart: CMS SignedData (RFC 5652) around TSTInfo (RFC 3161 §2.4.2, RFC 5816).

Strict: one form, one signer, nothing that is not signed except the signature, its certificates and CRLs.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from verifier.timetoken_der import (
    BOOLEAN,
    GENERALIZED_TIME,
    INTEGER,
    MAX_MEMBERS,
    NULL,
    OCTET_STRING,
    OID,
    SEQUENCE,
    SET,
    Element,
    check_structure,
    context,
    element,
    encode,
    encode_oid,
    encode_set,
    generalized_time,
    integer,
    is_sorted,
    whole,
)
from verifier.timetoken_errors import (
    DerMalformed,
    TokenAlgorithmMismatch,
    TokenAlgorithmUnknown,
    TokenAlgorithmWeak,
    TokenAttributeMissing,
    TokenAttributeRepeated,
    TokenContentType,
    TokenLimit,
    TokenMalformed,
    TokenSignerCount,
    TokenSigningCertificateMissing,
    TokenSigningCertificateRepeated,
    TokenTrailingBytes,
    TokenVersion,
)

MAX_TOKEN = 16 * 1024
MAX_CERTIFICATES = 8
MAX_CERTIFICATE = 8 * 1024
MAX_REVOCATION = 32 * 1024
MAX_ATTRIBUTES = 16
MAX_NONCE_BITS = 256

SIGNED_DATA = "1.2.840.113549.1.7.2"
TST_INFO = "1.2.840.113549.1.9.16.1.4"
CONTENT_TYPE = "1.2.840.113549.1.9.3"
MESSAGE_DIGEST = "1.2.840.113549.1.9.4"
SIGNING_CERTIFICATE = "1.2.840.113549.1.9.16.2.12"
SIGNING_CERTIFICATE_V2 = "1.2.840.113549.1.9.16.2.47"
ALGORITHM_PROTECTION = "1.2.840.113549.1.9.52"

DIGESTS = {
    "2.16.840.1.101.3.4.2.1": "sha256",
    "2.16.840.1.101.3.4.2.2": "sha384",
    "2.16.840.1.101.3.4.2.3": "sha512",
    "1.2.156.10197.1.401": "sm3",
}
IMPRINTS = ("sha256", "sm3")
RENEWED_IMPRINTS = ("sha3-256",)
"""Of tokens over a hash renewal (docs/spec/hash-renewal.md); refused everywhere else."""
IMPRINT_OIDS = {
    **{name: oid for oid, name in DIGESTS.items() if name in IMPRINTS},
    "sha3-256": "2.16.840.1.101.3.4.2.8",
}
SIGNED_DIGESTS = ("sha256", "sha384", "sha512")
SIGNATURES: dict[str, tuple[str, str | None]] = {
    "1.2.840.113549.1.1.1": ("rsa", None),
    "1.2.840.113549.1.1.11": ("rsa", "sha256"),
    "1.2.840.113549.1.1.12": ("rsa", "sha384"),
    "1.2.840.113549.1.1.13": ("rsa", "sha512"),
    "1.2.840.10045.4.3.2": ("ec", "sha256"),
    "1.2.840.10045.4.3.3": ("ec", "sha384"),
    "1.2.840.10045.4.3.4": ("ec", "sha512"),
}
"""Algorithm → kind of key and its digest; None leaves the digest to the signer's digest algorithm."""
WEAK = {
    "1.2.840.113549.2.2": "MD2",
    "1.2.840.113549.2.5": "MD5",
    "1.3.14.3.2.26": "SHA-1",
    "1.2.840.113549.1.1.2": "MD2",
    "1.2.840.113549.1.1.4": "MD5",
    "1.2.840.113549.1.1.5": "SHA-1",
    "1.3.14.3.2.29": "SHA-1",
    "1.2.840.10045.4.1": "SHA-1",
    "1.2.840.10040.4.3": "SHA-1",
}
DIGEST_SIZES = {"sha256": 32, "sha384": 48, "sha512": 64, "sm3": 32, "sha3-256": 32}


@dataclass(frozen=True, slots=True)
class TstInfo:
    """What the authority states. `seconds` and `nanoseconds`: genTime; `tsa`: a GeneralName's encoding."""

    policy: str
    imprint_algorithm: str
    imprint: bytes
    serial: int
    seconds: int
    nanoseconds: int
    accuracy_us: int
    nonce: int | None
    tsa: bytes | None


@dataclass(frozen=True, slots=True)
class EssCertificate:
    """One ESSCertIDv2 (RFC 5035 §4). `issuer`: the one directory name's Name."""

    algorithm: str
    digest: bytes
    issuer: bytes | None
    serial: int | None


@dataclass(frozen=True, slots=True)
class Token:
    """A token's parts, not verified. `content` is TSTInfo's encoding, `signed` what the signature is over."""

    content: bytes
    info: TstInfo
    certificates: tuple[bytes, ...]
    crls: tuple[bytes, ...]
    issuer: bytes
    serial: int
    digest_algorithm: str
    message_digest: bytes
    ess: tuple[EssCertificate, ...]
    signed: bytes
    key_kind: str
    signature: bytes
    before: bytes
    after: bytes
    """The members of SignedData before and after the certificates, which nothing signs."""

    def with_certificates(self, certificates: Iterable[bytes]) -> bytes:
        """The same token with these certificates, in the order of a SET OF, and without lists."""
        body = self.before + encode_set(certificates, context(0)) + self.after
        return encode(SEQUENCE, encode_oid(SIGNED_DATA), encode(context(0), encode(SEQUENCE, body)))


def parse(data: bytes, imprints: Collection[str] = IMPRINTS) -> Token:
    """Take a token apart; `imprints`: names of the digests that may be stamped.

    Raises:
        TokenMalformed, TokenLimit, TokenTrailingBytes; refusals of rules 1 to 3 that need no certificate
    """
    if len(data) > MAX_TOKEN:
        raise TokenLimit(f"{len(data)} bytes, at most {MAX_TOKEN}", field="token")
    try:
        outer = element(data, 0, len(data))
        if outer.end != len(data):
            raise TokenTrailingBytes(f"{len(data) - outer.end} bytes", field="token")
        check_structure(outer)
        return _content_info(outer, imprints)
    except DerMalformed as error:
        raise TokenMalformed(error.detail, field="token") from None


def algorithm(found: Element, known: Collection[str]) -> str:
    """The identifier in an AlgorithmIdentifier, one of `known`, whose parameters are absent or NULL.

    Raises:
        TokenAlgorithmWeak, TokenAlgorithmUnknown, DerMalformed
    """
    members = found.members()
    name = members.next(OID).oid()
    if name in WEAK:
        raise TokenAlgorithmWeak(WEAK[name])
    if name not in known:
        raise TokenAlgorithmUnknown(name)
    parameters = members.optional(NULL)
    members.finish()
    if parameters is not None and parameters.value:
        raise DerMalformed("NULL with content")
    return name


def digest_name(found: Element) -> str:
    """The digest in an AlgorithmIdentifier."""
    return DIGESTS[algorithm(found, DIGESTS)]


def imprint_name(found: Element, imprints: Collection[str]) -> str:
    """The digest in the AlgorithmIdentifier of an imprint.

    Raises:
        TokenAlgorithmWeak, TokenAlgorithmUnknown: none of these
    """
    names = {IMPRINT_OIDS[name]: name for name in imprints}
    return names[algorithm(found, names)]


def _content_info(outer: Element, imprints: Collection[str]) -> Token:
    members = outer.members()
    kind = members.next(OID).oid()
    if kind != SIGNED_DATA:
        raise TokenContentType(f"content type {kind}")
    wrapped = members.next(context(0)).members(context(0))
    members.finish()
    signed_data = wrapped.next(SEQUENCE)
    wrapped.finish()
    body = signed_data.members()
    version = body.next(INTEGER).integer()
    if version != 3:
        raise TokenMalformed(f"SignedData version {version}, 3 is expected")
    digest_algorithms = body.next(SET).members(SET).rest(4)
    encapsulated = body.next(SEQUENCE)
    content = _encapsulated(encapsulated)
    certificates = _set(body.optional(context(0)), context(0))
    crls = _set(body.optional(context(1)), context(1))
    signer_infos = body.next(SET)
    signers = signer_infos.members(SET).rest(4)
    body.finish()
    if len(signers) != 1:
        raise TokenSignerCount(f"{len(signers)} signers")
    signer = _Signer(signers[0])
    if [digest_name(one) for one in digest_algorithms] != [signer.digest_algorithm]:
        raise TokenAlgorithmMismatch("the list of digest algorithms is not the signer's one")
    info = tst_info(content, imprints)
    check_limits(certificates, crls)
    return Token(
        content=content,
        info=info,
        certificates=certificates,
        crls=crls,
        issuer=signer.issuer,
        serial=signer.serial,
        digest_algorithm=signer.digest_algorithm,
        message_digest=signer.message_digest,
        ess=signer.ess,
        signed=signer.signed,
        key_kind=signer.key_kind,
        signature=signer.signature,
        before=outer.data[signed_data.body : encapsulated.end],
        after=signer_infos.raw,
    )


def _encapsulated(found: Element) -> bytes:
    members = found.members()
    kind = members.next(OID).oid()
    if kind != TST_INFO:
        raise TokenContentType(f"signed content of type {kind}")
    wrapped = members.next(context(0)).members(context(0))
    members.finish()
    content = wrapped.next(OCTET_STRING).octets()
    wrapped.finish()
    return content


def _set(found: Element | None, tag: int) -> tuple[bytes, ...]:
    """Encodings in an implicit SET OF sequences that signers do not sort; empty when absent."""
    if found is None:
        return ()
    members = found.members(tag).rest(MAX_MEMBERS)
    if not members:
        raise TokenMalformed("an empty set is left out")
    return tuple(one.expect(SEQUENCE).raw for one in members)


def check_limits(certificates: Sequence[bytes], revocation: Sequence[bytes]) -> None:
    """Number and size of what is in a token or beside it.

    Raises:
        TokenLimit
    """
    for name, listed, size in (
        ("certificates", certificates, MAX_CERTIFICATE), ("revocation", revocation, MAX_REVOCATION),
    ):  # fmt: skip
        if len(listed) > MAX_CERTIFICATES:
            raise TokenLimit(f"{len(listed)} {name}, at most {MAX_CERTIFICATES}", field=name)
        if any(len(one) > size for one in listed):
            raise TokenLimit(f"{name}: one of more than {size} bytes", field=name)


class _Signer:
    """SignerInfo (RFC 5652 §5.3)."""

    def __init__(self, found: Element) -> None:
        members = found.members()
        if members.next(INTEGER).integer() != 1:
            raise TokenMalformed("the signer is not named by issuer and serial number")
        name = members.next(SEQUENCE).members()
        self.issuer = name.next(SEQUENCE).raw
        self.serial = name.next(INTEGER).integer()
        name.finish()
        digest = members.next(SEQUENCE)
        self.digest_algorithm = digest_name(digest)
        if self.digest_algorithm not in SIGNED_DIGESTS:
            raise TokenAlgorithmUnknown(f"signed over {self.digest_algorithm}")
        attributes = members.optional(context(0))
        if attributes is None:
            raise TokenAttributeMissing("the token has no signed attributes")
        signature = members.next(SEQUENCE)
        self.signature = members.next(OCTET_STRING).octets()
        if not members.ended:
            raise TokenMalformed("unsigned attributes, or a member too many")
        self.key_kind = self._key_kind(algorithm(signature, SIGNATURES))
        # What is signed is the SET itself, not the tag that stands for it here (RFC 5652 §5.4).
        self.signed = bytes([SET]) + attributes.raw[1:]
        found_attributes = attributes.members(context(0)).rest(MAX_ATTRIBUTES)
        if not is_sorted(found_attributes):
            raise TokenMalformed("signed attributes out of order")
        self._attributes(found_attributes, digest, signature)

    def _key_kind(self, name: str) -> str:
        kind, digest = SIGNATURES[name]
        if digest not in (None, self.digest_algorithm):
            raise TokenAlgorithmMismatch("the signature names another digest than the signer does")
        return kind

    def _attributes(self, found: list[Element], digest: Element, signature: Element) -> None:
        values: dict[str, Element] = {}
        for attribute in found:
            members = attribute.members()
            kind = members.next(OID).oid()
            several = members.next(SET).members(SET).rest(4)
            members.finish()
            if kind == SIGNING_CERTIFICATE:
                raise TokenAlgorithmWeak("the first signing-certificate attribute rests on SHA-1")
            if kind in values or len(several) != 1:
                if kind == SIGNING_CERTIFICATE_V2:
                    raise TokenSigningCertificateRepeated()
                raise TokenAttributeRepeated(kind)
            values[kind] = several[0]
        if SIGNING_CERTIFICATE_V2 not in values:
            raise TokenSigningCertificateMissing()
        for kind in (CONTENT_TYPE, MESSAGE_DIGEST):
            if kind not in values:
                raise TokenAttributeMissing(kind)
        if values[CONTENT_TYPE].oid() != TST_INFO:
            raise TokenContentType("the signed content type is another one")
        self.message_digest = values[MESSAGE_DIGEST].octets()
        self.ess = _signing_certificates(values[SIGNING_CERTIFICATE_V2])
        if ALGORITHM_PROTECTION in values:
            _check_protection(values[ALGORITHM_PROTECTION], digest, signature)


def _check_protection(found: Element, digest: Element, signature: Element) -> None:
    """CMSAlgorithmProtection (RFC 6211): the signed copy of both algorithms."""
    members = found.members()
    signed_digest = members.next(SEQUENCE).raw
    signed_signature = members.next(context(1))
    members.finish()
    if signed_digest != digest.raw or signed_signature.value != signature.value:
        raise TokenAlgorithmMismatch("the protected algorithms are others")


def _signing_certificates(found: Element) -> tuple[EssCertificate, ...]:
    """SigningCertificateV2 (RFC 5035 §3)."""
    members = found.members()
    certificates = members.next(SEQUENCE).members().rest(MAX_CERTIFICATES)
    members.optional(SEQUENCE)
    members.finish()
    if not certificates:
        raise TokenSigningCertificateMissing("the attribute names no certificate")
    return tuple(map(_ess, certificates))


def _ess(found: Element) -> EssCertificate:
    members = found.members()
    named = members.optional(SEQUENCE)
    digest_algorithm = "sha256" if named is None else digest_name(named)
    digest = members.next(OCTET_STRING).octets()
    if len(digest) != DIGEST_SIZES[digest_algorithm]:
        raise TokenMalformed("certificate digest of another length")
    place = members.optional(SEQUENCE)
    members.finish()
    if place is None:
        return EssCertificate(digest_algorithm, digest, None, None)
    parts = place.members()
    names = parts.next(SEQUENCE).members().rest(4)
    serial = parts.next(INTEGER).integer()
    parts.finish()
    if len(names) != 1 or names[0].tag != context(4):
        raise TokenMalformed("the issuer is not one directory name")
    return EssCertificate(digest_algorithm, digest, names[0].value, serial)


def tst_info(content: bytes, imprints: Collection[str] = IMPRINTS) -> TstInfo:
    """TSTInfo.

    Raises:
        DerMalformed, TokenVersion, TokenAlgorithmWeak, TokenAlgorithmUnknown, TokenMalformed
    """
    outer = whole(content)
    check_structure(outer)
    members = outer.members()
    version = members.next(INTEGER).integer()
    if version != 1:
        raise TokenVersion(f"version {version}")
    policy = members.next(OID).oid()
    imprint = members.next(SEQUENCE).members()
    name = imprint_name(imprint.next(SEQUENCE), imprints)
    digest = imprint.next(OCTET_STRING).octets()
    imprint.finish()
    if len(digest) != DIGEST_SIZES[name]:
        raise TokenMalformed("imprint of another length")
    serial = members.next(INTEGER).integer()
    if serial < 0:
        raise TokenMalformed("serial number below 0")
    seconds, nanoseconds = generalized_time(members.next(GENERALIZED_TIME).value)
    accuracy = _accuracy(members.optional(SEQUENCE))
    if (ordering := members.optional(BOOLEAN)) is not None:
        ordering.boolean()
    found = members.optional(INTEGER)
    nonce = None if found is None else found.integer()
    if nonce is not None and nonce.bit_length() > MAX_NONCE_BITS:
        raise TokenLimit("nonce too long")
    if nonce is not None and nonce < 0:
        raise TokenMalformed("nonce below 0")
    tsa = members.optional(context(0))
    extensions = members.optional(context(1))
    members.finish()
    if extensions is not None:
        _check_extensions(extensions)
    if tsa is not None:
        whole(tsa.value)
    return TstInfo(
        policy, name, digest, serial, seconds, nanoseconds, accuracy, nonce, tsa.value if tsa else None
    )


def _accuracy(found: Element | None) -> int:
    """Microseconds, 0 when nothing is stated."""
    if found is None:
        return 0
    members = found.members()
    seconds = members.optional(INTEGER)
    millis = members.optional(context(0, constructed=False))
    micros = members.optional(context(1, constructed=False))
    members.finish()
    parts = [0 if seconds is None else seconds.integer()]
    for part in (millis, micros):
        value = 0 if part is None else integer(part.value)
        if part is not None and not 1 <= value <= 999:
            raise TokenMalformed("accuracy out of range")
        parts.append(value)
    if not 0 <= parts[0] < 2**31:
        raise TokenMalformed("accuracy out of range")
    return parts[0] * 1_000_000 + parts[1] * 1_000 + parts[2]


def _check_extensions(found: Element) -> None:
    """None that is critical: it could change what the token means."""
    extensions = found.members(context(1)).rest(MAX_ATTRIBUTES)
    if not extensions:
        raise TokenMalformed("an empty list of extensions is left out")
    for extension in extensions:
        members = extension.members()
        name = members.next(OID).oid()
        critical = members.optional(BOOLEAN)
        members.next(OCTET_STRING)
        members.finish()
        if critical is not None and critical.boolean():
            raise TokenMalformed(f"critical extension {name}")
