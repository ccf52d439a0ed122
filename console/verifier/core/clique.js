/** Clique headers (EIP-225): each sealed by one signer, depth in place of finality (docs/spec/conformance.md). */
import { equal, hex } from "./bytes.js";
import { refuse } from "./errors.js";
import { keccak256 } from "./hashing.js";
import { decodeRlp, encodeRlp, scalar } from "./rlp.js";
import { recover } from "./signatures.js";

export const MAX_HEADERS = 16;
export const MAX_SIGNERS = 31;
export const MAX_HEADER_BYTES = 2048;
const NO_UNCLES = "1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347";
const VANITY = 32;
const SEAL = 65;
const EXTRA = 12;

const bad = (detail) => refuse("CliqueMalformedHeader", detail, "header");
const isZeros = (bytes) => !bytes.some((byte) => byte);

/** Everything of a header that a proof needs. */
export function parseCliqueHeader(bytes) {
  if (bytes.length > MAX_HEADER_BYTES) bad("too long");
  const fields = decodeRlp(bytes);
  if (!Array.isArray(fields) || (fields.length !== 15 && fields.length !== 16)) bad("number of fields");
  if (!fields.every((field) => field instanceof Uint8Array)) bad("a field is a list");
  [32, 32, 20, 32, 32, 32, 256].forEach((size, at) => fields[at].length === size || bad(`field ${at}`));
  if (fields[13].length !== 32 || !isZeros(fields[13])) bad("mix hash is not 0");
  if (!/^(00|ff){8}$/.test(hex(fields[14])) || new Set(fields[14]).size !== 1) bad("nonce");
  if (hex(fields[1]) !== NO_UNCLES) bad("uncles");
  const integer = (at, most = 32) => scalar(fields[at], most) ?? bad(`field ${at}`);
  const [difficulty, number, , , time] = [integer(7), integer(8, 8), integer(9), integer(10), integer(11, 8)];
  if (fields.length === 16) integer(15);
  if (difficulty !== 1n && difficulty !== 2n) bad("difficulty");
  const extra = fields[EXTRA];
  const listed = extra.length - VANITY - SEAL;
  if (listed < 0 || listed % 20 || listed > 20 * MAX_SIGNERS) bad("extraData");
  if (listed && !(isZeros(fields[2]) && isZeros(fields[14]))) bad("a header with a signer list votes");
  const signers = [];
  for (let at = VANITY; at < VANITY + listed; at += 20) signers.push(extra.subarray(at, at + 20));
  const unsealed = [...fields];
  unsealed[EXTRA] = extra.subarray(0, VANITY + listed);
  return {
    number, time, difficulty, signers, parent: fields[0], stateRoot: fields[3], hash: keccak256(bytes),
    seal: extra.subarray(VANITY + listed), sealHash: keccak256(encodeRlp(unsealed)),
  };
}

function checkSet(names) {
  if (!names.length || names.length > MAX_SIGNERS || names.some((name) => name.length !== 40)) refuse("CliqueSignerSetInvalid");
  if (names.some((name, at) => at && names[at - 1] >= name)) refuse("CliqueSignerSetInvalid", "not ascending");
}

function checkHeader(header, parent, names, before) {
  if (parent) {
    if (header.number !== parent.number + 1n || !equal(header.parent, parent.hash)) refuse("CliqueParentMismatch");
    if (header.time < parent.time) refuse("CliqueTimeReversed");
  }
  const { signers } = header;
  if (signers.length && hex(Uint8Array.from(signers.flatMap((one) => [...one]))) !== names.join("")) {
    refuse("CliqueSignersMismatch");
  }
  const sealer = recover(header.sealHash, header.seal, 0, "CliqueSealInvalid");
  const name = hex(sealer);
  const place = names.indexOf(name);
  if (place < 0) refuse("CliqueSignerUnknown", name);
  const waiting = Math.floor(names.length / 2);
  if (waiting && before.slice(-waiting).some((one) => equal(one, sealer))) refuse("CliqueSignerRecent", name);
  const turn = header.number % BigInt(names.length) === BigInt(place);
  if (header.difficulty !== (turn ? 2n : 1n)) refuse("CliqueTurnMismatch", name);
  return sealer;
}

/** Who sealed each of a run of parsed headers; refuses a run that breaks a rule or is not deep enough. */
export function verifyCliqueHeaders(headers, trusted) {
  const names = trusted.map(hex);
  checkSet(names);
  const sealers = [];
  headers.forEach((header, at) => sealers.push(checkHeader(header, headers[at - 1], names, sealers)));
  if (headers.length < Math.floor(names.length / 2) + 1) refuse("CliqueDepthMissing", `${headers.length} headers`);
  return sealers;
}
