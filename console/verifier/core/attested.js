/** What the attestations of a receipt say, each judged by itself (docs/spec/attestation.md §2, §3, §6). */
import { hex } from "./bytes.js";
import { checkpointText, cosignatureVerifies, quorumTime, TYPE_COSIGNATURE, witnessesById } from "./checkpoint.js";
import { refuse, Refusal } from "./errors.js";
import { ed25519Verifies } from "./signatures.js";
import { sha256, sm3 } from "./hashing.js";
import { leafHash, rootOf } from "./merkle.js";

export const HASHES = [sha256, sm3];

/** Checkpoint text over which an attestation of this receipt speaks. */
export function attestedCheckpoint(core, { algorithm, where }) {
  const { inclusion, link, log, leaf } = core;
  if (where && where.size <= inclusion.index) refuse("CheckpointTooSmall", "the leaf is not in this tree");
  if (where && where.size < link.size) refuse("CheckpointTooSmall", "smaller than the batch");
  const own = algorithm === 0 ? inclusion.pathSha256 : inclusion.pathSm3;
  const size = where ? where.size : link.size;
  const hash = HASHES[algorithm];
  const root = rootOf(hash, inclusion.index, size, leafHash(hash, leaf), where ? where.path : own);
  return { algorithm, size, root, text: checkpointText(log.origin, algorithm, size, root) };
}

/** Valid cosignatures by named witnesses: `[{name, time}]`. */
function judgeWitness(one, { core, log, policy, at }) {
  const checkpoint = attestedCheckpoint(core, one);
  if (!ed25519Verifies(one.logSignature, checkpoint.text, log.key)) refuse("CheckpointSignatureInvalid");
  const named = witnessesById(policy, one.algorithm);
  const counted = [];
  let known = 0;
  for (const { id, time, signature } of one.cosignatures) {
    const witness = named.get(hex(id));
    if (!witness) continue;
    known++;
    if (witness.type !== TYPE_COSIGNATURE) continue;
    if (signature.length !== 64 || !cosignatureVerifies(signature, time, checkpoint.text, witness.key)) {
      refuse("CosignatureInvalid", witness.name);
    }
    if (time === 0n) refuse("CosignatureInvalid", `${witness.name}: time 0`);
    if (time > BigInt(at)) refuse("CosignatureInFuture", witness.name);
    counted.push({ name: witness.name, time: Number(time) });
  }
  return { checkpoint, counted, known };
}

/** All attestations over checkpoints, judged in order. */
export class Attested {
  /** `context` has core, log and policy of the trust file, evaluation time, and `ignored` (no SHA-256). */
  constructor(attestations, context, judgeTokens) {
    this.context = context;
    this.outcomes = new Map();
    this.refused = { witness: null, time: null };
    this.trees = new Map();
    for (const one of attestations) if (one.known && one.kind === "witness") this.witness(one);
    this.tokens = judgeTokens(attestations, this);
  }

  set(one, code, detail = "") {
    this.outcomes.set(one.position, { position: one.position, kind: one.kind, code, detail });
  }

  /** Judge with `work`; the first refusal is kept for the step that it belongs to. */
  judge(one, step, work) {
    try {
      return work();
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      this.set(one, error.code, error.detail);
      this.refused[step] ??= error;
      return null;
    }
  }

  witness(one) {
    if (this.context.ignored && one.algorithm === 0) return this.set(one, "AlgorithmIgnored");
    const judged = this.judge(one, "witness", () => judgeWitness(one, this.context));
    if (!judged) return;
    this.set(one, judged.counted.length ? "Ok" : "WitnessUnknown");
    const { algorithm, size, root } = judged.checkpoint;
    const name = `${algorithm} ${size} ${hex(root)}`;
    const tree = this.trees.get(name) ?? { algorithm, size, counted: [] };
    for (const item of judged.counted) {
      const held = tree.counted.find(({ name: known }) => known === item.name);
      if (held) held.time = Math.min(held.time, item.time);
      else tree.counted.push(item);
    }
    this.trees.set(name, tree);
  }

  /** Earliest time of a quorum over one checkpoint of the algorithm, or null. */
  quorum(algorithm) {
    const times = [...this.trees.values()]
      .filter((tree) => tree.algorithm === algorithm)
      .map((tree) => quorumTime(this.context.policy, tree.counted))
      .filter((time) => time !== null);
    return times.length ? Math.min(...times) : null;
  }

  witnessed(algorithm) {
    return this.quorum(algorithm) !== null;
  }
}
