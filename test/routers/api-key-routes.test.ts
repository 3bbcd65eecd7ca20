import { once } from 'node:events';
import { request } from 'node:http';
import { expect } from 'chai';
import type { Response } from 'supertest';
import { ApiKeys, Users } from '../../lib/index.js';
import { type Client, inspector, portOf, times, world } from '../support/world.js';

/** The demo, in which Ada and Bob are signed in. */
async function keyWorld(options: Parameters<typeof world>[0] = {}) {
  const all = await world(options);
  const [ada, bob] = (await Promise.all(['ada', 'bob'].map((who) => all.as(`${who}@example.com`)))) as [
    Client,
    Client,
  ];
  const by = (key: string, headers: Record<string, string> = {}) =>
    all.withHeaders({ 'X-API-Key': key, ...headers });
  const make = async (body: object = {}) =>
    (await ada.post('/auth/api-keys', { name: 'nightly', ...body }).expect(201)).body;
  return { ...all, ada, bob, by, make };
}

const codeOf = ({ status, body }: Response) => (body.code ? `${status} ${body.code}` : String(status));
const pathsOf = ({ body }: Response) => [
  ...new Set(((body.errors ?? []) as { path: string }[]).map(({ path }) => path)),
];

const nobodysId = '0123456789abcdef01234567';
const members = [
  'id',
  'name',
  'prefix',
  'scopes',
  'organizationId',
  'allowedIps',
  'expiresAt',
  'usesLeft',
  'lastUsedAt',
  'replacedBy',
  'deletedAt',
  'createdAt',
];

describe('POST /auth/api-keys', () => {
  it('makes a key, shows it this once, and says where it is', async () => {
    const { ada, by } = await keyWorld();

    const answer = await ada.post('/auth/api-keys', { name: 'nightly build' }).expect(201);

    const { key, ...apiKey } = answer.body;
    expect(apiKey).to.have.all.keys(members);
    expect(apiKey).to.deep.include({
      name: 'nightly build',
      scopes: [],
      organizationId: null,
      allowedIps: [],
      expiresAt: null,
      usesLeft: null,
      lastUsedAt: null,
      deletedAt: null,
    });
    expect(answer.headers).to.include({
      location: `/auth/api-keys/${apiKey.id}`,
      'cache-control': 'no-store',
    });
    expect((await by(key).get('/api/machine').expect(200)).body.user.email).to.equal('ada@example.com');
    expect((await by(key).get('/api/me').expect(200)).body.user.email).to.equal('ada@example.com');
    const { body } = await ada.get('/auth/api-keys').expect(200);
    expect(body.items).to.have.length(1);
    expect(body.items[0]).to.have.all.keys(members);
    expect(JSON.stringify(body)).not.to.contain(key.slice(12));
  });

  it('keeps the limits that it is given, the addresses in one form', async () => {
    const { make, acme } = await keyWorld();
    const expiresAt = '2099-01-31T12:00:00.000Z';

    const made = await make({
      scopes: ['images.write', 'reports.*', 'images.write'],
      organizationId: acme,
      allowedIps: ['10.1.2.3/8', '::ffff:192.0.2.7', '2001:DB8:0:0::1/32', '2001:db8::0001', '::ffff:a00:0/104', '0.0.0.0/0', '::/0', '192.0.2.7/32'],
      expiresAt,
      uses: 3,
    }); // biome-ignore format: a list of addresses

    expect(made).to.deep.include({
      scopes: ['images.write', 'reports.*'],
      organizationId: acme,
      allowedIps: ['10.0.0.0/8', '192.0.2.7', '2001:db8::/32', '2001:db8::1', '0.0.0.0/0', '::/0'],
      expiresAt,
      usesLeft: 3,
    });
    expect((await make({ expiresAt: '2099-01-31' })).expiresAt).to.equal('2099-01-31T00:00:00.000Z');
    expect((await make({ expiresAt: '2099-01-31T12:00+02:00' })).expiresAt).to.equal(
      '2099-01-31T10:00:00.000Z',
    );
  });

  const wrong: Record<string, readonly unknown[]> = {
    name: ['', 7, null, ['a'], { $ne: '' }, 'x'.repeat(101), true],
    scopes: ['images', {}, [''], ['*'], ['.*'], ['a.'], ['A'], ['a b'], ['a.*.b'], ['a**'], ['$ne'], [{ $ne: '' }], [null], [['a']], ['x'.repeat(101)], times(101, (index) => `a.${index}`)],
    organizationId: [7, null, {}, { $ne: '' }, ['a'], '', 'x'.repeat(101)],
    allowedIps: ['10.0.0.1', {}, [''], ['x'], ['10.0.0'], ['10.1'], ['010.0.0.1'], ['0x0a.0.0.1'], ['256.0.0.1'], ['10.0.0.1/33'], ['10.0.0.1/-1'], ['10.0.0.1/'], ['10.0.0.0/255.0.0.0'], ['::/129'], ['fe80::1%eth0'], ['::ffff:0:0/95'], ['localhost'], ['*'], ['10.0.0.1 '], [{ $ne: '' }], [7], times(101, (index) => `10.0.0.${index}`)],
    expiresAt: ['', 'tomorrow', '2020-01-01T00:00:00Z', '1970-01-01', '2099-13-01', '2099-01-31T12:00:00', 4102444800000, null, {}, ['2099-01-01'], '2099', '+292000-01-01T00:00:00Z'],
    uses: [0, -1, 1.5, '5', null, 2 ** 53, 1_000_000_001, {}, [1], Number.NaN, true],
  }; // biome-ignore format: a table

  it('refuses wrong values of every field with 400, naming the field', async () => {
    const { ada } = await keyWorld();
    for (const [field, values] of Object.entries(wrong)) {
      for (const value of values) {
        const answer = await ada.post('/auth/api-keys', { name: 'nightly', [field]: value });
        expect(codeOf(answer), `${field}: ${JSON.stringify(value)}`).to.equal('400 validation_failed');
        for (const path of pathsOf(answer)) expect(path.split('.')[0]).to.equal(field);
      }
    }
    expect(codeOf(await ada.post('/auth/api-keys', {}))).to.equal('400 validation_failed');
    expect(await ApiKeys(inspector()).countDocuments()).to.equal(0);
  });

  it('refuses every field that is not the client’s to say, such as a user, and a request without a session', async () => {
    const { ada, bob, anyone } = await keyWorld();
    expect(codeOf(await anyone().post('/auth/api-keys', { name: 'nightly' }))).to.equal('401 token_missing');
    const bobsId = (await bob.post('/auth/check').expect(200)).body.user.id;
    const fields = ['userId', 'user', 'usesLeft', 'hash', 'prefix', 'key', 'deletedAt', 'createdAt', 'replacedBy', 'organization', 'roles', '_id', 'id', 'scopes.0', '$set', 'constructor', 'connection', 'keys', 'ip', 'strict']; // biome-ignore format: a list
    for (const field of fields) {
      const body = { name: 'nightly', [field]: bobsId };
      const answer = await ada.post('/auth/api-keys', body);
      expect(codeOf(answer), field).to.equal('400 validation_failed');
    }
    const polluted = ada.post('/auth/api-keys').set('Content-Type', 'application/json');
    expect(codeOf(await polluted.send('{"name":"a","__proto__":{"userId":"x"}}'))).to.equal(
      '400 validation_failed',
    );
    expect(await ApiKeys(inspector()).countDocuments()).to.equal(0);
  });

  it('makes and rotates none for a session that ends while the body is still on its way', async () => {
    const { server, signIn, withHeaders, make } = await keyWorld();
    const { id } = await make();
    const slow = async (path: string, body: object) => {
      const { body: thief } = await signIn('ada@example.com').expect(200);
      const headers = { Authorization: `Bearer ${thief.accessToken}` };
      const text = JSON.stringify(body);
      const about = { 'Content-Type': 'application/json', 'Content-Length': text.length };
      const where = { port: portOf(server), method: 'POST', path, headers: { ...headers, ...about } };
      const begun = once(server, 'request');
      const sent = request(where);
      const answered = once(sent, 'response');
      sent.write(text.slice(0, 5));
      await begun;
      await withHeaders(headers).post('/auth/sign-out', { everywhere: true }).expect(204);
      sent.end(text.slice(5));
      const [answer] = await answered;
      return answer.statusCode;
    };

    expect(await slow('/auth/api-keys', { name: 'nightly' })).to.equal(401);
    expect(await slow(`/auth/api-keys/${id}/rotate`, { overlap: 60 })).to.equal(401);
    expect(await ApiKeys(inspector()).countDocuments()).to.equal(1);
  });

  it('says the same of a foreign, an unknown and a malformed organization: 404', async () => {
    const { bob, acme } = await keyWorld();
    for (const organizationId of [acme, nobodysId, 'acme', `${acme}0`]) {
      expect(codeOf(await bob.post('/auth/api-keys', { name: 'nightly', organizationId }))).to.equal(
        '404 not_found',
      );
    }
  });
});

describe('GET /auth/api-keys', () => {
  it('lists one’s own, page by page, also the deleted ones, and nobody else’s', async () => {
    const { ada, bob, make } = await keyWorld();
    const made = [await make(), await make(), await make()];
    await ada.delete(`/auth/api-keys/${made[0].id}`).expect(204);

    const first = await ada.get('/auth/api-keys?limit=2').expect(200);
    const second = await ada.get(`/auth/api-keys?limit=2&cursor=${first.body.nextCursor}`).expect(200);

    const items = [...first.body.items, ...second.body.items] as { id: string; deletedAt: string | null }[];
    expect(items.map(({ id }) => id)).to.deep.equal(made.map(({ id }) => id));
    expect(items.map(({ deletedAt }) => deletedAt !== null)).to.deep.equal([true, false, false]);
    expect(second.body.nextCursor).to.equal(null);
    expect((await bob.get('/auth/api-keys').expect(200)).body).to.deep.equal({ items: [], nextCursor: null });
    for (const query of ['?userId=x', '?limit=0', '?limit=101', '?cursor=x', '?cursor[$ne]=']) {
      expect(codeOf(await ada.get(`/auth/api-keys${query}`)), query).to.equal('400 validation_failed');
    }
  });
});

describe('DELETE /auth/api-keys/:id', () => {
  it('ends the key at once, and keeps what was known of it', async () => {
    const { ada, by, make } = await keyWorld();
    const { key, id } = await make();
    await by(key).get('/api/machine').expect(200);

    await ada.delete(`/auth/api-keys/${id}`).expect(204);

    expect(codeOf(await by(key).get('/api/machine'))).to.equal('401 token_invalid');
    const { items } = (await ada.get('/auth/api-keys').expect(200)).body;
    expect(items[0]).to.include({ id, name: 'nightly' });
    expect(items[0].deletedAt).to.match(/Z$/);
  });

  it('says the same of a foreign, an unknown, a malformed and a deleted one: 404', async () => {
    const { ada, bob, by, make } = await keyWorld();
    const { key, id } = await make();
    const { id: deleted } = await make();
    await ada.delete(`/auth/api-keys/${deleted}`).expect(204);

    for (const wrong of [nobodysId, 'x', `${id}0`, '%00', '{"$ne":null}', deleted]) {
      expect(codeOf(await ada.delete(`/auth/api-keys/${wrong}`)), wrong).to.equal('404 not_found');
      expect(codeOf(await ada.post(`/auth/api-keys/${wrong}/rotate`, {})), wrong).to.equal('404 not_found');
    }
    expect(codeOf(await bob.delete(`/auth/api-keys/${id}`))).to.equal('404 not_found');
    expect(codeOf(await bob.post(`/auth/api-keys/${id}/rotate`, {}))).to.equal('404 not_found');
    await by(key).get('/api/machine').expect(200);
  });
});

describe('POST /auth/api-keys/:id/rotate', () => {
  it('answers with a new key, and lets the old one work for the overlap, by default for no moment longer', async () => {
    const { ada, by, make } = await keyWorld();
    const [old, other] = [await make(), await make()];

    const answer = await ada.post(`/auth/api-keys/${old.id}/rotate`, { overlap: 60 }).expect(201);
    const { body: cut } = await ada.post(`/auth/api-keys/${other.id}/rotate`).expect(201);

    expect(answer.headers).to.include({
      location: `/auth/api-keys/${answer.body.id}`,
      'cache-control': 'no-store',
    });
    expect(answer.body).to.have.all.keys(...members, 'key');
    for (const key of [old.key, answer.body.key, cut.key]) await by(key).get('/api/machine').expect(200);
    expect(codeOf(await by(other.key).get('/api/machine'))).to.equal('401 token_invalid');
    const again = await ada.post(`/auth/api-keys/${old.id}/rotate`, { overlap: 60 });
    expect(codeOf(again)).to.equal('409 conflict');
  });

  it('refuses a wrong overlap with 400', async () => {
    const { ada, make } = await keyWorld();
    const { id } = await make();
    for (const overlap of [-1, 1.5, '60', null, 604_801, 2 ** 53, [60], {}, true]) {
      const answer = await ada.post(`/auth/api-keys/${id}/rotate`, { overlap });
      expect(codeOf(answer), String(overlap)).to.equal('400 validation_failed');
    }
    await ada.post(`/auth/api-keys/${id}/rotate`, { overlap: 604_800 }).expect(201);
  });
});

describe('an API key', () => {
  it('cannot make, list, rotate or delete keys, nor sessions, nor end them', async () => {
    const { by, make } = await keyWorld();
    const { key, id } = await make();
    const client = by(key);

    const answers = await Promise.all([
      client.get('/auth/api-keys'),
      client.post('/auth/api-keys', { name: 'another' }),
      client.post(`/auth/api-keys/${id}/rotate`, {}),
      client.delete(`/auth/api-keys/${id}`),
      client.get('/auth/sessions'),
      client.delete('/auth/sessions'),
      client.delete(`/auth/sessions/${nobodysId}`),
    ]);

    expect(answers.map(codeOf)).to.deep.equal(times(7, () => '403 credential_not_allowed'));
    expect(codeOf(await client.post('/auth/refresh', {}))).to.equal('401 token_missing');
    expect(codeOf(await client.post('/auth/refresh', { refreshToken: key }))).to.equal('401 token_invalid');
    expect(await ApiKeys(inspector()).countDocuments()).to.equal(1);
    await client.get('/api/machine').expect(200);
  });

  it('is taken at /api/machine and refused at /api/browser, a session the other way round', async () => {
    const { ada, by, make } = await keyWorld();
    const { key } = await make();
    const answers = [
      await by(key).get('/api/machine'),
      await by(key).get('/api/browser'),
      await ada.get('/api/machine'),
      await ada.get('/api/browser'),
    ];
    const refused = '403 credential_not_allowed';
    expect(answers.map(codeOf)).to.deep.equal(['200', refused, refused, '200']);
  });

  it('answers POST /auth/check with its user and no session', async () => {
    const { by, make } = await keyWorld();
    const { body } = await by((await make()).key)
      .post('/auth/check')
      .expect(200);
    expect(body).to.include({ authenticated: true, session: null });
    expect(body.user.email).to.equal('ada@example.com');
  });

  it('is taken only from its addresses, in IPv4, IPv6 and IPv4 mapped into IPv6, as our proxy saw them', async () => {
    const { by, make } = await keyWorld({ trustedProxies: 1 });
    const allowedIps = ['192.0.2.7', '10.0.0.0/8', '2001:db8::/32', '2001:db9::1'];
    const { key } = await make({ allowedIps });
    const seen = async (address: string) =>
      codeOf(await by(key, { 'X-Forwarded-For': address }).get('/api/machine'));
    const admitted = ['192.0.2.7', '10.255.255.255', '10.0.0.0', '::ffff:192.0.2.7', '::ffff:a01:203', '::FFFF:10.1.2.3', '2001:db8::', '2001:DB8:ffff::9', '2001:0db9:0::0001', '1.2.3.4, 10.0.0.1']; // biome-ignore format: a list
    const refused = ['192.0.2.8', '11.0.0.0', '9.255.255.255', '::ffff:192.0.2.8', '2001:db7::1', '2001:db9::2', '64:ff9b::10.0.0.1', '::1', '10.0.0.1, 1.2.3.4', 'nonsense', 'unknown', '']; // biome-ignore format: a list

    for (const address of admitted) expect(await seen(address), address).to.equal('200');
    for (const address of refused) expect(await seen(address), address).to.equal('403 ip_not_allowed');
  });

  it('cannot be used from elsewhere by a forged X-Forwarded-For where no proxy is trusted', async () => {
    const { by, make } = await keyWorld();
    const [far, near, none] = [
      await make({ allowedIps: ['10.0.0.0/8'] }),
      await make({ allowedIps: ['127.0.0.0/8', '::1'] }),
      await make({ allowedIps: ['::/0'] }),
    ];
    const forged = { 'X-Forwarded-For': '10.0.0.1', 'X-Real-IP': '10.0.0.1', Forwarded: 'for=10.0.0.1' };
    expect(codeOf(await by(far.key, forged).get('/api/machine'))).to.equal('403 ip_not_allowed');
    expect(codeOf(await by(near.key, forged).get('/api/machine'))).to.equal('200');
    expect(codeOf(await by(none.key).get('/api/machine'))).to.equal('403 ip_not_allowed');
  });

  it('that is for one organization shows no other one and nothing of its user’s own, and uses up none of their quota', async () => {
    const { ada, by, make, acme } = await keyWorld();
    const [bound, free] = [by((await make({ organizationId: acme })).key), by((await make()).key)];
    const slugsOf = async (client: Client, query = '') =>
      (await client.get(`/organizations${query}`).expect(200)).body.items.map(
        ({ slug }: { slug: string }) => slug,
      );

    expect(await slugsOf(bound)).to.deep.equal(['acme']);
    const { nextCursor } = (await free.get('/organizations?limit=1').expect(200)).body;
    expect(await slugsOf(bound, `?cursor=${nextCursor}`)).to.have.length.below(2);
    expect(await slugsOf(free)).to.have.members(['acme', 'globex']);
    expect(codeOf(await bound.get('/auth/profile'))).to.equal('403 permission_missing');
    expect(codeOf(await bound.post('/api/searches', {}))).to.equal('403 permission_missing');
    expect(codeOf(await bound.post('/api/images', {}))).to.equal('201');
    await free.get('/auth/profile').expect(200);
    expect((await ada.post('/api/searches', {}).expect(200)).body.used).to.equal(1);
  });

  it('that has scopes does what they cover, in the demo and in our own routers', async () => {
    const { by, make, acme } = await keyWorld();
    const headers = { 'X-Organization-Id': acme };
    const withScope = async (scope: string) => by((await make({ scopes: [scope] })).key, headers);
    const asked = async (client: Client) =>
      (
        await Promise.all([
          client.get('/auth/profile'),
          client.get('/organizations'),
          client.get('/api/reports'),
          client.post('/api/images', {}),
          client.post('/api/searches', {}),
        ])
      ).map(codeOf);

    const refused = '403 permission_missing';
    expect(await asked(await withScope('nothing.read'))).to.deep.equal(times(5, () => refused));
    const scopes = ['profile.read', 'organizations.read', 'reports.read', 'images.*', 'searches.write'];
    for (const [index, scope] of scopes.entries()) {
      const answers = await asked(await withScope(scope));
      expect(answers.splice(index, 1)[0], scope).to.match(/^20[01]$/);
      expect(answers, scope).to.deep.equal(times(4, () => refused));
    }
  });

  it('never outlives the rights of its user', async () => {
    const { ada, by, make } = await keyWorld({ strict: true });
    const { key } = await make();
    const statuses = async () => [
      (await by(key).get('/api/admin')).status,
      (await by(key).post('/api/images').set('X-Organization-Id', nobodysId)).status,
    ];
    expect(await statuses()).to.deep.equal([403, 404]);
    await Users(inspector()).updateOne({ email: 'ada@example.com' }, { roles: ['admin'] });
    expect(await statuses()).to.deep.equal([200, 404]);
    await Users(inspector()).updateOne({ email: 'ada@example.com' }, { roles: [] });
    expect(await statuses()).to.deep.equal([403, 404]);
    await ada.get('/auth/api-keys').expect(200);
  });
});
