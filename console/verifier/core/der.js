/** Strict DER (X.690): one spelling for a value, single-byte tags, no indefinite lengths. */
import { fromText } from "./bytes.js";
import { refuse } from "./errors.js";

const MAX_DEPTH = 32;
export const TAG = {
  BOOLEAN: 0x01, INTEGER: 0x02, BITS: 0x03, OCTETS: 0x04, NULL: 0x05, OID: 0x06, ENUMERATED: 0x0a, UTF8: 0x0c,
  UTC_TIME: 0x17, TIME: 0x18, SEQUENCE: 0x30, SET: 0x31,
};

/** A value: tag byte, content, its whole encoding. */
export class Der {
  constructor(tag, content, raw, code, depth) {
    Object.assign(this, { tag, content, raw, code, depth });
  }

  bad(detail) {
    return refuse(this.code, detail);
  }

  is(tag) {
    return this.tag === tag;
  }

  expect(tag, what = "value") {
    return this.is(tag) ? this : this.bad(`${what}: tag ${this.tag}, not ${tag}`);
  }

  /** Values inside. */
  list(tag, what) {
    if (tag !== undefined) this.expect(tag, what);
    if (!(this.tag & 0x20)) this.bad("not constructed");
    const out = [];
    for (let at = 0; at < this.content.length; ) {
      const value = readAt(this.content, at, this.code, this.depth + 1);
      out.push(value);
      at += value.raw.length;
    }
    return out;
  }

  /** Every constructed value inside consists of whole values, down to the leaves. */
  checkStructure() {
    if (this.tag & 0x20) for (const value of this.list()) value.checkStructure();
    return this;
  }

  /** The only value inside. */
  only(tag, what) {
    const all = this.list(tag, what);
    return all.length === 1 ? all[0] : this.bad(`${what}: not one value`);
  }

  /** At most `most` bytes of content. */
  integer(what = "integer", most = 64) {
    return this.expect(TAG.INTEGER, what).number(what, most);
  }

  enumerated(what) {
    return this.expect(TAG.ENUMERATED, what).number(what, 64);
  }

  number(what, most) {
    const c = this.content;
    if (!c.length || c.length > most || (c.length > 1 && ((c[0] === 0 && c[1] < 0x80) || (c[0] === 0xff && c[1] >= 0x80)))) this.bad(what);
    let value = 0n;
    for (const byte of c) value = (value << 8n) | BigInt(byte);
    return c[0] & 0x80 ? value - (1n << BigInt(8 * c.length)) : value;
  }

  boolean() {
    this.expect(TAG.BOOLEAN, "boolean");
    if (this.content.length !== 1 || (this.content[0] !== 0 && this.content[0] !== 0xff)) this.bad("boolean");
    return this.content[0] === 0xff;
  }

  octets(what) {
    return this.expect(TAG.OCTETS, what).content;
  }

  /** Bytes of a bit string of whole bytes. */
  bits() {
    this.expect(TAG.BITS, "bit string");
    if (this.content[0] !== 0) this.bad("bit string");
    return this.content.subarray(1);
  }

  /** Set bits of a named bit list of one or two bytes, by number. */
  flags() {
    this.expect(TAG.BITS, "bit string");
    const [unused, ...bytes] = this.content;
    if (unused === undefined || unused > 7 || !bytes.length || bytes.length > 2) this.bad("bit string");
    if ((!(bytes.at(-1) & (1 << unused)) || bytes.at(-1) & ((1 << unused) - 1))) this.bad("bit string");
    return new Set(bytes.flatMap((byte, at) => [0, 1, 2, 3, 4, 5, 6, 7].filter((bit) => byte & (0x80 >> bit)).map((bit) => 8 * at + bit)));
  }

  oid() {
    this.expect(TAG.OID, "object identifier");
    const arcs = [];
    let value = 0n;
    let fresh = true;
    for (const byte of this.content) {
      if (fresh && byte === 0x80) this.bad("object identifier");
      value = (value << 7n) | BigInt(byte & 0x7f);
      fresh = byte < 0x80;
      if (fresh) {
        arcs.push(value);
        value = 0n;
      }
    }
    if (!arcs.length || !fresh || this.content.length > 32) this.bad("object identifier");
    const first = arcs[0] < 80n ? arcs[0] / 40n : 2n;
    return [first, arcs[0] - first * 40n, ...arcs.slice(1)].join(".");
  }

  /** `{seconds, exact}`: whole seconds, and whether a fraction was cut off. */
  time() {
    const letters = this.text();
    const utc = this.is(TAG.UTC_TIME);
    const form = utc ? /^(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)()Z$/ : /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\.\d*[1-9])?Z$/;
    const found = utc || this.is(TAG.TIME) ? form.exec(letters) : null;
    if (!found) this.bad("time");
    const [year, month, day, hour, minute, second] = found.slice(1, 7).map(Number);
    const full = utc ? year + (year < 50 ? 2000 : 1900) : year;
    const date = new Date(0);
    date.setUTCFullYear(full, month - 1, day);
    date.setUTCHours(hour, minute, second);
    const back = date.getUTCFullYear() === full && date.getUTCMonth() === month - 1 && date.getUTCDate() === day;
    if (!back || hour > 23 || minute > 59 || second > 59) this.bad("time");
    return { seconds: date.getTime() / 1000, exact: !found[7] };
  }

  text() {
    try {
      return fromText(this.content);
    } catch {
      return this.bad("text");
    }
  }
}

function readAt(bytes, at, code, depth) {
  const bad = (detail) => refuse(code, detail);
  if (depth > MAX_DEPTH) bad("nested too deeply");
  const tag = bytes[at];
  if (tag === undefined || bytes[at + 1] === undefined) bad("ends too early");
  if ((tag & 0x1f) === 0x1f) bad("tag of more than one byte");
  let start = at + 2;
  let size = bytes[at + 1];
  if (size >= 0x80) {
    const width = size & 0x7f;
    if (!width || width > 4) bad("length");
    size = 0;
    for (let i = 0; i < width; i++) size = size * 256 + (bytes[start + i] ?? bad("ends too early"));
    if (size < 0x80 || size < 256 ** (width - 1)) bad("length not in its shortest form");
    start += width;
  }
  if (start + size > bytes.length) bad("ends too early");
  return new Der(tag, bytes.subarray(start, start + size), bytes.subarray(at, start + size), code, depth);
}

/** First value of the bytes; what is behind it is the caller's. */
export const readFirst = (bytes, code) => readAt(bytes, 0, code, 0);

/** The one value of the bytes. */
export function readDer(bytes, code) {
  const value = readFirst(bytes, code);
  return value.raw.length === bytes.length ? value : refuse(code, "bytes behind the value");
}

/** Walks a list of values of which some may be missing. */
export class Cursor {
  constructor(values, owner) {
    Object.assign(this, { values, owner, at: 0 });
  }

  next(what) {
    return this.values[this.at++] ?? this.owner.bad(`${what} missing`);
  }

  maybe(tag) {
    return this.values[this.at]?.is(tag) ? this.values[this.at++] : null;
  }

  end() {
    if (this.at !== this.values.length) this.owner.bad("a value too many, or out of order");
  }
}

export const walk = (value, tag, what) => new Cursor(value.list(tag, what), value);
