/** Where a browser may be sent back to. */
export interface ReturnRules {
  readonly publicUrl?: string | undefined;
  readonly allowedOrigins: readonly string[];
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: browsers drop them, so `/\t/evil` would be `//evil`
const treacherous = /[\u0000-\u0020\u007f\\]/;

/**
 * Whether a browser may be sent to `text`: a path of our own (one `/` at its beginning, not two), or a URL of our own origin or of
 * one of `allowedOrigins`, written out exactly.
 */
export function mayReturnTo(text: string, { publicUrl, allowedOrigins }: ReturnRules): boolean {
  if (treacherous.test(text)) return false;
  if (text.startsWith('/')) return !text.startsWith('//');
  const origins = [...(publicUrl ? [new URL(publicUrl).origin] : []), ...allowedOrigins];
  return origins.some((origin) => text.startsWith(origin) && /^($|[/?#])/.test(text.slice(origin.length)));
}

type Parameters = Readonly<Record<string, string>>;

/** `url` with further parameters, otherwise as it was, but for a `secret`: that stands in the fragment, in place of another. */
export function withParameters(url: string, parameters: Parameters, secret?: Parameters): string {
  const [before = '', ...fragment] = url.split('#');
  const query = `${before.includes('?') ? '&' : '?'}${new URLSearchParams(parameters)}`;
  const kept = secret ? [new URLSearchParams(secret)] : fragment;
  return [before + query, ...kept].join('#');
}
