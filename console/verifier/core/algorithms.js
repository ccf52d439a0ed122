/** Algorithm identifiers of certificates and tokens, and signatures by them. */
import { p256, p384, p521 } from "@noble/curves/nist.js";
import { sha384, sha512 } from "@noble/hashes/sha2.js";
import { concat, equal, fromHex, toUint, uint } from "./bytes.js";
import { Cursor, readDer, TAG } from "./der.js";
import { refuse } from "./errors.js";
import { sha256, sha3, sm3 } from "./hashing.js";
import { ed25519Verifies } from "./signatures.js";

export const DIGESTS = {
  "2.16.840.1.101.3.4.2.1": { name: "sha256", hash: (data) => sha256(data) },
  "2.16.840.1.101.3.4.2.2": { name: "sha384", hash: (data) => sha384(data) },
  "2.16.840.1.101.3.4.2.3": { name: "sha512", hash: (data) => sha512(data) },
  "1.2.156.10197.1.401": { name: "sm3", hash: (data) => sm3(data) },
};
/** Bytes of an RSA modulus. */
const MAX_RSA = 2049;
const BY_NAME = Object.fromEntries(Object.values(DIGESTS).map((digest) => [digest.name, digest.hash]));
const SIGNATURES = {
  "1.2.840.113549.1.1.11": { key: "rsa", digest: "sha256" },
  "1.2.840.113549.1.1.12": { key: "rsa", digest: "sha384" },
  "1.2.840.113549.1.1.13": { key: "rsa", digest: "sha512" },
  "1.2.840.113549.1.1.1": { key: "rsa", digest: null },
  "1.2.840.10045.4.3.2": { key: "ec", digest: "sha256" },
  "1.2.840.10045.4.3.3": { key: "ec", digest: "sha384" },
  "1.2.840.10045.4.3.4": { key: "ec", digest: "sha512" },
  "1.3.101.112": { key: "ed25519", digest: "" },
};
const WEAK = [
  "1.3.14.3.2.26", "1.2.840.113549.2.5", "1.2.840.113549.2.2", "1.2.840.113549.1.1.2", "1.2.840.113549.1.1.4",
  "1.2.840.113549.1.1.5", "1.2.840.10045.4.1", "1.3.14.3.2.29", "2.16.840.1.101.3.4.2.4",
];
const CURVES = { "1.2.840.10045.3.1.7": [p256, 32], "1.3.132.0.34": [p384, 48], "1.3.132.0.35": [p521, 66] };
const PREFIXES = {
  sha256: "3031300d060960864801650304020105000420", sha384: "3041300d060960864801650304020205000430",
  sha512: "3051300d060960864801650304020305000440",
};

/** `{oid, parameters}` of an AlgorithmIdentifier. */
export function algorithmOf(value) {
  const [oid, parameters = null, ...more] = value.list(TAG.SEQUENCE, "algorithm");
  if (!oid || more.length) value.bad("algorithm");
  return { oid: oid.oid(), parameters };
}

/** Identifier first, then what stands behind it. */
function known(table, value) {
  const [first, parameters, ...more] = value.list(TAG.SEQUENCE, "algorithm");
  const oid = (first ?? value.bad("algorithm")).oid();
  if (WEAK.includes(oid)) refuse("TokenAlgorithmWeak", oid);
  if (!Object.hasOwn(table, oid)) refuse("TokenAlgorithmUnknown", oid);
  if (more.length || (parameters && !(parameters.is(TAG.NULL) && !parameters.content.length))) value.bad("parameters");
  return table[oid];
}

/** What a token may be over; over a renewal of hashes, another one alone. */
const STAMPED = Object.fromEntries(Object.entries(DIGESTS).filter(([, { name }]) => name === "sha256" || name === "sm3"));
const RENEWED = { "2.16.840.1.101.3.4.2.8": { name: "sha3-256", hash: (data) => sha3(data) } };

export const imprintOf = (value, renewed) => known(renewed ? RENEWED : STAMPED, value);
export const digestOf = (value) => known(DIGESTS, value);
export const signatureOf = (value) => known(SIGNATURES, value);
export const digestBy = (name) => BY_NAME[name];

/** Public key of a SubjectPublicKeyInfo. */
export function publicKeyOf(value) {
  const [algorithm, bits] = value.list(TAG.SEQUENCE, "public key");
  if (!bits) value.bad("public key");
  const { oid, parameters } = algorithmOf(algorithm);
  if (oid === "1.2.840.113549.1.1.1") {
    const [modulus, exponent] = readDer(bits.bits(), value.code).list(TAG.SEQUENCE, "RSA key");
    if (!exponent) value.bad("RSA key");
    const n = modulus.integer("modulus", MAX_RSA);
    if (n.toString(2).length < 2048) refuse("TokenAlgorithmWeak", "RSA below 2,048 bits");
    return { kind: "rsa", n, e: exponent.integer("exponent", MAX_RSA) };
  }
  if (oid === "1.2.840.10045.2.1") {
    const curve = CURVES[parameters?.is(TAG.OID) ? parameters.oid() : ""];
    if (!curve) refuse("TokenAlgorithmUnknown", "curve");
    const point = bits.bits();
    try {
      curve[0].Point.fromBytes(point).assertValidity();
    } catch {
      value.bad("point not on the curve");
    }
    return { kind: "ec", curve: curve[0], width: curve[1], point };
  }
  if (oid === "1.3.101.112") return { kind: "ed25519", key: bits.bits() };
  return refuse("TokenAlgorithmUnknown", oid);
}

function power(base, exponent, modulus) {
  let out = 1n;
  let square = base % modulus;
  for (let left = exponent; left; left >>= 1n) {
    if (left & 1n) out = (out * square) % modulus;
    square = (square * square) % modulus;
  }
  return out;
}

function rsaVerifies({ n, e }, digest, name, signature) {
  const size = Math.ceil(n.toString(16).length / 2);
  const s = toUint(signature);
  if (signature.length !== size || s >= n || e < 3n || !(e & 1n) || e >> 64n) return false;
  const tail = concat(fromHex(PREFIXES[name]), digest);
  const filling = new Uint8Array(size - 3 - tail.length).fill(0xff);
  return equal(uint(power(s, e, n), size), concat(Uint8Array.of(0, 1), filling, Uint8Array.of(0), tail));
}

function ecVerifies({ curve, width, point }, digest, signature) {
  try {
    const value = readDer(signature, "TokenSignatureInvalid");
    const all = new Cursor(value.list(TAG.SEQUENCE, "signature"), value);
    const [r, s] = [all.next("r").integer(), all.next("s").integer()];
    all.end();
    if (r <= 0n || s <= 0n) return false;
    return curve.verify(concat(uint(r, width), uint(s, width)), digest, point, { prehash: false, lowS: false });
  } catch {
    return false;
  }
}

/** Whether `signature` over `data` is by `key`, with the scheme of `algorithm` and this digest. */
export function verifies(key, algorithm, digestName, data, signature) {
  if (algorithm.key !== key.kind) return false;
  if (key.kind === "ed25519") return ed25519Verifies(signature, data, key.key);
  const digest = digestBy(digestName)(data);
  return key.kind === "rsa" ? rsaVerifies(key, digest, digestName, signature) : ecVerifies(key, digest, signature);
}

