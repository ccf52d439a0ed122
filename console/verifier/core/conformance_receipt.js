/** Answers to lines about receipts, custody sheets and SM2 signatures (docs/spec/conformance.md §6, §8, §9). */
import { refuse } from "./errors.js";
import * as f from "./fields.js";
import { sha256, sha3, sm3 } from "./hashing.js";
import { sm2Verifies } from "./sm2.js";
import { verifyReceipt } from "./verify.js";

const { anyInteger, lower } = f;
const MAX_KNOWN = 64;
const seconds = (value, field) => Number(f.integer({ below: 1n << 40n })(value, field));

/** What reads as lower-case hex is hex: no receipt, trust file or statement looks so in base64. */
function hexOrBase64(value, field) {
  return /^([0-9a-f]{2})+$/.test(f.string(value, field)) ? lower()(value, field) : f.base64Bytes(value, field);
}

function content(value, field) {
  if (typeof value === "string") {
    const bytes = lower()(value, field);
    return { size: BigInt(bytes.length), sha256: sha256(bytes), sm3: sm3(bytes), sha3: sha3(bytes) };
  }
  const all = new f.Fields(value, field).only("size", "sha256", "sm3", "sha3_256");
  return {
    size: all.get("size", anyInteger), sha256: all.get("sha256", lower(32)), sm3: all.get("sm3", lower(32)), sha3: all.maybe("sha3_256", lower(32)),
  };
}

/** The report of a receipt line. */
export function receiptReport(line) {
  const all = new f.Fields(line).only("about", "receipt", "trust", "at", "content", "case", "provenance", "ignore", "mlDsa");
  const ignore = all.maybe("ignore", f.nullOr(f.string));
  if (ignore !== null && !["sha256", "sm3", "sha256,sm3"].includes(ignore)) f.invalid("ignore", "unknown");
  return verifyReceipt(all.get("receipt", hexOrBase64), all.get("trust", hexOrBase64), {
    at: all.get("at", seconds),
    content: all.maybe("content", f.nullOr(content)),
    caseId: all.maybe("case", f.nullOr(lower(32))),
    provenance: all.maybe("provenance", f.nullOr(hexOrBase64)),
    ignore: ignore?.split(",") ?? [],
    mlDsa: all.maybe("mlDsa", f.boolean, false),
  });
}

export function receipt(line) {
  const report = receiptReport(line);
  const deciding = ["FAIL", "INDETERMINATE"]
    .map((status) => report.verdicts.find((verdict) => verdict.status === status))
    .find((verdict) => verdict);
  if (deciding) refuse(deciding.code, deciding.detail, deciding.name);
  return [report.result, ...report.missing].join(" ");
}

/** The report of a custody line. */
export function custodyReport(line) {
  const all = new f.Fields(line).only("about", "receipt", "trust", "sheet", "at", "known", "since");
  const known = all.maybe("known", f.listOf(hexOrBase64), []);
  if (known.length > MAX_KNOWN) refuse("JsonLimit", `more than ${MAX_KNOWN}`, "known");
  const custody = { sheet: all.get("sheet", hexOrBase64), known, since: all.maybe("since", seconds) };
  return verifyReceipt(all.get("receipt", hexOrBase64), all.get("trust", hexOrBase64), { at: all.get("at", seconds), custody });
}

export function custody(line) {
  const { status, code, detail } = custodyReport(line).verdicts.find(({ name }) => name === "custody");
  if (status !== "PASS" && status !== "REDUCED") refuse(code, detail, "custody");
  return `${status} ${code}`;
}

export function sm2(line) {
  const all = new f.Fields(line).only("about", "publicKey", "message", "signature");
  const [publicKey, message, signature] = [all.get("publicKey", lower(64)), all.get("message", lower()), all.get("signature", lower(64))];
  if (!sm2Verifies(signature, message, publicKey)) refuse("Sm2SignatureInvalid");
  return "";
}
