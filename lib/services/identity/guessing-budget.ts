import { createHmac } from 'node:crypto';
import type { Connection } from 'mongoose';
import { isTollgateError, refuse, type TollgateError } from '../../errors.js';
import { type Allowance, Budgets, type StoredBudget } from '../../models/budget.js';
import { networkOf } from '../../runtime/client-address.js';
import { database } from '../../runtime/database.js';
import type { HashingClient } from '../../runtime/hashing.js';
import { deriveKey, type Key } from '../../runtime/keyring.js';
import { deviceOf } from '../../runtime/known-devices.js';
import { type Rate, rateOf } from '../../runtime/options.js';
import { turnstile } from '../../runtime/turnstile.js';
import { auditExhausted, auditWrongGuess, type GuessAudit } from './audit-guess.js';

/** Who guesses what. */
export interface Guess extends GuessAudit {
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
  /** True where one client rightly asks for many accounts: its address has no budget then, each account has. Default false. */
  readonly manyAccounts?: boolean | undefined;
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
 * With `failure` the audit log has every guess that was wrong, outside of a transaction that it aborted, and of those that are turned away for
 * an exhausted budget one entry for each time that it is exhausted, so that nobody can flood the log.
 *
 * @throws {TollgateError} `rate_limited` (429, with `Retry-After`), `database_unavailable` (503), and what `attempt` throws
 */
export async function guess<T>(by: Guess, attempt: () => Promise<T>): Promise<T> {
  return judged(by, () =>
    attempt().catch(async (error: unknown) => {
      if (isWrong(error)) await auditWrongGuess(by);
      throw error;
    }),
  );
}

const isWrong = (error: unknown): boolean =>
  isTollgateError(error) && (error.status === 400 || error.status === 401);

async function judged<T>(by: Guess, attempt: () => Promise<T>): Promise<T> {
  const allowances = allowancesOf(by);
  if (allowances.length === 0) return attempt();
  const budgets = Budgets(by.connection);
  await hold(by, allowances);
  let wrong = false;
  try {
    return await attempt();
  } catch (error) {
    wrong = isWrong(error);
    throw error;
  } finally {
    const keys = allowances.map(({ key }) => key);
    await database(async () =>
      wrong ? Promise.all(allowances.map((each) => budgets.spend(each))) : budgets.release(keys),
    ).finally(() => turnstile(by.connection).wake(keys));
  }
}

/** Who asks for a mail. */
export interface MailRequest extends Omit<Guess, 'credentialRate'> {
  /** Such as `5/minute`, or `off`. */
  readonly mailRate: string;
}

/** Spends a point of each budget, as every mail does that somebody asks for, by a rate of its own. Throws like `guess`. */
export async function spend({ mailRate, ...by }: MailRequest): Promise<void> {
  const counted = refuse('token_used');
  await judged({ ...by, credentialRate: mailRate }, () => Promise.reject(counted)).catch((error) => {
    if (error !== counted) throw error;
  });
}

/** Forgets the wrong guesses at an account: its owner has proved to be there. */
export async function clearGuesses(by: Guess): Promise<void> {
  const accounts = digestsOf(by);
  if (accounts.length > 0 && rateOf(by.credentialRate))
    await database(() => Budgets(by.connection).clear(accounts));
}

/** For whom a password is hashed: strangers must not close the queue to those who are known. */
export function hashingClientOf(by: Pick<Guess, 'ip' | 'device' | 'account' | 'keyring'>): HashingClient {
  return {
    knownDevice: by.account !== undefined && deviceOf(by.device, by.account, by.keyring) !== undefined,
    ...(by.ip && { network: networkOf(by.ip, 24, 48) }),
  };
}

/**
 * No dump of the database tells which addresses somebody tried. There is one for each key that signs: while keys change, a guess counts under the old
 * and the new one, so that neither step begins the budgets anew. In one order, for all who wait in line.
 */
const digestsOf = ({ account, keyring }: Guess): readonly string[] =>
  account === undefined ? [] : keyring.filter(({ signs }) => signs).map((key) => digest(account, key)).sort(); // biome-ignore format: a chain

const digest = (account: string, key: Key): string =>
  createHmac('sha256', deriveKey(key, 'guessing budget')).update(account).digest('base64url');

function allowancesOf(by: Guess): readonly Allowance[] {
  const rate = rateOf(by.credentialRate);
  if (!rate) return [];
  const { route, ip, manyAccounts = false } = by;
  const address = ip ? networkOf(ip, 32, 64) : 'none';
  const ofAddress = manyAccounts ? [] : [{ ...rate, key: `${route} address ${address}` }];
  return [...ofAddress, ...ofAccount(by, rate)];
}

function ofAccount(by: Guess, rate: Rate): readonly Allowance[] {
  const accounts = digestsOf(by);
  const device = accounts.length > 0 && deviceOf(by.device, by.account as string, by.keyring);
  const network = by.ip ? networkOf(by.ip, 24, 48) : 'none';
  const strangers = { points: rate.points * 4, seconds: 3_600, slows: true };
  return accounts.flatMap((account) => {
    const key = `${by.route} account ${account}`;
    if (device) return [{ ...rate, account, key: `${key} device ${device}` }];
    return [
      { ...rate, account, key: `${key} network ${network}` },
      { ...strangers, account, key: `${key} strangers` },
    ];
  });
}

/** In turn under each key, so that nobody overtakes who has waited. */
async function hold(by: Guess, allowances: readonly Allowance[]): Promise<void> {
  const until = performance.now() + patience;
  const keys = allowances.map(({ key }) => key);
  const line = turnstile(by.connection);
  if (keys.some((key) => line.waiting(key) >= mostWaiting)) throw tooMany(1);
  await line.inTurn(keys, async () => {
    for (;;) {
      const blocked = await tryToHold(by, allowances, until);
      if (blocked === null) return;
      await line.asleep(blocked, askAgainAfter);
    }
  });
}

/** Null when a point of each is held, else the key of which others hold what is left: until they are judged nobody knows whether there is one. */
async function tryToHold(by: Guess, allowances: readonly Allowance[], until: number): Promise<string | null> {
  const budgets = Budgets(by.connection);
  const held: string[] = [];
  const blocking: (StoredBudget & { over: boolean })[] = [];
  const [nearest, ...further] = allowances as [Allowance, ...Allowance[]];
  for (const group of [[nearest], further]) {
    if (blocking.length > 0) break; // who is over the budget of the address writes nothing about accounts
    const found = await database(() => Promise.all(group.map((each) => budgets.hold(each))));
    for (const [index, { key, points }] of group.entries()) {
      const budget = found[index] as StoredBudget;
      if (budget.admitted) held.push(key);
      else blocking.push({ ...budget, over: budget.spent >= points });
    }
  }
  const [first] = blocking;
  if (!first) return null;
  if (held.length > 0) await database(() => budgets.release(held));
  const over = blocking.filter((budget) => budget.over);
  if (over.length > 0) {
    await tell(by, over);
    throw tooMany(Math.max(...over.map(secondsUntilFree)));
  }
  if (performance.now() > until) throw tooMany(1);
  return first._id;
}

/** Writes down that a budget is exhausted, unless that was done since it began. */
async function tell(by: Guess, over: readonly StoredBudget[]): Promise<void> {
  const untold = over.filter(({ told }) => !told).map(({ _id }) => _id);
  if (!by.failure || untold.length === 0) return;
  const told = await database(() => Promise.all(untold.map((key) => Budgets(by.connection).tell(key))));
  const first = untold.find((_, index) => told[index]?.modifiedCount === 1);
  if (first) await auditExhausted(by, / (address|device|network|strangers)\b/.exec(first)?.[1] ?? 'account');
}

/** When a point will be there again, by the database's clock. */
const secondsUntilFree = ({ resetsAt, notBefore, at }: StoredBudget): number =>
  Math.max(1, Math.ceil(((notBefore ?? resetsAt).getTime() - at.getTime()) / 1000));

function tooMany(seconds: number): TollgateError {
  return refuse('rate_limited', {
    detail: `Too many attempts; try again in ${seconds} s`,
    headers: { 'Retry-After': String(seconds) },
  });
}
