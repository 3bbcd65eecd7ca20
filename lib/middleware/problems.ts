import { STATUS_CODES } from 'node:http';
import { inspect } from 'node:util';
import Joi from 'joi';
import Koa, { type Middleware, type ParameterizedContext } from 'koa';
import {
  type ErrorCode,
  errorCodes,
  headersOf,
  isTollgateError,
  refuse,
  type TollgateError,
} from '../errors.js';
import { isUnavailable } from '../runtime/database.js';
import { readOptions, type SharedOptions } from '../runtime/options.js';
import { requestIdOf } from './request-id.js';

export interface ProblemsOptions extends SharedOptions {
  /** What a problem's `type` begins with; the code follows. Default `urn:koa-tollgate:problem:`. */
  types?: string | undefined;
}

/** Headers that spoke of the answer which the error replaces. */
const stale = [
  'Cache-Control',
  'Content-Disposition',
  'Content-Encoding',
  'ETag',
  'Last-Modified',
  'Location',
];

/**
 * Turns whatever is thrown downstream into RFC 9457 problem details, `{ type, title, status, code, detail, requestId, … }`:
 * refusals of koa-tollgate by their code, Koa's `HttpError`s by their status, a database without an answer as 503
 * `database_unavailable`, anything else as 500 `internal`, which never says what broke. Koa Router's empty 404 and 405
 * become problems too. Errors of 500 and above are emitted as the application's `error` event, as Koa does.
 *
 * Goes first, so that it sees the errors of everything.
 *
 * @example app.use(problems());
 */
export function problems(options: ProblemsOptions = {}): Middleware {
  const { types } = readOptions<{ types: string }>('problems', options, {
    types: Joi.string().default('urn:koa-tollgate:problem:'),
  });

  return async function problems(ctx, next) {
    const requestId = requestIdOf(ctx);
    try {
      await next();
      if (ctx.respond !== false) refuseEmpty(ctx);
    } catch (thrown) {
      if (ctx.headerSent) {
        ctx.res.destroy(); // too late for another answer: the client must not take it for a whole one
        throw thrown;
      }
      const { status, code, title, detail, headers, extras } = problemOf(thrown);
      for (const name of stale) ctx.remove(name);
      ctx.set({ ...headers, 'Cache-Control': 'no-store' });
      ctx.status = status;
      const members = { type: types + code, title, status, code, detail, requestId };
      ctx.body = JSON.stringify({ ...members, ...extras, ...members });
      ctx.type = 'application/problem+json';
      if (status >= 500) ctx.app.emit('error', asError(thrown), ctx);
    }
  };
}

/** Koa and its router say "nothing here" by an empty answer with a status. */
function refuseEmpty(ctx: ParameterizedContext): void {
  if (ctx.body !== undefined && ctx.body !== null) return;
  if (ctx.status === 404) throw refuse('not_found');
  if (ctx.status === 405 || ctx.status === 501) throw refuse('method_not_allowed');
}

interface Problem {
  readonly status: number;
  readonly code: string;
  readonly title: string;
  readonly detail: string | undefined;
  readonly headers: Readonly<Record<string, string>>;
  readonly extras: Readonly<Record<string, unknown>>;
}

type HttpError = InstanceType<typeof Koa.HttpError>;

/** The status that an error is answered with. */
export const statusOf = (thrown: unknown): number => problemOf(thrown).status;

function problemOf(thrown: unknown): Problem {
  if (isTollgateError(thrown)) return ofRefusal(thrown);
  if (isUnavailable(thrown)) return ofRefusal(refuse('database_unavailable'));
  if (isHttpError(thrown) && thrown.status !== 500) return ofHttpError(thrown);
  return ofRefusal(refuse('internal'));
}

function ofRefusal(error: TollgateError): Problem {
  const { status, code, message, headers, extras } = error;
  const detail = status < 500 ? message : undefined;
  return { status, code, title: errorCodes[code]?.title ?? message, detail, headers, extras };
}

/** Statuses that only one of our codes has; for the others the code is the name of the status. */
const codes: Readonly<Record<number, ErrorCode>> = {
  413: 'body_too_large',
  415: 'media_type',
  429: 'rate_limited',
};

/** An error made by `ctx.throw` or by a middleware of Koa's. */
function ofHttpError({ status, expose, message, headers }: HttpError): Problem {
  const title = STATUS_CODES[status] ?? 'Error';
  const code = codes[status] ?? title.toLowerCase().replaceAll(/[^a-z]+/g, '_');
  const detail = expose ? message : undefined;
  return { status, code, title, detail, headers: { ...headersOf(status), ...headers }, extras: {} };
}

/** Koa's own listener for `error` takes nothing else. */
const asError = (thrown: unknown): Error =>
  thrown instanceof Error ? thrown : new Error(`non-error thrown: ${inspect(thrown)}`);

/** By shape as well as by class: an application may hold another copy of http-errors. */
function isHttpError(error: unknown): error is HttpError {
  if (error instanceof Koa.HttpError) return true;
  const { status, expose } = (error ?? {}) as Partial<HttpError>;
  return (
    error instanceof Error &&
    typeof expose === 'boolean' &&
    Number.isInteger(status) &&
    (status as number) >= 400
  );
}
