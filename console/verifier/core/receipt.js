/** Receipts (docs/spec/receipt.md §1 and §2). */
import { parseAttestation } from "./attestation.js";
import { decode } from "./cbor.js";
import { MAX_HEADERS, MAX_HEADER_BYTES, parseCliqueHeader } from "./clique.js";
import { checkHeaderForm, checkTime } from "./comet.js";
import { as, refuse, Refusal } from "./errors.js";
import { parseBody, parseLeaf } from "./entry.js";
import { sha256 } from "./hashing.js";
import { isOrigin } from "./note.js";
import { parseQbftHeader } from "./qbft.js";
import * as shape from "./shape.js";

export const RECEIPT_LIMIT = 65536;
const CORE_LIMIT = 16384;
const MAX_ATTESTATIONS = 64;
const MAX_PATH = 63;
const MAX_ENTRIES = 4096n;
const KEPT = ["UnknownVersion", "UnknownProofKind"];

const malformed = (field, detail) => refuse("MalformedInput", detail, field);

function upTo(value, field, most) {
  return shape.big(value, field) > most ? malformed(field, `above ${most}`) : value;
}

function origin(value, field) {
  if (!isOrigin(shape.text(value, field))) malformed(field, "not a log origin");
  return value;
}

/** Origin of a log whose SM3 tree's origin is its own with `/sm3` behind it. */
export function checkLogOrigin(value, field) {
  return origin(value, field).endsWith("/sm3") ? malformed(field, "ends in /sm3") : value;
}

function parseSubmissionProof(value) {
  const [validUntil, signature, position, count, path] = shape.list(value, "submission", { size: 5 });
  return {
    validUntil: shape.small(validUntil, "submission.validUntil", 40),
    signature: shape.bytes(signature, "submission.signature", 65),
    position: upTo(position, "submission.position", MAX_ENTRIES),
    count: upTo(shape.big(count, "submission.count", 64, 1n), "submission.count", MAX_ENTRIES),
    path: shape.hashes(path, "submission.path", MAX_PATH),
  };
}

function parseLog(value) {
  const [name, chainId, evidenceLog, registry] = shape.list(value, "log", { size: 4 });
  return {
    origin: origin(name, "log.origin"),
    chainId: shape.big(chainId, "log.chainId", 64, 1n),
    evidenceLog: shape.bytes(evidenceLog, "log.evidenceLog", 20),
    registry: shape.bytes(registry, "log.registry", 20),
  };
}

function parseInclusion(value) {
  const [index, pathSha256, pathSm3] = shape.list(value, "inclusion", { size: 3 });
  return {
    index: shape.big(index, "inclusion.index", 63),
    pathSha256: shape.hashes(pathSha256, "inclusion.pathSha256", MAX_PATH),
    pathSm3: shape.hashes(pathSm3, "inclusion.pathSm3", MAX_PATH),
  };
}

function parseBatchLink(value) {
  const [number, previous, size, rootSha256, rootSm3, time] = shape.list(value, "link", { size: 6 });
  return {
    number: shape.big(number, "link.number", 64, 1n),
    previous: shape.bytes(previous, "link.previous", 32),
    size: shape.big(size, "link.size", 63, 1n),
    rootSha256: shape.bytes(rootSha256, "link.rootSha256", 32),
    rootSm3: shape.bytes(rootSm3, "link.rootSm3", 32),
    time: shape.small(time, "link.time", 40, 1),
  };
}

function timestamp(seconds, nanos, field) {
  const time = { seconds: shape.big(seconds, field), nanos: shape.big(nanos, field) };
  checkTime(time, field);
  return time;
}

function parseHeader(value) {
  const h = shape.list(value, "header", { size: 18 });
  const bytes = (at) => shape.bytes(h[at], "header");
  const header = {
    versionBlock: shape.big(h[0], "header.version"),
    versionApp: shape.big(h[1], "header.version"),
    chainId: /^[ -~]{1,50}$/.test(shape.text(h[2], "header.chainId")) ? h[2] : malformed("header.chainId", "not printable ASCII"),
    height: shape.big(h[3], "header.height", 63),
    time: timestamp(h[4], h[5], "header.time"),
    lastBlockId: { hash: bytes(6), parts: { total: shape.big(h[7], "header.parts", 32), hash: bytes(8) } },
    hashes: [9, 10, 11, 12, 13, 14, 15, 16].map(bytes),
    proposer: bytes(17),
  };
  checkHeaderForm(header);
  return header;
}

function parseVote(value) {
  const vote = shape.list(value, "commit.votes", { least: 1, most: 4 });
  const flag = shape.small(vote[0], "commit.votes", 8);
  if (flag === 1) {
    if (vote.length !== 1) malformed("commit.votes", "an absent vote says nothing");
    return { flag };
  }
  if ((flag !== 2 && flag !== 3) || vote.length !== 4) malformed("commit.votes", "vote of another form");
  return {
    flag,
    time: timestamp(vote[1], vote[2], "commit.votes"),
    signature: shape.bytes(vote[3], "commit.votes", 64),
  };
}

function parseCommit(value) {
  const [round, total, hash, votes] = shape.list(value, "commit", { size: 4 });
  return {
    round: shape.big(round, "commit.round", 31),
    parts: { total: shape.big(total, "commit.parts", 32, 1n), hash: shape.bytes(hash, "commit.parts", 32) },
    votes: shape.list(votes, "commit.votes", { most: 1000 }).map(parseVote),
  };
}

function proved(value, field, size) {
  const [stated, proof] = shape.list(value, field, { size: 2 });
  return { value: shape.bytes(stated, field, size), proof: shape.bytes(proof, field) };
}

const nodes = (value, field) =>
  shape.list(value, field, { most: 65 }).map((node) => shape.bytes(node, field));

/** Chain proof of receipt.md §2, by its kind. */
export function parseChainProof(value) {
  const items = shape.list(value, "proof", { least: 1 });
  const kind = shape.label(items[0], "proof.kind", 32);
  const sized = (size) => shape.list(items, `proof.${kind}`, { size });
  if (kind === "none") {
    sized(2);
    return { kind, number: shape.big(items[1], "proof.block") };
  }
  if (kind === "ics23") {
    sized(10);
    return {
      kind,
      stateHeight: shape.big(items[1], "proof.height"),
      header: parseHeader(items[2]),
      commit: parseCommit(items[3]),
      evm: shape.bytes(items[4], "proof.evm"),
      acc: shape.bytes(items[5], "proof.acc"),
      logAccount: proved(items[6], "proof.logAccount"),
      registryAccount: proved(items[7], "proof.registryAccount"),
      link: proved(items[8], "proof.link", 32),
      key: proved(items[9], "proof.key", 32),
    };
  }
  if (kind === "mpt-qbft") {
    sized(6);
    return {
      kind,
      header: parseQbftHeader(shape.bytes(items[1], "proof.header")),
      logAccount: nodes(items[2], "proof.logAccount"),
      link: nodes(items[3], "proof.link"),
      registryAccount: nodes(items[4], "proof.registryAccount"),
      key: nodes(items[5], "proof.key"),
    };
  }
  if (kind === "mpt-clique") {
    sized(6);
    const raws = shape.list(items[1], "proof.headers", { least: 1, most: MAX_HEADERS })
      .map((raw) => shape.bytes(raw, "proof.header"));
    if (raws.some((raw) => raw.length > MAX_HEADER_BYTES)) malformed("proof.header", "too long");
    const headers = raws.map(parseCliqueHeader);
    return {
      kind,
      headers,
      header: headers[0],
      logAccount: nodes(items[2], "proof.logAccount"),
      link: nodes(items[3], "proof.link"),
      registryAccount: nodes(items[4], "proof.registryAccount"),
      key: nodes(items[5], "proof.key"),
    };
  }
  return refuse("UnknownProofKind", kind, "proof.kind");
}

function version(value, field) {
  if (shape.big(value, field) !== 1n) refuse("UnknownVersion", `version ${value}`, field);
}

function parseCore(bytes) {
  const all = decode(bytes, 6, { limit: CORE_LIMIT, items: 4096 });
  if (!(all instanceof Map)) malformed("core", "not a map");
  version(all.get(0n), "core.version");
  const [, leaf, body, submission, log, inclusion, link, proof] = shape.fields(all, 8, "core");
  const leafBytes = shape.bytes(leaf, "core.leaf");
  const header = parseLeaf(leafBytes);
  const bodyBytes = shape.orNull(body, (item) => shape.bytes(item, "core.body"));
  return {
    leaf: leafBytes,
    header,
    body: bodyBytes,
    parsedBody: bodyBytes && parseBody(bodyBytes, header.kind),
    submission: parseSubmissionProof(submission),
    log: parseLog(log),
    inclusion: parseInclusion(inclusion),
    link: parseBatchLink(link),
    proof: parseChainProof(proof),
  };
}

function parsePair(value) {
  const [kind, payload] = shape.list(value, "attestation", { size: 2 });
  return { kind: shape.label(kind, "attestation.kind", 64), payload: shape.bytes(payload, "attestation.payload") };
}

/** Digest of the provenance statement that a receipt's body names, or null. */
export function recordedProvenance(bytes) {
  try {
    return parseReceipt(bytes).core.parsedBody?.provenance ?? null;
  } catch (error) {
    if (error instanceof Refusal) return null; // the verification says what is wrong with it
    throw error;
  }
}

/** Whether a hash renewal of the receipt speaks about its content, so that the file's SHA3-256 will be asked for. */
export function wantsSha3(bytes) {
  try {
    return parseReceipt(bytes).attestations.some(({ kind, content }) => kind === "rehash" && content);
  } catch (error) {
    if (error instanceof Refusal) return false;
    throw error;
  }
}

/** Receipt with its id; refuses with MalformedReceipt, UnknownVersion or UnknownProofKind. */
export function parseReceipt(bytes) {
  const receipt = as("MalformedReceipt", () => {
    const outer = decode(bytes, 4, { limit: RECEIPT_LIMIT, items: 256 });
    shape.list(outer, "receipt", { least: 2 });
    if (outer[0] !== "caseledger-receipt") malformed("receipt", "not a receipt");
    version(outer[1], "receipt.version");
    const [, , core, attestations] = shape.list(outer, "receipt", { size: 4 });
    const coreBytes = shape.bytes(core, "receipt.core");
    return {
      coreBytes,
      id: sha256(coreBytes),
      core: parseCore(coreBytes),
      attestations: shape.list(attestations, "attestations", { most: MAX_ATTESTATIONS }).map(parsePair),
    };
  }, KEPT);
  return { ...receipt, attestations: receipt.attestations.map(parseAttestation) };
}
