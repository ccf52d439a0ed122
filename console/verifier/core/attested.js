/** What the attestations of a receipt say, each judged by itself (docs/spec/attestation.md §2, §3, §6). */
import { equal, hex } from "./bytes.js";
import { logIdOf, sm2KeyDigest, submitDigest } from "./chainstate.js";
import { cosignatureVerifies, quorumTime, TYPE_ML_DSA, witnessesById } from "./checkpoint.js";
import { unsequenced } from "./entry.js";
import { as, refuse, Refusal } from "./errors.js";
import { ed25519Verifies, recover } from "./signatures.js";
import { sm2Message, sm2Verifies } from "./sm2.js";
import { sha256, sm3 } from "./hashing.js";
import { leafHash, rootOf } from "./merkle.js";
import { checkpointText } from "./note.js";

export const HASHES = [sha256, sm3];
export const NAMES = ["sha256", "sm3"];

/** Checkpoint text over which an attestation of this receipt speaks. */
export function attestedCheckpoint(core, { algorithm, where }) {
  const { inclusion, link, log, leaf } = core;
  if (where && where.size <= inclusion.index) refuse("CheckpointTooSmall", "the leaf is not in this tree");
  if (where && where.size < link.size) refuse("CheckpointTooSmall", "smaller than the batch");
  const own = algorithm === 0 ? inclusion.pathSha256 : inclusion.pathSm3;
  const size = where ? where.size : link.size;
  const hash = HASHES[algorithm];
  const root = rootOf(hash, inclusion.index, size, leafHash(hash, leaf), where ? where.path : own);
  return { origin: log.origin, algorithm, size, root, text: checkpointText(log.origin, algorithm, size, root) };
}

/** Valid cosignatures by named witnesses: `[{name, time}]`. */
function judgeWitness(one, { core, log, policy, at, mlDsa }) {
  const checkpoint = attestedCheckpoint(core, one);
  if (!ed25519Verifies(one.logSignature, checkpoint.text, log.key)) refuse("CheckpointSignatureInvalid");
  const named = witnessesById(policy, one.algorithm);
  const counted = [];
  for (const { id, time, signature } of one.cosignatures) {
    const witness = named.get(hex(id));
    if (!witness || (witness.type === TYPE_ML_DSA && !mlDsa)) continue;
    if (!cosignatureVerifies(signature, time, checkpoint, witness)) refuse("CosignatureInvalid", witness.name);
    if (time === 0n) refuse("CosignatureInvalid", `${witness.name}: time 0`);
    if (time > BigInt(at)) refuse("CosignatureInFuture", witness.name);
    counted.push({ name: witness.name, time: Number(time) });
  }
  return { checkpoint, counted };
}

/** The submission's root signed once more by an SM2 key that the submitter's key vouches for. */
function checkSm2({ publicKey, statement, signature, path }, { leaf, header, submission, log }) {
  const own = unsequenced(leaf);
  const { position, count, validUntil } = submission;
  const rootSm3 = rootOf(sm3, position, count, leafHash(sm3, own), path);
  const root = rootOf(sha256, position, count, leafHash(sha256, own), submission.path);
  const { origin, chainId, evidenceLog: contract } = log;
  const signed = { chainId, contract, logId: logIdOf(origin), organisation: header.submitter, root, rootSm3, count, validUntil };
  const key = sm2KeyDigest({ ...signed, x: publicKey.subarray(0, 32), y: publicKey.subarray(32) });
  const bound = recover(key, statement, 27, "Sm2KeyNotBound");
  const submitter = as("Sm2KeyNotBound", () => recover(submitDigest(signed), submission.signature, 27, "SubmissionSignatureInvalid"));
  if (!equal(bound, submitter)) refuse("Sm2KeyNotBound", "by another key than the submission's");
  if (!sm2Verifies(signature, sm2Message(signed), publicKey)) refuse("Sm2SignatureInvalid");
}

/** All attestations over checkpoints, judged in order. */
export class Attested {
  /**
   * `context` has core, log and policy of the trust file, evaluation time, `ignored` (names of algorithms), `passed(one)` (not looked at
   * whatever it is), `moments` (times at which a hash renewal lets a position be judged) and `mlDsa` (count such keys).
   */
  constructor(attestations, context, judgeTokens) {
    this.context = context;
    this.outcomes = new Map();
    this.refusedAt = { witness: null, time: null };
    this.trees = new Map();
    this.sm2Key = null;
    for (const { one, code, detail, step, error } of context.rehashes) {
      this.set(one, code, detail);
      if (step) this.refuseAt(step, one.position, error);
    }
    for (const one of attestations) {
      if (!one.known || context.passed(one)) continue;
      if (one.kind === "witness") this.witness(one);
      if (one.kind === "sm2") this.sm2(one);
    }
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
      this.refuseAt(step, one.position, error);
      return null;
    }
  }

  /** The first in the list of attestations is the one that its step names. */
  refuseAt(step, position, error) {
    const held = this.refusedAt[step];
    if (!held || position < held.position) this.refusedAt[step] = { position, error };
  }

  /** Refusals by step, null where there is none. */
  get refused() {
    return { witness: this.refusedAt.witness?.error ?? null, time: this.refusedAt.time?.error ?? null };
  }

  witness(one) {
    if (this.context.ignored.includes(NAMES[one.algorithm])) return this.set(one, "AlgorithmIgnored");
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

  /** An extra fact; no verdict hangs on it. */
  sm2(one) {
    try {
      checkSm2(one, this.context.core);
      this.set(one, "Ok");
      this.sm2Key ??= one.publicKey;
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      this.set(one, error.code, error.detail);
    }
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
