import type { JsonSchema } from '../middleware/described.js';
import { type ReadSharedOptions, showAll } from '../runtime/options.js';

export const text = { type: 'string' } as const;
export const maybe = { type: ['string', 'null'] } as const;
export const texts = { type: 'array', items: text } as const;
export const flag = { type: 'boolean' } as const;
export const count = { type: 'integer' } as const;
export const maybeCount = { type: ['integer', 'null'] } as const;
export const moment = { type: 'string', format: 'date-time' } as const;
export const maybeMoment = { type: ['string', 'null'], format: 'date-time' } as const;

/** An object of `required` and `optional` members and no others. */
export const object = (
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
  usesLeft: maybeCount,
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

const organizationFacts = { id: text, name: text, slug: text, role: text, plan: maybe };
export const organizationResource = {
  title: 'Organization',
  ...object(organizationFacts),
} satisfies JsonSchema;

/** The same with what is set and counted of it. */
export const organizationDetailsResource = {
  title: 'OrganizationDetails',
  ...object({
    ...organizationFacts,
    defaultTeamId: maybe,
    seats: maybeCount,
    members: count,
    createdAt: moment,
  }),
} satisfies JsonSchema;

const managedRoles = { anyOf: [{ const: '*' }, texts] };
const managementRules = object({ create: managedRoles, update: managedRoles, delete: managedRoles });

export const roleResource = {
  title: 'Role',
  ...object({
    name: text,
    permissions: texts,
    managementRules: { anyOf: [managementRules, { type: 'null' }] },
  }),
} satisfies JsonSchema;

export const auditEntryResource = {
  title: 'AuditEntry',
  ...object({
    id: text,
    at: moment,
    action: text,
    actor: maybe,
    target: { anyOf: [object({ type: text, id: text }), { type: 'null' }] },
    organizationId: maybe,
    ip: maybe,
    userAgent: maybe,
    requestId: maybe,
    details: { type: 'object' },
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
