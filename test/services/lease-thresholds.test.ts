import { expect } from 'chai';
import { consumeQuota, syncPlans } from '../../lib/index.js';
import { emptyWorld, inspector, times, until } from '../support/world.js';

const subject = { type: 'organization', id: 'acme' } as const;

describe('thresholds of a counter with leases', () => {
  it('are reached when units are spent, and not when they are taken ahead', async () => {
    const { shared } = await emptyWorld();
    const features = { images: { limit: 100, per: 'day' } } as const;
    await syncPlans({ ...shared, plans: { free: { name: 'Free', tier: 0, default: true, features } } });
    const consume = (amount: number) =>
      consumeQuota({ ...shared, subject, feature: 'images', amount, lease: 50 });
    const noted = async () => {
      const found = inspector().collection('tollgate_thresholds').find().sort({ threshold: 1 });
      return (await found.toArray()).map(({ threshold, used }) => [threshold, used]);
    };
    await consumeQuota({ ...shared, subject, feature: 'images', amount: 49 });
    for (const _ of times(31, () => 1)) await consume(1);
    await until(async () => (await noted()).length > 0);
    expect(await noted()).to.deep.equal([[80, 80]]);
    for (const _ of times(20, () => 1)) await consume(1);
    await until(async () => (await noted()).length > 1);
    expect(await noted()).to.deep.equal([
      [80, 80],
      [100, 100],
    ]);
  });
});
