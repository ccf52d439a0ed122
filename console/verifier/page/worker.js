/** Hashes the file slice by slice and verifies, away from the page's thread. */
import { SHEET_LIMIT } from "../core/custody.js";
import { STATEMENT_LIMIT } from "../core/provenance.js";
import { RECEIPT_LIMIT, wantsSha3 } from "../core/receipt.js";
import { parseHexCase, sliceHash } from "./work.js";
import { verifyReceipt } from "../core/verify.js";

self.onmessage = async ({ data }) => {
  try {
    const [receipt, trust] = await Promise.all([read(data.receipt, RECEIPT_LIMIT), read(data.trust, 1 << 20)]);
    const provenance = data.statement && (await read(data.statement, STATEMENT_LIMIT));
    const custody = data.sheet && { sheet: await read(data.sheet, SHEET_LIMIT) };
    const content = data.file ? await sliceHash(data.file, wantsSha3(receipt), (done) => self.postMessage({ done })) : null;
    const report = verifyReceipt(receipt, trust, { content, at: data.at, caseId: parseHexCase(data.caseId), provenance, custody });
    self.postMessage({ report });
  } catch (error) {
    self.postMessage({ error: String(error?.message ?? error) });
  }
};

/** At most one byte more than the format allows: the parser refuses what is longer. */
async function read(blob, limit) {
  return new Uint8Array(await blob.slice(0, limit + 1).arrayBuffer());
}
