/** Leaf, body and submission (docs/spec/entry.md). */
import { equal, isZero, text, toUint } from "./bytes.js";
import { decode } from "./cbor.js";
import { isCustodyClass, readEvent } from "./custodyevent.js";
import { refuse } from "./errors.js";
import { sha256, sm3 } from "./hashing.js";
import { leafHash, treeRoot } from "./merkle.js";
import * as shape from "./shape.js";

export const LEAF_SIZE = 112;
export const CONTINUATION = 128;
const MEDIATION = 5;
const BODY_LIMIT = 2048;
const SUBMISSION_LIMIT = 8 << 20;
const ENTRIES_LIMIT = 4096;
const MEDIA = /^[a-z0-9][a-z0-9!#$&^_.+-]{0,126}\/[a-z0-9][a-z0-9!#$&^_.+-]{0,126}$/;

const malformed = (field, detail) => refuse("MalformedInput", detail, field);

/** Header of 48 bytes as an object; all rules of entry.md §1 and §2. */
export function parseHeader(bytes) {
  if (bytes.length !== 48) malformed("header", "not 48 bytes");
  if (bytes[0] !== 1) refuse("UnknownVersion", `entry version ${bytes[0]}`, "header.version");
  const kind = bytes[1];
  if (!(kind >= 1 && kind <= 10) && kind !== CONTINUATION && !isCustodyClass(kind)) {
    refuse("UnknownEvidenceClass", `class ${kind}`, "header.class");
  }
  const flags = (bytes[2] << 8) | bytes[3];
  if (flags & ~1) malformed("header.flags", "unknown flag");
  const submitter = Number(toUint(bytes.subarray(4, 8)));
  if (submitter === 0) malformed("header.submitter", "0 is nobody");
  if (kind === MEDIATION && !flags) refuse("PrivilegedFlagMissing", "a mediation record is privileged", "header.flags");
  const caseCommitment = bytes.slice(16, 48);
  if (isZero(caseCommitment) !== (kind === CONTINUATION)) {
    malformed("header.case", "zero in class 128 and only there");
  }
  return { kind, privileged: flags === 1, submitter, sequence: toUint(bytes.subarray(8, 16)), caseCommitment };
}

/** Leaf of 112 bytes: its header and the two body digests. */
export function parseLeaf(leaf) {
  if (leaf.length !== LEAF_SIZE) malformed("leaf", `not ${LEAF_SIZE} bytes`);
  return { ...parseHeader(leaf.subarray(0, 48)), sha256: leaf.slice(48, 80), sm3: leaf.slice(80) };
}

export const evidenceId = (leaf) => leafHash(sha256, leaf);

export function unsequenced(leaf) {
  const out = leaf.slice();
  out.fill(0, 8, 16);
  return out;
}

/** Before anything else: a version that is not ours may have other fields. */
function versionFirst(value, field, newest = 1n) {
  if (!(value instanceof Map) || !value.has(0n)) return;
  const number = shape.big(value.get(0n), field);
  if (number < 1n || number > newest) refuse("UnknownVersion", `version ${value.get(0n)}`, field);
}

function parseLink(value) {
  const [relation, id] = shape.list(value, "body.links", { size: 2 });
  const number = shape.small(relation, "body.links", 8);
  if (number < 1 || number > 5) malformed("body.links", "unknown relation");
  return { relation: number, id: shape.bytes(id, "body.links", 32) };
}

/** Whether entries of this class record a document; the others are events of custody and of logs. */
export const isDocumentClass = (kind) => kind <= 10;

/** Body of a class; refuses as entry.md §3 says. */
export function parseBody(bytes, kind) {
  const value = decode(bytes, 3, { limit: BODY_LIMIT, items: 128 });
  versionFirst(value, "body.version", kind === CONTINUATION ? 2n : 1n);
  if (kind === CONTINUATION) {
    const renewed = value instanceof Map && value.get(0n) === 2n;
    const [, predecessor, size, rootSha256, rootSm3, salt, algorithm, root] = shape.fields(value, renewed ? 8 : 6, "body");
    if (renewed && shape.big(algorithm, "body.algorithm") !== 2n) malformed("body.algorithm", "not SHA3-256");
    if (renewed) shape.bytes(root, "body.root", 32);
    for (const item of [predecessor, rootSha256, rootSm3, salt]) shape.bytes(item, "body", 32);
    shape.big(size, "body.size", 63);
    return { predecessor, size };
  }
  if (isCustodyClass(kind)) return readEvent(value, kind);
  const all = shape.fields(value, 13, "body");
  const digest = (at, name) => shape.bytes(all[at], name, 32);
  const maybe = (at, name) => shape.orNull(all[at], (item) => shape.bytes(item, name, 32));
  const mediaType = shape.text(all[4], "body.mediaType");
  if (!MEDIA.test(mediaType) || mediaType.length > 127) malformed("body.mediaType", "not type/subtype");
  return {
    sha256: digest(1, "body.sha256"),
    sm3: digest(2, "body.sm3"),
    size: shape.small(all[3], "body.size", 53),
    mediaType,
    salt: digest(5, "body.salt"),
    caseReference: digest(6, "body.case"),
    subject: maybe(7, "body.subject"),
    actor: maybe(8, "body.actor"),
    eventTime: shape.orNull(all[9], (item) => shape.small(item, "body.eventTime", 40)),
    provenance: maybe(10, "body.provenance"),
    manifest: maybe(11, "body.manifest"),
    links: shape.list(all[12], "body.links", { most: 16, limit: "LimitExceeded" }).map(parseLink),
  };
}

/** The body is the one that the leaf commits to. */
export function checkBody(leaf, bytes, ignored = []) {
  const holds = (name, digest) => ignored.includes(name) || equal(digest(bytes), leaf[name]);
  if (!holds("sha256", sha256) || !holds("sm3", sm3)) {
    refuse("BodyMismatch", "the leaf commits to another body", "body");
  }
}

export const caseCommitment = (id) => sha256(text("caseledger/case/v1"), id);
export const caseReference = (salt, id) => sha256(text("caseledger/case-ref/v1"), salt, id);

/** A submission in CBOR (entry.md §4): its fields, its unsequenced leaves and their root. */
export function parseSubmission(bytes) {
  const value = decode(bytes, 4, { limit: SUBMISSION_LIMIT, items: 3 * ENTRIES_LIMIT + 16 });
  versionFirst(value, "submission.version");
  const all = shape.fields(value, 6, "submission");
  const logId = shape.bytes(all[1], "submission.logId", 32);
  const organisation = shape.small(all[2], "submission.organisation", 32, 1);
  const validUntil = shape.small(all[3], "submission.validUntil", 40);
  const signature = shape.bytes(all[4], "submission.signature", 65);
  const members = shape.list(all[5], "submission.entries", { least: 1, most: ENTRIES_LIMIT, limit: "LimitExceeded" });
  const seen = new Set();
  const leaves = members.map((member) => {
    const [header, body] = shape.list(member, "entries", { size: 2 });
    const parsed = parseHeader(shape.bytes(header, "entries.header"));
    if (parsed.sequence !== 0n) malformed("entries.header", "the log assigns the sequence");
    if (parsed.submitter !== organisation) refuse("SubmitterMismatch", "entry of another organisation", "entries");
    if (parsed.kind === CONTINUATION && members.length > 1) malformed("entries", "a log continuation stands alone");
    parseBody(shape.bytes(body, "entries.body"), parsed.kind);
    const leaf = new Uint8Array(LEAF_SIZE);
    leaf.set(header);
    leaf.set(sha256(body), 48);
    leaf.set(sm3(body), 80);
    const key = String.fromCharCode(...leaf);
    if (seen.has(key)) malformed("entries", "an entry stands twice");
    seen.add(key);
    return leaf;
  });
  const root = treeRoot(sha256, leaves.map((leaf) => leafHash(sha256, leaf)));
  return { logId, organisation, validUntil, signature, leaves, root };
}
