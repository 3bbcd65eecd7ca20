import { expect } from 'chai';
import type { Connection } from 'mongoose';
import { demoApp } from '../examples/demo/app.js';
import { createUser, OneTimeTokens } from '../lib/index.js';
import { mailbox, publicUrl } from './support/mailbox.js';
import { expectAlike } from './support/timing.js';
import { type Client, clientsOf, connect, inspector, serve, times, world } from './support/world.js';

const known = 'ada@example.com';
const unknown = 'eva@example.com'; // as long as the known one
const password = 'not-the-password';

/** Every route at which a stranger names an address, with a request that is alike for both. */
const routes: readonly (readonly [path: string, more: Readonly<Record<string, string>>])[] = [
  ['/auth/sign-in', { password }],
  ['/auth/signup', { password }],
  ['/auth/signup/send-link', {}],
  ['/auth/password/forgot', {}],
  ['/auth/otp/send', {}],
  ['/auth/otp/verify', { code: '000000' }],
];

/** The application on a connection whose commands can be watched, without a worker: its work is not the request's. */
async function watched() {
  const options = { mail: async () => {}, publicUrl };
  const { shared } = await world(options);
  const connection = await connect(undefined, { monitorCommands: true });
  const { anyone, withHeaders } = clientsOf(await serve(demoApp({ ...shared, connection })));
  return { connection, anyone, withHeaders, shared };
}

/** What a request makes the library ask of the database: each command and its collection, but for what keeps the change feed alive. */
function record(connection: Connection): { take(): string[] } {
  const commands: string[] = [];
  connection.getClient().on('commandStarted', ({ commandName, command }) => {
    const target = String(command[commandName]);
    const ofFeed = commandName === 'getMore' || commandName === 'aggregate' || commandName === 'endSessions';
    const heartbeat = commandName === 'update' && target === 'tollgate_revocations';
    if (!ofFeed && !heartbeat) commands.push(`${commandName} ${target}`);
  });
  return { take: () => commands.splice(0) };
}

const post = (client: Client, path: string, more: object, email: string) =>
  client.post(path, { email, ...more });

describe('whether an address has an account', () => {
  for (const [path, more] of routes) {
    it(`shows in no status, body or header name of ${path}, nor in what it asks of the database`, async () => {
      const { anyone, connection } = await watched();
      const { take } = record(connection);
      const ask = async (email: string) => {
        take();
        const { status, body, headers } = await post(anyone(), path, more, email);
        const { requestId, ...rest } = body;
        const lengths = [headers['content-length'], String(headers['set-cookie'] ?? '').length];
        return {
          status,
          rest,
          names: Object.keys(headers),
          lengths,
          type: headers['content-type'],
          commands: take(),
        };
      };
      await ask(unknown); // the first of all opens what is opened once
      const answers = [await ask(known), await ask(unknown), await ask(known)];
      for (const answer of answers) expect(answer).to.deep.equal(answers[0]);
      expect(answers[0]?.commands).not.to.have.length(0);
    });
  }

  it('shows in nothing of the same routes when it is deactivated, unproved or has a code waiting', async () => {
    const { anyone, connection, shared } = await watched();
    await createUser({ ...shared, email: 'off@example.com', password: 'lovelace-1815', emailVerified: true });
    await createUser({ ...shared, email: 'new@example.com', password: 'lovelace-1815' });
    await inspector()
      .collection('users')
      .updateOne({ email: 'off@example.com' }, { $set: { status: 'inactive' } });
    await OneTimeTokens(connection).issue({ purpose: 'otp', email: 'ada@example.com', ttl: 900 });
    const { take } = record(connection);
    for (const [path, more] of routes) {
      const ask = async (email: string) => {
        take();
        const { status, body } = await post(anyone(), path, more, email);
        return { status, code: body.code ?? body.status, commands: take() };
      };
      await ask('warm@example.com');
      const stranger = await ask('eve@example.com');
      for (const email of ['off@example.com', 'new@example.com', known]) {
        expect(await ask(email), `${path} ${email}`).to.deep.equal(stranger);
      }
    }
  });

  for (const [path, more] of routes) {
    it(`shows in no time of ${path}`, async () => {
      const { anyone } = await watched();
      const took = async (email: string) => {
        const began = performance.now();
        await post(anyone(), path, more, email);
        return performance.now() - began;
      };
      for (const email of [known, unknown, known, unknown]) await took(email);
      const samples = { known: [] as number[], unknown: [] as number[] };
      for (const round of times(30, (index) => index)) {
        const order = round % 2 ? (['known', 'unknown'] as const) : (['unknown', 'known'] as const);
        for (const who of order) samples[who].push(await took(who === 'known' ? known : unknown));
      }
      expectAlike(path, samples.known, samples.unknown);
    }).timeout(240_000);
  }
});

describe('an address', () => {
  const signIn = { password: 'lovelace-1815' };

  it('is the same in any case, between spaces, and in compatible characters', async () => {
    const { anyone } = await watched();
    for (const email of [
      'ADA@EXAMPLE.COM', ' ada@example.com ', '\tada@example.com\r\n', 'Ada@Example.Com', 'ａｄａ@example.com', 'ada@ｅxample.com', 'ada@example。com',
    ]) // biome-ignore format: a list
      expect((await post(anyone(), '/auth/sign-in', signIn, email)).status, JSON.stringify(email)).to.equal(
        200,
      );
  });

  it('that only looks like another is another', async () => {
    const { anyone, shared } = await watched();
    for (const email of [
      'аda@example.com',
      'ada@exаmple.com',
      'adá@example.com',
      'ada@example.co',
      'ada+x@example.com',
      'a.da@example.com',
      'ɑda@example.com',
    ]) {
      expect((await post(anyone(), '/auth/sign-in', signIn, email)).status, email).to.equal(401);
      const box = mailbox();
      await createUser({ ...shared, email, password: 'lovelace-1815', emailVerified: true });
      expect((await post(anyone(), '/auth/sign-in', signIn, email)).body.user?.email, email).not.to.equal(
        known,
      );
      expect(box.sent).to.deep.equal([]);
    }
  });

  it('has its domain in ASCII, however it was written', async () => {
    const { anyone, shared } = await watched();
    const { email } = await createUser({
      ...shared,
      email: 'grace@BÜCHER.example',
      ...signIn,
      emailVerified: true,
    });
    expect(email).to.equal('grace@xn--bcher-kva.example');
    for (const written of [
      'grace@bücher.example',
      'grace@XN--BCHER-KVA.example',
      'grace@bu\u0308cher.example',
    ]) {
      expect((await post(anyone(), '/auth/sign-in', signIn, written)).status, written).to.equal(200);
    }
  });

  it('that is a list, has a display name, a line break or a comment, or is none is refused alike by every route', async () => {
    const { anyone, connection } = await watched();
    const { take } = record(connection);
    for (const email of [
      'ada@example.com,eve@example.com',
      'ada@example.com, eve@example.com',
      'ada@example.com;eve@example.com',
      'ada@example.com eve@example.com',
      'Ada <ada@example.com>',
      '<ada@example.com>',
      '"Ada" <ada@example.com>',
      'ada(comment)@example.com',
      '"ada"@example.com',
      'Group:ada@example.com;',
      'ada@example.com\r\nBcc: eve@example.com',
      'ada\r\n@example.com',
      'ada@exam\nple.com',
      'ada@example.com/x',
      'ada@example.com?x',
      'ada@exa%6dple.com',
      'ada@exam\u00adple.com',
      'ad\u200ba@example.com',
      'ada\0@example.com',
      'ada@example.com\0',
      'ada@eve@example.com',
      'ada@',
      '@example.com',
      'ada',
      '',
      'ada@[127.0.0.1]',
      'ada@example',
      'ada@example..com',
      '.ada@example.com',
      'a..da@example.com',
      'ada@example.com%00',
      'ada%0d%0a@example.com,',
      `${'a'.repeat(250)}@example.com`,
      'ada@\u202eexample.com',
    ]) {
      // biome-ignore format: a list
      for (const [path, more] of routes) {
        take();
        const { status, body } = await post(anyone(), path, more, email);
        expect([status, body.code, body.errors?.[0]?.path], `${path} ${JSON.stringify(email)}`).to.deep.equal([400, 'validation_failed', 'email']);
        expect(take()).to.deep.equal([]);
      }
    }
    for (const email of [['ada@example.com'], { $gt: '' }, { address: known }, null, 1, true]) {
      for (const [path, more] of routes) {
        const { status, body } = await anyone().post(path, { email, ...more });
        expect([status, body.code], `${path} ${JSON.stringify(email)}`).to.deep.equal([
          400,
          'validation_failed',
        ]);
      }
    }
  });
});
