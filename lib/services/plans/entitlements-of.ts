import type { ClientSession, Connection } from 'mongoose';
import { refuse, type TollgateError } from '../../errors.js';
import { readSubject } from '../../models/read-subject.js';
import { type SubscriptionNow, Subscriptions } from '../../models/subscription.js';
import { after } from '../../runtime/after.js';
import { opened } from '../../runtime/connection.js';
import { freshCache } from '../../runtime/fresh-cache.js';
import { Snapshot, type Strictness } from '../../runtime/snapshot.js';
import { type Subject, subjectKey } from '../../runtime/subject.js';
import { type Catalogue, catalogue, offersMore, readCatalogue } from './catalogue.js';
import { type Entitlements, granted } from './granted.js';
import { noteUnknown } from './note-unknown.js';
import { subscriptionOf } from './subscription-of.js';

export interface EntitlementsOf {
  readonly subject: Subject;
  readonly connection?: Connection | undefined;
  /** True reads it from the database instead of remembering it. Default false. */
  readonly strict?: Strictness | undefined;
}

/** What is remembered of a subject, until a moment of this process's own clock at most. */
interface Known {
  readonly entitlements: Entitlements;
  readonly until: number;
}

const known = freshCache<Known>(50_000);

/**
 * What a subject may use: by its subscription, else by the default plan.
 *
 * Remembered for up to an hour, but not past the end of its plan, and read again as soon as its plan or limits change.
 *
 * @throws {TypeError} when the subject is none
 * @throws {TollgateError} `database_unavailable` (503)
 * @example const { entitlements } = await entitlementsOf({ subject: { type: 'user', id: user.id } });
 */
export async function entitlementsOf({ subject, strict, ...rest }: EntitlementsOf): Promise<Entitlements> {
  const connection = opened(rest.connection);
  return entitlementsNow(connection, readSubject(connection, subject), strict);
}

/** The same, at once where it is remembered. */
export function entitlementsNow(
  connection: Connection,
  subject: Subject,
  strict: Strictness = false,
): Entitlements | Promise<Entitlements> {
  const key = subjectKey(subject);
  const seen = strict instanceof Snapshot ? strict.get(subscriptionsRead, key) : undefined;
  if (seen) {
    const { subscription } = seen as ReadSubscription;
    return after(catalogue(connection), (plans) => grantedBy(connection, subscription, plans));
  }
  const found = known(connection).known(key, strict);
  return found && isStill(found) ? found.entitlements : read(connection, subject, key, strict);
}

const isStill = ({ until }: Known): boolean =>
  until === Number.POSITIVE_INFINITY || performance.now() < until;

async function read(
  connection: Connection,
  subject: Subject,
  key: string,
  strict: Strictness,
): Promise<Entitlements> {
  const remembered = known(connection);
  const ask = () => remembered.get(key, [key, 'plans'], () => load(connection, subject, strict), strict);
  const found = await ask();
  if (isStill(found)) return found.entitlements;
  remembered.forget(key);
  return (await ask()).entitlements;
}

/** A subscription, or that there is none, as a snapshot has it under `subscriptionsRead` and the key of its subject. */
export interface ReadSubscription {
  readonly subscription: SubscriptionNow | undefined;
}
export const subscriptionsRead = Object.freeze({});

async function load(connection: Connection, subject: Subject, strict?: Strictness): Promise<Known> {
  const asked = performance.now();
  const [subscription, plans] = await Promise.all([
    subscriptionOf(connection)(subject),
    catalogue(connection, strict),
  ]);
  const entitlements = await grantedBy(connection, subscription, plans);
  const { msLeft } = subscription ?? {};
  const ends = typeof msLeft === 'number' && msLeft > 0;
  return { entitlements, until: ends ? asked + msLeft : Number.POSITIVE_INFINITY };
}

async function grantedBy(
  connection: Connection,
  subscription: SubscriptionNow | undefined,
  plans: Catalogue,
): Promise<Entitlements> {
  const { plan, planVersion } = subscription ?? {};
  const isNew = plan && planVersion && !plans.version(plan, planVersion); // not heard of yet
  return granted(isNew ? await catalogue(connection, true) : plans, subscription);
}

/** What a subject may use as the transaction of `session` sees it. */
export async function entitlementsIn(
  connection: Connection,
  session: ClientSession,
  subject: Subject,
): Promise<Entitlements> {
  const [subscription] = await Subscriptions(connection).now(subject.type, [subject.id], session);
  return granted(await readCatalogue(connection, session), subscription);
}

/**
 * The refusal of whoever's plan does not grant `missing`: one code, or several of which any or all are needed. A code that no plan
 * has is noted in the audit log.
 */
export async function entitlementMissing(
  connection: Connection,
  {
    tier,
    missing,
    subject,
  }: { tier: number | null; missing: string | readonly string[]; subject?: Subject | undefined },
): Promise<TollgateError> {
  const codes = [missing].flat();
  if (subject) await noteUnknown(connection, subject, codes);
  const offered = await Promise.all(
    codes.map((feature) => offersMore(connection, { tier, feature, than: 0 })),
  );
  const upgradeRequired = offered.includes(true);
  return refuse('entitlement_missing', { requiredEntitlement: missing, currentTier: tier, upgradeRequired });
}
