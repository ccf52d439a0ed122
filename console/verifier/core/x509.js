/** Certificates, as far as the path of a time-stamping certificate needs them (docs/spec/attestation.md §5). */
import { equal, hex, toUint } from "./bytes.js";
import { algorithmOf, publicKeyOf, signatureOf, verifies } from "./algorithms.js";
import { readDer, TAG, walk } from "./der.js";
import { as, refuse } from "./errors.js";

const EXTENSIONS = {
  "2.5.29.19": "basicConstraints", "2.5.29.15": "keyUsage", "2.5.29.37": "extendedKeyUsage", "2.5.29.30": "nameConstraints",
  "2.5.29.17": "alternativeNames", "2.5.29.32": "policies",
};
export const TIME_STAMPING = "1.3.6.1.5.5.7.3.8";
const ANY_USAGE = "2.5.29.37.0";
const MAX_PATH = 6;
const PRINTABLE = /^[A-Za-z0-9 '()+,\-./:=?]*$/;

/** Extensions by name or OID: `{critical, value}`. */
export function extensionsOf(list) {
  const out = new Map();
  for (const item of list.list(TAG.SEQUENCE, "extensions")) {
    const parts = walk(item, TAG.SEQUENCE, "extension");
    const oid = parts.next("extension").oid();
    const flag = parts.maybe(TAG.BOOLEAN);
    const critical = flag ? flag.boolean() || item.bad("default written") : false;
    const value = parts.next("extension").octets("extension");
    parts.end();
    const name = EXTENSIONS[oid] ?? oid;
    if (out.has(name)) item.bad("extension twice");
    out.set(name, { critical, value });
  }
  return out;
}

function readExtensions(tbs, list, code) {
  const raw = list ? extensionsOf(list.only(undefined, "extensions")) : new Map();
  const value = (name) => raw.has(name) && readDer(raw.get(name).value, code);
  const out = { extensions: raw, ca: false, pathLength: null, keyUsage: null, usages: null, constraints: null, names: [] };
  if (value("basicConstraints")) {
    const parts = walk(value("basicConstraints"), TAG.SEQUENCE, "basicConstraints");
    const flag = parts.maybe(TAG.BOOLEAN);
    out.ca = flag ? flag.boolean() || tbs.bad("default written") : false;
    const length = parts.maybe(TAG.INTEGER);
    out.pathLength = length ? length.integer() : null;
    parts.end();
  }
  if (value("keyUsage")) out.keyUsage = value("keyUsage").flags();
  if (value("extendedKeyUsage")) {
    out.usages = value("extendedKeyUsage").list(TAG.SEQUENCE, "extendedKeyUsage").map((item) => item.oid());
  }
  if (value("alternativeNames")) out.names = value("alternativeNames").list(TAG.SEQUENCE, "names");
  if (value("nameConstraints")) out.constraints = constraintsOf(value("nameConstraints"));
  return out;
}

function constraintsOf(value) {
  const parts = walk(value, TAG.SEQUENCE, "nameConstraints");
  const subtrees = (list) => (list ? list.list().map(subtreeOf) : []);
  const out = { permitted: subtrees(parts.maybe(0xa0)), excluded: subtrees(parts.maybe(0xa1)) };
  parts.end();
  return out;
}

/** A GeneralName; minimum and maximum are never used (RFC 5280). */
function subtreeOf(value) {
  const base = value.only(TAG.SEQUENCE, "subtree");
  if (base.is(0xa4)) base.only(undefined, "name").list(TAG.SEQUENCE, "name");
  return base;
}

/** A Name: a sequence of sets of attribute pairs. */
function checkName(value) {
  for (const rdn of value.list(TAG.SEQUENCE, "name")) {
    const pairs = rdn.list(TAG.SET, "name");
    if (!pairs.length) rdn.bad("name");
    for (const pair of pairs) {
      const [type, text, ...more] = pair.list(TAG.SEQUENCE, "name");
      if (!text || more.length) pair.bad("name");
      type.oid();
      checkCharacters(text);
    }
  }
  return value;
}

/** A PrintableString holds its letters; UniversalString and BMPString whole characters, UTF-32 and UTF-16, most significant byte first. */
function checkCharacters(value) {
  if (value.tag === 0x13 && !PRINTABLE.test(String.fromCharCode(...value.content))) value.bad("text");
  const width = { 0x1c: 4, 0x1e: 2 }[value.tag];
  if (!width) return;
  if (value.content.length % width) value.bad("text");
  const units = [];
  for (let at = 0; at < value.content.length; at += width) units.push(Number(toUint(value.content.subarray(at, at + width))));
  const within = (unit, least, most) => unit >= least && unit <= most;
  units.forEach((unit, at) => {
    const pair = width === 2
      && (within(unit, 0xd800, 0xdbff) ? within(units[at + 1], 0xdc00, 0xdfff) : within(units[at - 1], 0xd800, 0xdbff));
    if (unit > 0x10ffff || (within(unit, 0xd800, 0xdfff) && !pair)) value.bad("text");
  });
}

function checkKey(value) {
  const [, bits, ...more] = value.list(TAG.SEQUENCE, "key");
  if (!bits || more.length) value.bad("key");
  as(value.code, () => publicKeyOf(value), ["TokenAlgorithmWeak"]);
  return value;
}

/** A certificate; refuses with CertificateMalformed. */
export function parseCertificate(bytes) {
  const code = "CertificateMalformed";
  const outer = readDer(bytes, code);
  const parts = walk(outer, TAG.SEQUENCE, "certificate");
  const tbs = parts.next("certificate");
  const algorithm = parts.next("algorithm");
  const signature = parts.next("signature").bits();
  parts.end();
  const all = walk(tbs, TAG.SEQUENCE, "certificate");
  const version = all.maybe(0xa0);
  const number = version?.only(undefined, "version").integer();
  if (version && number !== 2n) tbs.bad("version");
  const serial = all.next("serial");
  const value = serial.integer();
  if (value <= 0n || value >> 160n) tbs.bad("serial number out of range");
  const inner = all.next("algorithm");
  algorithmOf(inner);
  algorithmOf(algorithm);
  const issuer = checkName(all.next("issuer"));
  const [from, until] = all.next("validity").list(TAG.SEQUENCE, "validity");
  if (!until) tbs.bad("validity");
  const subject = checkName(all.next("subject"));
  const key = checkKey(all.next("key"));
  const extensions = all.maybe(0xa3);
  all.end();
  return {
    raw: outer.raw, tbs: tbs.raw, algorithm, consistent: equal(inner.raw, algorithm.raw), signature, serial: serial.raw, issuer: issuer.raw, subject: subject.raw,
    from: from.time().seconds, until: until.time().seconds, key, ...readExtensions(tbs, extensions, code), code,
  };
}

export const same = (a, b) => equal(a.raw, b.raw);
export const selfIssued = (certificate) => equal(certificate.issuer, certificate.subject);

/** Whether `issuer`'s key signed the certificate. */
export function issued(certificate, issuer) {
  if (!certificate.consistent) return false;
  const scheme = signatureOf(certificate.algorithm);
  return verifies(publicKeyOf(issuer.key), scheme, scheme.digest, certificate.tbs, certificate.signature);
}

/**
 * Path from the signer to a root: `[signer, …, root]`. AuthorityNotTrusted where no names lead to a root,
 * TokenPathInvalid where names do and signatures do not.
 */
export function findPath(signer, pool, roots) {
  let named = false;
  const extend = (path) => {
    const last = path.at(-1);
    if (roots.some((root) => same(root, last))) return path;
    if (path.length >= MAX_PATH) return null;
    const candidates = [...roots, ...pool].filter(
      (one) => equal(one.subject, last.issuer) && !path.some((held) => same(held, one)),
    );
    for (const issuer of candidates) {
      const isRoot = roots.some((root) => same(root, issuer));
      if (isRoot) named = true;
      if (!issued(last, issuer)) continue;
      const found = extend([...path, issuer]);
      if (found) return found;
    }
    return null;
  };
  return extend([signer]) ?? refuse(named ? "TokenPathInvalid" : "AuthorityNotTrusted", "no path to a named root");
}

const invalid = (detail) => refuse("TokenPathInvalid", detail);

function withinSubtree(name, subtree, code) {
  const rdns = (raw) => readDer(raw, code).list(TAG.SEQUENCE, "name").map((rdn) => hex(rdn.raw));
  const [whole, head] = [rdns(name), rdns(subtree)];
  return head.every((rdn, at) => whole[at] === rdn);
}

/** Directory names of a certificate that constraints apply to, and the kinds of its other names. */
function namesOf(certificate) {
  const directory = [certificate.subject];
  const others = [];
  for (const name of certificate.names) {
    if (name.is(0xa4)) directory.push(name.only(undefined, "name").raw);
    else others.push(name.tag);
  }
  return { directory, others };
}

function checkConstraints({ permitted, excluded }, below) {
  for (const certificate of below) {
    const { directory, others } = namesOf(certificate);
    for (const subtree of [...permitted, ...excluded]) {
      if (!subtree.is(0xa4) && others.includes(subtree.tag)) invalid("constraint on a kind of name that is not checked");
    }
    const trees = (list) => list.filter((item) => item.is(0xa4)).map((item) => item.only(undefined, "name").raw);
    const [inside, outside] = [trees(permitted), trees(excluded)];
    for (const name of directory) {
      const empty = !readDer(name, certificate.code).content.length;
      if (empty) continue;
      if (inside.length && !inside.some((tree) => withinSubtree(name, tree, certificate.code))) invalid("name not permitted");
      if (outside.some((tree) => withinSubtree(name, tree, certificate.code))) invalid("name excluded");
    }
  }
}

/** Rules of a path at a time. */
export function checkPath(path, time) {
  for (const certificate of path) {
    if (time < certificate.from || time > certificate.until) refuse("TokenPathExpired", "not valid at genTime");
  }
  path.forEach((certificate, at) => {
    if (at === 0) return;
    if (!certificate.ca) invalid("issuer is no CA");
    if (certificate.keyUsage && !certificate.keyUsage.has(5)) invalid("issuer may not sign certificates");
    const between = path.slice(1, at).filter((one) => !selfIssued(one)).length;
    if (certificate.pathLength !== null && BigInt(between) > certificate.pathLength) invalid("path too long");
    if (certificate.constraints) checkConstraints(certificate.constraints, path.slice(0, at));
    const last = at === path.length - 1;
    if (!last && certificate.usages && ![TIME_STAMPING, ANY_USAGE].some((usage) => certificate.usages.includes(usage))) {
      invalid("issuer is not for time stamps");
    }
  });
}

/** Critical extensions that nobody here reads. */
export function checkCritical(path) {
  for (const { extensions } of path) {
    for (const [name, { critical }] of extensions) {
      if (critical && !Object.values(EXTENSIONS).includes(name)) invalid(`critical extension ${name}`);
    }
  }
}
