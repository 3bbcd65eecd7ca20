import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import mongoose from 'mongoose';
import {
  ApiKeys,
  AuditEntries,
  addMember,
  addTeamMember,
  assignPlan,
  checkPermission,
  cleanUp,
  consumeQuota,
  createApiKey,
  createTeam,
  createUser,
  deactivateUser,
  deleteOrganization,
  deleteTeam,
  eraseSubject,
  Invitations,
  Memberships,
  Organizations,
  Roles,
  rolesOf,
  type SharedOptions,
  Subscriptions,
  saveRole,
  setCurrentTeam,
  Teams,
  Usage,
} from '../../lib/index.js';
import { changeFeed } from '../../lib/runtime/change-feed.js';
import { heldCommit } from '../support/held-commit.js';
import { atEnd, connect, dbName, inspector, mongoUri, times, until, world } from '../support/world.js';

const program = fileURLToPath(new URL('../support/deleting-process.ts', import.meta.url));
const appName = 'doomed';
const members = 1_200; // more than one batch

/** Acme with everything that an organization can have, and many members. */
async function bigWorld() {
  const made = await world();
  const { acme: organizationId, shared } = made;
  const organization = new mongoose.Types.ObjectId(organizationId);
  const red = await Teams(inspector()).findOne({ organization, name: 'red' }).orFail().lean();
  const teamId = String(red._id);
  const someone = () => new mongoose.Types.ObjectId();
  const crowd = times(members, () => ({
    organization,
    user: someone(),
    role: 'member',
    teams: [red._id],
    currentTeam: red._id,
  }));
  await Memberships(inspector()).insertMany(crowd);
  await Organizations(inspector()).updateOne({ _id: organization }, { $inc: { members } });
  const { id: userId } = await createUser({ ...shared, email: 'grace@example.com', emailVerified: true });
  await addMember({ ...shared, organizationId, userId });
  const { key } = await createApiKey({ ...shared, userId, name: 'robot', organizationId });
  await Roles(inspector()).create({ organization, name: 'guest', permissions: [] });
  const issue = { organization, email: 'x@example.com', role: 'member', teams: [red._id], invitedBy: null };
  const moments = { createdAt: new Date(), expiresAt: new Date(Date.now() + 60_000) };
  await Invitations(inspector()).create({ ...issue, ...moments });
  await assignPlan({ ...shared, subject: { type: 'team', id: teamId }, plan: 'pro' });
  for (const subject of [
    { type: 'organization', id: organizationId },
    { type: 'team', id: teamId },
  ] as const)
    await consumeQuota({ ...shared, subject, feature: 'images' });
  return { ...made, organizationId, organization, teamId, userId, key };
}

/** What is stored of an organization and its teams. */
async function left(
  organization: mongoose.Types.ObjectId,
  teams: readonly string[],
): Promise<Record<string, number>> {
  const connection = inspector();
  const subjects = [`organization:${organization}`, ...teams.map((id) => `team:${id}`)];
  const usage = await Promise.all(subjects.map((subject) => Usage(connection).allOf(subject)));
  const ids = [String(organization), ...teams];
  return {
    organizations: await Organizations(connection).countDocuments({ _id: organization }),
    memberships: await Memberships(connection).countDocuments({ organization }),
    teams: await Teams(connection).countDocuments({ organization }),
    invitations: await Invitations(connection).countDocuments({ organization }),
    roles: await Roles(connection).countDocuments({ organization }),
    apiKeys: await ApiKeys(connection).countDocuments({ organization, deletedAt: null }),
    subscriptions: await Subscriptions(connection).countDocuments({ 'subject.id': { $in: ids } }),
    usage: usage.flat().length,
    deletions: await connection.collection('tollgate_deletions').countDocuments(),
  };
}

const nothing = {
  organizations: 0,
  memberships: 0,
  teams: 0,
  invitations: 0,
  roles: 0,
  apiKeys: 0,
  subscriptions: 0,
  usage: 0,
  deletions: 0,
};

/** Lets a process delete, and kills it (SIGKILL) when it sends the first command of a kind after so many. */
async function dieAt(command: string, after: number, ...args: string[]): Promise<void> {
  const admin = inspector().getClient().db('admin');
  const data = { failCommands: [command], blockConnection: true, blockTimeMS: 2_000, appName }; // switching it off waits for it
  atEnd(async () => admin.command({ configureFailPoint: 'failCommand', mode: 'off' }));
  const { count } = await admin.command({ configureFailPoint: 'failCommand', mode: { skip: after }, data });
  const entered = admin.command({
    waitForFailPoint: 'failCommand',
    timesEntered: count + 1,
    maxTimeMS: 100_000,
  });
  let there = false;
  entered.then(() => {
    there = true;
  });
  while (!there) {
    // on a machine that is busy the process may be told that the database is not available
    const child = fork(program, [mongoUri(), dbName, appName, ...args], {
      execArgv: ['--import=tsx'],
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    });
    const exit = once(child, 'exit');
    await Promise.race([entered, exit]);
    child.kill('SIGKILL');
    await exit;
  }
  await admin.command({ configureFailPoint: 'failCommand', mode: 'off' });
}

describe('an organization that is deleted', function () {
  this.timeout(120_000);

  it('leaves nothing behind, but for the audit log', async () => {
    const { shared, organizationId, organization, teamId } = await bigWorld();
    const before = await left(organization, [teamId]);
    for (const kind of Object.keys(nothing).filter((kind) => kind !== 'deletions'))
      expect(before[kind], kind).to.be.greaterThan(0);
    await deleteOrganization({ ...shared, organizationId });
    await cleanUp(shared); // what it had no time for
    expect(await left(organization, [teamId])).to.deep.equal(nothing);
    const entries = inspector().collection('tollgate_audit_entries');
    expect(await entries.countDocuments({ organization, action: 'organization.deleted' })).to.equal(1);
    expect(await deleteOrganization({ ...shared, organizationId }).catch(({ code }) => code)).to.equal(
      'not_found',
    );
  });

  for (const after of [0, 2, 5]) {
    it(`is gone for all though the process is killed at deletion ${after + 1} of the rest, which cleanUp() ends`, async () => {
      const { shared, organizationId, organization, teamId, key, as, withHeaders, acme, userId } =
        await bigWorld();
      await dieAt('delete', after, organizationId);
      const remains = await left(organization, [teamId]);
      expect([remains.organizations, remains.deletions]).to.deep.equal([0, 1]);

      const ada = await as('ada@example.com');
      await ada.get(`/organizations/${acme}`).expect(404);
      expect(
        (await ada.get('/organizations')).body.items.map(({ slug }: { slug: string }) => slug),
      ).to.deep.equal(['globex']);
      expect((await ada.get('/api/me').expect(200)).body.organization.slug).to.equal('globex');
      expect((await withHeaders({ 'X-API-Key': key }).get('/api/me')).status).to.equal(401);
      await ada.post('/organizations', { name: 'Acme', slug: 'acme' }).expect(201);
      await deactivateUser({ ...shared, userId });
      await eraseSubject({ ...shared, subject: { type: 'user', id: userId } });

      expect((await cleanUp(shared)).deletions).to.equal(1);
      expect(await left(organization, [teamId])).to.deep.equal(nothing);
      expect((await cleanUp(shared)).deletions).to.equal(0);
    });
  }

  it('gives nobody a right any more while it is still being cleared, remembered or not', async () => {
    const { shared, organizationId, userId } = await bigWorld();
    await saveRole({ ...shared, name: 'organization.member', permissions: ['projects.read'] });
    await until(() => changeFeed(shared.connection).isLive());
    const elsewhere = { ...shared, connection: await connect() }; // which remembers nothing of it yet
    const may = (options: SharedOptions) =>
      checkPermission({ ...options, userId, organizationId, permission: 'projects.read' });
    expect(await may(shared)).to.equal(true);
    await dieAt('delete', 0, organizationId);
    await until(async () => !(await may(shared)));
    expect(await Memberships(inspector()).exists({ user: userId, organization: organizationId })).not.to.equal(null); // biome-ignore format: a condition
    for (const options of [elsewhere, { ...shared, strict: true }])
      expect(await may(options)).to.equal(false);
    const { organizationRole } = await rolesOf({ ...elsewhere, userId, organizationId });
    expect(organizationRole).to.equal(null);
    const robot = { ...shared, userId, name: 'late', organizationId };
    expect(await createApiKey(robot).catch(({ code }) => code)).to.equal('not_found');
    const choice = { ...shared, userId, organizationId, teamId: null };
    expect(await setCurrentTeam(choice).catch(({ code }) => code)).to.equal('not_found');
  });

  it('lets its only owner go while it is still being cleared', async () => {
    const { shared, organizationId } = await bigWorld();
    const { user } = await Memberships(inspector())
      .findOne({ role: 'owner', organization: organizationId })
      .orFail()
      .lean();
    await dieAt('delete', 0, organizationId);
    await eraseSubject({ ...shared, subject: { type: 'user', id: String(user) } });
    expect((await cleanUp(shared)).deletions).to.equal(1);
  });

  it('takes no team and no member any more, who come at the same time', async () => {
    const { shared, acme: organizationId } = await world();
    const { id: userId } = await createUser({ ...shared, email: 'grace@example.com' });
    await Promise.allSettled([
      createTeam({ ...shared, organizationId, name: 'late' }),
      deleteOrganization({ ...shared, organizationId }),
      createTeam({ ...shared, organizationId, name: 'later' }),
      addMember({ ...shared, organizationId, userId }),
    ]);
    expect(await left(new mongoose.Types.ObjectId(organizationId), [])).to.deep.equal(nothing);
    for (const late of await Promise.allSettled([
      addMember({ ...shared, organizationId, userId }),
      createTeam({ ...shared, organizationId, name: 'latest' }),
    ]))
      expect((late as PromiseRejectedResult).reason?.code).to.equal('not_found');
  });
});

describe('API keys for an organization that is deleted', () => {
  it('are deleted, each with an entry in its audit log, also one that is being made', async () => {
    const { shared, acme: organizationId } = await world();
    const organization = new mongoose.Types.ObjectId(organizationId);
    const { id: userId } = await createUser({ ...shared, email: 'grace@example.com' });
    await addMember({ ...shared, organizationId, userId });
    const robot = { ...shared, userId, name: 'robot', organizationId };
    const { id: first } = await createApiKey(robot);
    const { connection, held } = await heldCommit();
    const making = createApiKey({ ...robot, connection });
    await held();
    await deleteOrganization({ ...shared, organizationId });
    const { id: second } = await making;
    await cleanUp(shared); // what it had no time for
    expect(await left(organization, [])).to.deep.equal(nothing);
    const entries = await AuditEntries(inspector()).find({ organization, action: 'api-key.deleted' }).lean();
    expect(entries.map(({ target }) => target?.id).sort()).to.deep.equal([first, second].sort());
  });
});

describe('a team that is deleted', function () {
  this.timeout(120_000);

  it('is taken from all of its members, also by cleanUp() when the process was killed on the way', async () => {
    const { shared, organizationId, organization, teamId } = await bigWorld();
    await dieAt('update', 3, organizationId, teamId);
    expect(await Teams(inspector()).exists({ _id: teamId })).to.equal(null);
    expect(await Memberships(inspector()).countDocuments({ organization, teams: teamId })).to.be.greaterThan(
      0,
    );
    expect((await cleanUp(shared)).deletions).to.equal(1);
    const holders = { organization, $or: [{ teams: teamId }, { currentTeam: teamId }] };
    expect(await Memberships(inspector()).countDocuments(holders)).to.equal(0);
    expect(await Invitations(inspector()).countDocuments({ teams: teamId })).to.equal(0);
    expect(await Subscriptions(inspector()).countDocuments({ 'subject.id': teamId })).to.equal(0);
    expect(await Usage(inspector()).allOf(`team:${teamId}`)).to.deep.equal([]);
    expect((await left(organization, [])).memberships).to.equal(members + 2);
  });

  it('is the current one of nobody any more, also of who is choosing it at that moment', async () => {
    const { shared, acme: organizationId } = await world();
    const { user } = await Memberships(inspector()).findOne({ organization: organizationId }).orFail().lean();
    const userId = String(user);
    const { id: teamId } = await createTeam({ ...shared, organizationId, name: 'green' });
    await addTeamMember({ ...shared, organizationId, teamId, userId });
    const { connection, held } = await heldCommit();
    const choosing = setCurrentTeam({ ...shared, connection, organizationId, userId, teamId });
    await held();
    await deleteTeam({ ...shared, organizationId, teamId });
    expect((await choosing).currentTeamId).to.equal(teamId);
    await cleanUp(shared); // what it had no time for
    const holders = { $or: [{ teams: teamId }, { currentTeam: teamId }] };
    expect(await Memberships(inspector()).countDocuments(holders)).to.equal(0);
  });

  it('is joined by nobody at the same time', async () => {
    const { shared, acme: organizationId } = await world();
    for (const round of times(10, (index) => index)) {
      const { id: userId } = await createUser({ ...shared, email: `p${round}@example.com` });
      const { id: teamId } = await createTeam({ ...shared, organizationId, name: `t${round}` });
      await Promise.allSettled([
        addMember({ ...shared, organizationId, userId, teamIds: [teamId] }),
        deleteTeam({ ...shared, organizationId, teamId }),
      ]);
      expect(await Memberships(inspector()).countDocuments({ teams: teamId })).to.equal(0);
    }
  });
});
