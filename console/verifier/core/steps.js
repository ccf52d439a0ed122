/** Steps that each give a verdict, and the result of them all (docs/spec/receipt.md §4). */
import { Refusal } from "./errors.js";

export const NAMES = [
  "receipt", "trust-file", "content", "inclusion", "append-only", "finality", "time", "signer", "custody", "provenance",
  "neutrality",
];
export const EXIT_CODES = { VALID: 0, VALID_REDUCED_TRUST: 10, INVALID: 20, INDETERMINATE: 30 };
const UNDECIDED = ["UnknownVersion", "UnknownProofKind"];
const EARLIER = { status: "NOT_CHECKED", code: "EarlierStepFailed" };

/** A verdict that is neither a pass nor a failure, thrown by a step. */
export class Other {
  constructor(status, code, detail = "") {
    this.status = status;
    this.code = code;
    this.detail = detail;
  }
}

export const reduced = (code) => new Other("REDUCED", code);

export class Steps {
  constructor(at) {
    this.at = at;
    this.verdicts = new Map();
  }

  /** Run one step; what it throws becomes its verdict. Later steps ask `holds(name)`. */
  step(name, needs, work) {
    const compared = [];
    const verdict = { name, status: "PASS", code: "Ok", detail: "", compared };
    const note = (what, value) => compared.push({ what, value: String(value) });
    if (!needs.every((need) => this.holds(need))) {
      Object.assign(verdict, EARLIER);
    } else {
      try {
        const other = work(note);
        if (other) Object.assign(verdict, other);
      } catch (error) {
        if (error instanceof Refusal) {
          verdict.status = UNDECIDED.includes(error.code) ? "INDETERMINATE" : "FAIL";
          Object.assign(verdict, { code: error.code, detail: error.message });
        } else if (error instanceof Other) {
          Object.assign(verdict, error);
        } else {
          throw error;
        }
      }
    }
    this.verdicts.set(name, verdict);
  }

  holds(name) {
    const { status, code } = this.verdicts.get(name);
    return status === "PASS" || status === "REDUCED" || code === "OutsideTrustWindow";
  }

  /** The report, with what else belongs into it. */
  report(more) {
    const verdicts = NAMES.map((name) => this.verdicts.get(name));
    const has = (status) => verdicts.some((verdict) => verdict.status === status);
    const missing = verdicts.filter(({ status }) => status === "REDUCED").map(({ code }) => code);
    const result = has("FAIL") ? "INVALID"
      : has("INDETERMINATE") ? "INDETERMINATE"
      : missing.length ? "VALID_REDUCED_TRUST" : "VALID";
    return { result, exitCode: EXIT_CODES[result], evaluatedAt: this.at, changed: whatChanged(verdicts), missing, verdicts, ...more };
  }
}

/** Which input the first failure points at: "file", "receipt", "trust-file", "case-id", "provenance", "custody", or null. */
function whatChanged(verdicts) {
  const failed = verdicts.find(({ status }) => status === "FAIL");
  if (!failed) return null;
  if (["trust-file", "provenance", "custody"].includes(failed.name)) return failed.name;
  return { CaseMismatch: "case-id", ContentMismatch: "file" }[failed.code] ?? "receipt";
}
