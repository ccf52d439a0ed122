/** Canonical RLP: byte strings (Uint8Array) and lists (arrays). */
import { concat, toUint, uint } from "./bytes.js";
import { refuse } from "./errors.js";

const LIMIT = 65536;
const MAX_DEPTH = 8;

const bad = (detail) => refuse("RlpMalformed", detail);

function header(bytes, at) {
  const first = bytes[at];
  if (first === undefined) bad("ends too early");
  if (first < 0x80) return { list: false, start: at, size: 1 };
  const list = first >= 0xc0;
  const short = first - (list ? 0xc0 : 0x80);
  if (short <= 55) return { list, start: at + 1, size: short };
  const width = short - 55;
  const start = at + 1 + width;
  const digits = bytes.subarray(at + 1, start);
  if (digits.length < width || digits[0] === 0) bad("length of a length");
  const size = toUint(digits);
  if (size <= 55n) bad("length not in its shortest form");
  if (size > BigInt(bytes.length)) bad("ends too early");
  return { list, start, size: Number(size) };
}

function item(bytes, at, end, depth) {
  const { list, start, size } = header(bytes, at);
  const next = start + size;
  if (next > end) bad("ends too early");
  if (!list) {
    const value = bytes.subarray(start, next);
    if (start !== at && size === 1 && value[0] < 0x80) bad("a byte that stands for itself");
    return [value, next];
  }
  if (depth >= MAX_DEPTH) refuse("RlpLimit", "nested too deeply");
  const out = [];
  let inner = start;
  while (inner < next) {
    let value;
    [value, inner] = item(bytes, inner, next, depth + 1);
    out.push(value);
  }
  return [out, next];
}

export function decodeRlp(bytes) {
  if (bytes.length > LIMIT) refuse("RlpLimit", `over ${LIMIT} bytes`);
  const [value, next] = item(bytes, 0, bytes.length, 0);
  if (next !== bytes.length) bad("bytes after the end");
  return value;
}

function prefix(base, size) {
  if (size <= 55) return Uint8Array.of(base + size);
  let width = 1;
  while (size >= 256 ** width) width++;
  return concat(Uint8Array.of(base + 55 + width), uint(size, width));
}

export function encodeRlp(value) {
  if (value instanceof Uint8Array) {
    if (value.length === 1 && value[0] < 0x80) return value;
    return concat(prefix(0x80, value.length), value);
  }
  const body = concat(...value.map(encodeRlp));
  return concat(prefix(0xc0, body.length), body);
}

/** BigInt of a scalar (no leading zero), or null. */
export function scalar(value, most = 32) {
  if (!(value instanceof Uint8Array) || value[0] === 0 || value.length > most) return null;
  return toUint(value);
}
