import Joi from 'joi';
import type { Next, ParameterizedContext } from 'koa';
import { isTollgateError } from '../errors.js';
import { connectionOf, strictOf } from '../runtime/connection.js';
import { readOptions, type SharedOptions } from '../runtime/options.js';
import { refundQuota } from '../services/plans/consume-quota.js';
import {
  type MeteredFeature,
  type PlanDefinitions,
  requireFeatures,
} from '../services/plans/define-plans.js';
import { isAmount } from '../services/plans/demand-of.js';
import { codePattern, meteredBy } from '../services/plans/features.js';
import { type QuotaState, rateLimitHeaders } from '../services/plans/quota-state.js';
import { withQuota } from '../services/plans/with-quota.js';
import type { SignedIn } from './authenticate.js';
import { chargeOnce } from './charge-once.js';
import { type Description, described } from './described.js';
import type { Guard } from './guard.js';
import { idempotencyKeyOf } from './idempotency-key.js';
import { statusOf } from './problems.js';
import { requireReach, type SubjectChoice, subjectChoice, subjectOf } from './subject-of.js';
import { replay, underClaims } from './under-claims.js';
import { invalid } from './validation.js';

/** What `quota()` adds to `ctx.state`. */
export interface WithQuota<Feature extends string = string> {
  readonly quota: Readonly<Record<Feature, QuotaState>>;
}

/** Units that a request uses up: a positive integer, or a function of ctx that gives one. */
export type QuotaAmount = number | ((ctx: ParameterizedContext) => number | Promise<number>);

export interface QuotaOptions extends SharedOptions {
  subject?: SubjectChoice | undefined;
  /** Default 1. */
  amount?: QuotaAmount | undefined;
  /**
   * When the units are given back: `'on-error'` (default) when the answer is 5xx, `'on-4xx'` also when it is 4xx; both also when
   * another quota of the route, further down, is used up.
   */
  refund?: 'never' | 'on-error' | 'on-4xx' | undefined;
  /**
   * Units of the feature that a process takes ahead in one write, to spend them without asking the database for each request: they
   * count as used until they go back, after five seconds at most. Default: none.
   */
  lease?: number | undefined;
}

interface Read {
  readonly subject: SubjectChoice | undefined;
  readonly amount: QuotaAmount;
  readonly refund: NonNullable<QuotaOptions['refund']>;
  readonly lease: number | undefined;
}

const amountSchema = Joi.alternatives(
  Joi.number().integer().min(1).max(Number.MAX_SAFE_INTEGER),
  Joi.function(),
);

const own = {
  subject: subjectChoice,
  amount: amountSchema.default(1),
  refund: Joi.valid('never', 'on-error', 'on-4xx').default('on-error'),
  lease: Joi.number().integer().min(1).max(1_000_000),
};

const several = Joi.object().pattern(codePattern, amountSchema.required()).min(1);

/**
 * Uses up units of the subject's allowance (by default the organization's, else the user's) before the handler runs, all of
 * them or none, and lets the request through. Exact under any concurrency and with any number of processes. The state is in
 * `ctx.state.quota[feature]` and in the headers `RateLimit-Policy` and `RateLimit` (none for unlimited).
 *
 * Of several features, `quota({ images: 1, tokens: 50 })`, all are used up or none, in one transaction.
 *
 * A POST with an `Idempotency-Key` is charged once, and answered again as `idempotent()` does it, for `quotaIdempotencyTtl` seconds; each of
 * several features is then taken by itself, and given back when one is used up.
 *
 * Refuses with 401 `token_missing`; 403 `permission_missing` (an API key for one organization, that would use up another's or its
 * user's); 429 `quota_exceeded` (extras `feature`, `limit`, `used`, `remaining`, `resetsAt`,
 * `upgradeRequired`; with `Retry-After`); 403 `entitlement_missing` when the plan does not know the feature; 400
 * `validation_failed` when `amount` gives no positive integer, or an idempotency key is longer than 255 characters or not printable; 409
 * `idempotency_in_progress`, `conflict`, 422 `idempotency_mismatch`; 503 `overloaded`, `database_unavailable`.
 *
 * With the plans of `definePlans()` before it a code that none of them counts does not compile, and is a TypeError.
 *
 * @example api.post('/images', organization(), quota('images'), generate);
 * @example api.post('/images', organization(), quota(plans, 'images'), generate);
 */
export function quota<const P extends PlanDefinitions, Feature extends MeteredFeature<P>>(
  plans: P,
  feature: Feature,
  options?: QuotaOptions,
): Guard<SignedIn, WithQuota<Feature>>;
export function quota<Feature extends string>(
  features: Feature | Readonly<Record<Feature, QuotaAmount>>,
  options?: QuotaOptions,
): Guard<SignedIn, WithQuota<Feature>>;
export function quota(...args: Untyped | Typed): Guard<SignedIn, WithQuota<never>> {
  const [features, options = {}] = featuresOf(args);
  const read = readOptions<Read>('quota', options, own);
  const wanted = wantedOf(features, options.amount, read.amount);

  const told: Description = {
    refuses: [
      'token_missing',
      'permission_missing',
      'entitlement_missing',
      'quota_exceeded',
      'validation_failed',
      'idempotency_in_progress',
      'idempotency_mismatch',
    ],
    headers: ['Idempotency-Key'],
  };

  return described(told, async function quota(ctx, next) {
    const subject = await subjectOf(ctx, read.subject, read.connection);
    requireReach(ctx, subject);
    const connection = connectionOf(ctx, read.connection);
    const strict = strictOf(ctx, read.strict);
    const key = idempotencyKeyOf(ctx);
    const amounts: Record<string, number> = {};
    for (const [feature, amount] of wanted) amounts[feature] = await amountOf(ctx, amount);
    const { lease, quotaIdempotencyTtl: window } = read;
    const met =
      key === undefined
        ? await withQuota({ subject, amounts, connection, strict, lease })
        : await chargeOnce(ctx, connection, { key, window, subject, amounts, strict });
    if ('answer' in met) return replay(ctx, met.answer);
    const { quota } = met;
    const states = Object.values(quota);
    for (const state of states) {
      for (const [name, value] of Object.entries(rateLimitHeaders(state))) ctx.append(name, value);
    }
    Object.assign(ctx.state, { quota: { ...(ctx.state.quota as object | undefined), ...quota } });
    const giveBack = () => Promise.all(states.map((state) => refundQuota({ subject, state, connection })));
    const claims = 'claims' in met ? met.claims : [];
    await underClaims(ctx, connection, claims, () => settled(ctx, next, read.refund, giveBack));
  });
}

type Untyped = [features: string | Readonly<Record<string, QuotaAmount>>, options?: QuotaOptions | undefined];
type Typed = [plans: PlanDefinitions, feature: string, options?: QuotaOptions | undefined];

/** Without the plans, which have said whether there is such a feature. */
function featuresOf(args: Untyped | Typed): Untyped {
  if (typeof args[1] !== 'string') return args as Untyped;
  const [plans, feature, options] = args as Typed;
  requireFeatures('quota', plans, [feature], (plan, code) => meteredBy(plan, code) !== undefined);
  return [feature, options];
}

/** The features that a guard names, each with what a request uses up of it. */
function wantedOf(
  features: string | Readonly<Record<string, QuotaAmount>>,
  given: QuotaAmount | undefined,
  amount: QuotaAmount,
): [feature: string, amount: QuotaAmount][] {
  if (typeof features === 'string') {
    if (codePattern.test(features)) return [[features, amount]];
  } else if (!several.required().validate(features).error) {
    if (given === undefined) return Object.entries(features);
    throw new TypeError('quota(): option amount is for one feature; several have theirs beside their codes');
  }
  throw new TypeError(
    "quota(): name a feature by its code, lower-case letters, digits and hyphens: quota('images'); or several with their amounts: quota({ images: 1, tokens: 50 })",
  );
}

async function amountOf(ctx: ParameterizedContext, amount: QuotaAmount): Promise<number> {
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
  giveBack: () => Promise<unknown>,
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
