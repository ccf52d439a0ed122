/** Merkle-Patricia proofs as eth_getProof gives them (docs/spec/conformance.md §4). */
import { equal, uint } from "./bytes.js";
import { refuse } from "./errors.js";
import { keccak256 } from "./hashing.js";
import { decodeRlp, encodeRlp, scalar } from "./rlp.js";

const MAX_NODES = 65;
const MAX_NODE = 1024;
const EMPTY_ROOT = keccak256(Uint8Array.of(0x80));

const malformed = (detail) => refuse("MptMalformedNode", detail);

function nibbles(bytes) {
  const out = [];
  for (const byte of bytes) out.push(byte >> 4, byte & 15);
  return out;
}

/** `{leaf, path}` of a hex prefix. */
function hexPrefix(encoded) {
  if (!(encoded instanceof Uint8Array) || !encoded.length) malformed("hex prefix");
  const all = nibbles(encoded);
  const flag = all[0];
  if (flag > 3) malformed("hex prefix");
  if (!(flag & 1) && all[1] !== 0) malformed("hex prefix padding");
  return { leaf: flag >= 2, path: all.slice(flag & 1 ? 1 : 2) };
}

/** Child reference: null, a node inside its parent (array), or a hash. */
function reference(value) {
  if (Array.isArray(value)) {
    if (encodeRlp(value).length >= 32) malformed("a node of 32 bytes or more inside its parent");
    return value;
  }
  if (!value.length) return null;
  if (value.length !== 32) malformed("reference of another size");
  return value;
}

function parseNode(value) {
  if (!Array.isArray(value)) malformed("not a list");
  if (value.length === 17) {
    const children = value.slice(0, 16).map(reference);
    if (!(value[16] instanceof Uint8Array) || value[16].length) malformed("a branch with a value");
    if (children.filter((child) => child !== null).length < 2) malformed("a branch with fewer than two children");
    return { kind: "branch", children };
  }
  if (value.length !== 2) malformed("neither 2 nor 17 elements");
  const { leaf, path } = hexPrefix(value[0]);
  if (leaf) {
    if (!(value[1] instanceof Uint8Array) || !value[1].length) malformed("leaf without a value");
    return { kind: "leaf", path, value: value[1] };
  }
  const child = reference(value[1]);
  if (!path.length || child === null) malformed("empty extension");
  return { kind: "extension", path, child };
}

const matches = (path, key, at) => path.every((nibble, i) => nibble === key[at + i]);

/** Value under keccak256(`key`) in the trie, or null when it is absent there. */
export function lookup(root, key, nodes) {
  if (nodes.length > MAX_NODES || nodes.some((node) => node.length > MAX_NODE)) refuse("MptLimit");
  const path = nibbles(keccak256(key));
  let used = 0;
  let at = 0;
  const done = (value) => {
    if (used !== nodes.length) refuse("MptUnusedNode", "a node that is not on the path");
    return value;
  };
  if (equal(root, EMPTY_ROOT) && !nodes.length) return null;
  let next = root;
  let parent = null;
  for (;;) {
    let value = next;
    if (next instanceof Uint8Array) {
      if (used === nodes.length) refuse("MptProofIncomplete", "proof ends too early");
      const bytes = nodes[used++];
      if (!equal(keccak256(bytes), next)) refuse("MptNodeMismatch", `node ${used - 1}`);
      if (bytes.length < 32 && used > 1) malformed("a node under 32 bytes outside its parent");
      value = decodeRlp(bytes);
      if (used === 1 && value instanceof Uint8Array && !value.length) return done(null);
    }
    const node = parseNode(value);
    if (parent === "extension" && node.kind !== "branch") malformed("an extension leads to no branch");
    parent = node.kind;
    if (node.kind === "leaf") {
      const left = path.length - at;
      if (node.path.length !== left) {
        if (node.path.length > left || at + node.path.length !== path.length) malformed("leaf at another depth");
      }
      return done(matches(node.path, path, at) ? node.value : null);
    }
    if (node.kind === "extension") {
      if (at + node.path.length >= path.length) malformed("path too long");
      if (!matches(node.path, path, at)) return done(null);
      at += node.path.length;
      next = node.child;
    } else {
      if (at >= path.length) malformed("path too long");
      next = node.children[path[at++]];
      if (next === null) return done(null);
    }
  }
}

/** `{nonce, balance, storageHash, codeHash}` of an address. */
export function lookupAccount(root, address, nodes) {
  const value = lookup(root, address, nodes);
  if (value === null) refuse("MptAccountAbsent", "the contract has no account in this state");
  const parts = decodeRlp(value);
  const form = Array.isArray(parts) && parts.length === 4 && parts.every((part) => part instanceof Uint8Array);
  const nonce = form ? scalar(parts[0], 8) : null;
  const balance = form ? scalar(parts[1]) : null;
  if (nonce === null || balance === null || parts[2].length !== 32 || parts[3].length !== 32) {
    refuse("MptMalformedValue", "account of another form");
  }
  return { nonce, balance, storageHash: parts[2], codeHash: parts[3] };
}

/** The 32-byte word at a storage position; zero when absent. */
export function lookupWord(storageHash, position, nodes) {
  const value = lookup(storageHash, position, nodes);
  if (value === null) return new Uint8Array(32);
  const number = scalar(decodeRlp(value));
  if (number === null || number === 0n) refuse("MptMalformedValue", "word of another form");
  return uint(number, 32);
}
