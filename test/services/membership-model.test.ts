import { expect } from 'chai';
import fc from 'fast-check';
import {
  acceptInvitation,
  addMember,
  createOrganization,
  createUser,
  deactivateUser,
  declineInvitation,
  Invitations,
  inviteMember,
  isTollgateError,
  leaveOrganization,
  Memberships,
  Organizations,
  removeMember,
  revokeInvitation,
  type SharedOptions,
  setSeats,
  transferOwnership,
  Users,
  updateMember,
} from '../../lib/index.js';
import { readKey } from '../../lib/runtime/keyring.js';
import { linkToken } from '../../lib/runtime/one-time-codes.js';
import { publicUrl } from '../support/mailbox.js';
import { connect, emptyWorld, inspector, secret, times } from '../support/world.js';

/** What one of the people does, perhaps to another: they are numbers, and so are roles. */
type Operation = readonly [kind: Kind, self: number, other: number, role: number];
const kinds = ['invite', 'accept', 'accept', 'decline', 'revoke', 'leave', 'remove', 'change', 'change', 'transfer', 'deactivate', 'seats', 'add'] as const; // biome-ignore format: a list
type Kind = (typeof kinds)[number];

const people = 5;
const roles = ['owner', 'admin', 'member'] as const;
type Role = (typeof roles)[number];
const rank: Readonly<Record<Role, number>> = { owner: 3, admin: 2, member: 1 };

const one = fc.tuple(
  fc.constantFrom(...kinds),
  fc.nat(people - 1),
  fc.nat(people - 1),
  fc.nat(roles.length - 1),
);
/** Several operations at once, one after the other. */
const steps = fc.array(fc.array(one, { minLength: 1, maxLength: 3 }), { minLength: 4, maxLength: 10 });

/** What the organization should be, by the rules of the documents alone. */
class Model {
  readonly members = new Map<number, Role>([[0, 'owner']]);
  readonly invited = new Map<number, Role>();
  readonly inviters = new Map<number, number>();
  readonly inactive = new Set<number>();
  seats = Number.POSITIVE_INFINITY;

  private owners(): number[] {
    return [...this.members]
      .filter(([who, role]) => role === 'owner' && !this.inactive.has(who))
      .map(([who]) => who);
  }

  private isLastOwner(who: number): boolean {
    return this.members.get(who) === 'owner' && !this.inactive.has(who) && this.owners().length === 1;
  }

  /** Whether `self` may give or take `role`. */
  private outranks(self: number, ...held: Role[]): boolean {
    const own = this.inactive.has(self) ? undefined : this.members.get(self);
    return own !== undefined && rank[own] >= 2 && held.every((role) => rank[own] >= rank[role]);
  }

  /** Does it, if it may be done; true when it was. */
  play([kind, self, other, index]: Operation): boolean {
    const role = roles[index] as Role;
    const held = this.members.get(other);
    switch (kind) {
      case 'invite':
        if (!this.outranks(self, role) || held || this.invited.has(other)) return false;
        if (this.members.size + this.invited.size >= this.seats) return false;
        this.invited.set(other, role);
        this.inviters.set(other, self);
        return true;
      case 'accept': {
        const offered = this.invited.get(self);
        if (!offered || this.members.size >= this.seats) return false;
        if (!this.outranks(this.inviters.get(self) as number, offered)) return false;
        this.invited.delete(self);
        this.members.set(self, offered);
        return true;
      }
      case 'decline':
        return this.invited.delete(self);
      case 'revoke': {
        const offered = this.invited.get(other);
        return offered !== undefined && this.outranks(self, offered) && this.invited.delete(other);
      }
      case 'leave':
        return this.members.has(self) && !this.isLastOwner(self) && this.members.delete(self);
      case 'remove':
        return (
          held !== undefined &&
          this.outranks(self, held) &&
          !this.isLastOwner(other) &&
          this.members.delete(other)
        );
      case 'change':
        if (!held || !this.outranks(self, held, role)) return false;
        if (held !== role && this.isLastOwner(other)) return false;
        this.members.set(other, role);
        return true;
      case 'transfer': {
        if (this.members.get(self) !== 'owner' || !held || self === other) return false;
        if (this.isLastOwner(self) && this.inactive.has(other)) return false;
        this.members.set(other, 'owner').set(self, 'admin');
        return true;
      }
      case 'deactivate':
        if (this.inactive.has(self) || this.isLastOwner(self)) return false;
        this.inactive.add(self);
        return true;
      case 'seats':
        this.seats = other === 0 ? Number.POSITIVE_INFINITY : other;
        return true;
      case 'add': {
        if (held || this.members.size + this.invited.size - Number(this.invited.has(other)) >= this.seats)
          return false;
        this.invited.delete(other);
        this.members.set(other, role);
        return true;
      }
    }
  }

  state() {
    return {
      members: Object.fromEntries([...this.members].sort(([a], [b]) => a - b)),
      invited: Object.fromEntries(
        [...this.invited.keys()]
          .sort((a, b) => a - b)
          .map((who) => [who, `${this.invited.get(who)} by ${this.inviters.get(who)}`]),
      ),
      inactive: [...this.inactive].sort(),
    };
  }
}

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
  const keyring = [readKey(secret, 'HS256')];
  const nobody = '0'.repeat(24);
  const invitationOf = async (who: number) => {
    const found = { organization: organizationId, email: email(who) };
    return (await Invitations(inspector()).findOne(found).lean())?._id;
  };
  const answer = async (who: number, shared: SharedOptions) => {
    const id = await invitationOf(who);
    return { ...shared, userId: idOf(who), token: id ? linkToken('invitation', id, keyring) : 'none' };
  };

  async function play([kind, self, other, index]: Operation, shared: SharedOptions): Promise<unknown> {
    const [actor, userId, role] = [idOf(self), idOf(other), roles[index] as Role];
    const act = { ...shared, organizationId };
    switch (kind) {
      case 'invite':
        return inviteMember({ ...act, actor, email: email(other), role });
      case 'accept':
        return acceptInvitation(await answer(self, shared));
      case 'decline':
        return declineInvitation(await answer(self, shared));
      case 'revoke':
        return revokeInvitation({
          ...act,
          actor,
          invitationId: String((await invitationOf(other)) ?? nobody),
        });
      case 'leave':
        return leaveOrganization({ ...act, userId: actor });
      case 'remove':
        return removeMember({ ...act, actor, userId });
      case 'change':
        return updateMember({ ...act, actor, userId, role });
      case 'transfer':
        return transferOwnership({ ...act, from: actor, to: userId });
      case 'deactivate':
        return deactivateUser({ ...shared, userId: actor });
      case 'seats':
        return setSeats({ ...act, seats: other === 0 ? null : other });
      case 'add':
        return addMember({ ...act, userId, role });
    }
  }

  /** True when it was done; anything but a refusal fails the test. */
  const attempt = (operation: Operation, index = 0): Promise<boolean> =>
    play(operation, index % 2 ? elsewhere : shared).then(
      () => true,
      (error: unknown) => {
        if (!isTollgateError(error) || error.status >= 500) throw error;
        return false;
      },
    );

  async function read() {
    const found = { organization: organizationId };
    const organization = await Organizations(inspector()).findById(organizationId).orFail().lean();
    const memberships = await Memberships(inspector()).find(found).lean();
    const invitations = await Invitations(inspector()).find(found).lean();
    const inactive = await Users(inspector())
      .find({ _id: { $in: users }, status: 'inactive' }, { _id: 1 })
      .lean();
    const numberOf = (id: unknown) => users.indexOf(String(id));
    const invitedNumber = (address: string) => Number(/^p(\d)/.exec(address)?.[1]);
    const sorted = (entries: [number, string][]) => Object.fromEntries(entries.sort(([a], [b]) => a - b));
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
        inactive: inactive.map(({ _id }) => numberOf(_id)).sort(),
      },
    };
  }

  return { attempt, read };
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

const copyOf = (model: Model): Model => {
  const copy = new Model();
  copy.members.clear();
  for (const [who, role] of model.members) copy.members.set(who, role);
  for (const [who, role] of model.invited) copy.invited.set(who, role);
  for (const [who, inviter] of model.inviters) copy.inviters.set(who, inviter);
  for (const who of model.inactive) copy.inactive.add(who);
  copy.seats = model.seats;
  return copy;
};

describe('whatever is done in an organization, in whatever order and at once', () => {
  let run = 0;

  it('has an owner, no more than its seats, true counters, and what the rules say when it is done one after the other', async () => {
    const { shared } = await emptyWorld({ mail: async () => {}, publicUrl });
    await fc.assert(
      fc.asyncProperty(steps, async (plan) => {
        const model = new Model();
        const { attempt, read } = await stage(shared, `s${run++}`);
        for (const operation of plan.flat()) {
          const [expected, done] = [model.play(operation), await attempt(operation)];
          expect(done, `${operation} after ${JSON.stringify(model.state())}`).to.equal(expected);
        }
        const found = await read();
        check(found);
        expect(found.state).to.deep.equal(model.state());
      }),
      { numRuns: 25, endOnFailure: true },
    );
  }).timeout(240_000);

  it('is what some order of the same makes of it, where some is done at the same time', async () => {
    const { shared } = await emptyWorld({ mail: async () => {}, publicUrl });
    const elsewhere = { ...shared, connection: await connect() }; // as another process would
    await fc.assert(
      fc.asyncProperty(steps, async (plan) => {
        let model = new Model();
        const { attempt, read } = await stage(shared, `p${run++}`, elsewhere);
        for (const together of plan) {
          const before = await read();
          await Promise.all(together.map((operation, index) => attempt(operation, index)));
          const found = await read();
          check(found);
          const { seats, members, open } = found.organization;
          const grew = members + open.length > before.organization.members + before.organization.open.length;
          const limited = together.some(([kind]) => kind === 'seats');
          if (grew && seats !== null && !limited) expect(members + open.length).to.be.at.most(seats ?? 0);
          const outcomes = orders(together).map((order) => {
            const played = copyOf(model);
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
      }),
      { numRuns: 25, endOnFailure: true },
    );
  }).timeout(240_000);
});
