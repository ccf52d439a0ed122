/** Whether a file is the one that was recorded (docs/spec/receipt.md §3, step 2; docs/spec/hash-renewal.md §4). */
import { equal, hex } from "./bytes.js";
import { checkBody, isDocumentClass } from "./entry.js";
import { refuse } from "./errors.js";
import { sha256, sm3 } from "./hashing.js";
import { Other } from "./steps.js";

const HASHES = { sha256, sm3 };

/** `looked`: what algorithmends.js chose. Returns a verdict that is no pass, or throws it. */
export function judgeContent({ core: { body, parsedBody, header }, content, looked }, note) {
  const names = Object.keys(HASHES).filter((name) => !looked.ignored.includes(name));
  if (content && looked.nothing) throw new Other("INDETERMINATE", "HashNotRenewed");
  if (body === null) throw new Other(content ? "INDETERMINATE" : "NOT_CHECKED", "BodyWithheld");
  for (const name of names) note(`body.${name}`, hex(HASHES[name](body)));
  checkBody(header, body, looked.ignored);
  if (!content) throw new Other("NOT_CHECKED", "NoFileGiven");
  if (!isDocumentClass(header.kind)) throw new Other("INDETERMINATE", "NoContent");
  note("content.size", content.size);
  for (const name of names) note(`content.${name}`, hex(content[name]));
  if (BigInt(content.size) !== BigInt(parsedBody.size) || names.some((name) => !equal(content[name], parsedBody[name]))) {
    refuse("ContentMismatch", "the file is not the one that was recorded");
  }
  if (looked.counting.length) checkRenewed(looked.counting, content.sha3, note);
}

/** The older digests alone do not bind a file any more: renewals must have body and content. */
function checkRenewed(counting, sha3, note) {
  const contents = counting.filter(({ content }) => content).map(({ content }) => content);
  if (!counting.some(({ body }) => body) || !contents.length || !sha3) throw new Other("INDETERMINATE", "ContentNotRenewed");
  note("content.sha3_256", hex(sha3));
  if (!contents.every((digest) => equal(digest, sha3))) refuse("ContentMismatch", "not the file of the hash renewal", "sha3_256");
}
