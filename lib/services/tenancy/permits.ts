/**
 * True when one of `codes` covers the permission `code`: it is the same, or `a.*` where `code` begins with `a.`, at any depth.
 * `a.*` does not cover `a` itself.
 */
export function permits(codes: readonly string[], code: string): boolean {
  return codes.some((held) => held === code || (held.endsWith('.*') && code.startsWith(held.slice(0, -1))));
}
