/** SM2 signatures (GB/T 32918.2 with SM3, the curve of GB/T 32918.5) and what an attestation `sm2` signs (docs/spec/attestation.md §3). */
import { weierstrass } from "@noble/curves/abstract/weierstrass.js";
import { concat, text, toUint, uint } from "./bytes.js";
import { sm3 } from "./hashing.js";

const CURVE = {
  p: 0xfffffffeffffffffffffffffffffffffffffffff00000000ffffffffffffffffn,
  n: 0xfffffffeffffffffffffffffffffffff7203df6b21c6052b53bbf40939d54123n,
  h: 1n,
  a: 0xfffffffeffffffffffffffffffffffffffffffff00000000fffffffffffffffcn,
  b: 0x28e9fa9e9d9f5e344d5a9e4bcf6509a7f39789f515ab8f92ddbcbd414d940e93n,
  Gx: 0x32c4ae2c1f1981195f9904466a39c9948fe30bbff2660be1715a4589334c74c7n,
  Gy: 0xbc3736a2f4f6779c59bdcee36b692153d0a9877cc62a474002df32e52139f0a0n,
};
const USER_ID = text("1234567812345678");
const Point = weierstrass(CURVE);
const { p, n, a, b, Gx, Gy } = CURVE;

/** Whether `signature` (r ‖ s) over the message is by the key x ‖ y; false also for what is no point of the curve. */
export function sm2Verifies(signature, message, publicKey) {
  const [r, s] = [toUint(signature.subarray(0, 32)), toUint(signature.subarray(32))];
  if (!r || r >= n || !s || s >= n) return false;
  const t = (r + s) % n;
  if (!t) return false;
  const [x, y] = [toUint(publicKey.subarray(0, 32)), toUint(publicKey.subarray(32))];
  if (x >= p || y >= p || (!x && !y)) return false;
  let key;
  try {
    key = Point.fromAffine({ x, y });
    key.assertValidity();
  } catch {
    return false;
  }
  const curve = [a, b, Gx, Gy].map((value) => uint(value, 32));
  const identity = sm3(uint(8 * USER_ID.length, 2), USER_ID, ...curve, publicKey);
  const e = toUint(sm3(identity, message));
  const point = Point.BASE.multiplyUnsafe(s).add(key.multiplyUnsafe(t));
  return !point.is0() && (e + point.toAffine().x) % n === r;
}

/** The message of a submission. */
export function sm2Message({ chainId, contract, logId, organisation, root, rootSm3, count, validUntil }) {
  return concat(
    text("caseledger/sm2-submission/v1"), uint(chainId, 8), contract, logId, uint(organisation, 4), root, rootSm3, uint(count, 4),
    uint(validUntil, 8),
  );
}
