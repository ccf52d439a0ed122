/** CometBFT: header hash, validator-set hash, canonical votes, commit. */
import { compare, concat, equal } from "./bytes.js";
import { refuse } from "./errors.js";
import { sha256 } from "./hashing.js";
import { leafHash, treeRoot } from "./merkle.js";
import { putBytes, putFixed64, putMessage, putText, putUint, varint } from "./proto.js";
import { ed25519Verifies } from "./signatures.js";

export const ABSENT = 1;
export const FOR_BLOCK = 2;
export const FOR_NIL = 3;
const MAX_SECONDS = 253402300799n; // the last second of 9999
const MAX_VALIDATORS = 1000;
const MAX_POWER = (1n << 63n) - 1n;

const merkle = (leaves) => treeRoot(sha256, leaves.map((leaf) => leafHash(sha256, leaf)));
const timestamp = ({ seconds, nanos }) => concat(putUint(1, seconds), putUint(2, nanos));
const partSet = ({ total, hash }) => concat(putUint(1, total), putBytes(2, hash));
const blockId = ({ hash, parts }) => concat(putBytes(1, hash), putMessage(2, partSet(parts)));

/** Whether `{key, power}` stand in the chain's order: power descending, then address ascending. */
export function isOrdered(validators) {
  return validators.every((validator, at) => {
    if (!at) return true;
    const before = validators[at - 1];
    if (before.power !== validator.power) return before.power > validator.power;
    return compare(addressOf(before.key), addressOf(validator.key)) < 0;
  });
}

export const addressOf = (publicKey) => sha256(publicKey).subarray(0, 20);

/** Hash over the 14 header fields. */
export function headerHash(h) {
  return merkle([
    concat(putUint(1, h.versionBlock), putUint(2, h.versionApp)),
    putText(1, h.chainId),
    putUint(1, h.height),
    timestamp(h.time),
    blockId(h.lastBlockId),
    ...h.hashes.map((hash) => putBytes(1, hash)),
    putBytes(1, h.proposer),
  ]);
}

/** Hash of a set of `{key, power}` in the chain's order. */
export function validatorsHash(validators) {
  return merkle(validators.map(({ key, power }) => concat(putMessage(1, putBytes(1, key)), putUint(2, power))));
}

/** Positions in `hashes` of a header, in the order of receipt.md §2. */
export const HASHES = [
  "last_commit_hash", "data_hash", "validators_hash", "next_validators_hash", "consensus_hash", "app_hash",
  "last_results_hash", "evidence_hash",
];
export const headerField = (header, name) => header.hashes[HASHES.indexOf(name)];

export function checkTime({ seconds, nanos }, field) {
  if (nanos >= 1_000_000_000n || seconds > MAX_SECONDS) refuse("CometMalformed", "time out of range", field);
}

/** Complete, or empty as in a chain's first header. */
export function checkBlockId({ hash, parts }, field) {
  const complete = hash.length === 32 && parts.hash.length === 32 && parts.total >= 1n && !(parts.total >> 32n);
  const empty = !hash.length && !parts.hash.length && parts.total === 0n;
  if (!complete && !empty) refuse("CometMalformed", "block id neither complete nor empty", field);
}

export function checkHeaderForm(h) {
  const bad = (detail) => refuse("CometMalformed", detail, "header");
  if (h.height < 1n || h.height >> 63n) bad("height out of range");
  if (h.versionBlock >> 64n || h.versionApp >> 64n) bad("version out of range");
  if (!/^[ -~]{1,50}$/.test(h.chainId)) bad("chain id is not 1 to 50 printable ASCII characters");
  checkTime(h.time, "header");
  checkBlockId(h.lastBlockId, "last_block_id");
  for (const hash of h.hashes) {
    if (hash.length !== 0 && hash.length !== 32) bad("a hash is neither empty nor 32 bytes");
  }
  for (const name of ["validators_hash", "app_hash", "next_validators_hash"]) {
    if (headerField(h, name).length !== 32) bad(`${name} empty`);
  }
  if (h.proposer.length !== 20) bad("proposer address is not 20 bytes");
}

function checkSet(validators) {
  const bad = (detail) => refuse("CometValidatorSetInvalid", detail);
  if (!validators.length || validators.length > MAX_VALIDATORS) bad("number of validators");
  const seen = new Set();
  let total = 0n;
  for (const { key, power } of validators) {
    const name = String(key);
    if (seen.has(name)) bad("a key twice");
    seen.add(name);
    if (key.length !== 32 || power <= 0n || power > MAX_POWER) bad("key or power");
    total += power;
  }
  if (total > MAX_POWER / 8n) bad("total power");
  return total;
}

function signBytes(header, commit, id, vote) {
  const message = concat(
    putUint(1, 2),
    putFixed64(2, header.height),
    putFixed64(3, commit.round),
    vote.flag === FOR_BLOCK ? putMessage(4, id) : new Uint8Array(0),
    putMessage(5, timestamp(vote.time)),
    putText(6, header.chainId),
  );
  return concat(varint(message.length), message);
}

/**
 * The header is signed by the set: hash of the set, each vote that is there, more than two thirds for the block.
 * `commit` has round, parts and votes `{flag, time, signature}` in the set's order. `placed` checks what else a
 * record states about its votes; `statedHash` is the block hash that it names. Returns the block's hash.
 */
export function verifyCommit(header, commit, validators, chainId, placed = () => {}, statedHash = null) {
  checkHeaderForm(header);
  const total = checkSet(validators);
  if (chainId !== undefined && header.chainId !== chainId) refuse("CometChainIdMismatch", header.chainId);
  if (!equal(headerField(header, "validators_hash"), validatorsHash(validators))) {
    refuse("CometValidatorsHashMismatch");
  }
  if (commit.votes.length !== validators.length) refuse("CometCommitMismatch", "number of votes");
  placed();
  const hash = headerHash(header);
  if (statedHash && !equal(hash, statedHash)) refuse("CometCommitMismatch", "block hash");
  const id = blockId({ hash, parts: commit.parts });
  let power = 0n;
  commit.votes.forEach((vote, at) => {
    if (vote.flag === ABSENT) return;
    if (!ed25519Verifies(vote.signature, signBytes(header, commit, id, vote), validators[at].key)) {
      refuse("CometSignatureInvalid", `vote ${at}`);
    }
    if (vote.flag === FOR_BLOCK) power += validators[at].power;
  });
  if (power * 3n <= total * 2n) refuse("CometQuorumMissing", `${power} of ${total}`);
  return hash;
}
