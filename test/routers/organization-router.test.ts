import { expect } from 'chai';
import Koa from 'koa';
import {
  AuditEntries,
  addMember,
  createApiKey,
  createOrganization,
  createTeam,
  deactivateUser,
  deleteOrganization,
  eraseSubject,
  inviteMember,
  listOrganizations,
  Memberships,
  memberOf,
  Organizations,
  organizationRouter,
  Roles,
  setSeats,
  Teams,
  updateUser,
  verifyAudit,
} from '../../lib/index.js';
import { tenancyWorld } from '../support/tenancy.js';
import { type Client, countBy, inspector, times, world } from '../support/world.js';

const ada = 'ada@example.com';
const bob = 'bob@example.com';
const nobody = '0'.repeat(24);

const outcome = async (answer: PromiseLike<{ status: number; body: { code?: string } }>) => {
  const { status, body } = await answer;
  return body.code ? `${status} ${body.code}` : String(status);
};

const userIdOf = async (email: string): Promise<string> =>
  String((await inspector().collection('users').findOne({ email }))?._id);

const teamOf = async (organization: string, name: string): Promise<string> =>
  String((await Teams(inspector()).findOne({ organization, name }).orFail().lean())._id);

describe('/organizations', () => {
  it('are made by a user as many as organizationRate says, and by another one still', async () => {
    const { as } = await world({ organizationRate: '3/hour' });
    const [client, another] = [await as(bob), await as('ada@example.com')];
    await client.post('/organizations', { name: '' }).expect(400); // counts for nothing
    const answers = await Promise.all(
      times(8, (index) => client.post('/organizations', { name: `O${index}` })),
    );
    expect(countBy(answers, 'status')).to.deep.equal({ 201: 3, 429: 5 });
    const refused = answers.find(({ status }) => status === 429);
    expect(refused?.body.code).to.equal('rate_limited');
    expect(Number(refused?.headers['retry-after'])).to.be.within(3_590, 3_600);
    expect(await Organizations(inspector()).countDocuments({ name: /^O\d$/ })).to.equal(3);
    await another.post('/organizations', { name: 'Another' }).expect(201);
  });

  it('are made by anybody, who owns them; the slug is made from the name where none is given', async () => {
    const { shared, as } = await world();
    const client = await as(bob);
    const first = await client.post('/organizations', { name: 'Café  Zoë & Söhne!' }).expect(201);
    const { id, createdAt, ...rest } = first.body;
    expect(first.headers.location).to.equal(`/organizations/${id}`);
    expect(createdAt).to.be.a('string');
    expect(rest).to.deep.equal({
      name: 'Café  Zoë & Söhne!',
      slug: 'cafe-zoe-sohne',
      defaultTeamId: null,
      seats: null,
      members: 1,
      role: 'owner',
      plan: 'free',
    });
    const second = await client.post('/organizations', { name: 'Cafe Zoe Sohne' }).expect(201);
    expect(second.body.slug).to.match(/^cafe-zoe-sohne-[a-z0-9]{4}$/);
    expect((await client.post('/organizations', { name: '日本' }).expect(201)).body.slug).to.equal(
      'organization',
    );
    const taken = client.post('/organizations', { name: 'Acme', slug: 'acme' });
    expect(await outcome(taken)).to.equal('409 conflict');
    expect((await client.get(`/organizations/${id}`).expect(200)).body).to.deep.equal(first.body);
    const { items } = (await client.get('/organizations').expect(200)).body;
    expect(items.map(({ role }: { role: string }) => role)).to.deep.equal(Array(4).fill('owner'));
    const own = await listOrganizations({ ...shared, userId: await userIdOf(bob), limit: 25 });
    expect(own).to.deep.equal({ items, nextCursor: null });
  });

  it('are read by every member, written with organization.manage, and deleted for good', async () => {
    const { as, globex, acme } = await world();
    const [owner, member] = [await as(bob), await as(ada)];
    expect((await member.get(`/organizations/${globex}`).expect(200)).body).to.include({ role: 'member' });
    expect(await outcome(member.patch(`/organizations/${globex}`, { name: 'Mine' }))).to.equal(
      '403 permission_missing',
    );
    expect(await outcome(member.delete(`/organizations/${globex}`))).to.equal('403 permission_missing');

    const update = { name: 'Globex Ltd', slug: 'globex-ltd' };
    expect((await owner.patch(`/organizations/${globex}`, update).expect(200)).body).to.include(update);
    expect((await member.get(`/organizations/${globex}`)).body).to.include(update);
    expect(await outcome(owner.patch(`/organizations/${globex}`, { slug: 'acme' }))).to.equal('409 conflict');

    await owner.delete(`/organizations/${globex}`).expect(204);
    for (const client of [owner, member])
      expect(await outcome(client.get(`/organizations/${globex}`))).to.equal('404 not_found');
    expect((await owner.get('/organizations')).body.items).to.deep.equal([]);
    expect((await member.get('/api/me').expect(200)).body.organization.id).to.equal(acme); // her only one now
    await owner.post('/organizations', { name: 'Again', slug: 'globex-ltd' }).expect(201);
  });

  it('answer bad input with 400, each problem by its path', async () => {
    const { as, acme } = await world();
    const client = await as(ada);
    const bad: [body: object, path: string][] = [
      [{}, 'name'],
      [{ name: '' }, 'name'],
      [{ name: 'x'.repeat(101) }, 'name'],
      [{ name: 'a\nb' }, 'name'],
      [{ name: { $ne: 1 } }, 'name'],
      [{ name: 'a', slug: 'A b' }, 'slug'],
      [{ name: 'a', seats: 5 }, 'seats'],
      [{ name: 'a', owner: nobody }, 'owner'],
      [{ name: 'a', 'owners.0': 1 }, 'owners.0'],
    ];
    for (const [body, path] of bad) {
      const answer = await client.post('/organizations', body).expect(400);
      expect(
        answer.body.errors.map((error: { path: string }) => error.path),
        JSON.stringify(body),
      ).to.include(path);
    }
    for (const body of [{ seats: 1 }, { members: 0 }, { plan: 'pro' }, { defaultTeamId: 7 }])
      expect(await outcome(client.patch(`/organizations/${acme}`, body))).to.equal('400 validation_failed');
    expect(await outcome(client.get(`/organizations/${acme}?x=1`))).to.equal('400 validation_failed');
    const here = `/organizations/${acme}`;
    expect(
      await outcome(client.patch(`${here}/members/${await userIdOf(ada)}`, { role: 'emperor' })),
    ).to.equal('400 validation_failed');
  });

  it('look the same to strangers whether they exist, are somebody else’s or malformed: 404 everywhere', async () => {
    const { as, acme } = await world();
    const stranger = await as(bob);
    const team = await teamOf(acme, 'red');
    const id = await userIdOf(ada);
    const routes: [verb: keyof Client, path: string, body?: object][] = [
      ['get', ''],
      ['patch', '', { name: 'x' }],
      ['delete', ''],
      ['get', '/members'],
      ['get', `/members/${id}`],
      ['patch', `/members/${id}`, { role: 'member' }],
      ['delete', `/members/${id}`],
      ['post', '/leave'],
      ['post', '/transfer', { userId: id }],
      ['get', '/invitations'],
      ['delete', `/invitations/${nobody}`],
      ['get', '/teams'],
      ['post', '/teams', { name: 'x' }],
      ['patch', `/teams/${team}`, { name: 'x' }],
      ['delete', `/teams/${team}`],
      ['get', `/teams/${team}/members`],
      ['put', `/teams/${team}/members/${id}`],
      ['delete', `/teams/${team}/members/${id}`],
      ['put', '/current-team', { teamId: team }],
      ['get', '/entitlements'],
      ['get', '/audit'],
    ];
    const before = await inspector().collection('memberships').find().toArray();
    for (const [verb, path, body] of routes) {
      for (const organization of [acme, nobody, 'x', '%2e%2e', '$ne'])
        expect(await outcome(stranger[verb](`/organizations/${organization}${path}`, body)), path).to.equal(
          '404 not_found',
        );
    }
    expect(await inspector().collection('memberships').find().toArray()).to.deep.equal(before);
  });

  it('are within reach of an API key as far as its scopes and its organization go', async () => {
    const { shared, acme, globex, withHeaders } = await world();
    const userId = await userIdOf(ada);
    const key = async (more: object) => {
      const { key } = await createApiKey({ ...shared, userId, name: 'robot', ...more });
      return withHeaders({ 'X-API-Key': key });
    };
    const bound = await key({ organizationId: acme });
    await bound.get(`/organizations/${acme}/members`).expect(200);
    await bound.post(`/organizations/${acme}/teams`, { name: 'green' }).expect(201);
    expect((await bound.get('/organizations')).body.items).to.have.length(1);
    expect(await outcome(bound.get(`/organizations/${globex}/members`))).to.equal('404 not_found');
    expect(await outcome(bound.post('/organizations', { name: 'x' }))).to.equal('403 permission_missing');
    for (const path of ['leave', 'transfer'])
      expect(await outcome(bound.post(`/organizations/${acme}/${path}`, {}))).to.equal(
        '403 credential_not_allowed',
      );

    const reader = await key({ scopes: ['organizations.read'] });
    await reader.get(`/organizations/${acme}/teams`).expect(200);
    expect(await outcome(reader.post(`/organizations/${acme}/teams`, { name: 'x' }))).to.equal(
      '403 permission_missing',
    );
    const other = await key({ scopes: ['images.*'] });
    for (const path of ['', '/members', '/teams', '/invitations', '/entitlements', '/audit'])
      expect(await outcome(other.get(`/organizations/${acme}${path}`)), path).to.equal(
        '403 permission_missing',
      );
  });

  it('lose the keys that were made for them with the member, who gets none back by joining again', async () => {
    const { shared, acme, globex, as, withHeaders } = await world();
    const userId = await userIdOf(ada);
    const { key } = await createApiKey({ ...shared, userId, name: 'robot', organizationId: globex });
    const robot = withHeaders({ 'X-API-Key': key });
    await robot.get(`/organizations/${globex}`).expect(200);
    const owner = await as(bob);
    await owner.delete(`/organizations/${globex}/members/${userId}`).expect(204);
    expect(await outcome(robot.get(`/organizations/${globex}`))).to.equal('401 token_invalid');
    await addMember({ ...shared, organizationId: globex, userId });
    expect(await outcome(robot.get(`/organizations/${globex}`))).to.equal('401 token_invalid');

    const last = await createApiKey({ ...shared, userId, name: 'robot', organizationId: acme });
    await (await as(ada)).delete(`/organizations/${acme}`).expect(204);
    expect(await outcome(withHeaders({ 'X-API-Key': last.key }).get('/auth/profile'))).to.equal(
      '401 token_invalid',
    );
  });

  it('need publicUrl where the application sends mail, for links begin with it', () => {
    const keys = ['a secret of more than thirty-two bytes'];
    const mail = async () => {};
    expect(() => organizationRouter({ keys, mail })).to.throw(TypeError, 'publicUrl is required');
    expect(() => organizationRouter({ keys, mail, publicUrl: 'https://x.example' })).not.to.throw();
    expect(() => organizationRouter({} as never)).to.throw(TypeError, 'option keys is required');
    expect(new Koa().use(organizationRouter({ keys }).routes())).to.be.instanceOf(Koa);
  });
});

describe('/organizations/:organizationId/members', () => {
  it('are listed in pages, with their role and teams', async () => {
    const { shared, as, acme, person } = await tenancyWorld();
    const red = await teamOf(acme, 'red');
    for (const [name, role] of [
      ['a', 'admin'],
      ['b', 'member'],
      ['c', 'member'],
    ] as const) {
      const { id: userId } = await person(`${name}@example.com`, { name });
      await addMember({ ...shared, organizationId: acme, userId, role, teamIds: name === 'b' ? [red] : [] });
    }
    const client = await as(ada);
    const first = (await client.get(`/organizations/${acme}/members?limit=3`).expect(200)).body;
    const { joinedAt, ...last } = first.items[2];
    expect(last).to.deep.equal({
      userId: await userIdOf('b@example.com'),
      email: 'b@example.com',
      name: 'b',
      role: 'member',
      teamIds: [red],
    });
    const rest = await client
      .get(`/organizations/${acme}/members?limit=3&cursor=${first.nextCursor}`)
      .expect(200);
    expect(rest.body.items.map(({ email }: { email: string }) => email)).to.deep.equal(['c@example.com']);
    expect(rest.body.nextCursor).to.equal(null);
    const inRed = await client.get(`/organizations/${acme}/teams/${red}/members`).expect(200);
    expect(inRed.body.items.map(({ email }: { email: string }) => email)).to.deep.equal([
      ada,
      'b@example.com',
    ]);
  });

  it('are shown one by one as in the list, to every member and to nobody else; who is none is 404', async () => {
    const { shared, as, anyone, acme, globex, withHeaders } = await world();
    const [adaId, bobId] = [await userIdOf(ada), await userIdOf(bob)];
    const [owner, member] = [await as(bob), await as(ada)];
    const { items } = (await owner.get(`/organizations/${globex}/members`).expect(200)).body;
    expect(items.map(({ userId }: { userId: string }) => userId)).to.deep.equal([bobId, adaId]);
    for (const client of [owner, member])
      for (const item of items) {
        const { body } = await client.get(`/organizations/${globex}/members/${item.userId}`).expect(200);
        expect(body).to.deep.equal(item);
      }
    const path = `/organizations/${acme}/members`;
    for (const id of [bobId, nobody, 'x', '$ne', adaId.toUpperCase()])
      expect(await outcome(member.get(`${path}/${id}`)), id).to.equal('404 not_found');
    expect(await outcome(owner.get(`${path}/${adaId}`))).to.equal('404 not_found');
    expect(await outcome(anyone().get(`${path}/${adaId}`))).to.equal('401 token_missing');
    expect(await outcome(member.get(`${path}/${adaId}?x=1`))).to.equal('400 validation_failed');
    for (const [scope, status] of [
      ['organizations.read', '200'],
      ['images.*', '403 permission_missing'],
    ] as const) {
      const { key } = await createApiKey({ ...shared, userId: adaId, name: 'robot', scopes: [scope] });
      const robot = withHeaders({ 'X-API-Key': key });
      expect(await outcome(robot.get(`${path}/${adaId}`))).to.equal(status);
    }
    await deleteOrganization({ ...shared, organizationId: acme });
    for (const organizationId of [acme, globex, 'x'])
      expect(
        await memberOf({ ...shared, organizationId, userId: nobody }).catch(({ code }) => code),
      ).to.equal('not_found');
  });

  it('change role and leave by whoever holds organization.members.manage, and never by who holds less than they do', async () => {
    const { shared, acme, as, visitor } = await tenancyWorld();
    const organizationId = acme;
    const [boss, aide, junior] = [
      await as(ada),
      await visitor('aide@example.com'),
      await visitor('junior@example.com'),
    ];
    const adaId = await userIdOf(ada);
    await addMember({ ...shared, organizationId, userId: aide.user.id, role: 'admin' });
    await addMember({ ...shared, organizationId, userId: junior.user.id });
    const member = (id: string) => `/organizations/${acme}/members/${id}`;

    expect(await outcome(junior.client.patch(member(aide.user.id), { role: 'member' }))).to.equal(
      '403 permission_missing',
    );
    expect(await outcome(aide.client.patch(member(adaId), { role: 'member' }))).to.equal(
      '403 permission_missing',
    );
    expect(await outcome(aide.client.delete(member(adaId)))).to.equal('403 permission_missing');
    for (const id of [aide.user.id, junior.user.id])
      expect(await outcome(aide.client.patch(member(id), { role: 'owner' }))).to.equal(
        '403 permission_missing',
      );
    expect(await outcome(boss.delete(member(adaId)))).to.equal('409 last_owner');
    expect(await outcome(boss.patch(member(adaId), { role: 'admin' }))).to.equal('409 last_owner');
    for (const id of [nobody, 'x', await userIdOf(bob)])
      expect(await outcome(aide.client.delete(member(id))), id).to.equal('404 not_found');

    const promoted = await aide.client.patch(member(junior.user.id), { role: 'admin' }).expect(200);
    expect(promoted.body).to.include({ userId: junior.user.id, role: 'admin' });
    await junior.client.get(`/organizations/${acme}/audit`).expect(200);
    await junior.client.patch(member(aide.user.id), { role: 'member' }).expect(200);
    expect(await outcome(aide.client.get(`/organizations/${acme}/audit`))).to.equal('403 permission_missing');
    await boss.patch(member(junior.user.id), { role: 'owner' }).expect(200);
    await junior.client.delete(member(adaId)).expect(204);
    expect(await outcome(boss.get(`/organizations/${acme}`))).to.equal('404 not_found');
  });

  it('take a role of the organization’s own from who holds all that it does, and from nobody else', async () => {
    const { shared, acme, visitor } = await tenancyWorld();
    const aide = await visitor('aide@example.com');
    const { client } = aide;
    await Roles(inspector()).create([
      { organization: acme, name: 'recruiter', permissions: ['organization.members.manage'] },
      { organization: acme, name: 'auditor', permissions: ['organization.audit.read'] },
    ]);
    await addMember({ ...shared, organizationId: acme, userId: aide.user.id, role: 'recruiter' });
    const other = await visitor('other@example.com');
    await addMember({ ...shared, organizationId: acme, userId: other.user.id });
    const path = `/organizations/${acme}/members/${other.user.id}`;
    expect(await outcome(client.patch(path, { role: 'auditor' }))).to.equal('403 permission_missing');
    await client.patch(path, { role: 'recruiter' }).expect(200);
    await addMember({ ...shared, organizationId: acme, userId: await userIdOf(bob), role: 'auditor' });
    expect(await outcome(client.delete(`/organizations/${acme}/members/${await userIdOf(bob)}`))).to.equal(
      '403 permission_missing',
    );
    await client.delete(path).expect(204);
  });

  it('leave by themselves, but not the last owner; ownership goes to a member, by its owner alone', async () => {
    const { shared, acme, as, visitor } = await tenancyWorld();
    const [boss, aide] = [await as(ada), await visitor('aide@example.com')];
    await addMember({ ...shared, organizationId: acme, userId: aide.user.id, role: 'admin' });
    const path = `/organizations/${acme}`;
    expect(await outcome(boss.post(`${path}/leave`))).to.equal('409 last_owner');
    expect(await outcome(aide.client.post(`${path}/transfer`, { userId: aide.user.id }))).to.equal(
      '403 role_missing',
    );
    for (const userId of [nobody, 'x', await userIdOf(bob)])
      expect(await outcome(boss.post(`${path}/transfer`, { userId }))).to.equal('404 not_found');
    expect(await outcome(boss.post(`${path}/transfer`, { userId: await userIdOf(ada) }))).to.equal(
      '409 conflict',
    );

    const heir = await boss.post(`${path}/transfer`, { userId: aide.user.id }).expect(200);
    expect(heir.body).to.include({ userId: aide.user.id, role: 'owner' });
    expect((await boss.get(path)).body.role).to.equal('admin');
    expect(await outcome(boss.post(`${path}/transfer`, { userId: aide.user.id }))).to.equal(
      '403 role_missing',
    );
    await boss.post(`${path}/leave`).expect(204);
    expect(await outcome(boss.get(path))).to.equal('404 not_found');
    expect((await aide.client.get(path).expect(200)).body.members).to.equal(1);
  });
});

describe('/organizations/:organizationId/teams', () => {
  it('are made, renamed, listed and deleted; names are unique in an organization', async () => {
    const { as, acme, globex } = await world();
    const [client, other] = [await as(ada), await as(bob)];
    const path = `/organizations/${acme}/teams`;
    const { body, headers } = await client.post(path, { name: 'green' }).expect(201);
    expect(headers.location).to.equal(`${path}/${body.id}`);
    expect(await outcome(client.post(path, { name: 'green' }))).to.equal('409 conflict');
    await other.post(`/organizations/${globex}/teams`, { name: 'green' }).expect(201);
    expect(await outcome(client.patch(`${path}/${body.id}`, { name: 'red' }))).to.equal('409 conflict');
    expect((await client.patch(`${path}/${body.id}`, { name: 'lime' }).expect(200)).body).to.deep.equal({
      id: body.id,
      name: 'lime',
    });
    const page = (await client.get(`${path}?limit=2`).expect(200)).body;
    const rest = (await client.get(`${path}?limit=2&cursor=${page.nextCursor}`)).body;
    expect([...page.items, ...rest.items].map(({ name }) => name)).to.deep.equal(['red', 'blue', 'lime']);

    await client.put(`${path}/${body.id}/members/${await userIdOf(ada)}`).expect(200);
    await client.put(`/organizations/${acme}/current-team`, { teamId: body.id }).expect(200);
    const me = async () => (await client.get('/api/me').set('X-Organization-Id', acme).expect(200)).body.team;
    expect(await me()).to.deep.equal({ id: body.id, name: 'lime' });
    await client.delete(`${path}/${body.id}`).expect(204);
    expect(await me()).to.equal(null);
    expect(await Memberships(inspector()).countDocuments({ teams: body.id })).to.equal(0);
    expect(await outcome(client.delete(`${path}/${body.id}`))).to.equal('404 not_found');
  });

  it('have members, who choose the one they work in', async () => {
    const { shared, as, acme, globex, visitor } = await tenancyWorld();
    const [boss, { user, client }] = [await as(ada), await visitor('grace@example.com')];
    await addMember({ ...shared, organizationId: acme, userId: user.id });
    const [red, blue] = [await teamOf(acme, 'red'), await teamOf(acme, 'blue')];
    const { id: foreign } = await createTeam({ ...shared, organizationId: globex, name: 'foreign' });
    const teams = `/organizations/${acme}/teams`;
    const current = (teamId: unknown) => client.put(`/organizations/${acme}/current-team`, { teamId });

    expect(await outcome(current(red))).to.equal('404 not_found');
    const put = await boss.put(`${teams}/${red}/members/${user.id}`).expect(200);
    expect(put.body).to.deep.include({ userId: user.id, teamIds: [red] });
    await boss.put(`${teams}/${red}/members/${user.id}`).expect(200);
    expect((await current(red).expect(200)).body).to.deep.equal({
      role: 'member',
      teamIds: [red],
      currentTeamId: red,
    });
    expect((await client.get('/api/me')).body.team).to.deep.equal({ id: red, name: 'red' });
    expect((await current(null).expect(200)).body.currentTeamId).to.equal(null);
    expect(await outcome(current(7))).to.equal('400 validation_failed');
    expect(await outcome(client.put(`${teams}/${blue}/members/${user.id}`))).to.equal(
      '403 permission_missing',
    );

    await current(red);
    await boss.delete(`${teams}/${red}/members/${user.id}`).expect(204);
    expect((await client.get('/api/me')).body.team).to.equal(null);
    expect(await outcome(boss.delete(`${teams}/${red}/members/${user.id}`))).to.equal('404 not_found');
    for (const team of [foreign, nobody, 'x']) {
      const here = `${teams}/${team}`;
      for (const answer of [
        boss.patch(here, { name: 'mine' }),
        boss.delete(here),
        boss.get(`${here}/members`),
        boss.put(`${here}/members/${user.id}`),
        boss.delete(`${here}/members/${user.id}`),
        boss.patch(`/organizations/${acme}/members/${user.id}`, { teamIds: [red, team] }),
        boss.patch(`/organizations/${acme}`, { defaultTeamId: team }),
        current(team),
      ])
        expect(await outcome(answer), team).to.equal('404 not_found');
    }
    for (const userId of [nobody, 'x', await userIdOf(bob)])
      expect(await outcome(boss.put(`${teams}/${red}/members/${userId}`))).to.equal('404 not_found');
    const both = await boss
      .patch(`/organizations/${acme}/members/${user.id}`, { teamIds: [blue, red] })
      .expect(200);
    expect(both.body.teamIds).to.have.members([red, blue]);
  });

  it('are joined by every new member where the organization has chosen one, who works in it first', async () => {
    const { shared, as, acme, visitor } = await tenancyWorld();
    const boss = await as(ada);
    const red = await teamOf(acme, 'red');
    const chosen = await boss.patch(`/organizations/${acme}`, { defaultTeamId: red }).expect(200);
    expect(chosen.body.defaultTeamId).to.equal(red);
    const { user, client } = await visitor('grace@example.com');
    await addMember({ ...shared, organizationId: acme, userId: user.id });
    expect((await client.get('/api/me').expect(200)).body.team).to.deep.equal({ id: red, name: 'red' });
    await boss.delete(`/organizations/${acme}/teams/${red}`).expect(204);
    expect((await boss.get(`/organizations/${acme}`)).body.defaultTeamId).to.equal(null);
    expect((await client.get('/api/me')).body.team).to.equal(null);
  });
});

describe('/organizations/:organizationId', () => {
  it('tells every member what the plan grants', async () => {
    const { as, globex } = await world();
    const { body } = await (await as(ada)).get(`/organizations/${globex}/entitlements`).expect(200);
    expect(body).to.deep.equal({
      plan: 'free',
      entitlements: ['images', 'searches', 'tokens'],
      tier: 0,
      limits: { images: 10, searches: 1000, tokens: 10_000 },
    });
  });

  it('has an audit log, the newest first, in pages, by action, actor and time, and of no other organization', async () => {
    const { as, acme, globex } = await world();
    const client = await as(ada);
    const at = (minute: number) => new Date(Date.UTC(2030, 0, 1, 0, minute));
    const entries = AuditEntries(inspector());
    await entries.deleteMany({});
    const rows = [0, 1, 2, 2, 3].map((minute, index) => ({
      at: at(minute),
      action: index % 2 ? 'organization.team.created' : 'organization.updated',
      actor: index < 3 ? 'ada' : 'bob',
      organization: acme,
      details: { index },
    }));
    await entries.insertMany([...rows, { ...rows[4], organization: globex, details: { index: 'foreign' } }]);
    const read = async (query: string): Promise<unknown[]> => {
      const { items } = (await client.get(`/organizations/${acme}/audit?${query}`).expect(200)).body;
      return items.map(({ details }: { details: { index: unknown } }) => details.index);
    };
    expect(await read('')).to.deep.equal([4, 3, 2, 1, 0]);
    expect(await read('action=organization.updated')).to.deep.equal([4, 2, 0]);
    expect(await read('actor=bob')).to.deep.equal([4, 3]);
    expect(await read('actor=bob&action=organization.updated')).to.deep.equal([4]);
    expect(await read('from=2030-01-01T00:01:00Z&to=2030-01-01T00:03:00Z')).to.deep.equal([3, 2, 1]);
    const paged = [];
    for (let cursor = ''; ; ) {
      const { body } = await client.get(`/organizations/${acme}/audit?limit=2${cursor}`).expect(200);
      paged.push(...body.items.map(({ details }: { details: { index: unknown } }) => details.index));
      if (!body.nextCursor) break;
      cursor = `&cursor=${body.nextCursor}`;
    }
    expect(paged).to.deep.equal([4, 3, 2, 1, 0]);
    for (const query of ['from=yesterday', 'action[]=x', 'q=1', 'cursor=AAAAAAAAAAAAAAAA', 'actor=a&actor=b'])
      expect(await outcome(client.get(`/organizations/${acme}/audit?${query}`)), query).to.equal(
        '400 validation_failed',
      );
    const member = await (await as(ada)).get(`/organizations/${globex}/audit`);
    expect(member.body.code).to.equal('permission_missing');
  });

  it('records every change in its audit log, with who did it and from where', async () => {
    const { shared, as, acme, person } = await tenancyWorld();
    const client = await as(ada);
    const path = `/organizations/${acme}`;
    const { id } = await person('grace@example.com');
    await addMember({ ...shared, organizationId: acme, userId: id });
    await setSeats({ ...shared, organizationId: acme, seats: 5 });
    await client.patch(path, { name: 'Acme Ltd' }).expect(200);
    const team = (await client.post(`${path}/teams`, { name: 'green' })).body.id;
    await client.patch(`${path}/teams/${team}`, { name: 'lime' });
    await client.put(`${path}/teams/${team}/members/${id}`);
    await client.delete(`${path}/teams/${team}/members/${id}`);
    await client.patch(`${path}/members/${id}`, { role: 'admin', teamIds: [team] });
    await client.delete(`${path}/teams/${team}`);
    await client.delete(`${path}/members/${id}`);
    const { items } = (await client.get(`${path}/audit?limit=11`)).body;
    expect(items.map(({ action }: { action: string }) => action).reverse()).to.deep.equal([
      'organization.member.joined',
      'organization.seats-set',
      'organization.updated',
      'organization.team.created',
      'organization.team.renamed',
      'organization.team.member-added',
      'organization.team.member-removed',
      'organization.member.role-changed',
      'organization.member.teams-changed',
      'organization.team.deleted',
      'organization.member.removed',
    ]);
    const [removed] = items;
    expect(removed).to.deep.include({
      actor: await userIdOf(ada),
      target: { type: 'user', id },
      organizationId: acme,
      ip: '127.0.0.1',
      details: { role: 'admin' },
    });
    expect(removed.requestId).to.be.a('string');
  });

  it('records what becomes of its people elsewhere: owners who are deactivated and come back, members and invited ones who are erased', async () => {
    const { shared, acme, person, as } = await tenancyWorld();
    const [organizationId, boss] = [acme, await as(ada)];
    const admin = await userIdOf('admin@example.com');
    const [heir, guest] = [await person('heir@example.com'), await person('guest@example.com')];
    await addMember({ ...shared, organizationId, userId: heir.id, role: 'owner' });
    const invitation = await inviteMember({ ...shared, organizationId, email: guest.email });
    await deactivateUser({ ...shared, userId: heir.id, actor: admin, ip: '192.0.2.1' });
    await updateUser({ ...shared, userId: heir.id, status: 'active' });
    await updateUser({ ...shared, userId: heir.id, status: 'inactive' });
    await updateUser({ ...shared, userId: heir.id, status: 'active' });
    for (const { id } of [heir, guest])
      await eraseSubject({ ...shared, subject: { type: 'user', id }, actor: admin });

    const { items } = (await boss.get(`/organizations/${acme}/audit?limit=6`).expect(200)).body;
    const shown = items.map(({ action, actor, target, ip }: Record<string, unknown>) => [
      action,
      actor,
      target,
      ip,
    ]);
    const target = { type: 'user', id: heir.id };
    expect(shown.reverse()).to.deep.equal([
      ['organization.owner.suspended', admin, target, '192.0.2.1'],
      ['organization.owner.restored', null, target, null],
      ['organization.owner.suspended', null, target, null],
      ['organization.owner.restored', null, target, null],
      ['organization.member.erased', admin, target, null],
      ['organization.invitation.erased', admin, { type: 'invitation', id: invitation.id }, null],
    ]);
    expect(items.slice(0, 2).map(({ details }: { details: object }) => details)).to.deep.equal([
      { role: 'member' }, // of the invitation, which is nobody's any more
      {}, // what was known of who is erased
    ]);
    expect((await verifyAudit({ ...shared, organizationId })).problems).to.deep.equal([]);
  });

  it('records by which invitation somebody came, and each API key that goes with a member', async () => {
    const { shared, acme, as, visitor, person, tokenOf } = await tenancyWorld();
    const [organizationId, boss] = [acme, await as(ada)];
    const invite = (email: string) => inviteMember({ ...shared, organizationId, email });
    const first = await invite('grace@example.com');
    const { user, client } = await visitor('grace@example.com');
    await client.post('/invitations/accept', { token: await tokenOf(user.email, 'invitation') }).expect(201);
    const second = await invite('other@example.com');
    for (const email of ['other@example.com', 'third@example.com'])
      await addMember({ ...shared, organizationId, userId: (await person(email)).id });
    const entries = async (action: string) =>
      (await boss.get(`/organizations/${acme}/audit?action=${action}`).expect(200)).body.items.reverse();
    const joined = await entries('organization.member.joined');
    expect(joined.map(({ details }: { details: object }) => details)).to.deep.equal([
      { role: 'member', teamIds: [], invitation: first.id },
      { role: 'member', teamIds: [], invitation: second.id },
      { role: 'member', teamIds: [] },
    ]);

    const make = (name: string) => createApiKey({ ...shared, userId: user.id, name, organizationId });
    const keys = [await make('one'), await make('two')];
    await createApiKey({ ...shared, userId: user.id, name: 'everywhere' });
    await boss.delete(`/organizations/${acme}/members/${user.id}`).expect(204);
    const deleted = await entries('api-key.deleted');
    const facts = deleted.map(({ actor, target, details, ip }: Record<string, unknown>) => {
      return { actor, target, details, ip };
    });
    const by = { actor: await userIdOf(ada), ip: '127.0.0.1' };
    expect(facts).to.have.deep.members(
      keys.map(({ id, name, prefix }) => ({
        ...by,
        target: { type: 'api-key', id },
        details: { name, prefix },
      })),
    );
  });

  it('belongs to nobody who was not there: an owner must exist', async () => {
    const { shared } = await world();
    for (const owner of [nobody, 'x'])
      expect(await createOrganization({ ...shared, name: 'x', owner }).catch(({ code }) => code)).to.equal(
        'not_found',
      );
  });
});
