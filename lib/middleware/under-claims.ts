import { Readable } from 'node:stream';
import type { ParameterizedContext } from 'koa';
import type { Connection } from 'mongoose';
import { refuse } from '../errors.js';
import type { StoredAnswer } from '../models/claim.js';
import { type Claim, claimBook } from '../quota/claim-book.js';

/** Bytes. */
const longest = 65_536;

const outermost = Symbol('koa-tollgate.outermost claim');

/**
 * Runs what claims are for, and holds them meanwhile. A success is kept to be answered again, by the outermost claim of the request. After
 * a failure the claims are `'kept'` for the next one with the key, with what is charged for them, or `'freed'`.
 */
export async function underClaims(
  ctx: ParameterizedContext,
  connection: Connection,
  claims: readonly Claim[],
  run: () => Promise<void>,
  onFailure: 'kept' | 'freed' = 'kept',
): Promise<void> {
  if (claims.length === 0) return run();
  const book = claimBook(connection);
  const scope = ctx as { [outermost]?: Claim | undefined };
  scope[outermost] ??= claims[0];
  for (const claim of claims) book.hold(claim);
  const end = (work: (claim: Claim) => Promise<void>) =>
    Promise.all(claims.map(work)).catch((error: Error) => {
      ctx.app.emit('error', error, ctx); // what was done is done: the client is told so all the same
    });
  const fail = () => end((claim) => (onFailure === 'kept' ? book.letGo(claim) : book.free(claim)));
  try {
    await run();
  } catch (error) {
    await fail();
    throw error;
  }
  if (ctx.status >= 400) return void (await fail());
  await end((claim) => (scope[outermost] === claim ? book.finish(claim, answerOf(ctx)) : book.letGo(claim)));
}

function answerOf(ctx: ParameterizedContext): StoredAnswer {
  const { status } = ctx;
  const [type, location] = [ctx.response.get('Content-Type') || null, ctx.response.get('Location') || null];
  const body = ctx.respond === false ? undefined : bytesOf(ctx.body);
  const isWhole = body !== undefined && (body === null || body.length <= longest);
  return { status, type, location, body: isWhole ? body : null, isWhole };
}

/** The body as it is sent; undefined: it can be sent only once. */
function bytesOf(body: unknown): Buffer | null | undefined {
  if (body === undefined || body === null) return null;
  if (typeof body === 'string') return Buffer.from(body);
  if (Buffer.isBuffer(body)) return body;
  const isStream = body instanceof Readable || body instanceof ReadableStream || body instanceof Blob || body instanceof Response; // biome-ignore format: a list
  return isStream || 'pipe' in (body as object) ? undefined : Buffer.from(JSON.stringify(body));
}

/**
 * Gives a kept answer once more.
 *
 * @throws {TollgateError} `conflict` (409) when it was too long to be kept, or a stream
 */
export function replay(ctx: ParameterizedContext, answer: StoredAnswer): void {
  const { status, type, location, isWhole } = answer;
  const headers = { 'Idempotency-Replayed': 'true', ...(location && { Location: location }) };
  if (!isWhole) {
    const detail = `The first request with this key was answered with ${status}; its answer was too long to be kept`;
    throw refuse('conflict', { detail, headers });
  }
  const { body } = answer;
  ctx.body = body;
  ctx.status = status; // Koa makes 204 of an empty body
  ctx.set(headers);
  if (type && body) ctx.set('Content-Type', type);
  else ctx.remove('Content-Type');
}
