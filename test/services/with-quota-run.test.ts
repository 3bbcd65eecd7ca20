import { setTimeout as delay } from 'node:timers/promises';
import { expect } from 'chai';
import { type ClientSession, type ConnectOptions, Schema } from 'mongoose';
import { refuse } from '../../lib/errors.js';
import { syncPlans, Usage, withQuota } from '../../lib/index.js';
import { failPoint } from '../support/fail-point.js';
import { connect, emptyWorld, inspector, until } from '../support/world.js';

const subject = { type: 'organization', id: 'acme' } as const;
const noteSchema = new Schema({ title: { type: String, index: true }, count: Number });
const notes = () => inspector().model('OwnNote', noteSchema);
const used = async () => (await Usage(inspector()).findOne({ '_id.f': 'notes' }).lean())?.u ?? 0;
const state = async () => [await notes().countDocuments(), await used()];

/** Five notes a day, and a connection of the application's own. */
async function running(options: ConnectOptions = {}) {
  const { shared } = await emptyWorld();
  const features = { notes: { limit: 5, per: 'day' } } as const;
  await syncPlans({ ...shared, plans: { free: { name: 'Free', tier: 0, default: true, features } } });
  await notes().createIndexes();
  const connection = await connect(undefined, options);
  const Note = connection.model('OwnNote', noteSchema);
  const write = <T>(run: (session: ClientSession) => Promise<T>) =>
    withQuota({ connection, subject, amounts: { notes: 1 }, run });
  const insert = (session: ClientSession) => Note.insertMany([{ title: 'a' }], { session });
  const failing = (run: (session: ClientSession) => Promise<unknown>) =>
    write(run).then(
      () => expect.fail('it succeeded'),
      (error) => error,
    );
  return { Note, write, insert, failing };
}

/** Longer than one call to the database may take. */
const long = 1_700;

describe('withQuota() with run', () => {
  it('waits for as long as that takes, writes once and counts once', async () => {
    const { write, insert } = await running();
    const { result, quota } = await write(async (session) => {
      await insert(session);
      await delay(long);
      return 'done';
    });
    expect([result, quota.notes?.used]).to.deep.equal(['done', 1]);
    expect(await state()).to.deep.equal([1, 1]);
  });

  it('gives the units back when it throws, however late, and whatever it throws', async () => {
    const { failing, insert } = await running();
    const error = await failing(async (session) => {
      await insert(session);
      await delay(long);
      throw new Error('changed my mind');
    });
    expect(error.message).to.equal('changed my mind');
    expect(await state()).to.deep.equal([0, 0]);
    const away = await failing(async (session) => {
      await insert(session);
      throw refuse('database_unavailable'); // of a service that it has called
    });
    expect(away.code).to.equal('database_unavailable');
    expect(await state()).to.deep.equal([0, 0]);
  });

  it('runs again where others have written what it writes, and is counted once', async () => {
    const { Note, write } = await running();
    await notes().create({ title: 'shared', count: 0 });
    let attempts = 0;
    await write(async (session) => {
      attempts += 1;
      await Note.findOne({ title: 'shared' }).session(session);
      if (attempts === 1) await notes().updateOne({ title: 'shared' }, { $inc: { count: 1 } });
      await Note.updateOne({ title: 'shared' }, { $inc: { count: 10 } }, { session });
    });
    expect(attempts).to.equal(2);
    expect((await notes().findOne().lean())?.count).to.equal(11);
    expect(await used()).to.equal(1);
  });

  it('gives up where others always write what it writes, and gives the units back', async function () {
    this.timeout(30_000);
    const { Note, failing } = await running();
    await notes().create({ title: 'shared', count: 0 });
    const error = await failing(async (session) => {
      await Note.findOne({ title: 'shared' }).session(session);
      await notes().updateOne({ title: 'shared' }, { $inc: { count: 1 } });
      await delay(400);
      await Note.updateOne({ title: 'shared' }, { $inc: { count: 10 } }, { session });
    });
    expect(error.code).to.equal('database_unavailable');
    expect(await used()).to.equal(0);
  });

  it('counts what was written, also where the answer to the commit does not come in time', async () => {
    const { failing, insert } = await running({ appName: 'late-commit' });
    await failPoint({
      appName: 'late-commit',
      failCommands: ['commitTransaction'],
      times: 1,
      blockTimeMS: 2_200,
    });
    expect((await failing(insert)).code).to.equal('database_unavailable');
    expect(await state()).to.deep.equal([0, 1]);
    await until(async () => (await notes().countDocuments()) === 1);
    expect(await state()).to.deep.equal([1, 1]);
  });

  it('gives the units back when it turns out that such a commit has failed', async () => {
    const { failing, insert } = await running({ appName: 'lost-commit' });
    await failPoint({
      appName: 'lost-commit',
      failCommands: ['commitTransaction'],
      times: 1,
      blockTimeMS: 2_200,
      errorCode: 251, // NoSuchTransaction
      errorLabels: ['TransientTransactionError'],
    });
    expect((await failing(insert)).code).to.equal('database_unavailable');
    expect(await state()).to.deep.equal([0, 1]);
    await until(async () => (await used()) === 0);
    expect(await state()).to.deep.equal([0, 0]);
  });
});
