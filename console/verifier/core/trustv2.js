/** What version 2 of the trust file adds: witness policy and time authorities (docs/spec/attestation.md §4). */
import { hex } from "./bytes.js";
import { KEY_SIZES, keyId } from "./checkpoint.js";
import { refuse } from "./errors.js";
import { checkKeyName } from "./note.js";
import * as shape from "./shape.js";

const bad = (field, detail) => refuse("MalformedInput", detail, field);

const name = (value, field) => shape.label(value, field, 256);
const ROLES = ["court", "regulator", "centre", "notary", "bank"];

/** Key name of a signed note: no space of any kind, no plus. */
function keyName(value, field) {
  return checkKeyName(shape.text(value, field), field);
}

/** One DER SEQUENCE, to the last byte. */
function derSequence(value, field) {
  const bytes = shape.bytes(value, field);
  const long = bytes[1] & 0x80 ? bytes[1] & 0x7f : 0;
  let size = bytes[1] & 0x7f;
  if (long) size = bytes.subarray(2, 2 + long).reduce((sum, byte) => sum * 256 + byte, 0);
  const shortest = !long || (long <= 4 && size >= (long === 1 ? 128 : 256 ** (long - 1)));
  if (bytes[0] !== 0x30 || !shortest || 2 + long + size !== bytes.length) bad(field, "not one DER sequence");
  return bytes;
}

function parseWitness(value) {
  const [label, type, key, statement, organisation, role] = shape.list(value, "witnesses", { size: 6 });
  const kind = shape.small(type, "witnesses.type", 8);
  if (!(kind in KEY_SIZES)) bad("witnesses.type", "neither 4 nor 6");
  return {
    name: keyName(label, "witnesses.name"),
    type: kind,
    key: shape.bytes(key, "witnesses.key", KEY_SIZES[kind]),
    statement: shape.small(statement, "witnesses.statement", 1),
    organisation: name(organisation, "witnesses.organisation"),
    role: ROLES.includes(role) ? role : bad("witnesses.role", "unknown"),
  };
}

/** `{witnesses, groups, quorum}`; quorum null for the empty policy. */
export function parseWitnessPolicy(value) {
  const [keys, groups, quorum] = shape.list(value, "witnesses", { size: 3 });
  const witnesses = shape.list(keys, "witnesses", { most: 64 }).map(parseWitness);
  const names = new Set();
  const publicKeys = new Set();
  for (const witness of witnesses) {
    const own = `${witness.statement} ${witness.name}`;
    const id = `${witness.statement} ${hex(keyId(witness.name, witness.type, witness.key))}`;
    if (names.has(own) || names.has(id) || publicKeys.has(hex(witness.key))) bad("witnesses", "name, id or key twice");
    names.add(own).add(id);
    publicKeys.add(hex(witness.key));
  }
  const placed = new Set();
  const known = new Set(witnesses.map((witness) => witness.name));
  const parsed = shape.list(groups, "groups", { most: 64 }).map((group) => {
    const [label, threshold, members] = shape.list(group, "groups", { size: 3 });
    const list = shape.list(members, "groups.members", { least: 1, most: 128 }).map((member) => keyName(member, "groups"));
    for (const member of list) {
      if (placed.has(member)) bad("groups.members", "in two groups, or twice in one");
      placed.add(member);
    }
    if (new Set(list).size !== list.length || !list.every((member) => known.has(member))) {
      bad("groups.members", "not the name of a witness or of an earlier group, or twice");
    }
    const needed = shape.small(threshold, "groups.threshold", 32, 1);
    if (needed > list.length) bad("groups.threshold", "more than members");
    if (known.has(keyName(label, "groups.name"))) bad("groups.name", "taken");
    known.add(label);
    return { name: label, threshold: needed, members: list };
  });
  if (quorum === null) {
    if (witnesses.length || parsed.length) bad("quorum", "missing");
  } else if (!known.has(shape.text(quorum, "quorum"))) {
    bad("quorum", "names nobody");
  }
  return { witnesses, groups: parsed, quorum };
}

function parseAuthority(value) {
  const [label, roots, policies, from, until] = shape.list(value, "authorities", { size: 5 });
  const authority = {
    name: name(label, "authorities.name"),
    roots: shape.list(roots, "authorities.roots", { least: 1, most: 8 }).map((root) => derSequence(root, "authorities.roots")),
    policies: shape.list(policies, "authorities.policies", { most: 32 }).map((oid) => {
      if (!/^[0-2](\.(0|[1-9][0-9]*))+$/.test(shape.text(oid, "authorities.policies"))) bad("authorities.policies", "not an OID");
      return oid;
    }),
    from: shape.small(from, "authorities.from", 40),
    until: shape.orNull(until, (item) => shape.small(item, "authorities.until", 40)),
  };
  if (authority.until !== null && authority.until < authority.from) bad("authorities.until", "before from");
  return authority;
}

export function parseAuthorities(value) {
  const out = shape.list(value, "authorities", { most: 16 }).map(parseAuthority);
  if (new Set(out.map((authority) => authority.name)).size !== out.length) bad("authorities.name", "twice");
  const roots = out.flatMap((authority) => authority.roots.map(hex));
  if (new Set(roots).size !== roots.length) bad("authorities.roots", "twice");
  return out;
}

/** When algorithms end (docs/spec/hash-renewal.md §3): `[{name, end}]`. */
export function parseEnds(value) {
  const out = shape.list(value, "ends", { most: 2 }).map((item) => {
    const [algorithm, end] = shape.list(item, "ends", { size: 2 });
    return { algorithm: shape.small(algorithm, "ends.algorithm", 1), end: shape.small(end, "ends.end", 40) };
  });
  if (out.length === 2 && out[0].algorithm >= out[1].algorithm) bad("ends", "not ascending");
  return out.map(({ algorithm, end }) => ({ name: ["sha256", "sm3"][algorithm], end }));
}

/** Contracts beside the two that every chain has (docs/spec/trust.md): `[{chainId, name, address, codeHash}]`. */
export function parseContracts(value) {
  return shape.list(value, "contracts", { most: 64 }).map((item) => {
    const [chainId, name, address, codeHash] = shape.list(item, "contracts", { size: 4 });
    if (!/^[A-Za-z][A-Za-z0-9]{0,31}$/.test(shape.text(name, "contracts.name"))) bad("contracts.name", "letters and digits");
    return {
      chainId: shape.big(chainId, "contracts.chainId", 64, 1n),
      name,
      address: shape.bytes(address, "contracts.address", 20),
      codeHash: shape.bytes(codeHash, "contracts.codeHash", 32),
    };
  });
}
