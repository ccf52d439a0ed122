/** Which algorithms a verification leaves out, and what a hash renewal saves of it (docs/spec/hash-renewal.md §4). */
import { judgeRehashes } from "./rehash.js";

/** Kinds that prove nothing any more unless a renewal that counts lists them. */
export const COVERABLE = ["witness", "rfc3161", "renewal", "chain"];
export const NOT_RENEWED = { told: [], nothing: false, rehashes: [], moments: new Map(), counting: [], covered: null, from: null };

/**
 * `told` is what is ignored by the caller or ended, `ignored` what is left out in the end, `nothing` whether that is all; `rehashes` the
 * judged renewals, `counting` those that count in time, `covered` the positions that they list, `from` the earliest time.
 */
export function chooseAlgorithms(ignore, ends, at, context) {
  const ended = ends.filter(({ end }) => at > end).map(({ name }) => name);
  const told = ["sha256", "sm3"].filter((name) => ignore.includes(name) || ended.includes(name));
  const { found: rehashes, moments } = context ? judgeRehashes(context) : { found: [], moments: new Map() };
  const out = { ...NOT_RENEWED, told, ignored: told, rehashes, moments, nothing: told.length === 2 };
  if (!told.length) return out;
  const limit = Math.min(at, ...ends.filter(({ name }) => told.includes(name)).map(({ end }) => end));
  const counting = rehashes.filter(({ from }) => from !== null && from <= limit);
  for (const judged of rehashes) if (judged.from !== null && judged.from > limit) judged.code = "RehashTooLate";
  if (!counting.length) return out;
  const covered = new Set(counting.flatMap(({ one }) => one.listed));
  const from = Math.min(...counting.map((judged) => judged.from));
  return { ...out, ignored: [], nothing: false, counting: counting.map(({ one }) => one), covered, from };
}
