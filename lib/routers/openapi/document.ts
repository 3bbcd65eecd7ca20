import Joi from 'joi';
import { type ErrorCode, errorCodes } from '../../errors.js';
import {
  type Answer,
  type Credential,
  type Description,
  descriptionOf,
  type JsonSchema,
  partsOf,
} from '../../middleware/described.js';
import { type RouterLike, routesOf } from './routes.js';

export interface DocumentOptions {
  readonly title: string;
  readonly version: string;
  /** What the session's cookies are called. */
  readonly cookies: { readonly access: string; readonly refresh: string };
}

/** The OpenAPI 3.1 document of the routes of `routers`, by what their middlewares tell of themselves. */
export function openapiDocument(
  routers: readonly RouterLike[],
  { title, version, cookies }: DocumentOptions,
): object {
  const schemas: Record<string, JsonSchema> = { Problem: problem };
  const paths: Record<string, Record<string, object>> = {};
  for (const { path, parameters, method, middlewares } of routers.flatMap(routesOf)) {
    const item = paths[path] ?? {};
    item[method] ??= operation(method, path, parameters, middlewares.flatMap(partsOf));
    paths[path] = item;
  }
  const document = {
    openapi: '3.1.0',
    info: { title, version },
    paths: hoist(paths, schemas),
    components: { schemas, securitySchemes: securitySchemes(cookies) },
  };
  return document;
}

const securitySchemes = ({ access, refresh }: DocumentOptions['cookies']): Record<Credential, object> => ({
  cookie: { type: 'apiKey', in: 'cookie', name: access },
  refreshCookie: { type: 'apiKey', in: 'cookie', name: refresh },
  bearer: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' },
  apiKey: { type: 'apiKey', in: 'header', name: 'X-API-Key' },
  stytch: { type: 'apiKey', in: 'cookie', name: 'stytch_session' },
});

const problem = {
  description: 'Problem details (RFC 9457)',
  type: 'object',
  properties: {
    type: { type: 'string' },
    title: { type: 'string' },
    status: { type: 'integer' },
    code: { type: 'string' },
    detail: { type: 'string' },
    requestId: { type: 'string' },
  },
  required: ['type', 'title', 'status', 'code', 'requestId'],
} as const;

function operation(
  method: string,
  path: string,
  inPath: readonly string[],
  middlewares: readonly object[],
): object {
  const told = middlewares.flatMap((middleware) => descriptionOf(middleware) ?? []);
  const name = (middlewares.at(-1) as { name?: string } | undefined)?.name ?? '';
  const body = told.find((each) => each.body)?.body;
  const hasBody = body !== undefined && Object.keys(body.describe().keys ?? {}).length > 0;
  return {
    operationId: `${method}${path.replaceAll(/[^A-Za-z0-9]+/g, '_')}`,
    ...(name && { summary: sentence(name) }),
    tags: [path.split('/')[1] || 'root'],
    parameters: [
      ...inPath.map((each) => ({ name: each, in: 'path', required: true, schema: { type: 'string' } })),
      ...told.flatMap(({ headers = [] }) => headers).map(header),
      ...told.flatMap(({ query }) => (query ? inQuery(query) : [])),
    ],
    ...(hasBody && { requestBody: requestBody(body) }),
    responses: { ...refusals(method, told), ...success(told) }, // in place of a refusal of the same status
    ...security(told),
  };
}

const header = (name: string) => ({ name, in: 'header', schema: { type: 'string' } });

/** `signInByPassword`: Sign in by password. */
const sentence = (name: string): string => {
  const words = name.replaceAll(/([A-Z])/g, ' $1').toLowerCase().trim(); // biome-ignore format: a chain
  return words.charAt(0).toUpperCase() + words.slice(1);
};

/** By Joi's own conversion: what a request sends, before defaults. */
const jsonOf = (schema: Joi.Schema | JsonSchema): JsonSchema =>
  Joi.isSchema(schema)
    ? (schema['~standard'].jsonSchema.input({ target: 'draft-2020-12' }) as JsonSchema)
    : (schema as JsonSchema);

function inQuery(query: Joi.ObjectSchema): readonly object[] {
  const { properties = {}, required = [] } = jsonOf(query) as {
    properties?: Record<string, JsonSchema>;
    required?: readonly string[];
  };
  const one = ([name, schema]: [string, JsonSchema]) => ({
    name,
    in: 'query',
    ...(required.includes(name) && { required: true }),
    schema,
  });
  return Object.entries(properties).map(one);
}

function requestBody(body: Joi.Schema): object {
  const schema = jsonOf(body) as JsonSchema & { required?: readonly string[] };
  return { required: (schema.required?.length ?? 0) > 0, content: { 'application/json': { schema } } };
}

function success(told: readonly Description[]): object {
  const all = told.flatMap(({ answers }) => answers ?? []).map(answered);
  return all.length > 0 ? Object.fromEntries(all) : { '2XX': { description: 'Done' } };
}

function answered({ status, schema }: Answer): readonly [status: number, response: object] {
  const description =
    { 201: 'Made', 202: 'Accepted', 302: 'Go on there', 503: 'Unhealthy' }[status] ?? 'Done';
  const content = schema && { content: { 'application/json': { schema: jsonOf(schema) } } };
  return [status, { description, ...content }];
}

/** What any route may refuse with. */
const always: readonly ErrorCode[] = ['database_unavailable', 'internal'];

function refusals(method: string, told: readonly Description[]): object {
  const all = new Set([...told.flatMap(({ refuses = [] }) => refuses), ...always]);
  if (method === 'get') all.delete('cross_origin'); // it changes nothing
  const statuses = new Set([...all].map((code) => errorCodes[code].status));
  const of = (status: number) => [...all].filter((code) => errorCodes[code].status === status);
  return Object.fromEntries([...statuses].map((status) => [status, refusal(of(status))]));
}

function refusal(codes: readonly ErrorCode[]): object {
  const schema = { allOf: [problemReference, { properties: { code: { enum: codes } } }] };
  return {
    description: codes.map((code) => `${code}: ${errorCodes[code].title}`).join('; '),
    content: { 'application/problem+json': { schema } },
  };
}

const problemReference = { $ref: '#/components/schemas/Problem' } as const;

/** Any one of the alternatives is enough. */
function security(told: readonly Description[]): { security?: readonly object[] } {
  const guard = told.find(({ accept, reads }) => accept ?? reads);
  if (!guard) return {};
  const scopes = told.flatMap(({ scope }) => scope ?? []);
  const schemes = {
    session: [{ cookie: [] }, { bearer: [] }],
    apiKey: [{ apiKey: scopes }],
    stytch: [{ stytch: [] }, { bearer: [] }],
  };
  const { accept = [], reads = [], optional } = guard;
  const alternatives = [
    ...accept.flatMap((kind): object[] => schemes[kind]),
    ...reads.map((where) => ({ [where]: [] })),
  ];
  return { security: [...alternatives, ...(optional ? [{}] : [])] };
}

/** Moves every schema that has a title into `schemas`, and leaves a reference to it. */
function hoist(value: unknown, schemas: Record<string, JsonSchema>): unknown {
  if (Array.isArray(value)) return value.map((item) => hoist(item, schemas));
  if (value === null || typeof value !== 'object') return value;
  const { title, ...rest } = value as JsonSchema;
  const entries = Object.entries(typeof title === 'string' ? rest : value);
  const inner = Object.fromEntries(entries.map(([key, item]) => [key, hoist(item, schemas)]));
  if (typeof title !== 'string') return inner;
  schemas[title] ??= inner;
  return { $ref: `#/components/schemas/${title}` };
}
