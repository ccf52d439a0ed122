/** Checkpoints and signed notes as texts (C2SP tlog-checkpoint and signed-note; docs/spec/attestation.md §1). */
import { base64, fromBase64, text } from "./bytes.js";
import { refuse } from "./errors.js";
import { hasControl } from "./shape.js";

const MAX_NAME = 255;
const MAX_LINES = 64;
const NOTE_LIMIT = 65536;
const TEXT_LIMIT = 1024;
const LETTERS_LIMIT = 10240;
const bad = (field, detail) => refuse("CheckpointMalformed", detail, field);

/** C2SP checkpoint origin: 1 to 128 printable ASCII characters, no space, no plus. */
export const isOrigin = (value) => /^[!-*,-~]{1,128}$/.test(value);

/** Key name of a note: no space of any kind, no plus, no control character. */
export function checkKeyName(value, field = "name") {
  if (!value || /[\s\u0085\u001c-\u001f+]/u.test(value) || hasControl(value)) bad(field, "not a key name");
  if (text(value).length > MAX_NAME) refuse("LimitExceeded", `over ${MAX_NAME} bytes`, field);
  return value;
}

/** `{origin, size, root}` of a checkpoint's text in its one form. */
export function parseCheckpoint(value) {
  if (text(value).length > 256) refuse("LimitExceeded", "over 256 bytes", "checkpoint");
  const found = /^([\x01-\x09\x0b-\x7f]*)\n(0|[1-9][0-9]{0,19})\n([A-Za-z0-9+/]{43}=)\n$/.exec(value) ?? bad("checkpoint", "not three lines");
  const [, origin, digits, letters] = found;
  if (!isOrigin(origin.replace(/\/sm3$/, ""))) refuse("MalformedInput", "not a log origin", "checkpoint");
  const root = fromBase64(letters) ?? bad("checkpoint", "root");
  const size = BigInt(digits);
  if (size >> 63n) bad("checkpoint", "size");
  return { origin, size, root };
}

/** `{text, lines: [{name, id, signature}]}` of a signed note. */
export function parseNote(value) {
  if (text(value).length > NOTE_LIMIT) refuse("LimitExceeded", `over ${NOTE_LIMIT} bytes`, "note");
  const split = value.lastIndexOf("\n\n");
  if (split < 0 || !value.endsWith("\n")) bad("note", "no text and signatures");
  const body = value.slice(0, split + 1);
  if (text(body).length > TEXT_LIMIT || /[\x00-\x09\x0b-\x1f]/.test(body)) bad("note", "text too long, or with control characters");
  const rows = value.slice(split + 2, -1).split("\n");
  if (rows.length > MAX_LINES) bad("note", `over ${MAX_LINES} signatures`);
  const lines = rows.map((line) => {
    const [, name, letters] = /^\u2014 ([^ ]+) ([A-Za-z0-9+/=]+)$/.exec(line) ?? bad("note", "not a signature line");
    if (letters.length > LETTERS_LIMIT) refuse("LimitExceeded", "signature too long", "note");
    const blob = fromBase64(letters);
    if (!blob || blob.length < 5) bad("note", "not a signature line");
    return { name: checkKeyName(name, "note"), id: blob.subarray(0, 4), signature: blob.subarray(4) };
  });
  return { text: body, lines };
}

/** Text of a checkpoint: `algorithm` 0 is the SHA-256 tree, 1 the SM3 tree. */
export const checkpointText = (origin, algorithm, size, root) => text(`${statementOrigin(origin, algorithm)}\n${size}\n${base64(root)}\n`);
export const statementOrigin = (origin, algorithm) => `${origin}${algorithm === 1 ? "/sm3" : ""}`;
