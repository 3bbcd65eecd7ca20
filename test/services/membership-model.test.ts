import { expect } from 'chai';
import fc from 'fast-check';
import {
  acceptInvitation,
  addMember,
  checkPermission,
  createOrganization,
  createUser,
  deactivateUser,
  declineInvitation,
  deleteRole,
  eraseSubject,
  Invitations,
  inviteMember,
  isTollgateError,
  leaveOrganization,
  Memberships,
  Organizations,
  Roles,
  removeMember,
  revokeInvitation,
  type SharedOptions,
  saveRole,
  setSeats,
  transferOwnership,
  Users,
  updateMember,
  updateUser,
} from '../../lib/index.js';
import { readKey } from '../../lib/runtime/keyring.js';
import { linkToken } from '../../lib/runtime/one-time-codes.js';
import { publicUrl } from '../support/mailbox.js';
import {
  codes,
  covers,
  extension,
  type Kind,
  kinds,
  Model,
  type Operation,
  ownRoles,
  people,
  roleNames,
} from '../support/membership-model.js';
import { connect, emptyWorld, inspector, secret, times } from '../support/world.js';

const nobody = '0'.repeat(24);

const person = fc.nat(people - 1);
const roleName = fc.constantFrom(...roleNames);
const operationOf = (...of: readonly Kind[]): fc.Arbitrary<Operation> =>
  fc.record({
    kind: fc.constantFrom(...of),
    self: person,
    other: person,
    role: roleName,
    codes: fc.subarray(codes),
  });

const operation = operationOf(...kinds, 'accept', 'change', 'change', 'saveRole');
/** Several operations at once, one after the other. */
const steps = fc.array(fc.array(operation, { minLength: 1, maxLength: 3 }), { minLength: 4, maxLength: 10 });

const adding = (other: number, role: string): Operation => ({ kind: 'add', self: 0, other, role, codes: [] });

/** Two pairs of one role, of which each takes from the other at once what lets them do that. */
const duels = fc.record({
  role: fc.constantFrom('admin', 'clerk', 'clerk', 'scout'),
  blows: fc.array(fc.constantFrom<Kind[]>('change', 'change', 'remove', 'saveRole'), {
    minLength: 4,
    maxLength: 4,
  }),
});
const blow = (kind: Kind, self: number, other: number, role: string): Operation => ({
  ...{ kind, self, other, codes: [] },
  role: kind === 'saveRole' ? role : 'member',
});

/** Who is a member to begin with, beside the owner. */
const beginning = fc
  .tuple(...times(people - 1, () => fc.option(roleName)))
  .map((roles) =>
    roles.flatMap((role, index): Operation[] => (role === null ? [] : [adding(index + 1, role)])),
  );

/** A new organization of the first of some new people, and what they do in it. */
async function stage(shared: SharedOptions, run: string, elsewhere = shared) {
  const email = (who: number) => `p${who}-${run}@example.com`;
  const users = await Promise.all(
    times(
      people,
      async (who) => (await createUser({ ...shared, email: email(who), emailVerified: true })).id,
    ),
  );
  const idOf = (who: number) => users[who] as string;
  const { id: organizationId } = await createOrganization({ ...shared, name: 'Model', owner: idOf(0) });
  for (const [name, permissions] of Object.entries(ownRoles))
    await saveRole({ ...shared, organizationId, name, permissions });
  const keyring = [readKey(secret, 'HS256')];
  const invitationOf = async (who: number) => {
    const found = { organization: organizationId, email: email(who) };
    return (await Invitations(inspector()).findOne(found).lean())?._id;
  };
  const answer = async ({ self }: Operation, shared: SharedOptions) => {
    const id = await invitationOf(self);
    return { ...shared, userId: idOf(self), token: id ? linkToken('invitation', id, keyring) : 'none' };
  };

  const by = ({ self }: Operation, shared: SharedOptions) => ({
    ...shared,
    organizationId,
    actor: idOf(self),
  });
  const acts: Record<Kind, (operation: Operation, shared: SharedOptions) => Promise<unknown>> = {
    invite: (made, shared) =>
      inviteMember({ ...by(made, shared), email: email(made.other), role: made.role }),
    accept: async (made, shared) => acceptInvitation(await answer(made, shared)),
    decline: async (made, shared) => declineInvitation(await answer(made, shared)),
    revoke: async (made, shared) => {
      const invitationId = String((await invitationOf(made.other)) ?? nobody);
      await revokeInvitation({ ...by(made, shared), invitationId });
    },
    leave: ({ self }, shared) => leaveOrganization({ ...shared, organizationId, userId: idOf(self) }),
    remove: (made, shared) => removeMember({ ...by(made, shared), userId: idOf(made.other) }),
    change: (made, shared) =>
      updateMember({ ...by(made, shared), userId: idOf(made.other), role: made.role }),
    transfer: ({ self, other }, shared) =>
      transferOwnership({ ...shared, organizationId, from: idOf(self), to: idOf(other) }),
    deactivate: ({ self }, shared) => deactivateUser({ ...shared, userId: idOf(self) }),
    activate: ({ self }, shared) => updateUser({ ...shared, userId: idOf(self), status: 'active' }),
    erase: ({ self }, shared) => eraseSubject({ ...shared, subject: { type: 'user', id: idOf(self) } }),
    setSeats: ({ other }, shared) =>
      setSeats({ ...shared, organizationId, seats: other === 0 ? null : other }),
    add: ({ other, role }, shared) => addMember({ ...shared, organizationId, userId: idOf(other), role }),
    saveRole: (made, shared) =>
      saveRole({ ...by(made, shared), name: made.role, permissions: [...made.codes] }),
    deleteRole: (made, shared) => deleteRole({ ...by(made, shared), name: made.role }),
  };

  /** True when it was done; anything but a refusal fails the test. */
  const attempt = (operation: Operation, index = 0): Promise<boolean> =>
    acts[operation.kind](operation, index % 2 ? elsewhere : shared).then(
      () => true,
      (error: unknown) => {
        if (!isTollgateError(error) || error.status >= 500) throw error;
        return false;
      },
    );

  /** Which of the codes somebody is let through by, as the next request would find it. */
  const permissionsOf = async (who: number): Promise<readonly string[]> => {
    const plain = codes.filter((code) => !code.endsWith('*'));
    const may = await Promise.all(
      plain.map((permission) =>
        checkPermission({ ...shared, userId: idOf(who), organizationId, permission }),
      ),
    );
    return plain.filter((_, index) => may[index]);
  };

  async function read() {
    const found = { organization: organizationId };
    const organization = await Organizations(inspector()).findById(organizationId).orFail().lean();
    const memberships = await Memberships(inspector()).find(found).lean();
    const invitations = await Invitations(inspector()).find(found).lean();
    const own = await Roles(inspector()).find(found).lean();
    const left = await Users(inspector()).find({ _id: { $in: users } }, { status: 1 }).lean(); // biome-ignore format: one line
    const numberOf = (id: unknown) => users.indexOf(String(id));
    const invitedNumber = (address: string) => Number(/^p(\d)/.exec(address)?.[1]);
    const sorted = <T>(entries: [number | string, T][]) =>
      Object.fromEntries(entries.sort(([a], [b]) => (String(a) < String(b) ? -1 : 1)));
    return {
      organization,
      memberships,
      invitations,
      state: {
        members: sorted(memberships.map(({ user, role }) => [numberOf(user), role])),
        invited: sorted(
          invitations.map(({ email, role, invitedBy }) => [
            invitedNumber(email),
            `${role} by ${numberOf(invitedBy)}`,
          ]),
        ),
        inactive: left.flatMap(({ _id, status }) => (status === 'inactive' ? numberOf(_id) : [])).sort(),
        erased: times(people, (who) => who).filter((who) => !left.some(({ _id }) => numberOf(_id) === who)),
        roles: sorted(own.map(({ name, permissions }) => [name, permissions])),
      },
    };
  }

  return { attempt, permissionsOf, read };
}

/** What must hold whatever was done, in whatever order. */
function check({
  organization,
  memberships,
  invitations,
}: Awaited<ReturnType<Awaited<ReturnType<typeof stage>>['read']>>) {
  const owners = memberships.filter(({ role, suspended }) => role === 'owner' && !suspended);
  expect(owners.length, 'owners').to.be.at.least(1);
  expect(organization.owners, 'the counter of owners').to.equal(owners.length);
  expect(organization.members, 'the counter of members').to.equal(memberships.length);
  const places = organization.open.map(({ id }) => String(id)).sort();
  expect(places, 'the places of open invitations').to.deep.equal(
    invitations.map(({ _id }) => String(_id)).sort(),
  );
}

/** All orders of a few. */
const orders = <T>(items: readonly T[]): T[][] =>
  items.length < 2
    ? [[...items]]
    : items.flatMap((item, index) =>
        orders([...items.slice(0, index), ...items.slice(index + 1)]).map((rest) => [item, ...rest]),
      );

describe('whatever is done in an organization, in whatever order and at once', () => {
  let run = 0;

  /** The world, where the application lets owners do more than they can by themselves. */
  async function begin() {
    const { shared } = await emptyWorld({ mail: async () => {}, publicUrl });
    await saveRole({ ...shared, name: 'organization.owner', permissions: extension });
    return shared;
  }

  it('has an owner, no more than its seats, true counters, and what the rules say when it is done one after the other', async () => {
    const shared = await begin();
    await fc.assert(
      fc.asyncProperty(beginning, steps, async (first, plan) => {
        const model = new Model();
        const { attempt, permissionsOf, read } = await stage(shared, `s${run++}`);
        for (const operation of [first, ...plan].flat()) {
          const before = JSON.stringify(model.state());
          const [expected, done] = [model.play(operation), await attempt(operation)];
          expect(done, `${JSON.stringify(operation)} after ${before}`).to.equal(expected);
          for (const who of times(people, (each) => each)) {
            const may = codes.filter((code) => !code.endsWith('*') && covers(model.permissionsOf(who), code));
            expect(await permissionsOf(who), `${who} by ${JSON.stringify(operation)}`).to.deep.equal(may);
          }
        }
        const found = await read();
        check(found);
        expect(found.state).to.deep.equal(model.state());
      }),
      { numRuns: 25, endOnFailure: true },
    );
  }).timeout(240_000);

  /** Does some of it at the same time, and holds what came of it against all orders in which that could have been done. */
  async function playAtOnce(
    { attempt, read }: Awaited<ReturnType<typeof stage>>,
    plan: readonly Operation[][],
  ) {
    let model = new Model();
    for (const together of plan) {
      const before = await read();
      await Promise.all(together.map((operation, index) => attempt(operation, index)));
      const found = await read();
      check(found);
      const { seats, members, open } = found.organization;
      const grew = members + open.length > before.organization.members + before.organization.open.length;
      const limited = together.some(({ kind }) => kind === 'setSeats');
      if (grew && seats !== null && !limited) expect(members + open.length).to.be.at.most(seats ?? 0);
      const outcomes = orders(together).map((order) => {
        const played = new Model(model);
        for (const operation of order) played.play(operation);
        return played;
      });
      const fitting = outcomes.find(
        (played) => JSON.stringify(played.state()) === JSON.stringify(found.state),
      );
      const tried = `${JSON.stringify(together)} after ${JSON.stringify(model.state())} made ${JSON.stringify(found.state)}`;
      expect(fitting, tried).not.to.equal(undefined);
      model = fitting as Model;
      model.seats = seats ?? Number.POSITIVE_INFINITY;
    }
  }

  it('is what some order of the same makes of it, where some is done at the same time', async () => {
    const shared = await begin();
    const elsewhere = { ...shared, connection: await connect() }; // as another process would
    await fc.assert(
      fc.asyncProperty(beginning, steps, async (first, plan) => {
        const made = await stage(shared, `p${run++}`, elsewhere);
        await playAtOnce(made, [...first.map((each) => [each]), ...plan]);
      }),
      { numRuns: 25, endOnFailure: true },
    );
  }).timeout(240_000);

  it('is not done by both of two who at once take from each other what lets them do it', async () => {
    const shared = await begin();
    const elsewhere = { ...shared, connection: await connect() };
    await fc.assert(
      fc.asyncProperty(duels, async ({ role, blows: [a, b, c, d] }) => {
        const made = await stage(shared, `d${run++}`, elsewhere);
        const fights = [
          [blow(a as Kind, 1, 2, role), blow(b as Kind, 2, 1, role)],
          [blow(c as Kind, 3, 4, role), blow(d as Kind, 4, 3, role)],
        ];
        await playAtOnce(made, [...[1, 2, 3, 4].map((other) => [adding(other, role)]), ...fights]);
      }),
      { numRuns: 30, endOnFailure: true },
    );
  }).timeout(240_000);
});
