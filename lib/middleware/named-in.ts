import type { ParameterizedContext } from 'koa';

/** The id that a request names in its path, else in a header; ids are compared in lower case. */
export function namedIn(ctx: ParameterizedContext, parameter: string, header: string): string | undefined {
  const inPath = (ctx.params as Record<string, string> | undefined)?.[parameter];
  return (inPath ?? (ctx.get(header) || undefined))?.toLowerCase();
}
