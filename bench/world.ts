import { randomBytes, randomUUID } from 'node:crypto';
import mongoose, { type mongo } from 'mongoose';
import {
  addMember,
  assignPlan,
  createOrganization,
  createUser,
  ready,
  type SharedOptions,
  signIn,
  syncPlans,
  Usage,
} from '../dist/index.js';
import { testMongoUri } from '../test/support/mongodb.js';

const images = { limit: 1_000_000_000, per: 'month' } as const;
const plans = {
  free: { name: 'Free', tier: 0, default: true, features: { images } },
  pro: { name: 'Pro', tier: 1, features: { reports: true, images } },
} as const;

export type World = Awaited<ReturnType<typeof makeWorld>>;

export const person = { email: 'ada@example.com', password: 'lovelace-1815' };

/** A real MongoDB replica set with a signed-in user, who owns an organization; both are on a plan. */
export async function makeWorld(options: Partial<SharedOptions> = {}) {
  const server = await testMongoUri();
  const dbName = `tollgate-bench-${randomUUID().slice(0, 8)}`;
  const connection = await mongoose
    .createConnection(server.uri, { dbName, monitorCommands: true })
    .asPromise();
  const commands = countCommands(connection.getClient());
  const secret = randomBytes(24).toString('base64'); // 32 characters
  const shared = { accessTtl: 3_600, ...options, connection, keys: [secret] };
  await ready(connection);

  await syncPlans({ connection, plans });
  const user = await createUser({ ...shared, ...person, roles: ['user', 'designer'], emailVerified: true });
  const organization = await createOrganization({ connection, name: 'Acme', slug: 'acme', owner: user.id });
  for (const { type, id } of [
    { type: 'user', id: user.id },
    { type: 'organization', id: organization.id },
  ] as const)
    await assignPlan({ connection, subject: { type, id }, plan: 'pro' });
  const { accessToken: token } = await signIn({ ...shared, ...person });

  /** Units that all counters hold together, as the database has them. */
  const used = async (): Promise<number> => {
    const [sum] = await Usage(connection).aggregate<{ u: number }>([
      { $group: { _id: null, u: { $sum: '$u' } } },
    ]);
    return sum?.u ?? 0;
  };

  const stop = async () => {
    await connection.dropDatabase();
    await connection.close();
    await server.stop();
  };

  let others = 0;

  /** Access tokens of `count` new sessions: of the user, and of others where they are more than one user may have. */
  const signInAgain = async (count: number): Promise<string[]> => {
    const tokens: string[] = [];
    let who = person;
    while (tokens.length < count) {
      if (tokens.length % 96 === 0 && tokens.length > 0) {
        others += 1;
        who = { ...person, email: `${others}-${person.email}` };
        const { id: userId } = await createUser({ ...shared, ...who, emailVerified: true });
        await addMember({ connection, organizationId: organization.id, userId, role: 'owner' });
      }
      tokens.push((await signIn({ ...shared, ...who })).accessToken);
    }
    return tokens;
  };

  return {
    shared,
    uri: server.uri,
    dbName,
    secret,
    user,
    organization,
    token,
    commands,
    used,
    signInAgain,
    stop,
  };
}

/** A client of any copy of the driver, with `monitorCommands`. */
interface Commanding {
  on(event: 'commandStarted', listener: (sent: mongo.CommandStartedEvent) => void): unknown;
}

/** Counts the commands sent to the database, those of the change feed excepted: they come by time, not by request. */
export function countCommands(client: Commanding): () => number {
  let sent = 0;
  client.on('commandStarted', ({ commandName, command }) => {
    const isFeed =
      commandName === 'getMore' ||
      (commandName === 'aggregate' && command.pipeline[0]?.$changeStream) ||
      (commandName === 'update' && command.update === 'tollgate_revocations');
    if (!isFeed) sent += 1;
  });
  return () => sent;
}

/**
 * Repeats `work` until it costs no more than `wanted` commands: the caches count only once the change feed is live, about
 * a second after its first use.
 */
export async function untilWarm(
  { commands }: Pick<World, 'commands'>,
  wanted: number,
  work: () => Promise<unknown>,
): Promise<void> {
  const deadline = performance.now() + 60_000;
  for (let cost = Number.POSITIVE_INFINITY; cost > wanted; ) {
    if (performance.now() > deadline) throw new Error(`Still ${cost} commands instead of ${wanted}`);
    const before = commands();
    await work();
    cost = commands() - before;
  }
}
