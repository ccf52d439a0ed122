/** CRLs and OCSP responses that come with a token. */
import { signatureOf, publicKeyOf, verifies } from "./algorithms.js";
import { equal } from "./bytes.js";
import { digestOf } from "./algorithms.js";
import { readDer, TAG, walk } from "./der.js";
import { refuse } from "./errors.js";
import { extensionsOf, issued, parseCertificate } from "./x509.js";

const BAD = "RevocationMalformed";
const OCSP_BASIC = "1.3.6.1.5.5.7.48.1.1";
const OCSP_SIGNING = "1.3.6.1.5.5.7.3.9";
const REASON = "2.5.29.21";
const INVALIDITY = "2.5.29.24";
const KEY_COMPROMISE = 1;
const HARMLESS = [0, 3, 4, 5]; // unspecified, affiliationChanged, superseded, cessationOfOperation
const READ = [REASON, INVALIDITY, "2.5.29.35", "2.5.29.20"];

const invalid = (detail) => refuse("RevocationInvalid", detail);

function entryOf(date, extensions) {
  const reason = extensions.get(REASON);
  const invalidity = extensions.get(INVALIDITY);
  for (const [name, { critical }] of extensions) if (critical && !READ.includes(name)) invalid(`critical ${name}`);
  return {
    date, reason: reason ? Number(readDer(reason.value, BAD).enumerated()) : null,
    invalidity: invalidity ? readDer(invalidity.value, BAD).time().seconds : null,
  };
}

/** RFC 3161 §4: whether a revocation leaves a token of that time standing. */
function stands({ date, reason, invalidity }, time) {
  if (date <= time || reason === null) return false;
  return HARMLESS.includes(reason) || (reason === KEY_COMPROMISE && invalidity !== null && invalidity > time);
}

function checkCrl(outer, path, time) {
  const parts = walk(outer, TAG.SEQUENCE, "CRL");
  const tbs = parts.next("CRL");
  const algorithm = parts.next("algorithm");
  const signature = parts.next("signature").bits();
  parts.end();
  const all = walk(tbs, TAG.SEQUENCE, "CRL");
  all.maybe(TAG.INTEGER);
  if (!equal(all.next("algorithm").raw, algorithm.raw)) tbs.bad("two algorithms");
  const issuer = all.next("issuer").raw;
  all.next("thisUpdate").time();
  for (const tag of [TAG.UTC_TIME, TAG.TIME]) all.maybe(tag)?.time();
  const revoked = all.maybe(TAG.SEQUENCE)?.list() ?? [];
  const extensions = all.maybe(0xa0);
  all.end();
  if (extensions) {
    for (const [name, { critical }] of extensionsOf(extensions.only(undefined, "extensions"))) {
      if (critical) invalid(`critical extension ${name}`);
    }
  }
  const at = path.findIndex((one, i) => i + 1 < path.length && equal(one.issuer, issuer));
  if (at < 0) invalid("of no issuer of the path");
  const signer = path[at + 1];
  const scheme = signatureOf(algorithm);
  if (!verifies(publicKeyOf(signer.key), scheme, scheme.digest, tbs.raw, signature)) invalid("signature");
  if (signer.keyUsage && !signer.keyUsage.has(6)) invalid("issuer may not sign CRLs");
  for (const item of revoked) {
    const entry = walk(item, TAG.SEQUENCE, "revoked certificate");
    const serial = entry.next("serial").raw;
    const date = entry.next("date").time().seconds;
    const list = entry.maybe(TAG.SEQUENCE);
    entry.end();
    const about = path.find((one, i) => i + 1 < path.length && equal(one.issuer, issuer) && equal(one.serial, serial));
    if (about && !stands(entryOf(date, list ? extensionsOf(list) : new Map()), time)) refuse("TokenRevoked");
  }
}

/** Key bits of a certificate, which OCSP's issuer key hash is over. */
const keyBits = (certificate) => certificate.key.list(TAG.SEQUENCE, "key")[1].bits();

function checkOcsp(outer, path, time) {
  const [status, wrapped] = outer.list(TAG.SEQUENCE, "OCSP");
  if (status.enumerated() !== 0n || !wrapped) invalid("OCSP without an answer");
  const [type, octets] = wrapped.only(undefined, "OCSP").list(TAG.SEQUENCE, "OCSP");
  if (type.oid() !== OCSP_BASIC) outer.bad("OCSP of another type");
  const parts = walk(readDer(octets.octets("OCSP"), BAD), TAG.SEQUENCE, "OCSP");
  const data = parts.next("data");
  const algorithm = parts.next("algorithm");
  const signature = parts.next("signature").bits();
  const appointed = parts.maybe(0xa0)?.only(undefined, "certificates").list(TAG.SEQUENCE, "certificates") ?? [];
  parts.end();
  const all = walk(data, TAG.SEQUENCE, "OCSP");
  all.maybe(0xa0);
  all.next("responder");
  all.next("producedAt").time();
  const answers = all.next("answers").list(TAG.SEQUENCE, "answers");
  for (const answer of answers) {
    const one = walk(answer, TAG.SEQUENCE, "answer");
    const [hash, nameHash, keyHash, serial] = one.next("certificate").list(TAG.SEQUENCE, "certificate");
    if (!serial) answer.bad("certificate");
    const digest = digestOf(hash).hash;
    const at = path.findIndex((certificate, i) => i + 1 < path.length && equal(certificate.serial, serial.raw)
      && equal(digest(path[i + 1].subject), nameHash.octets("name")) && equal(digest(keyBits(path[i + 1])), keyHash.octets("key")));
    if (at < 0) invalid("about no certificate of the path");
    const issuer = path[at + 1];
    const candidates = [issuer, ...appointed.map((item) => parseCertificate(item.raw)).filter(
      (certificate) => certificate.usages?.includes(OCSP_SIGNING) && issued(certificate, issuer),
    )];
    const scheme = signatureOf(algorithm);
    if (!candidates.some(({ key }) => verifies(publicKeyOf(key), scheme, scheme.digest, data.raw, signature))) invalid("signature");
    const state = one.next("status");
    if (state.is(0xa1)) {
      const entry = walk(state, undefined, "revoked");
      const date = entry.next("date").time().seconds;
      const reason = entry.maybe(0xa0)?.only(undefined, "reason");
      if (!stands({ date, reason: reason ? Number(reason.enumerated()) : null, invalidity: null }, time)) refuse("TokenRevoked");
    } else if (!state.is(0x80)) {
      invalid("status unknown");
    }
  }
}

/** Every piece is signed by whom it must be and leaves the path standing at that time. */
export function checkRevocation(pieces, path, time) {
  for (const bytes of pieces) {
    const outer = readDer(bytes, BAD);
    const [first] = outer.list(TAG.SEQUENCE, "revocation data");
    if (!first) outer.bad("empty");
    if (first.is(TAG.ENUMERATED)) checkOcsp(outer, path, time);
    else checkCrl(outer, path, time);
  }
}
