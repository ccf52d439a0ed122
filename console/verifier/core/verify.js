/** The steps of docs/spec/receipt.md §3, each a verdict of its own. */
import { equal, hex } from "./bytes.js";
import { Attested } from "./attested.js";
import { keyPosition, linkPosition, linkValue, logIdOf, parseKeySlot, PURPOSE_ACT, STATE_ACTIVE, submitDigest } from "./chainstate.js";
import { isCovered, openProof, proofHeight } from "./chainproof.js";
import { earliestTime, largestGroup } from "./bounds.js";
import { checkCustody } from "./custody.js";
import { judgeContent } from "./content.js";
import { isCustodyClass, isCustodyOrigin } from "./custodyevent.js";
import { caseCommitment, caseReference, CONTINUATION, evidenceId, isDocumentClass, unsequenced } from "./entry.js";
import { refuse, Refusal } from "./errors.js";
import { sha256, sm3 } from "./hashing.js";
import { leafHash, rootOf, verifyInclusion } from "./merkle.js";
import { judgeProvenance } from "./provenance.js";
import { parseReceipt } from "./receipt.js";
import { recover } from "./signatures.js";
import { Other, reduced, Steps } from "./steps.js";
import { chooseAlgorithms, COVERABLE, NOT_RENEWED } from "./algorithmends.js";
import { judgeTokens } from "./tokens.js";
import { parseTrust } from "./trust.js";

class Verification extends Steps {
  constructor({ content, at, caseId, provenance, custody, ignore, mlDsa }) {
    super(at);
    this.statement = provenance ?? null;
    this.sheet = custody ?? null;
    this.mlDsa = mlDsa;
    this.ignore = ignore;
    this.looked = { ignored: [], ...NOT_RENEWED };
    this.blocks = [];
    this.witnessesOnly = false;
    this.content = content ?? null;
    this.caseId = caseId ?? null;
    this.facts = {};
  }

  run(receiptBytes, trustBytes) {
    this.step("receipt", [], (note) => this.readReceipt(receiptBytes, note));
    this.step("trust-file", [], (note) => this.readTrust(trustBytes, note));
    this.decideAlgorithms();
    this.step("content", ["receipt"], (note) => this.checkContent(note));
    this.step("inclusion", ["receipt"], (note) => this.checkInclusion(note));
    this.judgeAttestations();
    this.step("finality", ["receipt", "trust-file"], (note) => this.checkFinality(note));
    this.step("append-only", ["finality"], (note) => this.checkAppendOnly(note));
    this.step("time", ["append-only"], (note) => this.checkTime(note));
    this.step("signer", ["inclusion", "append-only"], (note) => this.checkSigner(note));
    this.step("custody", [], () => this.checkCustody(receiptBytes, trustBytes));
    this.step("provenance", [], (note) => this.checkProvenance(note));
    this.step("neutrality", ["finality"], (note) => this.checkNeutrality(note));
    this.lessenRenewed();
    if (this.attested?.sm2Key && ["PASS", "REDUCED"].includes(this.verdicts.get("signer").status)) {
      this.facts.sm2Key = hex(this.attested.sm2Key);
    }
    return this.report({
      facts: this.facts,
      attestations: this.attested ? [...this.attested.outcomes.values()].sort((a, b) => a.position - b.position) : [],
      uncheckedAttestations: (this.receipt?.attestations ?? []).filter(({ known }) => !known).map(({ kind }) => kind),
    });
  }

  /** The trust file's entry of the receipt's log, or undefined. */
  namedLog() {
    const { origin, chainId } = this.core.log;
    return this.trust.logs.find((log) => log.origin === origin && log.chainId === chainId);
  }

  /** What is not looked at, and what a hash renewal saves of it (docs/spec/hash-renewal.md §4). */
  decideAlgorithms() {
    const trusted = this.holds("trust-file");
    const log = trusted && this.core && this.namedLog();
    const context = log && {
      receipt: this.receipt, log, authorities: this.trust.authorities, needed: Math.max(1, this.trust.policy.tokens), at: this.at,
    };
    this.looked = chooseAlgorithms(this.ignore, trusted ? this.trust.ends : [], this.at, context);
    if (this.looked.told.length) this.facts.ignoredAlgorithm = this.looked.told.join(",");
    if (this.looked.from !== null) this.facts.hashRenewedAt = this.looked.from;
  }

  /** Whether an algorithm is left out of account. */
  without(name) {
    return this.looked.ignored.includes(name);
  }

  /** Only over a leaf that is in the log (or of which nothing is known any more), and of a log that the trust file names. */
  judgeAttestations() {
    if (!this.holds("trust-file")) return;
    const { status, code } = this.verdicts.get("inclusion");
    const nothing = code === "HashNotRenewed";
    if (status !== "PASS" && !nothing) return;
    const log = this.namedLog();
    if (!log) return;
    const { ignored, rehashes, moments, covered } = this.looked;
    const passed = (one) => {
      if (nothing) return one.kind !== "rehash";
      return covered !== null && COVERABLE.includes(one.kind) && !covered.has(one.position);
    };
    this.attested = new Attested(this.receipt.attestations, {
      core: this.core, receipt: this.receipt, log, policy: this.trust.witnesses, authorities: this.trust.authorities,
      at: this.at, ignored, rehashes, moments, passed, mlDsa: this.mlDsa,
    }, judgeTokens);
    for (const one of this.receipt.attestations) {
      if (one.known && one.kind !== "rehash" && passed(one)) this.attested.set(one, "AlgorithmIgnored");
    }
  }

  witnessed(algorithm) {
    return this.attested?.witnessed(algorithm) ?? false;
  }

  readReceipt(bytes, note) {
    this.receipt = parseReceipt(bytes);
    const { core, id } = this.receipt;
    this.core = core;
    note("receipt.id", hex(id));
    Object.assign(this.facts, {
      receiptId: hex(id),
      evidenceId: hex(evidenceId(core.leaf)),
      class: core.header.kind,
      privileged: core.header.privileged,
      submitter: core.header.submitter,
      sequence: core.header.sequence,
      caseCommitment: hex(core.header.caseCommitment),
      log: core.log.origin,
      chainId: core.log.chainId,
      index: core.inclusion.index,
      batch: core.link.number,
      anchoredAt: core.link.time,
    });
  }

  readTrust(bytes, note) {
    const { payload, fingerprint, signed } = parseTrust(bytes);
    this.trust = payload;
    note("trust.fingerprint", hex(fingerprint));
    note("trust.signatures", `${signed.length}/${payload.keys.length}`);
    note("trust.window", `${payload.issuedAt}..${payload.validUntil}`);
    this.facts = {
      trustFingerprint: hex(fingerprint),
      trustSerial: payload.serial,
      consortiumZh: payload.name[0],
      consortiumEn: payload.name[1],
      ...this.facts,
    };
    if (this.at < payload.issuedAt || this.at > payload.validUntil) {
      return new Other("INDETERMINATE", "OutsideTrustWindow");
    }
  }

  checkContent(note) {
    return judgeContent({ core: this.core, content: this.content, looked: this.looked }, note);
  }

  checkInclusion(note) {
    const { leaf, log, inclusion, link, header, parsedBody } = this.core;
    if (this.looked.nothing) throw new Other("INDETERMINATE", "HashNotRenewed");
    if (!this.without("sha256")) {
      note("link.rootSha256", hex(link.rootSha256));
      verifyInclusion(sha256, inclusion.index, link.size, leafHash(sha256, leaf), inclusion.pathSha256, link.rootSha256);
    }
    note("leaf.id", hex(evidenceId(leaf)));
    note("leaf.index", `${inclusion.index} < ${link.size}`);
    if (!this.without("sm3")) {
      note("link.rootSm3", hex(link.rootSm3));
      verifyInclusion(sm3, inclusion.index, link.size, leafHash(sm3, leaf), inclusion.pathSm3, link.rootSm3);
    }
    if (header.kind === CONTINUATION && inclusion.index !== 0n) refuse("ContinuationMisplaced", "not the first entry");
    if (header.kind !== CONTINUATION && isCustodyClass(header.kind) !== isCustodyOrigin(log.origin)) refuse("ClassMisplaced", log.origin);
    if (this.caseId) {
      note("leaf.case", hex(header.caseCommitment));
      if (!equal(caseCommitment(this.caseId), header.caseCommitment)) refuse("CaseMismatch");
      const held = isDocumentClass(header.kind) ? parsedBody : null;
      if (held && !equal(caseReference(held.salt, this.caseId), held.caseReference)) refuse("CaseMismatch");
    }
  }

  checkFinality(note) {
    const { log, proof } = this.core;
    const chain = this.trust.chains.find(({ id }) => id === log.chainId) ?? refuse("ChainNotTrusted");
    this.chain = chain;
    note("chain.id", chain.id);
    note("chain.network", chain.network);
    if (chain.kind !== proof.kind) refuse("ProofKindMismatch", `${proof.kind}, not ${chain.kind}`);
    if (this.without("sha256")) {
      this.ignoreChains();
      throw reduced("AlgorithmIgnored");
    }
    if (proof.kind === "none" || !isCovered(chain, proofHeight(proof))) {
      if (this.witnessed(0)) {
        this.witnessesOnly = true;
        throw reduced("WitnessesOnly");
      }
      if (proof.kind === "none") throw new Other("REDUCED", "ChainProofNone", "a development chain proves nothing");
    }
    const own = openProof(proof, chain);
    const later = this.openChains(chain);
    this.blocks = [own, ...later];
    const open = own.epoch.to === null || this.attestedInside(own.epoch);
    const instead = open ? null : later.find(({ epoch }) => epoch.to === null);
    const block = instead ?? own;
    this.block = block;
    Object.assign(this.facts, { blockHeight: block.height, blockTime: block.time });
    note("block.height", block.height);
    note("block.hash", hex(block.hash));
    note("block.stateRoot", hex(block.state.root));
    const names = [...new Set(block.epoch.validators.map(({ controller }) => controller))];
    note("epoch.number", `${block.epoch.number}: ${names.join(", ")}`);
    if (block.depth) note("block.depth", `${block.depth.following}, ${block.depth.sealers}/${block.depth.signers}`);
    if (!open && !instead) throw reduced("ClosedEpoch");
    if (block.depth) throw new Other("REDUCED", "DepthFinality", `${block.depth.following} blocks on top`);
  }

  /** Blocks of the chain attestations that the trust file covers; a failure is one of the step. */
  openChains(chain) {
    const out = [];
    let failure = null;
    for (const one of this.receipt.attestations) {
      if (!one.known || one.kind !== "chain" || !this.attested || this.attested.outcomes.has(one.position)) continue;
      const known = one.proof.kind === chain.kind;
      if (known && (chain.kind === "none" || !isCovered(chain, proofHeight(one.proof)))) {
        this.attested.set(one, "EpochNotTrusted");
        continue;
      }
      try {
        if (!known) refuse("ProofKindMismatch", `${one.proof.kind}, not ${chain.kind}`);
        out.push({ ...openProof(one.proof, chain), one });
        this.attested.set(one, "Ok");
      } catch (error) {
        if (!(error instanceof Refusal)) throw error;
        this.attested.set(one, error.code, error.detail);
        failure ??= error;
      }
    }
    if (failure) throw failure;
    return out;
  }

  ignoreChains() {
    for (const one of this.receipt.attestations) {
      if (one.known && one.kind === "chain") this.attested?.set(one, "AlgorithmIgnored");
    }
  }

  /** A witness quorum or the required authorities spoke while the closed epoch was open. */
  attestedInside({ closedAt }) {
    if (closedAt === null || !this.attested) return false;
    const quorum = this.attested.quorum(0);
    if (quorum !== null && quorum <= closedAt) return true;
    const needed = Math.max(1, this.trust.policy.tokens);
    return this.attested.tokens.authorities((token) => token.algorithm === 0 && token.time <= closedAt).size >= needed;
  }

  checkAppendOnly(note) {
    const { log, link, inclusion } = this.core;
    note("EvidenceLog.address", hex(log.evidenceLog));
    if (!equal(log.evidenceLog, this.chain.evidenceLog.address)) refuse("ContractNotTrusted", "EvidenceLog");
    note("log.origin", log.origin);
    const named = this.trust.logs.find(({ origin, chainId }) => origin === log.origin && chainId === log.chainId);
    this.log = named ?? refuse("LogNotTrusted", log.origin);
    if (named.closedSize !== null && inclusion.index >= named.closedSize) refuse("LeafBeyondClosedLog");
    if (this.attested?.refused.witness) throw this.attested.refused.witness;
    if (!this.block) throw this.withoutBlock();
    for (const block of this.blocks) this.attributed(block, () => this.checkLink(block, block === this.block ? note : () => {}));
    if (this.trust.policy.witnesses && !this.witnessed(0)) throw reduced("WitnessesMissing");
  }

  /** Why there is no block to look into. */
  withoutBlock() {
    return reduced(this.without("sha256") ? "AlgorithmIgnored" : this.witnessesOnly ? "WitnessesOnly" : "ChainProofNone");
  }

  /** A later block's refusal is also what became of its attestation. */
  attributed({ one }, work) {
    try {
      work();
    } catch (error) {
      if (one && error instanceof Refusal) this.attested.set(one, error.code, error.detail);
      throw error;
    }
  }

  checkLink({ state }, note) {
    const { log, link } = this.core;
    const codeHash = state.logCode(log.evidenceLog);
    const stored = state.link(log.evidenceLog, linkPosition(logIdOf(log.origin), link.number));
    note("EvidenceLog.codeHash", hex(codeHash));
    if (!equal(codeHash, this.chain.evidenceLog.codeHash)) refuse("CodeHashMismatch", "EvidenceLog");
    note("link.value", hex(stored));
    note("link.number", link.number);
    if (!equal(stored, linkValue(log, link))) refuse("BatchLinkMismatch");
  }

  checkTime(note) {
    const { link } = this.core;
    note("time.link", link.time);
    if (this.block) {
      note("time.block", this.block.time);
      if (link.time > this.block.time) refuse("LinkTimeAfterBlock");
    }
    if (this.at < (this.block ? this.block.time : link.time)) throw new Other("INDETERMINATE", "EvaluationBeforeAnchor");
    if (this.attested?.refused.time) throw this.attested.refused.time;
    this.boundTime();
    const { tokens } = this.attested ?? {};
    const required = this.trust.policy.tokens;
    if ((tokens?.authorities(() => true).size ?? 0) < required) {
      throw reduced(tokens && tokens.withExpired().size >= required ? "TimeTokensExpired" : "TimeTokensMissing");
    }
  }

  /** Facts: content existed not later than this, and what says so. */
  boundTime() {
    const first = earliestTime(this.attested, this.looked.from, this.block);
    if (!first) throw this.without("sha256") ? new Other("INDETERMINATE", "NothingLeft") : reduced("ChainProofNone");
    Object.assign(this.facts, { notLaterThan: first.time, timeBy: first.by });
  }

  checkSigner(note) {
    const { leaf, header, submission, log } = this.core;
    if (header.kind === CONTINUATION && header.submitter !== this.log.operator) {
      refuse("ContinuationMisplaced", "not of the log's operator");
    }
    const pinned = () => {
      note("ConsortiumRegistry.address", hex(log.registry));
      if (!equal(log.registry, this.chain.registry.address)) refuse("ContractNotTrusted", "ConsortiumRegistry");
    };
    if (this.without("sha256")) {
      pinned();
      throw reduced("AlgorithmIgnored");
    }
    const root = rootOf(
      sha256, submission.position, submission.count, leafHash(sha256, unsequenced(leaf)), submission.path,
    );
    const digest = submitDigest({
      chainId: log.chainId, contract: log.evidenceLog, logId: logIdOf(log.origin), organisation: header.submitter, root,
      count: submission.count, validUntil: submission.validUntil,
    });
    const signer = recover(digest, submission.signature, 27, "SubmissionSignatureInvalid");
    note("submission.root", hex(root));
    pinned();
    if (!this.block) throw this.withoutBlock();
    for (const block of this.blocks) {
      this.attributed(block, () => this.checkKey(block, signer, block === this.block ? note : () => {}));
    }
  }

  checkKey({ state, height }, signer, note) {
    const { header, log, link } = this.core;
    const codeHash = state.registryCode(log.registry);
    const stored = state.key(log.registry, keyPosition(signer));
    note("ConsortiumRegistry.codeHash", hex(codeHash));
    if (!equal(codeHash, this.chain.registry.codeHash)) refuse("CodeHashMismatch", "ConsortiumRegistry");
    note("signer.key", `0x${hex(signer)}`);
    const slot = parseKeySlot(stored);
    if (!slot) refuse("MalformedInput", "key slot of another form");
    note("signer.organisation", slot.organisation);
    note("signer.asOf", height);
    if (slot.organisation !== header.submitter) refuse("KeyOfAnotherOrganisation");
    if (slot.purpose !== PURPOSE_ACT) refuse("KeyPurposeMismatch");
    if (slot.state !== STATE_ACTIVE) refuse("KeyNotActive");
    if (link.time < slot.notBefore || link.time > slot.notAfter) refuse("KeyNotValidAtAnchor");
    if (slot.revokedAt && link.time >= slot.revokedAt) refuse("KeyRevoked");
  }

  checkProvenance(note) {
    const held = this.verdicts.get("content").status !== "FAIL" && this.verdicts.get("inclusion").status === "PASS";
    if (!held) throw new Other("NOT_CHECKED", this.statement ? "EarlierStepFailed" : "DigestsOnly");
    const { header, parsedBody } = this.core;
    const document = isDocumentClass(header.kind) ? parsedBody : null;
    const { told, counting } = this.looked;
    return judgeProvenance({ core: this.core, document, statement: this.statement, ignored: told.includes("sha256") || counting.length > 0 }, note, this.facts);
  }

  /** The events of a shown sheet are receipts too, verified at the same time under the same trust file and rules. */
  checkCustody(receiptBytes, trustBytes) {
    if (!this.sheet) throw new Other("NOT_CHECKED", "DigestsOnly");
    const named = this.core && this.trust?.logs.some(({ origin, chainId }) => origin === this.core.log.origin && chainId === this.core.log.chainId);
    if (!named || !this.holds("trust-file") || this.verdicts.get("inclusion").status !== "PASS") {
      throw new Other("NOT_CHECKED", "EarlierStepFailed");
    }
    if (this.looked.told.includes("sha256")) throw new Other("NOT_CHECKED", "AlgorithmIgnored");
    const again = (bytes) => verifyReceipt(bytes, trustBytes, { at: this.at, ignore: this.ignore, mlDsa: this.mlDsa });
    return checkCustody({ core: this.core, trust: this.trust, at: this.at, again }, this.sheet, this.facts);
  }

  /** What was verified stood before the end of what it rests on: a pass under renewed hashes is less than one. */
  lessenRenewed() {
    if (!this.looked.counting.length) return;
    for (const name of ["finality", "append-only", "signer", "neutrality"]) {
      const verdict = this.verdicts.get(name);
      if (verdict.status === "PASS") Object.assign(verdict, { status: "REDUCED", code: "HashRenewed" });
    }
  }

  checkNeutrality(note) {
    if (!this.block) throw this.withoutBlock();
    const { largest, total } = largestGroup(this.block.epoch.validators);
    note("neutrality.largest", `${largest}/${total}`);
    if (largest * 3n >= total) throw reduced("NeutralityNotMet");
  }
}

/**
 * Verify a receipt. `content` is `{size, sha256, sm3, sha3}` of the file or null, `at` the evaluation time in seconds,
 * `caseId` 32 bytes or null, `provenance` the bytes of a statement or null, `custody` `{sheet, known, since}` or null (custody.md §6),
 * `ignore` names of algorithms (hash-renewal.md §4), `mlDsa` whether such cosignatures count. Never throws on bad input: all that is wrong is a verdict.
 */
export function verifyReceipt(receipt, trust, { content, at, caseId, provenance, custody, ignore = [], mlDsa = false }) {
  return new Verification({ content, at, caseId, provenance, custody, ignore, mlDsa }).run(receipt, trust);
}
