/** Attestations in a receipt (docs/spec/attestation.md §3): their forms. */
import { compare } from "./bytes.js";
import { decode } from "./cbor.js";
import { as, refuse } from "./errors.js";
import { parseChainProof } from "./receipt.js";
import * as shape from "./shape.js";

const UNKNOWN = "AttestationUnknown";
const MAX_TOKEN = 32768;
const bad = (field, detail) => refuse("MalformedInput", detail, field);

/** Tree of an algorithm member: 0 SHA-256, 1 SM3. */
function algorithm(value) {
  return shape.small(value, "attestation.algorithm", 1);
}

function where(value) {
  return shape.orNull(value, (item) => {
    const [size, path] = shape.list(item, "attestation.where", { size: 2 });
    return { size: shape.big(size, "attestation.where", 63, 1n), path: shape.hashes(path, "attestation.where", 63) };
  });
}

function cosignature(value) {
  const [id, time, signature] = shape.list(value, "cosignature", { size: 3 });
  const out = {
    id: shape.bytes(id, "cosignature.id", 4),
    time: shape.big(time, "cosignature.time", 63),
    signature: shape.bytes(signature, "cosignature.signature"),
  };
  if (![64, 2420].includes(out.signature.length)) bad("cosignature.signature", "neither 64 nor 2,420 bytes");
  return out;
}

function witness(items) {
  const [, tree, place, signature, list] = shape.list(items, "witness", { size: 5 });
  const cosignatures = shape.list(list, "witness", { least: 1, most: 32 }).map(cosignature);
  cosignatures.forEach(({ id }, at) => {
    if (at && compare(cosignatures[at - 1].id, id) >= 0) bad("witness", "key ids not ascending");
  });
  return {
    algorithm: algorithm(tree), where: where(place), logSignature: shape.bytes(signature, "witness.log", 64), cosignatures,
  };
}

function blobs(value, field) {
  return shape.list(value, field, { most: 16 }).map((item) => shape.bytes(item, field));
}

function token(value) {
  const bytes = shape.bytes(value, "token");
  return bytes.length > MAX_TOKEN ? bad("token", "too long") : bytes;
}

function rfc3161(items) {
  const [, tree, place, der, certificates, revocation] = shape.list(items, "rfc3161", { size: 6 });
  return {
    algorithm: algorithm(tree), where: where(place), token: token(der),
    certificates: blobs(certificates, "rfc3161.certificates"), revocation: blobs(revocation, "rfc3161.revocation"),
  };
}

/** Places of earlier attestations, ascending. */
function earlier(list, position, least) {
  const positions = shape.list(list, "positions", { least }).map((item) => shape.small(item, "positions", 32));
  positions.forEach((item, at) => {
    if (item >= position || (at && positions[at - 1] >= item)) bad("positions", "not ascending and earlier");
  });
  return positions;
}

function renewal(items, position) {
  const [, list, der, certificates, revocation] = shape.list(items, "renewal", { size: 5 });
  return {
    positions: earlier(list, position, 1), token: token(der), certificates: blobs(certificates, "renewal.certificates"),
    revocation: blobs(revocation, "renewal.revocation"),
  };
}

function chain(items) {
  const [, proof] = shape.list(items, "chain", { size: 2 });
  try {
    return { proof: parseChainProof(proof) };
  } catch (error) {
    if (error.code === "UnknownProofKind") refuse(UNKNOWN);
    throw error;
  }
}

function sm2(items) {
  const [, publicKey, statement, signature, path] = shape.list(items, "sm2", { size: 5 });
  return {
    publicKey: shape.bytes(publicKey, "sm2.key", 64), statement: shape.bytes(statement, "sm2.statement", 65),
    signature: shape.bytes(signature, "sm2.signature", 64), path: shape.hashes(path, "sm2.path", 63),
  };
}

/** What stamps one tree under SHA3-256 (docs/spec/hash-renewal.md §2). */
function rehash(items, position) {
  const [, tree, kind, total, place, path, body, content, list, signature, tokens] = shape.list(items, "rehash", { size: 11 });
  const maybe = (value, length) => shape.orNull(value, (item) => shape.bytes(item, "rehash", length));
  const out = {
    scope: shape.small(kind, "rehash.scope", 1), size: shape.big(total, "rehash.size", 63, 1n), place: shape.big(place, "rehash.position", 63),
    path: shape.hashes(path, "rehash.path", 63), body: maybe(body, 32), content: maybe(content, 32),
    listed: earlier(list, position, 0), logSignature: maybe(signature, 64),
    tokens: shape.list(tokens, "rehash.tokens", { least: 1, most: 8 }).map((item) => {
      const [der, certificates, revocation] = shape.list(item, "rehash.tokens", { size: 3 });
      return { token: token(der), certificates: blobs(certificates, "rehash.certificates"), revocation: blobs(revocation, "rehash.revocation") };
    }),
  };
  if (shape.big(tree, "rehash.algorithm") !== 2n) bad("rehash.algorithm", "not SHA3-256");
  if (out.place >= out.size) bad("rehash.position", "not below the size");
  const operator = out.scope === 0;
  if (operator !== (out.logSignature !== null)) bad("rehash.signature", "the operator's alone");
  if (operator && (out.content !== null || out.listed.length)) bad("rehash", "the operator has neither content nor attestations");
  return out;
}

const READERS = { witness, rfc3161, renewal, chain, sm2, rehash };

/** `{position, kind, payload, known}` of an attestation; `known` false when kind or version is none of ours. */
export function parseAttestation({ kind, payload }, position) {
  const unknown = { position, kind, payload, known: false };
  if (!Object.hasOwn(READERS, kind)) return unknown;
  try {
    return as("MalformedAttestation", () => {
      const items = shape.list(decode(payload, 7, { items: 4096 }), kind, { least: 1 });
      if (shape.big(items[0], kind) !== 1n) refuse(UNKNOWN);
      return { position, kind, payload, known: true, ...READERS[kind](items, position) };
    }, [UNKNOWN]);
  } catch (error) {
    if (error.code === UNKNOWN) return unknown;
    throw error;
  }
}
