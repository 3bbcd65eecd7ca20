import { expect } from 'chai';
import {
  ApiKeys,
  addMember,
  createApiKey,
  createOrganization,
  createUser,
  deactivateUser,
  eraseSubject,
  isTollgateError,
  leaveOrganization,
  Memberships,
  removeMember,
  type SharedOptions,
  transferOwnership,
  Users,
  updateMember,
  updateUser,
} from '../../lib/index.js';
import { heldCommit } from '../support/held-commit.js';
import { startProcesses } from '../support/processes.js';
import { counted } from '../support/tenancy.js';
import { type Client, connect, emptyWorld, inspector, times, until, world } from '../support/world.js';

type Process = Awaited<ReturnType<typeof startProcesses>>[0];

const codeOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'done',
    (error: unknown) => {
      if (!isTollgateError(error)) throw error;
      return error.code;
    },
  );

type Act = (
  shared: SharedOptions,
  where: { organizationId: string; self: string; other: string },
) => Promise<unknown>;

const leave: Act = (shared, { organizationId, self }) =>
  leaveOrganization({ ...shared, organizationId, userId: self });
const stepDown: Act = (shared, { organizationId, self }) =>
  updateMember({ ...shared, organizationId, userId: self, role: 'member', actor: self });
const demote: Act = (shared, { organizationId, self, other }) =>
  updateMember({ ...shared, organizationId, userId: other, role: 'admin', actor: self });
const remove: Act = (shared, { organizationId, self, other }) =>
  removeMember({ ...shared, organizationId, userId: other, actor: self });
const deactivate: Act = (shared, { self }) => deactivateUser({ ...shared, userId: self });
const erase: Act = (shared, { self }) => eraseSubject({ ...shared, subject: { type: 'user', id: self } });
const ban: Act = (shared, { other }) => updateUser({ ...shared, userId: other, status: 'inactive' });
const transfer: Act = (shared, { organizationId, self, other }) =>
  transferOwnership({ ...shared, organizationId, from: self, to: other });

describe('two owners of an organization', () => {
  const pairs: [what: string, first: Act, second: Act, rounds: number, done: number[]][] = [
    ['leave', leave, leave, 40, [1]],
    ['demote each other', demote, demote, 40, [1]],
    ['remove each other', remove, remove, 40, [1]],
    ['step down', stepDown, stepDown, 8, [1]],
    ['deactivate and leave', deactivate, leave, 8, [1]],
    ['are banned by administrators', ban, ban, 8, [1]],
    ['are erased and demoted', erase, demote, 8, [1, 2]],
    ['hand their ownership to each other', transfer, transfer, 8, [2]],
  ];

  for (const [what, first, second, rounds, done] of pairs) {
    it(`who ${what} at once leave an owner, in ${rounds} rounds of ${rounds}`, async () => {
      const { shared } = await emptyWorld();
      const elsewhere = { ...shared, connection: await connect() }; // as another process would
      const play = async (round: string) => {
        const [self, other] = (await Promise.all(
          ['a', 'b'].map(
            async (name) => (await createUser({ ...shared, email: `${name}${round}@example.com` })).id,
          ),
        )) as [string, string];
        const { id: organizationId } = await createOrganization({ ...shared, name: 'Two', owner: self });
        await addMember({ ...shared, organizationId, userId: other, role: 'owner' });
        const codes = await Promise.all([
          codeOf(first(shared, { organizationId, self, other })),
          codeOf(second(elsewhere, { organizationId, self: other, other: self })),
        ]);
        const { owners, members } = await counted(organizationId);
        expect(owners[0], codes.join(' ')).to.be.at.least(1);
        expect([owners[0], members[0]]).to.deep.equal([owners[1], members[1]]);
        const succeeded = codes.filter((code) => code === 'done');
        expect(done, codes.join(' ')).to.include(succeeded.length);
        expect(codes.join(' ')).to.match(/^(done|last_owner|permission_missing|not_found| )+$/);
      };
      for (const batch of times(rounds / 4, (index) => index))
        await Promise.all(times(4, (index) => play(`${batch}-${index}`)));
    });
  }

  it('count one less for each of two whom an administrator deactivates, and none for who becomes an owner while deactivated', async () => {
    const { shared } = await emptyWorld();
    const [a, b] = (await Promise.all(
      ['a', 'b'].map(async (name) => (await createUser({ ...shared, email: `${name}@example.com` })).id),
    )) as [string, string];
    const { id: organizationId } = await createOrganization({ ...shared, name: 'Two', owner: a });
    await addMember({ ...shared, organizationId, userId: b });
    await deactivateUser({ ...shared, userId: b });
    await updateMember({ ...shared, organizationId, userId: b, role: 'owner' });
    expect((await counted(organizationId)).owners).to.deep.equal([1, 1]);
    const refused = await leaveOrganization({ ...shared, organizationId, userId: a }).catch(
      ({ code }) => code,
    );
    expect(refused).to.equal('last_owner');
    await updateMember({ ...shared, organizationId, userId: b, role: 'member' });
    expect(await Memberships(inspector()).exists({ suspended: true })).to.equal(null);
    expect((await counted(organizationId)).owners).to.deep.equal([1, 1]);
  });

  it('see admins demote each other at once in two processes, in 10 rounds of 10: one of them stays', async () => {
    const { shared } = await emptyWorld();
    const elsewhere = { ...shared, connection: await connect() };
    for (const round of times(10, (index) => index)) {
      const [owner, self, other] = (await Promise.all(
        ['o', 'a', 'b'].map(
          async (name) => (await createUser({ ...shared, email: `${name}${round}@example.com` })).id,
        ),
      )) as [string, string, string];
      const { id: organizationId } = await createOrganization({ ...shared, name: 'Three', owner });
      for (const userId of [self, other])
        await addMember({ ...shared, organizationId, userId, role: 'admin' });
      const to = { organizationId, role: 'member' };
      const codes = await Promise.all([
        codeOf(updateMember({ ...shared, ...to, userId: other, actor: self })),
        codeOf(updateMember({ ...elsewhere, ...to, userId: self, actor: other })),
      ]);
      expect(codes.sort()).to.deep.equal(['done', 'permission_missing']);
    }
  });

  it('become none while their account ends: joining and ending it at once leaves no membership of nobody', async () => {
    const { shared } = await emptyWorld();
    const { id: owner } = await createUser({ ...shared, email: 'owner@example.com' });
    const { id: organizationId } = await createOrganization({ ...shared, name: 'Two', owner });
    const elsewhere = { ...shared, connection: await connect() };
    for (const round of times(20, (index) => index)) {
      const { id } = await createUser({ ...shared, email: `a${round}@example.com` });
      await Promise.allSettled([
        addMember({ ...shared, organizationId, userId: id }),
        eraseSubject({ ...elsewhere, subject: { type: 'user', id } }),
      ]);
      expect(await Users(inspector()).exists({ _id: id })).to.equal(null);
      expect(await counted(organizationId)).to.deep.equal({ members: [1, 1], owners: [1, 1] });
    }
  });
});

describe('a member who is removed', () => {
  it('keeps no API key that they are making at that moment, and has none when they join again', async () => {
    const { shared, acme: organizationId, withHeaders } = await world();
    const { id: userId } = await createUser({ ...shared, email: 'grace@example.com' });
    const who = { ...shared, organizationId, userId };
    await addMember(who);
    const { connection, held } = await heldCommit();
    const making = createApiKey({ ...who, connection, name: 'late' });
    await held();
    await until(async () => (await codeOf(removeMember(who))) !== 'database_unavailable');
    const { key } = await making;
    const keys = ApiKeys(inspector());
    expect(await keys.countDocuments({ user: userId, deletedAt: null })).to.equal(0);
    await addMember(who);
    await withHeaders({ 'X-API-Key': key }).get(`/organizations/${organizationId}`).expect(401);
    const late = createApiKey({ ...who, name: 'late', organizationId: '0'.repeat(24) });
    expect(await codeOf(late)).to.equal('not_found');
  });

  it('is refused on the next request here, in other processes within 100 ms at the 99th percentile, and at once where they are strict', async () => {
    const { shared, acme: organizationId, withHeaders } = await world();
    const [there] = (await startProcesses(1)) as [Process];
    const [strict] = (await startProcesses(1, { strict: true })) as [Process];
    const { id: userId } = await createUser({ ...shared, email: 'grace@example.com', emailVerified: true });
    const { key } = await createApiKey({ ...shared, userId, name: 'watch' });
    const [near, far, strictly] = [withHeaders, there.withHeaders, strict.withHeaders].map((client) =>
      client({ 'X-API-Key': key }),
    ) as [Client, Client, Client];
    const path = `/organizations/${organizationId}`;
    const took: number[] = [];
    for (let round = 0; round < 100; round++) {
      await addMember({ ...shared, organizationId, userId });
      await until(async () => (await far.get(path)).status === 200);
      for (const client of [near, far, strictly]) await client.get(path).expect(200); // each remembers it
      await removeMember({ ...shared, organizationId, userId });
      const removed = performance.now();
      let lastAccepted = 0; // when the last request was sent that still passed, in ms after the removal
      const refusedThere = until(async () => {
        const sent = performance.now() - removed;
        const { status } = await far.get(path);
        if (status === 200) lastAccepted = sent;
        return status === 404;
      });
      await Promise.all([near.get(path).expect(404), strictly.get(path).expect(404), refusedThere]);
      took.push(lastAccepted);
    }
    const [, ninetyNinth = 0] = took.sort((a, b) => b - a);
    expect(ninetyNinth, took.slice(0, 5).join(' ')).to.be.below(100);
  }).timeout(240_000);
});
