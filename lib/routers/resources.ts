import type { JsonSchema } from '../middleware/described.js';
import { type ReadSharedOptions, showAll } from '../runtime/options.js';

const text = { type: 'string' } as const;
const maybe = { type: ['string', 'null'] } as const;
const texts = { type: 'array', items: text } as const;
const flag = { type: 'boolean' } as const;
const count = { type: 'integer' } as const;
const moment = { type: 'string', format: 'date-time' } as const;
const maybeMoment = { type: ['string', 'null'], format: 'date-time' } as const;

/** An object of `required` and `optional` members and no others. */
const object = (
  required: Record<string, JsonSchema>,
  optional: Record<string, JsonSchema> = {},
): JsonSchema => ({
  type: 'object',
  properties: { ...required, ...optional },
  required: Object.keys(required),
  additionalProperties: false,
});

const userFacts = {
  id: text,
  email: text,
  emailVerified: flag,
  name: maybe,
  roles: texts,
  status: { enum: ['active', 'inactive'] },
  createdAt: moment,
};

/** A user, as an application shows it: its own fields, and its own `showUser`, are for it to say. */
export const userResource = ({ showUser }: ReadSharedOptions): JsonSchema =>
  showUser === showAll
    ? { title: 'User', ...object(userFacts), additionalProperties: true }
    : { title: 'User', type: 'object' };

const apiKeyFacts = {
  id: text,
  name: text,
  prefix: text,
  scopes: texts,
  organizationId: maybe,
  allowedIps: texts,
  expiresAt: maybeMoment,
  usesLeft: { type: ['integer', 'null'] },
  lastUsedAt: maybeMoment,
  replacedBy: maybe,
  deletedAt: maybeMoment,
  createdAt: moment,
};

/** The same for an API key. */
export const apiKeyResource = ({ showApiKey }: ReadSharedOptions): JsonSchema =>
  showApiKey === showAll ? { title: 'ApiKey', ...object(apiKeyFacts) } : { title: 'ApiKey', type: 'object' };

/** The same in the only answer that has the key itself. */
export const newApiKeyResource = ({ showApiKey }: ReadSharedOptions): JsonSchema =>
  showApiKey === showAll
    ? { title: 'NewApiKey', ...object({ ...apiKeyFacts, key: text }) }
    : { title: 'NewApiKey', type: 'object', properties: { key: text }, required: ['key'] };

export const sessionResource = {
  title: 'Session',
  ...object({
    id: text,
    ip: maybe,
    userAgent: maybe,
    createdAt: moment,
    lastUsedAt: moment,
    authenticatedAt: moment,
    expiresAt: moment,
    current: flag,
  }),
} satisfies JsonSchema;

export const organizationResource = {
  title: 'Organization',
  ...object({ id: text, name: text, slug: text, role: text, plan: maybe }),
} satisfies JsonSchema;

const balance = object({ id: text, left: count, expiresAt: maybeMoment });
const formerPeriod = object({ startedAt: moment, endedAt: moment, used: count });
export const usageResource = {
  title: 'Usage',
  ...object({
    feature: text,
    limit: { type: ['integer', 'null'] },
    used: count,
    remaining: { type: ['integer', 'null'] },
    resetsAt: maybeMoment,
    balances: { type: 'array', items: balance },
    history: { type: 'array', items: formerPeriod },
  }),
} satisfies JsonSchema;

const passkeyFacts = { id: text, name: maybe, transports: texts, backedUp: flag, createdAt: moment };
export const passkeyResource = {
  title: 'Passkey',
  ...object({ ...passkeyFacts, lastUsedAt: maybeMoment }),
} satisfies JsonSchema;

const identityResource = {
  title: 'Identity',
  ...object({ provider: text, email: maybe, linkedAt: moment }),
} satisfies JsonSchema;

/** What every sign-in and refresh answers. */
export const signedInResource = (shared: ReadSharedOptions): JsonSchema => ({
  title: 'SignedIn',
  ...object(
    { user: userResource(shared), accessToken: text, expiresIn: count },
    { refreshToken: { ...text, description: "With tokenDelivery 'body', in place of cookies" } },
  ),
});

export const checkResource = (shared: ReadSharedOptions): JsonSchema =>
  object({
    authenticated: { const: true },
    user: userResource(shared),
    session: { anyOf: [sessionResource, { type: 'null' }] },
  });

const checkResult = object({ status: { enum: ['healthy', 'unhealthy'] }, critical: flag, latencyMs: count });

export const healthResource = {
  title: 'Health',
  ...object({
    status: { enum: ['healthy', 'degraded', 'unhealthy'] },
    checks: { type: 'object', additionalProperties: checkResult },
  }),
} satisfies JsonSchema;

export const totpResource = object({ secret: text, uri: text });
export const recoveryCodesResource = object({ recoveryCodes: texts });

/** Where a browser goes next; null where nowhere. */
export const urlResource = object({ url: maybe });

/** It will be done, or nobody is to know whether it will. */
export const statusResource = (status: string): JsonSchema => object({ status: { const: status } });

/** An object whose members others define, such as WebAuthn. */
export const anyObject: JsonSchema = { type: 'object' };

/** A page of a list. */
export const listOf = (item: JsonSchema): JsonSchema =>
  object({ items: { type: 'array', items: item }, nextCursor: maybe });

export const identityList = object({
  items: { type: 'array', items: identityResource },
  nextCursor: { type: 'null' },
  available: texts,
});
