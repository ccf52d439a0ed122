/** Custody sheets: what was done with an item, in one chain of signed events (docs/spec/custody.md). */
import { concat, equal, hex, text } from "./bytes.js";
import { decode } from "./cbor.js";
import { logIdOf } from "./chainstate.js";
import { isCustodyClass, isCustodyOrigin, TRANSFER } from "./custodyevent.js";
import { evidenceId, unsequenced } from "./entry.js";
import { as, refuse, Refusal } from "./errors.js";
import { sha256 } from "./hashing.js";
import { leafHash } from "./merkle.js";
import { parseReceipt } from "./receipt.js";
import * as shape from "./shape.js";
import { ed25519Verifies } from "./signatures.js";

export const SHEET_LIMIT = 32 << 20;
const STATEMENT_LIMIT = 512;
export const EVENTS_LIMIT = 4096;
const HOUR = 3600;
const CLOCK_ALLOWANCE = 300;
const TAG = text("caseledger/custody/v1");
const UNKNOWN = ["UnknownVersion", "UnknownProofKind"];
const JUDGED = ["content", "inclusion", "append-only", "finality", "time", "signer"];

const malformed = (field, detail) => refuse("MalformedInput", detail, field);
const eventHash = (leaf) => leafHash(sha256, unsequenced(leaf));
const open = (code, detail) => ({ status: "INDETERMINATE", code, detail });

function version(value, field) {
  if (shape.big(value, field) !== 1n) refuse("UnknownVersion", `version ${value}`, field);
}

function parseStatement(bytes) {
  const map = decode(bytes, 3, { limit: STATEMENT_LIMIT, items: 64 });
  if (map instanceof Map && map.has(0n)) version(map.get(0n), "statement.version");
  const [, logId, item, count, head, size, rootSha256, rootSm3, statedAt] = shape.fields(map, 9, "statement");
  const out = {
    logId: shape.bytes(logId, "statement.logId", 32), item: shape.bytes(item, "statement.item", 32),
    count: shape.small(count, "statement.count", 32), head: shape.orNull(head, (value) => shape.bytes(value, "statement.head", 32)),
    size: shape.big(size, "statement.size", 63), rootSha256: shape.bytes(rootSha256, "statement.root", 32),
    rootSm3: shape.bytes(rootSm3, "statement.root", 32), statedAt: shape.small(statedAt, "statement.statedAt", 40),
  };
  if (out.count > EVENTS_LIMIT) malformed("statement.count", `above ${EVENTS_LIMIT}`);
  if ((out.head === null) !== (out.count === 0)) malformed("statement.head", "null exactly where there is no event");
  return out;
}

/** One event: its receipt's bytes, core, hash, and body where it is shown. */
function parseEvent(bytes) {
  const { core } = parseReceipt(bytes);
  if (!isCustodyClass(core.header.kind)) malformed("event", "not of a custody class");
  return { bytes, core, hash: eventHash(core.leaf), body: core.parsedBody };
}

/** `{statement, statementBytes, signature, events}`; refuses with MalformedCustody, UnknownVersion or UnknownProofKind. */
export function parseSheet(bytes) {
  return as("MalformedCustody", () => {
    const outer = shape.list(decode(bytes, 4, { limit: SHEET_LIMIT, items: EVENTS_LIMIT + 16 }), "sheet", { least: 2 });
    if (outer[0] !== "caseledger-custody") malformed("sheet", "not a custody sheet");
    version(outer[1], "sheet.version");
    const [, , statementBytes, signature, receipts] = shape.list(outer, "sheet", { size: 5 });
    const statement = parseStatement(shape.bytes(statementBytes, "sheet.statement"));
    const listed = shape.list(receipts, "sheet.receipts", { most: EVENTS_LIMIT }).map((item) => shape.bytes(item, "sheet.receipts"));
    return { statement, statementBytes, signature: shape.bytes(signature, "sheet.signature", 64), events: listed.map(parseEvent) };
  }, UNKNOWN);
}

/** Steps 6 to 8: the numbers, the chain of hashes, its length and head. */
function checkChain(events, { count, head }) {
  const numbers = events.map(({ body }, at) => body?.number ?? at + 1);
  if (numbers.some((number, at) => number !== at + 1)) {
    const sorted = [...numbers].sort((a, b) => a - b);
    refuse(sorted.every((number, at) => number === at + 1) ? "CustodyReordered" : "CustodyGap", numbers.slice(0, 20).join(", "));
  }
  events.forEach(({ body }, at) => {
    if (body && at && !equal(body.previous, events[at - 1].hash)) refuse("CustodyChanged", `event ${at + 1}`);
  });
  if (events.length !== count) refuse("CustodyCountMismatch", `${events.length}, stated are ${count}`);
  if (count && !equal(events.at(-1).hash, head)) refuse("CustodyHeadMismatch");
}

/** Step 9: `{holder, pending}`, holder null where it is not known. */
function followHolder(events, submitter) {
  let holder = submitter;
  let offer = null;
  for (const [at, { core, body }] of events.entries()) {
    if (core.header.kind !== TRANSFER) continue;
    if (!body) return { holder: null, pending: null };
    const { from, to } = body;
    const { submitter: by } = core.header;
    if (by === from && from === holder) {
      offer = { from, to };
    } else if (by === to && offer && offer.from === from && offer.to === to) {
      holder = to;
      offer = null;
    } else {
      refuse("CustodyHolderMismatch", `event ${at + 1}`);
    }
  }
  return { holder, pending: offer?.to ?? null };
}

class CustodyCheck {
  /** `ground`: core and trust payload of the receipt, evaluation time, `again(bytes)`: the report of another receipt under the same rules. */
  constructor(ground, { known = [], since = null }) {
    Object.assign(this, ground);
    this.known = known;
    this.since = since;
    this.facts = {};
  }

  run(sheetBytes) {
    const { statement, statementBytes, signature, events } = parseSheet(sheetBytes);
    const { header, leaf } = this.core;
    const item = evidenceId(leaf);
    if (!equal(statement.item, item)) refuse("CustodyOtherItem", "the sheet is of another item");
    this.statement = statement;
    this.log = this.custodyLog(statement.logId) ?? refuse("CustodyLogNotTrusted");
    if (!ed25519Verifies(signature, concat(TAG, statementBytes), this.log.key)) refuse("CustodyStatementInvalid");
    if (statement.statedAt > this.at) refuse("CustodyInFuture");
    Object.assign(this.facts, {
      custodyEvents: statement.count, custodyStatedAt: statement.statedAt, custodySize: statement.size, custodyLog: this.log.origin,
    });
    events.forEach(({ core, body }, at) => {
      const same = equal(core.header.caseCommitment, header.caseCommitment) && core.header.privileged === header.privileged;
      if (!same || (body && !equal(body.item, item))) refuse("CustodyOtherItem", `event ${at + 1}`);
    });
    checkChain(events, statement);
    const { holder, pending } = followHolder(events, header.submitter);
    const last = events.at(-1);
    Object.assign(this.facts, {
      custodyLast: last ? hex(evidenceId(last.core.leaf)) : null, custodyLastClass: last?.core.header.kind ?? null,
      custodyLastTime: last?.body?.time ?? null, custodyHolder: holder, custodyPending: pending,
    });
    const lesser = events.map((event, at) => this.checkEvent(event, at + 1)).filter(Boolean);
    const unknown = this.checkKnown(events, item);
    if (unknown?.status) return unknown;
    return this.decide(events, lesser, unknown);
  }

  /** The custody log of the receipt's operator on its chain with this id. */
  custodyLog(logId) {
    const { origin, chainId } = this.core.log;
    const own = this.trust.logs.find((log) => log.origin === origin && log.chainId === chainId);
    return this.trust.logs.find((log) =>
      isCustodyOrigin(log.origin) && log.chainId === chainId && log.operator === own.operator && equal(logIdOf(log.origin), logId));
  }

  /** Whether successors lead from the event's log to the statement's, over custody logs alone. */
  leadsHere({ origin, chainId }) {
    const seen = new Set();
    for (let at = origin; at !== null && !seen.has(at);) {
      seen.add(at);
      const log = this.trust.logs.find((one) => one.origin === at && one.chainId === chainId);
      if (!log || !isCustodyOrigin(log.origin)) return false;
      if (log === this.log) return true;
      at = log.successor;
    }
    return false;
  }

  isHere({ origin, chainId }) {
    return origin === this.log.origin && chainId === this.log.chainId;
  }

  /** Step 10: a verdict that is less than a pass, or null. */
  checkEvent({ bytes, core, body }, number) {
    const where = `event ${number}`;
    if (!this.leadsHere(core.log)) refuse("CustodyLogNotTrusted", where);
    const verdicts = this.judged(bytes);
    const failed = verdicts.find(({ status }) => status === "FAIL");
    if (failed) refuse(failed.code, `${where}: ${failed.detail}`);
    const { link, inclusion } = core;
    if (body && body.time > link.time + CLOCK_ALLOWANCE) refuse("CustodyAfterAnchor", where);
    if (this.isHere(core.log)) {
      const { size, rootSha256, rootSm3 } = this.statement;
      if (inclusion.index >= size) refuse("CustodyBeyondCheckpoint", where);
      const same = equal(link.rootSha256, rootSha256) && equal(link.rootSm3, rootSm3);
      if (link.size === size && !same) refuse("CustodyCheckpointMismatch", where);
    }
    const lesser = (wanted) => verdicts.find(({ status }) => status === wanted);
    const found = lesser("INDETERMINATE") ?? lesser("REDUCED");
    return found ? { status: found.status, code: found.code, detail: where } : null;
  }

  judged(bytes) {
    const { verdicts } = this.again(bytes);
    return JUDGED.map((name) => verdicts.find((verdict) => verdict.name === name));
  }

  /** Step 11: true where a known event is not in the sheet and need not be, a verdict where one says nothing. */
  checkKnown(events, item) {
    const held = new Set(events.map(({ hash }) => hex(hash)));
    let outside = false;
    for (const [at, bytes] of this.known.entries()) {
      const invalid = (detail) => open("CustodyKnownEventInvalid", `known event ${at + 1}: ${detail}`);
      let event;
      try {
        event = parseEvent(bytes);
      } catch (error) {
        if (error instanceof Refusal) return invalid(error.message);
        throw error;
      }
      if (!event.body || !equal(event.body.item, item)) return invalid("not of this item");
      const failed = this.judged(bytes).find(({ status }) => status === "FAIL");
      if (failed) return invalid(failed.code);
      if (held.has(hex(event.hash))) continue;
      const { log, inclusion, link } = event.core;
      const { size, statedAt } = this.statement;
      const covered = this.isHere(log) ? inclusion.index < size : this.leadsHere(log);
      if (covered || link.time + HOUR <= statedAt) refuse("CustodyEventWithheld", `known event ${at + 1}`);
      outside = true;
    }
    return outside;
  }

  /** Steps 12 to 15. */
  decide(events, lesser, outside) {
    const less = lesser.find(({ status }) => status === "INDETERMINATE") ?? lesser[0];
    if (less) return less;
    const withheld = events.flatMap(({ body }, at) => (body ? [] : [at + 1]));
    const pair = withheld.find((number, at) => withheld[at + 1] === number + 1);
    if (pair) return { status: "REDUCED", code: "CustodyUnlinked", detail: `events ${pair} and ${pair + 1}` };
    if (outside || (this.since !== null && this.statement.statedAt < this.since)) return { status: "REDUCED", code: "CustodyOutdated" };
    if (!events.length) return { code: "CustodyNoEvents" };
    return withheld.length ? { code: "CustodyBodiesWithheld", detail: withheld.join(", ") } : { code: "CustodyContinuous" };
  }
}

/** What becomes of the verdict *custody*: `{status?, code, detail?}` (a pass without status), or a refusal; facts go into `facts`. */
export function checkCustody(ground, { sheet, known, since }, facts) {
  const check = new CustodyCheck(ground, { known, since });
  try {
    return check.run(sheet);
  } finally {
    Object.assign(facts, check.facts);
  }
}
