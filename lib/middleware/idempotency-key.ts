import { createHash } from 'node:crypto';
import type { ParameterizedContext } from 'koa';
import type { Connection } from 'mongoose';
import { type Claim, claimBook } from '../quota/claim-book.js';
import { type Subject, subjectKey } from '../runtime/subject.js';
import { isIdempotencyKey } from '../services/plans/claim-of-call.js';
import { type SignedIn, signedIn } from './authenticate.js';
import { jsonBody } from './json-body.js';
import { invalid } from './validation.js';

/** What a key is claimed for. */
export interface ClaimedFor {
  readonly subject: Subject;
  /** Empty: nothing is charged. */
  readonly feature: string;
  /** Seconds. */
  readonly window: number;
  /** The claim that keeps the answer of the request, where another guard has one already. */
  readonly within: Claim | undefined;
}

/**
 * The idempotency key of a POST, from `Idempotency-Key` or `X-Idempotency-Key`; undefined where there is none.
 *
 * @throws {TollgateError} `validation_failed` (400) when it is longer than 255 characters or not printable
 */
export function idempotencyKeyOf(ctx: ParameterizedContext): string | undefined {
  if (ctx.method !== 'POST') return undefined;
  const name = ['Idempotency-Key', 'X-Idempotency-Key'].find(
    (header) => ctx.headers[header.toLowerCase()] !== undefined,
  );
  if (name === undefined) return undefined;
  const key = ctx.get(name);
  if (isIdempotencyKey(key)) return key;
  throw invalid([{ path: name, message: 'must have 1 to 255 printable characters' }]);
}

/** The claim of a request to its key, which is one for each user or API key, subject, method, route and feature. */
export async function claimFor(
  ctx: ParameterizedContext,
  connection: Connection,
  k: string,
  { subject, feature: f, window, within }: ClaimedFor,
): Promise<Claim> {
  const { apiKey } = ctx.state as Partial<SignedIn>;
  const { routerPath, method: m } = ctx as ParameterizedContext & { routerPath?: unknown };
  const o = `user:${signedIn(ctx).id}`;
  const c = apiKey ? `key:${apiKey.id}` : 'user';
  const key = { o, c, s: subjectKey(subject), m, r: String(routerPath ?? ctx.path), f, k };
  return claimBook(connection).claim(key, await hashOf(ctx), window * 1_000, within);
}

const hashed = Symbol('koa-tollgate.request hash');

/** Of path, query and body, in one form for every guard of the request. */
async function hashOf(ctx: ParameterizedContext): Promise<string> {
  const scope = ctx as { [hashed]?: string };
  scope[hashed] ??= createHash('sha256')
    .update(`${ctx.originalUrl}\n`)
    .update(await contentOf(ctx))
    .digest('base64');
  return scope[hashed];
}

/**
 * The body as it was sent, as far as somebody has read it; JSON that nobody has read yet is read here. Of other bodies, which only the
 * handler knows how to read, there is what the headers say.
 */
async function contentOf(ctx: ParameterizedContext): Promise<string | Buffer> {
  const request = ctx.request as { rawBody?: unknown; body?: unknown };
  if (request.rawBody === undefined && request.body === undefined && ctx.is('json', '+json'))
    request.body = await jsonBody(ctx);
  const { rawBody, body } = request;
  const content = rawBody ?? body;
  if (typeof content === 'string' || Buffer.isBuffer(content)) return content;
  if (content !== undefined) return JSON.stringify(content);
  return ['Content-Type', 'Content-Length', 'Content-Digest'].map((name) => ctx.get(name)).join('\n');
}
