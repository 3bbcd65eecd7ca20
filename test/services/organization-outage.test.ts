import { expect } from 'chai';
import { createTeam, listTeams } from '../../lib/index.js';
import { startProxy } from '../support/proxy.js';
import { atEnd, connect, countBy, mongoUri, times, until, world } from '../support/world.js';

describe('many changes of one organization, while MongoDB is silent', () => {
  it('are all refused within two seconds, and go on by themselves when it answers again', async () => {
    const { acme: organizationId } = await world();
    const { hostname: host, port } = new URL(mongoUri());
    const proxy = await startProxy({ host, port: Number(port) });
    atEnd(() => proxy.close());
    const connection = await connect(`mongodb://127.0.0.1:${proxy.port}/?directConnection=true`);
    const create = async (name: string) => {
      const code = await createTeam({ connection, organizationId, name }).then(
        () => 'done',
        (error: { code: string }) => error.code,
      );
      return { code };
    };
    expect(await create('first')).to.deep.equal({ code: 'done' });

    proxy.silence();
    const began = performance.now();
    const answers = await Promise.all(times(20, (index) => create(`t${index}`)));
    expect(performance.now() - began).to.be.below(2_000);
    expect(countBy(answers, 'code')).to.deep.equal({ database_unavailable: 20 });

    await proxy.restore();
    await until(async () => (await create('last')).code !== 'database_unavailable');
    const { items } = await listTeams({ connection, organizationId, limit: 25 });
    expect(items.map(({ name }) => name)).to.include.members(['first', 'last']);
  });
});
