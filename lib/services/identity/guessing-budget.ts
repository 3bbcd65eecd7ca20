import { createHmac } from 'node:crypto';
import { setTimeout } from 'node:timers';
import type { Connection } from 'mongoose';
import { isTollgateError, refuse, type TollgateError } from '../../errors.js';
import { type Allowance, Budgets, type StoredBudget } from '../../models/budget.js';
import { networkOf } from '../../runtime/client-address.js';
import { database } from '../../runtime/database.js';
import { deriveKey, type Key } from '../../runtime/keyring.js';
import { deviceOf } from '../../runtime/known-devices.js';
import { type Rate, rateOf } from '../../runtime/options.js';
import { perConnection } from '../../runtime/per-connection.js';

/** Who guesses what. */
export interface Guess {
  readonly connection: Connection;
  readonly keyring: readonly Key[];
  /** Such as `5/minute`, or `off`. */
  readonly credentialRate: string;
  /** What is guessed at: budgets of different routes are apart. */
  readonly route: string;
  /** The canonical e-mail address of the account, whether there is one or not; none where a token names no account. */
  readonly account?: string | undefined;
  /** The client's address; those who have none share one budget. */
  readonly ip?: string | undefined;
  /** The cookie of known devices. */
  readonly device?: string | undefined;
}

/** Milliseconds that a guess waits for those before it to be judged. */
const patience = 10_000;
const askAgainAfter = 100;
const mostWaiting = 100;

/**
 * Judges a guess within the budgets of the client's address and of the account (OWASP ASVS 6.3.1). A point of each is held
 * while `attempt` runs, spent when that refuses with 400 or 401, and given back whatever else it does.
 *
 * For the account a device that has signed in before has a budget of its own; the others share one per network (/24, /48) and one
 * for all of them (four times the points in an hour, then ever slower but never locked), so that a stranger cannot keep the owner out.
 * An account that does not exist spends alike. A guess that finds every point held waits until those before it are judged.
 *
 * @throws {TollgateError} `rate_limited` (429, with `Retry-After`), `database_unavailable` (503), and what `attempt` throws
 */
export async function guess<T>(by: Guess, attempt: () => Promise<T>): Promise<T> {
  const allowances = allowancesOf(by);
  if (allowances.length === 0) return attempt();
  const budgets = Budgets(by.connection);
  await hold(by.connection, allowances);
  let wrong = false;
  try {
    return await attempt();
  } catch (error) {
    wrong = isTollgateError(error) && (error.status === 400 || error.status === 401);
    throw error;
  } finally {
    const keys = allowances.map(({ key }) => key);
    await database(async () =>
      wrong ? Promise.all(allowances.map((each) => budgets.spend(each))) : budgets.release(keys),
    ).finally(() => waiting(by.connection).wake(keys));
  }
}

/** Spends a point of each budget, as every mail does that somebody asks for. Throws like `guess`. */
export async function spend(by: Guess): Promise<void> {
  const counted = refuse('token_used');
  await guess(by, () => Promise.reject(counted)).catch((error) => {
    if (error !== counted) throw error;
  });
}

/** Forgets the wrong guesses at an account: its owner has proved to be there. */
export async function clearGuesses(by: Guess): Promise<void> {
  const account = digestOf(by);
  if (account && rateOf(by.credentialRate)) await database(() => Budgets(by.connection).clear(account));
}

/** No dump of the database tells which addresses somebody tried. */
const digestOf = ({ account, keyring: [key] }: Guess): string | undefined =>
  account === undefined
    ? undefined
    : createHmac('sha256', deriveKey(key as Key, 'guessing budget'))
        .update(account)
        .digest('base64url');

function allowancesOf(by: Guess): readonly Allowance[] {
  const rate = rateOf(by.credentialRate);
  if (!rate) return [];
  const { route, ip } = by;
  const address = ip ? networkOf(ip, 32, 64) : 'none';
  return [{ ...rate, key: `${route} address ${address}` }, ...ofAccount(by, rate)];
}

function ofAccount(by: Guess, rate: Rate): readonly Allowance[] {
  const account = digestOf(by);
  if (!account) return [];
  const device = deviceOf(by.device, by.account as string, by.keyring);
  const key = `${by.route} account ${account}`;
  if (device) return [{ ...rate, account, key: `${key} device ${device}` }];
  const network = by.ip ? networkOf(by.ip, 24, 48) : 'none';
  const strangers = { points: rate.points * 4, seconds: 3_600, slows: true };
  return [
    { ...rate, account, key: `${key} network ${network}` },
    { ...strangers, account, key: `${key} strangers` },
  ];
}

async function hold(connection: Connection, allowances: readonly Allowance[]): Promise<void> {
  const budgets = Budgets(connection);
  const until = performance.now() + patience;
  for (;;) {
    const found = await database(() => Promise.all(allowances.map((each) => budgets.hold(each))));
    const refused = allowances.filter((_, index) => !found[index]?.admitted);
    if (refused.length === 0) return;
    const held = allowances.filter((_, index) => found[index]?.admitted).map(({ key }) => key);
    if (held.length > 0) await database(() => budgets.release(held));
    const blocking = found.filter((budget) => !budget?.admitted) as StoredBudget[];
    const spent = refused.some(({ points }, index) => (blocking[index]?.spent ?? 0) >= points);
    if (spent || performance.now() > until) throw overBudget(blocking, spent);
    await waiting(connection).turn((refused[0] as Allowance).key);
  }
}

/** Says when a point will be there again, in seconds of the database's clock. */
function overBudget(blocking: readonly StoredBudget[], spent: boolean): TollgateError {
  const waits = blocking.map(
    ({ resetsAt, notBefore, at }) => (notBefore ?? resetsAt).getTime() - at.getTime(),
  );
  const seconds = spent ? Math.max(1, Math.ceil(Math.max(...waits) / 1000)) : 1;
  return refuse('rate_limited', {
    detail: `Too many attempts; try again in ${seconds} s`,
    headers: { 'Retry-After': String(seconds) },
  });
}

/** Those who wait in this process until a guess under their key has been judged, here or elsewhere. */
const waiting = perConnection(() => {
  const queues = new Map<string, Set<() => void>>();

  function turn(key: string): Promise<void> {
    const queue = queues.get(key) ?? new Set();
    queues.set(key, queue);
    if (queue.size >= mostWaiting) {
      throw refuse('rate_limited', { headers: { 'Retry-After': '1' } });
    }
    return new Promise((resolve) => {
      const go = () => {
        clearTimeout(timer);
        queue.delete(go);
        if (queue.size === 0) queues.delete(key);
        resolve();
      };
      const timer = setTimeout(go, askAgainAfter);
      queue.add(go);
    });
  }

  function wake(keys: readonly string[]): void {
    for (const key of keys) for (const go of [...(queues.get(key) ?? [])]) go();
  }

  return { turn, wake };
});
