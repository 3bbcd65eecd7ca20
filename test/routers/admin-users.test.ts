import { expect } from 'chai';
import {
  AuditEntries,
  createApiKey,
  createUser,
  deactivateUser,
  deleteOrganization,
  deleteRole,
  eraseSubject,
  leaveOrganization,
  Memberships,
  Organizations,
  Roles,
  removeMember,
  Users,
  unlockUser,
  updateMember,
  updateUser,
} from '../../lib/index.js';
import { administered, refusal } from '../support/admins.js';
import { atEnd, connect, countBy, inspector, times } from '../support/world.js';

const missing = 'permission_missing';

describe('the list of users', () => {
  /** Addresses in the order in which pages of two give them. */
  const walk = async (
    { byAdmin }: Pick<Awaited<ReturnType<typeof administered>>, 'byAdmin'>,
    query: string,
  ) => {
    const emails: string[] = [];
    for (let cursor = ''; ; ) {
      const { body } = await byAdmin.get(`/admin/users?limit=2&${query}${cursor}`).expect(200);
      expect(body.items.length).to.be.within(0, 2);
      emails.push(...body.items.map(({ email }: { email: string }) => email.split('@')[0]));
      if (body.nextCursor === null) return emails;
      cursor = `&cursor=${body.nextCursor}`;
    }
  };

  it('is found by the beginning of an address or a name, by role and status, in each order, page by page', async () => {
    const given = await administered();
    const { shared, connection, ids } = given;
    const people = [
      { email: 'grace@example.com', name: 'grace hopper', roles: ['designer'] },
      { email: 'x.adams@example.com', name: 'Adam' },
      { email: 'nameless@example.com' },
      { email: 'bobby@example.com', name: 'Bob' },
      { email: 'bo.b@example.com', name: '(bo|x)+' },
    ];
    for (const person of people) await createUser({ ...shared, ...person });
    const gone = await Users(connection).findOne({ email: 'bobby@example.com' }).orFail().lean();
    await updateUser({ ...shared, userId: String(gone._id), status: 'inactive' });
    await Users(connection).updateOne({ _id: ids.ada }, { $unset: { status: 1 } });

    const all = ['ada', 'admin', 'bo.b', 'bob', 'bobby', 'grace', 'nameless', 'x.adams'];
    expect(await walk(given, '')).to.deep.equal(all);
    expect(await walk(given, 'sort=-email')).to.deep.equal([...all].reverse());
    const byName = ['nameless', 'bo.b', 'ada', 'x.adams', 'admin', 'bob', 'bobby', 'grace'];
    expect(await walk(given, 'sort=name')).to.deep.equal(byName);
    expect(await walk(given, 'sort=-name')).to.deep.equal([...byName].reverse());
    const made = people.map(({ email }) => email.split('@')[0]);
    expect((await walk(given, 'sort=createdAt')).slice(3)).to.deep.equal(made);
    expect((await walk(given, 'sort=-createdAt')).slice(0, 5)).to.deep.equal([...made].reverse());

    expect(await walk(given, 'q=ad')).to.deep.equal(['ada', 'admin', 'x.adams']);
    expect(await walk(given, 'q=AD&sort=-email')).to.deep.equal(['x.adams', 'admin', 'ada']);
    expect(await walk(given, 'q=Grace')).to.deep.equal(['grace']);
    expect(await walk(given, 'q=bo.')).to.deep.equal(['bo.b']);
    expect(await walk(given, `q=${encodeURIComponent('(bo|x)+')}`)).to.deep.equal(['bo.b']);
    expect(await walk(given, 'q=hopper')).to.deep.equal([]);
    expect(await walk(given, 'role=designer')).to.deep.equal(['ada', 'grace']);
    expect(await walk(given, 'role=designer&q=gr&sort=-name')).to.deep.equal(['grace']);
    expect(await walk(given, 'status=inactive')).to.deep.equal(['bobby']);
    expect(await walk(given, 'status=active&role=user&sort=name')).to.deep.equal(
      byName.filter((name) => !['bobby', 'admin', 'grace'].includes(name)),
    );
  });

  it('shows nothing of a credential, and takes no other query', async () => {
    const { byAdmin, ids } = await administered();
    const { body } = await byAdmin.get('/admin/users?q=ada').expect(200);
    expect(body.items[0]).to.have.all.keys(
      'id',
      'email',
      'emailVerified',
      'name',
      'roles',
      'status',
      'createdAt',
    );
    expect((await byAdmin.get(`/admin/users/${ids.ada}`).expect(200)).body).to.deep.equal(body.items[0]);
    const { body: page } = await byAdmin.get('/admin/users?limit=1&sort=name').expect(200);
    const wrong = [
      'sort=password',
      'status=gone',
      'q=',
      'q=a&q=b',
      'q[$ne]=a',
      'role[$gt]=',
      'limit=0',
      'limit=101',
    ];
    const forged = Buffer.from(JSON.stringify(['email', { $gt: '' }, 'x'])).toString('base64url');
    const cursors = [`cursor=${page.nextCursor}`, 'cursor=x', `cursor=${forged}`, 'q=%00'];
    for (const query of [...wrong, ...cursors])
      expect(await refusal(byAdmin.get(`/admin/users?${query}`)), query).to.deep.equal([
        400,
        'validation_failed',
      ]);
    for (const id of ['nonsense', '0123456789abcdef01234567', '$ne', '%00'])
      expect(await refusal(byAdmin.get(`/admin/users/${id}`)), id).to.deep.equal([404, 'not_found']);
  });
});

describe('an administrator', () => {
  it('makes users with the roles that are said, who can sign in', async () => {
    const { byAdmin, anyone, connection, ids } = await administered();
    const person = {
      email: 'Grace@Example.com',
      password: 'cobol-forever',
      name: 'Grace',
      emailVerified: true,
    };
    const { headers, body } = await byAdmin
      .post('/admin/users', { ...person, roles: ['user', 'designer'] })
      .expect(201);
    expect(body).to.deep.include({ email: 'grace@example.com', name: 'Grace', roles: ['user', 'designer'] });
    expect(headers.location).to.equal(`/admin/users/${body.id}`);
    await anyone().post('/auth/sign-in', { email: person.email, password: person.password }).expect(200);
    expect(await refusal(byAdmin.post('/admin/users', person))).to.deep.equal([409, 'email_taken']);
    expect(
      (await byAdmin.post('/admin/users', { email: 'plain@example.com' }).expect(201)).body.roles,
    ).to.deep.equal(['user']);
    const entry = await AuditEntries(connection)
      .findOne({ action: 'user.created', 'target.id': body.id })
      .orFail()
      .lean();
    expect(entry).to.deep.include({ actor: ids.admin, details: { roles: ['user', 'designer'] } });
    for (const wrong of [
      { roles: 'admin' },
      { roles: ['$x'] },
      { password: 'short' },
      { id: 'x' },
      { credentialEpoch: 1 },
    ])
      await byAdmin.post('/admin/users', { email: 'new@example.com', ...wrong }).expect(400);
    const extension = { email: 'new@example.com', roles: ['organization.owner'] };
    expect(await refusal(byAdmin.post('/admin/users', extension))).to.deep.equal([400, 'validation_failed']);
  });

  it('changes fields, roles and status, which count on the next request', async () => {
    const { byAdmin, as, ids, connection } = await administered();
    const ada = await as('ada@example.com');
    expect(await refusal(ada.get('/api/admin'))).to.deep.equal([403, 'role_missing']);
    const path = `/admin/users/${ids.ada}`;
    const changed = await byAdmin.patch(path, { name: 'Countess', roles: ['user', 'admin'] }).expect(200);
    expect(changed.body).to.deep.include({ name: 'Countess', roles: ['user', 'admin'], status: 'active' });
    await ada.get('/api/admin').expect(200);
    await ada.get('/admin/users').expect(200);
    await byAdmin.patch(path, { roles: ['user'], emailVerified: false }).expect(200);
    expect(await refusal(ada.get('/api/admin'))).to.deep.equal([403, 'role_missing']);
    expect(await refusal(ada.get('/admin/users'))).to.deep.equal([403, missing, 'admin.users.read']);
    expect((await byAdmin.patch(path, {}).expect(200)).body).to.include({ emailVerified: false });
    const entries = await AuditEntries(connection)
      .find({ 'target.id': ids.ada, actor: ids.admin })
      .sort({ _id: 1 })
      .lean();
    expect(entries.map(({ action, details }) => [action, details])).to.deep.equal([
      ['user.updated', { fields: ['name'] }],
      ['user.roles-changed', { from: ['user', 'designer'], to: ['user', 'admin'] }],
      ['user.updated', { fields: ['emailVerified'] }],
      ['user.roles-changed', { from: ['user', 'admin'], to: ['user'] }],
    ]);
  });

  it('deactivates users, whose sessions end for good, and lets them in again', async () => {
    const { byAdmin, as, ids, signIn } = await administered();
    const [ada, bob] = [await as('ada@example.com'), await as('bob@example.com')];
    const path = `/admin/users/${ids.bob}`; // the owner of an organization in which Ada is a member
    expect(await refusal(byAdmin.delete(path))).to.deep.equal([409, 'last_owner']);
    await bob.get('/api/me').expect(200);
    expect((await byAdmin.get(path).expect(200)).body.status).to.equal('active');

    const { body: grace } = await byAdmin
      .post('/admin/users', { email: 'grace@example.com', password: 'cobol-forever', emailVerified: true })
      .expect(201);
    const credentials = { email: 'grace@example.com', password: 'cobol-forever' };
    const session = await ada.post('/auth/sign-in', credentials).expect(200);
    const bearer = { Authorization: `Bearer ${session.body.accessToken}` };
    const check = () => ada.post('/auth/check').set(bearer);
    await check().expect(200);
    await byAdmin.delete(`/admin/users/${grace.id}`).expect(204);
    expect(await refusal(check())).to.deep.equal([403, 'user_inactive']);
    expect(await refusal(ada.post('/auth/sign-in', credentials))).to.deep.equal([401, 'credentials_invalid']);
    await byAdmin.delete(`/admin/users/${grace.id}`).expect(204);
    await byAdmin.patch(`/admin/users/${grace.id}`, { status: 'active' }).expect(200);
    expect(await refusal(check())).to.deep.equal([401, 'session_revoked']);
    await ada.post('/auth/sign-in', credentials).expect(200);
    await signIn('ada@example.com').expect(200);
  });

  it('leaves an owner to every organization, and the count of owners right, through deactivation and back', async () => {
    const { byAdmin, ids, connection, acme } = await administered();
    await Memberships(connection).insertMany([
      { organization: acme, user: ids.bob, role: 'owner', teams: [] },
    ]);
    await Organizations(connection).updateOne({ _id: acme }, { $inc: { owners: 1, members: 1 } });
    const owners = async () => (await Organizations(inspector()).findById(acme).orFail().lean()).owners;
    const set = (id: string, status: string) => byAdmin.patch(`/admin/users/${id}`, { status });
    await Memberships(inspector()).deleteMany({ organization: { $ne: acme }, user: ids.bob });

    for (let round = 0; round < 5; round += 1) {
      const answers = await Promise.all([set(ids.ada, 'inactive'), set(ids.bob, 'inactive')]);
      expect(countBy(answers, 'status')).to.deep.equal({ 200: 1, 409: 1 });
      expect(await owners()).to.equal(1);
      await Promise.all([ids.ada, ids.bob, ids.ada, ids.bob].map((id) => set(id, 'active').expect(200)));
      expect(await owners()).to.equal(2);
    }
    expect(await Memberships(inspector()).countDocuments({ suspended: true })).to.equal(0);
  });

  it('deactivates an owner who is the only member, who owns it again once let in; nobody else takes the owner from it', async () => {
    const { byAdmin, shared, ids, acme: organizationId, as } = await administered();
    const path = `/admin/users/${ids.ada}`;
    const counters = async () => {
      const { owners, members } = await Organizations(inspector()).findById(organizationId).orFail().lean();
      return { owners, members };
    };
    const codeOf = (promise: Promise<unknown>) => promise.catch(({ code }) => code);
    expect(await codeOf(deactivateUser({ ...shared, userId: ids.ada }))).to.equal('last_owner'); // by herself
    await byAdmin.delete(path).expect(204);
    expect(await counters()).to.deep.equal({ owners: 0, members: 1 });

    const who = { ...shared, organizationId, userId: ids.ada };
    const subject = { type: 'user', id: ids.ada } as const;
    const refusals = [
      eraseSubject({ ...shared, subject, actor: ids.admin }),
      removeMember(who),
      leaveOrganization(who),
      updateMember({ ...who, role: 'admin' }),
    ].map(codeOf);
    expect(await Promise.all(refusals)).to.deep.equal(times(4, () => 'last_owner'));
    expect(await counters()).to.deep.equal({ owners: 0, members: 1 });

    await byAdmin.patch(path, { status: 'active' }).expect(200);
    expect(await counters()).to.deep.equal({ owners: 1, members: 1 });
    const ada = await as('ada@example.com');
    await ada.patch(`/organizations/${organizationId}`, { name: 'Acme again' }).expect(200);

    await deactivateUser({ ...shared, userId: ids.ada, actor: ids.admin });
    await deleteOrganization({ ...shared, organizationId });
    await eraseSubject({ ...shared, subject, actor: ids.admin });
  });

  it('is always left, whoever demotes or deactivates whom at the same time', async () => {
    const { byAdmin, as, ids, give } = await administered();
    expect(await refusal(byAdmin.patch(`/admin/users/${ids.admin}`, { roles: ['user'] }))).to.deep.equal([
      409,
      'last_admin',
    ]);
    expect(await refusal(byAdmin.delete(`/admin/users/${ids.admin}`))).to.deep.equal([409, 'last_admin']);
    await Memberships(inspector()).deleteMany({});
    const byAda = await as('ada@example.com');
    for (let round = 0; round < 10; round += 1) {
      await give('admin', 'admin');
      await give('ada', 'admin');
      const demotions = [
        byAda.patch(`/admin/users/${ids.admin}`, { roles: ['user'] }),
        byAdmin.patch(`/admin/users/${ids.ada}`, round % 2 ? { roles: [] } : { roles: ['user'] }),
      ];
      const answers = await Promise.all(demotions);
      const statuses = answers.map(({ status }) => status).sort();
      expect(statuses[0], 'one succeeds').to.equal(200);
      expect([403, 409], 'the other is no administrator any more, or the last').to.include(statuses[1]);
      expect(await Users(inspector()).countDocuments({ roles: 'admin', status: 'active' })).to.equal(1);
    }
  });

  it('unlocks an account that somebody has guessed at, and not the address of the guesser', async () => {
    const given = await administered({ credentialRate: '5/minute', trustedProxies: 1 });
    const { byAdmin, anyone, ids } = given;
    const attempt = (ip: string, password: string) =>
      anyone().post('/auth/sign-in', { email: 'ada@example.com', password }).set('X-Forwarded-For', ip);
    for (let guess = 0; guess < 5; guess += 1) await attempt('192.0.2.1', 'wrong-guess').expect(401);
    await attempt('192.0.2.2', 'lovelace-1815').expect(429);
    await byAdmin.post(`/admin/users/${ids.ada}/unlock`).expect(204);
    await attempt('192.0.2.2', 'lovelace-1815').expect(200);
    await attempt('192.0.2.1', 'lovelace-1815').expect(429);
    expect(await refusal(byAdmin.post('/admin/users/nonsense/unlock'))).to.deep.equal([404, 'not_found']);
    const entry = await AuditEntries(inspector()).findOne({ action: 'user.unlocked' }).orFail().lean();
    expect(entry).to.include({ actor: ids.admin });
  });

  it('leaves a trace of an account that was unlocked, though the database fails on the way', async () => {
    const { shared, ids } = await administered();
    const appName = 'unlocking';
    const connection = await connect(undefined, { appName });
    const admin = inspector().getClient().db('admin');
    const data = { failCommands: ['update'], errorCode: 2, appName };
    atEnd(() => admin.command({ configureFailPoint: 'failCommand', mode: 'off' }));
    await admin.command({ configureFailPoint: 'failCommand', mode: { times: 1 }, data });
    const failed = await unlockUser({
      ...shared,
      credentialRate: '5/minute',
      connection,
      userId: ids.ada,
    }).catch((error: Error) => error);
    expect(failed).to.be.instanceOf(Error);
    expect(await AuditEntries(inspector()).countDocuments({ action: 'user.unlocked' })).to.equal(1);
  });

  it('sees and ends the sessions of users', async () => {
    const { byAdmin, as, ids } = await administered();
    const [first, second] = [await as('ada@example.com'), await as('ada@example.com')];
    const path = `/admin/users/${ids.ada}/sessions`;
    const { body } = await byAdmin.get(path).expect(200);
    expect(body.items).to.have.length(2);
    expect(body.items[0]).to.include({ current: false });
    const own = await byAdmin.get(`/admin/users/${ids.admin}/sessions`).expect(200);
    expect(own.body.items[0]).to.include({ current: true });
    expect(
      await refusal(byAdmin.delete(`/admin/users/${ids.bob}/sessions/${body.items[0].id}`)),
    ).to.deep.equal([404, 'not_found']);
    await byAdmin.delete(`${path}/${body.items[0].id}`).expect(204);
    expect(await refusal(first.post('/auth/check'))).to.deep.equal([401, 'session_revoked']);
    await second.post('/auth/check').expect(200);
    await byAdmin.delete(path).expect(204);
    expect(await refusal(second.post('/auth/check'))).to.deep.equal([401, 'session_revoked']);
    const entries = await AuditEntries(inspector()).find({ action: 'session.revoked' }).lean();
    expect(entries.map(({ actor }) => actor)).to.deep.equal([ids.admin, ids.admin]);
    for (const answer of [
      byAdmin.get('/admin/users/x/sessions'),
      byAdmin.delete('/admin/users/x/sessions'),
      byAdmin.delete(`${path}/x`),
    ])
      expect(await refusal(answer)).to.deep.equal([404, 'not_found']);
  });
});

describe('the management rules', () => {
  it('let each role make, change and deactivate users of the roles that they name, and no others', async () => {
    const { as, role, give, ids, shared } = await administered();
    await role('manager', [], { create: ['user', 'editor'], update: ['user'], delete: ['editor'] });
    await give('bob', 'manager');
    await Memberships(inspector()).deleteMany({});
    const bob = await as('bob@example.com');
    const person = (index: number, ...roles: string[]) => ({ email: `p${index}@example.com`, roles });
    const needs = (action: string, name: string) => [403, missing, `users.${action}:${name}`];

    const { body: user } = await bob.post('/admin/users', person(1, 'user')).expect(201);
    const { body: editor } = await bob.post('/admin/users', person(2, 'user', 'editor')).expect(201);
    expect(await refusal(bob.post('/admin/users', person(3, 'user', 'admin')))).to.deep.equal(
      needs('create', 'admin'),
    );
    expect(await refusal(bob.post('/admin/users', person(3, 'manager')))).to.deep.equal(
      needs('create', 'manager'),
    );
    const { body: nobody } = await bob.post('/admin/users', person(4)).expect(201);
    expect(nobody.roles).to.deep.equal([]);

    const patch = (id: string, change: object) => bob.patch(`/admin/users/${id}`, change);
    await patch(user.id, { name: 'One' }).expect(200);
    await patch(nobody.id, { name: 'Four' }).expect(200);
    expect(await refusal(patch(editor.id, { name: 'Two' }))).to.deep.equal(needs('update', 'editor'));
    expect(await refusal(patch(user.id, { roles: ['editor'] }))).to.deep.equal(needs('update', 'editor'));
    expect(await refusal(patch(editor.id, { roles: ['user'] }))).to.deep.equal(needs('update', 'editor'));
    expect(await refusal(patch(ids.bob, { roles: ['manager', 'admin'] }))).to.deep.equal(
      needs('update', 'manager'),
    );
    expect(await refusal(patch(ids.admin, { name: 'x' }))).to.deep.equal(needs('update', 'admin'));
    expect(await refusal(patch('nonsense', {}))).to.deep.equal([404, 'not_found']);

    expect(await refusal(bob.delete(`/admin/users/${user.id}`))).to.deep.equal(needs('delete', 'user'));
    expect(await refusal(patch(user.id, { status: 'inactive' }))).to.deep.equal(needs('delete', 'user'));
    await role('manager', [], { create: [], update: ['user'], delete: '*' });
    await bob.delete(`/admin/users/${editor.id}`).expect(204);
    await patch(user.id, { status: 'inactive', name: 'Gone' }).expect(200);
    expect(await refusal(patch(editor.id, { status: 'active' }))).to.deep.equal(needs('update', 'editor'));
    await patch(user.id, { status: 'active' }).expect(200);
    expect(await refusal(bob.get(`/admin/users/${user.id}`))).to.deep.equal([
      403,
      missing,
      'admin.users.read',
    ]);
    expect(await Users(shared.connection).countDocuments({ email: /^p/ })).to.equal(3);
  });

  it('are everything for administrators unless theirs are stored, and nothing for others, whatever their permissions', async () => {
    const { byAdmin, as, role, give, ids } = await administered();
    await role('clerk', ['admin.users.*']);
    await give('bob', 'clerk');
    const bob = await as('bob@example.com');
    expect(await refusal(bob.post('/admin/users', { email: 'x@example.com' }))).to.deep.equal([
      403,
      missing,
      'users.create:user',
    ]);
    for (const answer of [bob.patch(`/admin/users/${ids.ada}`, {}), bob.patch('/admin/users/nonsense', {})])
      expect(await refusal(answer)).to.deep.equal([403, missing, 'users.update:user']);
    await byAdmin.patch(`/admin/users/${ids.ada}`, { roles: ['user', 'whatever'] }).expect(200);
    const rules = { create: ['user'], update: ['user'], delete: [] };
    await byAdmin.put('/admin/roles/admin', { permissions: ['admin.*'], managementRules: rules }).expect(200);
    expect(await refusal(byAdmin.patch(`/admin/users/${ids.ada}`, {}))).to.deep.equal([
      403,
      missing,
      'users.update:whatever',
    ]);
    expect(
      await refusal(byAdmin.post('/admin/users', { email: 'x@example.com', roles: ['admin'] })),
    ).to.deep.equal([403, missing, 'users.create:admin']);
  });

  it('give nobody a role that holds more than whoever gives it', async () => {
    const { as, role, give, ids } = await administered();
    await role('manager', ['admin.users.read'], { create: '*', update: '*', delete: '*' });
    await role('reader', ['admin.users.read']);
    await role('auditor', ['admin.audit.read']);
    await give('bob', 'manager');
    const bob = await as('bob@example.com');
    const lacks = (code: string) => [403, missing, code];
    const path = `/admin/users/${ids.bob}`;
    expect(await refusal(bob.patch(path, { roles: ['manager', 'auditor'] }))).to.deep.equal(
      lacks('admin.audit.read'),
    );
    expect(await refusal(bob.patch(path, { roles: ['admin'] }))).to.deep.equal(lacks('admin.*'));
    const made = { email: 'x@example.com', roles: ['auditor'] };
    expect(await refusal(bob.post('/admin/users', made))).to.deep.equal(lacks('admin.audit.read'));
    await bob.patch(path, { roles: ['manager', 'reader'] }).expect(200);
    await give('ada', 'auditor');
    await bob.patch(`/admin/users/${ids.ada}`, { roles: ['auditor', 'reader'] }).expect(200);
  });

  it('bind an API key too, which grants nothing beyond its scopes', async () => {
    const { shared, ids, withHeaders, role, acme } = await administered();
    await role('auditor', ['admin.audit.read']);
    const key = async (limits: object) => {
      const made = await createApiKey({ ...shared, userId: ids.admin, name: 'robot', ...limits });
      return withHeaders({ 'X-API-Key': made.key });
    };
    const path = `/admin/users/${ids.bob}`;
    const narrow = await key({ scopes: ['admin.users.read'] });
    expect(await refusal(narrow.patch(path, { name: 'x' }))).to.deep.equal([
      403,
      missing,
      'admin.users.manage',
    ]);
    const scoped = await key({ scopes: ['admin.users.*'] });
    await scoped.patch(path, { name: 'Robert' }).expect(200);
    expect(await refusal(scoped.patch(path, { roles: ['auditor'] }))).to.deep.equal([
      403,
      missing,
      'admin.audit.read',
    ]);
    await (await key({})).patch(path, { roles: ['auditor'] }).expect(200);
    await Memberships(shared.connection).insertMany([
      { organization: acme, user: ids.admin, role: 'member', teams: [] },
    ]);
    const bound = await key({ organizationId: acme });
    for (const answer of [bound.patch(path, {}), bound.get(path), bound.get('/admin/roles')])
      expect(await refusal(answer)).to.deep.equal([403, missing]);
  });

  it('let no role be deleted that somebody is given at the same time', async () => {
    const { shared, role, ids } = await administered();
    for (let round = 0; round < 20; round += 1) {
      await role('passing', []);
      const [given, deleted] = await Promise.allSettled([
        updateUser({ ...shared, userId: ids.bob, roles: ['passing'] }),
        deleteRole({ ...shared, name: 'passing' }),
      ]);
      const held = await Users(inspector()).countDocuments({ roles: 'passing' });
      expect(given.status).to.equal('fulfilled'); // a role need not be defined
      expect(held).to.equal(1);
      const there = await Roles(inspector()).countDocuments({ name: 'passing' });
      expect(there).to.equal(deleted.status === 'fulfilled' ? 0 : 1);
      await updateUser({ ...shared, userId: ids.bob, roles: ['user'] });
    }
  });
});

describe('making users at the same time', () => {
  it('makes one of an address, and refuses the others', async () => {
    const { byAdmin } = await administered();
    const answers = await Promise.all(
      times(10, () => byAdmin.post('/admin/users', { email: 'grace@example.com' })),
    );
    expect(countBy(answers, 'status')).to.deep.equal({ 201: 1, 409: 9 });
  });
});
