/** Strict JSON for conformance lines (docs/spec/conformance.md §1): integers are BigInt, names never repeat. */
import { fromText } from "./bytes.js";
import { refuse } from "./errors.js";

export const LINE_LIMIT = 4 << 20;
const MAX_DEPTH = 64;
const MAX_DIGITS = 20;
const MAX_ELEMENTS = 1024;
const ESCAPES = { '"': '"', "\\": "\\", "/": "/", b: "\b", f: "\f", n: "\n", r: "\r", t: "\t" };

class Parser {
  constructor(source) {
    this.source = source;
    this.at = 0;
  }

  bad(detail) {
    refuse("JsonMalformed", `${detail} at ${this.at}`);
  }

  space() {
    while (" \t\n\r".includes(this.source[this.at] ?? "x")) this.at++;
  }

  take(letters) {
    if (!this.source.startsWith(letters, this.at)) this.bad(`no ${letters}`);
    this.at += letters.length;
  }

  value(depth) {
    this.space();
    const letter = this.source[this.at];
    if (depth >= MAX_DEPTH && (letter === "{" || letter === "[")) refuse("JsonLimit", "nested too deeply");
    let out;
    if (letter === "{") out = this.object(depth);
    else if (letter === "[") out = this.array(depth);
    else if (letter === '"') out = this.string();
    else if (letter === "t") out = (this.take("true"), true);
    else if (letter === "f") out = (this.take("false"), false);
    else if (letter === "n") out = (this.take("null"), null);
    else out = this.integer();
    this.space();
    return out;
  }

  integer() {
    const found = /^-?(0|[1-9][0-9]*)/.exec(this.source.slice(this.at, this.at + 64)) ?? this.bad("no value");
    let digits = found[0];
    if (digits.length >= 60) digits = /^-?[0-9]*/.exec(this.source.slice(this.at))[0];
    this.at += digits.length;
    if (/[0-9.eE]/.test(this.source[this.at] ?? "")) this.bad("not an integer");
    if (digits === "-0" || digits.replace("-", "").length > MAX_DIGITS) refuse("JsonLimit", "integer");
    return BigInt(digits);
  }

  string() {
    this.take('"');
    let out = "";
    for (;;) {
      const letter = this.source[this.at++];
      if (letter === undefined) this.bad("string without an end");
      if (letter === '"') break;
      if (letter < " ") this.bad("control character");
      out += letter === "\\" ? this.escape() : letter;
    }
    return out;
  }

  escape() {
    const letter = this.source[this.at++];
    if (letter !== "u") return ESCAPES[letter] ?? this.bad("escape");
    const digits = this.source.slice(this.at, this.at + 4);
    if (!/^[0-9a-fA-F]{4}$/.test(digits)) this.bad("escape");
    this.at += 4;
    return String.fromCharCode(parseInt(digits, 16));
  }

  array(depth) {
    this.take("[");
    const out = [];
    this.space();
    if (this.source[this.at] === "]") return this.at++, out;
    for (;;) {
      out.push(this.value(depth + 1));
      if (out.length > MAX_ELEMENTS) refuse("JsonLimit", "array too long");
      if (this.source[this.at] === "]") return this.at++, out;
      this.take(",");
    }
  }

  object(depth) {
    this.take("{");
    const out = new Map();
    this.space();
    if (this.source[this.at] === "}") return this.at++, out;
    for (;;) {
      this.space();
      const name = this.string();
      if (out.has(name)) refuse("JsonDuplicateKey", name);
      this.space();
      this.take(":");
      out.set(name, this.value(depth + 1));
      if (this.source[this.at] === "}") return this.at++, out;
      this.take(",");
    }
  }
}

/** One JSON object (Map) in UTF-8 bytes. */
export function parseLine(bytes) {
  if (bytes.length > LINE_LIMIT) refuse("JsonLimit", "line too long");
  let source;
  try {
    source = fromText(bytes);
  } catch {
    refuse("JsonMalformed", "not UTF-8");
  }
  const parser = new Parser(source);
  const value = parser.value(0);
  if (parser.at !== source.length) parser.bad("something after the value");
  if (!(value instanceof Map)) refuse("JsonMalformed", "not an object");
  return value;
}
