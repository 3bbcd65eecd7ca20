import bcrypt from 'bcryptjs';
import { expect } from 'chai';
import Koa from 'koa';
import {
  body,
  createUser,
  isTollgateError,
  type NewUser,
  problems,
  ready,
  type SharedOptions,
  signIn,
} from '../../lib/index.js';
import { emailSchema } from '../../lib/services/identity/canonical-email.js';
import { newPassword, refuseOwnAddress } from '../../lib/services/identity/new-password.js';
import { expectAlike } from '../support/timing.js';
import { clientsOf, countBy, emptyWorld, inspector, serve, times, world } from '../support/world.js';

const email = 'ada.lovelace@example.com';
const peppers = ['a pepper of more than thirty-two characters', 'an older pepper of more than 32 characters'];

const storedPassword = async (address = email) =>
  (await inspector().collection('users').findOne({ email: address }))?.password;

/** What a promise came to: `done`, the code of a refusal, or another error. */
const outcomeOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'done',
    (error: Error) => (isTollgateError(error) ? error.code : `${error.name}: ${error.message}`),
  );

/** An empty database, and who tries passwords in it. */
async function passwordWorld(options: Partial<SharedOptions> = {}) {
  const { shared, connection } = await emptyWorld(options);
  const add = (user: Partial<NewUser>, more: Partial<SharedOptions> = {}) =>
    createUser({ ...shared, ...more, email, emailVerified: true, ...user });
  const attempt = (password: string, more: Partial<SharedOptions> = {}, address = email) =>
    outcomeOf(signIn({ ...shared, ...more, email: address, password }));
  return { shared, connection, add, attempt };
}

describe('passwords', () => {
  it('of 64 and of 256 characters are accepted; of 7 and 257 they are refused', async () => {
    const { add, attempt } = await passwordWorld();

    for (const length of [8, 64, 256]) {
      const password = 'xy'.repeat(length / 2);
      const address = `ada${length}@example.com`;
      await add({ email: address, password });
      expect(await attempt(password, {}, address), `${length}`).to.equal('done');
    }
    for (const length of [0, 7, 257])
      expect(await outcomeOf(add({ password: 'z'.repeat(length) }))).to.match(/^TypeError: .*password/);
  });

  it('count to the last character: nothing is cut off at 72 bytes or at a NUL', async () => {
    const { add, attempt } = await passwordWorld();
    const prefix = 'x'.repeat(72);
    await add({ password: `${prefix}-lovelace` });
    await add({ email: 'nul@example.com', password: 'lovelace\0-1815' });

    expect(await attempt(`${prefix}-lovelace`)).to.equal('done');
    for (const wrong of [prefix, `${prefix}-babbage`, `${prefix}-lovelace `])
      expect(await attempt(wrong)).to.equal('credentials_invalid');
    expect(await attempt('lovelace\0-1815', {}, 'nul@example.com')).to.equal('done');
    for (const wrong of ['lovelace', 'lovelace\0-1816', 'lovelace\0'])
      expect(await attempt(wrong, {}, 'nul@example.com')).to.equal('credentials_invalid');
  });

  it('are the same however Unicode composes their letters, but not in other letters or cases', async () => {
    const { add, attempt } = await passwordWorld();
    const password = 'Ångström-naïveté';
    await add({ password: password.normalize('NFC') });

    expect(await attempt(password.normalize('NFD'))).to.equal('done');
    for (const wrong of ['Angstrom-naivete', password.toLowerCase(), ` ${password}`])
      expect(await attempt(wrong)).to.equal('credentials_invalid');
  });

  it('that are far too long are refused before anything is hashed', async () => {
    const { anyone } = await world();
    const password = 'x'.repeat(1_000_000);

    const sent = (length: number) =>
      anyone().post('/auth/sign-in', { email: 'ada@example.com', password: password.slice(0, length) });
    expect((await sent(1_000_000).expect(413)).body.code).to.equal('body_too_large');
    const { body } = await sent(90_000).expect(400);
    expect([body.code, body.errors[0].path]).to.deep.equal(['validation_failed', 'password']);
    const { shared } = await passwordWorld();
    expect(await outcomeOf(signIn({ ...shared, email, password }))).to.match(/^TypeError: .*password/);
    expect(await outcomeOf(createUser({ ...shared, email, password }))).to.match(/^TypeError: .*password/);
  });

  it('that many people have, or that are the address, are refused by createUser()', async () => {
    const { add, attempt } = await passwordWorld();

    const common = ['password', 'Password1', 'QWERTYUIOP', 'iloveyou2', '12345678', '1qaz2wsx', 'liverpool'];
    const own = [email, 'Ada.Lovelace', 'ADA.LOVELACE@EXAMPLE.COM', 'ada.lovelace@example.com'];
    for (const password of [...common, ...own])
      expect(await outcomeOf(add({ password })), password).to.match(
        /^TypeError: createUser\(\): option password must not be (one of the most common|the e-mail address)/,
      );
    expect(await storedPassword()).to.equal(undefined);

    await add({ password: 'ada.lovelace-1815' });
    expect(await attempt('ada.lovelace-1815')).to.equal('done');
  });

  it('that many people have, or that are the address, are refused by a route with their path', async () => {
    const app = new Koa().use(problems()).use(
      body({ email: emailSchema, password: newPassword }, { newPassword }) as Koa.Middleware,
    ); // biome-ignore format: one app
    app.use((ctx) => {
      refuseOwnAddress(ctx.get('X-Password'), 'ada.lovelace@example.com', 'newPassword');
      ctx.status = 204;
    });
    const server = await serve(app);
    const send = async (given: object, inUse = 'lovelace-1815') => {
      const sent = { email: 'Ada.Lovelace@example.com', password: 'lovelace-1815', ...given };
      const { status, body } = await clientsOf(server).withHeaders({ 'X-Password': inUse }).post('/', sent);
      return [status, body.code, body.errors?.map(({ path }: { path: string }) => path)];
    };

    expect(await send({})).to.deep.equal([204, undefined, undefined]);
    const refused = (path: string) => [400, 'validation_failed', [path]];
    for (const password of ['password', 'short', 'ada.lovelace', 'ada.lovelace@EXAMPLE.com', ['lovelace-1815'], { $ne: '' }, 12345678, null])
      expect(await send({ password }), JSON.stringify(password)).to.deep.equal(refused('password')); // biome-ignore format: a list
    expect(await send({ newPassword: 'princess' })).to.deep.equal(refused('newPassword'));
    expect(await send({}, 'ada.lovelace')).to.deep.equal(refused('newPassword'));
    expect(await send({ email: { $ne: '' } })).to.deep.equal(refused('email'));
  });
});

describe('passwords of another application', () => {
  const password = 'lovelace-1815';
  const hashOf = (minor: string, cost = 5) => {
    const hash = bcrypt.hashSync(password, cost);
    return { scheme: 'bcrypt', hash: hash.replace('$2b$', `$${minor}$`) } as const;
  };

  it('are accepted from their bcrypt hashes, which the first sign-in replaces by ours', async () => {
    const { add, attempt } = await passwordWorld({ peppers });

    for (const minor of ['2a', '2b', '2y']) {
      const address = `ada${minor}@example.com`;
      await add({ email: address, passwordHash: hashOf(minor) });
      expect(await attempt('babbage-1791', {}, address)).to.equal('credentials_invalid');
      expect((await storedPassword(address)).scheme).to.equal('bcrypt');

      expect(await attempt(password, {}, address), minor).to.equal('done');

      const { scheme, pepperId, hash } = await storedPassword(address);
      expect([scheme, typeof pepperId, hash.slice(0, 7)]).to.deep.equal([
        'bcrypt-hmac-sha256',
        'string',
        '$2b$10$',
      ]);
      expect(await attempt(password, {}, address)).to.equal('done');
      expect(await attempt('babbage-1791', {}, address)).to.equal('credentials_invalid');
    }
  });

  it('let everybody in who signs in for the first time at once', async () => {
    const { add, attempt } = await passwordWorld();
    await add({ passwordHash: hashOf('2a') });

    const outcomes = await Promise.all(times(6, async () => ({ outcome: await attempt(password) })));

    expect(countBy(outcomes, 'outcome')).to.deep.equal({ done: 6 });
    expect((await storedPassword()).scheme).to.equal('bcrypt-hmac-sha256');
  });

  it('are refused where the hash is no bcrypt hash, or a password stands beside it, and the hash is never shown', async () => {
    const { add } = await passwordWorld();
    const { hash } = hashOf('2b');

    const wrong = [
      { passwordHash: { scheme: 'bcrypt', hash: `${hash}x` } },
      { passwordHash: { scheme: 'bcrypt', hash: hash.replace('$05$', '$03$') } },
      { passwordHash: { scheme: 'bcrypt', hash: hash.replace('$05$', '$17$') } },
      { passwordHash: { scheme: 'bcrypt', hash: hash.replace('$2b$', '$2x$') } },
      { passwordHash: { scheme: 'bcrypt', hash: [hash] } },
      { passwordHash: { scheme: 'md5', hash } },
      { passwordHash: { hash } },
      { passwordHash: hash },
      { passwordHash: { scheme: 'bcrypt', hash, pepperId: 'x' } },
      { passwordHash: { scheme: 'bcrypt', hash }, password },
    ]; // biome-ignore format: a table
    for (const given of wrong) {
      const outcome = await outcomeOf(add(given as unknown as NewUser));
      expect(outcome, JSON.stringify(given)).to.match(/^TypeError: createUser\(\): option passwordHash/);
      expect(outcome).not.to.include(hash.slice(-20));
    }
    expect(await storedPassword()).to.equal(undefined);
  });
});

describe('the time that a wrong password takes', () => {
  it('is the same for a known, an unknown and an imported account, and for one without a password', async () => {
    const { shared, anyone } = await world();
    const hash = bcrypt.hashSync('lovelace-1815', 6);
    const add = (name: string, user: Partial<NewUser>) =>
      createUser({ ...shared, email: `${name}@example.com`, emailVerified: true, ...user });
    await add('imported', { passwordHash: { scheme: 'bcrypt', hash } });
    await add('passwordless', {});
    const names = ['ada', 'unknown', 'imported', 'passwordless'];
    const taken = new Map(names.map((name) => [name, [] as number[]]));

    for (const round of times(24, (index) => index)) {
      for (const turn of names.keys()) {
        const name = names[(turn + round) % names.length] as string;
        const begun = performance.now();
        await anyone()
          .post('/auth/sign-in', { email: `${name}@example.com`, password: 'babbage-1791' })
          .expect(401);
        taken.get(name)?.push(performance.now() - begun);
      }
    }

    for (const name of names.slice(1)) expectAlike(name, taken.get(name) ?? [], taken.get('ada') ?? []);
  });
});

describe('peppers', () => {
  const password = 'lovelace-1815';
  const [newer, older] = peppers as [string, string];

  it('in use must be there when the application starts; the error names the one that is missing', async () => {
    const { shared, connection, add } = await passwordWorld();
    await add({ email: 'bob@example.com', password });
    await add({ password }, { peppers: [older] });
    const { pepperId } = await storedPassword();

    for (const lacking of [{}, { peppers: [] }, { peppers: [newer] }])
      expect(await outcomeOf(ready({ ...shared, ...lacking }))).to.match(
        new RegExp(`^Error: .*pepper ${pepperId}`),
      );
    for (const fitting of [{ ...shared, peppers: [older] }, { ...shared, peppers }, connection])
      expect(await outcomeOf(ready(fitting))).to.equal('done');
  });

  it('are needed by nobody who has no password with them', async () => {
    const { shared, add } = await passwordWorld();
    await add({ password });
    await add({ email: 'bob@example.com' });

    expect(await outcomeOf(ready({ ...shared, peppers }))).to.equal('done');
    expect(await outcomeOf(ready(shared))).to.equal('done');
  });

  it('may be dropped when everybody has signed in with a newer one', async () => {
    const { shared, add, attempt } = await passwordWorld();
    await add({ password }, { peppers: [older] });

    expect(await attempt(password, { peppers })).to.equal('done');

    expect(await outcomeOf(ready({ ...shared, peppers: [newer] }))).to.equal('done');
    expect(await attempt(password, { peppers: [newer] })).to.equal('done');
    expect(await attempt(password, { peppers: [older] })).to.equal('credentials_invalid');
    expect(await attempt(password)).to.equal('credentials_invalid');
  });

  it('are told from a wrong argument of ready()', async () => {
    const { shared } = await passwordWorld();
    expect(await outcomeOf(ready({ ...shared, pepper: older } as SharedOptions))).to.match(
      /^TypeError: ready\(\): option pepper /,
    );
    expect(await outcomeOf(ready([] as never))).to.match(/^TypeError: .*connection/);
  });
});
