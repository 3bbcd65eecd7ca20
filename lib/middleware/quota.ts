import Joi from 'joi';
import type { Next, ParameterizedContext } from 'koa';
import { isTollgateError } from '../errors.js';
import { connectionOf, strictOf } from '../runtime/connection.js';
import { readOptions, type SharedOptions } from '../runtime/options.js';
import { consumeQuota, isAmount, refundQuota } from '../services/plans/consume-quota.js';
import { codePattern } from '../services/plans/features.js';
import { type QuotaState, rateLimitHeaders } from '../services/plans/quota-state.js';
import type { SignedIn } from './authenticate.js';
import { type Description, described } from './described.js';
import type { Guard } from './guard.js';
import { statusOf } from './problems.js';
import { requireReach, type SubjectChoice, subjectChoice, subjectOf } from './subject-of.js';
import { invalid } from './validation.js';

/** What `quota()` adds to `ctx.state`. */
export interface WithQuota<Feature extends string = string> {
  readonly quota: Readonly<Record<Feature, QuotaState>>;
}

export interface QuotaOptions extends SharedOptions {
  subject?: SubjectChoice | undefined;
  /** Units that a request uses up: a positive integer, or a function of ctx that gives one. Default 1. */
  amount?: number | ((ctx: ParameterizedContext) => number | Promise<number>) | undefined;
  /**
   * When the units are given back: `'on-error'` (default) when the answer is 5xx, `'on-4xx'` also when it is 4xx; both also when
   * another quota of the route, further down, is used up.
   */
  refund?: 'never' | 'on-error' | 'on-4xx' | undefined;
}

interface Read {
  readonly subject: SubjectChoice | undefined;
  readonly amount: NonNullable<QuotaOptions['amount']>;
  readonly refund: NonNullable<QuotaOptions['refund']>;
}

const own = {
  subject: subjectChoice,
  amount: Joi.alternatives(
    Joi.number().integer().min(1).max(Number.MAX_SAFE_INTEGER),
    Joi.function(),
  ).default(1),
  refund: Joi.valid('never', 'on-error', 'on-4xx').default('on-error'),
};

/**
 * Uses up units of the subject's allowance (by default the organization's, else the user's) before the handler runs, all of
 * them or none, and lets the request through. Exact under any concurrency and with any number of processes. The state is in
 * `ctx.state.quota[feature]` and in the headers `RateLimit-Policy` and `RateLimit` (none for unlimited).
 *
 * Refuses with 401 `token_missing`; 403 `permission_missing` (an API key for one organization, that would use up another's or its
 * user's); 429 `quota_exceeded` (extras `feature`, `limit`, `used`, `remaining`, `resetsAt`,
 * `upgradeRequired`; with `Retry-After`); 403 `entitlement_missing` when the plan does not know the feature; 400
 * `validation_failed` when `amount` gives no positive integer; 503 `database_unavailable`.
 *
 * @example api.post('/images', organization(), quota('images'), generate);
 */
export function quota<Feature extends string>(
  feature: Feature,
  options: QuotaOptions = {},
): Guard<SignedIn, WithQuota<Feature>> {
  if (typeof feature !== 'string' || !codePattern.test(feature)) {
    throw new TypeError(
      "quota(): name the feature by its code, lower-case letters, digits and hyphens: quota('images')",
    );
  }
  const read = readOptions<Read>('quota', options, own);

  const told: Description = {
    refuses: [
      'token_missing',
      'permission_missing',
      'entitlement_missing',
      'quota_exceeded',
      'validation_failed',
    ],
  };

  return described(told, async function quota(ctx, next) {
    const subject = await subjectOf(ctx, read.subject);
    requireReach(ctx, subject);
    const connection = connectionOf(ctx, read.connection);
    const amount = await amountOf(ctx, read.amount);
    const strict = strictOf(ctx, read.strict);
    const state = await consumeQuota({ subject, feature, amount, connection, strict });
    for (const [name, value] of Object.entries(rateLimitHeaders(state))) ctx.append(name, value);
    Object.assign(ctx.state, { quota: { ...(ctx.state.quota as object | undefined), [feature]: state } });
    await settled(ctx, next, read.refund, () => refundQuota({ subject, state, connection }));
  });
}

async function amountOf(ctx: ParameterizedContext, amount: Read['amount']): Promise<number> {
  const units = typeof amount === 'function' ? await amount(ctx) : amount;
  if (!isAmount(units))
    throw invalid([{ path: 'amount', message: 'must be a positive integer up to 2^53 - 1' }]);
  return units;
}

/** Runs the handler, and gives back what it was charged when its answer, or what it threw, calls for that. */
async function settled(
  ctx: ParameterizedContext,
  next: Next,
  policy: Read['refund'],
  giveBack: () => Promise<void>,
): Promise<void> {
  const refundable = { never: Number.POSITIVE_INFINITY, 'on-error': 500, 'on-4xx': 400 }[policy];
  const settle = async (status: number) => {
    if (status >= refundable) await giveBack().catch((error) => ctx.app.emit('error', error, ctx));
  };
  try {
    await next();
  } catch (error) {
    const another = isTollgateError(error, 'quota_exceeded') && policy !== 'never'; // all of a route's quotas, or none
    await settle(another ? refundable : statusOf(error));
    throw error;
  }
  await settle(ctx.status);
}
