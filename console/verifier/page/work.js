/** What the worker does with a file and a case number. */
import { fromHex } from "../core/bytes.js";
import { ContentHasher } from "../core/hashing.js";

const SLICE = 4 << 20;

/** Size and digests of a Blob, in one buffer that is used again and again; SHA3-256 with `renewed`. `progress` gets the bytes done. */
export async function sliceHash(blob, renewed, progress) {
  const hasher = new ContentHasher(renewed);
  const reader = blob.stream().getReader({ mode: "byob" });
  let view = new Uint8Array(SLICE);
  let [done, told] = [0, 0];
  for (;;) {
    const read = await reader.read(view);
    if (read.done) break;
    hasher.update(read.value);
    done += read.value.length;
    if (done - told >= SLICE || done === blob.size) progress((told = done));
    view = new Uint8Array(read.value.buffer, 0, SLICE);
  }
  return hasher.result();
}

/** 32 bytes, or null when none was given. */
export function parseHexCase(text) {
  return text ? fromHex(text) : null;
}
