import { expect } from 'chai';
import { Claims, consumeQuota, type QuotaState, refundQuota, syncPlans, Usage } from '../../lib/index.js';
import { ClaimedBatches } from '../../lib/models/claimed-batch.js';
import { databaseClock } from '../../lib/quota/database-clock.js';
import { watchCommands } from '../support/commands.js';
import { failPoint } from '../support/fail-point.js';
import { connect, emptyWorld, inspector, until } from '../support/world.js';

const subject = { type: 'organization', id: 'acme' } as const;
const plans = {
  free: { name: 'Free', tier: 0, default: true, features: { images: { limit: 100, per: 'day' } } },
} as const;

const used = async () => (await Usage(inspector()).findOne().lean())?.u;
const keys = () => Claims(inspector()).countDocuments();

/** Thirty units that were taken with a key, and nothing more is under way for it. */
async function taken() {
  const { shared } = await emptyWorld();
  await syncPlans({ ...shared, plans });
  const connection = await connect(undefined, { appName: 'refunding', monitorCommands: true });
  const consume = () =>
    consumeQuota({ connection, subject, feature: 'images', amount: 30, idempotencyKey: 'a' });
  const refund = (state: QuotaState, amount?: number) => refundQuota({ connection, subject, state, amount });
  const state = await consume();
  await until(async () => (await ClaimedBatches(inspector()).findOne().lean())?.outcome);
  return { connection, consume, refund, state };
}

describe('refunds of what was taken with a key', () => {
  it('all go back, in whatever order the database hears of them', async () => {
    const { connection, refund, state } = await taken();
    const commands = watchCommands(connection);
    await failPoint({ appName: 'refunding', failCommands: ['update'], blockTimeMS: 300, times: 1 });
    const first = refund(state, 10);
    await until(() => commands.includes('update'));
    await Promise.all([first, refund(state, 5), refund(state, 8)]);
    expect([await used(), await keys()]).to.deep.equal([7, 1]);
    await refund(state);
    expect([await used(), await keys()]).to.deep.equal([0, 0]);
  });

  it('free the key when nothing is left, also where the last one is asked for while others are under way', async () => {
    const { connection, refund, state } = await taken();
    const commands = watchCommands(connection);
    await failPoint({ appName: 'refunding', failCommands: ['update'], blockTimeMS: 300, times: 1 });
    const first = refund(state, 10);
    await until(() => commands.includes('update'));
    await Promise.all([first, refund(state)]);
    expect([await used(), await keys()]).to.deep.equal([0, 0]);
  });

  it('go back when the database gets them too late, since its clock is another, and has to be sent them again', async () => {
    const { connection, consume, refund, state } = await taken();
    databaseClock(connection).heard(new Date(Date.now() - 60_000));
    await refund(state);
    expect([await used(), await keys()]).to.deep.equal([0, 0]);
    await consume();
    expect(await used()).to.equal(30);
  });

  it('go on where one before them was not noted', async () => {
    const { refund, state } = await taken();
    const end = await failPoint({
      appName: 'refunding',
      failCommands: ['update'],
      errorCode: 11_600,
      times: 1,
    });
    const both = [refund(state, 10), refund(state, 5)].map((one) => one.catch(({ code }) => code));
    const codes = await Promise.all(both);
    await end();
    expect(codes).to.deep.equal(['database_unavailable', undefined]); // the second is not told what befell the first
    expect(await used()).to.equal(25);
    await refund(state);
    expect([await used(), await keys()]).to.deep.equal([10, 0]);
  });
});
