/** Hash renewals of a receipt: what was fixed under SHA3-256 while the older algorithms held (docs/spec/hash-renewal.md §1 and §2). */
import { base64, concat, equal, text } from "./bytes.js";
import { refuse, Refusal } from "./errors.js";
import { sha3 } from "./hashing.js";
import { leafHash, rootOf } from "./merkle.js";
import { ed25519Verifies } from "./signatures.js";
import { checkToken } from "./timetoken.js";

const GRACE = 300;
const ZERO = new Uint8Array(32);
const BODY_AT = 119; // a8, version, leaf of 112 bytes, key 2

/** Head of a CBOR item of a length below 2^16. */
function head(major, length) {
  if (length < 24) return Uint8Array.of((major << 5) | length);
  return length < 256 ? Uint8Array.of((major << 5) | 24, length) : Uint8Array.of((major << 5) | 25, length >> 8, length & 255);
}

/** The core without its body. */
function bareCore({ coreBytes, core }) {
  const size = core.body === null ? 1 : head(2, core.body.length).length + core.body.length;
  return concat(coreBytes.subarray(0, BODY_AT), Uint8Array.of(0xf6), coreBytes.subarray(BODY_AT + size));
}

function pair({ kind, payload }) {
  const name = text(kind);
  return concat(Uint8Array.of(0x82), head(3, name.length), name, head(2, payload.length), payload);
}

function item(one, receipt) {
  const flags = (one.body ? 1 : 0) | (one.content ? 2 : 0) | (one.listed.length ? 4 : 0);
  const listed = one.listed.map((position) => sha3(pair(receipt.attestations[position])));
  return concat(
    Uint8Array.of(1, flags), sha3(bareCore(receipt)), one.body ?? ZERO, one.content ?? ZERO, listed.length ? sha3(...listed) : ZERO,
  );
}

/** The stamped text, once steps 1 to 3 have passed. */
function stampedText(one, { receipt, log }) {
  const { core } = receipt;
  const { link, inclusion, body } = core;
  const operator = one.scope === 0;
  if (operator && (one.place !== inclusion.index || one.size < link.size)) refuse("RehashMismatch", "another leaf, or a smaller tree");
  if (one.body && body && !equal(sha3(body), one.body)) refuse("RehashMismatch", "of another body");
  const root = rootOf(sha3, one.place, one.size, leafHash(sha3, item(one, receipt)), one.path);
  const stamped = text(`${operator ? `${log.origin}/sha3-256` : "holder rehash/sha3-256"}\n${one.size}\n${base64(root)}\n`);
  if (operator && !ed25519Verifies(one.logSignature, stamped, log.key)) refuse("CheckpointSignatureInvalid");
  return stamped;
}

/** genTime from which enough authorities have spoken, or null. */
function countsFrom(tokens, needed) {
  const authorities = new Set();
  for (const { authority, time } of [...tokens].sort((a, b) => a.time - b.time)) {
    authorities.add(authority);
    if (authorities.size >= needed) return time;
  }
  return null;
}

/**
 * Every renewal judged: `{one, code, detail, step, from}`, `step` the verdict that fails ("witness" or "time", as attested.js calls
 * them) or null, `from` the time from which it counts or null. `context` has receipt, log, authorities, needed and at.
 */
export function judgeRehashes(context) {
  const { receipt, authorities, needed, at } = context;
  const found = receipt.attestations.filter((one) => one.known && one.kind === "rehash").map((one) => {
    const judged = { one, code: "Ok", detail: "", step: null, error: null, from: null, tokens: [] };
    const breach = (step, error) => {
      if (!(error instanceof Refusal)) throw error;
      if (!judged.step) Object.assign(judged, { step, error, code: error.code, detail: error.detail });
    };
    let stamped;
    try {
      stamped = stampedText(one, context);
    } catch (error) {
      breach("witness", error);
      return judged;
    }
    for (const { token, certificates, revocation } of one.tokens) {
      try {
        judged.tokens.push(checkToken(token, {
          certificates, revocation, authorities, at, imprintOf: () => sha3(stamped), notBefore: receipt.core.link.time - GRACE, renewed: true,
        }));
      } catch (error) {
        if (!(error instanceof Refusal) || error.code !== "AuthorityNotTrusted") breach("time", error);
      }
    }
    return judged;
  });
  const moments = new Map();
  for (const judged of [...found].reverse()) {
    if (judged.step) continue;
    const { one, tokens } = judged;
    const times = [at, ...(moments.get(one.position) ?? [])];
    judged.from = countsFrom(tokens.filter(({ signerUntil }) => times.some((time) => time <= signerUntil)), needed);
    if (judged.from === null) judged.code = "RehashTokensMissing";
    else for (const position of one.listed) moments.set(position, [...(moments.get(position) ?? []), judged.from]);
  }
  return { found, moments };
}
