import { randomUUID } from 'node:crypto';
import Router from '@koa/router';
import { expect } from 'chai';
import Koa from 'koa';
import { type AuthFeatures, authenticate, authRouter, createApiKey, createOrganization, createUser, organization, problems, ready, requireRole, type SharedOptions, type SignedIn, signOut, userSchema } from '../lib/index.js'; // biome-ignore format: a list
import { recordScans, scans } from './support/profiler.js';
import {
  atEnd,
  type Client,
  clientsOf,
  connect,
  dbName,
  emptyWorld,
  inspector,
  serve,
  until,
} from './support/world.js';

const email = 'grace@example.com';
const password = 'cobol-forever';
const keyOf = (name: string) => `the secret of ${name} has more than 32 bytes`;

/** An application with everything of its own, and Grace, whom both know, in it. */
async function application(
  name: string,
  { features, ...given }: Partial<SharedOptions> & { features?: AuthFeatures },
  own: object = {},
) {
  const connection = await connect(undefined, { dbName: `${dbName}_${name}` });
  await inspector().useDb(`${dbName}_${name}`).dropDatabase();
  atEnd(() => inspector().useDb(`${dbName}_${name}`).dropDatabase());
  await recordScans(inspector().useDb(`${dbName}_${name}`));
  connection.model('User', userSchema.clone().add(own));
  await ready(connection);
  const base = { keys: [keyOf(name)], issuer: name, passwordCost: 10, credentialRate: 'off', connection };
  const shared = { ...base, ...given } satisfies SharedOptions;
  const { id } = await createUser({
    ...shared,
    email,
    password,
    emailVerified: true,
    name: `Grace of ${name}`,
  });
  const { key } = await createApiKey({ ...shared, userId: id, name: 'ci' });
  const api = new Router<SignedIn>();
  api.use(authenticate(shared));
  api.get('/me', (ctx) => {
    ctx.body = { ...ctx.state.user, session: ctx.state.session?.id };
  });
  api.get('/clients', requireRole('client'), (ctx) => {
    ctx.body = { ok: true };
  });
  api.get('/here', organization(), (ctx) => {
    ctx.body = ctx.state.organization;
  });
  const app = new Koa().use(problems());
  app.use(authRouter({ ...shared, ...(features && { features }) }).routes()).use(api.routes());
  const clients = clientsOf(await serve(app));
  const { body, headers } = await clients.anyone().post('/auth/sign-in', { email, password }).expect(200);
  const cookies = (headers['set-cookie'] as unknown as string[]).map((line) => line.split(';')[0] as string);
  const body2 = await clients.anyone().post('/auth/sign-in', { email, password, tokenDelivery: 'body' });
  return {
    ...clients,
    shared,
    id,
    key,
    user: body.user,
    cookies,
    setCookies: headers['set-cookie'] as unknown as string[],
    bearer: { Authorization: `Bearer ${body.accessToken}` },
    refreshToken: body2.body.refreshToken as string,
  };
}

/** Both, as different as options let them be. */
async function both() {
  await emptyWorld(); // and with it the indexes of a third
  const red = await application(
    'red',
    { cookies: { secure: false, sameSite: 'strict' }, roleNames: { user: 'client' } },
    { _id: { type: String, default: () => `red-${randomUUID()}` } },
  );
  const blue = await application(
    'blue',
    {
      algorithm: 'HS512',
      cookies: { secure: true, sameSite: 'none' },
      features: { apiKeys: false, profile: false },
      showUser: ({ id, name }) => ({ id, name }),
    },
    { nick: { type: String, default: 'amazing' } },
  );
  return { red, blue };
}

describe('two configurations in one process', () => {
  it('have users, roles, cookies, features and answers of their own', async () => {
    const { red, blue } = await both();
    expect(red.id).to.match(/^red-/);
    expect(blue.id).to.match(/^[0-9a-f]{24}$/);
    expect(red.user)
      .to.deep.include({ name: 'Grace of red', roles: ['client'] })
      .and.not.to.have.property('nick');
    expect(blue.user).to.deep.equal({ id: blue.id, name: 'Grace of blue' });
    expect(red.setCookies.join())
      .to.match(/^access_token=.*SameSite=Strict/i)
      .and.not.to.match(/__Host-|; secure/i);
    expect(blue.setCookies.join())
      .to.match(/^__Host-access_token=.*SameSite=None/i)
      .and.to.match(/; secure/i);

    const [inRed, inBlue] = [red.withHeaders(red.bearer), blue.withHeaders(blue.bearer)];
    expect((await inRed.get('/me').expect(200)).body).to.include({ id: red.id, name: 'Grace of red' });
    expect((await inBlue.get('/me').expect(200)).body).to.include({ id: blue.id, nick: 'amazing' });
    await inRed.get('/auth/profile').expect(200);
    await inBlue.get('/auth/profile').expect(404);
    await inRed.get('/auth/api-keys').expect(200);
    await inBlue.get('/auth/api-keys').expect(404);
    await inRed.get('/clients').expect(200);
    expect((await inBlue.get('/clients').expect(403)).body.code).to.equal('role_missing');
  });

  it('accept no token, cookie or key of each other', async () => {
    const { red, blue } = await both();
    const plain = (cookies: string[]) => cookies.map((pair) => pair.replace('__Host-', '')).join('; ');
    const prefixed = (cookies: string[]) => cookies.map((pair) => `__Host-${pair}`).join('; ');
    const codes = async (client: Client) => {
      const { status, body } = await client.get('/me');
      return `${status} ${body.code}`;
    };
    for (const [mine, theirs] of [
      [red, blue],
      [blue, red],
    ] as const) {
      const presented = (headers: Record<string, string>) => codes(mine.withHeaders(headers));
      expect(await presented(theirs.bearer)).to.equal('401 token_invalid');
      expect(await presented({ 'X-API-Key': theirs.key })).to.equal('401 token_invalid');
      const cookie = mine === red ? plain(theirs.cookies) : prefixed(theirs.cookies);
      expect(await presented({ Cookie: theirs.cookies.join('; ') })).to.equal('401 token_missing');
      expect(await presented({ Cookie: cookie })).to.equal('401 token_invalid');
      const foreign = { refreshToken: theirs.refreshToken };
      expect((await mine.anyone().post('/auth/refresh', foreign).expect(401)).body.code).to.equal(
        'token_invalid',
      );
      await theirs.anyone().post('/auth/refresh', foreign).expect(200); // nothing happened to it
      await mine.withHeaders({ 'X-API-Key': mine.key }).get('/me').expect(200);
    }
  });

  it('remember nothing of each other, and forget only their own', async () => {
    const { red, blue } = await both();
    const [inRed, inBlue] = [red.withHeaders(red.bearer), blue.withHeaders(blue.bearer)];
    const acme = await createOrganization({ ...red.shared, name: 'Acme', slug: 'acme', owner: red.id });
    expect((await inRed.get('/here').expect(200)).body.id).to.equal(acme.id);
    const named = { ...blue.bearer, 'X-Organization-Id': acme.id };
    expect((await blue.withHeaders(named).get('/here').expect(404)).body.code).to.equal('not_found');
    await createOrganization({ ...blue.shared, name: 'Acme', slug: 'acme', owner: blue.id }); // the slug is free there

    const { session } = (await inRed.get('/me').expect(200)).body;
    await signOut({ ...blue.shared, sessionId: session }); // not blue's to end
    await inRed.get('/me').expect(200);
    await signOut({ ...red.shared, sessionId: session });
    await until(async () => (await inRed.get('/me')).status === 401);
    await inBlue.get('/me').expect(200);
    for (const name of ['red', 'blue'])
      expect(await scans(inspector().useDb(`${dbName}_${name}`))).to.deep.equal([]);
  });
});
