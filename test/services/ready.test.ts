import { expect } from 'chai';
import mongoose, { type ConnectOptions } from 'mongoose';
import { ready, Users } from '../../lib/index.js';
import { appName, atEnd, connect, dbName, inspector, mongoUri } from '../support/world.js';

const unique: Record<string, readonly string[]> = {
  users: ['{"email":1}'],
  organizations: ['{"slug":1}'],
  memberships: ['{"user":1,"organization":1}'],
  teams: ['{"organization":1,"name":1}'],
  roles: ['{"organization":1,"name":1}'],
  plans: ['{"code":1,"version":1}'],
  subscriptions: ['{"subject.type":1,"subject.id":1}'],
};

/** A database of the test's own, empty, with connections that leave the indexes to `ready()`. */
async function emptyDatabase(suffix: string) {
  const name = `${dbName}_${suffix}`;
  const look = inspector().useDb(name);
  await look.dropDatabase();
  atEnd(() => look.dropDatabase());
  const open = (options: ConnectOptions = {}) => connect(undefined, { dbName: name, ...options });
  const indexesOf = async (collection: string) =>
    (await look.collection(collection).listIndexes().toArray())
      .filter((index) => index.unique)
      .map(({ key }) => JSON.stringify(key));
  const expectAll = async () => {
    for (const [collection, keys] of Object.entries(unique))
      expect(await indexesOf(collection), collection).to.include.members([...keys]);
  };
  return { look, open, expectAll };
}

const message = (promise: Promise<unknown>) =>
  promise.then(
    () => expect.fail('nothing was refused'),
    (error: Error) => error.message,
  );

describe('ready()', () => {
  it('builds every unique index, so that nobody can sign up twice, and may be repeated', async () => {
    const { open, expectAll } = await emptyDatabase('ready');
    const connection = await open();
    await ready(connection);
    await expectAll();
    const twice = [{ email: 'ada@example.com' }, { email: 'ada@example.com' }];
    expect(await message(Users(connection).insertMany(twice))).to.include('E11000');

    await ready(connection);

    await expectAll();
    expect(await Users(connection).countDocuments({ email: 'ada@example.com' })).to.equal(1);
  });

  it('may be run by several processes at once, where Mongoose builds indexes itself, and while connecting', async () => {
    const { look, open, expectAll } = await emptyDatabase('parallel');
    const opening = mongoose.createConnection(mongoUri(), { dbName: look.name, appName });
    atEnd(() => opening.close());
    const connections = [opening, ...(await Promise.all([open(), open()]))];
    await Promise.all(connections.map((connection) => ready(connection)));
    await expectAll();
  });

  it('says what stands in its way, duplicates or another index, and works once it is gone', async () => {
    const { look, open, expectAll } = await emptyDatabase('obstacles');
    const users = look.collection('users');
    const connection = await open();
    const partly = { unique: true, partialFilterExpression: { emailVerified: true } };
    for (const [stand, remedy] of [
      [() => users.insertMany([{ email: 'a@b.c' }, { email: 'a@b.c' }]), /duplicates/],
      [() => users.createIndex({ email: 1 }), /index of that name/],
      [() => users.createIndex({ email: 1 }, partly), /index of that name/],
    ] as const) {
      await stand();
      expect(await message(ready(connection)))
        .to.match(/users.*email_1/s)
        .and.to.match(remedy);
      await users.drop();
    }
    await ready(connection);
    await expectAll();
  });

  it('minds no other index of the same keys', async () => {
    const { look, open, expectAll } = await emptyDatabase('beside');
    await look.collection('users').createIndex({ email: 1 }, { name: 'by_address' });
    await ready(await open());
    await expectAll();
  });
});
