import type { Connection } from 'mongoose';
import { saveRole, Users, updateUser } from '../../lib/index.js';
import { type Client, world } from './world.js';

/** What a refused client learns: status, code, and the permission that it needs. */
export async function refusal(
  answer: PromiseLike<{ status: number; body: { code?: string; requiredPermission?: string } }>,
): Promise<unknown[]> {
  const { status, body } = await answer;
  return [status, body.code, ...(body.requiredPermission === undefined ? [] : [body.requiredPermission])];
}

export async function idOf(connection: Connection, name: string): Promise<string> {
  const found = await Users(connection)
    .findOne({ email: `${name}@example.com` }, { _id: 1 })
    .orFail()
    .lean();
  return String(found._id);
}

/** The world with its administrator, and ways to give its people roles. */
export async function administered(options: Parameters<typeof world>[0] = {}) {
  const given = await world(options);
  const { connection, shared, as } = given;
  const [ada, bob, admin] = await Promise.all(['ada', 'bob', 'admin'].map((name) => idOf(connection, name)));
  const ids = { ada: ada as string, bob: bob as string, admin: admin as string };
  const give = (who: keyof typeof ids, ...roles: string[]) =>
    updateUser({ ...shared, userId: ids[who], roles });
  const role = (
    name: string,
    permissions: string[],
    managementRules: Parameters<typeof saveRole>[0]['managementRules'] = null,
  ) => saveRole({ ...shared, name, permissions, managementRules });
  const byAdmin: Client = await as('admin@example.com');
  return { ...given, ids, give, role, byAdmin };
}
