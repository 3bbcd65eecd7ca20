import { expect } from 'chai';
import { Types } from 'mongoose';
import {
  Claims,
  type Consumption,
  consumeQuota,
  type QuotaState,
  refundQuota,
  syncPlans,
  Usage,
} from '../../lib/index.js';
import { watchCommands } from '../support/commands.js';
import { startProxy } from '../support/proxy.js';
import { connect, emptyWorld, inspector, mongoUri, times, until } from '../support/world.js';

const subject = { type: 'organization', id: 'acme' } as const;
const features = {
  images: { limit: 100, per: 'month' },
  searches: { limit: 10_000, per: 'month' },
} as const;
const plans = { free: { name: 'Free', tier: 0, default: true, features } };

const used = async (feature = 'images') =>
  (await Usage(inspector()).findOne({ '_id.f': feature }).lean())?.u ?? 0;

/** Two connections, which share no more than two processes do. */
async function consumers() {
  const { connection } = await emptyWorld();
  await syncPlans({ connection, plans });
  const connections = [connection, await connect()] as const;
  const consume = (index: 0 | 1, more: Partial<Consumption> = {}) =>
    consumeQuota({
      connection: connections[index],
      subject,
      feature: 'images',
      amount: 3,
      idempotencyKey: 'a',
      ...more,
    });
  const refund = (index: 0 | 1, state: QuotaState, amount?: number) =>
    refundQuota({ connection: connections[index], subject, state, amount });
  return { consume, refund, connections };
}

const codeOf = (error: { code?: string }) => error.code;

describe('consumeQuota with an idempotencyKey', () => {
  it('uses up once, and gives everybody the same result', async () => {
    const { consume } = await consumers();
    const first = await consume(0);
    await consume(0, { idempotencyKey: 'b' });
    expect(await consume(0)).to.deep.equal(first);
    expect(await consume(1)).to.deep.equal(first);
    expect(await used()).to.equal(6);
  });

  it('uses up once of 50 at the same time over two connections', async () => {
    const { consume } = await consumers();
    const results = await Promise.all(times(50, (index) => consume((index % 2) as 0 | 1).catch(codeOf)));
    expect(await used()).to.equal(3);
    const states = results.filter((result) => typeof result === 'object');
    expect(states.length).to.be.greaterThan(0);
    for (const result of results) {
      if (typeof result === 'object') expect(result).to.deep.equal(states[0]);
      else expect(result).to.equal('idempotency_in_progress');
    }
  });

  it('refuses the key for another amount or feature, and takes it for another owner or subject', async () => {
    const { consume } = await consumers();
    await consume(0);
    expect(await consume(1, { amount: 4 }).catch(codeOf)).to.equal('idempotency_mismatch');
    expect(await consume(1, { feature: 'searches' }).catch(codeOf)).to.equal('idempotency_mismatch');
    await consume(0, { owner: 'robot' });
    await consume(0, { subject: { type: 'user', id: 'acme' } });
    expect(await Usage(inspector()).find().lean()).to.have.length(2);
    for (const idempotencyKey of ['', 'x'.repeat(256), 'a\nb', 7 as unknown as string])
      expect(await consume(0, { idempotencyKey }).catch((error) => error)).to.be.instanceOf(TypeError);
    for (const quotaIdempotencyTtl of [0, -1, 1.5, Number.NaN, 604_801, '60' as unknown as number])
      expect(await consume(0, { quotaIdempotencyTtl }).catch((error) => error)).to.be.instanceOf(TypeError);
    expect(await Claims(inspector()).countDocuments()).to.equal(3);
  });

  it('refuses a subject that is none, with a key or without, before anything is counted', async () => {
    const { consume } = await consumers();
    const id = new Types.ObjectId();
    const wrong = [
      { type: 'user' },
      { type: 'user', id },
      { type: 'user', id: '' },
      { id: 'acme' },
      undefined,
    ];
    for (const subject of wrong as Consumption['subject'][])
      for (const idempotencyKey of ['a', undefined]) {
        const error = await consume(0, { subject, idempotencyKey }).catch((thrown) => thrown);
        expect(error, JSON.stringify(subject)).to.be.instanceOf(TypeError);
        expect(error.message).to.match(/^subject\.(type|id) must be/);
      }
    expect(await Usage(inspector()).countDocuments()).to.equal(0);
    expect(await Claims(inspector()).countDocuments()).to.equal(0);
  });

  it('leaves a key free that was refused', async () => {
    const { consume } = await consumers();
    const all = await consume(0, { amount: 100, idempotencyKey: 'all' });
    expect(await consume(0).catch(codeOf)).to.equal('quota_exceeded');
    expect(await consume(0, { amount: 1 }).catch(codeOf)).to.equal('quota_exceeded');
    expect(all.remaining).to.equal(0);
    expect(await Claims(inspector()).countDocuments()).to.equal(1);
  });

  it('is forgotten when its window is over', async () => {
    const { consume } = await consumers();
    await consume(0);
    await Claims(inspector()).updateMany({}, { $set: { expiresAt: new Date(0) } });
    await consume(1);
    expect(await used()).to.equal(6);
  });

  it('frees the key when all is given back, once, whoever does it', async () => {
    const { consume, refund } = await consumers();
    const states = [await consume(0), await consume(1)] as const;
    await Promise.all([refund(0, states[0]), refund(1, states[1]), refund(0, states[0])]);
    expect(await used()).to.equal(0);
    expect(await Claims(inspector()).countDocuments()).to.equal(0);
    const again = await consume(1);
    expect(await used()).to.equal(3);
    await refund(0, states[0]);
    expect(await used()).to.equal(3);
    await refund(1, again);
    expect(await used()).to.equal(0);
  });

  it('never gives back more than was taken, in parts and over two connections', async () => {
    const { consume, refund } = await consumers();
    await consume(0, { idempotencyKey: 'other', amount: 5 });
    const first = await consume(0);
    await refund(0, first, 2);
    expect(await used()).to.equal(6);
    const second = await consume(1);
    expect(second).to.deep.equal(first);
    await Promise.all([refund(1, second, 3), refund(0, first, 3), refund(1, second, 1)]);
    expect(await used()).to.equal(5);
    expect(await Claims(inspector()).countDocuments()).to.equal(1);
  });

  for (const [where, other] of [
    ['in one process', 0],
    ['in two processes', 1],
  ] as const)
    it(`gives back once of two that give back as much, one after the other, ${where}`, async () => {
      const { consume, refund } = await consumers();
      const [first, second] = [await consume(0, { amount: 30 }), await consume(other, { amount: 30 })];
      await refund(0, first, 10);
      await refund(other, second, 10);
      expect(await used()).to.equal(20);
    });

  it('is charged once when the answer was lost, as soon as nobody can be at it any more', async function () {
    this.timeout(30_000);
    const { consume, connections } = await consumers();
    const { host, port } = new URL(mongoUri().replace('mongodb://', 'http://')) as unknown as {
      host: string;
      port: string;
    };
    const proxy = await startProxy({ host: host.split(':')[0] as string, port: Number(port) });
    const behind = await connect(`mongodb://127.0.0.1:${proxy.port}/?directConnection=true`);
    const lost = { connection: behind };
    await consume(0, { ...lost, idempotencyKey: 'warm' });
    proxy.dropReplies();
    const pending = consume(0, lost).catch(codeOf);
    expect(await pending).to.equal('database_unavailable');
    await proxy.close();
    expect(await used()).to.be.oneOf([3, 6]); // the command may have arrived, or not
    await Claims(inspector()).updateMany({}, { $set: { until: new Date(0) } });
    await consumeQuota({
      connection: connections[1],
      subject,
      feature: 'images',
      amount: 3,
      idempotencyKey: 'a',
    });
    expect(await used()).to.equal(6);
  });

  it('costs a few commands for many at once', async () => {
    const { consume } = await consumers();
    const connection = await connect(undefined, { monitorCommands: true });
    const many = (prefix: string) =>
      Promise.all(
        times(300, (index) =>
          consume(0, { connection, feature: 'searches', amount: 1, idempotencyKey: `${prefix}${index}` }),
        ),
      );
    await many('warm');
    const commands = watchCommands(connection);
    await many('k');
    expect(commands.length).to.be.lessThan(20);
    commands.length = 0;
    await many('k'); // once more, and nothing is used up
    expect(commands.length).to.be.lessThan(20);
    expect(await used('searches')).to.equal(600);
  });

  it('costs four commands for one', async () => {
    const { consume } = await consumers();
    const connection = await connect(undefined, { monitorCommands: true });
    await consume(0, { connection, idempotencyKey: 'warm' });
    await consume(0, { connection, idempotencyKey: 'warmer' });
    const commands = watchCommands(connection);
    await consume(0, { connection });
    await until(() => commands.length >= 4);
    expect(commands.sort()).to.deep.equal(['findAndModify', 'insert', 'insert', 'update']);
  });
});
