/** The steps of docs/spec/receipt.md §3, each a verdict of its own. */
import { equal, hex } from "./bytes.js";
import { Attested } from "./attested.js";
import { keyPosition, linkPosition, linkValue, logIdOf, parseKeySlot, PURPOSE_ACT, STATE_ACTIVE, submitDigest } from "./chainstate.js";
import { isCovered, openProof, proofHeight } from "./chainproof.js";
import { checkCustody } from "./custody.js";
import { isCustodyClass, isCustodyOrigin } from "./custodyevent.js";
import { caseCommitment, caseReference, checkBody, CONTINUATION, evidenceId, isDocumentClass, unsequenced } from "./entry.js";
import { refuse, Refusal } from "./errors.js";
import { sha256, sm3 } from "./hashing.js";
import { leafHash, rootOf, verifyInclusion } from "./merkle.js";
import { judgeProvenance } from "./provenance.js";
import { parseReceipt } from "./receipt.js";
import { recover } from "./signatures.js";
import { Other, reduced, Steps } from "./steps.js";
import { judgeTokens } from "./tokens.js";
import { parseTrust } from "./trust.js";

class Verification extends Steps {
  constructor({ content, at, caseId, provenance, custody, ignoreSha256, mlDsa }) {
    super(at);
    this.statement = provenance ?? null;
    this.sheet = custody ?? null;
    this.mlDsa = mlDsa;
    this.ignored = ignoreSha256;
    this.blocks = [];
    this.witnessesOnly = false;
    this.content = content ?? null;
    this.caseId = caseId ?? null;
    this.facts = ignoreSha256 ? { ignoredAlgorithm: "sha256" } : {};
  }

  run(receiptBytes, trustBytes) {
    this.step("receipt", [], (note) => this.readReceipt(receiptBytes, note));
    this.step("trust-file", [], (note) => this.readTrust(trustBytes, note));
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
    if (this.attested?.sm2Key && ["PASS", "REDUCED"].includes(this.verdicts.get("signer").status)) {
      this.facts.sm2Key = hex(this.attested.sm2Key);
    }
    return this.report({
      facts: this.facts,
      attestations: this.attested ? [...this.attested.outcomes.values()].sort((a, b) => a.position - b.position) : [],
      uncheckedAttestations: (this.receipt?.attestations ?? []).filter(({ known }) => !known).map(({ kind }) => kind),
    });
  }

  /** Only over a leaf that is in the log, and of a log that the trust file names. */
  judgeAttestations() {
    if (!this.holds("trust-file") || this.verdicts.get("inclusion").status !== "PASS") return;
    const { log } = this.core;
    const named = this.trust.logs.find(({ origin, chainId }) => origin === log.origin && chainId === log.chainId);
    if (!named) return;
    this.attested = new Attested(this.receipt.attestations, {
      core: this.core, receipt: this.receipt, log: named, policy: this.trust.witnesses, authorities: this.trust.authorities,
      at: this.at, ignored: this.ignored, mlDsa: this.mlDsa,
    }, judgeTokens);
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
    const { body, parsedBody, header } = this.core;
    if (body === null) return new Other(this.content ? "INDETERMINATE" : "NOT_CHECKED", "BodyWithheld");
    if (!this.ignored) note("body.sha256", hex(sha256(body)));
    note("body.sm3", hex(sm3(body)));
    checkBody(header, body, this.ignored);
    if (!this.content) return new Other("NOT_CHECKED", "NoFileGiven");
    if (!isDocumentClass(header.kind)) return new Other("INDETERMINATE", "NoContent");
    const { size, sha256: first, sm3: second } = this.content;
    note("content.size", size);
    if (!this.ignored) note("content.sha256", hex(first));
    note("content.sm3", hex(second));
    if (BigInt(size) !== BigInt(parsedBody.size) || (!this.ignored && !equal(first, parsedBody.sha256)) || !equal(second, parsedBody.sm3)) {
      refuse("ContentMismatch", "the file is not the one that was recorded");
    }
  }

  checkInclusion(note) {
    const { leaf, log, inclusion, link, header, parsedBody } = this.core;
    if (!this.ignored) {
      note("link.rootSha256", hex(link.rootSha256));
      verifyInclusion(sha256, inclusion.index, link.size, leafHash(sha256, leaf), inclusion.pathSha256, link.rootSha256);
    }
    note("leaf.id", hex(evidenceId(leaf)));
    note("leaf.index", `${inclusion.index} < ${link.size}`);
    note("link.rootSm3", hex(link.rootSm3));
    verifyInclusion(sm3, inclusion.index, link.size, leafHash(sm3, leaf), inclusion.pathSm3, link.rootSm3);
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
    if (this.ignored) {
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
      if (!one.known || one.kind !== "chain" || !this.attested) continue;
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
    return reduced(this.ignored ? "AlgorithmIgnored" : this.witnessesOnly ? "WitnessesOnly" : "ChainProofNone");
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
    const quorums = [this.ignored ? null : this.attested?.quorum(0), this.attested?.quorum(1)];
    const found = [
      ...(this.attested?.tokens.counting.map(({ time }) => ({ time, by: "token" })) ?? []),
      ...quorums.filter((time) => typeof time === "number").map((time) => ({ time, by: "witness" })),
    ];
    if (this.block && (this.block.epoch.to === null || !found.length)) found.push({ time: this.block.time, by: "block" });
    if (!found.length) {
      throw this.ignored ? new Other("INDETERMINATE", "NothingLeft") : reduced("ChainProofNone");
    }
    const first = found.reduce((a, b) => (b.time < a.time ? b : a));
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
    if (this.ignored) {
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
    return judgeProvenance({ core: this.core, document, statement: this.statement, ignored: this.ignored }, note, this.facts);
  }

  /** The events of a shown sheet are receipts too, verified at the same time under the same trust file and rules. */
  checkCustody(receiptBytes, trustBytes) {
    if (!this.sheet) throw new Other("NOT_CHECKED", "DigestsOnly");
    const named = this.core && this.trust?.logs.some(({ origin, chainId }) => origin === this.core.log.origin && chainId === this.core.log.chainId);
    if (!named || !this.holds("trust-file") || this.verdicts.get("inclusion").status !== "PASS") {
      throw new Other("NOT_CHECKED", "EarlierStepFailed");
    }
    if (this.ignored) throw new Other("NOT_CHECKED", "AlgorithmIgnored");
    const again = (bytes) => verifyReceipt(bytes, trustBytes, { at: this.at, ignoreSha256: this.ignored, mlDsa: this.mlDsa });
    return checkCustody({ core: this.core, trust: this.trust, at: this.at, again }, this.sheet, this.facts);
  }

  checkNeutrality(note) {
    if (!this.block) throw this.withoutBlock();
    const groups = new Map();
    let total = 0n;
    for (const { group, power } of this.block.epoch.validators) {
      groups.set(group, (groups.get(group) ?? 0n) + power);
      total += power;
    }
    const largest = [...groups.values()].reduce((a, b) => (a > b ? a : b));
    note("neutrality.largest", `${largest}/${total}`);
    if (largest * 3n >= total) throw reduced("NeutralityNotMet");
  }
}

/**
 * Verify a receipt. `content` is `{size, sha256, sm3}` of the file or null, `at` the evaluation time in seconds,
 * `caseId` 32 bytes or null, `provenance` the bytes of a statement or null, `custody` `{sheet, known, since}` or null (custody.md §6),
 * `ignoreSha256` as attestation.md §6 says, `mlDsa` whether such cosignatures count. Never throws on bad input: all that is wrong is a verdict.
 */
export function verifyReceipt(receipt, trust, { content, at, caseId, provenance, custody, ignoreSha256 = false, mlDsa = false }) {
  return new Verification({ content, at, caseId, provenance, custody, ignoreSha256, mlDsa }).run(receipt, trust);
}
