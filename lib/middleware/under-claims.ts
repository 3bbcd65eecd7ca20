import { Readable } from 'node:stream';
import type { ParameterizedContext } from 'koa';
import type { Connection } from 'mongoose';
import { refuse } from '../errors.js';
import type { StoredAnswer } from '../models/claim.js';
import { type Claim, type ClaimBook, claimBook } from '../quota/claim-book.js';

/** Bytes. */
const longest = 65_536;

/** The claims of a request: the outermost keeps its answer, and those of guards within it end with it. */
interface Claimed {
  readonly outermost: Claim;
  /** Of guards that have been answered well. */
  readonly inner: Claim[];
}

const claimed = Symbol('koa-tollgate.claims of the request');

interface Scope {
  [claimed]?: Claimed;
}

/** The claim that will keep the answer of a request; undefined while no guard has one. */
export const outermostOf = (ctx: ParameterizedContext): Claim | undefined =>
  (ctx as Scope)[claimed]?.outermost;

/**
 * Runs what claims are for, and holds them meanwhile. A success is kept to be answered again, by the outermost claim of the request;
 * then the others are freed, for what was charged for them is spent. After a failure the claims are `'kept'` for the next one with the
 * key, with what is charged for them, or `'freed'`.
 */
export async function underClaims(
  ctx: ParameterizedContext,
  connection: Connection,
  claims: readonly Claim[],
  run: () => Promise<void>,
  onFailure: 'kept' | 'freed' = 'kept',
): Promise<void> {
  const [first] = claims;
  if (!first) return run();
  const book = claimBook(connection);
  const scope = ctx as Scope;
  scope[claimed] ??= { outermost: first, inner: [] };
  const { outermost, inner } = scope[claimed];
  for (const claim of claims) book.hold(claim);
  const fail = async () => {
    const failed = outermost === first ? [...claims, ...inner.splice(0)] : claims;
    const isFreed = (claim: Claim) => onFailure === 'freed' && claims.includes(claim);
    const ended = failed.map((claim) => (isFreed(claim) ? book.free(claim) : book.fail(claim)));
    await Promise.all(ended).catch(report(ctx));
  };
  let answer: StoredAnswer | undefined;
  try {
    await run();
    if (outermost === first && ctx.status < 400) answer = answerOf(ctx);
  } catch (error) {
    await fail();
    throw error;
  }
  if (ctx.status >= 400) return fail();
  inner.push(...claims.filter((claim) => claim !== outermost));
  if (answer) await keep(book, outermost, answer, inner).catch(report(ctx));
}

/** What was done is done: the client is told so all the same. */
const report = (ctx: ParameterizedContext) => (error: Error) => void ctx.app.emit('error', error, ctx);

/**
 * Keeps the answer, and only then frees what was charged beside it: whoever comes in between finds one or the other. Where another has taken the request
 * over meanwhile, that is theirs.
 */
async function keep(
  book: ClaimBook,
  outermost: Claim,
  answer: StoredAnswer,
  inner: readonly Claim[],
): Promise<void> {
  try {
    if (await book.finish(outermost, answer)) await Promise.all(inner.map((claim) => book.free(claim)));
  } finally {
    for (const claim of inner) book.drop(claim);
  }
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
  if (isStream || (typeof body === 'object' && 'pipe' in body)) return undefined;
  return Buffer.from(JSON.stringify(body));
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
