/** Storage positions, words and EIP-712 digests (docs/spec/chain-state.md). */
import { concat, text, toUint, uint } from "./bytes.js";
import { keccak256 } from "./hashing.js";

const KEYS_SLOT = 2n;
const LINKS_SLOT = 3n;
const word = (value) => uint(value, 32);
const padded = (address) => concat(new Uint8Array(12), address);
const tag = (value) => keccak256(text(value));

export const PURPOSE_ACT = 1;
export const STATE_ACTIVE = 1;

export const logIdOf = (origin) => tag(origin);

export function linkPosition(logId, number) {
  return keccak256(word(number), keccak256(logId, word(LINKS_SLOT)));
}

export function keyPosition(address) {
  return keccak256(padded(address), word(KEYS_SLOT));
}

/** The word that EvidenceLog stores for a batch. */
export function linkValue(log, link) {
  return keccak256(
    tag("caseledger/batch-link/v1"), word(log.chainId), padded(log.evidenceLog), logIdOf(log.origin),
    word(link.number), link.previous, word(link.size), link.rootSha256, link.rootSm3, word(link.time),
  );
}

/** Fields of a packed key slot, or null when upper bits are set or purpose or state is none of the known. */
export function parseKeySlot(value) {
  let left = toUint(value);
  const take = (bits) => {
    const part = left & ((1n << bits) - 1n);
    left >>= bits;
    return Number(part);
  };
  const slot = {
    organisation: take(32n), purpose: take(8n), notBefore: take(40n), notAfter: take(40n), revokedAt: take(40n),
    state: take(8n),
  };
  const known = slot.purpose >= 1 && slot.purpose <= 5 && slot.state >= 1 && slot.state <= 3;
  return left || !known ? null : slot;
}

const DOMAIN = "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)";
const SUBMIT = "Submit(bytes32 logId,uint32 organisation,bytes32 root,uint32 count,uint40 validUntil)";

const SM2_KEY = "Sm2Key(bytes32 logId,uint32 organisation,bytes32 root,bytes32 x,bytes32 y)";

function typedDigest(chainId, contract, ...message) {
  const domain = keccak256(tag(DOMAIN), tag("caseledger"), tag("1"), word(chainId), padded(contract));
  return keccak256(Uint8Array.of(0x19, 0x01), domain, keccak256(...message));
}

/** Digest that the submitter signs. */
export function submitDigest({ chainId, contract, logId, organisation, root, count, validUntil }) {
  return typedDigest(chainId, contract, tag(SUBMIT), logId, word(organisation), root, word(count), word(validUntil));
}

/** Digest by which the submitter's key vouches for an SM2 key (x, y). */
export function sm2KeyDigest({ chainId, contract, logId, organisation, root, x, y }) {
  return typedDigest(chainId, contract, tag(SM2_KEY), logId, word(organisation), root, x, y);
}
