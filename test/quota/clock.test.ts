import { expect } from 'chai';
import { Claims, consumeQuota, syncPlans, Usage } from '../../lib/index.js';
import { atEnd, connect, emptyWorld, inspector, until } from '../support/world.js';

const subject = { type: 'organization', id: 'acme' } as const;
const plans = {
  free: { name: 'Free', tier: 0, default: true, features: { images: { limit: 100, per: 'day' } } },
} as const;

describe('a process that the database has not told the time yet', () => {
  it('sends nothing before it has, so that a key is claimed for its whole window', async () => {
    const { shared } = await emptyWorld();
    await syncPlans({ ...shared, plans });
    const patient = { serverMonitoringMode: 'poll', heartbeatFrequencyMS: 60_000 } as const; // asks the time in its own way
    const connection = await connect(undefined, { appName: 'early', monitorCommands: true, ...patient });
    let failures = 0;
    connection.getClient().on('commandFailed', ({ commandName }) => {
      if (commandName === 'hello') failures += 1;
    });
    const admin = inspector().getClient().db('admin');
    const off = () => admin.command({ configureFailPoint: 'failCommand', mode: 'off' });
    atEnd(off);
    const data = { failCommands: ['hello'], errorCode: 8_000, appName: 'early' };
    await admin.command({ configureFailPoint: 'failCommand', mode: 'alwaysOn', data });

    const wanted = { connection, subject, feature: 'images', idempotencyKey: 'a' };
    const taking = consumeQuota(wanted);
    await until(() => failures > 0);
    await off();
    const state = await taking;
    const claim = await Claims(inspector()).findOne().orFail().lean();
    expect(claim.until).to.be.above(new Date());
    expect(claim.expiresAt).to.be.above(new Date(Date.now() + 30_000));
    expect(await consumeQuota({ ...wanted, connection: await connect() })).to.deep.equal(state);
    expect((await Usage(inspector()).findOne().lean())?.u).to.equal(1);
  });
});
