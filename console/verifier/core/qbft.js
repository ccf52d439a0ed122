/** QBFT headers and their seals. */
import { equal, hex } from "./bytes.js";
import { refuse } from "./errors.js";
import { keccak256 } from "./hashing.js";
import { decodeRlp, encodeRlp, scalar } from "./rlp.js";
import { recover } from "./signatures.js";

const MIX_HASH = "63746963616c2062797a616e74696e65206661756c7420746f6c6572616e6365";
const EXTRA = 12;
const bytesOf = (size) => ({ size });
const integer = (most = 32) => ({ most });
/** The 21 fields of conformance.md §4. */
const FORMS = [
  bytesOf(32), bytesOf(32), bytesOf(20), bytesOf(32), bytesOf(32), bytesOf(32), bytesOf(256), integer(), integer(8), integer(),
  integer(), integer(8), {}, bytesOf(32), bytesOf(8), integer(), bytesOf(32), integer(), integer(), bytesOf(32), bytesOf(32),
];

const bad = (detail) => refuse("QbftMalformedHeader", detail, "header");
const isBytes = (value, size) => value instanceof Uint8Array && (size === undefined || value.length === size);

function parseVote(value) {
  if (!Array.isArray(value)) bad("vote");
  if (!value.length) return null;
  const [address, kind] = value;
  if (value.length !== 2 || !isBytes(address, 20) || !isBytes(kind)) bad("vote");
  if (kind.length > 1) bad("vote");
  return value;
}

/** Each field has its size, or is an integer; returns difficulty, number and time. */
function checkFields(fields) {
  const values = fields.map((field, at) => {
    const form = FORMS[at];
    if (form.size !== undefined) return isBytes(field, form.size) || bad(`field ${at}`);
    return form.most === undefined ? null : scalar(field, form.most) ?? bad(`field ${at}`);
  });
  return [values[7], values[8], values[11]];
}

/** Everything of a header that a proof needs. */
export function parseQbftHeader(bytes) {
  const fields = decodeRlp(bytes);
  if (!Array.isArray(fields) || fields.length < 15 || fields.length > 21) bad("number of fields");
  if (!fields.every((field) => isBytes(field))) bad("a field is a list");
  const [difficulty, number, time] = checkFields(fields);
  if (difficulty !== 1n) bad("difficulty is not 1");
  if (hex(fields[13]) !== MIX_HASH) bad("mix hash is not QBFT's");
  if (fields[14].some((byte) => byte)) bad("nonce is not 0");
  const extra = decodeRlp(fields[EXTRA]);
  if (!Array.isArray(extra) || extra.length !== 5) bad("extraData");
  const [vanity, validators, vote, round, seals] = extra;
  if (!isBytes(vanity, 32)) bad("vanity");
  if (!Array.isArray(validators) || !validators.every((address) => isBytes(address, 20))) bad("validators");
  parseVote(vote);
  const roundNumber = scalar(round, 4);
  if (roundNumber === null) bad("round");
  if (!Array.isArray(seals) || !seals.every((seal) => isBytes(seal))) bad("seals");
  const hashWith = (roundBytes) => {
    const changed = [...fields];
    changed[EXTRA] = encodeRlp([vanity, validators, vote, roundBytes, []]);
    return keccak256(encodeRlp(changed));
  };
  return {
    number, time, stateRoot: fields[3], validators, vote, round: roundNumber, seals,
    hash: hashWith(new Uint8Array(0)), sealHash: hashWith(round),
  };
}

/** Addresses that sealed, in seal order; the set is the trusted one in the same order. */
export function verifySeals(header, trusted) {
  const names = trusted.map(hex);
  if (!names.length || new Set(names).size !== names.length) refuse("QbftValidatorSetInvalid");
  const same = header.validators.length === trusted.length && header.validators.every((address, at) => equal(address, trusted[at]));
  if (!same) refuse("QbftValidatorsMismatch", "the header names another set");
  const sealers = [];
  const seen = new Set();
  for (const seal of header.seals) {
    const address = recover(header.sealHash, seal, 0, "QbftSealInvalid");
    const name = hex(address);
    if (!names.includes(name)) refuse("QbftSealerUnknown", name);
    if (seen.has(name)) refuse("QbftSealRepeated", name);
    seen.add(name);
    sealers.push(address);
  }
  if (sealers.length < Math.ceil((2 * trusted.length) / 3)) refuse("QbftQuorumMissing");
  return sealers;
}

