import Joi from 'joi';
import { type ClientSession, type Connection, Types } from 'mongoose';
import { refuse } from '../../errors.js';
import { Grants } from '../../models/grant.js';
import { endOfTime } from '../../models/usage.js';
import { addBalance } from '../../quota/add-balance.js';
import { nameOf } from '../../quota/sender.js';
import { opened } from '../../runtime/connection.js';
import type { SharedOptions } from '../../runtime/options.js';
import { subjectKey } from '../../runtime/subject.js';
import { turnstile } from '../../runtime/turnstile.js';
import { catalogue } from './catalogue.js';
import { codePattern, units } from './features.js';
import { type Act, operate, readOperation, type SubjectOperation } from './operate.js';

export interface GrantCredits<Context = unknown> extends SubjectOperation<Context> {
  /** The code of an allowance, or `credits`, which prices are paid from. */
  feature: string;
  /** Units, a positive integer up to 2^53 − 1. */
  amount: number;
  /** When what is left of them is lost. Default: never. */
  expiresAt?: Date | undefined;
  /** Such as that of a payment, 1 to 255 visible ASCII characters: a grant is given once, however often it is repeated. Default: a new one. */
  id?: string | undefined;
}

/** Units that were given. */
export interface Grant {
  readonly id: string;
  readonly feature: string;
  readonly amount: number;
  readonly expiresAt: Date | null;
}

/** No space, nor the sign that stands for overage: the engine has balances of its own. */
export const grantId = Joi.string()
  .pattern(/^(?!\+$)[!-~]{1,255}$/)
  .invalid('spent', 'over');

export const grantFields = {
  feature: Joi.string().pattern(codePattern),
  amount: units.min(1),
};

const own = {
  feature: grantFields.feature.required(),
  amount: grantFields.amount.required(),
  expiresAt: Joi.date(),
  id: grantId,
};

/**
 * Gives a subject units of a feature beside what its plan allows: bought credits, or a present. They last beyond the period, until
 * they are used or expire, and what expires soonest is used first, the plan's own allowance included. They count at once, in
 * every process.
 *
 * The same `id` again grants nothing more, so that a payment may be told of any number of times.
 *
 * @throws {TypeError} when an argument is wrong
 * @throws {TollgateError} `permission_missing` (403) when `authorize` does not allow it; `conflict` (409) when `id` was granted with other
 *   content, or the subject has 100 grants that are not used up, or more units than 2^53 − 1; `validation_failed` (400) when `expiresAt` has
 *   passed, or no plan counts the feature by itself; `database_unavailable` (503)
 * @example await grantCredits({ subject: { type: 'user', id }, feature: 'credits', amount: 500, id: payment.id });
 */
export async function grantCredits<Context = unknown>(
  input: GrantCredits<Context> & SharedOptions,
): Promise<Grant> {
  const given = readOperation<GrantCredits>('grantCredits', input, own);
  const { subject, feature, amount, expiresAt = null, id = String(new Types.ObjectId()) } = given;
  const grant = { id, feature, amount, expiresAt };
  const key = { s: subjectKey(subject), f: feature };
  const give = async (connection: Connection, session: ClientSession): Promise<Act> => {
    const stored = await Grants(connection).findById(id, null, { session }).lean();
    if (stored && textOf(stored as unknown as Content) === textOf({ ...grant, _id: id, subject }))
      return null;
    if (stored) throw refuse('conflict', { detail: `The grant ${id} was given with other content` });
    if (
      !(await catalogue(connection)).counts(feature) &&
      !(await catalogue(connection, true)).counts(feature)
    )
      throw refuse('validation_failed', {
        errors: [
          {
            path: 'feature',
            message:
              'must be an allowance of a plan, or credits: a feature that is priced is paid from those',
          },
        ],
      });
    const outcome = await addBalance(connection, session, key, {
      id,
      amount,
      expiresAt: expiresAt ?? endOfTime,
    });
    if (outcome === 'over')
      throw refuse('validation_failed', {
        errors: [{ path: 'expiresAt', message: 'must lie in the future' }],
      });
    if (outcome === 'full')
      throw refuse('conflict', { detail: 'There are too many grants that are not used up yet' });
    await Grants(connection).insertMany([{ _id: id, subject, feature, amount, expiresAt }], { session });
    return { action: 'credits.granted', details: grant };
  };
  await turnstile(opened(given.connection)).soon(`grant ${nameOf(key)}`, () => operate(given, give));
  return Object.freeze(grant);
}

type Content = Omit<Grant, 'id'> & Pick<GrantCredits, 'subject'> & { readonly _id: string };

const textOf = ({ _id, subject, feature, amount, expiresAt }: Content): string =>
  JSON.stringify([_id, subjectKey(subject), feature, amount, expiresAt]);
