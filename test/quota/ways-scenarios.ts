import { setTimeout as delay } from 'node:timers/promises';
import { expect } from 'chai';
import { type Connection, Types } from 'mongoose';
import type { ClaimKey } from '../../lib/models/claim.js';
import type { StoredReservation } from '../../lib/models/reservation.js';
import type { UsageKey } from '../../lib/models/usage.js';
import type { Outcome, Terms } from '../../lib/quota/batch.js';
import type { Settlement } from '../../lib/quota/settle-holds.js';
import { connect, inspector, until } from '../support/world.js';
import { batchOf, counterOf, counters, type Engine, key, tamper, termsOf } from './engine.js';
import {
  arrive,
  begun,
  brittle,
  failing,
  type Scenario,
  senderOf,
  settles,
  take,
  used,
} from './scenarios.js';

/** What an attempt came to: a code or a message where it was refused. */
const outcomeOf = (attempt: Promise<{ readonly granted: boolean }>): Promise<string> =>
  attempt.then(
    ({ granted }) => (granted ? 'granted' : 'denied'),
    ({ code, message }) => code ?? message,
  );

const claimKey: ClaimKey = { o: 'user:one', c: 'test', s: 'user:one', m: '', r: '', f: '', k: 'a' };

const claimOf = ({ book }: Engine, connection: Connection, hash = 'the same', k = claimKey.k) =>
  book.claimBook(connection).claim({ ...claimKey, k }, hash, 60_000);

/** Takes units once for a key, which all of these have by default. */
const once = (
  engine: Engine,
  connection: Connection,
  amount: number,
  hash?: string,
  k?: string,
): Promise<string> => {
  const claim = claimOf(engine, connection, hash, k);
  const met = engine.once.takeOnce(connection, { key, terms: termsOf(10), amount }, claim);
  return outcomeOf(met.then((charged) => ('taken' in charged ? charged.taken : { granted: false })));
};

/** As if whoever has a key had died some time ago. */
const forsake = () =>
  inspector()
    .collection('tollgate_claims')
    .updateMany({}, { $set: { until: new Date(0) } });

/** Whether nobody holds the key any more. */
const isLetGo = async ({ store }: Engine, connection: Connection): Promise<boolean> =>
  (await store.claimStore(connection).read(claimKey))?.isLetGo === true;

/** A batch with a key, as its process has entered it and not sent it yet. */
async function entered(engine: Engine, connection: Connection) {
  await begun(engine, connection, 1);
  const book = engine.book.claimBook(connection);
  const claim = claimOf(engine, connection);
  const batch = batchOf(1, [3], { slot: 'xdead0' });
  await book.enter(batch, [{ amount: 3, claim }]);
  return { book, batch, claim };
}

/** Once a process hears of changes, which makes it doubt all that it had before. */
const hears = ({ feed }: Engine, connection: Connection) => until(() => feed.changeFeed(connection).isLive());

const ahead = ({ leases }: Engine, connection: Connection, size: number, terms: Terms = termsOf(100)) =>
  leases.takeAhead(connection, { key, terms, amount: 1 }, size);

/** Three units that are held, of six that are used. */
async function held(engine: Engine, connection: Connection, expiresIn = 60_000) {
  await begun(engine, connection, 6);
  const { from } = await counterOf(connection);
  const hold = {
    _id: new Types.ObjectId(),
    subject: { type: 'user', id: 'one' },
    feature: key.f,
    counter: key.f,
    amount: 3,
    price: 1,
    from,
    terms: termsOf(10),
    state: 'held',
    createdAt: new Date(),
    expiresAt: new Date(Date.now() + expiresIn),
  };
  await connection.collection('reservations').insertOne(hold);
  return (to: Settlement['to'], asked = 0) =>
    engine.holds.settleHold(connection, { hold: hold as never as StoredReservation, to, asked });
}

const notes = (connection = inspector()) => connection.collection<{ _id: string }>('rule_notes');
const other: UsageKey = { s: 'user:one', f: 'others' };

/** Takes of counters in a transaction that writes notes with these names. */
function commit(
  { groups }: Engine,
  connection: Connection,
  amounts: readonly (readonly [UsageKey, amount: number, limit: number])[],
  names: readonly string[],
): Promise<string> {
  const demands = amounts.map(([key, amount, limit]) => ({ key, terms: termsOf(limit), amount }));
  const model = notes(connection) as never;
  const writes = names.map((_id) => ({ model, operation: { insertOne: { document: { _id } } } }));
  return outcomeOf(groups.commitTogether(connection, { demands, writes }));
}

/** What is held of keys, leases, holds and transactions, as `scenarios` is of counting. */
export const scenarios = {
  'a key is charged once': async (engine, connection) => {
    await begun(engine, connection, 1);
    await once(engine, connection, 3);
    await once(engine, await connect(), 3);
    expect(await used(connection)).to.equal(4);
  },

  'a key is for one request': async (engine, connection) => {
    await once(engine, connection, 3);
    expect(await once(engine, connection, 3, 'another')).to.equal('idempotency_mismatch');
  },

  'a key is free when it was refused': async (engine, connection) => {
    expect(await once(engine, connection, 11)).to.equal('denied');
    expect(await once(engine, connection, 3)).to.equal('granted');
  },

  'what was charged for a key is known when its lane has gone on': async (engine, connection) => {
    await begun(engine, connection, 1);
    await once(engine, connection, 3);
    await take(engine, connection, 1);
    await forsake();
    expect(await once(engine, await connect(), 3)).to.equal('granted');
    expect(await used(connection)).to.equal(5);
  },

  'what a process has counted for a key before it died is not charged again': async (engine, connection) => {
    const { batch } = await entered(engine, connection);
    await senderOf(engine, connection).one(batch);
    await forsake();
    expect(await once(engine, await connect(), 3)).to.equal('granted');
    expect(await used(connection)).to.equal(4);
  },

  'what a dead process has not sent counts nothing when its key is used again': async (
    engine,
    connection,
  ) => {
    const { batch } = await entered(engine, connection);
    await forsake();
    expect(await once(engine, await connect(), 3)).to.equal('granted');
    await arrive(engine, connection, batch);
    expect(await used(connection)).to.equal(4);
  },

  'a batch that others have given up is not sent': async (engine, connection) => {
    const there = await connect();
    await take(engine, there, 1); // so that it knows what time it is
    const given = await engine.settling.settlePosition(there, { b: 'xdead0.1', i: 0 }, key.s);
    expect(given).to.equal('none');
    const sent = await entered(engine, connection).then(
      () => true,
      () => false,
    );
    expect(sent).to.equal(false);
  },

  'what was given back for a key is charged anew': async (engine, connection) => {
    const { book, batch, claim } = await entered(engine, connection);
    const sender = senderOf(engine, connection);
    const met = (await sender.one(batch)) as Outcome;
    await book.record(batch, met, new Date());
    const back = { amount: -3, from: met.from, claim };
    const refund = batchOf(2, [back], { slot: 'xdead0' });
    await book.enter(refund, [back]);
    await sender.one(refund);
    await forsake();
    expect(await once(engine, await connect(), 3)).to.equal('granted');
    expect(await used(connection)).to.equal(4);
  },

  'a key that nobody holds is taken over by one': async (engine, connection) => {
    const { book } = await entered(engine, connection);
    await forsake();
    const row = await engine.store.claimStore(connection).read(claimKey);
    if (!row) throw new Error('There is no claim');
    const takers = [
      await book.takeOver(row, claimOf(engine, connection)),
      await book.takeOver(row, claimOf(engine, connection)),
    ];
    expect(takers.map((own) => own !== null)).to.deep.equal([true, false]);
  },

  'a key is not taken over while a part of its charge goes back': async (engine, connection) => {
    const { book, claim } = await entered(engine, connection);
    await book.letGo(claim);
    const row = await engine.store.claimStore(connection).read(claimKey);
    if (!row) throw new Error('There is no claim');
    expect(await book.give(claim, 2)).to.equal(true);
    expect(await book.takeOver(row, claimOf(engine, connection))).to.equal(null);
  },

  'a key that was claimed again meanwhile is not freed': async (engine, connection) => {
    const { book, claim } = await entered(engine, connection);
    const store = engine.store.claimStore(connection);
    await forsake();
    const row = await store.read(claimKey);
    if (!row) throw new Error('There is no claim');
    await book.enter(batchOf(2, [3], { slot: 'xdead0' }), [{ amount: 3, claim }]); // the first one came too late
    await book.clear(row);
    expect(await store.read(claimKey)).to.include({ run: claim.run });
  },

  'what is counted for a caller who was refused goes back': async (engine, connection) => {
    const slow = await connect(undefined, { appName: 'slow' });
    await begun(engine, slow, 1);
    await take(engine, slow, 1);
    const restore = await failing(connection, 'slow', {
      failCommands: ['findAndModify', 'find'],
      blockConnection: true,
      blockTimeMS: 600,
      writeConcernError: { code: 64, errmsg: 'no majority yet' }, // the write is done, and nobody is told
    });
    const refused = await outcomeOf(take(engine, slow, 3));
    const counted = await used(connection);
    await restore();
    expect([refused, counted]).to.deep.equal(['database_unavailable', 5]);
    await settles(connection, (u) => u === 2);
    expect(await used(connection)).to.equal(2);
  },

  'what is counted for a caller with a key who was refused stays with the key': async (
    engine,
    connection,
  ) => {
    const slow = await connect(undefined, { appName: 'slow' });
    await begun(engine, slow, 1);
    await once(engine, slow, 1, 'another', 'b'); // so that this is no first batch
    const restore = await failing(connection, 'slow', {
      failCommands: ['findAndModify', 'find'],
      blockConnection: true,
      blockTimeMS: 600,
      writeConcernError: { code: 64, errmsg: 'no majority yet' }, // the write is done, and nobody is told
    });
    const refused = await once(engine, slow, 3);
    await restore();
    await until(async () => (await isLetGo(engine, connection)) || (await used(connection)) < 5);
    const retried = await once(engine, await connect(), 3);
    expect([refused, retried, await used(connection)]).to.deep.equal(['database_unavailable', 'granted', 5]);
  },

  'a block is spent once': async (engine, connection) => {
    await hears(engine, connection);
    const outcomes: boolean[] = [];
    for (let count = 0; count < 7; count += 1)
      outcomes.push((await ahead(engine, connection, 5, termsOf(6))).granted);
    expect(outcomes).to.deep.equal([true, true, true, true, true, true, false]);
  },

  'a block is spent by the entitlements that it was taken by': async (engine, connection) => {
    await hears(engine, connection);
    await ahead(engine, connection, 50);
    await tamper(connection, { $set: { lim: 1, lv: 2 } });
    expect((await ahead(engine, connection, 50, termsOf(1, 2))).granted).to.equal(false);
  },

  'a block ends with its period': async (engine, connection) => {
    await hears(engine, connection);
    await begun(engine, connection, 1, termsOf(100));
    const to = new Date(Date.now() + 700);
    await tamper(connection, { $set: { to } });
    await ahead(engine, connection, 5);
    await delay(to.getTime() + 100 - Date.now());
    const { from } = await ahead(engine, connection, 5);
    expect(from.getTime()).to.be.at.least(to.getTime());
  },

  'a block whose answer came late ends with its period': async (engine) => {
    const { proxy, connection } = await brittle();
    await hears(engine, connection);
    await take(engine, connection, 1, termsOf(100));
    const to = new Date(Date.now() + 1_400);
    await tamper(connection, { $set: { to } });
    proxy.delayReplies(1_000);
    await ahead(engine, connection, 5);
    await proxy.restore();
    await delay(to.getTime() + 100 - Date.now());
    const { from } = await ahead(engine, connection, 5);
    expect(from.getTime()).to.be.at.least(to.getTime());
  },

  'a hold is settled once': async (engine, connection) => {
    const settle = await held(engine, connection);
    expect([await settle('released'), await settle('released')]).to.deep.equal([true, false]);
    expect(await used(connection)).to.equal(3);
  },

  'a hold is settled by one of those who try at once': async (engine, connection) => {
    const settle = await held(engine, connection);
    const settled = await Promise.all([settle('released'), settle('committed', 1)]);
    expect(settled).to.deep.equal([true, false]);
    expect(await used(connection)).to.equal(3);
  },

  'a hold that has expired is not committed': async (engine, connection) => {
    const settle = await held(engine, connection, -1_000);
    expect(await settle('committed', 1)).to.equal(false);
    expect(await used(connection)).to.equal(6);
  },

  'a hold does not expire before its time': async (engine, connection) => {
    const settle = await held(engine, connection);
    expect(await settle('expired')).to.equal(false);
    expect(await used(connection)).to.equal(6);
  },

  'of several quotas all are taken or none': async (engine, connection) => {
    const wanted = [
      [key, 1, 10],
      [other, 2, 1],
    ] as const;
    expect(await commit(engine, connection, wanted, [])).to.equal('denied');
    expect([await used(connection), (await counterOf(connection, other)).u]).to.deep.equal([0, 0]);
  },

  'nothing is written of what was refused': async (engine, connection) => {
    expect(await commit(engine, connection, [[key, 2, 1]], ['one'])).to.equal('denied');
    expect(await notes().countDocuments()).to.equal(0);
  },

  'whose write fails is refused alone': async (engine, connection) => {
    await notes().insertOne({ _id: 'taken' });
    const outcomes = await Promise.all(
      ['one', 'taken', 'two'].map((name) => commit(engine, connection, [[key, 1, 10]], [name])),
    );
    expect(outcomes).to.deep.equal(['granted', 11_000, 'granted']);
    expect(await used(connection)).to.equal(2);
  },

  'what is counted is written whole, or nothing': async (engine, connection) => {
    await notes().insertOne({ _id: 'taken' });
    expect(await commit(engine, connection, [[key, 1, 10]], ['one', 'taken'])).to.equal(11_000);
    expect(await notes().countDocuments()).to.equal(1);
  },

  'a reset ends a block': async (engine, connection) => {
    await hears(engine, connection);
    const { from } = await ahead(engine, connection, 50);
    const subject = { type: 'user', id: 'one' } as const;
    await connection.transaction((session) =>
      engine.counters.resetCounters(connection, session, { subject }),
    );
    engine.feed.changeFeed(connection).announce(key.s); // as its process does in the end
    expect((await ahead(engine, connection, 50)).from).to.be.above(from);
  },

  'what was seen to fit is counted in the period in which it was seen': async ({ inside }, connection) => {
    let attempts = 0;
    await connection.transaction(async (session) => {
      attempts += 1;
      const what = { key, terms: termsOf(10) };
      const seen = await inside.foldInside(connection, session, { ...what, parts: [] });
      const ended = [{ $set: { to: '$$NOW' } }];
      if (attempts === 1) await counters(connection).updateOne({ _id: key } as never, ended, { session });
      await inside.countInside(connection, session, { ...what, parts: [{ amount: 3 }] }, seen);
    });
    expect([attempts, await used(connection)]).to.deep.equal([2, 3]);
  },

  'the first transaction of a process knows what time it is': async ({ groups }, connection) => {
    const demands = [{ key, terms: termsOf(10), amount: 1 }];
    const { taken } = await groups.commitTogether(connection, { demands, writes: [] });
    const [met] = [...taken.values()];
    expect(met?.at).to.be.above(new Date(Date.now() - 60_000));
  },

  'the first key of a process that nothing is charged for is claimed for its time': async (
    engine,
    connection,
  ) => {
    await engine.once.openOnce(connection, claimOf(engine, connection));
    const { expiresAt } = (await engine.store.claimStore(connection).read(claimKey)) ?? expect.fail();
    expect(expiresAt).to.be.above(new Date());
  },
} as const satisfies Record<string, Scenario>;
