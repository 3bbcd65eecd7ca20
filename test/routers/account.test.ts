import { expect } from 'chai';
import Joi from 'joi';
import Koa from 'koa';
import mongoose from 'mongoose';
import { ApiKeys, AuditEntries, authRouter, cleanUp, createApiKey, createOrganization, createUser, Memberships, OneTimeTokens, Organizations, problems, recordAudit, Sessions, Users, userSchema } from '../../lib/index.js'; // biome-ignore format: a list
import { mailWorld } from '../support/mailbox.js';
import { clientsOf, connect, countBy, emptyWorld, inspector, serve, times, world } from '../support/world.js';

const ada = 'ada@example.com';

describe('/auth/profile', () => {
  it('shows the user, and changes the name', async () => {
    const { as } = await world();
    const client = await as(ada);
    expect((await client.get('/auth/profile').expect(200)).body).to.include({ email: ada, name: 'Ada' });
    const { body } = await client.patch('/auth/profile', { name: 'Ada Lovelace' }).expect(200);
    expect(body.name).to.equal('Ada Lovelace');
    expect((await client.get('/auth/profile')).body.name).to.equal('Ada Lovelace');
    expect((await client.patch('/auth/profile', { name: null })).body.name).to.equal(null);
  });

  it('changes nothing that is not the user’s to decide', async () => {
    const { as, connection } = await world();
    const client = await as(ada);
    for (const body of [
      { roles: ['admin'] },
      { email: 'x@example.com' },
      { emailVerified: false },
      { status: 'inactive' },
      { 'password.hash': 'x' },
      { credentialEpoch: 1 },
      { name: { $ne: 1 } },
    ]) {
      const answer = await client.patch('/auth/profile', body);
      expect([answer.status, answer.body.code], JSON.stringify(body)).to.deep.equal([
        400,
        'validation_failed',
      ]);
    }
    const malformed = await client
      .patch('/auth/profile')
      .set('Content-Type', 'application/json')
      .send('{"__proto__":{"roles":["admin"]}}');
    expect(malformed.status).to.equal(400);
    expect((await Users(connection).findOne({ email: ada }).lean())?.roles).to.deep.equal([
      'user',
      'designer',
    ]);
  });

  it('takes the own fields that the application opens, at sign-up and later, checked by its schema too', async () => {
    const { shared } = await emptyWorld({ emailVerification: false });
    const connection = await connect();
    connection.model(
      'User',
      userSchema
        .clone()
        .add({ city: { type: String, required: true, enum: ['Paris', 'London'] }, credit: Number }),
    );
    const app = new Koa();
    const userFields = { city: Joi.string().required() };
    app.use(problems()).use(authRouter({ ...shared, connection, userFields }).routes());
    const { anyone, withHeaders } = clientsOf(await serve(app));
    const grace = { email: 'grace@example.com', password: 'cobol-forever' };

    expect((await anyone().post('/auth/signup', grace)).body.errors).to.deep.equal([
      { path: 'city', message: 'is required' },
    ]);
    const wrong = await anyone().post('/auth/signup', { ...grace, city: 'Rome' });
    expect([wrong.status, wrong.body.code]).to.deep.equal([400, 'validation_failed']);
    const { body } = await anyone()
      .post('/auth/signup', { ...grace, city: 'Paris' })
      .expect(201);
    expect(body.user.city).to.equal('Paris');

    const client = withHeaders({ Authorization: `Bearer ${body.accessToken}` });
    expect((await client.patch('/auth/profile', { city: 'London' }).expect(200)).body.city).to.equal(
      'London',
    );
    for (const bad of [{ city: 'Rome' }, { credit: 1_000 }])
      await client.patch('/auth/profile', bad).expect(400);
  });
});

describe('/auth/email', () => {
  const fresh = 'countess@example.com';

  it('changes when the link that went to the new address is opened; the old one is told, and the sessions live on', async () => {
    const { as, anyone, tokenOf, next, signIn } = await mailWorld();
    const client = await as(ada);
    await client.post('/auth/email/change', { email: fresh }).expect(202);
    expect((await next(ada, 'email-changing')).text).to.include(fresh);
    const token = await tokenOf(fresh, 'confirm-email');
    expect((await client.get('/auth/profile')).body.email).to.equal(ada);

    await anyone().post('/auth/email/confirm', { token }).expect(204);
    expect((await client.get('/auth/profile').expect(200)).body.email).to.equal(fresh);
    expect((await signIn(ada)).status).to.equal(401);
    await anyone().post('/auth/sign-in', { email: fresh, password: 'lovelace-1815' }).expect(200);
    await anyone().post('/auth/email/confirm', { token }).expect(400);
  });

  it('does not tell who asks that an address is taken, but its owner; taken meanwhile it is 409 email_taken', async () => {
    const { as, anyone, next, tokenOf, shared } = await mailWorld();
    const client = await as(ada);
    await client.post('/auth/email/change', { email: 'bob@example.com' }).expect(202, { status: 'sent' });
    expect((await next('bob@example.com', 'account-exists')).text).not.to.include('http');

    await client.post('/auth/email/change', { email: fresh }).expect(202, { status: 'sent' });
    const token = await tokenOf(fresh, 'confirm-email');
    await createUser({ ...shared, email: fresh });
    const { body } = await anyone().post('/auth/email/confirm', { token }).expect(409);
    expect(body.code).to.equal('email_taken');
  });

  it('makes links and codes that went to the old address die, and its own link dies with a change of password', async () => {
    const { as, anyone, tokenOf, codeOf } = await mailWorld();
    const client = await as(ada);
    await anyone().post('/auth/password/forgot', { email: ada }).expect(202);
    await anyone().post('/auth/otp/send', { email: ada }).expect(202);
    const [reset, code] = [await tokenOf(ada, 'reset-password'), await codeOf(ada)];
    await client.post('/auth/email/change', { email: fresh }).expect(202);
    await client.post('/auth/email/change', { email: 'other@example.com' }).expect(202);
    const other = await tokenOf('other@example.com', 'confirm-email');
    await anyone()
      .post('/auth/email/confirm', { token: await tokenOf(fresh, 'confirm-email') })
      .expect(204);

    await anyone().post('/auth/password/reset', { token: reset, password: 'difference-engine' }).expect(400);
    await anyone().post('/auth/otp/verify', { email: ada, code }).expect(401);
    await anyone().post('/auth/otp/verify', { email: fresh, code }).expect(401);
    await anyone().post('/auth/email/confirm', { token: other }).expect(400);
  });

  it('asks for a recent sign-in', async () => {
    const { as } = await mailWorld({ strict: true });
    const client = await as(ada);
    await inspector()
      .collection('tollgate_sessions')
      .updateMany({}, { $set: { authenticatedAt: new Date(Date.now() - 301_000) } });
    const { body } = await client.post('/auth/email/change', { email: fresh }).expect(401);
    expect(body.code).to.equal('reauthentication_required');
  });
});

/** Somebody who owns nothing, signed in. */
async function grace(made: Awaited<ReturnType<typeof mailWorld>>) {
  const { shared, anyone, withHeaders } = made;
  const person = { email: 'grace@example.com', password: 'cobol-forever' };
  const user = await createUser({ ...shared, ...person, name: 'Grace', emailVerified: true });
  const { body } = await anyone().post('/auth/sign-in', person).expect(200);
  return { ...person, id: user.id, client: withHeaders({ Authorization: `Bearer ${body.accessToken}` }) };
}

describe('POST /auth/deactivate', () => {
  for (const [what, body] of [
    ['the password', { password: 'cobol-forever' }],
    ['a recent sign-in', {}],
  ] as const) {
    it(`takes ${what}, ends every session, and closes the account to every credential`, async () => {
      const made = await mailWorld();
      const { client, email, password } = await grace(made);
      await client.post('/auth/deactivate', { password: 'wrong-guess' }).expect(401);
      await client.post('/auth/deactivate', body).expect(204);
      expect((await client.get('/auth/profile').expect(403)).body.code).to.equal('user_inactive');
      const again = await made.anyone().post('/auth/sign-in', { email, password }).expect(401);
      expect(again.body.code).to.equal('credentials_invalid');
    });
  }

  it('asks for one of them when the sign-in is old', async () => {
    const made = await mailWorld({ strict: true });
    const { client } = await grace(made);
    await inspector()
      .collection('tollgate_sessions')
      .updateMany({}, { $set: { authenticatedAt: new Date(Date.now() - 301_000) } });
    expect((await client.post('/auth/deactivate', {}).expect(401)).body.code).to.equal(
      'reauthentication_required',
    );
    await client.post('/auth/deactivate', { password: 'cobol-forever' }).expect(204);
  });

  it('refuses the last owner of an organization and the last administrator, and changes nothing', async () => {
    const { as, acme } = await mailWorld();
    const { body } = await (await as(ada)).post('/auth/deactivate', {}).expect(409);
    expect(body).to.include({ code: 'last_owner', organizationId: acme });
    const admin = await as('admin@example.com');
    expect((await admin.post('/auth/deactivate', {}).expect(409)).body.code).to.equal('last_admin');
    expect(await inspector().collection('users').countDocuments({ status: 'inactive' })).to.equal(0);
    await admin.get('/auth/profile').expect(200);
  });

  it('leaves an owner and an administrator when two go at once, however often', async () => {
    const made = await mailWorld();
    const { shared, connection, withHeaders, anyone } = made;
    for (const round of times(8, (index) => index)) {
      await Users(connection).updateMany({ roles: 'admin' }, { status: 'inactive' });
      const pair = await Promise.all(
        ['a', 'b'].map(async (name) => {
          const person = { email: `${name}${round}@example.com`, password: 'two-of-a-kind' };
          const { id } = await createUser({ ...shared, ...person, emailVerified: true, roles: ['admin'] });
          const { body } = await anyone().post('/auth/sign-in', person).expect(200);
          return { id, client: withHeaders({ Authorization: `Bearer ${body.accessToken}` }) };
        }),
      );
      const [first, second] = pair as [(typeof pair)[0], (typeof pair)[0]];
      const { id } = await createOrganization({
        connection,
        name: 'Two',
        slug: `two-${round}`,
        owner: first.id,
      });
      const organization = new mongoose.Types.ObjectId(id);
      await Memberships(connection).insertMany([
        { organization, user: new mongoose.Types.ObjectId(second.id), role: 'owner', teams: [] },
      ]);
      await Organizations(connection).updateOne({ _id: organization }, { owners: 2, members: 2 });

      const answers = await Promise.all(pair.map(({ client }) => client.post('/auth/deactivate', {})));
      expect(countBy(answers, 'status')).to.deep.equal({ 204: 1, 409: 1 });
      expect((await Organizations(connection).findById(organization).lean())?.owners).to.equal(1);
      expect(await Users(connection).countDocuments({ roles: 'admin', status: 'active' })).to.equal(1);
    }
  });
});

describe('GET /auth/export', () => {
  it('gives all that is held of a user, and no secret', async () => {
    const made = await mailWorld();
    const { client, id } = await grace(made);
    await createApiKey({ ...made.shared, userId: id, name: 'robot' });
    await createOrganization({ connection: made.connection, name: 'Navy', slug: 'navy', owner: id });
    const { body } = await client.get('/auth/export').expect(200);
    expect(body.user).to.include({ id, email: 'grace@example.com' });
    expect(body.credentials).to.deep.include({ password: true, totp: false, identities: [], passkeys: [] });
    const counts = Object.fromEntries(
      ['sessions', 'apiKeys', 'memberships'].map((part) => [part, body[part].length]),
    );
    expect(counts).to.deep.equal({ sessions: 1, apiKeys: 1, memberships: 1 });
    expect(body.auditEntries.map(({ action }: { action: string }) => action)).to.include.members([
      'user.signed-in',
      'organization.created',
    ]);
    expect(JSON.stringify(body)).not.to.match(/hash|\$2[aby]\$|currentHash/i);
  });
});

describe('DELETE /auth/account', () => {
  it('erases the user and everything of theirs; of the audit log stays who did what and when', async () => {
    const made = await mailWorld();
    const { connection, next } = made;
    const { client, id, email } = await grace(made);
    await createApiKey({ ...made.shared, userId: id, name: 'robot' });
    await made.anyone().post('/auth/password/forgot', { email }).expect(202);
    await next(email, 'reset-password');

    await client.delete('/auth/account').expect(202, { status: 'erased' });
    expect((await client.get('/auth/profile').expect(401)).body.code).to.equal('session_revoked');
    await next(email, 'account-erased');
    const user = new mongoose.Types.ObjectId(id);
    expect(await Users(connection).countDocuments({ _id: user })).to.equal(0);
    for (const model of [Sessions, ApiKeys, OneTimeTokens, Memberships]) {
      const left = await inspector().collection(model(connection).collection.name).countDocuments({ user });
      expect(left, model(connection).modelName).to.equal(0);
    }
    const entries = await AuditEntries(connection).find({ actor: id }).lean();
    expect(entries.map(({ action }) => action)).to.include.members(['user.signed-in', 'user.erased']);
    for (const entry of entries) expect(entry).to.not.have.any.keys('ip', 'userAgent');
    expect(JSON.stringify(entries)).not.to.include(email);
    await made.anyone().post('/auth/signup', { email, password: 'a-new-beginning' }).expect(202);
  });

  it('leaves where an administrator acted from, who cannot cover tracks by it', async () => {
    const made = await mailWorld();
    const { client, id } = await grace(made);
    const target = { type: 'user', id };
    await recordAudit({
      connection: made.connection,
      action: 'user.roles-changed',
      actor: 'a'.repeat(24),
      target,
      ip: '192.0.2.66',
      details: { to: 'Grace' },
    });
    await client.delete('/auth/account').expect(202);
    const entry = await AuditEntries(made.connection).findOne({ action: 'user.roles-changed' }).lean();
    expect(entry).to.deep.include({ ip: '192.0.2.66', details: {} });
  });

  it('is ended by cleanUp() when the process died before the audit log was clear', async () => {
    const { connection, shared } = await mailWorld();
    await AuditEntries(connection).insertMany([
      { at: new Date(), action: 'user.signed-in', actor: 'f'.repeat(24), ip: '192.0.2.1' },
    ]);
    await inspector()
      .collection<{ _id: string }>('tollgate_erasures')
      .insertOne({ _id: 'f'.repeat(24), at: new Date() } as never);
    expect((await cleanUp(shared)).erasures).to.equal(1);
    expect(
      (
        await AuditEntries(connection)
          .findOne({ actor: 'f'.repeat(24) })
          .lean()
      )?.ip,
    ).to.equal(undefined);
    expect((await cleanUp(shared)).erasures).to.equal(0);
  });

  it('refuses the last owner of an organization, and asks for a recent sign-in', async () => {
    const { as, connection } = await mailWorld({ strict: true });
    const client = await as(ada);
    expect((await client.delete('/auth/account').expect(409)).body.code).to.equal('last_owner');
    await inspector()
      .collection('tollgate_sessions')
      .updateMany({}, { $set: { authenticatedAt: new Date(Date.now() - 301_000) } });
    expect((await client.delete('/auth/account').expect(401)).body.code).to.equal(
      'reauthentication_required',
    );
    expect(await Users(connection).countDocuments({ email: ada })).to.equal(1);
  });

  it('takes a member who goes out of the count of the organization', async () => {
    const made = await mailWorld();
    const { client, id } = await grace(made);
    const organization = new mongoose.Types.ObjectId(made.acme);
    await Memberships(made.connection).insertMany([
      { organization, user: new mongoose.Types.ObjectId(id), role: 'member', teams: [] },
    ]);
    const before = (
      await Organizations(made.connection)
        .findByIdAndUpdate(organization, { $inc: { members: 1 } })
        .lean()
    )?.members;
    await client.delete('/auth/account').expect(202);
    expect((await Organizations(made.connection).findById(organization).lean())?.members).to.equal(before);
  });
});

describe('what is switched off', () => {
  it('has no route, and neither have its parts', async () => {
    const { shared } = await emptyWorld({ mail: async () => {}, publicUrl: 'http://app.example.com' });
    const routes = (features: object) =>
      authRouter({ ...shared, features }).stack.map(({ path, methods }) => `${methods.at(-1)} ${path}`);
    const all = routes({});
    expect(all).to.include.members([
      'POST /auth/sign-in',
      'POST /auth/signup',
      'POST /auth/otp/send',
      'PATCH /auth/profile',
    ]);
    const gone = (features: object) => {
      const left = routes(features);
      return all.filter((route) => !left.includes(route));
    };
    expect(gone({ otp: false })).to.deep.equal(['POST /auth/otp/send', 'POST /auth/otp/verify']);
    expect(gone({ password: false }).sort()).to.deep.equal(
      ['POST /auth/password/change', 'POST /auth/password/forgot', 'POST /auth/password/reset', 'POST /auth/password/verify-token', 'POST /auth/sign-in', 'POST /auth/signup', 'POST /auth/signup/send-link', 'POST /auth/signup/verify'],
    ); // biome-ignore format: a list
    expect(gone({ account: false })).to.deep.equal([
      'POST /auth/deactivate',
      'GET /auth/export',
      'DELETE /auth/account',
    ]);
    expect(gone({ erasure: false })).to.deep.equal(['DELETE /auth/account']);
    expect(gone({ sessions: false })).to.have.length(3);
    expect(routes({ password: false, signUp: true })).to.deep.equal(routes({ password: false }));
  });

  it('needs mail where it needs mail, and says so', async () => {
    const { shared } = await emptyWorld();
    expect(() => authRouter({ ...shared, features: { otp: true } })).to.throw(
      TypeError,
      /features\.otp needs mail/,
    );
    expect(() => authRouter({ ...shared, mail: async () => {} })).to.throw(
      TypeError,
      /publicUrl is required/,
    );
    expect(() => authRouter({ ...shared, features: { opt: true } as object })).to.throw(TypeError, /opt/);
    const paths = authRouter(shared).stack.map(({ path }) => path);
    expect(paths).to.not.include.members(['/auth/otp/send']).and.not.include.members(['/auth/signup']);
  });

  it('is judged apart for two routers of one process', async () => {
    const { shared } = await emptyWorld();
    const [one, two] = [authRouter({ ...shared, features: { apiKeys: false } }), authRouter(shared)];
    expect(two.stack.length).to.be.greaterThan(one.stack.length);
  });
});
