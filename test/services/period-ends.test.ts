import { expect } from 'chai';
import {
  commitReservation,
  consumeQuota,
  reserveQuota,
  syncPlans,
  Usage,
  withQuota,
} from '../../lib/index.js';
import { atEnd, connect, emptyWorld, inspector } from '../support/world.js';

const subject = { type: 'organization', id: 'acme' } as const;
const day = 86_400_000;
const counter = (feature: string) => Usage(inspector()).findOne({ '_id.f': feature }).lean();

/** Everybody has 100 tokens and 100 pages a day; 50 more tokens are left of this day, which ends in 400 milliseconds. */
async function atTheEndOfTheDay() {
  const { shared } = await emptyWorld();
  const features = { tokens: { limit: 100, per: 'day' }, pages: { limit: 100, per: 'day' } } as const;
  await syncPlans({ ...shared, plans: { free: { name: 'Free', tier: 0, default: true, features } } });
  const connection = await connect(undefined, { appName: 'slow', monitorCommands: true });
  for (const feature of ['tokens', 'pages']) await consumeQuota({ connection, subject, feature });
  const to = new Date(Date.now() + 400);
  const balances = [{ i: 'gift', l: 50, s: 0, e: to }];
  await inspector()
    .collection('tollgate_usage')
    .updateOne({ '_id.f': 'tokens' }, { $set: { u: 0, from: new Date(Number(to) - day), to, balances } });
  return { connection };
}

/** Lets MongoDB hold up the third write of a counter from now on, until the day is over. */
async function holdUp(connection: Awaited<ReturnType<typeof connect>>): Promise<void> {
  const admin = inspector().getClient().db('admin');
  const off = () => admin.command({ configureFailPoint: 'failCommand', mode: 'off' });
  atEnd(off);
  const data = { failCommands: ['findAndModify'], appName: 'slow', blockConnection: true, blockTimeMS: 600 };
  await admin.command({ configureFailPoint: 'failCommand', mode: { skip: 2 }, data });
  let writes = 0;
  connection.getClient().on('commandStarted', ({ commandName }) => {
    if (commandName === 'findAndModify') writes += 1;
    if (commandName === 'findAndModify' && writes === 3) setTimeout(() => void off(), 100);
  });
}

describe('a period that ends in the midst of a transaction', () => {
  it('lets nobody have of several quotas what is not counted', async () => {
    const { connection } = await atTheEndOfTheDay();
    await holdUp(connection);
    const amounts = { tokens: 120, pages: 3 };
    const error = await withQuota({ connection, subject, amounts }).catch((thrown) => thrown);
    expect(error).to.include({ code: 'quota_exceeded' });
    expect(error.extras).to.include({ feature: 'tokens', used: 0, remaining: 100 });
    expect([(await counter('tokens'))?.u ?? 0, (await counter('pages'))?.u]).to.deep.equal([0, 1]);
  });

  it('lets a reservation have no more beyond what it holds than is counted', async () => {
    const { connection } = await atTheEndOfTheDay();
    const { id } = await reserveQuota({ connection, subject, feature: 'tokens', amount: 10 });
    await holdUp(connection);
    const { taken, unmet } = await commitReservation({ connection, id, amount: 130 });
    expect([taken, unmet, (await counter('tokens'))?.u]).to.deep.equal([110, 20, 100]);
  });
});
