import { setTimeout as delay } from 'node:timers/promises';
import { expect } from 'chai';
import type { Connection } from 'mongoose';
import type { Batch, Part, Terms } from '../../lib/quota/batch.js';
import { startProxy } from '../support/proxy.js';
import { atEnd, connect, mongoUri, times, until } from '../support/world.js';
import { batchOf, counterOf, counters, type Engine, endPeriod, key, tamper, termsOf } from './engine.js';

/** What a rule of the engine is good for: it holds with the rule, and fails without. */
export type Scenario = (engine: Engine, connection: Connection) => Promise<void>;

export const senderOf = ({ sender }: Engine, connection: Connection) => new sender.Sender(connection);
export const used = async (connection: Connection) => (await counterOf(connection)).u;
const outcomeOf = (answer: unknown) => (answer === 'late' ? 'late' : (answer as { granted: string }).granted);

const subject = { type: 'user', id: 'one' } as const;

/** The counter of a process that came before. */
export async function begun(
  engine: Engine,
  connection: Connection,
  amount: number,
  terms = termsOf(10),
): Promise<void> {
  const batch = batchOf(1, [amount], { slot: 'xbefore0', isFirst: true, terms });
  await senderOf(engine, connection).one(batch);
}

/** The fast statement of a batch, as a copy of it that was held up somewhere arrives in the end. */
export async function arrive({ statements }: Engine, connection: Connection, batch: Batch): Promise<void> {
  const updates = [statements.fastStatement(batch)];
  await connection.db?.command({ update: counters(connection).collectionName, updates });
}

export const take = (
  { combiner }: Engine,
  connection: Connection,
  amount: number,
  terms: Terms = termsOf(10),
  part: Partial<Part> = {},
) => combiner.take(connection, { key, terms, amount, ...part });

/** Until changes are followed nothing is believed for long, refusals neither. */
const isFollowing = ({ feed }: Engine, connection: Connection) =>
  until(() => feed.changeFeed(connection).isLive());

/** A connection whose way to the database breaks on demand. */
export async function brittle() {
  const { hostname, port } = new URL(mongoUri().replace(/,.*?\//, '/'));
  const proxy = await startProxy({ host: hostname, port: Number(port) });
  atEnd(() => proxy.close());
  const connection = await connect(`mongodb://127.0.0.1:${proxy.port}/?directConnection=true`);
  return { proxy, connection };
}

/** Lets commands of the connections of this name fail; gives what ends that. */
export async function failing(connection: Connection, appName: string, effect: object) {
  const admin = connection.getClient().db('admin');
  const data = { ...effect, appName };
  await admin.command({ configureFailPoint: 'failCommand', mode: 'alwaysOn', data });
  const off = () => admin.command({ configureFailPoint: 'failCommand', mode: 'off' });
  atEnd(off);
  return off;
}

/** Resolves when what the counter has used is as it should be, or must not be; else after two seconds. */
export async function settles(connection: Connection, isThere: (used: number) => boolean): Promise<void> {
  for (let looks = 0; looks < 40 && !isThere(await used(connection)); looks += 1) await delay(50);
}

/** What is left over of ten units a month, four at most, by a period that `ended` has ended. */
async function carriedOf(
  engine: Engine,
  connection: Connection,
  amount: number,
  ended: object[] = [{ $set: { from: new Date('2020-01-01'), to: '$from' } }],
): Promise<number> {
  const terms = termsOf(10, 1, { per: 'month', rollover: { cap: 4, periods: 1 } });
  await begun(engine, connection, amount, terms);
  await tamper(connection, ended);
  await senderOf(engine, connection).one(batchOf(1, [11], { terms }));
  const { balances = [] } = await counterOf(connection);
  return balances.reduce((sum, { l, s }) => sum + l + s, 0);
}

/** A limit of ten of which fifteen are used. */
async function usedBeyond(engine: Engine, connection: Connection): Promise<void> {
  await begun(engine, connection, 15, termsOf(10, 1, { overage: 5 }));
}

/** Resolves when what was written until now is acknowledged by a majority. */
async function majority(connection: Connection): Promise<void> {
  const note = { appendOplogNote: 1, data: { sync: true }, writeConcern: { w: 'majority' } };
  await connection.getClient().db('admin').command(note);
}

export const scenarios = {
  'a batch that arrives twice counts once': async (engine, connection) => {
    await begun(engine, connection, 1);
    const batch = batchOf(1, [3]);
    await senderOf(engine, connection).one(batch);
    await arrive(engine, connection, batch);
    expect(await used(connection)).to.equal(4);
  },

  'a batch that is sent again counts once': async (engine, connection) => {
    await begun(engine, connection, 1);
    const batch = batchOf(1, [3]);
    const answers = [
      await senderOf(engine, connection).again(batch),
      await senderOf(engine, connection).again(batch),
    ];
    expect(answers.map(outcomeOf)).to.deep.equal(['some', 'some']);
    expect(await used(connection)).to.equal(4);
  },

  'nothing is counted in a period that has not begun': async (engine, connection) => {
    await begun(engine, connection, 1);
    await tamper(connection, { $set: { from: new Date(Date.now() + 60_000) } });
    await arrive(engine, connection, batchOf(1, [3]));
    expect(await used(connection)).to.equal(1);
  },

  'a balance that expires first is spent first': async (engine, connection) => {
    await begun(engine, connection, 1);
    const soon = new Date(Date.now() + 60_000);
    await tamper(connection, { $set: { balances: [{ i: 'a', l: 5, s: 0, e: soon }] } });
    await senderOf(engine, connection).one(batchOf(1, [3]));
    const { u, balances } = await counterOf(connection);
    expect([u, balances]).to.deep.equal([1, [{ i: 'a', l: 2, s: 3, e: soon }]]);
  },

  'what a balance gave goes back to it, also once there is no limit': async (engine, connection) => {
    await begun(engine, connection, 1);
    const { from } = await counterOf(connection);
    const soon = new Date(Date.now() + 60_000);
    await tamper(connection, { $set: { balances: [{ i: 'a', l: 2, s: 3, e: soon }] } });
    const back = { amount: -3, from };
    await senderOf(engine, connection).one(batchOf(1, [back], { terms: termsOf(null, 2) }));
    const { u, balances } = await counterOf(connection);
    expect([u, balances]).to.deep.equal([0, [{ i: 'a', l: 4, s: 1, e: soon }]]); // the allowance expires last of all
  },

  'what a slot did in an earlier period is not believed of the next': async (engine, connection) => {
    await begun(engine, connection, 1);
    const sender = senderOf(engine, connection);
    await sender.one(batchOf(1, [3]));
    await endPeriod(connection);
    await sender.one(batchOf(1, [1], { slot: 'xother0' })); // turns it
    const second = batchOf(2, [2]);
    await sender.one(second);
    const { from } = await counterOf(connection);
    expect(await sender.again(second)).to.deep.include({ granted: 'all', from });
  },

  'a process with stale entitlements does not pass the new limit': async (engine, connection) => {
    await begun(engine, connection, 1, termsOf(5, 2));
    await senderOf(engine, connection).one(batchOf(1, [9], { terms: termsOf(100, 1) }));
    expect(await used(connection)).to.equal(1);
  },

  'what is counted after the end of a period belongs to the next': async (engine, connection) => {
    await begun(engine, connection, 5);
    await endPeriod(connection);
    await senderOf(engine, connection).one(batchOf(1, [3]));
    const { u, past } = await counterOf(connection);
    expect([u, past?.map((each) => each.u)]).to.deep.equal([3, [5]]);
  },

  'a batch has no effect after its deadline': async (engine, connection) => {
    await begun(engine, connection, 1);
    const answer = await senderOf(engine, connection).one(
      batchOf(1, [3], { deadline: new Date(Date.now() - 1_000) }),
    );
    expect(outcomeOf(answer)).to.equal('late');
    expect(await used(connection)).to.equal(1);
  },

  'a consumption whose answer was lost is counted once': async (engine) => {
    const { proxy, connection } = await brittle();
    await begun(engine, connection, 1);
    await take(engine, connection, 1);
    proxy.dropReplies();
    const taken = take(engine, connection, 3);
    while ((await used(await connect())) < 5) await delay(5);
    await majority(await connect()); // whose answer comes behind the one that is lost
    await proxy.restore();
    expect((await taken).granted).to.equal(true);
    expect(await used(await connect())).to.equal(5);
  },

  'a batch that was refused when it was repeated is not counted later': async (engine, connection) => {
    await begun(engine, connection, 10);
    const batch = batchOf(1, [3]);
    expect(outcomeOf(await senderOf(engine, connection).again(batch))).not.to.equal('all');
    await tamper(connection, { $set: { u: 0 } }); // as much as a refund
    await arrive(engine, connection, batch);
    expect(await used(connection)).to.equal(0);
  },

  'an older entitlement never replaces a newer one': async (engine, connection) => {
    await begun(engine, connection, 1, termsOf(5, 2));
    await senderOf(engine, connection).one(batchOf(1, [9], { terms: termsOf(100, 1), isFirst: true }));
    const { u, lim } = await counterOf(connection);
    expect([u, lim]).to.deep.equal([1, 5]);
  },

  'of entitlements that meet in a batch the newest decides': async (engine, connection) => {
    const answers = await Promise.all([
      take(engine, connection, 9, termsOf(100, 1)),
      take(engine, connection, 1, termsOf(5, 2)),
    ]);
    expect(answers.map(({ granted }) => granted)).to.deep.equal([false, true]);
  },

  'a counter without a limit is not unlimited': async (engine, connection) => {
    await begun(engine, connection, 1);
    await tamper(connection, { $unset: { lim: '' } });
    await senderOf(engine, connection).one(batchOf(1, [1_000], { isFirst: true }));
    expect(await used(connection)).to.equal(1);
  },

  'units go back to the period that they were taken from, or nowhere': async (engine, connection) => {
    await begun(engine, connection, 5);
    const { from } = await counterOf(connection);
    await endPeriod(connection);
    const sender = senderOf(engine, connection);
    await sender.one(batchOf(1, [5]));
    await sender.one(batchOf(2, [{ amount: -5, from }]));
    expect(await used(connection)).to.equal(5);
  },

  'what is asked for again after the end of its period belongs to that period': async (
    engine,
    connection,
  ) => {
    await begun(engine, connection, 1);
    const batch = batchOf(1, [3]);
    const sender = senderOf(engine, connection);
    await sender.one(batch); // and the answer is lost
    const { from } = await counterOf(connection);
    await tamper(connection, [{ $set: { to: '$$NOW' } }]);
    const answer = await sender.again(batch);
    expect(answer).to.deep.include({ granted: 'all', from });
  },

  'what is asked for again after a reset belongs to what was reset': async (engine, connection) => {
    await begun(engine, connection, 1);
    const batch = batchOf(1, [3]);
    const sender = senderOf(engine, connection);
    await sender.one(batch);
    const { from } = await counterOf(connection);
    await connection.transaction((session) =>
      engine.counters.resetCounters(connection, session, { subject }),
    );
    expect(await used(connection)).to.equal(0);
    expect(await sender.again(batch)).to.deep.include({ from });
  },

  'what is not known to be counted is not given back': async (engine, connection) => {
    const doomed = await connect(undefined, { appName: 'doomed' });
    const terms = termsOf(10, 1, { per: 'hour' }); // whose beginning anybody could guess
    await begun(engine, doomed, 1, terms);
    await take(engine, doomed, 3, terms);
    const restore = await failing(connection, 'doomed', { failCommands: ['findAndModify'], errorCode: 24 });
    const refused = await take(engine, doomed, 2, terms).catch(({ code }) => code);
    await restore();
    expect(refused).to.equal('database_unavailable');
    expect((await take(engine, doomed, 1, terms)).granted).to.equal(true);
    await settles(connection, (u) => u !== 5); // whatever giving up has made it do
    expect(await used(connection)).to.equal(5);
  },

  'a counter whose period is over is found, and not made anew': async (engine, connection) => {
    await begun(engine, connection, 5);
    await endPeriod(connection);
    const counted = await senderOf(engine, connection)
      .one(batchOf(1, [3], { isFirst: true }))
      .then(outcomeOf, ({ message }) => message);
    expect(counted).to.equal('some');
    expect(await used(connection)).to.equal(3);
  },

  'what a process did is remembered until nothing of it can arrive any more': async (engine, connection) => {
    await begun(engine, connection, 1);
    const batch = batchOf(1, [3]);
    const sender = senderOf(engine, connection);
    await sender.one(batch);
    await delay(5);
    await sender.one(batchOf(1, [1], { slot: 'xother0', isFirst: true })); // which tidies
    await arrive(engine, connection, batch);
    expect(await used(connection)).to.equal(5);
  },

  'a refusal is no reason to refuse smaller amounts': async (engine, connection) => {
    await isFollowing(engine, connection);
    expect((await take(engine, connection, 11)).granted).to.equal(false);
    expect((await take(engine, connection, 10)).granted).to.equal(true);
  },

  'a refusal is forgotten when units are given back': async (engine, connection) => {
    await isFollowing(engine, connection);
    const { from } = await take(engine, connection, 10);
    expect((await take(engine, connection, 1)).granted).to.equal(false);
    const [, again] = await Promise.all([
      take(engine, connection, -5, termsOf(10), { from }),
      take(engine, connection, 5),
    ]);
    expect(again.granted).to.equal(true);
  },

  'a refusal is forgotten when the limit changes': async (engine, connection) => {
    await isFollowing(engine, connection);
    expect((await take(engine, connection, 11)).granted).to.equal(false);
    expect((await take(engine, connection, 11, termsOf(20, 2))).granted).to.equal(true);
  },

  'a refusal is remembered for a while': async (engine, connection) => {
    await isFollowing(engine, connection);
    await take(engine, connection, 11);
    await tamper(connection, { $set: { lim: 1_000 } });
    expect((await take(engine, connection, 11)).granted).to.equal(false);
  },

  'a batch that takes as much as it gives back is answered': async (engine, connection) => {
    await begun(engine, connection, 5);
    const { from } = await counterOf(connection);
    const answer = await senderOf(engine, connection).one(batchOf(1, [{ amount: -5, from }, 5]));
    expect(outcomeOf(answer)).to.equal('some');
  },

  'nobody takes what an earlier batch was granted for their own': async (engine, connection) => {
    await begun(engine, connection, 1);
    const sender = senderOf(engine, connection);
    await sender.one(batchOf(1, [9]));
    expect(outcomeOf(await sender.one(batchOf(2, [1])))).to.equal('none');
  },

  'several counters in one command count each batch once': async (engine, connection) => {
    const keys = times(20, (index) => ({ s: `user:${index}`, f: 'units' }));
    const sender = senderOf(engine, connection);
    const batches = keys.map((each, index) =>
      batchOf(index + 1, [4, 7], { key: each, isFirst: index % 2 === 0 }),
    );
    const outcomes = await sender.many(batches).then(
      (answers) => answers.map(outcomeOf),
      ({ message }) => message,
    );
    expect(outcomes).to.deep.equal(times(20, () => 'some'));
    const rows = await counters(connection)
      .find({ _id: { $in: keys } } as never)
      .toArray();
    expect(rows.map(({ u }) => u)).to.deep.equal(times(20, () => 4));
  },

  'of a command that failed in part nobody is told anything': async (engine, connection) => {
    const collMod = counters(connection).collectionName;
    const other = { s: 'user:two', f: 'units' };
    await begun(engine, connection, 1);
    await senderOf(engine, connection).one(batchOf(1, [1], { key: other }));
    await connection.db?.command({ collMod, validator: { u: { $lt: 5 } } });
    const answers = await senderOf(engine, connection)
      .many([batchOf(1, [3]), batchOf(2, [9], { key: other })])
      .catch(() => 'unknown')
      .finally(() => connection.db?.command({ collMod, validator: {} }));
    expect(answers).to.equal('unknown');
  },

  'older entitlements allow nothing beyond the limit of newer ones': async (engine, connection) => {
    await begun(engine, connection, 10, termsOf(10, 2));
    const terms = termsOf(10, 1, { overage: 5 });
    const answer = await senderOf(engine, connection).one(batchOf(1, [3], { terms }));
    expect(outcomeOf(answer)).to.equal('none');
    const { o = 0, u } = await counterOf(connection);
    expect([u, o]).to.deep.equal([10, 0]);
  },

  'a balance that has expired is not spent': async (engine, connection) => {
    await begun(engine, connection, 10);
    const e = new Date(Date.now() - 1_000);
    await tamper(connection, { $set: { balances: [{ i: 'a', l: 5, s: 0, e }] } });
    expect(outcomeOf(await senderOf(engine, connection).one(batchOf(1, [3])))).to.equal('none');
  },

  'no more is used beyond the limit than the plan allows': async (engine, connection) => {
    const terms = termsOf(10, 1, { overage: 5 });
    await begun(engine, connection, 10, terms);
    const sender = senderOf(engine, connection);
    const first = batchOf(1, [6], { terms, isFirst: true }); // of which only the fold decides
    expect(outcomeOf(await sender.one(first))).to.equal('none');
    expect(outcomeOf(await sender.one(batchOf(2, [5], { terms })))).to.equal('some');
  },

  'what was used beyond a limit counts in a larger one': async (engine, connection) => {
    await usedBeyond(engine, connection);
    const sender = senderOf(engine, connection);
    const terms = termsOf(20, 2);
    expect(outcomeOf(await sender.one(batchOf(1, [6], { terms })))).to.equal('none');
    expect(outcomeOf(await sender.one(batchOf(2, [5], { terms })))).to.equal('some');
    expect(outcomeOf(await sender.one(batchOf(3, [1], { terms })))).to.equal('none');
  },

  'what was used beyond a limit counts in a larger one that is known': async (engine, connection) => {
    await usedBeyond(engine, connection);
    await tamper(connection, { $set: { lim: 20, lv: 2 } });
    const batch = batchOf(1, [6], { terms: termsOf(20, 2) });
    expect(outcomeOf(await senderOf(engine, connection).one(batch))).to.equal('none');
  },

  'what was used beyond a limit is not had twice, of the allowance and of a balance': async (
    engine,
    connection,
  ) => {
    await usedBeyond(engine, connection);
    const [to, e] = [new Date(Date.now() + 60_000), new Date(Date.now() + 120_000)];
    await tamper(connection, { $set: { to, balances: [{ i: 'a', l: 5, s: 0, e }] } });
    const sender = senderOf(engine, connection);
    const terms = termsOf(20, 2);
    expect(outcomeOf(await sender.one(batchOf(1, [5, 5], { terms })))).to.equal('some');
    expect(outcomeOf(await sender.one(batchOf(2, [1], { terms })))).to.equal('none');
    const { u, o, balances } = await counterOf(connection);
    expect([u, o, balances?.map(({ l }) => l)]).to.deep.equal([15, 5, [0]]);
  },

  'what was used beyond a limit is not carried over': async (engine, connection) => {
    const rollover = { cap: 100, periods: 1 };
    await begun(engine, connection, 15, termsOf(10, 1, { per: 'month', overage: 5, rollover }));
    const sender = senderOf(engine, connection);
    const terms = termsOf(20, 2, { per: 'month', rollover });
    await sender.one(batchOf(1, [1], { terms }));
    await tamper(connection, [{ $set: { from: new Date('2020-01-01'), to: '$from' } }]);
    await sender.one(batchOf(2, [1], { terms }));
    const { balances } = await counterOf(connection);
    expect(balances?.map(({ l, s }) => l + s)).to.deep.equal([4]);
  },

  'units do not go back to a later period that would begin at the same moment': async (
    engine,
    connection,
  ) => {
    await begun(engine, connection, 8, termsOf(10, 1, { per: 'hour' }));
    const now = new Date();
    const from = new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth()));
    await tamper(connection, { $set: { from, to: new Date(from.getTime() + 1) } }); // an hour that was the month's first
    const sender = senderOf(engine, connection);
    const terms = termsOf(10, 2, { per: 'month' });
    await sender.one(batchOf(1, [10], { terms }));
    await sender.one(batchOf(2, [{ amount: -8, from }], { terms }));
    expect(await used(connection)).to.equal(10);
  },

  'what goes back to another period takes nothing away': async (engine, connection) => {
    await begun(engine, connection, 15, termsOf(15));
    await tamper(connection, {
      $set: { lim: 10, balances: [{ i: 'a', l: 5, s: 0, e: new Date(Date.now() + 60_000) }] },
    });
    const parts = [{ amount: -5, from: new Date(0) }, { amount: 5 }];
    await senderOf(engine, connection).one(batchOf(1, parts));
    const { balances } = await counterOf(connection);
    expect(balances?.map(({ s }) => s)).to.deep.equal([5]);
  },

  'no more is carried over than the plan allows': async (engine, connection) => {
    expect(await carriedOf(engine, connection, 1)).to.equal(4);
  },

  'no more is carried over than was left': async (engine, connection) => {
    expect(await carriedOf(engine, connection, 8)).to.equal(2);
  },

  'a period that ends within the next one leaves nothing over': async (engine, connection) => {
    expect(await carriedOf(engine, connection, 1, [{ $set: { to: '$$NOW' } }])).to.equal(0);
  },

  'a reset leaves a period as it was that is over': async (engine, connection) => {
    await begun(engine, connection, 5);
    await endPeriod(connection);
    await connection.transaction((session) =>
      engine.counters.resetCounters(connection, session, { subject }),
    );
    expect(await used(connection)).to.equal(5);
  },

  'a period for life ends with the plan': async (engine, connection) => {
    await begun(engine, connection, 5);
    const terms = termsOf(10, 2, { per: 'month' });
    await senderOf(engine, connection).one(batchOf(1, [9], { terms }));
    expect(await used(connection)).to.equal(9);
  },

  'a period for life is not ended by an older plan': async (engine, connection) => {
    await begun(engine, connection, 5, termsOf(10, 2));
    const terms = termsOf(10, 1, { per: 'month' });
    await senderOf(engine, connection).one(batchOf(1, [9], { terms }));
    expect(await used(connection)).to.equal(5);
  },

  'an older plan begins no period of its own': async (engine, connection) => {
    const old = termsOf(10, 1, { per: 'month', rollover: { cap: 5, periods: 1 } });
    await begun(engine, connection, 5, old);
    const terms = new Map([[key.f, termsOf(10, 2, { per: 'hour' })]]);
    await connection.transaction((session) =>
      engine.counters.retune(connection, session, { subject, version: 2, terms }),
    );
    await endPeriod(connection);
    await senderOf(engine, connection).one(batchOf(1, [3], { terms: old }));
    const { u, from, to, balances = [] } = await counterOf(connection);
    expect([u, to.getTime() - from.getTime(), balances]).to.deep.equal([3, 3_600_000, []]);
  },

  'nobody begins a counter by the limit of an older plan': async ({ counters, ...engine }, connection) => {
    const terms = new Map([[key.f, termsOf(5, 2)]]);
    await connection.transaction((session) =>
      counters.retune(connection, session, { subject, version: 2, terms }),
    );
    await senderOf({ counters, ...engine }, connection).one(batchOf(1, [9], { isFirst: true }));
    expect(await used(connection)).to.equal(0);
  },

  'a change of plan is not held up by those who count': async (engine, connection) => {
    await begun(engine, connection, 1);
    let attempts = 0;
    const terms = new Map([[key.f, termsOf(20, 2)]]);
    await connection.transaction(async (session) => {
      attempts += 1;
      await engine.counters.lockCounters(connection, session, subject);
      await counters(connection).findOne({ _id: key } as never, { session }); // whatever the change has to know
      const counted = senderOf(engine, connection).one(batchOf(attempts, [3]));
      await Promise.race([counted, delay(300)]);
      await engine.counters.retune(connection, session, { subject, version: 2, terms });
    });
    expect(attempts).to.equal(1);
  },

  'the first key of a process is claimed for its time': async ({ book, store, combiner }, connection) => {
    const id = { o: key.s, c: 'test', s: key.s, m: '', r: '', f: '', k: 'a' };
    const claim = book.claimBook(connection).claim(id, 'hash', 60_000);
    await combiner.take(connection, { key, terms: termsOf(10), amount: 1, claim });
    const { expiresAt } = (await store.claimStore(connection).read(id)) ?? expect.fail();
    expect(expiresAt).to.be.above(new Date());
  },
} as const satisfies Record<string, Scenario>;
