import { assignPlan, commitReservation, consumeQuota, isTollgateError, type QuotaState, refundQuota, shutDown, syncPlans, withQuota } from 'koa-tollgate'; // biome-ignore format: a list
import type { Connection } from 'mongoose';
import { check } from '../../kit/check.js';
import { consume, type Desk, feature, subjectOf } from '../../kit/consume.js';
import { randomOf } from '../../kit/random.js';
import { hold } from './hold.js';
import type { Changes, Storm, Weathered } from './storm.js';
import { tally } from './tally.js';
import { witness } from './witness.js';

/** Without faults; the one connection more changes plans. */
export type MixedStorm = Omit<Storm, 'fault'>;

/** What was taken, and how some of it is given back. */
interface Held {
  readonly startedAt: Date;
  giveBack(amount: number): Promise<unknown>;
}

type Way = (connection: Connection, key: number, amount: number) => Promise<Held>;

const notes = (connection: Connection) => connection.collection('storm_notes');

/** A collection is what a model is to `withQuota`: it has `bulkWrite`. */
const writable = (connection: Connection) => notes(connection) as never;

const refundable = (connection: Connection, key: number, state: QuotaState): Held => ({
  startedAt: state.startedAt,
  giveBack: (amount) => refundQuota({ connection, subject: subjectOf(key), state, amount }),
});

let keysUsed = 0;

/** Every way in to a counter that there is. */
const waysTo = (connections: readonly Connection[]): Readonly<Record<string, Way>> => ({
  plain: async (connection, key, amount) => {
    const state = await consumeQuota({ connection, subject: subjectOf(key), feature, amount });
    return refundable(connection, key, state);
  },

  leased: async (connection, key, amount) => {
    const state = await consumeQuota({ connection, subject: subjectOf(key), feature, amount, lease: 20 });
    return refundable(connection, key, state);
  },

  /** Twice at the same time, in two processes: one charge. */
  keyed: async (connection, key, amount) => {
    keysUsed += 1;
    const idempotencyKey = `storm ${keysUsed}`;
    const other = connections[keysUsed % connections.length] as Connection;
    const ask = (by: Connection) =>
      consumeQuota({ connection: by, subject: subjectOf(key), feature, amount, idempotencyKey });
    const [first, second] = await Promise.allSettled([ask(connection), ask(other)]);
    if (first.status === 'fulfilled') return refundable(connection, key, first.value);
    if (second.status === 'fulfilled') return refundable(other, key, second.value);
    const reasons = [first.reason, second.reason];
    throw reasons.find((reason) => isTollgateError(reason, 'database_unavailable')) ?? known(reasons);
  },

  held: async (connection, key, amount) => {
    const { id, startedAt } = await hold(connection, key, amount);
    const giveBack = (back: number) => commitReservation({ connection, id, amount: amount - back });
    return { startedAt, giveBack };
  },

  /** Together with a unit of something that there is less of, and a write. */
  written: async (connection, key, amount) => {
    const amounts = { [feature]: amount, notes: 1 };
    const insertOne = { document: { subject: subjectOf(key).id } };
    const writes = [{ model: writable(connection), insertOne }];
    const { quota } = await withQuota({ connection, subject: subjectOf(key), amounts, writes });
    return refundable(connection, key, quota[feature] as QuotaState);
  },
});

/** Of two refusals the one that says more than that the other is under way. */
const known = (reasons: readonly unknown[]): unknown =>
  reasons.find((reason) => !isTollgateError(reason, 'idempotency_in_progress')) ?? reasons[0];

/** Lets consumptions come by all ways at once to the same counters, while subjects move between plans, and says what is wrong. */
export async function weatherMixed(storm: MixedStorm): Promise<Weathered> {
  const { connections, sound, consumptions, seed, keys = 40, inFlight = 16 } = storm;
  const features = (limit: number) =>
    ({ [feature]: { limit, per: 'lifetime' }, notes: { limit: limit / 10, per: 'lifetime' } }) as const;
  const [small, large] = [Math.ceil(consumptions / 30) * 10, Math.ceil(consumptions / 12) * 10]; // so that busy counters are used up
  await syncPlans({
    connection: sound,
    plans: {
      small: { name: 'Small', tier: 0, default: true, features: features(small) },
      large: { name: 'Large', tier: 1, features: features(large) },
    },
  });
  await notes(sound).insertOne({}); // a collection is not made in the midst of a transaction that others wait for
  await notes(sound).deleteMany({});
  const { ledger, outcomes, isOver, note, met } = tally(consumptions);
  const written = { granted: 0, unknown: 0 };
  const random = randomOf(seed);
  const ways = Object.entries(waysTo(connections)).flatMap(
    ([name, way]) => Array.from({ length: name === 'written' ? 1 : 3 }, () => [name, way] as const), // transactions keep others from a counter for long
  );
  const deskOf = (connection: Connection): Desk<Held> => ({
    async take(key, amount) {
      const [name, way] = ways[Math.floor(random() * ways.length)] as readonly [string, Way];
      const taking = way(connection, key, amount);
      if (name === 'written') noteWritten(taking, written);
      return taking;
    },
    giveBack: (_, held, amount) => held.giveBack(amount).then(() => undefined),
  });
  const changes: Changes = { done: 0, refused: 0 };
  const watching = await witness(sound);
  await Promise.all([
    ...connections.map((connection, index) => {
      const random = randomOf(seed + index + 1);
      return consume({ desk: deskOf(connection), keys, inFlight, random, note, met, isOver });
    }),
    changePlans(sound, keys, random, isOver, changes),
  ]);
  await Promise.all(connections.map((connection) => shutDown({ connection })));
  const seen = await watching();
  const finding = await check(sound, ledger, large);
  const count = await notes(sound).countDocuments();
  const isCounted = count >= written.granted && count <= written.granted + written.unknown;
  const violations = [
    ...finding.violations,
    ...seen.violations,
    ...(isCounted ? [] : [`${count} notes written, ${written.granted} granted`]),
  ];
  return { ...finding, violations, outcomes, writes: seen.writes, changes };
}

function noteWritten(taking: Promise<unknown>, written: { granted: number; unknown: number }): void {
  taking.then(
    () => (written.granted += 1),
    (error) => (written.unknown += isTollgateError(error, 'database_unavailable') ? 1 : 0),
  );
}

async function changePlans(
  connection: Connection,
  keys: number,
  random: () => number,
  isOver: () => boolean,
  changes: Changes,
): Promise<void> {
  while (!isOver()) {
    const subject = subjectOf(Math.floor(random() * keys));
    const plan = random() < 0.5 ? 'small' : 'large';
    const outcome = await assignPlan({ connection, subject, plan }).then(
      () => 'done' as const,
      () => 'refused' as const,
    );
    changes[outcome] += 1;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
