/** RFC 3161 time-stamp tokens: form, and the checks of docs/spec/attestation.md §5 in their order. */
import { digestBy, digestOf, imprintOf as imprintAlgorithm, signatureOf, publicKeyOf, verifies } from "./algorithms.js";
import { concat, equal, hex } from "./bytes.js";
import { readDer, readFirst, TAG, walk } from "./der.js";
import { refuse } from "./errors.js";
import { sha256 } from "./hashing.js";
import { checkRevocation } from "./revocation.js";
import { checkCritical, checkPath, findPath, parseCertificate, same, TIME_STAMPING } from "./x509.js";

const LIMIT = 16384;
const SIGNED_DATA = "1.2.840.113549.1.7.2";
const TST_INFO = "1.2.840.113549.1.9.16.1.4";
const ATTRIBUTE = {
  contentType: "1.2.840.113549.1.9.3", messageDigest: "1.2.840.113549.1.9.4", protection: "1.2.840.113549.1.9.52",
  first: "1.2.840.113549.1.9.16.2.12", second: "1.2.840.113549.1.9.16.2.47",
};
const BAD = "TokenMalformed";
const CERTIFICATES = 8;
/** Members of a list of attributes or extensions; of any other list. */
const [MANY, FEW] = [16, 4];

function certificatesOf(list, what, each) {
  if (list.length > CERTIFICATES || list.some((item) => item.length > each)) refuse("TokenLimit", what);
  return list;
}

function parseInfo(bytes, renewed) {
  const value = readDer(bytes, BAD).checkStructure();
  const all = walk(value, TAG.SEQUENCE, "TSTInfo");
  if (all.next("version").integer() !== 1n) refuse("TokenVersion", "TSTInfo");
  const policy = all.next("policy").oid();
  const stamped = walk(all.next("imprint"), TAG.SEQUENCE, "imprint");
  const imprint = { ...imprintAlgorithm(stamped.next("imprint"), renewed), value: stamped.next("imprint").octets("imprint") };
  stamped.end();
  if (imprint.value.length !== 32) value.bad("imprint");
  if (all.next("serial").integer() < 0n) value.bad("serial number below 0");
  const moment = all.next("genTime").expect(TAG.TIME, "genTime").time();
  const accuracy = all.maybe(TAG.SEQUENCE);
  if (accuracy) checkAccuracy(accuracy);
  const ordering = all.maybe(TAG.BOOLEAN);
  if (ordering && !ordering.boolean()) value.bad("default written");
  const nonce = all.maybe(TAG.INTEGER);
  if (nonce && (nonce.integer() < 0n ? -nonce.integer() : nonce.integer()) >> 256n) refuse("TokenLimit", "nonce");
  if (nonce && nonce.integer() < 0n) value.bad("nonce below 0");
  const tsa = all.maybe(0xa0);
  const extensions = all.maybe(0xa1);
  all.end();
  if (extensions) checkInfoExtensions(extensions);
  return {
    policy, imprint, time: moment.seconds + (moment.exact ? 0 : 1), tsa: tsa ? tsa.only(undefined, "tsa") : null,
  };
}

function checkAccuracy(value) {
  const all = walk(value, TAG.SEQUENCE, "accuracy");
  const seconds = all.maybe(TAG.INTEGER)?.integer() ?? 0n;
  const parts = [0x80, 0x81].map((tag) => all.maybe(tag)).filter((part) => part);
  all.end();
  if (seconds < 0n || seconds >> 31n) value.bad("accuracy out of range");
  for (const part of parts) {
    if (part.content.length > 2) value.bad("accuracy out of range");
    const number = readDer(concat(Uint8Array.of(TAG.INTEGER, part.content.length), part.content), BAD).integer();
    if (number < 1n || number > 999n) value.bad("accuracy out of range");
  }
}

/** The implicit [1] holds extensions without their sequence's tag. */
function checkInfoExtensions(value) {
  const extensions = value.list();
  if (!extensions.length || extensions.length > MANY) value.bad("extensions");
  for (const extension of extensions) {
    const parts = walk(extension, TAG.SEQUENCE, "extension");
    parts.next("extension").oid();
    const critical = parts.maybe(TAG.BOOLEAN)?.boolean();
    parts.next("extension").octets("extension");
    parts.end();
    if (critical !== undefined) value.bad("critical extension, or default written");
  }
}

/** Attribute values by type, and what every token's attributes must say; in the order of attestation.md §5. */
function parseAttributes(value, digest, scheme) {
  const out = new Map();
  const items = value.list();
  if (items.length > MANY) value.bad("too many signed attributes");
  items.forEach((item, at) => {
    if (at && compareSet(items[at - 1].raw, item.raw) >= 0) value.bad("signed attributes out of order");
  });
  for (const item of items) {
    const parts = walk(item, TAG.SEQUENCE, "attribute");
    const oid = parts.next("attribute").oid();
    const held = parts.next("attribute").list(TAG.SET, "attribute");
    if (held.length > FEW) item.bad("attribute");
    parts.end();
    if (oid === ATTRIBUTE.first) refuse("TokenAlgorithmWeak", "signing-certificate by SHA-1");
    if (out.has(oid) || held.length !== 1) {
      refuse(oid === ATTRIBUTE.second ? "TokenSigningCertificateRepeated" : "TokenAttributeRepeated", oid);
    }
    out.set(oid, held[0]);
  }
  const signing = out.get(ATTRIBUTE.second) ?? refuse("TokenSigningCertificateMissing");
  const contentType = out.get(ATTRIBUTE.contentType) ?? refuse("TokenAttributeMissing", "content-type");
  const messageDigest = out.get(ATTRIBUTE.messageDigest) ?? refuse("TokenAttributeMissing", "message-digest");
  if (contentType.oid() !== TST_INFO) refuse("TokenContentType", "attribute");
  const found = { messageDigest: messageDigest.octets("message-digest"), signing: parseSigningCertificate(signing) };
  if (out.has(ATTRIBUTE.protection)) checkProtection(out.get(ATTRIBUTE.protection), digest, scheme);
  return found;
}

/** CMSAlgorithmProtection (RFC 6211): the signed copy of both algorithms. */
function checkProtection(value, digest, scheme) {
  const parts = walk(value, TAG.SEQUENCE, "protection");
  const signedDigest = parts.next("protection").expect(TAG.SEQUENCE, "protection");
  const signedScheme = parts.next("protection").expect(0xa1, "protection");
  parts.end();
  if (!equal(signedDigest.raw, digest.raw) || !equal(signedScheme.content, scheme.content)) {
    refuse("TokenAlgorithmMismatch", "protected algorithms");
  }
}

function compareSet(a, b) {
  for (let i = 0; i < Math.max(a.length, b.length); i++) {
    const difference = (a[i] ?? 0) - (b[i] ?? 0);
    if (difference) return difference;
  }
  return 0;
}

function parseSigner(value) {
  const all = walk(value, TAG.SEQUENCE, "signer");
  if (all.next("version").integer() !== 1n) refuse("TokenMalformed", "signer");
  const named = walk(all.next("signer"), TAG.SEQUENCE, "issuer and serial");
  const issuer = named.next("issuer").expect(TAG.SEQUENCE, "issuer");
  const serial = named.next("serial");
  serial.integer("serial");
  named.end();
  const digestAlgorithm = all.next("digest algorithm");
  const digest = digestOf(digestAlgorithm);
  if (digest.name === "sm3") refuse("TokenAlgorithmUnknown", "SM3 signature");
  const attributes = all.maybe(0xa0) ?? refuse("TokenAttributeMissing", "no signed attributes");
  const signatureAlgorithm = all.next("signature algorithm").expect(TAG.SEQUENCE, "signature algorithm");
  const signature = all.next("signature").octets("signature");
  if (all.values.length !== all.at) value.bad("unsigned attributes");
  const scheme = signatureOf(signatureAlgorithm);
  if (scheme.key === "ed25519") refuse("TokenAlgorithmUnknown", "Ed25519");
  if (scheme.digest !== null && scheme.digest !== digest.name) refuse("TokenAlgorithmMismatch", "signature's digest");
  const signed = attributes.raw.slice();
  signed[0] = TAG.SET;
  const stated = parseAttributes(attributes, digestAlgorithm, signatureAlgorithm);
  return { issuer: issuer.raw, serial: serial.raw, digest, scheme, signature, signed, stated };
}

/** ESSCertIDv2 list: `{hash, digest, issuer, serial}`; issuer and serial null where not given. */
function parseSigningCertificate(value) {
  const all = walk(value, TAG.SEQUENCE, "signing certificate");
  const ids = all.next("signing certificate").list(TAG.SEQUENCE, "signing certificate");
  if (ids.length > CERTIFICATES) value.bad("signing certificate");
  all.maybe(TAG.SEQUENCE);
  all.end();
  if (!ids.length) refuse("TokenSigningCertificateMissing");
  return ids.map((item) => {
    const parts = walk(item, TAG.SEQUENCE, "ESSCertIDv2");
    const algorithm = parts.maybe(TAG.SEQUENCE);
    const hash = algorithm ? digestOf(algorithm).hash : sha256;
    const digest = parts.next("certificate hash").octets("certificate hash");
    if (digest.length !== hash(new Uint8Array()).length) item.bad("certificate hash");
    const issuerSerial = parts.maybe(TAG.SEQUENCE);
    parts.end();
    if (!issuerSerial) return { hash, digest, issuer: null, serial: null };
    const named = walk(issuerSerial, TAG.SEQUENCE, "issuer and serial");
    const names = named.next("issuer").list(TAG.SEQUENCE, "issuer");
    const serial = named.next("serial");
    serial.integer("serial");
    named.end();
    if (names.length !== 1 || !names[0].is(0xa4)) item.bad("issuer");
    return { hash, digest, issuer: names[0].content, serial: serial.raw };
  });
}

const isDigestOf = (id, certificate) => equal(id.hash(certificate.raw), id.digest);

/** Issuer and serial number of an ESSCertIDv2, where given, are the certificate's. */
const agrees = ({ issuer, serial }, certificate) =>
  !issuer || (equal(issuer, certificate.issuer) && equal(serial, certificate.serial));

/** The parts of a token; every refusal of rule 1 to 3 that needs no certificate. */
export function parseToken(bytes, renewed = false) {
  if (bytes.length > LIMIT) refuse("TokenLimit", "token");
  const outer = readFirst(bytes, BAD);
  if (outer.raw.length !== bytes.length) refuse("TokenTrailingBytes");
  outer.checkStructure();
  const top = walk(outer, TAG.SEQUENCE, "token");
  if (top.next("content type").oid() !== SIGNED_DATA) refuse("TokenContentType", "no signed data");
  const wrapped = top.next("content").expect(0xa0, "content");
  top.end();
  const signedData = wrapped.only(undefined, "content");
  const all = walk(signedData, TAG.SEQUENCE, "signed data");
  if (all.next("version").integer() !== 3n) refuse("TokenMalformed", "signed data");
  const digests = all.next("digest algorithms").list(TAG.SET, "digest algorithms");
  if (digests.length > FEW) signedData.bad("digest algorithms");
  const content = walk(all.next("content"), TAG.SEQUENCE, "content");
  if (content.next("content").oid() !== TST_INFO) refuse("TokenContentType", "no time-stamp information");
  const held = content.next("content").expect(0xa0, "content");
  content.end();
  const info = held.only(undefined, "content").octets("content");
  const certificates = setOf(all.maybe(0xa0));
  const revocation = setOf(all.maybe(0xa1));
  const signers = all.next("signers").list(TAG.SET, "signers");
  if (signers.length > FEW) signedData.bad("signers");
  all.end();
  if (signers.length !== 1) refuse("TokenSignerCount", String(signers.length));
  const signer = parseSigner(signers[0]);
  const listed = digests.map((one) => digestOf(one).name);
  if (listed.length !== 1 || listed[0] !== signer.digest.name) refuse("TokenAlgorithmMismatch", "digest algorithms");
  const parsed = parseInfo(info, renewed);
  certificatesOf(certificates, "certificates", 8192);
  certificatesOf(revocation, "revocation data", 32768);
  return { ...parsed, info, certificates, revocation, signer, ...signer.stated };
}

/** Encodings of an implicit SET OF sequences, which signers do not sort; one that is empty is left out. */
function setOf(value) {
  if (!value) return [];
  const items = value.list();
  if (!items.length) value.bad("empty set");
  return items.map((item) => item.expect(TAG.SEQUENCE, "member").raw);
}

function checkNamed({ tsa }, signer) {
  if (!tsa) return;
  const subject = tsa.is(0xa4) && equal(tsa.content, signer.subject);
  if (!subject && !signer.names.some((name) => equal(name.raw, tsa.raw))) refuse("TokenSignerName");
}

function checkUsage(signer) {
  const usage = signer.extensions.get("extendedKeyUsage");
  if (!usage?.critical || signer.usages.length !== 1 || signer.usages[0] !== TIME_STAMPING) refuse("TokenKeyUsage", "not for time stamps alone");
  const { keyUsage } = signer;
  if (keyUsage && (!keyUsage.size || [...keyUsage].some((bit) => bit > 1))) refuse("TokenKeyUsage", "not for signatures alone");
}

/** SHA-384, SHA-512, or Ed25519, which names no digest. */
const isStrong = (digest) => ["sha384", "sha512", ""].includes(digest);

/**
 * Check a token as attestation.md §5 says. `imprintOf(name)` is the digest that it must be over; `renewed`: as hash-renewal.md §2 says.
 * Returns `{time, authority, imprint, signerUntil}`.
 */
export function checkToken(bytes, { certificates, revocation, imprintOf, authorities, at, notBefore, renewed = false }) {
  const token = parseToken(bytes, renewed);
  certificatesOf(certificates, "certificates", 8192);
  certificatesOf(revocation, "revocation data", 32768);
  if (!equal(token.imprint.value, imprintOf(token.imprint.name))) refuse("TokenImprintMismatch");
  const pool = [];
  for (const raw of [...token.certificates, ...certificates]) {
    const certificate = parseCertificate(raw);
    if (!pool.some((held) => same(held, certificate))) pool.push(certificate);
  }
  const { signer: info } = token;
  const candidates = pool.filter((one) => equal(one.issuer, info.issuer) && equal(one.serial, info.serial));
  if (!candidates.length) refuse("TokenSignerMissing");
  const signer = candidates.find((one) => isDigestOf(token.signing[0], one)) ?? refuse("TokenSigningCertificateMismatch");
  const roots = authorities.flatMap((authority) => authority.roots.map(parseCertificate));
  const path = findPath(signer, pool, roots);
  if (!agrees(token.signing[0], signer)) refuse("TokenSigningCertificateMismatch", "issuer or serial number");
  for (const id of token.signing.slice(1)) {
    if (!path.some((one) => isDigestOf(id, one) && agrees(id, one))) refuse("TokenSigningCertificateMismatch", "further");
  }
  if (!equal(digestBy(info.digest.name)(token.info), token.messageDigest)) refuse("TokenDigestMismatch");
  if (!verifies(publicKeyOf(signer.key), info.scheme, info.digest.name, info.signed, info.signature)) refuse("TokenSignatureInvalid");
  if (pool.some((one) => !path.some((held) => same(held, one)))) refuse("TokenCertificateUnused");
  checkPath(path, token.time);
  checkCritical(path);
  checkUsage(signer);
  checkNamed(token, signer);
  if (token.time > at) refuse("TokenInFuture");
  if (token.time < notBefore) refuse("TokenBeforeBlock");
  const authority = accepting(token, path.at(-1), authorities);
  checkRevocation([...token.revocation, ...revocation], path, token.time);
  if (renewed && ![info.digest.name, ...path.slice(0, -1).map((one) => signatureOf(one.algorithm).digest)].every(isStrong)) {
    refuse("TokenAlgorithmWeak", "signed over SHA-256");
  }
  return { time: token.time, authority: authority.name, imprint: token.imprint.name, signerUntil: signer.until };
}

/** The first authority of the root that accepts genTime and policy. */
function accepting(token, root, authorities) {
  const named = authorities.filter((authority) => authority.roots.some((raw) => hex(raw) === hex(root.raw)));
  let refusal = "TokenOutsideAuthorityWindow";
  for (const authority of named) {
    if (token.time < authority.from || (authority.until !== null && token.time > authority.until)) continue;
    if (!authority.policies.length || authority.policies.includes(token.policy)) return authority;
    refusal = "TokenPolicyNotAccepted";
  }
  return refuse(refusal);
}
