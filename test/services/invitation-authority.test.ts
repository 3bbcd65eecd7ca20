import { expect } from 'chai';
import {
  acceptInvitation,
  addMember,
  createUser,
  deactivateUser,
  eraseSubject,
  Invitations,
  inviteMember,
  isTollgateError,
  Memberships,
  removeMember,
  resendInvitation,
  type SharedOptions,
  saveRole,
  updateMember,
  updateUser,
} from '../../lib/index.js';
import { readKey } from '../../lib/runtime/keyring.js';
import { linkToken } from '../../lib/runtime/one-time-codes.js';
import { idOf } from '../support/admins.js';
import { publicUrl } from '../support/mailbox.js';
import { inspector, secret, world } from '../support/world.js';

/** How accepting went: the role that the member has then, or the code of the refusal. */
const outcome = (accepted: ReturnType<typeof acceptInvitation>): Promise<string> =>
  accepted.then(
    ({ role }) => role,
    (error: unknown) => {
      if (!isTollgateError(error)) throw error;
      return error.code;
    },
  );

/** Ada's Acme with a second person who manages it, and somebody whom they invite. */
async function authorityWorld() {
  const made = await world({ mail: async () => {}, publicUrl });
  const { connection, acme: organizationId } = made;
  const shared = made.shared as SharedOptions;
  const ada = await idOf(connection, 'ada');
  const { id: inviter } = await createUser({ ...shared, email: 'heidi@example.com' });
  const { id: userId } = await createUser({ ...shared, email: 'grace@example.com', emailVerified: true });
  await addMember({ ...shared, organizationId, userId: inviter, role: 'admin' });
  const act = { ...shared, organizationId };
  const invite = (role: string, actor: string | undefined = inviter) =>
    inviteMember({ ...act, email: 'grace@example.com', role, actor });
  const accept = async ({ id }: { readonly id: string }) => {
    const { _id } = await Invitations(inspector()).findById(id).orFail().lean();
    const token = linkToken('invitation', _id, [readKey(secret, 'HS256')]);
    return outcome(acceptInvitation({ ...shared, token, userId }));
  };
  return { ...made, shared, act, ada, inviter, userId, organizationId, invite, accept };
}

type World = Awaited<ReturnType<typeof authorityWorld>>;

describe('an invitation', () => {
  const losses: [what: string, lose: (world: World) => Promise<unknown>][] = [
    ['removed', ({ act, inviter }) => removeMember({ ...act, userId: inviter })],
    ['made a plain member', ({ act, inviter }) => updateMember({ ...act, userId: inviter, role: 'member' })],
    ['deactivated', ({ shared, inviter }) => deactivateUser({ ...shared, userId: inviter })],
    ['erased', ({ shared, inviter }) => eraseSubject({ ...shared, subject: { type: 'user', id: inviter } })],
  ];
  for (const [what, lose] of losses) {
    it(`gives nothing once its sender has been ${what}, until somebody who may sends it again`, async () => {
      const made = await authorityWorld();
      const { act, ada, userId, invite, accept } = made;
      const invitation = await invite('admin');
      await lose(made);
      expect(await accept(invitation)).to.equal('conflict');
      expect(await Memberships(inspector()).exists({ user: userId })).to.equal(null);
      await resendInvitation({ ...act, invitationId: invitation.id, actor: ada });
      expect(await accept(invitation)).to.equal('admin');
    });
  }

  it('gives nothing that its role holds by now and its sender does not', async () => {
    const { act, ada, invite, accept } = await authorityWorld();
    await saveRole({ ...act, name: 'clerk', permissions: ['billing.read'], actor: ada });
    const invitation = await invite('clerk');
    await saveRole({ ...act, name: 'clerk', permissions: ['billing.read', 'billing.manage'], actor: ada });
    expect(await accept(invitation)).to.equal('conflict');
    await saveRole({ ...act, name: 'clerk', permissions: [], actor: ada });
    expect(await accept(invitation)).to.equal('clerk');
  });

  it('is good where its sender still may invite by a global role, and for a role that holds nothing', async () => {
    const { act, shared, inviter, invite, accept } = await authorityWorld();
    const invitation = await invite('member');
    await removeMember({ ...act, userId: inviter });
    expect(await accept(invitation)).to.equal('conflict');
    await saveRole({ ...shared, name: 'support', permissions: ['organization.invitations.manage'] });
    await updateUser({ ...shared, userId: inviter, roles: ['support'] });
    expect(await accept(invitation)).to.equal('member');
  });

  it('of the application, or sent again by it, hangs on nobody', async () => {
    const { act, inviter, userId, invite, accept } = await authorityWorld();
    const byApplication = await inviteMember({ ...act, email: 'grace@example.com', role: 'owner' });
    await removeMember({ ...act, userId: inviter });
    expect(await accept(byApplication)).to.equal('owner');

    await removeMember({ ...act, userId });
    await addMember({ ...act, userId: inviter, role: 'admin' });
    const invitation = await invite('admin');
    await removeMember({ ...act, userId: inviter });
    expect(await accept(invitation)).to.equal('conflict');
    await resendInvitation({ ...act, invitationId: invitation.id });
    expect(await accept(invitation)).to.equal('admin');
  });
});
