/** Answers to conformance lines (docs/spec/conformance.md). */
import { base64, equal, hex, isZero, text, toUint } from "./bytes.js";
import { submitDigest } from "./chainstate.js";
import { ABSENT, addressOf, FOR_BLOCK, HASHES, headerField, checkBlockId, verifyCommit } from "./comet.js";
import { checkBody, evidenceId, parseBody, parseLeaf, parseSubmission } from "./entry.js";
import { checkpoint, cosignature, policy } from "./conformance_checkpoint.js";
import { custody, receipt, sm2 } from "./conformance_receipt.js";
import { refuse, Refusal } from "./errors.js";
import * as f from "./fields.js";
import { sha256, sm3 } from "./hashing.js";
import { accountCodeHash, accountKey, parseCommitment, proveAbsence, proveStore, proveValue, slotKey } from "./ics23.js";
import { parseLine } from "./json.js";
import { verifyConsistency, verifyInclusion } from "./merkle.js";
import { MAX_HEADERS, parseCliqueHeader, verifyCliqueHeaders } from "./clique.js";
import { lookupAccount, lookupWord } from "./mpt.js";
import { parseQbftHeader, verifySeals } from "./qbft.js";
import { recover } from "./signatures.js";

const { anyInteger, claim, lower, upper } = f;

const FORMS = {
  inclusion: ["leafIdx", "treeSize", "root", "leafHash", "proof"],
  consistency: ["size1", "size2", "root1", "root2", "proof"],
};

function merkle(line) {
  const all = new f.Fields(line);
  const kind = all.get("kind", f.string);
  if (!(kind in FORMS)) f.invalid("kind", "neither inclusion nor consistency");
  const other = FORMS[kind === "inclusion" ? "consistency" : "inclusion"];
  for (const field of other) {
    if (!FORMS[kind].includes(field) && all.has(field)) refuse("FieldUnknown", "of the other form", field);
  }
  const hashes = { sha256, sm3 };
  const name = all.maybe("hash", f.string, "sha256");
  if (!Object.hasOwn(hashes, name)) f.invalid("hash", "unknown");
  const hash = hashes[name];
  const [a, b] = FORMS[kind].slice(0, 2).map((field) => all.get(field, anyInteger));
  const [c, d] = FORMS[kind].slice(2, 4).map((field) => all.get(field, f.hexBytes()));
  const proof = all.get("proof", f.nullOr(f.listOf(f.hexBytes()))) ?? [];
  if (kind === "inclusion") verifyInclusion(hash, a, b, d, proof, c);
  else verifyConsistency(hash, a, b, c, d, proof);
  return "";
}

function validators(value, field) {
  return f.listOf((item, name) => {
    const all = new f.Fields(item, name).only("address", "pub_key", "voting_power", "proposer_priority");
    const key = all.object("pub_key").only("type", "value");
    if (key.get("type", f.string) !== "tendermint/PubKeyEd25519") f.invalid(key.name("type"), "unknown");
    return {
      address: all.get("address", upper(20)),
      key: key.get("value", f.base64Bytes),
      power: all.get("voting_power", f.decimal),
    };
  })(value, field);
}

function blockId(all) {
  all.only("hash", "parts");
  const parts = all.object("parts").only("total", "hash");
  const id = {
    hash: all.get("hash", upper()),
    parts: { total: parts.get("total", anyInteger), hash: parts.get("hash", upper()) },
  };
  checkBlockId(id, all.path);
  return id;
}

function header(all) {
  all.only("version", "chain_id", "height", "time", "last_block_id", "proposer_address", ...HASHES);
  const version = all.object("version").only("block", "app");
  return {
    versionBlock: version.get("block", f.decimal),
    versionApp: version.maybe("app", f.decimal, 0n),
    chainId: all.get("chain_id", f.string),
    height: all.get("height", f.decimal),
    time: all.get("time", f.time),
    lastBlockId: blockId(all.object("last_block_id")),
    hashes: HASHES.map((name) => all.get(name, upper())),
    proposer: all.get("proposer_address", upper()),
  };
}

function vote(value, field) {
  const all = new f.Fields(value, field).only("block_id_flag", "validator_address", "timestamp", "signature");
  const flag = Number(all.get("block_id_flag", f.integer({ least: 1n, below: 4n })));
  if (flag === ABSENT) {
    const address = all.get("validator_address", upper());
    const empty = !address.length && all.get("timestamp", f.string) === "0001-01-01T00:00:00Z";
    const signature = all.get("signature", (item) => item);
    if (!empty || (signature !== null && signature !== "")) refuse("CometMalformed", "an absent vote says something", field);
    return { flag };
  }
  const out = {
    flag,
    address: all.get("validator_address", upper()),
    time: all.get("timestamp", f.time),
    signature: all.get("signature", f.base64Bytes),
  };
  if (out.signature.length !== 64) refuse("CometMalformed", "signature is not 64 bytes", field);
  return out;
}

function operations(all, store, key) {
  if (all.get("store", f.string) !== store) f.invalid(all.name("store"), `not ${store}`);
  if (!equal(all.get("key", lower()), key)) claim(all.name("key"));
  const ops = all.get("ops", f.listOf((item, name) => {
    const op = new f.Fields(item, name).only("type", "key", "data");
    return { type: op.get("type", f.string), key: op.get("key", f.string), data: op.get("data", f.base64Bytes) };
  }));
  if (ops.length !== 2) f.invalid(all.name("ops"), "not two operations");
  if (ops[0].type !== "ics23:iavl" || ops[1].type !== "ics23:simple") f.invalid(all.name("ops"), "other types");
  if (ops[0].key !== base64(key)) claim(all.name("ops[0].key"));
  if (ops[1].key !== base64(text(store))) claim(all.name("ops[1].key"));
  return { inner: parseCommitment(ops[0].data), outer: parseCommitment(ops[1].data) };
}

function ics23(line) {
  const all = new f.Fields(line).only(
    "kind", "about", "engine", "evm_block_hash", "chain_id", "contract", "slot", "value", "height", "storage", "account",
    "signed_header", "validators",
  );
  const contract = all.get("contract", f.address);
  const slot = all.get("slot", lower(32));
  const value = all.get("value", f.nullOr(lower(32)));
  const height = all.get("height", anyInteger);
  const set = all.get("validators", validators);
  const signed = all.object("signed_header").only("header", "commit");
  const head = header(signed.object("header"));
  const commit = signed.object("commit").only("height", "round", "block_id", "signatures");
  const commitHeight = commit.get("height", f.decimal);
  if (commitHeight < 1n || commitHeight >> 63n) refuse("CometMalformed", "height out of range", "commit.height");
  const round = commit.get("round", anyInteger);
  if (round < 0n || round >> 31n) refuse("CometMalformed", "round out of range", "commit.round");
  const id = blockId(commit.object("block_id"));
  if (!id.hash.length) refuse("CometMalformed", "a commit for no block", "commit.block_id");
  const votes = commit.get("signatures", f.listOf(vote));
  const storage = all.object("storage").only("store", "key", "ops");
  const account = all.object("account").only("store", "key", "value", "ops");
  const record = account.get("value", f.base64Bytes);

  if (all.has("chain_id") && all.get("chain_id", f.string) !== head.chainId) claim("chain_id");
  set.forEach(({ address, key }, at) => {
    if (!equal(address, addressOf(key))) f.invalid(`validators[${at}].address`, "not the key's");
  });
  const hash = verifyCommit(head, { round, parts: id.parts, votes }, set, undefined, () => {
    if (commitHeight !== head.height) refuse("CometCommitMismatch", "height");
    votes.forEach((item, at) => {
      if (item.flag !== ABSENT && set[at] && !equal(item.address, set[at].address)) refuse("CometCommitMismatch", `vote ${at}`);
    });
  }, id.hash);
  if (height !== head.height - 1n) claim("height");
  const appHash = headerField(head, "app_hash");
  const wordKey = slotKey(contract, slot);
  const word = operations(storage, "evm", wordKey);
  const evm = proveStore(word.outer, text("evm"), appHash);
  if (word.inner.exist) {
    const found = proveValue(word.inner.exist, "iavl", evm, wordKey);
    if (found.length !== 32) refuse("Ics23Malformed", "a word is 32 bytes", "storage");
    if (value === null || !equal(found, value)) claim("value");
  } else {
    proveAbsence(word.inner.nonexist, "iavl", evm, wordKey);
    if (value !== null) claim("value");
  }
  const owner = operations(account, "acc", accountKey(contract));
  if (!owner.inner.exist) refuse("Ics23Malformed", "not a proof of existence", "account");
  const acc = proveStore(owner.outer, text("acc"), appHash);
  proveValue(owner.inner.exist, "iavl", acc, accountKey(contract), record);
  return `block ${hex(hash)}, code hash ${hex(accountCodeHash(record))}`;
}

function checkedHeader(all) {
  const parsed = parseQbftHeader(all.get("header_rlp", lower()));
  const stated = all.get("block_hash", lower(32));
  return { ...parsed, checkHash: () => equal(stated, parsed.hash) || claim("block_hash") };
}

function compareSealers(all, sealers) {
  const stated = all.maybe("sealers", f.listOf(f.address));
  if (stated && (stated.length !== sealers.length || !stated.every((item, at) => equal(item, sealers[at])))) claim("sealers");
}

const hexStrings = f.listOf(lower());

/** Reads `contract`, `slot`, `value` and `proof`; gives the check of them against a state root. */
function storageClaims(all) {
  const contract = all.get("contract", f.address);
  const slot = all.get("slot", lower(32));
  const value = all.get("value", f.nullOr(lower(32))) ?? new Uint8Array(32);
  const proof = all.object("proof").only(
    "address", "accountProof", "balance", "codeHash", "nonce", "storageHash", "storageProof",
  );
  const address = proof.get("address", f.address);
  const accountNodes = proof.get("accountProof", hexStrings);
  const balance = proof.get("balance", f.quantity);
  const nonce = proof.get("nonce", f.quantity);
  const codeHash = proof.get("codeHash", lower(32));
  const storageHash = proof.get("storageHash", lower(32));
  const slots = proof.get("storageProof", f.listOf((item, name) => {
    const one = new f.Fields(item, name).only("key", "value", "proof");
    return { key: one.get("key", lower(32)), value: one.get("value", f.quantity), nodes: one.get("proof", hexStrings) };
  }));
  if (slots.length !== 1) f.invalid("proof.storageProof", "not one slot");
  return (stateRoot) => {
    if (!equal(address, contract)) claim("proof.address");
    const account = lookupAccount(stateRoot, contract, accountNodes);
    if (account.balance !== balance) claim("proof.balance");
    if (account.nonce !== nonce) claim("proof.nonce");
    if (!equal(account.codeHash, codeHash)) claim("proof.codeHash");
    if (!equal(account.storageHash, storageHash)) claim("proof.storageHash");
    const [one] = slots;
    if (!equal(one.key, slot)) claim("proof.storageProof[0].key");
    const word = lookupWord(account.storageHash, slot, one.nodes);
    if (toUint(word) !== one.value) claim("proof.storageProof[0].value");
    if (!equal(word, value)) claim("value");
    return isZero(word) ? "absent slot" : "proved";
  };
}

function qbftStorage(all) {
  all.only(
    "kind", "about", "engine", "block_number", "header_rlp", "block_hash", "validators", "sealers", "contract", "slot",
    "value", "proof",
  );
  const number = all.get("block_number", anyInteger);
  const trusted = all.get("validators", f.listOf(f.address));
  all.get("sealers", f.listOf(f.address));
  const checkStorage = storageClaims(all);
  const header = checkedHeader(all);
  const sealers = verifySeals(header, trusted);
  header.checkHash();
  compareSealers(all, sealers);
  if (number !== header.number) claim("block_number");
  return checkStorage(header.stateRoot);
}

function mptClique(line) {
  const all = new f.Fields(line);
  const storage = ["contract", "slot", "value", "proof"];
  const stored = storage.some((field) => all.has(field));
  all.only("kind", "about", "engine", "headers", "signers", "block_number", "block_hash", "sealers", ...(stored ? storage : []));
  const raws = all.get("headers", hexStrings);
  const signers = all.get("signers", f.listOf(f.address));
  const number = all.get("block_number", anyInteger);
  const hash = all.get("block_hash", lower(32));
  all.get("sealers", f.listOf(f.address));
  const checkStorage = stored ? storageClaims(all) : () => "headers";
  if (raws.length > MAX_HEADERS) refuse("LimitExceeded", "too many headers", "headers");
  const headers = raws.map(parseCliqueHeader);
  const sealers = verifyCliqueHeaders(headers, signers);
  compareSealers(all, sealers);
  if (number !== headers[0].number) claim("block_number");
  if (!equal(hash, headers[0].hash)) claim("block_hash");
  return checkStorage(headers[0].stateRoot);
}

function qbftHeader(all) {
  all.only(
    "kind", "about", "engine", "number", "round", "n_validators", "vote", "seals", "header_rlp", "block_hash", "validators",
    "sealers",
  );
  const number = all.get("number", anyInteger);
  const counted = all.has("n_validators") || all.has("vote") || all.has("seals");
  const count = counted ? all.get("n_validators", anyInteger) : null;
  const vote = counted ? all.get("vote", f.listOf(lower())) : null;
  const seals = counted ? all.get("seals", anyInteger) : null;
  const round = counted ? all.maybe("round", anyInteger) : all.get("round", anyInteger);
  const trusted = all.maybe("validators", f.listOf(f.address));
  const header = checkedHeader(all);
  const sealers = verifySeals(header, trusted ?? header.validators);
  header.checkHash();
  compareSealers(all, sealers);
  if (number !== header.number) claim("number");
  if (round !== null && round !== header.round) claim("round");
  if (counted) {
    if (count !== BigInt(header.validators.length)) claim("n_validators");
    if (vote.length !== header.vote.length || !vote.every((part, at) => equal(part, header.vote[at]))) claim("vote");
    if (seals !== BigInt(header.seals.length)) claim("seals");
  }
  return trusted ? "" : "nobody vouched for the validators: the header's own list";
}

function mptQbft(line) {
  const all = new f.Fields(line);
  const storage = ["proof", "contract", "slot", "value", "block_number"].some((field) => all.has(field));
  return storage ? qbftStorage(all) : qbftHeader(all);
}

function leafLine(all) {
  all.only("about", "leaf", "body", "evidenceId");
  const leaf = all.get("leaf", lower());
  const body = all.get("body", f.nullOr(lower()));
  const id = all.maybe("evidenceId", lower(32));
  const parsed = parseLeaf(leaf);
  if (id && !equal(id, evidenceId(leaf))) claim("evidenceId");
  if (body) {
    parseBody(body, parsed.kind);
    checkBody(parsed, body);
  }
  return hex(evidenceId(leaf));
}

function submissionLine(all) {
  all.only("about", "submission", "root", "chainId", "contract", "signer");
  const bytes = all.get("submission", lower());
  const root = all.maybe("root", lower(32));
  const signed = all.has("signer") || all.has("chainId") || all.has("contract");
  const chainId = signed ? all.get("chainId", anyInteger) : null;
  const contract = signed ? all.get("contract", f.address) : null;
  const signer = signed ? all.get("signer", f.address) : null;
  const submission = parseSubmission(bytes);
  if (root && !equal(root, submission.root)) claim("root");
  if (signed) {
    if (chainId < 0n) refuse("MalformedInput", "below 0", "chainId");
    const digest = submitDigest({ ...submission, chainId, contract, count: submission.leaves.length });
    if (!equal(recover(digest, submission.signature, 27, "BadSignature"), signer)) claim("signer");
  }
  return hex(submission.root);
}

function entry(line) {
  const all = new f.Fields(line);
  return all.has("submission") ? submissionLine(all) : leafLine(all);
}

const KINDS = { merkle, ics23, "mpt-qbft": mptQbft, "mpt-clique": mptClique, entry, receipt, checkpoint, cosignature, policy, custody, sm2 };
export const CONFORMANCE_KINDS = Object.keys(KINDS);

/** Answer to one line (bytes without the newline). Never throws. */
export function answer(kind, bytes) {
  try {
    return { accepted: true, code: "Ok", detail: KINDS[kind](parseLine(bytes)) };
  } catch (error) {
    if (error instanceof Refusal) return { accepted: false, code: error.code, detail: error.message };
    return { accepted: false, code: "VerifierFault", detail: String(error) };
  }
}
