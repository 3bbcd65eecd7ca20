import type { ClientSession, Connection, Types } from 'mongoose';
import { refuse } from '../errors.js';
import { Memberships } from '../models/membership.js';
import { Teams } from '../models/team.js';
import { database } from '../runtime/database.js';
import { isGlobal } from './declare-global.js';
import type { Referred } from './references.js';
import { type AnyModel, type Plain, rawOf } from './registry.js';

/** Whose references are checked. */
export interface Referring {
  readonly connection: Connection;
  readonly organization: Types.ObjectId;
  /** The filter of the tenant's documents of a scoped model. */
  readonly filterOf: (model: AnyModel) => Plain;
}

/**
 * Sees that everything that a write refers to belongs to its tenant: documents of scoped models, teams of the organization, users
 * who are its members. One query for each model that is referred to.
 *
 * @throws {TollgateError} `not_found` (404), the same for what is another tenant's and for what does not exist
 * @throws {TypeError} when a model is referred to that is neither scoped nor declared global
 */
export async function checkReferences(
  referring: Referring,
  referred: Referred,
  session: ClientSession | undefined,
): Promise<void> {
  for (const [name, ids] of referred) {
    const found = await findReferred(referring, name, ids, session);
    if (found === 'any') continue;
    const there = new Set(found.map(String));
    if (!ids.every((id) => there.has(String(id))))
      throw refuse('not_found', { detail: `There is no such ${name}` });
  }
}

async function findReferred(
  { connection, organization, filterOf }: Referring,
  name: string,
  ids: readonly unknown[],
  session: ClientSession | undefined,
): Promise<readonly unknown[] | 'any'> {
  const within = { session: session ?? null };
  const $in = [...ids] as Types.ObjectId[];
  if (name === 'Organization') return [organization];
  if (name === 'Team')
    return database(() =>
      Teams(connection).find({ _id: { $in }, organization }, { _id: 1 }, within).lean(),
    ).then(idsOf);
  if (name === 'User') return membersAmong(connection, organization, $in, session);
  const model = connection.models[name] as AnyModel | undefined;
  const raw = model && rawOf(model);
  if (raw) {
    const filter = { $and: [filterOf(model), { _id: { $in } }] };
    const found = raw.collection.find(filter, { projection: { _id: 1 }, ...(session && { session }) });
    return database(() => found.toArray()).then(idsOf);
  }
  if (model && isGlobal(model)) return 'any';
  throw undeclared(name);
}

const idsOf = (rows: readonly { _id: unknown }[]): unknown[] => rows.map(({ _id }) => _id);

/** Which of some users are members of an organization. */
export async function membersAmong(
  connection: Connection,
  organization: Types.ObjectId,
  ids: readonly unknown[],
  session?: ClientSession,
): Promise<unknown[]> {
  const user = { $in: [...ids] as Types.ObjectId[] };
  const found = await database(() =>
    Memberships(connection)
      .find({ user, organization }, { user: 1, _id: 0 }, { session: session ?? null })
      .lean(),
  );
  return found.map((membership) => membership.user);
}

/** The error of following a reference to documents of which nobody has said whose they are. */
export const undeclared = (name: string): TypeError =>
  new TypeError(
    `${name} is not declared: give its schema the plugin tenantScoped, or declareGlobal if its documents are everybody's`,
  );
