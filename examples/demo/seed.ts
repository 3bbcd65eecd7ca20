import {
  addMember,
  addTeamMember,
  assignPlan,
  createOrganization,
  createTeam,
  createUser,
  definePlans,
  isTollgateError,
  Organizations,
  Roles,
  type SharedOptions,
  syncPlans,
  Teams,
  Users,
} from 'koa-tollgate';
import type { Connection } from 'mongoose';
import { Projects } from './projects.js';

const plans = definePlans({
  free: {
    name: 'Free',
    tier: 0,
    default: true,
    features: {
      images: { limit: 10, per: 'month' },
      searches: { limit: 1000, per: 'day' },
      tokens: { limit: 10_000, per: 'month' },
    },
  },
  pro: {
    name: 'Pro',
    tier: 1,
    features: {
      reports: true,
      images: { limit: 100, per: 'month' },
      searches: { limit: 1000, per: 'day' },
      tokens: { limit: 100_000, per: 'month' },
    },
  },
});

export const people = [
  { email: 'admin@example.com', password: 'adminpass123', name: 'Admin', roles: ['admin'] },
  { email: 'ada@example.com', password: 'lovelace-1815', name: 'Ada', roles: ['user', 'designer'] },
  { email: 'bob@example.com', password: 'builder-1999', name: 'Bob', roles: ['user'] },
];

/** Who and what the demo begins with. Every step may be repeated: after a crash, or by two processes at once. */
export async function seed(shared: SharedOptions & { connection: Connection }): Promise<void> {
  const { connection } = shared;
  await syncPlans({ ...shared, plans });
  await Projects(connection).createIndexes();
  await Roles(connection).updateOne(
    { organization: null, name: 'admin' },
    { permissions: ['admin.*'] },
    { upsert: true },
  );
  await Roles(connection).updateOne(
    { organization: null, name: 'user' },
    { permissions: [] },
    { upsert: true },
  );
  await Promise.all(people.map((person) => addUser(shared, person)));
  const [ada, bob] = await Promise.all(
    ['ada@example.com', 'bob@example.com'].map((email) => userId(connection, email)),
  );
  await unlessThere(
    'conflict',
    createOrganization({ connection, name: 'Acme', slug: 'acme', owner: ada as string }),
  );
  await unlessThere(
    'conflict',
    createOrganization({ connection, name: 'Globex', slug: 'globex', owner: bob as string }),
  );
  const [acme, globex] = await Promise.all(
    ['acme', 'globex'].map((slug) => organizationId(connection, slug)),
  );
  await assignPlan({ ...shared, subject: { type: 'organization', id: acme as string }, plan: 'pro' });
  await addTeams(connection, acme as string, ada as string, ['red', 'blue']);
  const joining = { organizationId: globex as string, userId: ada as string };
  await unlessThere('already_member', addMember({ connection, ...joining }));
}

/** The id of an organization, for the lines that the demo prints. */
export async function organizationId(connection: Connection, slug: string): Promise<string> {
  const { _id } = await Organizations(connection).findOne({ slug }, { _id: 1 }).orFail().lean();
  return String(_id);
}

async function userId(connection: Connection, email: string): Promise<string> {
  const { _id } = await Users(connection).findOne({ email }, { _id: 1 }).orFail().lean();
  return String(_id);
}

/** Looks first, because hashing a password takes a while; the unique index settles who comes first. */
async function addUser(shared: SharedOptions, person: (typeof people)[number]): Promise<void> {
  if (await Users(shared.connection).exists({ email: person.email })) return;
  await unlessThere('email_taken', createUser({ ...shared, ...person, emailVerified: true }));
}

async function unlessThere(
  code: 'email_taken' | 'conflict' | 'already_member',
  creation: Promise<unknown>,
): Promise<void> {
  await creation.catch((error: unknown) => {
    if (!isTollgateError(error, code)) throw error;
  });
}

async function addTeams(
  connection: Connection,
  organizationId: string,
  userId: string,
  names: readonly string[],
): Promise<void> {
  for (const name of names) {
    await unlessThere('conflict', createTeam({ connection, organizationId, name }));
    const { _id } = await Teams(connection).findOne({ organization: organizationId, name }).orFail().lean();
    await addTeamMember({ connection, organizationId, teamId: String(_id), userId });
  }
}
