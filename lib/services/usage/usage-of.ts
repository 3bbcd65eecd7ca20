import Joi from 'joi';
import { readSubject } from '../../models/read-subject.js';
import { counterNow } from '../../quota/counter-now.js';
import { opened } from '../../runtime/connection.js';
import { readOptions, type SharedOptions } from '../../runtime/options.js';
import { type Subject, subjectSchema } from '../../runtime/subject.js';
import { entitlementsOf } from '../plans/entitlements-of.js';
import { counterOf, meteredCodes } from '../plans/metering.js';
import { asUsage, type FeatureUsage } from './as-usage.js';

export interface UsageOf {
  subject: Subject;
  /** The code of an allowance, or `credits`. Default: all that the subject's plan has. */
  feature?: string | undefined;
}

const own = { subject: subjectSchema.required(), feature: Joi.string() };

/**
 * What a subject has used, and may still use, of each allowance of its plan; credits stand among them where features are priced in
 * them. It counts and changes nothing. Without plans, and for a feature that is not counted, there is nothing.
 *
 * @throws {TypeError} when an argument is wrong
 * @throws {TollgateError} `database_unavailable` (503)
 * @example const [images] = await usageOf({ subject: { type: 'organization', id }, feature: 'images' });
 */
export async function usageOf(input: UsageOf & SharedOptions): Promise<readonly FeatureUsage[]> {
  const { feature, strict, ...given } = readOptions<UsageOf>('usageOf', input, own);
  const connection = opened(given.connection);
  const subject = readSubject(connection, given.subject);
  const entitlements = await entitlementsOf({ subject, connection, strict });
  const codes = meteredCodes(entitlements).filter((code) => feature === undefined || code === feature);
  const counters = codes.flatMap((code) => counterOf(subject, code, entitlements) ?? []);
  return Promise.all(
    counters.map(async (counter) => asUsage(counter.key.f, await counterNow(connection, counter))),
  );
}
