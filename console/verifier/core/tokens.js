/** Time tokens and renewals of a receipt (docs/spec/attestation.md §3, §5, §6). */
import { concat, text } from "./bytes.js";
import { attestedCheckpoint, NAMES } from "./attested.js";
import { refuse, Refusal } from "./errors.js";
import { sha256, sm3 } from "./hashing.js";
import { checkToken, parseToken } from "./timetoken.js";

const GRACE = 300;
const HASHES = { sha256, sm3 };
const RENEWAL_TAG = text("caseledger/renewal/v1");

class Tokens {
  constructor(attestations, attested) {
    this.attestations = attestations;
    this.attested = attested;
    this.checked = new Map();
    this.expired = [];
    this.counting = [];
    const { ignored, passed } = attested.context;
    for (const one of attestations) {
      if (!one.known || (one.kind !== "rfc3161" && one.kind !== "renewal") || passed(one)) continue;
      if (!ignored.length || !this.isIgnored(one, ignored)) this.check(one);
    }
    this.decide();
  }

  /** A token in its form that is over an ignored tree or has such an imprint is not looked at further. */
  isIgnored(one, ignored) {
    const token = this.attested.judge(one, "time", () => parseToken(one.token));
    if (token && (ignored.includes(NAMES[one.algorithm]) || ignored.includes(token.imprint.name))) this.attested.set(one, "AlgorithmIgnored");
    return !token || this.attested.outcomes.has(one.position);
  }

  /** Everything but whether the signer's certificate is still valid. */
  check(one) {
    const { attested } = this;
    const { at, authorities, core } = attested.context;
    try {
      const found = checkToken(one.token, {
        certificates: one.certificates, revocation: one.revocation, authorities, at,
        imprintOf: one.kind === "rfc3161" ? this.checkpointImprint(one) : (name) => this.renewalImprint(one, name),
        notBefore: core.link.time - GRACE,
      });
      this.checked.set(one.position, found);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      attested.set(one, error.code, error.detail);
      if (error.code !== "AuthorityNotTrusted") attested.refuseAt("time", one.position, error);
    }
  }

  checkpointImprint(one) {
    const wanted = NAMES[one.algorithm];
    return (name) => {
      if (name !== wanted) refuse("TokenImprintMismatch", "of the other tree");
      return HASHES[wanted](attestedCheckpoint(this.attested.context.core, one).text);
    };
  }

  renewalImprint(one, name) {
    const hash = HASHES[name];
    const { receipt } = this.attested.context;
    const listed = one.positions.map((position) => hash(this.attestations[position].payload));
    return hash(concat(RENEWAL_TAG, hash(receipt.coreBytes), ...listed));
  }

  /** From the last to the first: a renewal that counts lets what it lists be judged at its time. */
  decide() {
    const { at } = this.attested.context;
    const moments = new Map(this.attested.context.moments);
    const positions = [...this.checked.keys()].sort((a, b) => b - a);
    for (const position of positions) {
      const one = this.attestations[position];
      const found = this.checked.get(position);
      const judgedAt = [at, ...(moments.get(position) ?? [])];
      const counts = judgedAt.some((time) => time <= found.signerUntil);
      this.attested.set(one, counts ? "Ok" : "TimeTokenExpired");
      const token = { ...found, algorithm: one.algorithm ?? null };
      if (one.kind === "rfc3161") (counts ? this.counting : this.expired).push(token);
      if (one.kind === "renewal" && counts) {
        for (const listed of one.positions) moments.set(listed, [...(moments.get(listed) ?? []), found.time]);
      }
    }
  }

  /** Names of the authorities of counting tokens that `filter` takes. */
  authorities(filter) {
    return new Set(this.counting.filter(filter).map(({ authority }) => authority));
  }

  withExpired() {
    return new Set([...this.counting, ...this.expired].map(({ authority }) => authority));
  }
}

export const judgeTokens = (attestations, attested) => new Tokens(attestations, attested);
