#!/usr/bin/env node
/** `node cli.mjs RECEIPT [FILE] --trust TRUST [--provenance STATEMENT] [--at T] [--case HEX] [--json]`, or `node cli.mjs conformance KIND`. */
import { closeSync, createReadStream, existsSync, fstatSync, openSync, readSync } from "node:fs";
import { dirname, join } from "node:path";
import { parseArgs } from "node:util";
import { fromHex, hex } from "./core/bytes.js";
import { answer, CONFORMANCE_KINDS } from "./core/conformance.js";
import { custodyReport, receiptReport } from "./core/conformance_receipt.js";
import { SHEET_LIMIT } from "./core/custody.js";
import { Refusal } from "./core/errors.js";
import { ContentHasher } from "./core/hashing.js";
import { LINE_LIMIT, parseLine } from "./core/json.js";
import { plain } from "./core/plain.js";
import { STATEMENT_LIMIT } from "./core/provenance.js";
import { RECEIPT_LIMIT, recordedProvenance, wantsSha3 } from "./core/receipt.js";
import { verifyReceipt } from "./core/verify.js";

const USAGE = "usage: cli.mjs RECEIPT [FILE] --trust TRUST [--provenance STATEMENT] [--at SECONDS] [--case HEX] [--ignore sha256|sm3|sha256,sm3] [--ml-dsa]\n"
  + "         [--custody SHEET [--custody-event RECEIPT]... [--custody-since SECONDS]] [--json]\n"
  + `       cli.mjs conformance ${CONFORMANCE_KINDS.join("|")} [--verdicts]`;

class Usage extends Error {}

/** At most `limit` + 1 bytes of a file: the reader of its format refuses what is longer. */
function readBounded(path, limit) {
  const descriptor = openSync(path, "r");
  try {
    const out = Buffer.alloc(Math.min(fstatSync(descriptor).size, limit + 1));
    let at = 0;
    for (let got = 1; at < out.length && got; at += got) got = readSync(descriptor, out, at, out.length - at, at);
    return new Uint8Array(out.subarray(0, at));
  } finally {
    closeSync(descriptor);
  }
}

/** `contract.pdf.clc` beside `contract.pdf.clr`, if it is there. */
function sheetBeside(receiptPath) {
  const path = `${receiptPath.replace(/\.clr$/, "")}.clc`;
  return existsSync(path) ? path : null;
}

/** Sheet, known events and the time before which a sheet is too old; null without a sheet. */
function custodyShown(values, receiptPath) {
  const known = values["custody-event"];
  const sheet = values.custody ?? sheetBeside(receiptPath);
  if (!sheet) {
    if (known.length || values["custody-since"] !== undefined) throw new Usage("--custody-event and --custody-since go with --custody");
    return null;
  }
  return {
    sheet: readBounded(sheet, SHEET_LIMIT), known: known.map((path) => readBounded(path, RECEIPT_LIMIT)),
    since: values["custody-since"] === undefined ? null : evaluationTime(values["custody-since"]),
  };
}

/** The provenance statement that the receipt's body names, in the receipt's folder. */
function statementBeside(path, bytes) {
  const digest = recordedProvenance(bytes);
  const beside = digest && join(dirname(path), `provenance-${hex(digest).slice(0, 16)}.clp`);
  return beside && existsSync(beside) ? beside : null;
}

async function hashFile(path, renewed) {
  const hasher = new ContentHasher(renewed);
  for await (const piece of createReadStream(path, { highWaterMark: 1 << 20 })) hasher.update(piece);
  return hasher.result();
}

function evaluationTime(value) {
  if (value === undefined) return Math.floor(Date.now() / 1000);
  if (/^[0-9]{1,12}$/.test(value)) return Number(value);
  const millis = /(Z|[+-]\d\d:\d\d)$/.test(value) ? Date.parse(value) : NaN;
  if (Number.isNaN(millis)) throw new Usage("a time is seconds, or ISO 8601 with a zone");
  return Math.floor(millis / 1000);
}

async function verify({ values, positionals }) {
  const [receiptPath, filePath, ...rest] = positionals;
  if (!receiptPath || rest.length || !values.trust) throw new Usage(USAGE);
  const caseId = values.case === undefined ? null : fromHex(values.case);
  if (values.case !== undefined && caseId?.length !== 32) throw new Usage("--case takes 64 hex digits");
  if (values.ignore !== undefined && !["sha256", "sm3", "sha256,sm3"].includes(values.ignore)) throw new Usage("--ignore takes sha256, sm3, or sha256,sm3");
  const at = evaluationTime(values.at);
  const receipt = readBounded(receiptPath, RECEIPT_LIMIT);
  const trust = readBounded(values.trust, 1 << 20);
  const content = filePath ? await hashFile(filePath, wantsSha3(receipt)) : null;
  const statement = values.provenance ?? statementBeside(receiptPath, receipt);
  const provenance = statement && readBounded(statement, STATEMENT_LIMIT);
  const report = verifyReceipt(receipt, trust, {
    content, at, caseId, provenance, custody: custodyShown(values, receiptPath), ignore: values.ignore?.split(",") ?? [], mlDsa: values["ml-dsa"],
  });
  if (values.json) {
    console.log(JSON.stringify(plain({ receipt: receiptPath, ...report }), null, 2));
  } else {
    console.log(report.result);
    for (const { name, status, code, detail } of report.verdicts) console.log(`  ${name}: ${status} ${code} ${detail}`.trimEnd());
  }
  return report.exitCode;
}

function reply(kind, bytes, verdicts) {
  if (!verdicts) return answer(kind, bytes);
  try {
    const report = (kind === "custody" ? custodyReport : receiptReport)(parseLine(bytes));
    return plain({ ...report, attestations: report.attestations.map(({ kind, code, detail }) => [kind, code, detail]), verdicts: report.verdicts.map(({ name, status, code }) => [name, status, code]) });
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return { refused: error.code, detail: error.message };
  }
}

/** Lines of a stream as bytes; a line over the limit is handed on cut just above it. */
async function* lines(stream) {
  let parts = [];
  let size = 0;
  const add = (piece) => {
    if (size <= LINE_LIMIT) parts.push(piece.subarray(0, LINE_LIMIT + 1 - size));
    size += piece.length;
  };
  for await (const chunk of stream) {
    let start = 0;
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, start)) {
      add(chunk.subarray(start, end));
      yield new Uint8Array(Buffer.concat(parts));
      parts = [];
      size = 0;
      start = end + 1;
    }
    add(chunk.subarray(start));
  }
  if (size) yield new Uint8Array(Buffer.concat(parts));
}

async function conformance({ values, positionals }) {
  const [, kind, ...rest] = positionals;
  if (!CONFORMANCE_KINDS.includes(kind) || rest.length) throw new Usage(USAGE);
  for await (const line of lines(process.stdin)) {
    const text = JSON.stringify(reply(kind, line, values.verdicts)) + "\n";
    if (!process.stdout.write(text)) await new Promise((done) => process.stdout.once("drain", done));
  }
  return 0;
}

async function main() {
  try {
    const options = {
      trust: { type: "string" }, at: { type: "string" }, case: { type: "string" }, provenance: { type: "string" },
      json: { type: "boolean", default: false }, ignore: { type: "string" }, custody: { type: "string" },
      "custody-event": { type: "string", multiple: true, default: [] }, "custody-since": { type: "string" }, "ml-dsa": { type: "boolean", default: false },
      verdicts: { type: "boolean", default: false },
    };
    let parsed;
    try {
      parsed = parseArgs({ options, allowPositionals: true });
    } catch (error) {
      throw new Usage(`${error.message}\n${USAGE}`);
    }
    return await (parsed.positionals[0] === "conformance" ? conformance : verify)(parsed);
  } catch (error) {
    if (!(error instanceof Usage) && error.syscall === undefined) throw error;
    console.error(error.message);
    return 2;
  }
}

process.exitCode = await main();
