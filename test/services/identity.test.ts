import { inspect } from 'node:util';
import { expect } from 'chai';
import Koa from 'koa';
import { type Connection, Schema } from 'mongoose';
import request from 'supertest';
import { demoApp } from '../../examples/demo/app.js';
import {
  authenticate,
  createUser,
  isTollgateError,
  type NewUser,
  ready,
  type SharedOptions,
  signIn,
  Users,
  userSchema,
} from '../../lib/index.js';
import { clientsOf, connect, emptyWorld, inspector, serve, times, world } from '../support/world.js';

declare module 'koa-tollgate' {
  interface UserFields {
    fullName: string;
  }
}

const email = 'ada@example.com';
const password = 'correct horse battery';

const stored = (filter: object = {}) => inspector().collection('users').find(filter).toArray();

/** What a promise was rejected with. */
const errorOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => undefined,
    (error: unknown) => error,
  );

describe('createUser()', () => {
  it('makes a user with a canonical address, the role user, and a password that is nowhere to be seen', async () => {
    const { shared } = await emptyWorld();

    const user = await createUser({ ...shared, email: 'Ada@EXAMPLE.com', password, name: 'Ada' });

    const { id, createdAt, ...rest } = user;
    const expected = { email, emailVerified: false, name: 'Ada', roles: ['user'], status: 'active' };
    expect(rest).to.deep.equal(expected);
    expect(createdAt).to.be.an.instanceOf(Date);
    expect([user, user.roles].every(Object.isFrozen)).to.equal(true);
    const [document] = await stored();
    expect(String(document?._id)).to.equal(id);
    expect(document?.password.hash).to.match(/^\$2b\$10\$/);
    expect(inspect(user, { depth: null, showHidden: true })).not.to.match(/\$2b|hash|correct horse/);
  });

  it('keeps the password out of everything that ctx.state can be turned into', async () => {
    const { shared } = await emptyWorld();
    await createUser({ ...shared, email, password, emailVerified: true });
    const { accessToken } = await signIn({ ...shared, email, password });
    const app = new Koa();
    app.use(authenticate(shared));
    app.use((ctx) => {
      ctx.body = { json: ctx.state, inspected: inspect(ctx.state, { depth: null, showHidden: true }) };
    });

    const headers = { Authorization: `Bearer ${accessToken}` };
    const { body, text } = await request(await serve(app))
      .get('/')
      .set(headers)
      .expect(200);

    expect(body.json.user.email).to.equal(email);
    expect(text).not.to.match(/\$2b|hash|scheme|pepper|epoch|correct horse/i);
  });

  it('makes one user however many are created at once, and refuses the others with email_taken', async () => {
    const { shared } = await emptyWorld();
    const spellings = ['ada@example.com', 'ADA@example.com', 'Ada@Example.Com', 'ada@\uff25xample.com'];

    const outcomes = await Promise.all(
      times(20, (index) => errorOf(createUser({ ...shared, email: spellings[index % 4] as string }))),
    );

    expect(outcomes.filter((error) => error === undefined)).to.have.length(1);
    expect(outcomes.filter((error) => isTollgateError(error, 'email_taken'))).to.have.length(19);
    expect(await stored()).to.have.length(1);
    expect(
      await inspector().collection('tollgate_audit_entries').countDocuments({ action: 'user.created' }),
    ).to.equal(1);
  });

  const secrets = { password: 'short', peppers: ['thin pepper'], keys: ['weak key'] };
  const wrong: [option: string, given: object][] = [
    ['email', { email: undefined }],
    ['email', { email: null }],
    ['email', { email: 1 }],
    ['email', { email: [email] }],
    ['email', { email: { $ne: '' } }],
    ['email', { email: '' }],
    ['email', { email: 'nonsense' }],
    ['email', { email: 'ada@example.com,bob@example.com' }],
    ['email', { email: 'ada@example.com\r\nBcc: bob@example.com' }],
    ['password', { password: secrets.password }],
    ['password', { password: 'x'.repeat(257) }],
    ['password', { password: 12_345_678 }],
    ['password', { password: null }],
    ['name', { name: 1 }],
    ['roles', { roles: 'admin' }],
    ['roles[0]', { roles: [1] }],
    ['emailVerified', { emailVerified: 'yes' }],
    ['fields', { fields: 'fullName' }],
    ['role', { role: 'admin' }],
    ['passwordCost', { passwordCost: 4 }],
    ['peppers[0]', { peppers: secrets.peppers }],
    ['keys', { keys: secrets.keys }],
    ['connection', { connection: {} }],
  ]; // biome-ignore format: a table

  it('throws a TypeError that names the option, and never shows a secret, when an argument is wrong', async () => {
    const { shared } = await emptyWorld();

    for (const [option, given] of wrong) {
      const input = { ...shared, email, password, ...given } as NewUser & SharedOptions;
      const error = await errorOf(createUser(input));
      expect(error, inspect(given)).to.be.an.instanceOf(TypeError);
      const { message } = error as TypeError;
      expect(message)
        .to.match(/^createUser\(\): /)
        .and.include(`option ${option}`);
      for (const secret of Object.values(secrets).flat()) expect(message).not.to.include(secret);
    }
    expect(await stored()).to.deep.equal([]);
  });

  it('names every wrong option at once', async () => {
    const { shared } = await emptyWorld();
    const input = { ...shared, email: 'nonsense', password: 'short' };

    expect(await errorOf(createUser(input)))
      .to.have.property('message')
      .that.matches(/option email .*option password /);
  });
});

describe("the application's own fields", () => {
  /** A connection whose User has a fullName, compiled before the library first asks for the model. */
  async function withFullName(): Promise<{ connection: Connection; shared: SharedOptions }> {
    const { shared } = await emptyWorld();
    const connection = await connect();
    connection.model('User', userSchema.clone().add({ fullName: { type: String, required: true } }));
    await ready(connection);
    return { connection, shared: { ...shared, connection } };
  }

  it('are stored with the user, and are there wherever the user is', async () => {
    const { connection, shared } = await withFullName();
    const fields = { fullName: 'Ada King, Countess of Lovelace' };

    const created = await createUser({ ...shared, email, password, emailVerified: true, fields });
    const { user, accessToken } = await signIn({ ...shared, email, password });
    const app = new Koa();
    app.use(authenticate(shared));
    app.use((ctx) => {
      ctx.body = ctx.state.user;
    });
    const headers = { Authorization: `Bearer ${accessToken}` };
    const { body } = await request(await serve(app))
      .get('/')
      .set(headers)
      .expect(200);

    const names = [created.fullName, user.fullName, body.fullName];
    expect(names).to.deep.equal(times(3, () => fields.fullName));
    expect(await Users(connection).findOne({ email }).lean()).to.include(fields);
  });

  it('are checked by their own schema, which also says what may be there', async () => {
    const { shared } = await withFullName();

    expect(await errorOf(createUser({ ...shared, email }))).to.match(/fullName.* required/);
    const fields = { fullName: 'Ada', shoeSize: 38 } as { fullName: string };
    expect(await errorOf(createUser({ ...shared, email, fields }))).to.match(/shoeSize/);
    expect(await stored()).to.deep.equal([]);
  });

  it('cannot replace what createUser() itself was told', async () => {
    const { shared } = await withFullName();
    const fields = { fullName: 'Ada', email: 'eve@example.com', roles: ['admin'], emailVerified: true };

    expect(await errorOf(createUser({ ...shared, email, fields }))).to.match(/fields must not have "email"/);
    expect(await stored()).to.deep.equal([]);
  });
});

describe('users that an older application has left', () => {
  it('sign in without the fields that our schema has defaults for', async () => {
    const { signIn, withHeaders } = await world();
    const missing = { roles: 1, status: 1, credentialEpoch: 1, createdAt: 1, name: 1 } as const;
    await inspector().collection('users').updateOne({ email: 'bob@example.com' }, { $unset: missing });
    const { body } = await signIn('bob@example.com').expect(200);
    expect(body.user).to.include({ status: 'active', name: null }).and.deep.include({ roles: [] });
    await withHeaders({ Authorization: `Bearer ${body.accessToken}` })
      .get('/api/me')
      .expect(200);
  });
});

describe('fields that the application does not select by default', () => {
  it('are never part of a user, however deep they are', async () => {
    const { shared } = await emptyWorld();
    const connection = await connect();
    const ssn = { type: String, select: false };
    connection.model('User', userSchema.clone().add({ profile: { nick: String, ssn }, secret: ssn }));
    const options = { ...shared, connection };
    const fields = { profile: { nick: 'A', ssn: '1' }, secret: '2' } as never;
    const created = await createUser({
      ...options,
      email: 'ada@example.com',
      password: 'lovelace-1815',
      emailVerified: true,
      fields,
    });
    const { anyone, withHeaders } = clientsOf(await serve(demoApp(options)));
    const { body } = await anyone()
      .post('/auth/sign-in', { email: 'ada@example.com', password: 'lovelace-1815' })
      .expect(200);
    const check = await withHeaders({ Authorization: `Bearer ${body.accessToken}` })
      .post('/auth/check')
      .expect(200);
    for (const user of [created, body.user, check.body.user]) {
      expect(user.profile).to.deep.equal({ nick: 'A' });
      expect(user).not.to.have.property('secret');
    }
  });
});

describe("a model named User that is the application's own", () => {
  it('is a clear TypeError for whatever needs users, and is left alone', async () => {
    const { shared } = await emptyWorld();
    const connection = await connect();
    const theirs = connection.model('User', new Schema({ login: String }, { collection: 'logins' }));
    const options = { ...shared, connection };

    for (const use of [
      async () => Users(connection),
      () => createUser({ ...options, email, password }),
      () => signIn({ ...options, email, password }),
      () => ready(connection),
    ]) {
      const error = await errorOf(use());
      expect(error).to.be.an.instanceOf(TypeError);
      expect((error as TypeError).message).to.match(/model User .*userSchema\.clone\(\)\.add/);
    }
    expect(connection.models.User).to.equal(theirs);
  });
});
