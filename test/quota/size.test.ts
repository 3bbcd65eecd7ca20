import { expect } from 'chai';
import { Usage } from '../../lib/models/usage.js';
import { take } from '../../lib/quota/combiner.js';
import { connect, emptyWorld, inspector, times } from '../support/world.js';
import { counterOf, key, tamper, termsOf } from './engine.js';

const terms = termsOf(null);
const consumptions = 10_000;

/** One process from its start to its end: it uses the counter as fast as it can. */
async function restart(): Promise<void> {
  const connection = await connect();
  for (let left = consumptions; left > 0; left -= 1_000)
    await Promise.all(times(1_000, () => take(connection, { key, terms, amount: 1 })));
  await connection.destroy(true);
}

async function sizeOf(): Promise<number> {
  const [found] = await Usage(inspector()).aggregate<{ size: number }>([
    { $match: { _id: key } },
    { $project: { size: { $bsonSize: '$$ROOT' } } },
  ]);
  return found?.size ?? expect.fail();
}

describe('the document of a counter', () => {
  it('stays below 64 kB after 100 restarts with 10,000 consumptions each, which are counted to the unit', async function () {
    this.timeout(180_000);
    await emptyWorld();
    for (let index = 0; index < 50; index += 1) await Promise.all(times(2, restart));
    expect(await sizeOf()).to.be.below(64 * 1_024);
    expect((await counterOf(inspector())).u).to.equal(100 * consumptions);
  });

  it('forgets what processes did ten minutes ago, and keeps what they did since', async () => {
    await emptyWorld();
    const connections = await Promise.all(times(4, () => connect()));
    for (const connection of connections) await take(connection, { key, terms, amount: 1 });
    const [old = '', ...young] = Object.keys((await counterOf(inspector())).p ?? {});
    await tamper(inspector(), { $set: { [`p.${old}.t`]: new Date(Date.now() - 11 * 60_000) } });
    await take(await connect(), { key, terms, amount: 1 });
    const kept = Object.keys((await counterOf(inspector())).p ?? {});
    expect(kept).to.include.members(young).and.not.include(old);
    expect(kept).to.have.length(4);
  });
});
