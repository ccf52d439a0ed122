/** Provenance statements and the anchor lag (docs/spec/provenance.md). */
import { equal, hex, text } from "./bytes.js";
import { decode } from "./cbor.js";
import { as, refuse } from "./errors.js";
import { sha256 } from "./hashing.js";
import * as shape from "./shape.js";
import { Other } from "./steps.js";

export const STATEMENT_LIMIT = 8192;
const TEXT_LIMIT = 500;
const DAY = 86_400;
const LAG_BOUNDS = { 1: 30, 2: 7, 3: 3, 4: 1, 5: 3, 6: 3, 7: 3, 8: 7, 9: 3, 10: 30 };
const FORMS = ["born-digital", "scanned", "photographed", "printed"];
/** Keys that a complete statement fills, with their names in a report. */
const STATED = {
  1: "sourceSystem", 2: "generatingEvent", 3: "generatedAt", 4: "generationMechanism", 5: "collector", 6: "environmentCheck",
  7: "extraction", 9: "originalAt", 10: "form",
};

const provenanceDigest = (statement) => sha256(text("caseledger/provenance/v1"), statement);

const label = (value, field) => shape.label(value, field, TEXT_LIMIT);
const time = (value, field) => shape.small(value, field, 40);

function collector(value, field) {
  const [name, version, digest] = shape.list(value, field, { size: 3 });
  return {
    name: label(name, field), version: label(version, field), sha256: shape.orNull(digest, (item) => shape.bytes(item, field, 32)),
  };
}

function environment(value, field) {
  const [what, passed, at] = shape.list(value, field, { size: 3 });
  return { what: label(what, field), passed: shape.small(passed, field, 1) === 1, at: time(at, field) };
}

const READERS = {
  1: label, 2: label, 3: time, 4: label, 5: collector, 6: environment, 7: label, 9: label, 10: (value, field) => shape.small(value, field, 2),
};

/** Statement by the names of a report, null where nothing is stated; refuses with MalformedProvenance or UnknownVersion. */
function parseProvenance(bytes) {
  return as("MalformedProvenance", () => {
    const map = decode(bytes, 3, { limit: STATEMENT_LIMIT, items: 64 });
    if (map instanceof Map && map.has(0n) && shape.big(map.get(0n), "provenance.version") !== 1n) {
      refuse("UnknownVersion", `version ${map.get(0n)}`, "provenance.version");
    }
    const all = shape.fields(map, 12, "provenance");
    const out = {};
    for (const [key, name] of Object.entries(STATED)) {
      out[name] = shape.orNull(all[key], (value) => READERS[key](value, `provenance.${name}`));
    }
    out.transferPath = shape.list(all[8], "provenance.transferPath", { most: 16 }).map((hop) => label(hop, "provenance.transferPath"));
    shape.bytes(all[11], "provenance.salt", 32);
    return out;
  }, ["UnknownVersion"]);
}

const missingOf = (stated) => Object.values(STATED).filter((name) => stated[name] === null);

/** What a report says of a statement. */
function provenanceFacts(stated) {
  const { collector: tool, environmentCheck: check, transferPath: path } = stated;
  return {
    ...stated,
    collector: tool && `${tool.name} ${tool.version}`, collectorSha256: tool?.sha256 ? hex(tool.sha256) : null,
    form: stated.form === null ? null : FORMS[stated.form], environmentCheck: check && check.what, environmentPassed: check && check.passed, transferPath: path.join(" → ") || null,
  };
}

/** Facts about the time between event and anchor; none where no event is stated. */
function lagFacts({ header, link }, body, stated) {
  const event = stated?.generatedAt ?? body?.eventTime ?? null;
  if (event === null) return {};
  const lag = link.time - event;
  return { anchorLag: lag, anchorLagLong: header.kind in LAG_BOUNDS && lag > LAG_BOUNDS[header.kind] * DAY };
}

/** The verdict of a shown statement, which counts only when the body fixes it; the lag is told with and without one. */
export function judgeProvenance({ core, document, statement, ignored }, note, facts) {
  let stated = null;
  try {
    stated = readFixed(core, document, statement, ignored);
    note("provenance.digest", hex(provenanceDigest(statement)));
  } finally {
    Object.assign(facts, stated && provenanceFacts(stated), lagFacts(core, document, stated));
  }
  const missing = missingOf(stated);
  return missing.length ? { code: "ProvenanceIncomplete", detail: missing.join(", ") } : null;
}

function readFixed(core, document, statement, ignored) {
  if (!statement) throw new Other("NOT_CHECKED", "DigestsOnly");
  if (ignored) throw new Other("NOT_CHECKED", "AlgorithmIgnored");
  if (core.body === null) throw new Other("NOT_CHECKED", "BodyWithheld");
  if (!document?.provenance) throw new Other("NOT_CHECKED", "NoProvenance");
  const digest = provenanceDigest(statement);
  if (!equal(digest, document.provenance)) refuse("ProvenanceMismatch", `${hex(digest)}, recorded is ${hex(document.provenance)}`);
  const stated = parseProvenance(statement);
  if (stated.generatedAt !== null && stated.generatedAt > core.link.time) refuse("ProvenanceAfterAnchor");
  return stated;
}
