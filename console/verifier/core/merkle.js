/** RFC 9162 §2.1: leaf and node hashes, inclusion and consistency proofs, over any hash function. */
import { equal } from "./bytes.js";
import { refuse } from "./errors.js";

const LEAF = Uint8Array.of(0);
const NODE = Uint8Array.of(1);
const LIMIT = 1n << 63n;

export const leafHash = (hash, leaf) => hash(LEAF, leaf);
const node = (hash, left, right) => hash(NODE, left, right);

function checkHashes(hashes) {
  for (const value of hashes) if (value.length !== 32) refuse("MerkleHashLength", "a hash is not 32 bytes");
}

function checkSize(size) {
  if (size < 0n || size >= LIMIT) refuse("MerkleSizeOutOfRange", "tree size out of range");
}

/** Root that `path` leads to from the leaf hash (BigInt index and size). RFC 9162 §2.1.3.2. */
export function rootOf(hash, index, size, leaf, path) {
  checkSize(size);
  if (index < 0n || index >= size) refuse("MerkleIndexOutOfRange", "leaf index not below the tree size");
  checkHashes([leaf, ...path]);
  let fn = index;
  let sn = size - 1n;
  let root = leaf;
  for (const sibling of path) {
    if (sn === 0n) refuse("MerkleProofLength", "path too long");
    if (fn & 1n || fn === sn) {
      root = node(hash, sibling, root);
      while (!(fn & 1n) && fn !== 0n) {
        fn >>= 1n;
        sn >>= 1n;
      }
    } else {
      root = node(hash, root, sibling);
    }
    fn >>= 1n;
    sn >>= 1n;
  }
  if (sn !== 0n) refuse("MerkleProofLength", "path too short");
  return root;
}

export function verifyInclusion(hash, index, size, leaf, path, root) {
  checkSize(size);
  if (index < 0n || index >= size) refuse("MerkleIndexOutOfRange", "leaf index not below the tree size");
  checkHashes([root]);
  const computed = rootOf(hash, index, size, leaf, path);
  if (!equal(computed, root)) refuse("MerkleRootMismatch", "path does not lead to the root");
}

/** RFC 9162 §2.1.4.2. */
export function verifyConsistency(hash, size1, size2, root1, root2, proof) {
  checkSize(size1);
  checkSize(size2);
  if (size1 === 0n) refuse("MerkleConsistencyFromEmpty");
  if (size2 < size1) refuse("MerkleSizesDecrease");
  if (size1 === size2) {
    if (proof.length) {
      checkHashes([root1, root2, ...proof]);
      refuse("MerkleProofLength", "equal sizes need no proof");
    }
    if (equal(root1, root2)) return;
    refuse("MerkleRootMismatch", "equal sizes, other roots");
  }
  checkHashes([root1, root2, ...proof]);
  if (!proof.length) refuse("MerkleProofLength", "empty proof");
  const path = (size1 & (size1 - 1n)) === 0n ? [root1, ...proof] : [...proof];
  let fn = size1 - 1n;
  let sn = size2 - 1n;
  while (fn & 1n) {
    fn >>= 1n;
    sn >>= 1n;
  }
  let first = path[0];
  let second = path[0];
  for (const c of path.slice(1)) {
    if (sn === 0n) refuse("MerkleProofLength", "proof too long");
    if (fn & 1n || fn === sn) {
      first = node(hash, c, first);
      second = node(hash, c, second);
      while (!(fn & 1n) && fn !== 0n) {
        fn >>= 1n;
        sn >>= 1n;
      }
    } else {
      second = node(hash, second, c);
    }
    fn >>= 1n;
    sn >>= 1n;
  }
  if (sn !== 0n) refuse("MerkleProofLength", "proof too short");
  if (!equal(first, root1) || !equal(second, root2)) refuse("MerkleRootMismatch");
}

/** Root of a tree over leaf hashes. */
export function treeRoot(hash, leaves) {
  if (leaves.length === 1) return leaves[0];
  let split = 1;
  while (split * 2 < leaves.length) split *= 2;
  return node(hash, treeRoot(hash, leaves.slice(0, split)), treeRoot(hash, leaves.slice(split)));
}
