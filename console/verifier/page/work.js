/** What the worker does with a file and a case number. */
import { fromHex } from "../core/bytes.js";
import { ContentHasher } from "../core/hashing.js";

const SLICE = 4 << 20;

/** Size and digests of a Blob, one slice in memory at a time; SHA3-256 with `renewed`. `progress` gets the bytes done. */
export async function sliceHash(blob, renewed, progress) {
  const hasher = new ContentHasher(renewed);
  for (let at = 0; at < blob.size; at += SLICE) {
    hasher.update(new Uint8Array(await blob.slice(at, at + SLICE).arrayBuffer()));
    progress(Math.min(at + SLICE, blob.size));
  }
  return hasher.result();
}

/** 32 bytes, or null when none was given. */
export function parseHexCase(text) {
  return text ? fromHex(text) : null;
}
