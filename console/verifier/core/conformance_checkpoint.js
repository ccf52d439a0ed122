/** Answers to lines about checkpoints, cosignatures and witness policies (docs/spec/conformance.md §7). */
import { equal, hex, text } from "./bytes.js";
import { cosignatureVerifies, keyId, KEY_SIZES, quorumTime, SIGNATURE_SIZES, TYPE_LOG } from "./checkpoint.js";
import { as, refuse } from "./errors.js";
import * as f from "./fields.js";
import { checkKeyName, parseCheckpoint, parseNote, statementOrigin } from "./note.js";
import { checkLogOrigin } from "./receipt.js";
import { ed25519Verifies } from "./signatures.js";
import { parseWitnessPolicy } from "./trustv2.js";

const { anyInteger, claim, lower } = f;

/** Text without lone surrogates, which no UTF-8 holds. */
function unicode(value, field) {
  return /\p{Cs}/u.test(f.string(value, field)) ? f.invalid(field, "not Unicode") : value;
}

const time = f.integer({ below: 1n << 63n });

function algorithmOf(value, field) {
  const number = anyInteger(value, field);
  return number === 0n || number === 1n ? Number(number) : refuse("MalformedInput", "neither 0 nor 1", field);
}

export function checkpoint(line) {
  const all = new f.Fields(line).only("about", "note", "origin", "algorithm", "key", "size", "root");
  const note = all.get("note", unicode);
  const origin = all.get("origin", unicode);
  const algorithm = all.get("algorithm", algorithmOf);
  const key = all.get("key", lower(32));
  const size = all.maybe("size", anyInteger);
  const root = all.maybe("root", lower(32));
  checkLogOrigin(origin, "origin");
  const { text: body, lines } = parseNote(note);
  const found = parseCheckpoint(body);
  if (found.origin !== statementOrigin(origin, algorithm)) claim("origin");
  if (size !== null && size !== found.size) claim("size");
  if (root && !equal(root, found.root)) claim("root");
  const id = keyId(found.origin, TYPE_LOG, key);
  const own = lines.filter((one) => one.name === found.origin && equal(one.id, id));
  if (!own.length) refuse("CheckpointSignatureInvalid", "no line by the log's key");
  for (const { signature } of own) {
    if (!ed25519Verifies(signature, text(body), key)) refuse("CheckpointSignatureInvalid", "a line does not verify");
  }
  return `${found.origin} ${found.size}`;
}

export function cosignature(line) {
  const all = new f.Fields(line).only(
    "about", "text", "name", "type", "publicKey", "time", "signature", "keyId", "at", "size", "root",
  );
  const body = all.get("text", unicode);
  const name = all.get("name", unicode);
  const type = Number(all.get("type", anyInteger));
  if (!(type in KEY_SIZES)) f.invalid("type", "neither 4 nor 6");
  const key = all.get("publicKey", lower(KEY_SIZES[type]));
  const when = all.get("time", time);
  const signature = all.get("signature", lower(SIGNATURE_SIZES[type]));
  const id = all.maybe("keyId", lower(4));
  const at = all.maybe("at", time);
  const size = all.maybe("size", anyInteger);
  const root = all.maybe("root", lower(32));
  const { origin, ...tree } = parseCheckpoint(body);
  checkKeyName(name);
  if (size !== null && size !== tree.size) claim("size");
  if (root && !equal(root, tree.root)) claim("root");
  if (id && !equal(id, keyId(name, type, key))) claim("keyId");
  if (!cosignatureVerifies(signature, when, { origin, algorithm: 0, ...tree }, { name, type, key })) refuse("CosignatureInvalid");
  if (when === 0n) refuse("CosignatureInvalid", "time 0");
  if (at !== null && when > at) refuse("CosignatureInFuture");
  return hex(keyId(name, type, key));
}

/** The policy as the arrays of a trust file. */
function policyArrays(all) {
  all.only("witnesses", "groups", "quorum");
  const witnesses = all.get("witnesses", f.listOf((item, field) => {
    const one = new f.Fields(item, field).only("name", "type", "publicKey", "statement", "organisation", "role");
    return [
      one.get("name", f.string), one.get("type", anyInteger), one.get("publicKey", lower()), one.get("statement", anyInteger),
      one.get("organisation", f.string), one.get("role", f.string),
    ];
  }));
  const groups = all.get("groups", f.listOf((item, field) => {
    const one = new f.Fields(item, field).only("name", "threshold", "members");
    return [one.get("name", f.string), one.get("threshold", anyInteger), one.get("members", f.listOf(f.string))];
  }));
  return [witnesses, groups, all.get("quorum", f.nullOr(f.string))];
}

export function policy(line) {
  const all = new f.Fields(line).only("about", "policy", "statement", "times", "since");
  const arrays = policyArrays(all.object("policy"));
  const statement = Number(all.get("statement", f.integer({ below: 2n })));
  const times = all.get("times", f.listOf((item, field) => {
    const one = new f.Fields(item, field).only("name", "time");
    return { name: one.get("name", f.string), time: one.get("time", time) };
  }));
  const since = all.maybe("since", time);
  if (new Set(times.map(({ name }) => name)).size !== times.length) f.invalid("times", "a name twice");
  const parsed = as("MalformedTrustFile", () => parseWitnessPolicy(arrays));
  const names = new Set(parsed.witnesses.filter((one) => one.statement === statement).map(({ name }) => name));
  const found = quorumTime(parsed, times.filter(({ name }) => names.has(name)));
  if (found === null) refuse("WitnessQuorumMissing");
  if (since !== null && since !== found) claim("since");
  return `since ${found}`;
}
