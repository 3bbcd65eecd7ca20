import type { JsonSchema } from 'koa-tollgate';

const text = { type: 'string' } as const;
const count = { type: 'integer' } as const;
const maybeCount = { type: ['integer', 'null'] } as const;

/** An object of these members and no others. */
const object = (properties: Record<string, JsonSchema>): JsonSchema => ({
  type: 'object',
  properties,
  required: Object.keys(properties),
  additionalProperties: false,
});

/** A schema that the routers of koa-tollgate have put into the document. */
const known = (name: string): JsonSchema => ({ $ref: `#/components/schemas/${name}` });
const maybe = (schema: JsonSchema): JsonSchema => ({ anyOf: [schema, { type: 'null' }] });

const codes = { type: ['array', 'null'], items: text } as const;

export const userAnswer = object({ user: known('User') });
export const meAnswer = object({
  user: known('User'),
  organization: maybe(known('Organization')),
  team: maybe(known('Team')),
  entitlements: codes,
});
export const helloAnswer = object({ hello: text });
export const okAnswer = object({ ok: { const: true } });
export const reportList = object({
  items: { type: 'array', items: object({ name: text, organization: text }) },
});
export const imageAnswer = object({ id: text, remaining: maybeCount });
export const bundleAnswer = object({ id: text });
export const spentAnswer = object({ used: count, remaining: maybeCount });

export const projectResource = {
  title: 'Project',
  ...object({
    id: text,
    name: text,
    description: text,
    done: { type: 'boolean' },
    createdAt: { ...text, format: 'date-time' },
  }),
} satisfies JsonSchema;
export const projectList = object({
  items: { type: 'array', items: projectResource },
  nextCursor: { type: ['string', 'null'] },
});
