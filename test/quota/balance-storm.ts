import { assignPlan, commitReservation, grantCredits, isTollgateError, resetUsage, syncPlans, updatePlanLimits } from 'koa-tollgate'; // biome-ignore format: a list
import type { Connection } from 'mongoose';
import { consume, counterOf, type Desk, feature, subjectOf } from '../../kit/consume.js';
import type { Ledger } from '../../kit/ledger.js';
import { randomOf } from '../../kit/random.js';
import { refuse } from '../../lib/errors.js';
import { demandOf } from '../../lib/services/plans/demand-of.js';
import { take } from '../../lib/services/plans/take.js';
import { BalanceJudge } from './balance-judge.js';
import { collectionName } from './engine.js';
import { hold } from './hold.js';
import type { Changes, Storm, Weathered } from './storm.js';
import { tally } from './tally.js';
import { witness } from './witness.js';

/** Without faults; the one connection more grants, resets, and changes plans. */
export type BalanceStorm = Omit<Storm, 'fault'>;

export interface WeatheredBalances extends Weathered {
  /** What happened to balances, and how often. */
  readonly seen: BalanceJudge['seen'];
}

/** Milliseconds: so that periods end by themselves, again and again. No plan may have one as short. */
const period = 1_000;
const overage = { cap: 30 };

interface Held {
  readonly startedAt: Date;
  /** Says whether units went back, where that is known: not so when their period is over. */
  giveBack(amount: number): Promise<boolean | undefined>;
}

type Way = (connection: Connection, key: number, amount: number) => Promise<Held>;

/** As `consumeQuota` and `refundQuota` do; the latter does not say whether anything went back. */
const consumed: Way = async (connection, key, amount) => {
  const demand = await demandOf(connection, { subject: subjectOf(key), feature, amount });
  const { granted, from } = await take(connection, demand);
  if (!granted) throw refuse('quota_exceeded');
  const giveBack = async (back: number) =>
    (await take(connection, { ...demand, amount: -back, from })).granted;
  return { startedAt: from, giveBack };
};

const heldWith =
  (doubts: Doubts): Way =>
  async (connection, key, amount) => {
    const { id, startedAt } = await hold(connection, key, amount);
    const commit = (back: number) => commitReservation({ connection, id, amount: amount - back });
    return { startedAt, giveBack: (back) => doubts.giveBack(key, startedAt, back, () => commit(back)) };
  };

/** Of which each leaves something else over. */
async function storePlans(connection: Connection): Promise<void> {
  const [small, large] = [
    { limit: 40, per: 'hour', overage, rollover: { cap: 40, periods: 2 } },
    { limit: 90, per: 'hour', overage, rollover: { cap: 15 } },
  ] as const;
  await syncPlans({
    connection,
    plans: {
      small: { name: 'Small', tier: 0, default: true, features: { [feature]: small } },
      large: { name: 'Large', tier: 1, features: { [feature]: large } },
    },
  });
  await connection.collection('plans').updateMany({}, { $set: { [`features.${feature}.per`]: 'second' } });
}

/**
 * Lets consumptions, refunds and holds meet counters with stacked balances and capped overage, while units are granted, balances expire, periods end and carry
 * over, usage is reset and limits change; and says what is wrong with the totals of any period and with any single write.
 */
export async function weatherBalances(storm: BalanceStorm): Promise<WeatheredBalances> {
  const { connections, sound, consumptions, seed, keys = 16, inFlight = 24 } = storm;
  await storePlans(sound);
  const { ledger, outcomes, isOver, note, met } = tally(consumptions);
  const changes: Changes = { done: 0, refused: 0 };
  const granted = new Map<string, number>();
  const judging = new BalanceJudge({ overage: overage.cap, period }, granted);
  const doubts = new Doubts(sound);
  const random = randomOf(seed);
  const someKey = () => Math.floor(random() * keys);
  const watching = await witness(sound, judging.judge);
  await Promise.all([
    ...connections.map((connection, index) => {
      const own = randomOf(seed + index + 1);
      const desk = deskOf(connection, own, doubts);
      return consume({ desk, keys, inFlight, random: own, note, met, isOver });
    }),
    ...[1, 2, 3].map(() => again(isOver, 20, () => grant(sound, someKey(), random, granted))),
    again(isOver, 40, () => reset(sound, someKey())),
    again(isOver, 20, () => changeLimit(sound, someKey(), random, changes)),
  ]);
  const { writes, violations } = await watching();
  const totals = judging.totals;
  const finding = compare(ledger, totals, doubts);
  return {
    ...finding,
    violations: [...finding.violations, ...violations],
    outcomes,
    writes,
    changes,
    seen: judging.seen,
  };
}

/** Units of holds of which nobody can say whether they went back, for their period was about to end: by counter and beginning of the period. */
class Doubts {
  readonly #sound: Connection;
  readonly units = new Map<string, number>();

  constructor(sound: Connection) {
    this.#sound = sound;
  }

  /** Lets units go back, and says whether they went: that is certain of a period that goes on after it, and of one that had ended before. */
  async giveBack(
    key: number,
    from: Date,
    amount: number,
    how: () => Promise<unknown>,
  ): Promise<boolean | undefined> {
    const wasLive = await this.#isLive(key, from);
    await how();
    if (!wasLive) return false;
    if (await this.#isLive(key, from)) return true;
    const period = nameOf(counterOf(key), from.getTime());
    this.units.set(period, (this.units.get(period) ?? 0) + amount);
    return undefined;
  }

  async #isLive(key: number, from: Date): Promise<boolean> {
    const live = { _id: { s: counterOf(key), f: feature }, from, $expr: { $gt: ['$to', '$$NOW'] } };
    return (await this.#sound.collection(collectionName).findOne(live as never)) !== null;
  }
}

const nameOf = (counter: string, from: number): string => `${counter} ${from}`;

function deskOf(connection: Connection, random: () => number, doubts: Doubts): Desk<Held> {
  const held = heldWith(doubts);
  return {
    take: (key, amount) => (random() < 0.1 ? held : consumed)(connection, key, amount),
    giveBack: (_, { giveBack }, amount) => giveBack(amount),
  };
}

/** Holds what was granted in each period against what was counted in it, which is the same but for what is in doubt. */
function compare(
  ledger: Ledger,
  totals: ReadonlyMap<string, ReadonlyMap<number, number>>,
  doubts: Doubts,
): Pick<Weathered, 'counted' | 'granted' | 'leaked' | 'explained' | 'violations'> {
  const violations: string[] = [];
  const sums = new Map([...ledger.sums()].map((sum) => [nameOf(sum.counter, sum.from), sum.units]));
  let [counted, granted, explained] = [0, 0, ledger.open];
  for (const [counter, periods] of totals)
    for (const [from, units] of periods) {
      const name = nameOf(counter, from);
      const [own, doubt] = [sums.get(name) ?? 0, doubts.units.get(name) ?? 0];
      sums.delete(name);
      counted += units;
      granted += own;
      explained += doubt;
      const since = `since ${new Date(from).toISOString()}`;
      if (own > units) violations.push(`${counter}: ${own} granted, ${units} counted ${since}`);
      if (units > own + doubt + ledger.open)
        violations.push(`${counter}: ${units} counted, ${own} granted ${since}`);
    }
  for (const [name, units] of sums)
    if (units > 0) violations.push(`${name}: ${units} granted, nothing counted`);
  const leaked = counted - granted;
  if (leaked > explained) violations.push(`${leaked} units leaked, of which ${explained} may have`);
  return { counted, granted, leaked, explained, violations };
}

async function again(isOver: () => boolean, pause: number, act: () => Promise<unknown>): Promise<void> {
  while (!isOver()) {
    await act();
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
}

/** A busy database refuses some, and a counter that has balances enough. */
const expected = (error: unknown): void => {
  if (!isTollgateError(error)) throw error;
};

async function grant(
  connection: Connection,
  key: number,
  random: () => number,
  granted: Map<string, number>,
): Promise<void> {
  const id = `grant-${granted.size}`;
  const amount = 5 + Math.floor(random() * 60);
  granted.set(id, amount);
  const expiresAt = random() < 0.2 ? undefined : new Date(Date.now() + 200 + random() * 4 * period);
  const given = { connection, subject: subjectOf(key), feature, amount, id, ...(expiresAt && { expiresAt }) };
  await Promise.all([grantCredits(given).catch(expected), grantCredits(given).catch(expected)]);
}

/** In the midst of a period: one that begins in the same millisecond as another could not be told from it. */
async function reset(connection: Connection, key: number): Promise<void> {
  const at = Date.now() % period;
  if (at > period * 0.1 && at < period * 0.6)
    await resetUsage({ connection, subject: subjectOf(key), feature }).catch(expected);
}

async function changeLimit(
  connection: Connection,
  key: number,
  random: () => number,
  changes: Changes,
): Promise<void> {
  const subject = subjectOf(key);
  const kind = random();
  const changing =
    kind < 0.5
      ? assignPlan({ connection, subject, plan: kind < 0.25 ? 'small' : 'large' })
      : updatePlanLimits({
          connection,
          subject,
          limits: { [feature]: kind < 0.7 ? 'plan' : Math.floor(random() * 120) },
        });
  const outcome = await changing.then(
    () => 'done' as const,
    () => 'refused' as const,
  );
  changes[outcome] += 1;
}
