/** Byte strings: joining, comparing, hex, base64, big-endian integers (BigInt). */
const utf8 = new TextEncoder();
const strictUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

export const EMPTY = new Uint8Array(0);

export function text(value) {
  return utf8.encode(value);
}

/** Strict UTF-8; throws TypeError. */
export function fromText(bytes) {
  return strictUtf8.decode(bytes);
}

export function concat(...parts) {
  let size = 0;
  for (const part of parts) size += part.length;
  const out = new Uint8Array(size);
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

export function equal(a, b) {
  if (a.length !== b.length) return false;
  let difference = 0;
  for (let i = 0; i < a.length; i++) difference |= a[i] ^ b[i];
  return difference === 0;
}

/** Lexicographic order: negative, 0 or positive. */
export function compare(a, b) {
  const shared = Math.min(a.length, b.length);
  for (let i = 0; i < shared; i++) if (a[i] !== b[i]) return a[i] - b[i];
  return a.length - b.length;
}

export function isZero(bytes) {
  return bytes.every((byte) => byte === 0);
}

export function startsWith(bytes, head) {
  return bytes.length >= head.length && equal(bytes.subarray(0, head.length), head);
}

const DIGITS = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));

export function hex(bytes) {
  let out = "";
  for (const byte of bytes) out += DIGITS[byte];
  return out;
}

/** Bytes of an even run of hex digits, or null. */
export function fromHex(digits) {
  if (digits.length % 2 || /[^0-9a-fA-F]/.test(digits)) return null;
  const out = new Uint8Array(digits.length / 2);
  for (let i = 0; i < out.length; i++) out[i] = parseInt(digits.substr(2 * i, 2), 16);
  return out;
}

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const VALUES = new Map([...ALPHABET].map((letter, value) => [letter, value]));

export function base64(bytes) {
  let out = "";
  for (let i = 0; i < bytes.length; i += 3) {
    const left = bytes.length - i;
    const word = (bytes[i] << 16) | ((bytes[i + 1] ?? 0) << 8) | (bytes[i + 2] ?? 0);
    out += ALPHABET[word >> 18] + ALPHABET[(word >> 12) & 63];
    out += left > 1 ? ALPHABET[(word >> 6) & 63] : "=";
    out += left > 2 ? ALPHABET[word & 63] : "=";
  }
  return out;
}

/** Standard alphabet, padded, canonical (no stray bits); null otherwise. */
export function fromBase64(letters) {
  if (letters.length % 4) return null;
  const body = letters.replace(/={1,2}$/, "");
  const out = new Uint8Array(Math.floor((body.length * 3) / 4));
  let word = 0;
  let bits = 0;
  let at = 0;
  for (const letter of body) {
    const value = VALUES.get(letter);
    if (value === undefined) return null;
    word = ((word << 6) | value) & 0xffffff;
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      out[at++] = (word >> bits) & 0xff;
    }
  }
  return base64(out) === letters ? out : null;
}

/** Big-endian integer as BigInt. */
export function toUint(bytes) {
  return bytes.length ? BigInt("0x" + hex(bytes)) : 0n;
}

/** Big-endian bytes of a non-negative BigInt or safe number; it must fit. */
export function uint(value, size) {
  const digits = BigInt(value).toString(16).padStart(2 * size, "0");
  if (digits.length > 2 * size) throw new RangeError("integer does not fit");
  return fromHex(digits);
}
