/**
 * True when one of `codes` covers the permission `code`: it is the same, or `a.*` where `code` begins with `a.`, at any depth.
 * `a.*` does not cover `a` itself.
 */
export function permits(codes: readonly string[], code: string): boolean {
  return codes.some((held) => held === code || (held.endsWith('.*') && code.startsWith(held.slice(0, -1))));
}

/** Whether an API key with these scopes may use or pass on the permission `code`; without any scopes it has no restriction of its own. */
export const inScope = (scopes: readonly string[], code: string): boolean =>
  scopes.length === 0 || permits(scopes, code);
