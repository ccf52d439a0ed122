/** Key ids and cosignatures (docs/spec/attestation.md §1), and the witness policy over them. */
import { ml_dsa44 } from "@noble/post-quantum/ml-dsa.js";
import { concat, hex, text, uint } from "./bytes.js";
import { sha256 } from "./hashing.js";
import { checkpointText, statementOrigin } from "./note.js";
import { ed25519Verifies } from "./signatures.js";

export const TYPE_LOG = 1;
export const TYPE_COSIGNATURE = 4;
export const TYPE_ML_DSA = 6;
export const KEY_SIZES = { [TYPE_COSIGNATURE]: 32, [TYPE_ML_DSA]: 1312 };
export const SIGNATURE_SIZES = { [TYPE_COSIGNATURE]: 64, [TYPE_ML_DSA]: 2420 };

export function keyId(name, type, publicKey) {
  return sha256(text(name), Uint8Array.of(0x0a, type), publicKey).subarray(0, 4);
}

/** Whether the cosignature over `{origin, algorithm, size, root}` is by this witness `{name, type, key}`. */
export function cosignatureVerifies(signature, time, { origin, algorithm, size, root }, { name, type, key }) {
  if (signature.length !== SIGNATURE_SIZES[type]) return false;
  if (type === TYPE_COSIGNATURE) {
    const message = concat(text(`cosignature/v1\ntime ${time}\n`), checkpointText(origin, algorithm, size, root));
    return ed25519Verifies(signature, message, key);
  }
  const [label, first] = [text(name), text(statementOrigin(origin, algorithm))];
  const message = concat(
    text("subtree/v1\n\0"), uint(label.length, 1), label, uint(time, 8), uint(first.length, 1), first, new Uint8Array(8), uint(size, 8), root,
  );
  try {
    return ml_dsa44.verify(signature, message, key);
  } catch {
    return false;
  }
}

/** Witnesses of a statement by key id in hex. */
export function witnessesById(policy, statement) {
  const out = new Map();
  for (const witness of policy?.witnesses ?? []) {
    if (witness.statement === statement) out.set(hex(keyId(witness.name, witness.type, witness.key)), witness);
  }
  return out;
}

/** Whether the names satisfy the policy's quorum. */
export function satisfied(policy, names) {
  if (!policy || policy.quorum === null) return false;
  const held = new Set(names);
  for (const { name, threshold, members } of policy.groups) {
    if (members.filter((member) => held.has(member)).length >= threshold) held.add(name);
  }
  return held.has(policy.quorum);
}

/**
 * Time of the quorum over one checkpoint, or null: the latest time in the shortest beginning, in order of time,
 * that satisfies the policy. `cosigned` is `[{name, time}]`.
 */
export function quorumTime(policy, cosigned) {
  const ordered = [...cosigned].sort((a, b) => (a.time < b.time ? -1 : a.time > b.time ? 1 : 0));
  const names = [];
  for (const { name, time } of ordered) {
    names.push(name);
    if (satisfied(policy, names)) return time;
  }
  return null;
}

