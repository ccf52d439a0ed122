/** Trust files, versions 1 and 4 (docs/spec/trust.md), 2 (docs/spec/attestation.md §4) and 3 (docs/spec/hash-renewal.md §3). */
import { concat, hex, text } from "./bytes.js";
import { decode } from "./cbor.js";
import { MAX_SIGNERS } from "./clique.js";
import { isOrdered } from "./comet.js";
import { as, refuse } from "./errors.js";
import { sha256 } from "./hashing.js";
import { isOrigin } from "./note.js";
import * as shape from "./shape.js";
import { ed25519Verifies } from "./signatures.js";
import { parseAuthorities, parseContracts, parseEnds, parseWitnessPolicy } from "./trustv2.js";

const LIMIT = 1 << 20;
const ROLES = ["court", "regulator", "centre", "notary", "bank"];
const KINDS = ["ics23", "mpt-qbft", "mpt-clique", "none"];
const KEPT = ["UnknownVersion"];

const malformed = (field, detail) => refuse("MalformedInput", detail, field);

const name = (value, field) => shape.label(value, field, 256);

export function distinct(items, of, field) {
  const seen = new Set();
  for (const item of items) {
    const key = of(item);
    if (seen.has(key)) malformed(field, "listed twice");
    seen.add(key);
  }
  return items;
}

function parseKey(value) {
  const [key, label, role] = shape.list(value, "keys", { size: 3 });
  if (!ROLES.includes(role)) malformed("keys.role", "unknown role");
  return { key: shape.bytes(key, "keys", 32), name: name(label, "keys.name"), role };
}

function parseValidator(kind) {
  return (value) => {
    const [key, power, controller, group] = shape.list(value, "validators", { size: 4 });
    const parsed = {
      key: shape.bytes(key, "validators.key", kind === "ics23" ? 32 : 20),
      power: upTo(shape.big(power, "validators.power", 64, 1n), "validators.power", 1n << 60n),
      controller: name(controller, "validators.controller"),
      group: shape.big(group, "validators.group", 32),
    };
    if (kind.startsWith("mpt-") && parsed.power !== 1n) malformed("validators.power", "not 1");
    return parsed;
  };
}

function parseEpoch(kind, version) {
  return (value) => {
    const all = shape.list(value, "epochs", { size: version >= 2 ? 5 : 4 });
    const [number, from, to, validators, closedAt = null] = all;
    const epoch = {
      number: shape.big(number, "epochs.number", 32),
      from: shape.big(from, "epochs.from", 63),
      to: shape.orNull(to, (item) => shape.big(item, "epochs.to", 63)),
      validators: shape.list(validators, "epochs.validators", { least: 1, most: 128 }).map(parseValidator(kind)),
      closedAt: shape.orNull(closedAt, (item) => shape.small(item, "epochs.closedAt", 40)),
    };
    if (epoch.to !== null && epoch.to < epoch.from) malformed("epochs.to", "ends before it begins");
    if (version >= 2 && (epoch.to === null) !== (epoch.closedAt === null)) {
      malformed("epochs.closedAt", "null exactly where the epoch is open");
    }
    if (kind === "ics23" && !isOrdered(epoch.validators)) malformed("epochs.validators", "not in the chain's order");
    if (kind === "mpt-clique") {
      const names = epoch.validators.map(({ key }) => hex(key));
      const ascending = names.every((one, at) => !at || names[at - 1] <= one);
      if (names.length > MAX_SIGNERS || !ascending) malformed("epochs.validators", "too many or not ascending");
    }
    distinct(epoch.validators, ({ key }) => hex(key), "validators");
    return epoch;
  };
}

function parsePinned(value, field) {
  const [address, codeHash] = shape.list(value, field, { size: 2 });
  return { address: shape.bytes(address, field, 20), codeHash: shape.bytes(codeHash, field, 32) };
}

function parseChain(version) {
  return (value) => {
    const [id, engine, network, kind, epochs, registry, log] = shape.list(value, "chains", { size: 7 });
    if (!KINDS.includes(shape.text(kind, "chains.kind"))) malformed("chains.kind", "unknown proof kind");
    const chain = {
      id: shape.big(id, "chains.id", 64, 1n),
      engine: shape.label(engine, "chains.engine", 32),
      network: shape.label(network, "chains.network", 64),
      kind,
      epochs: shape.list(epochs, "chains.epochs", { least: kind === "none" || version >= 2 ? 0 : 1 }).map(parseEpoch(kind, version)),
      registry: parsePinned(registry, "chains.registry"),
      evidenceLog: parsePinned(log, "chains.evidenceLog"),
    };
    chain.epochs.forEach((epoch, at) => {
      if (!at) return;
      const before = chain.epochs[at - 1];
      if (before.to === null || epoch.from <= before.to || epoch.number <= before.number) {
        malformed("chains.epochs", "epochs overlap or do not ascend");
      }
    });
    return chain;
  };
}

function parseLog(value) {
  const [logOrigin, chainId, operator, key, closedSize, successor] = shape.list(value, "logs", { size: 6 });
  const origin = (item) => (isOrigin(shape.text(item, "logs.origin")) ? item : malformed("logs.origin", "not an origin"));
  return {
    origin: origin(logOrigin),
    chainId: shape.big(chainId, "logs.chainId", 64, 1n),
    operator: shape.small(operator, "logs.operator", 32, 1),
    key: shape.bytes(key, "logs.key", 32),
    closedSize: shape.orNull(closedSize, (item) => shape.big(item, "logs.closedSize", 63)),
    successor: shape.orNull(successor, origin),
  };
}

function checkLogs(logs, chains) {
  distinct(logs, (log) => log.origin, "logs");
  for (const log of logs) {
    if (!chains.some((chain) => chain.id === log.chainId)) malformed("logs.chainId", "chain not listed");
    if (log.successor === null) continue;
    if (log.closedSize === null) malformed("logs.successor", "of an open log");
    if (log.successor === log.origin || !logs.some((other) => other.origin === log.successor)) {
      malformed("logs.successor", "not listed");
    }
  }
}

function checkContracts(contracts, chains) {
  contracts.forEach((one, at) => {
    const chain = chains.find(({ id }) => id === one.chainId) ?? malformed("contracts.chainId", "chain not listed");
    const before = contracts[at - 1];
    if (at && (before.chainId > one.chainId || (before.chainId === one.chainId && before.name >= one.name))) {
      malformed("contracts", "not ascending");
    }
    const fixed = [chain.registry, chain.evidenceLog];
    const others = [...fixed, ...contracts.filter((other) => other !== one && other.chainId === one.chainId)];
    if (others.some((other) => hex(other.address) === hex(one.address))) malformed("contracts", "an address twice");
    if (hex(fixed[0].address) === hex(fixed[1].address)) malformed("contracts", "an address twice");
  });
}

function parsePolicy(value, version) {
  const [witnesses, tokens] = shape.list(value, "policy", { size: 2 });
  return {
    witnesses: Number(upTo(witnesses, "policy.witnesses", version >= 2 ? 1 : 16)),
    tokens: Number(upTo(tokens, "policy.tokens", version >= 2 ? 8 : 16)),
  };
}

function upTo(value, field, most) {
  const number = shape.big(value, field);
  return number > most ? malformed(field, `above ${most}`) : number;
}

function isQuorum(threshold, keys) {
  const roles = new Set(keys.map((key) => key.role));
  return keys.length >= threshold && roles.size >= 2 && (roles.has("court") || roles.has("regulator"));
}

function parsePayload(bytes) {
  const map = decode(bytes, 8, { limit: LIMIT, items: LIMIT / 4 });
  if (!(map instanceof Map)) malformed("payload", "not a map");
  const version = Number(shape.big(map.get(0n), "payload.version"));
  if (version < 1 || version > 4) refuse("UnknownVersion", `version ${version}`, "payload.version");
  const all = shape.fields(map, [11, 13, 14, 15][version - 1], "payload");
  const payload = {
    version,
    serial: shape.big(all[1], "payload.serial", 32, 1n),
    issuedAt: shape.small(all[2], "payload.issuedAt", 40),
    validUntil: shape.small(all[3], "payload.validUntil", 40),
    predecessor: shape.orNull(all[4], (item) => shape.bytes(item, "payload.predecessor", 32)),
    name: shape.list(all[5], "payload.name", { size: 2 }).map((item) => name(item, "payload.name")),
    threshold: shape.small(all[6], "payload.threshold", 8, 2),
    keys: shape.list(all[7], "keys", { least: 2, most: 16 }).map(parseKey),
    chains: shape.list(all[8], "chains", {}).map(parseChain(version)),
    logs: shape.list(all[9], "logs", {}).map(parseLog),
    policy: parsePolicy(all[10], version),
    witnesses: version >= 2 ? parseWitnessPolicy(all[11]) : null,
    authorities: version >= 2 ? parseAuthorities(all[12]) : [],
    ends: version >= 3 ? parseEnds(all[13]) : [],
    contracts: version >= 4 ? parseContracts(all[14]) : [],
  };
  if (payload.validUntil < payload.issuedAt) malformed("payload.validUntil", "before issuedAt");
  if ((payload.predecessor === null) !== (payload.serial === 1n)) malformed("payload.predecessor", "null for serial 1 alone");
  distinct(payload.keys, ({ key }) => hex(key), "keys");
  distinct(payload.chains, ({ id }) => id, "chains");
  if (!isQuorum(payload.threshold, payload.keys)) malformed("keys", "all keys together are no quorum");
  checkContracts(payload.contracts, payload.chains);
  checkLogs(payload.logs, payload.chains);
  if (version >= 2 && payload.policy.witnesses && payload.witnesses.quorum === null) malformed("policy", "no witness policy");
  if (version >= 2 && payload.policy.tokens > payload.authorities.length) malformed("policy", "more authorities than named");
  if (version >= 2 && payload.logs.some((log) => log.origin.endsWith("/sm3"))) malformed("logs.origin", "ends in /sm3");
  if (version >= 3 && payload.logs.some((log) => log.origin.endsWith("/sha3-256"))) malformed("logs.origin", "ends in /sha3-256");
  return payload;
}

function parseSignature(value) {
  const [position, signature] = shape.list(value, "signatures", { size: 2 });
  return { position: shape.small(position, "signatures", 8), signature: shape.bytes(signature, "signatures", 64) };
}

/** Trust file whose quorum of signatures is checked, with its fingerprint. */
export function parseTrust(bytes) {
  if (!parsedTrusts.has(bytes)) parsedTrusts.set(bytes, readTrust(bytes));
  return parsedTrusts.get(bytes);
}

/** A sheet's events are verified under one and the same file: its signatures are checked once. */
const parsedTrusts = new WeakMap();

function readTrust(bytes) {
  const file = as("MalformedTrustFile", () => {
    const outer = shape.list(decode(bytes, 4, { limit: LIMIT, items: 256 }), "trust", { least: 2 });
    if (outer[0] !== "caseledger-trust") malformed("trust", "not a trust file");
    if (shape.big(outer[1], "trust.version") !== 1n) refuse("UnknownVersion", `version ${outer[1]}`, "trust.version");
    const [, , payloadBytes, signatures] = shape.list(outer, "trust", { size: 4 });
    const payload = parsePayload(shape.bytes(payloadBytes, "payload"));
    const signed = shape.list(signatures, "signatures", { most: 16 }).map(parseSignature);
    signed.forEach(({ position }, at) => {
      if (position >= payload.keys.length) malformed("signatures", "no such key");
      if (at && signed[at - 1].position >= position) malformed("signatures", "positions not ascending");
    });
    return { payload, signed, message: concat(text("caseledger/trust/v1"), payloadBytes), fingerprint: sha256(payloadBytes) };
  }, KEPT);
  const { payload, signed, message } = file;
  for (const { position, signature } of signed) {
    if (!ed25519Verifies(signature, message, payload.keys[position].key)) {
      refuse("TrustSignatureInvalid", payload.keys[position].name);
    }
  }
  if (!isQuorum(payload.threshold, signed.map(({ position }) => payload.keys[position]))) refuse("TrustQuorumMissing");
  return file;
}
