/** Checkpoints, key ids and cosignatures (docs/spec/attestation.md §1), and the witness policy over them. */
import { base64, concat, hex, text } from "./bytes.js";
import { sha256 } from "./hashing.js";
import { ed25519Verifies } from "./signatures.js";

export const TYPE_COSIGNATURE = 4;

/** Text of a checkpoint: `algorithm` 0 is the SHA-256 tree, 1 the SM3 tree. */
export function checkpointText(origin, algorithm, size, root) {
  return text(`${origin}${algorithm === 1 ? "/sm3" : ""}\n${size}\n${base64(root)}\n`);
}

export function keyId(name, type, publicKey) {
  return sha256(text(name), Uint8Array.of(0x0a, type), publicKey).subarray(0, 4);
}

export function cosignatureVerifies(signature, time, checkpoint, publicKey) {
  const message = concat(text(`cosignature/v1\ntime ${time}\n`), checkpoint);
  return ed25519Verifies(signature, message, publicKey);
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

