import { expect } from 'chai';
import Koa from 'koa';
import { generateSync } from 'otplib';
import type { Response } from 'supertest';
import { demoApp } from '../../examples/demo/app.js';
import {
  AuditEntries,
  authRouter,
  OneTimeTokens,
  problems,
  ready,
  Sessions,
  Users,
} from '../../lib/index.js';
import { readKey } from '../../lib/runtime/keyring.js';
import { digitsOf } from '../../lib/runtime/one-time-codes.js';
import { startProcesses } from '../support/processes.js';
import {
  appName,
  type Client,
  clientsOf,
  countBy,
  dbName,
  inspector,
  secret as oldKey,
  serve,
  times,
  world,
} from '../support/world.js';

const email = 'ada@example.com';
const password = 'lovelace-1815';

const outcome = ({ status, body }: Response) => (body.code ? `${status} ${body.code}` : String(status));
const outcomes = (answers: readonly Response[]) =>
  countBy(
    answers.map((answer) => ({ outcome: outcome(answer) })),
    'outcome',
  );

/** What an authenticator app shows, now or some steps of 30 seconds from now. */
const codeOf = (secret: string, steps = 0) =>
  generateSync({ secret, epoch: Math.floor(Date.now() / 1000) + 30 * steps });

/** As if the last code had been used long ago. */
const longAfter = () => Users(inspector()).updateOne({ email }, { 'totp.lastStep': 0 });

/** As if everybody had signed in an hour ago. */
const hourLater = () =>
  Sessions(inspector()).updateMany({}, { authenticatedAt: new Date(Date.now() - 3_600_000) });

const actions = async (pattern: RegExp) =>
  (await AuditEntries(inspector()).find({ action: pattern }).sort({ at: 1 }).lean()).map(
    ({ action }) => action,
  );

type Served = Awaited<ReturnType<typeof world>>;

const bearer = ({ body }: Response) => ({ Authorization: `Bearer ${body.accessToken}` });

/** Ada, signed in by password before she had a second factor, with one that is confirmed. */
async function enrolled(served: Served) {
  const ada = await served.as(email);
  const { secret } = (await ada.post('/auth/totp').expect(201)).body as { secret: string };
  const { body } = await ada.post('/auth/totp/confirm', { code: codeOf(secret) }).expect(200);
  return { ada, secret, recoveryCodes: body.recoveryCodes as string[] };
}

async function challengeOf(client: Client, body: object = {}): Promise<string> {
  const answer = await client.post('/auth/sign-in', { email, password, ...body });
  expect(outcome(answer)).to.equal('401 second_factor_required');
  return answer.body.challenge;
}

const second = (client: Client, challenge: string, code: string, more: object = {}) =>
  client.post('/auth/second-factor', { challenge, code, ...more });

describe('POST /auth/totp', () => {
  it('answers 201 with a secret and its URI for an app, and stores the secret encrypted', async () => {
    const { as } = await world({ publicUrl: 'https://app.example.com' });

    const { body, headers } = await (await as(email)).post('/auth/totp').expect(201);

    expect(body).to.have.all.keys('secret', 'uri');
    expect(body.secret).to.match(/^[A-Z2-7]{32}$/);
    const uri = new URL(body.uri);
    expect(`${uri.protocol}//${uri.host}${uri.pathname}`).to.equal(
      'otpauth://totp/app.example.com:ada%40example.com',
    );
    expect(Object.fromEntries(uri.searchParams)).to.deep.include({
      secret: body.secret,
      issuer: 'app.example.com',
    });
    expect(headers).to.include({ 'cache-control': 'no-store', location: '/auth/totp' });
    const stored = await inspector().collection('users').findOne({ email });
    expect(JSON.stringify(stored)).not.to.include(body.secret);
  });

  it('asks nobody for a second factor before it is confirmed', async () => {
    const { as, signIn } = await world();
    await (await as(email)).post('/auth/totp').expect(201);
    await signIn(email).expect(200);
  });

  it('replaces a secret that was never confirmed, and refuses to replace one that was', async () => {
    const { as } = await world();
    const ada = await as(email);
    const first = await ada.post('/auth/totp').expect(201);
    const next = await ada.post('/auth/totp').expect(201);

    const old = await ada.post('/auth/totp/confirm', { code: codeOf(first.body.secret) });
    await ada.post('/auth/totp/confirm', { code: codeOf(next.body.secret) }).expect(200);
    const third = await ada.post('/auth/totp');

    expect([old, third].map(outcome)).to.deep.equal(['401 credentials_invalid', '409 conflict']);
  });

  it('is refused to strangers, and like confirmation and removal an hour after the sign-in', async () => {
    const { as, anyone } = await world({ strict: true });
    const ada = await as(email);
    await hourLater();

    const answers = [
      await anyone().post('/auth/totp'),
      await ada.post('/auth/totp'),
      await ada.post('/auth/totp/confirm', { code: '123456' }),
      await ada.delete('/auth/totp'),
    ];

    expect(outcomes(answers)).to.deep.equal({ '401 token_missing': 1, '401 reauthentication_required': 3 });
  });
});

describe('POST /auth/totp/confirm', () => {
  it('gives ten recovery codes, of which only hashes are stored, and writes it down', async () => {
    const { recoveryCodes } = await enrolled(await world());

    expect(new Set(recoveryCodes).size).to.equal(10);
    for (const code of recoveryCodes) expect(code).to.match(/^([0-9a-z]{4}-){5}[0-9a-z]{4}$/);
    const stored = JSON.stringify(await inspector().collection('users').findOne({ email }));
    for (const code of recoveryCodes) expect(stored).not.to.include(code).and.not.include(code.slice(0, 9));
    expect(await actions(/^factor\./)).to.deep.equal(['factor.totp-enrolled']);
  });

  it('ends all sessions but the one that asks, which has proved the factor', async () => {
    const served = await world();
    const elsewhere = await served.as(email);

    const { ada } = await enrolled(served);

    expect(outcome(await elsewhere.get('/api/me'))).to.equal('401 session_revoked');
    expect(outcome(await ada.get('/api/me'))).to.equal('200');
    const [session] = await Sessions(inspector()).find({ revokedAt: null }).lean();
    expect(session?.factors).to.deep.equal(['password', 'totp']);
  });

  it('refuses a wrong code, and any when nothing waits to be confirmed', async () => {
    const { as } = await world();
    const ada = await as(email);
    const early = await ada.post('/auth/totp/confirm', { code: '123456' });
    const { body } = await ada.post('/auth/totp').expect(201);
    const code = codeOf(body.secret);

    const wrong = await ada.post('/auth/totp/confirm', { code: codeOf(body.secret, 5) });
    const words = await ada.post('/auth/totp/confirm', { code: 'not a code' });
    await ada.post('/auth/totp/confirm', { code: `${code.slice(0, 3)} ${code.slice(3)}` }).expect(200);
    const again = await ada.post('/auth/totp/confirm', { code });

    expect([early, wrong, words, again].map(outcome)).to.deep.equal([
      '409 conflict',
      '401 credentials_invalid',
      '401 credentials_invalid',
      '409 conflict',
    ]);
  });

  it('succeeds once, though it is asked twenty times at once', async () => {
    const { as } = await world();
    const ada = await as(email);
    const { body } = await ada.post('/auth/totp').expect(201);
    const code = codeOf(body.secret);

    const answers = await Promise.all(times(20, () => ada.post('/auth/totp/confirm', { code })));

    expect(outcomes(answers)).to.deep.equal({ 200: 1, '409 conflict': 19 });
    expect(await actions(/^factor\./)).to.have.length(1);
  });
});

describe('the sign-in of somebody with a TOTP', () => {
  it('asks for a code after the password, and starts no session before', async () => {
    const served = await world();
    await enrolled(served);
    const before = await Sessions(inspector()).countDocuments();

    const answer = await served.signIn(email).expect(401);
    const wrongPassword = await served.anyone().post('/auth/sign-in', { email, password: 'wrong password' });

    expect(answer.body).to.include({ code: 'second_factor_required' });
    expect(answer.body.challenge).to.be.a('string');
    expect(answer.headers).not.to.have.property('set-cookie');
    expect(await Sessions(inspector()).countDocuments()).to.equal(before);
    expect(outcome(wrongPassword)).to.equal('401 credentials_invalid');
    expect(wrongPassword.body).not.to.have.property('challenge');
  });

  it('ends with the code of an app: a session with both factors, and cookies', async () => {
    const served = await world();
    const { secret } = await enrolled(served);
    const challenge = await challengeOf(served.anyone());

    const answer = await second(served.anyone(), challenge, codeOf(secret, 1)).expect(200);

    expect(answer.body).to.have.all.keys('user', 'accessToken', 'expiresIn');
    expect(String(answer.headers['set-cookie'])).to.match(/access_token=.*refresh_token=/);
    await served.withHeaders(bearer(answer)).get('/api/me').expect(200);
    const latest = await Sessions(inspector()).findOne().sort({ _id: -1 }).lean();
    expect(latest?.factors).to.deep.equal(['password', 'totp']);
  });

  it('delivers the tokens as either of its two requests said', async () => {
    const served = await world();
    const { secret } = await enrolled(served);
    const asked = await challengeOf(served.anyone(), { tokenDelivery: 'body' });
    const first = await second(served.anyone(), asked, codeOf(secret, 1)).expect(200);
    await longAfter();
    const plain = await challengeOf(served.anyone());
    const then = await second(served.anyone(), plain, codeOf(secret), { tokenDelivery: 'body' }).expect(200);

    for (const { body, headers } of [first, then]) {
      expect(headers).not.to.have.property('set-cookie');
      await served.anyone().post('/auth/refresh', { refreshToken: body.refreshToken }).expect(200);
    }
  });

  it('takes the code of the next step too, and none that is further away', async () => {
    const served = await world();
    const { secret } = await enrolled(served);
    const challenge = await challengeOf(served.anyone());
    await longAfter();

    for (const steps of [-3, 3]) {
      const answer = await second(served.anyone(), challenge, codeOf(secret, steps));
      expect(outcome(answer), String(steps)).to.equal('401 credentials_invalid');
    }
    await second(served.anyone(), challenge, codeOf(secret, 1)).expect(200);
  });

  it('leaves the challenge as it is after a wrong code', async () => {
    const served = await world();
    const { secret } = await enrolled(served);
    const challenge = await challengeOf(served.anyone());

    for (const code of ['000000', '', 'abcd-efgh', 'x'.repeat(100), '１２３４５６']) {
      const answer = await second(served.anyone(), challenge, code);
      expect(answer.status, code).to.equal(code ? 401 : 400);
    }
    await second(served.anyone(), challenge, codeOf(secret, 1)).expect(200);
  });

  it('takes a code once, also where twenty sign-ins present it at once in two processes', async function () {
    this.timeout(60_000);
    const served = await world();
    const { secret } = await enrolled(served);
    const [other] = await startProcesses(1);
    const clients = [served.anyone(), other?.withHeaders({}) ?? expect.fail()];
    const challenges: string[] = [];
    for (const _ of times(20, () => 0)) challenges.push(await challengeOf(served.anyone()));
    const code = codeOf(secret, 1);

    const answers = await Promise.all(
      challenges.map((challenge, index) => second(clients[index % 2] as Client, challenge, code)),
    );

    expect(outcomes(answers)).to.deep.equal({ 200: 1, '401 credentials_invalid': 19 });
    const later = await second(served.anyone(), challenges[0] as string, code);
    expect(later.status).to.be.oneOf([400, 401]);
  });

  it('makes one session of a challenge, though many right codes answer it at once in two processes', async function () {
    this.timeout(60_000);
    const served = await world();
    const { recoveryCodes } = await enrolled(served);
    const [other] = await startProcesses(1);
    const clients = [served.anyone(), other?.withHeaders({}) ?? expect.fail()];
    const challenge = await challengeOf(served.anyone());
    const before = await Sessions(inspector()).countDocuments();

    const answers = await Promise.all(
      recoveryCodes.map((code, index) => second(clients[index % 2] as Client, challenge, code)),
    );

    expect(outcomes(answers)).to.deep.equal({ 200: 1, '400 token_used': 9 });
    expect(await Sessions(inspector()).countDocuments()).to.equal(before + 1);
    const ada = await Users(inspector()).findOne({ email }).lean();
    expect(ada?.totp?.recoveryCodes).to.have.length(9);
    expect(await actions(/recovery-used/)).to.have.length(1);
  });

  it('uses up neither the challenge nor the code when the session cannot be stored', async () => {
    const served = await world();
    const { secret, recoveryCodes } = await enrolled(served);
    const client = served.anyone();
    const admin = inspector().getClient().db('admin');
    for (const code of [codeOf(secret), recoveryCodes[0] as string]) {
      await longAfter();
      const challenge = await challengeOf(client);
      const data = {
        failCommands: ['insert'],
        namespace: `${dbName}.tollgate_sessions`,
        errorCode: 8_000,
        appName,
      };
      await admin.command({ configureFailPoint: 'failCommand', mode: { times: 1 }, data });

      expect((await second(client, challenge, code)).status).to.equal(500);
      expect(outcome(await second(client, challenge, code))).to.equal('200');
      expect(outcome(await second(client, challenge, code))).to.equal('400 token_used');
    }
  });

  it('takes each recovery code once, however it is typed, and writes that down', async () => {
    const served = await world();
    const { recoveryCodes } = await enrolled(served);
    const typed = ` ${(recoveryCodes[0] as string).toUpperCase().replaceAll('-', '').replaceAll('0', 'O')}`;

    const first = await second(served.anyone(), await challengeOf(served.anyone()), typed).expect(200);
    const again = await second(
      served.anyone(),
      await challengeOf(served.anyone()),
      recoveryCodes[0] as string,
    );

    expect(first.body.user).to.include({ email });
    expect(outcome(again)).to.equal('401 credentials_invalid');
    const latest = await Sessions(inspector()).findOne().sort({ _id: -1 }).lean();
    expect(latest?.factors).to.deep.equal(['password', 'recovery']);
    expect(await actions(/^factor\.recovery-used$/)).to.have.length(1);
  });

  it('refuses a challenge that is forged, used, expired, of another purpose or older than the credentials', async () => {
    const served = await world();
    const { ada, secret, recoveryCodes } = await enrolled(served);
    const answer = (challenge: string, index: number) =>
      second(served.anyone(), challenge, recoveryCodes[index] as string);
    const [used, expired, stale] = await Promise.all(times(3, () => challengeOf(served.anyone())));
    const forged = `${(used as string).slice(0, -2)}AA`;
    await second(served.anyone(), used as string, codeOf(secret, 1)).expect(200);
    const { body: otherPurpose } = await served.anyone().post('/auth/passkeys/sign-in/options');
    const id = (expired as string).split('.')[0];
    await OneTimeTokens(inspector()).updateOne({ _id: id }, { expiresAt: new Date(Date.now() - 1) });

    const refused = [
      await answer(forged, 1),
      await answer(used as string, 2),
      await answer(expired as string, 3),
      await answer(String(otherPurpose.challenge), 4),
      await answer('', 5),
    ];
    await ada.delete('/auth/totp').expect(204);
    const { body } = await ada.post('/auth/totp').expect(201);
    await ada.post('/auth/totp/confirm', { code: codeOf(body.secret) }).expect(200);
    refused.push(await second(served.anyone(), stale as string, codeOf(body.secret, 1)));

    expect(outcomes(refused)).to.deep.equal({ '400 token_used': 5, '400 validation_failed': 1 });
  });

  it('refuses operator objects, arrays and unknown fields', async () => {
    const served = await world();
    await enrolled(served);
    const challenge = await challengeOf(served.anyone());

    for (const body of [
      { challenge, code: { $ne: '' } },
      { challenge: { $gt: '' }, code: '123456' },
      { challenge, code: ['123456'] },
      { challenge, code: 123456 },
      { challenge },
      { code: '123456' },
      { challenge, code: '123456', factors: ['passkey'] },
    ]) {
      const answer = await served.anyone().post('/auth/second-factor', body);
      expect(outcome(answer), JSON.stringify(body)).to.equal('400 validation_failed');
    }
  });

  it('judges no more of them for who knows the password and signs in again and again, from ever new networks', async () => {
    const served = await world({ credentialRate: '5/minute', trustedProxies: 1 });
    await enrolled(served);
    const seen: string[] = [];
    for (const network of times(12, (index) => index)) {
      const client = served.withHeaders({ 'X-Forwarded-For': `10.${network}.0.1` });
      const challenge = await challengeOf(client);
      for (const _ of times(3, (index) => index))
        seen.push(outcome(await second(client, challenge, '000000')));
    }
    expect(seen.filter((each) => each.startsWith('401')).length).to.be.within(20, 23);
    expect(seen.at(-1)).to.equal('429 rate_limited');
  });

  it('judges no more wrong codes than the budget allows, over however many challenges', async () => {
    const served = await world({ credentialRate: '5/minute' });
    const { secret } = await enrolled(served);
    const challenges = await Promise.all(times(4, () => challengeOf(served.anyone())));

    const answers = await Promise.all(
      times(20, (index) => second(served.anyone(), challenges[index % 4] as string, '000000')),
    );
    const right = await second(served.anyone(), challenges[0] as string, codeOf(secret, 1));

    expect(outcomes(answers)).to.deep.equal({ '401 credentials_invalid': 5, '429 rate_limited': 15 });
    expect(outcome(right)).to.equal('429 rate_limited');
    expect(Number(right.headers['retry-after'])).to.be.within(1, 60);
  });

  it('goes on when the keys change, and the secret moves to the new key; one whose key was dropped is named at the start', async () => {
    const newKey = 'another secret of more than thirty-two bytes';
    const served = await world();
    const { secret, recoveryCodes } = await enrolled(served);
    const signInWith = async (keys: string[], code: string) => {
      const client = clientsOf(await serve(demoApp({ ...served.shared, keys }))).anyone();
      return second(client, await challengeOf(client), code);
    };

    const both = await signInWith([newKey, oldKey], codeOf(secret, 1));
    await longAfter();
    const onlyNew = await signInWith([newKey], codeOf(secret));
    await longAfter();
    const onlyOld = await second(served.anyone(), await challengeOf(served.anyone()), codeOf(secret));

    expect([both, onlyNew, onlyOld].map(outcome)).to.deep.equal(['200', '200', '401 credentials_invalid']);
    expect(onlyOld.body.detail).to.equal(
      'Codes of this app cannot be checked any more: use a recovery code, and set the app up again',
    );
    const challenge = await challengeOf(served.anyone());
    expect(outcome(await second(served.anyone(), challenge, recoveryCodes[0] as string))).to.equal('200');

    await ready({ ...served.shared, keys: [oldKey, newKey] });
    await ready({ connection: served.connection }); // without keys there is nothing to compare
    const lost = await ready(served.shared).catch((error: Error) => error.message);
    expect(lost).to.match(
      /^There are authenticator apps whose secret is sealed with the key [\w-]{12}, which is none/,
    );
  });
});

describe('an application that has switched TOTP off', () => {
  it('makes none, and goes on asking those who have one', async () => {
    const { shared, ...served } = await world();
    const { secret } = await enrolled({ shared, ...served });
    const app = new Koa();
    app.use(problems()).use(authRouter({ ...shared, features: { totp: false } }).routes());
    const client = clientsOf(await serve(app)).anyone();

    const challenge = await challengeOf(client);
    await second(client, challenge, codeOf(secret, 1)).expect(200);

    expect(outcome(await client.post('/auth/totp'))).to.equal('404 not_found');
  });
});

describe('DELETE /auth/totp', () => {
  it('takes the second factor away with its recovery codes, and ends the other sessions', async () => {
    const served = await world();
    const { ada, secret } = await enrolled(served);
    const challenge = await challengeOf(served.anyone());
    const elsewhere = await second(served.anyone(), challenge, codeOf(secret, 1)).expect(200);

    await ada.delete('/auth/totp').expect(204);

    expect(outcome(await served.withHeaders(bearer(elsewhere)).get('/api/me'))).to.equal(
      '401 session_revoked',
    );
    expect(outcome(await ada.get('/api/me'))).to.equal('200');
    await served.signIn(email).expect(200);
    expect((await Users(inspector()).findOne({ email }).lean())?.totp).to.equal(null);
    expect(await actions(/^factor\./)).to.deep.equal(['factor.totp-enrolled', 'factor.totp-removed']);
  });

  it('is 404 where there is none', async () => {
    const { as } = await world();
    const ada = await as(email);
    expect(outcome(await ada.delete('/auth/totp'))).to.equal('404 not_found');
    await ada.post('/auth/totp').expect(201);
    expect(outcome(await ada.delete('/auth/totp'))).to.equal('404 not_found');
  });
});

describe('POST /auth/reauthenticate', () => {
  it('makes the sign-in recent again by password, at once', async () => {
    const { as } = await world();
    const ada = await as(email);
    await hourLater();
    const before = await ada.post('/auth/totp');

    await ada.post('/auth/reauthenticate', { password }).expect(204);

    expect(outcome(before)).to.equal('401 reauthentication_required');
    await ada.post('/auth/totp').expect(201);
    expect(await actions(/reauthenticated/)).to.deep.equal(['user.reauthenticated']);
  });

  it('takes a code of an app or a recovery code instead, each once, and the session gains the factor', async () => {
    const served = await world({ strict: true });
    const { ada, secret, recoveryCodes } = await enrolled(served);
    await hourLater();
    const code = codeOf(secret, 1);

    await ada.post('/auth/reauthenticate', { code }).expect(204);
    const again = await ada.post('/auth/reauthenticate', { code });
    await ada.post('/auth/reauthenticate', { code: recoveryCodes[3] as string }).expect(204);
    const twice = await ada.post('/auth/reauthenticate', { code: recoveryCodes[3] as string });

    expect([again, twice].map(outcome)).to.deep.equal(['401 credentials_invalid', '401 credentials_invalid']);
    const [session] = await Sessions(inspector()).find({ revokedAt: null }).lean();
    expect(session?.factors).to.deep.equal(['password', 'totp', 'recovery']);
    await ada.delete('/auth/totp').expect(204);
  });

  it('takes the code of a mail from somebody who has no app, once', async () => {
    const { connection, as } = await world({ strict: true });
    const ada = await as(email);
    await hourLater();
    const { _id: user, credentialEpoch } = await Users(inspector()).findOne({ email }).orFail().lean();
    const mailed = { purpose: 'otp', email, user, credentialEpoch, ttl: 900 } as const;
    const id = await OneTimeTokens(connection).issue(mailed);
    const code = digitsOf('otp', id, [readKey(oldKey, 'HS256')]);

    await ada.post('/auth/reauthenticate', { code }).expect(204);
    const again = await ada.post('/auth/reauthenticate', { code });

    expect(outcome(again)).to.equal('401 credentials_invalid');
    const [session] = await Sessions(inspector()).find({ revokedAt: null }).lean();
    expect(session?.factors).to.deep.equal(['password', 'otp']);
    await ada.post('/auth/totp').expect(201);
  });

  it('refuses what is wrong, both or neither, and strangers; the sign-in stays old', async () => {
    const { as, anyone } = await world({ strict: true });
    const ada = await as(email);
    await hourLater();
    const attempt = (body: object) => ada.post('/auth/reauthenticate', body);

    const answers = [
      await attempt({ password: 'wrong password' }),
      await attempt({ code: '123456' }),
      await attempt({ code: 'no recovery code' }),
      await attempt({}),
      await attempt({ password, code: '123456' }),
      await attempt({ password: { $ne: '' } }),
      await anyone().post('/auth/reauthenticate', { password }),
      await ada.post('/auth/totp'),
    ];

    expect(outcomes(answers)).to.deep.equal({
      '401 credentials_invalid': 3,
      '400 validation_failed': 3,
      '401 token_missing': 1,
      '401 reauthentication_required': 1,
    });
  });

  it('judges no more wrong passwords than the budget allows', async () => {
    const { as } = await world({ credentialRate: '3/minute' });
    const ada = await as(email);

    const answers = await Promise.all(
      times(8, () => ada.post('/auth/reauthenticate', { password: 'wrong password' })),
    );

    expect(outcomes(answers)).to.deep.equal({ '401 credentials_invalid': 3, '429 rate_limited': 5 });
  });
});
