import Router from '@koa/router';
import { expect } from 'chai';
import Joi from 'joi';
import Koa from 'koa';
import { authenticate, authRouter, createUser, deactivateUser, eraseSubject, isTollgateError, oauthRouter, problems, ready, requireRole, type SharedOptions, type SignedIn, startWorker, Users, updateProfile, userSchema, verifyStytchSession } from '../lib/index.js'; // biome-ignore format: a list
import { mailbox, publicUrl } from './support/mailbox.js';
import { startStytch } from './support/stytch.js';
import { atEnd, clientsOf, connect, countBy, emptyWorld, inspector, serve } from './support/world.js';

const email = 'grace@example.com';
const password = 'cobol-forever';

/** An application of our own router, with a route that shows what its handlers see. */
function app(shared: SharedOptions, userFields: Record<string, Joi.Schema> = {}): Koa {
  const api = new Router<SignedIn>({ prefix: '/api' });
  api.use(authenticate(shared));
  api.get('/state', (ctx) => {
    ctx.body = ctx.state;
  });
  api.get('/desk', requireRole('operator'), (ctx) => {
    ctx.body = { ok: true };
  });
  const served = new Koa().use(problems());
  for (const router of [authRouter({ ...shared, userFields }), oauthRouter(shared), api])
    served.use(router.routes());
  return served;
}

describe('the option showUser', () => {
  it('shapes the user in every answer, from what is public of it, and nothing that handlers see', async () => {
    const given: object[] = [];
    const { shared: base } = await emptyWorld();
    const connection = await connect();
    connection.model(
      'User',
      userSchema.clone().add({ city: String, secret: { type: String, select: false } }),
    );
    await ready(connection);
    const shared = {
      ...base,
      connection,
      emailVerification: false,
      showUser(user: object) {
        given.push(user);
        const { id, city } = user as { id: string; city?: string };
        return { userId: id, city };
      },
    };
    const { anyone, withHeaders } = clientsOf(await serve(app(shared, { city: Joi.string() })));
    const begun = await anyone()
      .post('/auth/signup', { email, password, city: 'Paris', tokenDelivery: 'body' })
      .expect(201);
    const shown = { userId: String((await Users(connection).findOne({ email }).lean())?._id), city: 'Paris' };
    const grace = withHeaders({ Authorization: `Bearer ${begun.body.accessToken}` });
    const { refreshToken } = begun.body;
    for (const answer of [
      begun,
      await anyone().post('/auth/sign-in', { email, password }).expect(200),
      await anyone().post('/auth/refresh', { refreshToken }).expect(200),
      await grace.post('/auth/check', {}).expect(200),
    ])
      expect(answer.body.user).to.deep.equal(shown);
    expect((await grace.get('/auth/profile').expect(200)).body).to.deep.equal(shown);
    const moved = await grace.patch('/auth/profile', { city: 'London' }).expect(200);
    expect(moved.body).to.deep.equal({ ...shown, city: 'London' });

    expect((await grace.get('/api/state').expect(200)).body.user).to.include({ email, city: 'London' });
    expect((await grace.get('/auth/export').expect(200)).body.user).to.include({ email });
    expect(given).to.have.length(6);
    for (const user of given) {
      expect(user).to.be.frozen;
      expect(user).to.have.all.keys(
        'id',
        'email',
        'emailVerified',
        'name',
        'roles',
        'status',
        'createdAt',
        'city',
      );
    }
  });
});

describe('the option showApiKey', () => {
  it('shapes API keys in every answer; the key itself is there once, whatever it gives', async () => {
    const { shared: base } = await emptyWorld();
    const seen: object[] = [];
    const shared = {
      ...base,
      showApiKey(apiKey: { id: string; name: string }) {
        seen.push(apiKey);
        return { label: apiKey.name, key: 'hidden' };
      },
    };
    await createUser({ ...shared, email, password, emailVerified: true });
    const { anyone, withHeaders } = clientsOf(await serve(app(shared)));
    const { body } = await anyone().post('/auth/sign-in', { email, password }).expect(200);
    const grace = withHeaders({ Authorization: `Bearer ${body.accessToken}` });

    const made = await grace.post('/auth/api-keys', { name: 'ci' }).expect(201);
    expect(made.body).to.have.all.keys('label', 'key');
    expect(made.body.key).to.match(/^tg_/);
    const { items } = (await grace.get('/auth/api-keys').expect(200)).body;
    expect(items).to.deep.equal([{ label: 'ci', key: 'hidden' }]);
    const renewed = await grace.post(`${made.headers.location}/rotate`, {}).expect(201);
    expect(renewed.body.key).to.match(/^tg_/).and.not.to.equal(made.body.key);
    const state = (await withHeaders({ 'X-API-Key': renewed.body.key }).get('/api/state').expect(200)).body;
    expect(state.apiKey).to.include({ name: 'ci' });
    for (const apiKey of seen) expect(apiKey).not.to.have.any.keys('key', 'hash', 'user');
  });
});

describe('the option roleNames', () => {
  const roleNames = { user: 'customer', admin: 'operator' };

  it('names the role of everybody who is new, by whichever way they come', async () => {
    const { mail, tokenOf } = mailbox();
    const { stytch, start } = await startStytch();
    const { shared } = await emptyWorld({ roleNames, mail, publicUrl, stytch });
    const { anyone } = clientsOf(await serve(app(shared)));
    const worker = await startWorker({ ...shared, onError: console.error });
    atEnd(() => worker.stop());
    await anyone().post('/auth/signup', { email, password }).expect(202);
    const token = await tokenOf(email, 'verify-email');
    await anyone().post('/auth/signup/verify', { token, password }).expect(200);

    const other = clientsOf(await serve(app({ ...shared, emailVerification: false })));
    await other.anyone().post('/auth/signup', { email: 'at-once@example.com', password }).expect(201);
    await createUser({ ...shared, email: 'made@example.com' });
    await verifyStytchSession({ ...shared, token: start().token });
    const roles = await Users(inspector()).distinct('roles');
    expect(roles).to.deep.equal(['customer']);
    expect(await Users(inspector()).countDocuments()).to.equal(4);

    await createUser({ ...shared, email: 'chosen@example.com', roles: ['user'] });
    expect(await Users(inspector()).countDocuments({ roles: 'user' })).to.equal(1);
  });

  it('names the role of which one must be left, also when the last two go at the same time', async () => {
    const { shared } = await emptyWorld({ roleNames });
    const boss = { roles: ['operator'], emailVerified: true, password };
    const one = await createUser({ ...shared, ...boss, email: 'one@example.com' });
    const two = await createUser({ ...shared, ...boss, email: 'two@example.com' });
    const namesake = await createUser({ ...shared, email, roles: ['admin'] });
    await eraseSubject({ ...shared, subject: { type: 'user', id: namesake.id } }); // means nothing here

    const outcomes = await Promise.all(
      [
        deactivateUser({ ...shared, userId: one.id }),
        eraseSubject({ ...shared, subject: { type: 'user', id: two.id } }),
      ].map((departure) =>
        departure.then(
          () => ({ outcome: 'gone' }),
          (error: unknown) => ({ outcome: isTollgateError(error) ? error.code : String(error) }),
        ),
      ),
    );
    expect(countBy(outcomes, 'outcome')).to.deep.equal({ gone: 1, last_admin: 1 });
    const left = await Users(inspector()).findOne({ roles: 'operator', status: 'active' }).orFail().lean();

    const { anyone, withHeaders } = clientsOf(await serve(app(shared)));
    const { body } = await anyone().post('/auth/sign-in', { email: left.email, password }).expect(200);
    const last = withHeaders({ Authorization: `Bearer ${body.accessToken}` });
    await last.get('/api/desk').expect(200);
    expect((await last.post('/auth/deactivate', {}).expect(409)).body.code).to.equal('last_admin');
    expect((await last.delete('/auth/account').expect(409)).body.code).to.equal('last_admin');
    await updateProfile({ ...shared, userId: String(left._id), name: 'Still here' });
  });

  it('is refused where it would make every new user an administrator', () => {
    for (const wrong of [{ user: 'admin' }, { admin: 'user' }, { user: 'x', admin: 'x' }])
      expect(() => authRouter({ keys: ['x'.repeat(32)], roleNames: wrong })).to.throw(
        TypeError,
        /option roleNames must be two/,
      );
    expect(() => authRouter({ keys: ['x'.repeat(32)], roleNames: { user: '' } })).to.throw(
      TypeError,
      /option roleNames\.user/,
    );
  });
});
