/** Readers of decoded CBOR: each returns the value in the wanted type or refuses with MalformedInput. */
import { text as encoded } from "./bytes.js";
import { refuse } from "./errors.js";

const bad = (field, detail) => refuse("MalformedInput", detail, field);

/** Values of a map with exactly the keys 0 to `count` − 1, in order. */
export function fields(value, count, field) {
  if (!(value instanceof Map) || value.size !== count) bad(field, `not a map of ${count} entries`);
  const out = [];
  for (let key = 0n; key < BigInt(count); key++) {
    if (!value.has(key)) bad(field, `key ${key} missing`);
    out.push(value.get(key));
  }
  return out;
}

export function list(value, field, { size, least = 0, most = Infinity, limit = "MalformedInput" } = {}) {
  if (!Array.isArray(value)) bad(field, "not an array");
  if (size !== undefined && value.length !== size) bad(field, `not ${size} elements`);
  if (value.length < least) bad(field, "too few elements");
  if (value.length > most) refuse(limit, `more than ${most} elements`, field);
  return value;
}

export function bytes(value, field, size) {
  if (!(value instanceof Uint8Array)) bad(field, "not a byte string");
  if (size !== undefined && value.length !== size) bad(field, `not ${size} bytes`);
  return value;
}

/** BigInt from `least` to below 2^bits. */
export function big(value, field, bits = 64, least = 0n) {
  if (typeof value !== "bigint" || value >> BigInt(bits) || value < least) bad(field, "integer out of range");
  return value;
}

/** Number from `least` to below 2^bits, bits at most 53. */
export function small(value, field, bits = 53, least = 0n) {
  return Number(big(value, field, bits, BigInt(least)));
}

export function text(value, field) {
  if (typeof value !== "string") bad(field, "not a text");
  return value;
}

/** What docs/spec/entry.md calls control characters, and lone surrogates. */
const CONTROL =
  /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|\p{Cs}/u;

export const hasControl = (value) => CONTROL.test(value);

/** Text of 1 to `most` bytes of UTF-8 without control characters. */
export function label(value, field, most) {
  const size = encoded(text(value, field)).length;
  if (!size || size > most || hasControl(value)) bad(field, `not 1 to ${most} bytes without control characters`);
  return value;
}

export function orNull(value, read) {
  return value === null ? null : read(value);
}

export function hashes(value, field, most) {
  return list(value, field, { most }).map((item) => bytes(item, field, 32));
}
