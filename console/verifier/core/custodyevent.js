/** Bodies of custody events (docs/spec/custody.md §1 and §2). */
import { refuse } from "./errors.js";
import * as shape from "./shape.js";

const [ACCESS, COPY, EXPORT, VERIFY, ERASE] = [64, 65, 66, 68, 69];
export const TRANSFER = 67;
const TEXT_LIMIT = 200;
const bad = (field, detail) => refuse("MalformedInput", detail, field);

export const isCustodyClass = (kind) => kind >= ACCESS && kind <= ERASE;
export const isCustodyOrigin = (origin) => origin.endsWith("-custody");

const label = (value, field) => shape.label(value, field, TEXT_LIMIT);
const maybe = (read) => (value, field) => shape.orNull(value, (item) => read(item, field));
const digest = (value, field) => shape.bytes(value, field, 32);
const organisation = (value, field) => shape.small(value, field, 32, 1);

function tool(value, field) {
  const [name, version, program] = shape.list(value, field, { size: 3 });
  return { name: shape.label(name, field, 100), version: shape.label(version, field, 100), sha256: maybe(digest)(program, field) };
}

function object(value, field) {
  return shape.list(value, field, { size: 2 }).map((item) => digest(item, field));
}

/** Names and readers of the keys 1 to 16. */
const FIELDS = [
  ["item", digest], ["number", organisation], ["previous", maybe(digest)], ["time", (value, field) => shape.small(value, field, 40)],
  ["salt", digest], ["actor", maybe(digest)], ["from", maybe(organisation)], ["to", maybe(organisation)], ["purpose", label],
  ["authority", maybe(label)], ["tool", maybe(tool)], ["object", maybe(object)], ["result", maybe((value, field) => shape.small(value, field, 2))],
  ["where", maybe(label)], ["before", maybe(label)], ["change", maybe(label)],
];

function checkClass(event, kind) {
  const needs = (name, wanted) => (event[name] !== null) !== wanted && bad(`event.${name}`, wanted ? "missing" : "not in this class");
  needs("result", kind === VERIFY);
  needs("from", kind === TRANSFER);
  if (kind === TRANSFER || !isCopy(kind)) needs("to", kind === TRANSFER);
  if (isCopy(kind) || kind === VERIFY) needs("object", true);
  if (kind === TRANSFER && event.from === event.to) bad("event.to", "to itself");
}

const isCopy = (kind) => kind === COPY || kind === EXPORT;

/** Event of a decoded body whose version is known. */
export function readEvent(value, kind) {
  const [, ...values] = shape.fields(value, 17, "event");
  const event = Object.fromEntries(FIELDS.map(([name, read], at) => [name, read(values[at], `event.${name}`)]));
  if ((event.number === 1) !== (event.previous === null)) bad("event.previous", "null exactly where the number is 1");
  checkClass(event, kind);
  return event;
}
