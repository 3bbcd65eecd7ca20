import { expect } from 'chai';
import mongoose from 'mongoose';
import { addTeamMember, createTeam, inviteMember, Memberships, Organizations, setCurrentTeam, setSeats, updateMember } from '../../lib/index.js'; // biome-ignore format: a list
import { publicUrl } from '../support/mailbox.js';
import { countBy, inspector, times, world } from '../support/world.js';

const codeOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'done',
    (error: { code: string }) => error.code,
  );

const someone = () => new mongoose.Types.ObjectId();

describe('an organization', () => {
  it('has a thousand open invitations at most, those that have expired aside', async () => {
    const { shared, acme: organizationId } = await world({ mail: async () => {}, publicUrl });
    const places = (expiresAt: Date) => times(1_000, () => ({ id: someone(), expiresAt }));
    const invite = () => codeOf(inviteMember({ ...shared, organizationId, email: 'grace@example.com' }));
    const here = { _id: organizationId };
    await Organizations(inspector()).updateOne(here, { open: places(new Date(Date.now() + 60_000)) });
    expect(await invite()).to.equal('seats_exhausted');
    await Organizations(inspector()).updateOne(here, { open: places(new Date(0)) });
    expect(await invite()).to.equal('done');
    expect((await Organizations(inspector()).findById(organizationId).orFail().lean()).open).to.have.length(
      1,
    );
  });

  it('sends a hundred invitations in a minute at most', async () => {
    const { as, acme } = await world({ mail: async () => {}, publicUrl });
    const client = await as('ada@example.com');
    const answers = [];
    for (const _ of times(11, () => null))
      answers.push(
        ...(await Promise.all(
          times(10, () => client.post(`/organizations/${acme}/invitations`, { email: 'grace@example.com' })),
        )),
      );
    expect(countBy(answers, 'status')).to.deep.equal({ 201: 1, 409: 99, 429: 10 });
  }).timeout(120_000);

  it('puts a member into a hundred teams at most', async () => {
    const { shared, acme: organizationId } = await world();
    const membership = { organization: organizationId, role: 'owner' };
    const { user } = await Memberships(inspector()).findOne(membership).orFail().lean();
    await Memberships(inspector()).updateOne(membership, { teams: times(100, someone) });
    const { id: teamId } = await createTeam({ ...shared, organizationId, name: 'one more' });
    const who = { ...shared, organizationId, userId: String(user) };
    expect(await codeOf(addTeamMember({ ...who, teamId }))).to.equal('conflict');
    await updateMember({ ...who, teamIds: [] });
    expect(await codeOf(addTeamMember({ ...who, teamId }))).to.equal('done');
    const tooMany = await updateMember({ ...who, teamIds: times(101, String) }).catch(
      (error: unknown) => error,
    );
    expect(tooMany).to.be.instanceOf(TypeError);
  });

  it('lets a member choose their current team while somebody else changes the organization', async () => {
    const { shared, connection, acme: organizationId } = await world();
    const member = { organization: organizationId, role: 'owner' };
    const { user } = await Memberships(inspector()).findOne(member).orFail().lean();
    const { id: teamId } = await createTeam({ ...shared, organizationId, name: 'green' });
    const who = { ...shared, organizationId, userId: String(user) };
    await addTeamMember({ ...who, teamId });
    await connection.transaction(async (session) => {
      const busy = { $inc: { touches: 1 } }; // as somebody does in another process who is not ready
      await Organizations(connection).updateOne({ _id: organizationId }, busy, { session });
      expect((await setCurrentTeam({ ...who, teamId })).currentTeamId).to.equal(teamId);
      expect((await setCurrentTeam({ ...who, teamId: null })).currentTeamId).to.equal(null);
    });
  });

  it('takes a hundred and twenty changes of the current team a minute from each member', async () => {
    const { as, acme } = await world();
    const client = await as('ada@example.com');
    const answers = [];
    for (const _ of times(13, () => null))
      answers.push(
        ...(await Promise.all(
          times(10, () => client.put(`/organizations/${acme}/current-team`, { teamId: null })),
        )),
      );
    expect(countBy(answers, 'status')).to.deep.equal({ 200: 120, 429: 10 });
  });

  it('takes no number of seats that makes no sense', async () => {
    const { shared, acme: organizationId } = await world();
    for (const seats of [-1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, '5', 1e10, undefined]) {
      const refused = await setSeats({ ...shared, organizationId, seats: seats as number }).catch(
        (error: unknown) => error,
      );
      expect(refused, String(seats)).to.be.instanceOf(TypeError);
    }
    for (const unknown of ['x', '0'.repeat(24)])
      expect(await codeOf(setSeats({ ...shared, organizationId: unknown, seats: 1 }))).to.equal('not_found');
  });
});
