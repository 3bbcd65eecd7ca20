import { expect } from 'chai';
import {
  AuditEntries,
  addMember,
  cleanUp,
  createOrganization,
  createUser,
  deleteOrganization,
  deleteRole,
  isTollgateError,
  type ManagementRules,
  Roles,
  saveRole,
  type User,
  Users,
  updateMember,
  updateUser,
} from '../../lib/index.js';
import { atEnd, connect, emptyWorld, inspector, mongoUri, times } from '../support/world.js';

const codeOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'done',
    (error: unknown) => {
      if (!isTollgateError(error)) throw error;
      return error.code;
    },
  );

/** An organization, and somebody with each of its roles, which may manage roles and members. */
async function managed(...names: string[]) {
  const { shared } = await emptyWorld();
  const { id: owner } = await createUser({ ...shared, email: 'owner@example.com' });
  const { id: organizationId } = await createOrganization({ ...shared, name: 'Managed', owner });
  const permissions = ['organization.roles.manage', 'organization.members.manage'];
  const restore = () =>
    Promise.all(names.map((name) => saveRole({ ...shared, organizationId, name, permissions })));
  await restore();
  const people = await Promise.all(
    names.map(async (role) => {
      const { id: userId } = await createUser({ ...shared, email: `${role}@example.com` });
      await addMember({ ...shared, organizationId, userId, role });
      return userId;
    }),
  );
  return { shared, organizationId, people: people as [string, string], restore };
}

/** Two people, each with a global role of the same name, which hold and allow alike; and their connections, as of two processes. */
async function rivals(permissions: string[], managementRules: ManagementRules | null = null) {
  const { shared } = await emptyWorld();
  const names = ['left', 'right'] as const;
  const [left, right] = (await Promise.all(
    names.map((name) => createUser({ ...shared, email: `${name}@example.com` })),
  )) as [User, User];
  const restore = async () => {
    for (const name of names) await saveRole({ ...shared, name, permissions, managementRules });
    await updateUser({ ...shared, userId: left.id, roles: ['user', 'left'] });
    await updateUser({ ...shared, userId: right.id, roles: ['user', 'right'] });
  };
  return { here: shared, there: { ...shared, connection: await connect() }, left, right, restore };
}

describe('global roles', () => {
  const everything = { create: '*', update: '*', delete: '*' } as const;
  const rounds = times(10, () => null);

  it('are taken by nobody who is just losing the right: two who demote each other at once, in 10 rounds of 10', async () => {
    const { here, there, left, right, restore } = await rivals([], everything);
    const demote = (by: typeof here, actor: User, { id: userId }: User) =>
      codeOf(updateUser({ ...by, userId, roles: ['user'], actor: actor.id }));
    for (const _ of rounds) {
      await restore();
      const codes = await Promise.all([demote(here, left, right), demote(there, right, left)]);
      expect(codes.sort()).to.deep.equal(['done', 'permission_missing']);
    }
  });

  it('are changed by nobody who is just losing the right: two who strip each other at once, in 10 rounds of 10', async () => {
    const { here, there, left, right, restore } = await rivals(['admin.roles.manage']);
    const strip = (by: typeof here, actor: User, name: string) =>
      codeOf(saveRole({ ...by, name, permissions: [], actor: actor.id }));
    for (const _ of rounds) {
      await restore();
      const codes = await Promise.all([strip(here, left, 'right'), strip(there, right, 'left')]);
      expect(codes.sort()).to.deep.equal(['done', 'permission_missing']);
    }
  });

  it('are changed beside those who have them likewise, in 10 rounds of 10', async () => {
    const { here, there, left, right, restore } = await rivals(['admin.roles.manage'], everything);
    for (const _ of rounds) {
      await restore();
      const codes = await Promise.all([
        codeOf(saveRole({ ...here, name: 'right', managementRules: null, actor: left.id })),
        codeOf(updateUser({ ...there, userId: left.id, roles: ['user'], actor: right.id })),
      ]);
      expect(codes.sort()).to.deep.equal(['done', 'permission_missing']);
    }
  });

  it('are given to many at once by one person in two processes, each time', async () => {
    const { here, there, left, restore } = await rivals(['admin.roles.manage'], everything);
    await restore();
    const make = (index: number) =>
      codeOf(
        createUser({
          ...(index % 2 ? here : there),
          email: `${index}@example.com`,
          roles: ['left'],
          actor: left.id,
        }),
      );
    const codes = await Promise.all(times(60, make));
    expect(new Set(codes)).to.deep.equal(new Set(['done']));
    const holders = await Users(inspector()).find({ roles: 'left' }).lean();
    expect(holders).to.have.length(61);
  });

  it('are given to many at once by many people with one role, each time', async () => {
    const { here, there, right, restore } = await rivals(['admin.roles.manage'], everything);
    await restore();
    const roles = ['user', 'right'];
    const others = await Promise.all(
      times(9, (index) => createUser({ ...here, email: `${index}@example.com`, roles })),
    );
    const give = ({ id: actor }: User, index: number) =>
      [here, there, here].map((by, of) =>
        codeOf(createUser({ ...by, email: `${index}-${of}@example.com`, roles: ['right'], actor })),
      );
    const codes = await Promise.all([right, ...others].flatMap(give));
    expect(new Set(codes)).to.deep.equal(new Set(['done']));
    expect(await Users(inspector()).find({ roles: 'right' }).lean()).to.have.length(40);
  });

  it('are acted by while an act of somebody else is held up', async () => {
    const { here, left, right, restore } = await rivals([], everything);
    await restore();
    const [{ id: busy }, { id: free }] = await Promise.all([
      createUser({ ...here, email: 'busy@example.com' }),
      createUser({ ...here, email: 'free@example.com' }),
    ]);
    const session = await inspector().startSession();
    atEnd(() => session.endSession());
    session.startTransaction();
    await Users(inspector()).updateOne({ _id: busy }, { name: 'Busy' }, { session });
    const rename = ({ id: actor }: User, userId: string) =>
      codeOf(updateUser({ ...here, userId, name: 'Renamed', actor }));
    const heldUp = rename(left, busy);
    expect(await rename(right, free)).to.equal('done');
    await session.abortTransaction();
    expect(await heldUp).to.be.oneOf(['done', 'database_unavailable']); // the latter on a slow machine
  });
});

describe('the roles of an organization', () => {
  it('are changed by nobody who is just losing the right: two who strip each other at once, in 10 rounds of 10', async () => {
    const { shared, organizationId, people, restore } = await managed('left', 'right');
    const elsewhere = { ...shared, connection: await connect() }; // as another process would
    const strip = (by: typeof shared, actor: string, name: string) =>
      codeOf(saveRole({ ...by, organizationId, name, permissions: [], actor }));
    for (const _ of times(10, () => null)) {
      await restore();
      const codes = await Promise.all([
        strip(shared, people[0], 'right'),
        strip(elsewhere, people[1], 'left'),
      ]);
      expect(codes.sort()).to.deep.equal(['done', 'permission_missing']);
    }
  });

  it('are changed beside the roles of members likewise, in 10 rounds of 10', async () => {
    const { shared, organizationId, people, restore } = await managed('left', 'right');
    const elsewhere = { ...shared, connection: await connect() };
    const [self, userId] = people;
    for (const _ of times(10, () => null)) {
      await restore();
      await updateMember({ ...shared, organizationId, userId, role: 'right' });
      await updateMember({ ...shared, organizationId, userId: self, role: 'left' });
      const codes = await Promise.all([
        codeOf(saveRole({ ...shared, organizationId, name: 'right', permissions: [], actor: self })),
        codeOf(updateMember({ ...elsewhere, organizationId, userId: self, role: 'member', actor: userId })),
      ]);
      expect(codes.sort()).to.deep.equal(['done', 'permission_missing']);
    }
  });

  it('end with it: one that is being made while it is deleted is deleted too, or not made', async () => {
    const { shared, organizationId } = await managed();
    const slow = { ...shared, connection: await connect(mongoUri(), { appName: 'slow' }) };
    const admin = inspector().getClient().db('admin');
    const data = {
      failCommands: ['findAndModify'],
      blockConnection: true,
      blockTimeMS: 400,
      appName: 'slow',
    };
    atEnd(async () => admin.command({ configureFailPoint: 'failCommand', mode: 'off' }));
    const { count } = await admin.command({ configureFailPoint: 'failCommand', mode: { times: 1 }, data });
    const made = codeOf(saveRole({ ...slow, organizationId, name: 'late', permissions: [] }));
    await admin.command({
      waitForFailPoint: 'failCommand',
      timesEntered: Number(count) + 1,
      maxTimeMS: 10_000,
    });
    await deleteOrganization({ ...shared, organizationId });
    expect(await made).to.be.oneOf(['done', 'not_found']);
    await cleanUp(shared);
    expect(await Roles(inspector()).countDocuments({ organization: organizationId })).to.equal(0);
    const entries = await AuditEntries(inspector())
      .find({ organization: organizationId })
      .sort({ _id: 1 })
      .lean();
    expect(entries.at(-1)?.action).to.equal('organization.deleted');

    const late = [
      saveRole({ ...shared, organizationId, name: 'later' }),
      deleteRole({ ...shared, organizationId, name: 'late' }),
    ].map(codeOf);
    expect(await Promise.all(late)).to.deep.equal(['not_found', 'not_found']);
  });
});
