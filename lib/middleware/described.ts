import type Joi from 'joi';
import type { ErrorCode } from '../errors.js';
import type { CredentialKind } from './credentials/signed-in.js';

/** What a middleware tells of itself, for the document that `openapiRouter()` serves. */
export interface Description {
  /** The codes that it refuses with. */
  readonly refuses?: readonly ErrorCode[] | undefined;
  /** The kinds of credential that it takes. */
  readonly accept?: readonly CredentialKind[] | undefined;
  /** Whether a request without a credential passes too. */
  readonly optional?: boolean | undefined;
  /** What it reads of a request beside the kinds in `accept`. */
  readonly reads?: readonly Credential[] | undefined;
  /** The permission codes that an API key with scopes needs. */
  readonly scope?: string | readonly string[] | undefined;
  /** The request headers that it reads, beside those of credentials. */
  readonly headers?: readonly string[] | undefined;
  readonly body?: Joi.Schema | undefined;
  readonly query?: Joi.ObjectSchema | undefined;
  readonly answers?: Answer | undefined;
}

/** Where a credential stands in a request: the names of the document's security schemes. */
export type Credential = 'cookie' | 'bearer' | 'apiKey' | 'stytch' | 'refreshCookie';

/** What a route answers that is no refusal: when all is well, and where it has JSON of its own for something else. */
export interface Answer {
  readonly status: number;
  /** Of the JSON in it; null: there is none. */
  readonly schema: Joi.Schema | JsonSchema | null;
}

/** A JSON Schema (draft 2020-12); one that has a `title` stands in the document once, under it. */
export type JsonSchema = Readonly<Record<string, unknown>>;

const description = Symbol.for('koa-tollgate.description');
const parts = Symbol.for('koa-tollgate.parts');

type Telling = { [description]?: Description; [parts]?: readonly object[] };

/**
 * Lets a middleware tell what it refuses with, reads or answers: what `openapiRouter()` writes of the routes that it stands on.
 *
 * @example return described({ refuses: ['ip_not_allowed'] }, onlyInOffice);
 */
export const described = <M extends object>(told: Description, middleware: M): M =>
  Object.assign(middleware, { [description]: told });

/** Lets one middleware stand for several. */
export const composedOf = <M extends object>(middleware: M, several: readonly object[]): M =>
  Object.assign(middleware, { [parts]: several });

/** The middlewares that one stands for, in their order. */
export const partsOf = (middleware: object): readonly object[] =>
  (middleware as Telling)[parts]?.flatMap(partsOf) ?? [middleware];

/** What a middleware has told of itself; null: nothing. */
export const descriptionOf = (middleware: object): Description | null =>
  (middleware as Telling)[description] ?? null;
