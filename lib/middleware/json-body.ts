import parse from 'co-body';
import type { ParameterizedContext } from 'koa';
import { refuse } from '../errors.js';
import { invalid } from './validation.js';

/** Bytes, also after decompression. */
const longest = 100_000;

/**
 * The JSON body, parsed; of an absent one an empty object. Its text stays in `ctx.request.rawBody`, so that it can be read again.
 *
 * @throws {TollgateError} `validation_failed` (400) when it is malformed, `body_too_large` (413) over 100 kB, `media_type` (415) when
 *   it is anything but JSON
 */
export async function jsonBody(ctx: ParameterizedContext): Promise<unknown> {
  const request = ctx.request as { rawBody?: unknown };
  if (ctx.is() === null || ctx.request.length === 0) return {};
  if (!ctx.is('json', '+json')) throw refuse('media_type', { detail: 'Send the body as application/json' });
  try {
    if (typeof request.rawBody === 'string') return parsedOf(request.rawBody);
    const { parsed, raw } = await parse.json(ctx.req, { limit: longest, strict: false, returnRawBody: true });
    request.rawBody = raw;
    return raw === '' ? {} : parsed;
  } catch (error) {
    throw ofParser(error as Error & { status?: number });
  }
}

const parsedOf = (raw: string): unknown => (raw === '' ? {} : JSON.parse(raw));

function ofParser(error: Error & { status?: number }): Error {
  if (error.status === 413)
    return refuse('body_too_large', { detail: `The body may have ${longest} bytes at most` });
  if (error.status === 415) return refuse('media_type', { detail: error.message });
  return invalid([{ path: '', message: 'must be JSON' }]);
}
