/** Fields of a conformance line: presence, form, and no others (docs/spec/conformance.md §1). */
import { fromBase64, fromHex, hex, text } from "./bytes.js";
import { refuse } from "./errors.js";
import { keccak256 } from "./hashing.js";

export const invalid = (field, detail) => refuse("FieldInvalid", detail, field);

export class Fields {
  /** `value` must be an object; `path` names it in refusals. */
  constructor(value, path = "") {
    if (!(value instanceof Map)) invalid(path, "not an object");
    this.map = value;
    this.path = path;
  }

  name(field) {
    return this.path ? `${this.path}.${field}` : field;
  }

  has(field) {
    return this.map.has(field);
  }

  get(field, read) {
    if (!this.map.has(field)) refuse("FieldMissing", "missing", this.name(field));
    return read(this.map.get(field), this.name(field));
  }

  /** Value, or `otherwise` when the field is not there. */
  maybe(field, read, otherwise = null) {
    return this.map.has(field) ? this.get(field, read) : otherwise;
  }

  object(field) {
    return this.get(field, (value, name) => new Fields(value, name));
  }

  only(...known) {
    for (const field of this.map.keys()) if (!known.includes(field)) refuse("FieldUnknown", "unknown", this.name(field));
    return this;
  }
}

export function integer({ least = 0n, below = 1n << 64n } = {}) {
  return (value, field) => {
    if (typeof value !== "bigint" || value < least || value >= below) invalid(field, "not an integer in range");
    return value;
  };
}

export function string(value, field) {
  if (typeof value !== "string") invalid(field, "not a string");
  return value;
}

/** Hex, `0x` or not, of one case: "lower", "upper" or "any". */
export function hexBytes({ size, letters = "any" } = {}) {
  return (value, field) => {
    const digits = string(value, field).replace(/^0x/, "");
    const bytes = fromHex(digits);
    if (!bytes) invalid(field, "not hex");
    const lower = digits === digits.toLowerCase();
    const upper = digits === digits.toUpperCase();
    if (!(letters === "lower" ? lower : letters === "upper" ? upper : lower || upper)) invalid(field, "letter case");
    if (size !== undefined && bytes.length !== size) invalid(field, `not ${size} bytes`);
    return bytes;
  };
}

export const lower = (size) => hexBytes({ size, letters: "lower" });
export const upper = (size) => hexBytes({ size, letters: "upper" });
export const anyInteger = integer({ least: -(10n ** 20n), below: 10n ** 20n });
export const claim = (field, detail) => refuse("ClaimMismatch", detail ?? "not the proved one", field);

/** Contract or account address: lower case, or mixed with a right EIP-55 checksum. */
export function address(value, field) {
  const digits = string(value, field).replace(/^0x/, "");
  const bytes = fromHex(digits);
  if (!bytes || bytes.length !== 20) invalid(field, "not an address");
  if (digits !== digits.toLowerCase()) {
    const sums = hex(keccak256(text(digits.toLowerCase())));
    const right = [...digits.toLowerCase()].map((c, i) => (parseInt(sums[i], 16) >= 8 ? c.toUpperCase() : c)).join("");
    if (right !== digits) invalid(field, "checksum");
  }
  return bytes;
}

export function base64Bytes(value, field) {
  return fromBase64(string(value, field)) ?? invalid(field, "not base64");
}

export function listOf(read) {
  return (value, field) => {
    if (!Array.isArray(value)) invalid(field, "not an array");
    return value.map((item, at) => read(item, `${field}[${at}]`));
  };
}

export function boolean(value, field) {
  return typeof value === "boolean" ? value : invalid(field, "neither true nor false");
}

export function nullOr(read) {
  return (value, field) => (value === null ? null : read(value, field));
}

/** Decimal string without leading zeros, of at most 20 digits; its range is the reader's matter. */
export function decimal(value, field) {
  if (!/^(0|[1-9][0-9]{0,19})$/.test(string(value, field))) invalid(field, "not a decimal string");
  return BigInt(value);
}

/** Ethereum quantity. */
export function quantity(value, field) {
  if (!/^0x(0|[1-9a-f][0-9a-f]{0,63})$/.test(string(value, field))) invalid(field, "not a quantity");
  return BigInt(value);
}

/** RFC 3339 UTC time: `{seconds, nanos}`. */
export function time(value, field) {
  const found = /^(\d{4})-(\d{2})-(\d{2})T(\d{2}):(\d{2}):(\d{2})(?:\.(\d{0,8}[1-9]))?Z$/.exec(string(value, field));
  if (!found) refuse("CometMalformed", "not a time in UTC", field);
  const [, year, month, day, hour, minute, second, fraction = ""] = found;
  const millis = Date.UTC(+year, +month - 1, +day, +hour, +minute, +second);
  const same = new Date(millis).toISOString().slice(0, 19) === value.slice(0, 19);
  if (!same || +year < 1970) refuse("CometMalformed", "no such time from 1970 to 9999", field);
  return { seconds: BigInt(millis / 1000), nanos: BigInt(fraction.padEnd(9, "0")) };
}
