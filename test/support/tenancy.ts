import { createUser, Memberships, Organizations, type User } from '../../lib/index.js';
import { mailWorld } from './mailbox.js';
import { type Client, inspector } from './world.js';

const password = 'cobol-forever';

/** The world with mail, and people who come to it. */
export async function tenancyWorld(options: Parameters<typeof mailWorld>[0] = {}) {
  const made = await mailWorld(options);
  const { shared, anyone, withHeaders } = made;

  /** A new user with a proved address; who is to use a client has a password. */
  const person = (email: string, more: object = {}): Promise<User> =>
    createUser({ ...shared, email, emailVerified: true, ...more });

  /** A new user with a client that is signed in. */
  async function visitor(email: string, more: object = {}): Promise<{ user: User; client: Client }> {
    const user = await person(email, { password, ...more });
    const { body } = await anyone().post('/auth/sign-in', { email, password }).expect(200);
    return { user, client: withHeaders({ Authorization: `Bearer ${body.accessToken}` }) };
  }

  return { ...made, person, visitor };
}

/** The counters of an organization beside what they count; each pair must be alike. */
export async function counted(organizationId: string) {
  const organization = await Organizations(inspector()).findById(organizationId).orFail().lean();
  const all = await Memberships(inspector()).find({ organization: organizationId }).lean();
  const owners = all.filter(({ role, suspended }) => role === 'owner' && !suspended);
  return {
    members: [organization.members, all.length],
    owners: [organization.owners, owners.length],
  };
}
