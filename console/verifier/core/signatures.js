/** Signature schemes: Ed25519 by RFC 8032 without cofactor, secp256k1 recovery in the one accepted form. */
import { ed25519 } from "@noble/curves/ed25519.js";
import { secp256k1 } from "@noble/curves/secp256k1.js";
import { sha512 } from "@noble/hashes/sha2.js";
import { concat, equal, toUint } from "./bytes.js";
import { refuse } from "./errors.js";
import { keccak256 } from "./hashing.js";

const ORDER = ed25519.Point.Fn.ORDER;
const N = secp256k1.Point.Fn.ORDER;

function littleEndian(bytes) {
  return toUint(Uint8Array.from(bytes).reverse());
}

/** RFC 8032 §5.1.7 with the cofactorless equation; true or false, never throws on bad points. */
export function ed25519Verifies(signature, message, publicKey) {
  if (signature.length !== 64 || publicKey.length !== 32) return false;
  const s = littleEndian(signature.subarray(32));
  if (s >= ORDER) return false;
  let key;
  try {
    key = ed25519.Point.fromBytes(publicKey, false);
  } catch {
    return false;
  }
  const r = signature.subarray(0, 32);
  const k = littleEndian(sha512(concat(r, publicKey, message))) % ORDER;
  const left = s === 0n ? ed25519.Point.ZERO : ed25519.Point.BASE.multiplyUnsafe(s);
  const right = k === 0n ? ed25519.Point.ZERO : key.multiplyUnsafe(k);
  return equal(left.subtract(right).toBytes(), r);
}

/** Address (20 bytes) of the key that made `r ‖ s ‖ recovery` over the digest; refuses with `code`. */
export function recover(digest, signature, base, code) {
  if (signature.length !== 65) refuse(code, "signature is not 65 bytes");
  const recovery = signature[64] - base;
  if (recovery !== 0 && recovery !== 1) refuse(code, "recovery value not of the accepted form");
  const r = toUint(signature.subarray(0, 32));
  const s = toUint(signature.subarray(32, 64));
  if (r === 0n || r >= N || s === 0n || s > N / 2n) refuse(code, "r or s out of range");
  let point;
  try {
    const parsed = new secp256k1.Signature(r, s, recovery);
    point = parsed.recoverPublicKey(digest);
  } catch {
    refuse(code, "recovers to no key");
  }
  return keccak256(point.toBytes(false).subarray(1)).subarray(12);
}
