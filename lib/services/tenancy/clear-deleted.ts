import type { Connection, Model, Types } from 'mongoose';
import { Deletions, type StoredDeletion } from '../../models/deletion.js';
import { Invitations } from '../../models/invitation.js';
import { Memberships } from '../../models/membership.js';
import { changed } from '../../models/revocation.js';
import { Roles } from '../../models/role.js';
import { Subscriptions } from '../../models/subscription.js';
import { Teams } from '../../models/team.js';
import { database } from '../../runtime/database.js';
import { transaction } from '../../runtime/transaction.js';
import { endApiKeys } from '../api-keys/end-api-keys.js';
import { forgetUsage } from '../usage/forget-usage.js';

/** Documents that are written by one command. */
const batch = 500;

/** Milliseconds that whoever deletes something waits for the rest. */
const patience = 1_000;

type Row = { readonly _id: Types.ObjectId };

/**
 * Deletes what belonged to organizations and teams that were deleted, in steps of which each can be done twice: it can be stopped at any line and begun
 * again. Nobody reaches any of it meanwhile, for the organization or team itself is gone.
 *
 * @returns how many of them nothing is left of
 */
export async function clearDeleted(
  connection: Connection,
  until = Number.POSITIVE_INFINITY,
): Promise<number> {
  const deletions = await database(() => Deletions(connection).find().hint({ _id: 1 }).limit(batch).lean());
  for (const [count, deletion] of deletions.entries()) {
    for await (const _ of remains(connection, deletion)) if (performance.now() > until) return count;
    await database(() => Deletions(connection).deleteOne({ _id: deletion._id }));
  }
  return deletions.length;
}

/** As much as there is time for; the clean-up does the rest. */
export async function clearDeletedSoon(connection: Connection): Promise<void> {
  await clearDeleted(connection, performance.now() + patience).catch(() => {});
}

async function* remains(
  connection: Connection,
  { organization, team }: StoredDeletion,
): AsyncGenerator<void> {
  if (team) {
    yield* leaveTeam(connection, organization, team);
    yield* forget(connection, { type: 'team', ids: [team] });
    return;
  }
  yield* inBatches(Memberships(connection), { organization }, (rows) =>
    endKeysOf(connection, organization, rows),
  );
  const forgetTeams = async (rows: readonly Row[]) => {
    const ids = rows.map(({ _id }) => _id);
    for await (const _ of forget(connection, { type: 'team', ids }));
  };
  yield* inBatches(Teams(connection), { organization }, forgetTeams);
  yield* inBatches(Invitations(connection), { organization });
  yield* inBatches(Roles(connection), { organization });
  yield* forget(connection, { type: 'organization', ids: [organization] });
}

/** The write to the memberships comes first: it waits for whoever makes a key for one of them just now, and later nobody does. */
async function endKeysOf(
  connection: Connection,
  organization: Types.ObjectId,
  rows: readonly (Row & { readonly user?: unknown })[],
): Promise<void> {
  const users = rows.map(({ user }) => user as Types.ObjectId);
  await database(() => Memberships(connection).noteApiKeys(rows.map(({ _id }) => _id)));
  const ended = { organization, users, actor: null };
  while (await transaction(connection, (session) => endApiKeys(connection, session, ended)));
}

/** Deletes all that `filter` finds, each batch after `first` has seen to what hangs on it. */
async function* inBatches(
  of: unknown,
  filter: { readonly organization: Types.ObjectId },
  first: (rows: readonly (Row & { readonly user?: unknown })[]) => Promise<void> = async () => {},
): AsyncGenerator<void> {
  const model = of as Model<Row>;
  for (;;) {
    const rows = await database(() => model.find(filter, { user: 1 }).limit(batch).lean<Row[]>());
    if (rows.length === 0) return;
    await first(rows);
    await database(() => model.deleteMany({ _id: { $in: rows.map(({ _id }) => _id) } }));
    yield;
  }
}

/** Takes a team from the members and invitations that have it. */
async function* leaveTeam(
  connection: Connection,
  organization: Types.ObjectId,
  team: Types.ObjectId,
): AsyncGenerator<void> {
  const memberships = Memberships(connection);
  for (;;) {
    const found = { organization, teams: team };
    const rows = await database(() => memberships.find(found, { user: 1 }).limit(batch).lean());
    if (rows.length === 0) break;
    await database(() =>
      memberships.leaveTeam(
        rows.map(({ _id }) => _id),
        team,
      ),
    );
    yield;
  }
  await database(() => Invitations(connection).updateMany({ organization }, { $pull: { teams: team } }));
  await transaction(connection, (session) => changed(connection, session, `organization:${organization}`));
}

/** Deletes the plans of subjects, and what was counted of them. */
async function* forget(
  connection: Connection,
  { type, ids }: { type: 'team' | 'organization'; ids: readonly Types.ObjectId[] },
): AsyncGenerator<void> {
  const theirs = { 'subject.type': type, 'subject.id': { $in: ids.map(String) } };
  await database(() => Subscriptions(connection).deleteMany(theirs));
  for (const id of ids) {
    await database(() => forgetUsage(connection, { type, id: String(id) }, null));
    yield;
  }
}
