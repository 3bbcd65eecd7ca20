import type { JsonSchema } from '../../middleware/described.js';
import { periods } from '../../models/usage.js';
import { count, flag, maybe, maybeCount, maybeMoment, moment, object, text, texts } from '../resources.js';

const allowance = {
  title: 'Allowance',
  ...object(
    { limit: { ...maybeCount, description: 'Units in a period; null: unlimited' }, per: { enum: periods } },
    { rollover: object({ cap: count }, { periods: count }), overage: object({ cap: maybeCount }) },
  ),
} satisfies JsonSchema;

/** A flag, a limit, an allowance, or a price in credits. */
const feature = {
  title: 'Feature',
  anyOf: [{ const: true }, count, allowance, object({ credits: count })],
} satisfies JsonSchema;

export const planResource = {
  title: 'Plan',
  ...object({
    code: text,
    name: text,
    tier: count,
    features: { type: 'object', additionalProperties: feature },
    prices: object({}, { month: count, year: count }),
    currency: maybe,
    trialDays: maybeCount,
    default: flag,
    active: flag,
    version: count,
  }),
} satisfies JsonSchema;

/** Null: none limits. */
const limits = { type: 'object', additionalProperties: maybeCount } as const;
const maybeLimits = { ...limits, type: ['object', 'null'] } as const;
const subject = object({ type: { enum: ['user', 'organization', 'team'] }, id: text });

/** The plan that somebody is on; null where the application has none. */
export const subjectPlanResource = {
  title: 'SubjectPlan',
  ...object({
    subject,
    plan: { anyOf: [planResource, { type: 'null' }] },
    limits: maybeLimits,
    overrides: limits,
    expiresAt: maybeMoment,
  }),
} satisfies JsonSchema;

/** Null where the application has no plans. */
export const entitlementsResource = {
  title: 'Entitlements',
  ...object({
    plan: maybe,
    entitlements: { ...texts, type: ['array', 'null'] },
    tier: maybeCount,
    limits: maybeLimits,
  }),
} satisfies JsonSchema;

const usageFacts = {
  feature: text,
  limit: maybeCount,
  used: count,
  remaining: maybeCount,
  resetsAt: maybeMoment,
  balances: { type: 'array', items: object({ id: text, left: count, expiresAt: maybeMoment }) },
  history: { type: 'array', items: object({ startedAt: moment, endedAt: moment, used: count }) },
};

const usageResource = { title: 'Usage', ...object(usageFacts) } satisfies JsonSchema;

/** Of each allowance; a plan has few, so there is one page. */
export const usageList = object({
  items: { type: 'array', items: usageResource },
  nextCursor: { type: 'null' },
});

export const grantResource = {
  title: 'Grant',
  ...object({ id: text, feature: text, amount: count, expiresAt: maybeMoment }),
} satisfies JsonSchema;

/** Why a feature is granted or refused. */
export const explanationResource = {
  title: 'Explanation',
  ...object(
    {
      subject,
      feature: text,
      verdict: { enum: ['granted', 'used_up', 'not_in_plan'] },
      plan: { anyOf: [object({ code: text, version: count, tier: count }), { type: 'null' }] },
      planEndsAt: maybeMoment,
      definition: { description: 'As the plan has it; null: not at all' },
      price: maybeCount,
      usage: { anyOf: [object({ ...usageFacts, startedAt: moment }), { type: 'null' }] },
      holds: { type: 'array', items: object({ id: text, units: count, expiresAt: moment }) },
      denials: {
        type: 'array',
        items: object({ at: moment, amount: count, used: count, limit: maybeCount, remaining: maybeCount }),
      },
    },
    { override: maybeCount },
  ),
} satisfies JsonSchema;
