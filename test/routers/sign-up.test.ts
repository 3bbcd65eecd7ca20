import { expect } from 'chai';
import { cleanUp, createUser, OneTimeTokens, Users } from '../../lib/index.js';
import { mailWorld } from '../support/mailbox.js';
import { startProcesses } from '../support/processes.js';
import { countBy, inspector, times, world } from '../support/world.js';

const grace = { email: 'grace@example.com', password: 'cobol-forever' };

/** The cookies that an answer sets, as the same browser sends them with its next request. */
const cookiesOf = (answer: { headers: Record<string, unknown> }): string =>
  ((answer.headers['set-cookie'] as string[] | undefined) ?? [])
    .map((cookie) => cookie.split(';')[0])
    .join('; ');

const counted = (name: string): Promise<number> => inspector().collection(name).countDocuments();

/** A sign-up of Grace, with the token of her mail and the browser that she began it in. */
async function signedUp(options = {}) {
  const made = await mailWorld(options);
  const begun = await made
    .anyone()
    .post('/auth/signup', { ...grace, name: 'Grace' })
    .expect(202);
  const token = await made.tokenOf(grace.email, 'verify-email');
  return { ...made, token, browser: made.withHeaders({ Cookie: cookiesOf(begun) }) };
}

describe('signing up', () => {
  it('makes a user only when the link is opened; in the same browser the password takes effect', async () => {
    const { connection, token, browser, anyone } = await signedUp();
    expect(await Users(connection).exists({ email: grace.email })).to.equal(null);

    const { body, headers } = await browser.post('/auth/signup/verify', { token }).expect(200);
    expect(body.user).to.include({
      email: grace.email,
      emailVerified: true,
      name: 'Grace',
      status: 'active',
    });
    expect(body.user.roles).to.deep.equal(['user']);
    expect(String(headers['set-cookie'])).to.include('access_token=').and.include('sign_up=;');
    await anyone().post('/auth/sign-in', grace).expect(200);
  });

  it('lets the password take effect elsewhere when it is repeated, and keeps the link when it is wrong', async () => {
    const { token, anyone } = await signedUp();
    const wrong = await anyone().post('/auth/signup/verify', { token, password: 'not-that-one' }).expect(401);
    expect(wrong.body.code).to.equal('credentials_invalid');
    await anyone().post('/auth/signup/verify', { token, password: grace.password }).expect(200);
    await anyone().post('/auth/sign-in', grace).expect(200);
  });

  it('gives the account no password when the link is opened by who did not choose it, until a reset', async () => {
    const { token, anyone, tokenOf } = await signedUp();
    await anyone().post('/auth/signup/verify', { token }).expect(200);
    await anyone().post('/auth/sign-in', grace).expect(401);

    await anyone().post('/auth/password/forgot', { email: grace.email }).expect(202);
    const reset = await tokenOf(grace.email, 'reset-password');
    await anyone().post('/auth/password/reset', { token: reset, password: 'my-own-choice' }).expect(204);
    await anyone()
      .post('/auth/sign-in', { ...grace, password: 'my-own-choice' })
      .expect(200);
  });

  it('does not take the cookie of another sign-up for the binding', async () => {
    const { token, anyone, withHeaders } = await signedUp();
    const other = await anyone().post('/auth/signup', {
      email: 'mallory@example.com',
      password: 'mallory-was-here',
    });
    const stranger = withHeaders({ Cookie: cookiesOf(other) });
    await stranger.post('/auth/signup/verify', { token }).expect(200);
    await anyone().post('/auth/sign-in', grace).expect(401);
  });

  it('lets one of many win who open a link at once in two processes', async () => {
    const { token, sent } = await signedUp();
    const processes = await startProcesses(2, {
      publicUrl: 'http://app.example.com',
      smtpUrl: 'smtp://127.0.0.1:1',
      mailFrom: 'us@example.com',
    });
    const answers = await Promise.all(
      times(20, (index) =>
        (processes[index % 2] as (typeof processes)[0])
          .withHeaders({})
          .post('/auth/signup/verify', { token, password: grace.password }),
      ),
    );
    expect(countBy(answers, 'status')).to.deep.equal({ 200: 1, 400: 19 });
    expect(await inspector().collection('users').countDocuments({ email: grace.email })).to.equal(1);
    expect(sent).to.deep.equal([]);
  });

  it('answers a known address alike and tells its owner by mail, and nobody can use it to take the account', async () => {
    const { anyone, next, connection } = await mailWorld();
    const known = await anyone().post('/auth/signup', { email: 'ada@example.com', password: 'i-am-not-ada' });
    const unknown = await anyone().post('/auth/signup', grace);
    expect([known.status, known.body]).to.deep.equal([unknown.status, unknown.body]);
    expect(Object.keys(known.headers)).to.deep.equal(Object.keys(unknown.headers));

    const { text } = await next('ada@example.com', 'account-exists');
    expect(text).not.to.include('http');
    expect(await OneTimeTokens(connection).countDocuments({ email: 'ada@example.com' })).to.equal(0);
    await anyone().post('/auth/sign-in', { email: 'ada@example.com', password: 'i-am-not-ada' }).expect(401);
  });

  it('is refused a used, foreign, expired, forged or damaged link with 400 token_used', async () => {
    const { token, browser, anyone, connection, tokenOf } = await signedUp();
    await anyone().post('/auth/password/forgot', { email: 'ada@example.com' }).expect(202);
    const reset = await tokenOf('ada@example.com', 'reset-password');
    await anyone().post('/auth/signup', { email: 'late@example.com', password: 'better-late-than' });
    const late = await tokenOf('late@example.com', 'verify-email');
    await OneTimeTokens(connection).updateOne(
      { email: 'late@example.com' },
      { expiresAt: new Date(Date.now() - 1) },
    );
    await browser.post('/auth/signup/verify', { token }).expect(200);

    const [id] = token.split('.');
    for (const bad of [
      token,
      reset,
      late,
      `${id}.${'A'.repeat(43)}`,
      token.slice(0, -1),
      'nonsense',
      String(id),
    ]) {
      const { status, body } = await anyone().post('/auth/signup/verify', { token: bad });
      expect([status, body.code], bad).to.deep.equal([400, 'token_used']);
    }
  });

  it('is refused what only we decide, operator objects and unknown fields, before anything is written', async () => {
    const { anyone } = await mailWorld();
    const bad = [
      { ...grace, roles: ['admin'] }, { ...grace, role: 'admin' }, { ...grace, emailVerified: true }, { ...grace, tenantId: '1' }, { ...grace, plan: 'pro' },
      { ...grace, 'password.hash': 'x' }, { ...grace, email: { $ne: '' } }, { ...grace, password: ['cobol-forever'] }, { ...grace, password: 'short' },
      { ...grace, password: 'password1' }, { ...grace, email: 'a@example.com,b@example.com' }, { ...grace, email: 'a@example.com\r\nBcc: b@example.com' },
    ]; // biome-ignore format: a table
    for (const body of bad) {
      const answer = await anyone().post('/auth/signup', body);
      expect([answer.status, answer.body.code], JSON.stringify(body)).to.deep.equal([
        400,
        'validation_failed',
      ]);
    }
    expect(await counted('tollgate_outbox')).to.equal(0);
    expect(await counted('tollgate_one_time_tokens')).to.equal(0);
  });

  it('stores neither the link nor the password, and nothing of the cookie', async () => {
    const { token } = await signedUp();
    const dump = JSON.stringify(await inspector().collection('tollgate_one_time_tokens').find().toArray());
    expect(dump).to.include('bcrypt').and.not.include(grace.password);
    expect(dump).not.to.include(token.split('.')[1]);
  });

  it('sends the link again on demand, and to nobody else', async () => {
    const { anyone, token, tokenOf, sent, shared } = await signedUp();
    await createUser({ ...shared, email: 'unproved@example.com', password: 'made-by-admin' });
    for (const email of ['nobody@example.com', 'ada@example.com', 'unproved@example.com', grace.email]) {
      await anyone().post('/auth/signup/send-link', { email }).expect(202, { status: 'verification_sent' });
    }
    expect(await tokenOf(grace.email, 'verify-email')).to.equal(token);
    const unproved = await tokenOf('unproved@example.com', 'verify-email');
    await anyone().post('/auth/signup/verify', { token: unproved, password: 'made-by-admin' }).expect(200);
    await anyone()
      .post('/auth/sign-in', { email: 'unproved@example.com', password: 'made-by-admin' })
      .expect(200);
    expect(sent.filter(({ to }) => to === 'nobody@example.com')).to.deep.equal([]);
    expect(await counted('tollgate_outbox')).to.equal(0);
  });

  it('takes the password and the sessions of an unproved account from who made it, when the owner proves the address', async () => {
    const { anyone, as, tokenOf, shared, withHeaders, connection } = await mailWorld();
    await createUser({ ...shared, email: grace.email, password: 'chosen-by-mallory' });
    await anyone().post('/auth/signup/send-link', { email: grace.email }).expect(202);
    const token = await tokenOf(grace.email, 'verify-email');
    const { body } = await anyone().post('/auth/signup/verify', { token }).expect(200);

    await anyone().post('/auth/sign-in', { email: grace.email, password: 'chosen-by-mallory' }).expect(401);
    await withHeaders({ Authorization: `Bearer ${body.accessToken}` })
      .get('/auth/profile')
      .expect(200);
    expect((await Users(connection).findOne({ email: grace.email }).lean())?.password).to.equal(null);
    await (await as('ada@example.com')).get('/auth/profile').expect(200);
  });

  it('sends the link of this browser’s own sign-up again, not that of somebody who came later', async () => {
    const { browser, anyone, token, tokenOf } = await signedUp();
    await anyone()
      .post('/auth/signup', { ...grace, password: 'mallory-was-here', name: 'Mallory' })
      .expect(202);
    await tokenOf(grace.email, 'verify-email');
    await browser.post('/auth/signup/send-link', { email: grace.email }).expect(202);
    expect(await tokenOf(grace.email, 'verify-email')).to.equal(token);
  });

  it('refuses names with line breaks, which would stand in mails and logs', async () => {
    const { anyone } = await mailWorld();
    const { body } = await anyone()
      .post('/auth/signup', { ...grace, name: 'Grace\n\nhttps://evil.example' })
      .expect(400);
    expect(body.errors[0].path).to.equal('name');
  });

  it('is forgotten after a day, by cleanUp()', async () => {
    const { connection, shared } = await signedUp();
    await OneTimeTokens(connection).updateMany(
      { email: grace.email },
      { expiresAt: new Date(Date.now() - 1) },
    );
    expect((await cleanUp(shared)).oneTimeTokens).to.equal(1);
    expect((await cleanUp(shared)).oneTimeTokens).to.equal(0);
    const expired = { purpose: 'otp', createdAt: new Date(0), expiresAt: new Date(1) };
    await inspector()
      .collection('tollgate_one_time_tokens')
      .insertMany(times(2_500, () => ({ ...expired })));
    expect((await cleanUp(shared)).oneTimeTokens).to.equal(2_500);
  });
});

describe('signing up without verification', () => {
  const off = { emailVerification: false };

  it('signs in at once with 201, and the password opens the account from then on', async () => {
    const { anyone } = await world(off);
    const { body, headers } = await anyone()
      .post('/auth/signup', { ...grace, name: 'Grace' })
      .expect(201);
    expect(body.user).to.include({ email: grace.email, emailVerified: false, name: 'Grace' });
    expect(headers.location).to.equal('/auth/profile');
    await anyone().post('/auth/sign-in', grace).expect(200);
    await anyone().post('/auth/signup/send-link', { email: grace.email }).expect(404);
  });

  it('admits one of many who sign up with one address at once, the rest is 409 email_taken', async () => {
    const { anyone, connection } = await world(off);
    const answers = await Promise.all(times(10, () => anyone().post('/auth/signup', grace)));
    expect(countBy(answers, 'status')).to.deep.equal({ 201: 1, 409: 9 });
    expect(await Users(connection).countDocuments({ email: grace.email })).to.equal(1);
  });

  it('ends the sessions and the password of who signed up first when the owner resets it', async () => {
    const made = await mailWorld(off);
    const { body } = await made.anyone().post('/auth/signup', grace).expect(201);
    const mallory = made.withHeaders({ Authorization: `Bearer ${body.accessToken}` });
    await mallory.get('/auth/profile').expect(200);

    await made.anyone().post('/auth/password/forgot', { email: grace.email }).expect(202);
    const token = await made.tokenOf(grace.email, 'reset-password');
    await made.anyone().post('/auth/password/reset', { token, password: 'hers-alone-now' }).expect(204);
    await mallory.get('/auth/profile').expect(401);
    await made.anyone().post('/auth/sign-in', grace).expect(401);
    await made
      .anyone()
      .post('/auth/sign-in', { ...grace, password: 'hers-alone-now' })
      .expect(200);
  });
});
