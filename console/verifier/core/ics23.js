/** ICS-23 proofs of the two trees of a Cosmos chain, narrowed as docs/spec/conformance.md §3 says. */
import { compare, concat, equal, text } from "./bytes.js";
import { as, refuse } from "./errors.js";
import { sha256 } from "./hashing.js";
import { readMessage, readVarint, varint } from "./proto.js";

const MAX_STEPS = 128;
const COMMITMENT = { 1: ["exist", "bytes!"], 2: ["nonexist", "bytes!"] };
const EXISTENCE = { 1: ["key", "bytes"], 2: ["value", "bytes"], 3: ["leaf", "bytes!"], 4: ["path", "bytes*"] };
const ABSENCE = { 1: ["key", "bytes"], 2: ["left", "bytes!"], 3: ["right", "bytes!"] };
const LEAF = { 1: ["hash", "uint"], 2: ["prehashKey", "uint"], 3: ["prehashValue", "uint"], 4: ["length", "uint"], 5: ["prefix", "bytes"] };
const INNER = { 1: ["hash", "uint"], 2: ["prefix", "bytes"], 3: ["suffix", "bytes"] };
const NONE = new Uint8Array(0);

const spec = (detail) => refuse("Ics23SpecViolation", detail);

function parseExistence(bytes) {
  const out = readMessage(bytes, EXISTENCE);
  if (!out.key || !out.value || !out.leaf) refuse("Ics23Malformed", "key, value or leaf missing");
  const leaf = readMessage(out.leaf, LEAF);
  const path = (out.path ?? []).map((step) => {
    const inner = readMessage(step, INNER);
    return { hash: inner.hash ?? 0n, prefix: inner.prefix ?? NONE, suffix: inner.suffix ?? NONE };
  });
  if (path.length > MAX_STEPS) spec("too many steps");
  return { key: out.key, value: out.value, leaf: { ...leaf, prefix: leaf.prefix ?? NONE }, path };
}

/** `{exist}` or `{nonexist: {key, left, right}}`. */
export function parseCommitment(bytes) {
  const out = readMessage(bytes, COMMITMENT);
  if ((out.exist === undefined) === (out.nonexist === undefined)) {
    refuse("Ics23Malformed", "neither a proof of existence nor one of absence");
  }
  if (out.exist !== undefined) return { exist: parseExistence(out.exist) };
  const { key = NONE, left, right } = readMessage(out.nonexist, ABSENCE);
  if (!left && !right) refuse("Ics23Malformed", "both neighbours missing");
  return { nonexist: { key, left: left && parseExistence(left), right: right && parseExistence(right) } };
}

function zigzag(bytes, at) {
  const [raw, next] = readVarint(bytes, at, "Ics23SpecViolation");
  if (raw & 1n) spec("negative number in a node");
  return [raw >> 1n, next];
}

/** Height, size and the rest of an iavl prefix. */
function iavlPrefix(prefix) {
  let height, size, version, at;
  [height, at] = zigzag(prefix, 0);
  [size, at] = zigzag(prefix, at);
  [version, at] = zigzag(prefix, at);
  return { height, size, version, rest: prefix.subarray(at) };
}

/** Whether the step's child is the right one, given what stands before it and after it. */
function side(before, after, mark) {
  const n = mark.length;
  if (before.length === n && equal(before, mark) && after.length === n + 32 && equal(after.subarray(0, n), mark)) {
    return false;
  }
  const long = 2 * n + 32;
  const right =
    before.length === long && equal(before.subarray(0, n), mark) && equal(before.subarray(n + 32), mark) && !after.length;
  return right || spec("step is neither a left nor a right child");
}

const IAVL_MARK = Uint8Array.of(0x20);

const TREES = {
  iavl: {
    leaf(prefix) {
      const { height, size, rest } = iavlPrefix(prefix);
      if (height !== 0n || size !== 1n || rest.length) spec("leaf prefix");
      return { height, size };
    },
    step(step, child) {
      const { height, size, rest } = iavlPrefix(step.prefix);
      if (height <= child.height || size <= child.size) spec("a node is not above its child");
      return { height, size, right: side(rest, step.suffix, IAVL_MARK) };
    },
  },
  simple: {
    leaf(prefix) {
      if (!equal(prefix, Uint8Array.of(0))) spec("leaf prefix");
      return {};
    },
    step(step) {
      if (step.prefix[0] !== 1) spec("node prefix");
      return { right: side(step.prefix.subarray(1), step.suffix, NONE) };
    },
  },
};

/** Root that the existence proof computes, and for each step whether its child is the right one. */
function climb(proof, tree) {
  const { leaf } = proof;
  if (leaf.hash !== 1n || leaf.prehashKey !== undefined || leaf.prehashValue !== 1n || leaf.length !== 1n) {
    spec("leaf operation");
  }
  let below = TREES[tree].leaf(leaf.prefix);
  let root = sha256(leaf.prefix, varint(proof.key.length), proof.key, varint(32), sha256(proof.value));
  const sides = [];
  for (const step of proof.path) {
    if (step.hash !== 1n) spec("inner operation");
    below = TREES[tree].step(step, below);
    sides.push(below.right);
    root = sha256(step.prefix, root, step.suffix);
  }
  return { root, sides };
}

function checkExistence(proof, tree, root) {
  const climbed = climb(proof, tree);
  if (!equal(climbed.root, root)) refuse("Ics23RootMismatch", "proof does not lead to the root");
  return climbed.sides;
}

/** Value of `key` in the tree with this root; `value` (optional) must be it. */
export function proveValue(exist, tree, root, key, value) {
  if (!equal(exist.key, key)) refuse("Ics23KeyMismatch", "proof is for another key");
  checkExistence(exist, tree, root);
  if (value && !equal(exist.value, value)) refuse("Ics23ValueMismatch", "proof is for another value");
  return exist.value;
}

/** Root of a store as the proof states it: the value under its name in the multistore. */
export function proveStore(commitment, name, appHash) {
  if (!commitment.exist) refuse("Ics23Malformed", "not a proof of existence");
  const root = proveValue(commitment.exist, "simple", appHash, name);
  if (root.length !== 32) refuse("Ics23Malformed", "a store's root is 32 bytes");
  return root;
}

/** Absence of `key`: its neighbours stand next to each other, or at the tree's edge. */
export function proveAbsence({ key: stated, left, right }, tree, root, key) {
  if (!equal(stated, key)) refuse("Ics23KeyMismatch", "proof is for another key");
  const notAbsent = (detail) => refuse("Ics23NotAbsent", detail);
  const lefts = left && checkExistence(left, tree, root);
  const rights = right && checkExistence(right, tree, root);
  if (left && compare(left.key, key) >= 0) notAbsent("left neighbour is not below the key");
  if (right && compare(right.key, key) <= 0) notAbsent("right neighbour is not above the key");
  if (!left) {
    if (rights.some((isRight) => isRight)) notAbsent("right neighbour is not the first leaf");
    return;
  }
  if (!right) {
    if (lefts.some((isRight) => !isRight)) notAbsent("left neighbour is not the last leaf");
    return;
  }
  let l = left.path.length - 1;
  let r = right.path.length - 1;
  while (l >= 0 && r >= 0 && equal(left.path[l].prefix, right.path[r].prefix) && equal(left.path[l].suffix, right.path[r].suffix)) {
    l--;
    r--;
  }
  if (l < 0 || r < 0 || lefts[l] || !rights[r]) notAbsent("neighbours do not part at one node");
  if (lefts.slice(0, l).some((isRight) => !isRight) || rights.slice(0, r).some((isRight) => isRight)) {
    notAbsent("a leaf stands between the neighbours");
  }
}

export const slotKey = (contract, position) => concat(Uint8Array.of(2), contract, position);
export const accountKey = (contract) => concat(Uint8Array.of(1), contract);

const ACCOUNT_TYPE = text("/injective.types.v1beta1.EthAccount");
const ANY = { 1: ["type", "bytes"], 2: ["value", "bytes"] };
const ACCOUNT = { 1: ["base", "bytes!"], 2: ["codeHash", "bytes"] };

/** Code hash in an account record. */
export function accountCodeHash(record) {
  const { type, codeHash } = as("CometAccountMalformed", () => {
    const any = readMessage(record, ANY);
    return { type: any.type ?? NONE, ...readMessage(any.value ?? NONE, ACCOUNT) };
  });
  if (!equal(type, ACCOUNT_TYPE)) refuse("CometAccountMalformed", "an account of another type");
  if (codeHash?.length !== 32) refuse("CometAccountMalformed", "no code hash of 32 bytes");
  return codeHash;
}
