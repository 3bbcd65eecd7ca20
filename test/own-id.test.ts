import { randomBytes, randomInt, randomUUID } from 'node:crypto';
import { expect } from 'chai';
import { type Connection, Schema } from 'mongoose';
import { generateSync } from 'otplib';
import { demoApp } from '../examples/demo/app.js';
import { AuditEntries, assignPlan, createOrganization, createUser, eraseSubject, exportSubject, isTollgateError, listApiKeys, listSessions, Memberships, membershipSchema, ready, revokeSessions, Sessions, type SharedOptions, startWorker, syncPlans, Users, updatePlanLimits, updateProfile, userSchema } from '../lib/index.js'; // biome-ignore format: a list
import { mailbox, publicUrl } from './support/mailbox.js';
import { startStytch } from './support/stytch.js';
import { atEnd, clientsOf, connect, emptyWorld, inspector, serve } from './support/world.js';

const { UUID } = Schema.Types;

/** Ways in which an application may number its users, by MongoDB's name of the type. */
const kinds = {
  string: { type: String, required: true, default: () => `user ${randomBytes(9).toString('base64url')}` },
  binData: { type: UUID, default: () => randomUUID() },
  int: { type: Number, default: () => randomInt(1, 2 ** 31) },
} as const;

type Kind = keyof typeof kinds;

/** Texts that are ids of nobody, or of somebody but not written as we write it. */
const strange = (id: string): string[] => ['', '0', ' ', ` ${id}`, `${id} `, `0${id}`, '{"$ne":1}', 'null', '[object Object]', 'x'.repeat(5_000), id.replace(/[a-f]/i, (letter) => letter === letter.toLowerCase() ? letter.toUpperCase() : letter.toLowerCase()),].filter((text) => text !== id); // biome-ignore format: a list

const email = 'grace@example.com';
const password = 'cobol-forever';
const plans = { free: { name: 'Free', tier: 0, default: true, features: { searches: { limit: 3, per: 'day' } } } } as const; // biome-ignore format: one line

/** A connection whose users have ids of that kind, with every index, and what factories share. */
async function connected(kind: Kind, options: Partial<SharedOptions> = {}) {
  const { shared } = await emptyWorld(options);
  const connection = await connect();
  connection.model('User', userSchema.clone().add({ _id: kinds[kind] }));
  await ready(connection);
  await syncPlans({ connection, plans });
  return { ...shared, connection } satisfies SharedOptions;
}

/** Its demo application, with Grace, who has signed up. */
async function signedUp(kind: Kind, options: Partial<SharedOptions> = {}) {
  const shared = await connected(kind, { emailVerification: false, ...options });
  const clients = clientsOf(await serve(demoApp(shared)));
  const { body } = await clients.anyone().post('/auth/signup', { email, password }).expect(201);
  const grace = clients.withHeaders({ Authorization: `Bearer ${body.accessToken}` });
  return { shared, ...clients, grace, id: body.user.id as string };
}

/** The types that a path has in a collection, as MongoDB names them. */
async function typesOf(collection: string, path: string): Promise<string[]> {
  const stages = [{ $group: { _id: { $type: `$${path}` } } }];
  const found = await inspector().collection(collection).aggregate(stages).toArray();
  return found.map(({ _id }) => _id);
}

async function codeOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return 'nothing was refused';
  } catch (error) {
    if (!isTollgateError(error)) throw error;
    return error.code;
  }
}

for (const kind of Object.keys(kinds) as Kind[]) {
  describe(`users with an _id of the type ${kind}`, () => {
    it('sign up, sign in, refresh, and end their other sessions', async () => {
      const { anyone, withHeaders, grace, id } = await signedUp(kind);
      expect((await grace.post('/auth/check', {}).expect(200)).body.user.id).to.equal(id);
      const { body } = await anyone()
        .post('/auth/sign-in', { email, password, tokenDelivery: 'body' })
        .expect(200);
      const refreshed = await anyone().post('/auth/refresh', { refreshToken: body.refreshToken }).expect(200);
      expect(refreshed.body.user.id).to.equal(id);
      const there = withHeaders({ Authorization: `Bearer ${refreshed.body.accessToken}` });

      expect((await there.get('/auth/sessions').expect(200)).body.items).to.have.length(2);
      await there.delete('/auth/sessions').expect(204);
      expect((await grace.get('/auth/profile').expect(401)).body.code).to.equal('session_revoked');
      expect((await there.patch('/auth/profile', { name: 'Grace Hopper' }).expect(200)).body).to.include({
        id,
        name: 'Grace Hopper',
      });
      expect((await there.get('/api/me').expect(200)).body.user).to.include({ id, name: 'Grace Hopper' });
      expect(await typesOf('users', '_id')).to.deep.equal([kind]);
      expect(await typesOf('tollgate_sessions', 'user')).to.deep.equal([kind]);
    });

    it('make API keys, bind them to their organization, replace and delete them', async () => {
      const { shared, withHeaders, grace, id } = await signedUp(kind);
      const acme = await createOrganization({ ...shared, name: 'Acme', slug: 'acme', owner: id });
      const made = await grace.post('/auth/api-keys', { name: 'ci', organizationId: acme.id }).expect(201);
      const by = (key: string) => withHeaders({ 'X-API-Key': key });
      const { body } = await by(made.body.key).get('/api/me').expect(200);
      expect(body).to.deep.include({ team: null }).and.to.have.nested.property('organization.id', acme.id);
      expect(body.user.id).to.equal(id);

      const next = await grace.post(`/auth/api-keys/${made.body.id}/rotate`, {}).expect(201);
      await by(made.body.key).get('/api/me').expect(401);
      await by(next.body.key).get('/api/me').expect(200);
      expect((await grace.get('/auth/api-keys').expect(200)).body.items).to.have.length(2);
      await grace.delete(`/auth/api-keys/${next.body.id}`).expect(204);
      await by(next.body.key).get('/api/me').expect(401);
      expect(await typesOf('tollgate_api_keys', 'user')).to.deep.equal([kind]);
    });

    it('own organizations, and spend quotas of their own', async () => {
      const { shared, grace, id } = await signedUp(kind);
      const acme = await createOrganization({ ...shared, name: 'Acme', slug: 'acme', owner: id });
      const { items } = (await grace.get('/organizations').expect(200)).body;
      expect(items).to.deep.equal([{ ...acme, role: 'owner', plan: 'free' }]);
      expect((await grace.get('/api/me').expect(200)).body.organization.id).to.equal(acme.id);
      expect(await typesOf('memberships', 'user')).to.deep.equal([kind]);

      await assignPlan({ ...shared, subject: { type: 'user', id }, plan: 'free' });
      for (const remaining of [2, 1, 0])
        expect((await grace.post('/api/searches', {}).expect(200)).body.remaining).to.equal(remaining);
      expect((await grace.post('/api/searches', {}).expect(429)).body.code).to.equal('quota_exceeded');
    });

    it('are held to their own limits and organization in strict mode', async () => {
      const { shared, grace, id } = await signedUp(kind, { strict: true });
      const acme = await createOrganization({ ...shared, name: 'Acme', slug: 'acme', owner: id });
      await updatePlanLimits({ ...shared, subject: { type: 'user', id }, limits: { searches: 1 } });
      expect((await grace.get('/api/me').expect(200)).body.organization.id).to.equal(acme.id);
      expect((await grace.post('/api/searches', {}).expect(200)).body.remaining).to.equal(0);
      expect((await grace.post('/api/searches', {}).expect(429)).body.limit).to.equal(1);
    });

    it('prove a second factor, and prove again who they are', async () => {
      const { shared, anyone, grace, id } = await signedUp(kind);
      const { secret } = (await grace.post('/auth/totp', {}).expect(201)).body;
      const code = (steps: number) =>
        generateSync({ secret, epoch: Math.floor(Date.now() / 1000) + 30 * steps });
      await grace.post('/auth/totp/confirm', { code: code(-1) }).expect(200);
      const { challenge } = (await anyone().post('/auth/sign-in', { email, password }).expect(401)).body;
      const { body } = await anyone()
        .post('/auth/second-factor', { challenge, code: code(0) })
        .expect(200);
      expect(body.user.id).to.equal(id);
      await grace.post('/auth/reauthenticate', { code: code(1) }).expect(204);
      await grace.delete('/auth/totp').expect(204);
      const change = { currentPassword: password, newPassword: 'fortran-never' };
      await grace.post('/auth/password/change', change).expect(204);
      expect((await listSessions({ ...shared, userId: id, limit: 10 })).items).to.have.length(1);
    });

    it('get mails with links and codes that are theirs', async () => {
      const { mail, tokenOf, codeOf: codeIn } = mailbox();
      const shared = await connected(kind, { mail, publicUrl });
      const worker = await startWorker({ ...shared, onError: console.error });
      atEnd(() => worker.stop());
      const { anyone } = clientsOf(await serve(demoApp(shared)));
      await anyone().post('/auth/signup', { email, password }).expect(202);
      const verified = await anyone()
        .post('/auth/signup/verify', { token: await tokenOf(email, 'verify-email'), password })
        .expect(200);
      await anyone().post('/auth/password/forgot', { email }).expect(202);
      const token = await tokenOf(email, 'reset-password');
      expect(await typesOf('tollgate_one_time_tokens', 'user')).to.include(kind);
      await anyone().post('/auth/password/reset', { token, password: 'fortran-never' }).expect(204);
      await anyone().post('/auth/otp/send', { email }).expect(202);
      const { body } = await anyone()
        .post('/auth/otp/verify', { email, code: await codeIn(email) })
        .expect(200);
      expect(body.user.id).to.equal(verified.body.user.id);
    });

    it('come with a session of Stytch, and are made for it', async () => {
      const { stytch, start } = await startStytch();
      const shared = await connected(kind, { stytch });
      const { withHeaders } = clientsOf(await serve(demoApp(shared)));
      const { token } = start();
      const member = withHeaders({ Authorization: `Bearer ${token}` });
      const first = await member.get('/api/me').expect(200);
      const again = await member.get('/api/me').expect(200);
      expect(again.body.user).to.deep.equal(first.body.user);
      expect(await typesOf('users', '_id')).to.deep.equal([kind]);
    });

    it('are exported whole, and erased without a trace', async () => {
      const { shared, grace, id } = await signedUp(kind);
      await grace.post('/auth/api-keys', { name: 'ci' }).expect(201);
      await grace.post('/api/searches', {}).expect(200);
      const { body } = await grace.get('/auth/export').expect(200);
      expect(body.user.id).to.equal(id);
      for (const part of ['sessions', 'apiKeys', 'usage', 'auditEntries'])
        expect(body[part], part).to.have.length.above(0);

      await grace.delete('/auth/account').expect(202);
      for (const collection of ['users', 'tollgate_sessions', 'tollgate_api_keys', 'tollgate_usage'])
        expect(await inspector().collection(collection).countDocuments(), collection).to.equal(0);
      expect(await AuditEntries(inspector()).countDocuments({ actor: id, redacted: { $ne: true } })).to.equal(
        0,
      );
      expect(await codeOf(exportSubject({ ...shared, subject: { type: 'user', id } }))).to.equal('not_found');
    });

    it('are nobody’s under an id that is written otherwise', async () => {
      const { shared, grace, id } = await signedUp(kind);
      const owned = { ...shared, name: 'Acme', slug: 'acme' };
      const { id: sessionId } = (await grace.post('/auth/check', {}).expect(200)).body.session;
      for (const userId of strange(id)) {
        const subject = { type: 'user', id: userId } as const;
        expect((await listSessions({ ...shared, userId, limit: 1 })).items, userId).to.deep.equal([]);
        expect((await listApiKeys({ ...shared, userId, limit: 1 })).items, userId).to.deep.equal([]);
        const refused = [
          codeOf(revokeSessions({ ...shared, userId, sessionId })),
          codeOf(exportSubject({ ...shared, subject })),
        ];
        if (userId) {
          refused.push(codeOf(updateProfile({ ...shared, userId, name: 'Eve' })));
          refused.push(codeOf(createOrganization({ ...owned, owner: userId })));
          refused.push(codeOf(eraseSubject({ ...shared, subject })));
        }
        expect(new Set(await Promise.all(refused)), userId).to.deep.equal(new Set(['not_found']));
      }
      expect((await grace.get('/auth/profile').expect(200)).body).to.include({ id, name: null });
    });
  });
}

describe('users with an _id of the application’s choice', () => {
  /** Compiles the model of users whose ids come in this order. */
  const numbered = (connection: Connection, ids: string[]) =>
    connection.model(
      'User',
      userSchema.clone().add({ _id: { type: String, default: () => ids.shift() as string } }),
    );

  it('are not taken for one another, whatever a client puts into a header', async () => {
    const { shared: base } = await emptyWorld();
    const connection = await connect();
    const shared = { ...base, connection };
    numbered(connection, ['ada lovelace', 'ada']);
    await ready(connection);
    const people = ['ada.lovelace@example.com', 'ada@example.com'];
    for (const each of people) await createUser({ ...shared, email: each, password, emailVerified: true });
    const acme = await createOrganization({ ...shared, name: 'Acme', slug: 'acme', owner: 'ada lovelace' });
    const { anyone, withHeaders } = clientsOf(await serve(demoApp(shared)));
    const [lovelace, ada] = await Promise.all(
      people.map(async (each) => {
        const { body } = await anyone().post('/auth/sign-in', { email: each, password }).expect(200);
        return (organization: string) =>
          withHeaders({ Authorization: `Bearer ${body.accessToken}`, 'X-Organization-Id': organization });
      }),
    );
    await lovelace?.(acme.id).get('/api/me').expect(200); // remembered from now on
    for (const named of [acme.id, `lovelace ${acme.id}`, `lovelace","${acme.id}`])
      expect((await ada?.(named).get('/api/me').expect(404))?.body.code, named).to.equal('not_found');
  });

  it('are referred to by ObjectIds as long as it chooses none', async () => {
    const { shared, connection } = await emptyWorld({ emailVerification: false });
    const { anyone } = clientsOf(await serve(demoApp(shared)));
    const { body } = await anyone().post('/auth/signup', { email, password }).expect(201);
    await createOrganization({ ...shared, name: 'Acme', slug: 'acme', owner: body.user.id });
    expect(body.user.id).to.match(/^[0-9a-f]{24}$/);
    for (const [collection, path] of [
      ['users', '_id'],
      ['tollgate_sessions', 'user'],
      ['memberships', 'user'],
    ] as const)
      expect(await typesOf(collection, path)).to.deep.equal(['objectId']);
    const userId = body.user.id.toUpperCase();
    if (userId !== body.user.id)
      expect(await codeOf(updateProfile({ connection, userId, name: 'Eve' }))).to.equal('not_found');
  });

  it('go with its own models that refer to users by the same type, and with no others', async () => {
    await emptyWorld();
    const connection = await connect();
    numbered(connection, ['grace']);
    const extended = membershipSchema.clone().add({ title: String });
    connection.model('Membership', extended);
    expect(() => Memberships(connection)).to.throw(
      TypeError,
      /Membership .* by ObjectId.* is String.*path user/,
    );

    const right = await connect();
    numbered(right, ['grace']);
    right.model('Membership', extended.clone().add({ user: { type: String, ref: 'User', required: true } }));
    await ready(right);
    const { id } = await createUser({ connection: right, email });
    const made = await createOrganization({ connection: right, name: 'Acme', slug: 'acme', owner: id });
    const found = await Memberships(right).findOne({ organization: made.id }).lean();
    expect(String(found?.user)).to.equal('grace');
    expect(Users(right).schema.path('_id').instance).to.equal('String');
    expect(Sessions(right).schema.path('user').instance).to.equal('String');
  });
});
