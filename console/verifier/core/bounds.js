/** The earliest time that something speaks for (docs/spec/attestation.md §6), and the largest interest group. */

/**
 * `{time, by}`, or null. `from` is the time of a hash renewal that counts, or null; the block counts only where its epoch is open, or
 * nothing else speaks. On a tie token, witness, block.
 */
export function earliestTime(attested, from, block) {
  const tokens = (attested?.tokens.counting ?? []).map(({ time }) => time);
  const quorums = [0, 1].map((algorithm) => attested?.quorum(algorithm) ?? null).filter((time) => time !== null);
  const found = [
    ...(from === null ? tokens : [...tokens, from]).map((time) => ({ time, by: "token" })), ...quorums.map((time) => ({ time, by: "witness" })),
  ];
  if (block && (block.epoch.to === null || !found.length)) found.push({ time: block.time, by: "block" });
  return found.length ? found.reduce((a, b) => (b.time < a.time ? b : a)) : null;
}

/** `{largest, total}`: voting power of the largest interest group, and of all. */
export function largestGroup(validators) {
  const groups = new Map();
  for (const { group, power } of validators) groups.set(group, (groups.get(group) ?? 0n) + power);
  const powers = [...groups.values()];
  return { largest: powers.reduce((a, b) => (a > b ? a : b)), total: powers.reduce((a, b) => a + b) };
}
