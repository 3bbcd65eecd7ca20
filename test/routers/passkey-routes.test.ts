import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { Types } from 'mongoose';
import type { Response } from 'supertest';
import { demoApp } from '../../examples/demo/app.js';
import {
  AuditEntries,
  addPasskey,
  authRouter,
  OneTimeTokens,
  type RegistrationResponse,
  Sessions,
  Users,
} from '../../lib/index.js';
import { readKey } from '../../lib/runtime/keyring.js';
import { linkToken } from '../../lib/runtime/one-time-codes.js';
import { authenticator, type Behaviour } from '../support/authenticator.js';
import { startProcesses } from '../support/processes.js';
import {
  type Client,
  clientsOf,
  countBy,
  emptyWorld,
  inspector,
  secret,
  serve,
  times,
  world,
} from '../support/world.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const publicUrl = 'https://app.example.com';
const page: Behaviour = { origin: publicUrl };
const email = 'ada@example.com';

const outcome = ({ status, body }: Response) => (body.code ? `${status} ${body.code}` : String(status));
const outcomes = (answers: readonly Response[]) =>
  countBy(
    answers.map((answer) => ({ outcome: outcome(answer) })),
    'outcome',
  );

const bearer = ({ body }: Response) => ({ Authorization: `Bearer ${body.accessToken}` });
const actions = async () =>
  (
    await AuditEntries(inspector())
      .find({ action: /passkey/ })
      .sort({ at: 1 })
      .lean()
  ).map(({ action }) => action);
const hourLater = () =>
  Sessions(inspector()).updateMany({}, { authenticatedAt: new Date(Date.now() - 3_600_000) });

/** A challenge of eleven minutes ago. */
const late = (ceremony: string) => {
  const id = Types.ObjectId.createFromTime(Math.floor(Date.now() / 1000) - 660);
  return Buffer.from(linkToken(ceremony, id, [readKey(secret, 'HS256')])).toString('base64url');
};

type Device = ReturnType<typeof authenticator>;

const offered = async (client: Client) => (await client.post('/auth/passkeys/options').expect(200)).body;
const asked = async (client: Client) =>
  (await client.post('/auth/passkeys/sign-in/options').expect(200)).body;

const register = async (client: Client, device: Device, more: object = {}) =>
  client.post('/auth/passkeys', { ...device.create(await offered(client), page), ...more });
const signInBy = async (client: Client, device: Device, behaviour: Partial<Behaviour> = {}) =>
  client.post('/auth/passkeys/sign-in', device.get(await asked(client), { ...page, ...behaviour }));

/** Ada, signed in by password, with one passkey. */
async function adasPasskey(options: Parameters<typeof world>[0] = {}) {
  const served = await world({ publicUrl, ...options });
  const ada = await served.as(email);
  const device = authenticator();
  const registered = await register(ada, device);
  expect(outcome(registered)).to.equal('201');
  return { ...served, ada, device, id: registered.body.id as string };
}

describe('the registration of a passkey', () => {
  it('begins with options that ask for a discoverable one that verifies its user', async () => {
    const { as } = await world({ publicUrl, appName: 'Acme' });

    const { body, headers } = await (await as(email)).post('/auth/passkeys/options').expect(200);

    expect(body.rp).to.deep.equal({ id: 'app.example.com', name: 'Acme' });
    expect(body.user).to.deep.include({ name: email, displayName: 'Ada' });
    expect(body.authenticatorSelection).to.deep.include({
      residentKey: 'required',
      requireResidentKey: true,
      userVerification: 'required',
    });
    expect(body).to.deep.include({ timeout: 600_000, attestation: 'none', excludeCredentials: [] });
    expect(headers).to.include({ 'cache-control': 'no-store' });
  });

  it('answers 201 with the passkey, of which only the public half is stored, and writes it down', async () => {
    const { as } = await world({ publicUrl });
    const ada = await as(email);

    const { body, headers } = (await register(ada, authenticator(), { name: 'Phone' })) as Response;
    const { body: list } = await ada.get('/auth/passkeys').expect(200);

    expect(body).to.have.all.keys('id', 'name', 'transports', 'backedUp', 'createdAt', 'lastUsedAt');
    expect(body).to.deep.include({
      name: 'Phone',
      transports: ['internal'],
      backedUp: false,
      lastUsedAt: null,
    });
    expect(headers.location).to.equal(`/auth/passkeys/${body.id}`);
    expect(list).to.deep.equal({ items: [body], nextCursor: null });
    expect(await actions()).to.deep.equal(['factor.passkey-added']);
    await ada.get('/api/me').expect(200);
  });

  it('refuses an answer from another site, without user verification, or to another challenge', async () => {
    const { as } = await world({ publicUrl });
    const ada = await as(email);
    const bob = await as('bob@example.com');
    const device = authenticator();
    const create = async (behaviour: Partial<Behaviour>, client = ada) =>
      ada.post('/auth/passkeys', device.create(await offered(client), { ...page, ...behaviour }));

    const answers = [
      await create({ origin: 'https://evil.example' }),
      await create({ origin: 'https://app.example.com.evil.example' }),
      await create({ origin: 'http://app.example.com' }),
      await create({ rpId: 'evil.example' }),
      await create({ verifiesUser: false }),
      await create({}, bob),
      await ada.post('/auth/passkeys', device.create({ ...(await offered(ada)), challenge: 'AAAA' }, page)),
      await ada.post(
        '/auth/passkeys',
        device.create({ ...(await offered(ada)), ...(await asked(ada)) }, page),
      ),
    ];

    expect(outcomes(answers)).to.deep.equal({ '400 validation_failed': 5, '400 token_used': 3 });
    expect(answers[0]?.body.errors[0]).to.include({ path: 'response' });
    expect((await ada.get('/auth/passkeys')).body.items).to.deep.equal([]);
  });

  it('takes each challenge once, also ten times at once, and none that is expired', async () => {
    const { as } = await world({ publicUrl });
    const ada = await as(email);
    const device = authenticator();
    const credential = device.create(await offered(ada), page);
    const { body: me } = await ada.post('/auth/check');
    const challenge = late(`passkey registration of ${me.user.id}`);
    const expired = device.create({ ...(await offered(ada)), challenge }, page);

    const answers = await Promise.all(times(10, () => ada.post('/auth/passkeys', credential)));

    expect(outcomes(answers)).to.deep.equal({ 201: 1, '400 token_used': 9 });
    expect(outcome(await ada.post('/auth/passkeys', expired))).to.equal('400 token_used');
    expect((await ada.get('/auth/passkeys')).body.items).to.have.length(1);
  });

  it('tells a browser which passkeys there are, and refuses one that is registered, here or with another account', async () => {
    const { ada, as, device, id } = await adasPasskey();
    const bob = await as('bob@example.com');
    const options = await offered(ada);
    expect(options.excludeCredentials).to.deep.equal([{ id, transports: ['internal'], type: 'public-key' }]);
    expect(() => device.create(options, page)).to.throw('InvalidStateError');

    const again = device.create(
      { ...(await offered(ada)), excludeCredentials: [] },
      { ...page, reuse: true },
    );
    const stolen = device.create(await offered(bob), { ...page, reuse: true });
    const answers = [await ada.post('/auth/passkeys', again), await bob.post('/auth/passkeys', stolen)];

    expect(outcomes(answers)).to.deep.equal({ '409 conflict': 2 });
  });

  it('adds none for a session that has ended, nor when the credentials have changed since', async () => {
    const { as, shared } = await world({ publicUrl });
    const ada = await as(email);
    const { body } = await ada.post('/auth/check').expect(200);
    const who = { userId: body.user.id as string, sessionId: body.session.id as string };
    const { _id } = await Sessions(inspector()).findById(who.sessionId).orFail().lean();
    const offers = await Promise.all(times(3, () => offered(ada)));
    const add = async () => {
      const credential = authenticator().create(offers.pop(), page) as RegistrationResponse;
      return addPasskey({ ...shared, passkeys: true, ...who, credential }).then(
        () => 'added',
        ({ code }) => code,
      );
    };

    expect(await add()).to.equal('added');
    await Users(inspector()).updateOne({ _id: who.userId }, { $inc: { credentialEpoch: 1 } });
    expect(await add()).to.equal('conflict');
    await Users(inspector()).updateOne({ _id: who.userId }, { $inc: { credentialEpoch: -1 } });
    await Sessions(inspector()).updateOne({ _id }, { revokedAt: new Date() });
    expect(await add()).to.equal('session_revoked');
    const { passkeys } = await Users(inspector()).findById(who.userId).orFail().lean();
    expect(passkeys).to.have.length(1);
  });

  it('ends at twenty passkeys', async () => {
    const { ada } = await adasPasskey();
    for (const _ of times(19, () => null))
      expect((await register(ada, authenticator())).status).to.equal(201);

    expect(outcome(await register(ada, authenticator()))).to.equal('409 conflict');

    const first = (await ada.get('/auth/passkeys?limit=15').expect(200)).body;
    const rest = (await ada.get(`/auth/passkeys?limit=15&cursor=${first.nextCursor}`).expect(200)).body;
    expect([first.items.length, rest.items.length, rest.nextCursor]).to.deep.equal([15, 5, null]);
    expect(new Set([...first.items, ...rest.items].map(({ id }) => id)).size).to.equal(20);
  });

  it('is refused to strangers, an hour after the sign-in, and without what it needs', async () => {
    const { as, anyone } = await world({ publicUrl, strict: true });
    const ada = await as(email);
    const credential = authenticator().create(await offered(ada), page);
    const malformed = [
      {},
      { ...credential, id: { $ne: '' } },
      { ...credential, response: 'none' },
      { ...credential, response: { ...credential.response, attestationObject: ['AAAA'] } },
      { ...credential, type: 'password' },
      { ...credential, user: 'bob@example.com' },
    ];
    for (const body of malformed)
      expect(outcome(await ada.post('/auth/passkeys', body)), JSON.stringify(body)).to.equal(
        '400 validation_failed',
      );
    await hourLater();

    const answers = [
      await anyone().post('/auth/passkeys/options'),
      await anyone().post('/auth/passkeys', credential),
      await anyone().get('/auth/passkeys'),
      await anyone().delete('/auth/passkeys/AAAA'),
      await ada.post('/auth/passkeys/options'),
      await ada.post('/auth/passkeys', credential),
      await ada.delete('/auth/passkeys/AAAA'),
    ];

    expect(outcomes(answers)).to.deep.equal({ '401 token_missing': 4, '401 reauthentication_required': 3 });
  });
});

describe('the sign-in by passkey', () => {
  it('needs no name: the passkey tells who it is, and counts as two factors', async () => {
    const { anyone, device, withHeaders } = await adasPasskey();
    const options = await asked(anyone());
    expect(options).to.include({ rpId: 'app.example.com', userVerification: 'required' });
    expect(options).not.to.have.property('allowCredentials');
    expect(await OneTimeTokens(inspector()).countDocuments()).to.equal(1); // of the registration: asking leaves nothing

    const answer = await anyone().post('/auth/passkeys/sign-in', device.get(options, page)).expect(200);

    expect(answer.body).to.have.all.keys('user', 'accessToken', 'expiresIn');
    expect(answer.body.user).to.include({ email });
    expect(String(answer.headers['set-cookie'])).to.match(/access_token=.*refresh_token=/);
    const latest = await Sessions(inspector()).findOne().sort({ _id: -1 }).lean();
    expect(latest?.factors).to.deep.equal(['passkey']);
    const { body: list } = await withHeaders(bearer(answer)).get('/auth/passkeys').expect(200);
    expect(Date.parse(list.items[0].lastUsedAt)).to.be.closeTo(Date.now(), 60_000);
  });

  it('asks nobody for a code on top, and delivers the refresh token in the body where that is asked', async () => {
    const { anyone, ada, device } = await adasPasskey();
    await ada.post('/auth/totp').expect(201);
    await Users(inspector()).updateOne({ email }, { 'totp.confirmedAt': new Date() });
    const credential = device.get(await asked(anyone()), page);

    const answer = await anyone().post('/auth/passkeys/sign-in', { ...credential, tokenDelivery: 'body' });

    expect(outcome(answer)).to.equal('200');
    expect(answer.body.refreshToken).to.be.a('string');
    expect(answer.headers).not.to.have.property('set-cookie');
  });

  it('makes one session of one answer, though it comes twenty times at once in two processes', async function () {
    this.timeout(60_000);
    const { anyone, device } = await adasPasskey();
    const [other] = await startProcesses(1, { publicUrl });
    const clients = [anyone(), other?.withHeaders({}) ?? expect.fail()];
    const credential = device.get(await asked(anyone()), page);
    const before = await Sessions(inspector()).countDocuments();

    const answers = await Promise.all(
      times(20, (index) => (clients[index % 2] as Client).post('/auth/passkeys/sign-in', credential)),
    );

    expect(outcomes(answers)).to.deep.equal({ 200: 1, '400 token_used': 19 });
    expect(await Sessions(inspector()).countDocuments()).to.equal(before + 1);
  });

  it('refuses a counter that did not grow, which a copy of the authenticator has', async () => {
    const { anyone, device } = await adasPasskey();

    const answers = [];
    for (const counter of [7, 7, 6, 0, 8]) answers.push(await signInBy(anyone(), device, { counter }));

    expect(answers.map(({ status }) => status)).to.deep.equal([200, 401, 401, 401, 200]);
  });

  it('takes authenticators that do not count', async () => {
    const { anyone, device } = await adasPasskey();
    for (const counter of [0, 0])
      expect((await signInBy(anyone(), device, { counter })).status).to.equal(200);
  });

  it('refuses what is forged, of another site, not unlocked, or of nobody here, all alike', async () => {
    const { anyone, ada, device, as } = await adasPasskey();
    const stranger = authenticator();
    stranger.create(await offered(ada), page);
    const bobs = authenticator();
    await register(await as('bob@example.com'), bobs);
    const send = (credential: object) => anyone().post('/auth/passkeys/sign-in', credential);
    const changed = async (change: object) => {
      const credential = device.get(await asked(anyone()), page);
      return { ...credential, response: { ...credential.response, ...change } };
    };
    const { id, rawId, response } = device.get(await asked(anyone()), page);
    const ofBob = bobs.get(await asked(anyone()), page);

    const answers = [
      await signInBy(anyone(), stranger),
      await signInBy(anyone(), device, { origin: 'https://evil.example' }),
      await signInBy(anyone(), device, { rpId: 'evil.example' }),
      await signInBy(anyone(), device, { verifiesUser: false }),
      await send({ ...ofBob, id, rawId }),
      await send(await changed({ userHandle: ofBob.response.userHandle })),
      await send(await changed({ userHandle: null })),
      await send(await changed({ signature: response.signature })),
      await send(await changed({ authenticatorData: response.authenticatorData })),
    ];

    expect(outcomes(answers)).to.deep.equal({ '401 credentials_invalid': 9 });
    expect(answers.map(({ text }) => text).join()).not.to.match(/evil|origin|counter/);
    expect(outcome(await send(await changed({})))).to.equal('200');
  });

  it('refuses a challenge that is not ours, of a registration, used or expired, and a malformed body', async () => {
    const { anyone, ada, device } = await adasPasskey();
    const send = (credential: object) => anyone().post('/auth/passkeys/sign-in', credential);
    const used = device.get(await asked(anyone()), page);
    await send(used).expect(200);
    const expired = device.get({ rpId: 'app.example.com', challenge: late('passkey sign-in') }, page);
    const { challenge: registrations } = await offered(ada);
    const { response } = used;
    const client = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');

    const refused = [
      await send(device.get({ rpId: 'app.example.com', challenge: 'AAAA' }, page)),
      await send(device.get({ rpId: 'app.example.com', challenge: registrations }, page)),
      await send(used),
      await send(expired),
      await send({ ...used, response: { ...response, clientDataJSON: client(null) } }),
      await send({ ...used, response: { ...response, clientDataJSON: client({ challenge: [1] }) } }),
      await send({ ...used, response: { ...response, clientDataJSON: 'AAAA' } }),
    ];
    const malformed = [
      await send({}),
      await send({ ...used, id: { $gt: '' } }),
      await send({ ...used, response: { ...response, userHandle: { $ne: null } } }),
      await send({ ...used, factors: ['passkey'] }),
    ];

    expect(outcomes(refused)).to.deep.equal({ '400 token_used': 7 });
    expect(outcomes(malformed)).to.deep.equal({ '400 validation_failed': 4 });
  });

  it('is over for a deactivated user', async () => {
    const { anyone, device } = await adasPasskey();
    await Users(inspector()).updateOne({ email }, { status: 'inactive' });
    expect(outcome(await signInBy(anyone(), device))).to.equal('401 credentials_invalid');
  });

  it('takes pages of allowed origins on the same domain, and no others', async () => {
    const allowedOrigins = ['https://www.example.com', 'https://other.example', 'https://badexample.com'];
    const options = { publicUrl, allowedOrigins, passkeys: { rpId: 'example.com' } };
    const { as, anyone } = await world(options);
    const device = authenticator();
    expect(outcome(await register(await as(email), device))).to.equal('201');

    const answers = [];
    for (const origin of [publicUrl, ...allowedOrigins])
      answers.push(await signInBy(anyone(), device, { origin }));

    expect(answers.map(({ status }) => status)).to.deep.equal([200, 200, 401, 401]);
  });
});

describe('the removal of a passkey', () => {
  it('ends the sessions that may have begun by it, but not the one that asks', async () => {
    const { ada, anyone, withHeaders, device, id } = await adasPasskey();
    const elsewhere = await signInBy(anyone(), device);
    expect(outcome(elsewhere)).to.equal('200');

    await ada.delete(`/auth/passkeys/${id}`).expect(204);

    expect(outcome(await withHeaders(bearer(elsewhere)).get('/api/me'))).to.equal('401 session_revoked');
    expect((await ada.get('/auth/passkeys').expect(200)).body.items).to.deep.equal([]);
    expect(outcome(await signInBy(anyone(), device))).to.equal('401 credentials_invalid');
    expect(await actions()).to.deep.equal(['factor.passkey-added', 'factor.passkey-removed']);
  });

  it('is 404 for one that is unknown or of another user', async () => {
    const { as, id } = await adasPasskey();
    const bob = await as('bob@example.com');
    for (const each of [id, 'AAAA', '%24ne', 'a.b'])
      expect(outcome(await bob.delete(`/auth/passkeys/${each}`)), each).to.equal('404 not_found');
  });

  it('leaves a way to sign in, also when the last two are removed at once in two processes', async function () {
    this.timeout(60_000);
    const { ada, device, id, anyone } = await adasPasskey();
    const second = authenticator();
    const { body } = await register(ada, second);
    await Users(inspector()).updateOne({ email }, { password: null });
    const [other] = await startProcesses(1, { publicUrl });
    const signedIn = await signInBy(anyone(), device);
    const clients = [ada, other?.withHeaders(bearer(signedIn)) ?? expect.fail()];

    const answers = await Promise.all(
      [id, body.id].map((each, index) => (clients[index] as Client).delete(`/auth/passkeys/${each}`)),
    );

    const { 204: removed, ...refused } = outcomes(answers);
    expect(removed).to.equal(1);
    expect(Object.keys(refused)[0]).to.be.oneOf(['409 last_credential', '401 session_revoked']);
    expect((await Users(inspector()).findOne({ email }).lean())?.passkeys).to.have.length(1);
  });

  it('is 409 for the last one of somebody without a password or another account', async () => {
    const { ada, id } = await adasPasskey();
    await Users(inspector()).updateOne({ email }, { password: null });
    expect(outcome(await ada.delete(`/auth/passkeys/${id}`))).to.equal('409 last_credential');
    const identity = {
      provider: 'google',
      issuer: 'https://accounts.google.com',
      subject: '1',
      linkedAt: new Date(),
    };
    await Users(inspector()).updateOne({ email }, { identities: [identity] });
    await ada.delete(`/auth/passkeys/${id}`).expect(204);
  });
});

describe('the option passkeys', () => {
  it('makes the routes, which do not exist without it', async () => {
    const { as, anyone } = await world();
    const ada = await as(email);
    const answers = [
      await ada.post('/auth/passkeys/options'),
      await ada.get('/auth/passkeys'),
      await anyone().post('/auth/passkeys/sign-in/options'),
    ];
    expect(outcomes(answers)).to.deep.equal({ '404 not_found': 3 });
  });

  it('needs publicUrl, and a domain that this belongs to', async () => {
    const { shared } = await emptyWorld();
    expect(() => authRouter({ ...shared, passkeys: true })).to.throw(
      TypeError,
      'option passkeys needs publicUrl',
    );
    for (const rpId of ['other.example', 'ample.com', 'www.app.example.com', ''])
      expect(() => authRouter({ ...shared, publicUrl, passkeys: { rpId } }), rpId).to.throw(
        TypeError,
        'passkeys',
      );
    for (const rpId of ['example.com', 'app.example.com'])
      expect(() => authRouter({ ...shared, publicUrl, passkeys: { rpId } }), rpId).not.to.throw();
    const { anyone } = clientsOf(await serve(demoApp({ ...shared, publicUrl, passkeys: false })));
    expect(outcome(await anyone().post('/auth/passkeys/sign-in/options'))).to.equal('404 not_found');
  });

  it('says at the start that its package is missing, and how to get it', async () => {
    const script = `
      import Module from 'node:module';
      const resolve = Module._resolveFilename;
      Module._resolveFilename = (name, ...rest) => {
        if (name === '@simplewebauthn/server') throw new Error('not installed');
        return resolve(name, ...rest);
      };
      const { authRouter } = await import('./lib/index.js');
      const options = { keys: ['${secret}'], publicUrl: '${publicUrl}' };
      authRouter(options);
      try {
        authRouter({ ...options, passkeys: true });
      } catch (error) {
        console.log(String(error));
      }`;
    const args = ['--import', 'tsx', '--input-type=module', '-e', script];
    const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: root });
    expect(stdout).to.equal(
      'TypeError: The option passkeys needs the package @simplewebauthn/server: npm install @simplewebauthn/server\n',
    );
  });
});
