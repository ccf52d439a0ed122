/** Time tokens and renewals of a receipt. */

/** `{counting, authorities(filter), withExpired()}` over the attestations that `attested` judges. */
export function judgeTokens(attestations, attested) {
  for (const one of attestations) {
    if (one.known && (one.kind === "rfc3161" || one.kind === "renewal")) attested.set(one, "NotImplemented");
  }
  return { counting: [], authorities: () => new Set(), withExpired: () => new Set() };
}
