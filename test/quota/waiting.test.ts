import { expect } from 'chai';
import { type Connection, Schema } from 'mongoose';
import { consumeQuota, refundQuota, syncPlans, Usage, withQuota } from '../../lib/index.js';
import { claimBook } from '../../lib/quota/claim-book.js';
import { openOnce } from '../../lib/quota/take-once.js';
import { watchCommands } from '../support/commands.js';
import { failPoint } from '../support/fail-point.js';
import { connect, countBy, emptyWorld, inspector, times, until } from '../support/world.js';

const subject = { type: 'organization', id: 'acme' } as const;
const noteSchema = new Schema({ title: String });
const used = async (f = 'notes') => (await Usage(inspector()).findOne({ '_id.f': f }).lean())?.u ?? 0;

/** The code that a call is refused with, and how long that took, in milliseconds. */
async function refusalOf(work: Promise<unknown>): Promise<{ code: string; after: number }> {
  const began = performance.now();
  const code = await work.then(
    () => 'done',
    ({ code }) => String(code),
  );
  return { code, after: performance.now() - began };
}

/** A connection whose commands of one kind are answered late, once it has been used. */
async function slow(command: string) {
  const { shared } = await emptyWorld();
  const features = { notes: { limit: 10_000, per: 'day' } } as const;
  await syncPlans({ ...shared, plans: { free: { name: 'Free', tier: 0, default: true, features } } });
  const connection = await connect(undefined, { appName: `slow-${command}`, monitorCommands: true });
  const consume = (more: object = {}) => consumeQuota({ connection, subject, feature: 'notes', ...more });
  const which = { appName: `slow-${command}`, failCommands: [command] };
  const block = () => failPoint({ ...which, blockTimeMS: 3_000 });
  return { connection, consume, block };
}

describe('while the database does not answer', function () {
  this.timeout(30_000);

  it('callers of withQuota({ writes }) are refused within 3 s, however many wait, and nothing is written that is not counted', async () => {
    const { connection, block } = await slow('commitTransaction');
    const Note = connection.model('LateNote', noteSchema);
    const notes = inspector().model('LateNote', noteSchema);
    await notes.createCollection();
    const insert = (title: string) =>
      withQuota({
        connection,
        subject,
        amounts: { notes: 1 },
        writes: [{ model: Note, insertOne: { document: { title } } }],
      });
    await insert('first');
    const unblock = await block();

    const refusals = await Promise.all(times(1_000, (index) => refusalOf(insert(`note ${index}`))));
    const { overloaded = 0, database_unavailable: unknown = 0 } = countBy(refusals, 'code');
    expect(overloaded + unknown).to.equal(1_000);
    expect(overloaded, 'of whom nothing was sent').to.be.greaterThan(400);
    expect(Math.max(...refusals.map(({ after }) => after))).to.be.lessThan(3_400);
    await unblock();
    await until(async () => (await notes.countDocuments()) > 1);
    await until(async () => (await notes.countDocuments()) === (await used()));
  });

  it('whoever claims a key is refused within 3 s, however many wait', async () => {
    const { connection, consume, block } = await slow('insert');
    await consume();
    const open = (k: string) => {
      const key = { o: 'user:a', c: 'user', s: 'user:a', m: 'POST', r: '/orders', f: '', k };
      return openOnce(connection, claimBook(connection).claim(key, 'hash', 60_000));
    };
    await open('first');
    await block();
    const refusals = await Promise.all(times(3_000, (index) => refusalOf(open(`key ${index}`))));
    const { overloaded = 0, database_unavailable: unknown = 0 } = countBy(refusals, 'code');
    expect(overloaded + unknown).to.equal(3_000);
    expect(overloaded, 'of whom nothing was sent').to.be.greaterThan(900);
    expect(Math.max(...refusals.map(({ after }) => after))).to.be.lessThan(3_400);
  });

  it('a consumption with a key is refused within 1.5 s, and its process goes on', async () => {
    const { consume, block } = await slow('insert');
    await consume({ idempotencyKey: 'first' });
    await block();
    const { code, after } = await refusalOf(consume({ idempotencyKey: 'second' }));
    expect(code).to.equal('database_unavailable');
    await new Promise((resolve) => setTimeout(resolve, 200)); // the commands are given up a little later
    expect(after).to.be.lessThan(2_000);
  });

  it('a consumption with a lease is refused within 1.5 s', async () => {
    const { consume, block } = await slow('findAndModify');
    await consume();
    await block();
    const { code, after } = await refusalOf(consume({ lease: 50 }));
    expect(code).to.equal('database_unavailable');
    expect(after).to.be.lessThan(2_000);
  });
});

describe('a refund that is refused with overloaded', () => {
  /** Lets both lanes of the counter wait for the database. */
  async function fillLanes(connection: Connection, consume: () => Promise<unknown>): Promise<void> {
    const commands = watchCommands(connection);
    for (const lane of [1, 2]) {
      void consume().catch(() => {});
      await until(() => commands.filter((name) => name === 'findAndModify').length === lane);
    }
  }

  it('has given nothing back, and gives all of it back when it is asked for again', async function () {
    this.timeout(30_000);
    const { connection, consume, block } = await slow('findAndModify');
    const [plain, keyed, whole] = [
      await consume({ amount: 3 }),
      await consume({ amount: 30, idempotencyKey: 'keyed' }),
      await consume({ amount: 300, idempotencyKey: 'whole' }),
    ];
    const refund = () =>
      Promise.all([
        refusalOf(refundQuota({ connection, subject, state: plain })),
        refusalOf(refundQuota({ connection, subject, state: keyed, amount: 10 })),
        refusalOf(refundQuota({ connection, subject, state: whole })),
      ]);
    const unblock = await block();
    await fillLanes(connection, consume);
    expect(countBy(await refund(), 'code')).to.deep.equal({ overloaded: 3 });
    await unblock();
    await until(async () => (await used()) === 333); // what was counted for those who got no answer has come back

    expect(countBy(await refund(), 'code')).to.deep.equal({ done: 3 });
    expect(await used()).to.equal(20);
    await refund();
    expect(await used()).to.equal(10);
    expect(countBy(await refund(), 'code')).to.deep.equal({ done: 3 });
    expect(await used()).to.equal(0);
    await refund();
    expect(await used()).to.equal(0);
  });
});
