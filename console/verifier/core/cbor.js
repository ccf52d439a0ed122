/**
 * Strict reader for deterministic CBOR (RFC 8949 §4.2.1) as docs/spec/entry.md narrows it: unsigned integers
 * (BigInt), byte strings, text, arrays, maps (Map with keys ascending), true, false, null. All else is refused.
 */
import { compare, fromText } from "./bytes.js";
import { refuse } from "./errors.js";


class Reader {
  constructor(bytes, levels, items) {
    this.bytes = bytes;
    this.left = items;
    this.levels = levels;
    this.at = 0;
  }

  bad(detail) {
    refuse("MalformedInput", `${detail} at byte ${this.at}`);
  }

  take(size) {
    if (size > this.bytes.length - this.at) this.bad("ends too early");
    this.at += size;
    return this.bytes.subarray(this.at - size, this.at);
  }

  argument(info) {
    if (info < 24) return BigInt(info);
    if (info > 27) this.bad("indefinite or reserved length");
    const size = 1 << (info - 24);
    let value = 0n;
    for (const byte of this.take(size)) value = (value << 8n) | BigInt(byte);
    if (value < (size === 1 ? 24n : 1n << BigInt(4 * size))) this.bad("not the shortest form");
    return value;
  }

  length(argument) {
    const left = this.bytes.length - this.at;
    if (argument > BigInt(left)) this.bad("ends too early");
    return Number(argument);
  }

  item(depth) {
    if (this.left-- === 0) refuse("LimitExceeded", "too many items");
    const [initial] = this.take(1);
    const major = initial >> 5;
    if (major === 7) {
      if (initial === 0xf4) return false;
      if (initial === 0xf5) return true;
      if (initial === 0xf6) return null;
      this.bad("simple value or float that is not allowed");
    }
    if (major === 1 || major === 6) this.bad("negative integer or tag");
    const argument = this.argument(initial & 31);
    if (major === 0) return argument;
    const size = this.length(argument);
    if (major === 2) return this.take(size).slice();
    if (major === 3) return this.text(size);
    if (depth >= this.levels) refuse("LimitExceeded", "nested too deeply");
    if (major === 4) {
      const out = [];
      for (let i = 0; i < size; i++) out.push(this.item(depth + 1));
      return out;
    }
    return this.map(size, depth);
  }

  text(size) {
    try {
      return fromText(this.take(size));
    } catch (error) {
      if (error instanceof TypeError) this.bad("text is not UTF-8");
      throw error;
    }
  }

  map(size, depth) {
    const out = new Map();
    let previous = null;
    for (let i = 0; i < size; i++) {
      const start = this.at;
      // By its first byte: what an array in a key's place holds is not looked at, however deep.
      if (start < this.bytes.length && ![0, 3].includes(this.bytes[start] >> 5)) this.bad("map key is neither integer nor text");
      const key = this.item(depth + 1);
      const encoded = this.bytes.subarray(start, this.at);
      if (previous && compare(previous, encoded) >= 0) this.bad("map keys not ascending");
      previous = encoded;
      out.set(key, this.item(depth + 1));
    }
    return out;
  }
}

/**
 * One item and nothing after it; refuses with MalformedInput, or LimitExceeded above `limit` bytes, `levels` of arrays and maps, or
 * `items` values and keys in all.
 */
export function decode(bytes, levels, { limit = Infinity, items = Infinity } = {}) {
  if (bytes.length > limit) refuse("LimitExceeded", `over ${limit} bytes`);
  const reader = new Reader(bytes, levels, items);
  const value = reader.item(0);
  if (reader.at !== bytes.length) reader.bad("bytes after the end");
  return value;
}
