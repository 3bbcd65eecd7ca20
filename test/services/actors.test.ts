import { expect } from 'chai';
import {
  AuditEntries,
  addMember,
  createUser,
  deactivateUser,
  deleteRole,
  isTollgateError,
  Organizations,
  Roles,
  saveRole,
  setSeats,
  unlockUser,
  updateMember,
  updateUser,
} from '../../lib/index.js';
import { administered } from '../support/admins.js';
import { inspector } from '../support/world.js';

/** How a call was refused: its code, and the permission that was lacking. */
const refused = (call: Promise<unknown>): Promise<unknown> =>
  call.then(
    () => 'done',
    (error: unknown) => {
      if (!isTollgateError(error)) throw error;
      return [error.code, error.extras.requiredPermission];
    },
  );

describe('a function that is told who acts', () => {
  it('changes roles and unlocks accounts for nobody who may not, whatever it would do', async () => {
    const { shared, ids, role, acme: organizationId } = await administered();
    const { id: member } = await createUser({ ...shared, email: 'grace@example.com' });
    const { id: gone } = await createUser({ ...shared, email: 'gone@example.com', roles: ['admin'] });
    await addMember({ ...shared, organizationId, userId: member });
    await addMember({ ...shared, organizationId, userId: gone, role: 'owner' });
    await deactivateUser({ ...shared, userId: gone });
    await role('clerk', ['tickets.read']);
    await saveRole({ ...shared, organizationId, name: 'clerk', permissions: ['billing.read'] });
    const [here, everywhere] = [{ organizationId, name: 'clerk' }, { name: 'clerk' }];
    for (const actor of [member, gone, ids.bob, '0'.repeat(24), 'nobody']) {
      const [inside, outside] = [
        ['permission_missing', 'organization.roles.manage'],
        ['permission_missing', 'admin.roles.manage'],
      ];
      const by = { ...shared, actor };
      expect(await refused(deleteRole({ ...by, ...here })), actor).to.deep.equal(inside);
      expect(await refused(saveRole({ ...by, ...here, permissions: [] })), actor).to.deep.equal(inside);
      expect(await refused(saveRole({ ...by, organizationId, name: 'new' })), actor).to.deep.equal(inside);
      expect(await refused(deleteRole({ ...by, ...everywhere })), actor).to.deep.equal(outside);
      expect(await refused(saveRole({ ...by, ...everywhere, permissions: [] })), actor).to.deep.equal(
        outside,
      );
      expect(await refused(unlockUser({ ...by, userId: ids.ada })), actor).to.deep.equal([
        'permission_missing',
        'admin.users.manage',
      ]);
    }
    const roles = await Roles(inspector()).find({ name: 'clerk' }).sort({ _id: 1 }).lean();
    expect(roles.map(({ permissions }) => permissions)).to.deep.equal([['tickets.read'], ['billing.read']]);
    const entries = { action: 'user.unlocked' };
    expect(await AuditEntries(inspector()).countDocuments(entries)).to.equal(0);

    const [owner, admin] = [
      { ...shared, actor: ids.ada },
      { ...shared, actor: ids.admin },
    ];
    await saveRole({ ...owner, ...here, permissions: [] });
    await deleteRole({ ...owner, ...here });
    await saveRole({ ...admin, ...everywhere, permissions: [] });
    await deleteRole({ ...admin, ...everywhere });
    await unlockUser({ ...admin, userId: ids.ada });
    expect(await AuditEntries(inspector()).countDocuments({ ...entries, actor: ids.admin })).to.equal(1);
  });

  it('and by which API key, does nothing beyond its scopes', async () => {
    const { shared, ids, role, acme: organizationId } = await administered();
    await role('clerk', []);
    await saveRole({ ...shared, organizationId, name: 'clerk' });
    const scopes = ['billing.*'];
    const [owner, admin] = [
      { ...shared, scopes, actor: ids.ada },
      { ...shared, scopes, actor: ids.admin },
    ];
    const { id: userId } = await createUser({ ...shared, email: 'grace@example.com' });
    await addMember({ ...shared, organizationId, userId });
    const calls: [code: string, call: () => Promise<unknown>][] = [
      ['organization.roles.manage', () => deleteRole({ ...owner, organizationId, name: 'clerk' })],
      [
        'organization.members.manage',
        () => updateMember({ ...owner, organizationId, userId, role: 'clerk' }),
      ],
      ['admin.roles.manage', () => deleteRole({ ...admin, name: 'clerk' })],
      ['admin.users.manage', () => unlockUser({ ...admin, userId })],
      ['admin.users.manage', () => updateUser({ ...admin, userId, name: 'Grace' })],
      ['admin.users.manage', () => createUser({ ...admin, email: 'new@example.com' })],
    ];
    for (const [code, call] of calls)
      expect(await refused(call())).to.deep.equal(['permission_missing', code]);
  });

  it('sets seats for whoever the caller lets, whom the audit log names', async () => {
    const { shared, ids, acme: organizationId } = await administered();
    await setSeats({ ...shared, organizationId, seats: 7, actor: ids.admin }); // no member: who sells seats need not be one
    const { seats } = await Organizations(inspector()).findById(organizationId).orFail().lean();
    const entry = await AuditEntries(inspector())
      .findOne({ action: 'organization.seats-set' })
      .orFail()
      .lean();
    expect([seats, entry.actor, entry.details]).to.deep.equal([7, ids.admin, { seats: 7 }]);
  });
});
