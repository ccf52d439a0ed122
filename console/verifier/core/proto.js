/** Canonical protocol buffers: a strict reader and the few writers that signed bytes need. */
import { concat, text } from "./bytes.js";
import { refuse } from "./errors.js";

const LIMIT = 65536;
const MAX_REPEATED = 256;

/** Varint at `at`: [BigInt value, next offset]; shortest form, at most 64 bits. */
export function readVarint(bytes, at, code = "ProtoMalformed") {
  let value = 0n;
  for (let i = 0; i < 10; i++) {
    const byte = bytes[at + i];
    if (byte === undefined) refuse(code, "varint ends too early");
    value |= BigInt(byte & 0x7f) << BigInt(7 * i);
    if (byte < 0x80) {
      if (byte === 0 && i > 0) refuse(code, "varint not in its shortest form");
      if (value >> 64n) refuse(code, "varint over 64 bits");
      return [value, at + i + 1];
    }
  }
  return refuse(code, "varint too long");
}

/**
 * Message by schema `{number: [name, type]}`; type is "uint", "bytes" or either with "*" for repeated.
 * Fields ascend, none is unknown, repeated without leave, or default.
 */
export function readMessage(bytes, schema) {
  if (bytes.length > LIMIT) refuse("ProtoLimit", `over ${LIMIT} bytes`);
  const out = {};
  let previous = 0;
  let at = 0;
  while (at < bytes.length) {
    let key;
    [key, at] = readVarint(bytes, at);
    const number = Number(key >> 3n);
    const wire = Number(key & 7n);
    const known = schema[number];
    if (!known) refuse("ProtoMalformed", `unknown field ${number}`);
    const [name, type] = known;
    const repeated = type.endsWith("*");
    if (number < previous || (number === previous && !repeated)) refuse("ProtoMalformed", "fields not ascending");
    previous = number;
    let value;
    if (type.startsWith("uint")) {
      if (wire !== 0) refuse("ProtoMalformed", `wire type of ${name}`);
      [value, at] = readVarint(bytes, at);
      if (value === 0n) refuse("ProtoMalformed", `default value of ${name} written`);
    } else {
      if (wire !== 2) refuse("ProtoMalformed", `wire type of ${name}`);
      let size;
      [size, at] = readVarint(bytes, at);
      if (size > BigInt(bytes.length - at)) refuse("ProtoMalformed", `${name} ends too early`);
      value = bytes.subarray(at, at + Number(size));
      at += Number(size);
      if (!value.length && !repeated && !type.includes("!")) refuse("ProtoMalformed", `default value of ${name} written`);
    }
    if (repeated && out[name]?.length === MAX_REPEATED) refuse("ProtoLimit", `${name} occurs too often`);
    if (repeated) (out[name] ??= []).push(value);
    else out[name] = value;
  }
  return out;
}

export function varint(value) {
  const out = [];
  let left = BigInt.asUintN(64, BigInt(value));
  do {
    const low = Number(left & 0x7fn);
    left >>= 7n;
    out.push(left ? low | 0x80 : low);
  } while (left);
  return Uint8Array.from(out);
}

const NOTHING = new Uint8Array(0);

export const putUint = (number, value) =>
  BigInt(value) === 0n ? NOTHING : concat(varint(number << 3), varint(value));

/** Length-delimited and always written, as embedded messages that may not be absent are. */
export const putMessage = (number, value) => concat(varint((number << 3) | 2), varint(value.length), value);

export const putBytes = (number, value) => (value.length ? putMessage(number, value) : NOTHING);
export const putText = (number, value) => putBytes(number, text(value));

export function putFixed64(number, value) {
  if (BigInt(value) === 0n) return NOTHING;
  const out = new Uint8Array(8);
  new DataView(out.buffer).setBigInt64(0, BigInt(value), true);
  return concat(varint((number << 3) | 1), out);
}
