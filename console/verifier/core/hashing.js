/** The hash functions under one roof. */
import { sha256 as nobleSha256 } from "@noble/hashes/sha2.js";
import { keccak_256, sha3_256 as nobleSha3 } from "@noble/hashes/sha3.js";
import { concat } from "./bytes.js";
import { Sm3, sm3 as ownSm3 } from "./sm3.js";

export { Sm3 };

export function sha256(...parts) {
  return nobleSha256(parts.length === 1 ? parts[0] : concat(...parts));
}

export function sm3(...parts) {
  return ownSm3(parts.length === 1 ? parts[0] : concat(...parts));
}

export function sha3(...parts) {
  return nobleSha3(parts.length === 1 ? parts[0] : concat(...parts));
}

export function keccak256(...parts) {
  return keccak_256(parts.length === 1 ? parts[0] : concat(...parts));
}

/** Size and both digests of content that arrives in pieces; SHA3-256 too where a hash renewal may ask for it. */
export class ContentHasher {
  constructor(renewed = false) {
    this.size = 0;
    this.third = renewed ? nobleSha3.create() : null;
    this.first = nobleSha256.create();
    this.second = new Sm3();
  }

  update(piece) {
    this.size += piece.length;
    this.first.update(piece);
    this.second.update(piece);
    this.third?.update(piece);
  }

  result() {
    return { size: this.size, sha256: this.first.digest(), sm3: this.second.digest(), sha3: this.third?.digest() ?? null };
  }
}
