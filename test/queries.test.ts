import { expect } from 'chai';
import { ready, Users } from '../lib/index.js';
import { recordScans, scans } from './support/profiler.js';
import { atEnd, connect, dbName, inspector } from './support/world.js';

describe('the watch over queries', () => {
  it('notices a query that scans a collection, and a join that does', async () => {
    const name = `${dbName}_scans`;
    const look = inspector().useDb(name);
    atEnd(() => look.dropDatabase());
    await recordScans(look);
    const connection = await connect(undefined, { dbName: name });
    await ready(connection);
    await Users(connection).insertMany([
      { email: 'ada@example.com', name: 'Ada' },
      { email: 'bob@example.com' },
    ]);

    await Users(connection).findOne({ email: 'ada@example.com' });
    expect(await scans(look)).to.deep.equal([]);

    await Users(connection).findOne({ emailVerified: false });
    expect(await scans(look)).to.have.length(1);

    const join = {
      from: Users(connection).collection.name,
      localField: 'emailVerified',
      foreignField: 'emailVerified',
      as: 'same',
    };
    await Users(connection).aggregate([{ $match: { email: 'ada@example.com' } }, { $lookup: join }]);
    expect(await scans(look)).to.have.length(2);
  });
});
