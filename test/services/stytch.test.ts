import { inspect } from 'node:util';
import { expect } from 'chai';
import {
  AuditEntries,
  announceChange,
  createApiKey,
  createUser,
  isTollgateError,
  type StytchSignedIn,
  signIn,
  type TollgateError,
  Users,
  verifyStytchSession,
} from '../../lib/index.js';
import type { StytchOptions } from '../../lib/runtime/stytch-options.js';
import { type SessionFacts, startStytch } from '../support/stytch.js';
import { connect, countBy, emptyWorld, inspector, times, until } from '../support/world.js';

/** A Stytch, and the service that asks it; `outcome` says what came of it in a word. */
async function stytchWorld(options: Partial<StytchOptions> = {}) {
  const { connection, shared } = await emptyWorld();
  const server = await startStytch(options);
  const verify = (token: string, more: object = {}): Promise<StytchSignedIn> =>
    verifyStytchSession({ ...shared, stytch: server.stytch, token, ...more });
  const outcome = (token: string, more: object = {}): Promise<string> =>
    verify(token, more).then(
      () => 'ok',
      (error: TollgateError) => error.code ?? error.message,
    );
  return { connection, shared, ...server, verify, outcome };
}

const refusalOf = (work: Promise<unknown>): Promise<TollgateError> =>
  work.then(
    () => expect.fail('was not refused'),
    (error) => error,
  );

const member = (email: string, facts: Record<string, unknown> = {}): SessionFacts => ({
  member: { email_address: email, ...facts },
});

describe('verifyStytchSession()', () => {
  describe('knows a genuine session', () => {
    it('by its token and by its JWT, and says what Stytch says of it', async () => {
      const { verify, start, stytch } = await stytchWorld();
      const authentication_factors = [{ type: 'password' }, { type: 'otp' }, { type: 'otp' }];
      const custom_claims = { seat: { row: 7 } };
      const started = start({ session: { authentication_factors, custom_claims } });
      const { member_id, organization_id, member_session_id, expires_at } = started.session;

      const { user, stytch: found } = await verify(started.token);

      expect(found).to.deep.include({
        memberId: member_id,
        organizationId: organization_id,
        sessionId: member_session_id,
        factors: ['password', 'otp'],
        roles: ['stytch_member'],
        claims: custom_claims,
        isExpired: false,
        raw: started.session,
      });
      expect(found.expiresAt).to.deep.equal(new Date(expires_at));
      expect(found.secondsLeft).to.be.within(3_590, 3_600);
      expect([found, found.raw, found.claims.seat, found.factors].every(Object.isFrozen)).to.equal(true);
      expect(user).to.deep.include({
        email: started.member.email_address,
        emailVerified: true,
        name: 'Grace Hopper',
      });
      expect((await verify(started.jwt)).user.id).to.equal(user.id);
      expect(await inspector().collection('users').findOne({ email: user.email })).to.have.nested.include({
        'identities[0].issuer': `stytch:${stytch.projectId}`,
        'identities[0].subject': member_id,
      });
    });

    it('without asking again until cacheTtl is over, and each time with strict', async () => {
      const { verify, start, calls } = await stytchWorld({ cacheTtl: 1 });
      const { token } = start();
      for (let index = 0; index < 5; index += 1) await verify(token);
      expect(calls).to.deep.equal([{ session_token: token }]);
      await verify(token, { strict: true });
      expect(calls).to.have.length(2);
      await until(async () => {
        await verify(token);
        return calls.length === 3;
      });
    });

    it('with one call for all who ask at the same time', async () => {
      const { verify, start, calls } = await stytchWorld();
      const { token } = start();
      const found = await Promise.all(times(10, () => verify(token)));
      expect(calls).to.have.length(1);
      expect(new Set(found.map(({ user }) => user.id)).size).to.equal(1);
    });
  });

  describe('remembers', () => {
    it('what it knew when a strict call fails, and asks nothing for it', async () => {
      const { outcome, start, become, calls } = await stytchWorld({ retries: 0 });
      const { token } = start();
      expect(await outcome(token)).to.equal('ok');
      become('failing');
      expect(await outcome(token, { strict: true })).to.equal('identity_provider_unavailable');
      expect(await outcome(token)).to.equal('ok');
      expect(calls).to.have.length(2);
    });

    it('nothing with strict, but those who ask at the same time share one call', async () => {
      const { verify, start, calls } = await stytchWorld();
      const { token } = start();
      await Promise.all(times(10, () => verify(token, { strict: true })));
      expect(calls).to.have.length(1);
      await verify(token, { strict: true });
      expect(calls).to.have.length(2);
    });
  });

  it('takes null for what Stytch may leave out', async () => {
    const { verify, start } = await stytchWorld();
    const session = { roles: null, authentication_factors: null, custom_claims: null };
    const { user, stytch } = await verify(start({ member: { name: null }, session }).token);
    expect(user.name).to.equal(null);
    expect(stytch).to.deep.include({ roles: [], factors: [], claims: {} });
  });

  it('counts unknown tokens in the budget of the address that it is told, and nowhere without one', async () => {
    const { shared, outcome, calls } = await stytchWorld();
    const counting = { ...shared, credentialRate: '2/minute' };
    const ask = (text: string, more: object = {}) => outcome(text, { ...counting, ...more });
    const mallory = { ip: '203.0.113.7' };
    for (const text of ['one', 'two']) expect(await ask(text, mallory)).to.equal('session_revoked');
    expect(await ask('three', mallory)).to.equal('rate_limited');
    for (const text of ['four', 'five', 'six']) expect(await ask(text)).to.equal('session_revoked');
    expect(calls).to.have.length(5);
  });

  describe('refuses', () => {
    it('to send Stytch what is written like a token of ours', async () => {
      const { outcome, shared, calls } = await stytchWorld();
      const { id: userId } = await createUser({ ...shared, email: 'ada@example.com', emailVerified: true });
      const { key } = await createApiKey({ ...shared, userId, name: 'nightly build' });
      for (const text of [key, key.slice(0, 30), `${'a'.repeat(24)}.x`])
        expect(await outcome(text), text).to.equal('token_invalid');
      expect(calls).to.deep.equal([]);
    });

    it('what Stytch never made or does not know any more, without asking about it again and again', async () => {
      const { outcome, start, revoke, calls } = await stytchWorld();
      const { token } = start();
      revoke(token);
      for (let index = 0; index < 3; index += 1) {
        expect(await outcome(token)).to.equal('session_revoked');
        expect(await outcome('a.b.c')).to.equal('token_invalid');
        expect(await outcome('x'.repeat(5_000))).to.equal('token_invalid');
      }
      expect(calls).to.have.length(2);
    });

    it('a session that is revoked, at once with strict and then also from memory', async () => {
      const { outcome, start, revoke } = await stytchWorld();
      const { token } = start();
      expect(await outcome(token)).to.equal('ok');
      revoke(token);
      expect(await outcome(token, { strict: true })).to.equal('session_revoked');
      expect(await outcome(token)).to.equal('session_revoked');
    });

    it('a session as soon as it has expired, however long it may be remembered', async () => {
      const { outcome, start, calls } = await stytchWorld();
      const { token } = start({ expiresIn: 1 });
      expect(await outcome(token)).to.equal('ok');
      await until(async () => (await outcome(token)) === 'session_revoked');
      expect(calls).to.have.length.at.most(3);
      expect(await outcome(start({ expiresIn: -1 }).token)).to.equal('session_revoked');
    });

    it('a session of an organization that is not among organizationIds', async () => {
      const { outcome, start } = await stytchWorld({ organizationIds: ['organization-test-acme'] });
      expect(await outcome(start().token)).to.equal('ok');
      expect(await outcome(start({ member: { organization_id: 'organization-test-evil' } }).token)).to.equal(
        'token_invalid',
      );
      expect(await Users(inspector()).countDocuments()).to.equal(1);
    });

    it('to take a wrong secret of the project for a wrong session', async () => {
      const { outcome, start, stytch, calls } = await stytchWorld();
      const wrong = { stytch: { ...stytch, secret: 'wrong' } };
      expect(await outcome(start().token, wrong)).to.equal('identity_provider_unavailable');
      expect(calls).to.have.length(1);
    });

    it('an answer without a session, and one that is none', async () => {
      const { outcome, start } = await stytchWorld({ retries: 0 });
      expect(await outcome(start({ session: { expires_at: 'soon' } }).token)).to.equal(
        'identity_provider_unavailable',
      );
      expect(await outcome(start({ session: { member_id: undefined } }).token)).to.equal(
        'identity_provider_unavailable',
      );
      expect(await outcome(start({ session: { custom_claims: ['a'] } }).token)).to.equal(
        'identity_provider_unavailable',
      );
    });
  });

  describe('while Stytch fails', () => {
    it('repeats a call that is answered with 500, and goes on when it is answered', async () => {
      const { outcome, start, failTimes, calls } = await stytchWorld();
      failTimes(2);
      expect(await outcome(start().token)).to.equal('ok');
      expect(calls).to.have.length(3);
    });

    it('gives up after as many retries as it is told, with 503 and Retry-After, and remembers no failure', async () => {
      const { verify, outcome, start, become, calls } = await stytchWorld({ retries: 1 });
      const { token } = start();
      become('failing');
      const refusal = await refusalOf(verify(token));
      expect(refusal).to.include({ code: 'identity_provider_unavailable', status: 503 });
      expect(refusal.headers).to.include({ 'Retry-After': '1' });
      expect(calls).to.have.length(2);
      become('up');
      expect(await outcome(token)).to.equal('ok');
    });

    it('answers 503 where nobody listens, and within timeout where nobody answers', async () => {
      const { outcome, start, become, stop, restart } = await stytchWorld({ timeout: 1 });
      const { token } = start();
      await stop();
      expect(await outcome(token)).to.equal('identity_provider_unavailable');
      await restart();
      become('silent');
      const began = performance.now();
      expect(await outcome(token)).to.equal('identity_provider_unavailable');
      expect(performance.now() - began).to.be.within(900, 1_900);
    });

    it('does not ask for a while when calls keep failing, lets through who is known, and begins again by itself', async () => {
      const { verify, outcome, start, become, calls } = await stytchWorld({ timeout: 1, retries: 0 });
      const known = start();
      expect(await outcome(known.token)).to.equal('ok');
      become('failing');
      await Promise.all(times(10, () => outcome(start().token)));
      const asked = calls.length;
      const refusal = await refusalOf(verify(start().token));
      expect(refusal).to.include({ code: 'identity_provider_unavailable' });
      expect(refusal.headers).to.include({ 'Retry-After': '1' });
      expect(calls).to.have.length(asked);
      expect(await outcome(known.token)).to.equal('ok');
      become('up');
      await until(async () => (await outcome(start().token)) === 'ok');
      expect(await Promise.all(times(5, () => outcome(start().token)))).to.deep.equal(times(5, () => 'ok'));
    });

    it('asks on when it is told to ask less, or cannot read the answers about one odd member', async () => {
      const { verify, outcome, start, become, calls } = await stytchWorld({ timeout: 1, retries: 0 });
      const odd = start(member('odd@example.com', { name: 7 })).token;
      for (let index = 0; index < 12; index += 1)
        expect(await outcome(odd)).to.equal('identity_provider_unavailable');
      expect(await outcome(start().token)).to.equal('ok');
      become('limiting');
      for (let index = 0; index < 12; index += 1) {
        const refusal = await refusalOf(verify(start().token));
        expect(refusal).to.include({ code: 'identity_provider_unavailable' });
        expect(refusal.headers).to.include({ 'Retry-After': '10' });
      }
      become('up');
      expect(await outcome(start().token)).to.equal('ok');
      expect(calls).to.have.length(26);
    });

    it('names no token and no secret in what it throws', async () => {
      const { verify, start, stytch, become, stop } = await stytchWorld({ timeout: 1, retries: 0 });
      const { token } = start();
      const refusals: unknown[] = [];
      const collect = async (text: string) => refusals.push(await refusalOf(verify(text)));
      await collect('unknown-to-stytch-and-secret');
      become('failing');
      await collect(token);
      become('silent');
      await collect(token);
      await stop();
      await collect(token);
      const written = refusals.map((refusal) => inspect(refusal, { depth: 20, showHidden: true })).join();
      for (const hidden of [token, 'unknown-to-stytch-and-secret', stytch.secret]) {
        expect(written).not.to.include(hidden);
      }
      expect(written).to.include('internal_server_error (request-id-test-2)');
    });
  });

  describe('gives a member a user', () => {
    it('once, however many requests of two connections see the member first at once', async () => {
      const { verify, connection, start, calls } = await stytchWorld();
      const sessions = times(8, () => start(member('grace@example.com', { member_id: 'member-test-grace' })));
      const other = await connect();
      const found = await Promise.all(
        sessions.map(({ token }, index) => verify(token, { connection: index % 2 ? other : connection })),
      );
      expect(calls).to.have.length(8);
      expect(new Set(found.map(({ user }) => user.id)).size).to.equal(1);
      expect(await Users(inspector()).countDocuments()).to.equal(1);
      const entries = await AuditEntries(inspector()).find().lean();
      expect(countBy(entries, 'action')).to.deep.equal({ 'user.created': 1, 'identity.linked': 1 });
    });

    it('not when the address is not verified, is none, or with autoProvision off', async () => {
      const { outcome, start, stytch } = await stytchWorld();
      const unverified = start(member('grace@example.com', { email_address_verified: false }));
      expect(await outcome(unverified.token)).to.equal('email_unverified');
      expect(await outcome(start(member('grace@@example.com')).token)).to.equal('email_unverified');
      const closed = { stytch: { ...stytch, autoProvision: false } };
      expect(await outcome(start(member('grace@example.com')).token, closed)).to.equal('token_invalid');
      expect(await Users(inspector()).countDocuments()).to.equal(0);
    });

    it('but never one whose verified address is equal, unless linkByEmail says so', async () => {
      const { outcome, verify, shared, start, stytch } = await stytchWorld();
      const grace = await createUser({ ...shared, email: 'grace@example.com', emailVerified: true });
      const { token } = start(member('Grace@Example.com'));
      expect(await outcome(token)).to.equal('email_taken');
      const linking = { stytch: { ...stytch, linkByEmail: true } };
      expect((await verify(token, linking)).user.id).to.equal(grace.id);
      expect(await outcome(token)).to.equal('ok');
      const elsewhere = start(member('grace@example.com', { organization_id: 'organization-test-other' }));
      expect((await verify(elsewhere.token, linking)).user.id).to.equal(grace.id);
    });

    it('who had signed up with the address unproved, without the password and the sessions of whoever did that', async () => {
      const { verify, shared, start } = await stytchWorld();
      const password = 'of somebody else';
      const squatter = await createUser({ ...shared, email: 'grace@example.com', password });
      const { user } = await verify(start(member('grace@example.com')).token);
      expect(user).to.include({ id: squatter.id, emailVerified: true });
      const refusal = await refusalOf(signIn({ ...shared, email: 'grace@example.com', password }));
      expect(refusal).to.include({ code: 'credentials_invalid' });
    });

    it('who stays the same when the address changes, at Stytch or here', async () => {
      const { connection, verify, start } = await stytchWorld();
      const first = await verify(start(member('grace@example.com', { member_id: 'member-test-1' })).token);
      const again = start(member('hopper@example.com', { member_id: 'member-test-1' }));
      expect((await verify(again.token)).user).to.deep.equal(first.user);
      await Users(connection).updateOne({ email: 'grace@example.com' }, { email: 'admiral@example.com' });
      expect((await verify(again.token, { strict: true })).user.id).to.equal(first.user.id);
    });

    it('whose deactivation counts on the next request, and whose unlinking too', async () => {
      const { connection, outcome, verify, start } = await stytchWorld();
      const { token } = start(member('grace@example.com'));
      const { user } = await verify(token);
      const set = async (change: object) => {
        await Users(connection).updateOne({ email: 'grace@example.com' }, change);
        await announceChange({ connection, subjects: [{ type: 'user', id: user.id }] });
      };
      await set({ status: 'inactive' });
      expect(await outcome(token)).to.equal('user_inactive');
      expect(isTollgateError(await refusalOf(verify(token)), 'user_inactive')).to.equal(true);
      await set({ status: 'active' });
      expect(await outcome(token)).to.equal('ok');
      await set({ $unset: { identities: 1 } });
      expect(await outcome(token)).to.equal('email_taken');
    });
  });
});
