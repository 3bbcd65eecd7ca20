import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import {
  assignPlan,
  commitReservation,
  consumeQuota,
  createUser,
  eraseSubject,
  exportSubject,
  grantCredits,
  Reservations,
  releaseReservation,
  reserveQuota,
  type SharedOptions,
  startWorker,
  syncPlans,
  Usage,
} from '../../lib/index.js';
import { failPoint } from '../support/fail-point.js';
import {
  atEnd,
  connect,
  countBy,
  dbName,
  emptyWorld,
  endAbandoned,
  inspector,
  mongoUri,
  secret,
  times,
  until,
} from '../support/world.js';

const subject = { type: 'organization', id: 'acme' } as const;

/** Everybody has 100 tokens a month, and 30 credits; an answer costs 3 of them. */
async function reserving(options: Partial<SharedOptions> = {}) {
  const { shared } = await emptyWorld(options);
  const features = {
    tokens: { limit: 100, per: 'month' },
    credits: { limit: 30, per: 'month' },
    answers: { credits: 3 },
  } as const;
  const plans = {
    free: { name: 'Free', tier: 0, default: true, features },
    bare: { name: 'Bare', tier: 1, features: {} },
  };
  await syncPlans({ ...shared, plans });
  const { connection } = shared;
  const reserve = (amount: number, feature = 'tokens', more: object = {}) =>
    reserveQuota({ connection, subject, feature, amount, ...more });
  const commit = (id: string, amount?: number, on = connection) =>
    commitReservation({ connection: on, id, amount });
  const release = (id: string, on = connection) => releaseReservation({ connection: on, id });
  const consume = (amount: number, on = connection) =>
    consumeQuota({ connection: on, subject, feature: 'tokens', amount });
  return { shared, connection, reserve, commit, release, consume };
}

const outcome = (work: Promise<unknown>) =>
  work.then(
    () => ({ is: 'done' }),
    (error) => ({ is: String(error.extras?.state ?? error.code) }),
  );
const outcomes = async (works: readonly Promise<unknown>[]) =>
  countBy(await Promise.all(works.map(outcome)), 'is');

const used = async (f = 'tokens') => (await Usage(inspector()).findOne({ '_id.f': f }).lean())?.u;

/** Lets holds expire, `ms` from now. */
const expire = (ms = -1) =>
  Reservations(inspector()).updateMany({ state: 'held' }, { expiresAt: new Date(Date.now() + ms) });

describe('reservations', () => {
  it('hold units until it is known how many were used, and give the others back', async () => {
    const { reserve, commit, consume } = await reserving();
    const { id, expiresAt, ...state } = await reserve(60);
    expect(state).to.include({ feature: 'tokens', taken: 60, used: 60, remaining: 40, limit: 100 });
    expect(expiresAt.getTime() - Date.now()).to.be.within(290_000, 301_000);
    expect(await outcome(consume(41))).to.deep.equal({ is: 'quota_exceeded' });
    expect(await commit(id, 25)).to.include({ taken: 25, used: 25, remaining: 75, unmet: 0 });
    expect(await consume(75)).to.include({ used: 100, remaining: 0 });
  });

  it('are granted to 100 of 500 who ask at once on a limit of 100, and settled exactly, while others consume', async function () {
    this.timeout(30_000);
    const { reserve, commit, release, consume } = await reserving();
    const holds = await Promise.all(times(500, () => reserve(1).catch(() => null)));
    const held = holds.flatMap((hold) => hold ?? []);
    expect(held).to.have.length(100);
    const settled = held.map(({ id }, index) => (index % 2 ? commit(id) : release(id)));
    const consumed = await outcomes(times(100, () => consume(1)));
    await Promise.all(settled);
    const later = await outcomes(times(100, () => consume(1)));
    expect((consumed.done ?? 0) + (later.done ?? 0)).to.equal(50);
    expect(await used()).to.equal(100);
  });

  it('are settled once, though 50 commit and release one at once in two processes', async () => {
    const { connection, reserve, commit, release } = await reserving();
    const [elsewhere, { id }] = [await connect(), await reserve(60)];
    const both = [connection, elsewhere];
    const works = times(50, (index) =>
      index % 2 ? commit(id, 10, both[(index % 4) >> 1]) : release(id, both[(index % 4) >> 1]),
    );
    const counts = await outcomes(works);
    const [{ state } = { state: '' }] = await Reservations(inspector()).find().lean();
    expect(counts).to.deep.equal({ done: 25, [state as string]: 25 });
    expect(await used()).to.equal(state === 'committed' ? 10 : 0);
  });

  it('answer a repeated commit alike, and refuse one that says something else', async () => {
    const { reserve, commit, release } = await reserving();
    const [{ id }, other] = [await reserve(60), await reserve(10)];
    const first = await commit(id, 20);
    expect(await commit(id, 20)).to.deep.include({ taken: 20, unmet: 0, used: first.used });
    expect(await outcome(commit(id, 21))).to.deep.equal({ is: 'committed' });
    expect(await outcome(release(id))).to.deep.equal({ is: 'committed' });
    await release(other.id);
    await release(other.id);
    expect(await outcome(commit(other.id))).to.deep.equal({ is: 'released' });
    for (const unknown of ['0'.repeat(24), 'x', id.toUpperCase()]) {
      expect(await outcome(commit(unknown))).to.deep.equal({ is: 'not_found' });
      expect(await outcome(release(unknown))).to.deep.equal({ is: 'not_found' });
    }
    expect(await used()).to.equal(20);
  });

  it('that cost more than they held take what remains, and say what does not', async () => {
    const { shared, reserve, commit, consume } = await reserving();
    const [one, two, three] = [await reserve(20), await reserve(20), await reserve(20)];
    expect(await commit(one.id, 30)).to.include({ taken: 30, used: 70, unmet: 0 });
    const [second, third] = await Promise.all([commit(two.id, 45), commit(three.id, 45)]);
    expect(second.taken + third.taken).to.equal(70);
    expect(second.unmet + third.unmet).to.equal(20);
    expect(await used()).to.equal(100);
    expect(await outcome(consume(1))).to.deep.equal({ is: 'quota_exceeded' });
    expect(await commit(two.id, 45)).to.include({ taken: second.taken, unmet: second.unmet });

    const answers = await reserve(2, 'answers');
    expect(answers).to.include({ feature: 'credits', taken: 6, remaining: 24 });
    await reserve(7, 'answers');
    expect(await commit(answers.id, 9)).to.include({ feature: 'credits', taken: 9, remaining: 0, unmet: 6 });

    await grantCredits({ ...shared, subject, feature: 'tokens', amount: 50 });
    const { id } = await reserve(10);
    await assignPlan({ ...shared, subject, plan: 'bare' });
    expect(await commit(id, 20)).to.include({ taken: 10, unmet: 10 });
  });

  it('go back once where nobody knows whether they are stored', async () => {
    const { release } = await reserving();
    const connection = await connect(undefined, { appName: 'holding' });
    const take = (amount: number) => consumeQuota({ connection, subject, feature: 'tokens', amount });
    await take(1);
    const { collection } = Reservations(connection);
    await failPoint({
      appName: 'holding',
      namespace: `${dbName}.${collection.name}`,
      failCommands: ['findAndModify'],
      writeConcernError: { code: 64, errmsg: 'waiting for replication timed out' }, // the write is done
      times: 1,
    });
    const met = await reserveQuota({ connection, subject, feature: 'tokens', amount: 40 }).catch(
      ({ code }) => code,
    );
    expect(met).to.equal('database_unavailable');
    expect((await take(1)).used).to.equal(42);
    const { _id } = (await Reservations(inspector()).findOne().lean()) ?? expect.fail();
    await release(String(_id));
    expect((await take(1)).used).to.equal(3);
  });

  it('go back when they expire: by the next one who is refused', async () => {
    const { reserve, commit, release, consume } = await reserving();
    const [one, two] = [await reserve(60), await reserve(40)];
    await expire();
    expect(await outcome(commit(one.id))).to.deep.equal({ is: 'expired' });
    expect(await used()).to.equal(100);
    expect(await consume(95)).to.include({ used: 95, remaining: 5 });
    expect(await outcome(commit(two.id))).to.deep.equal({ is: 'expired' });
    await release(two.id);
    expect(await used()).to.equal(95);
  });

  it('go back when they expire: by the worker', async () => {
    const { shared, reserve } = await reserving();
    await Promise.all([reserve(60), reserve(5, 'answers'), reserve(40)]);
    await expire();
    const worker = await startWorker({ ...shared, cleanupHours: 0 });
    atEnd(() => worker.stop());
    await until(async () => (await used()) === 0 && (await used('credits')) === 0);
    expect(await Reservations(inspector()).countDocuments({ state: 'expired' })).to.equal(3);
  });

  it('either are committed or expire, when both happen at the same moment', async () => {
    const { reserve, commit, consume } = await reserving();
    const holds = await Promise.all(times(40, () => reserve(2)));
    await expire(150);
    const commits = holds.map(async ({ id }, index) => {
      await new Promise((resolve) => setTimeout(resolve, index * 8));
      return outcome(commit(id, 1));
    });
    const elsewhere = await connect();
    const counts = countBy(await Promise.all(commits), 'is');
    await until(
      async () => (await outcome(consume(101, elsewhere))).is === 'quota_exceeded' && (await allSettled()),
    );
    expect((counts.done ?? 0) + (counts.expired ?? 0)).to.equal(40);
    expect(await used()).to.equal(counts.done ?? 0);
  });

  it('give nothing back into a later period', async () => {
    const { reserve, commit, release, consume } = await reserving();
    const [one, two] = [await reserve(30), await reserve(30)];
    const past = { from: new Date('2020-01-01'), to: new Date('2020-02-01') };
    await Usage(inspector()).updateOne({ '_id.f': 'tokens' }, past);
    await Reservations(inspector()).updateMany({}, { from: past.from });
    await release(one.id);
    expect(await used()).to.equal(60);
    expect(await consume(50)).to.include({ used: 50 });
    expect(await commit(two.id, 10)).to.include({ taken: 10, used: 50, remaining: 50 });
    expect(await used()).to.equal(50);
  });

  it('give back to grants what they took of them', async () => {
    const { shared, reserve, commit, consume } = await reserving();
    await grantCredits({ ...shared, subject, feature: 'tokens', amount: 50 });
    const { id } = await reserve(130);
    expect(await commit(id, 110)).to.include({ used: 110, remaining: 40 });
    expect(await consume(40)).to.include({ used: 150, remaining: 0 });
  });

  it('lose nothing but what was in flight when their process is killed', async function () {
    this.timeout(30_000);
    const { shared, consume } = await reserving();
    await grantCredits({ ...shared, subject, feature: 'tokens', amount: 1_000_000 });
    const program = fileURLToPath(new URL('../support/hold-process.ts', import.meta.url));
    const child = fork(program, [mongoUri(), dbName], { execArgv: ['--import=tsx'] });
    const ended = once(child, 'exit');
    atEnd(async () => void child.kill('SIGKILL'));
    let known = 0;
    child.on('message', () => {
      known += 1;
      if (known >= 30) child.kill('SIGKILL');
    });
    await ended;
    expect(known).to.be.at.least(30);
    await endAbandoned();
    await expire();
    await until(async () => {
      if (await allSettled()) return true;
      await returnedBy(shared);
      return false;
    });
    const committed = await Reservations(inspector()).countDocuments({ state: 'committed' });
    const { used: counted } = await consume(1);
    const leaked = counted - 1 - committed * 4;
    expect(leaked).to.be.within(0, 80); // eight lanes of ten units
    expect(leaked % 10).to.equal(0);
    expect(committed).to.be.at.least(15);
  });

  it('refuse what makes no sense, and are exported and erased with their user', async () => {
    const { shared, reserve, commit } = await reserving();
    const wrong: Promise<unknown>[] = [
      reserve(0),
      reserve(1.5),
      reserve(1, 'tokens', { expiresIn: 0 }),
      reserve(1, 'tokens', { expiresIn: 86_401 }),
      commit('0'.repeat(24), -1),
      commit('0'.repeat(24), 0.5),
    ];
    for (const each of wrong) expect(await each.catch((error) => error)).to.be.instanceOf(TypeError);
    expect(await outcome(reserve(101))).to.deep.equal({ is: 'quota_exceeded' });
    expect(await Reservations(inspector()).countDocuments()).to.equal(0);
    const user = await createUser({ ...shared, email: 'ada@example.com', password: 'lovelace-1815' });
    const who = { type: 'user', id: user.id } as const;
    const { id } = await reserveQuota({ ...shared, subject: who, feature: 'tokens', amount: 3 });
    const { reservations } = await exportSubject({ ...shared, subject: who });
    expect((reservations as object[])[0]).to.deep.include({
      id,
      feature: 'tokens',
      amount: 3,
      state: 'held',
    });
    await eraseSubject({ ...shared, subject: who });
    expect(await Reservations(inspector()).countDocuments()).to.equal(0);
    expect(await outcome(commitReservation({ ...shared, id }))).to.deep.equal({ is: 'not_found' });
  });
});

/** Lets a worker come by once. */
async function returnedBy(shared: SharedOptions): Promise<void> {
  const worker = await startWorker({ ...shared, keys: [secret], cleanupHours: 0, onError: () => {} });
  await worker.stop();
}

const allSettled = async () => (await Reservations(inspector()).countDocuments({ state: 'held' })) === 0;
