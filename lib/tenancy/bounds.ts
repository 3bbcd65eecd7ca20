import type { Connection, Types } from 'mongoose';
import { Users } from '../models/user.js';
import type { AnyModel, By, Plain } from './registry.js';

/** What a tenant's documents of one model have in common. */
export interface Bounds {
  /** Every command that reads or writes existing documents carries it. */
  readonly filter: Plain;
  /** The tenant fields of new documents. */
  readonly inserted: Plain;
}

/** Who asks, with ids of the types that are stored. */
export interface TenantIds {
  readonly organization: Types.ObjectId;
  /** Null: the user works without a team. Undefined: nobody has said. */
  readonly team: Types.ObjectId | null | undefined;
  readonly user: Types.ObjectId | null;
  /** The teams in which the user's own documents are reached without naming one. */
  readonly teams: readonly Types.ObjectId[];
}

/**
 * The bounds of a tenant in a model. By team: the documents of the team; without one those that the user has made and that belong
 * to no team, or to one that the user is in.
 *
 * @throws {TypeError} when a model by team is asked for, and nobody has said which team or user
 */
export function boundsOf({ organization, team, user, teams }: TenantIds, model: AnyModel, by: By): Bounds {
  if (by === 'organization') return { filter: { organization }, inserted: { organization } };
  const inserted = { organization, team, owner: user };
  if (team) return { filter: { organization, team }, inserted };
  if (team === undefined || !user)
    throw new TypeError(
      `${model.modelName} belongs to teams: put team() before tenant(), or give tenantOf() a teamId, or a userId for the user's own`,
    );
  return { filter: { organization, owner: user, team: { $in: [null, ...teams] } }, inserted };
}

/** A user's id that could not be compared with those that are stored would find nothing, or everybody's nothing. */
export function refuseOtherOwner(connection: Connection, { modelName, schema }: AnyModel): void {
  const [owner, id] = [schema.path('owner'), Users(connection).schema.path('_id')];
  if (owner.instance === id.instance) return;
  throw new TypeError(
    `${modelName} keeps its owner as ${owner.instance}, but the _id of users is ${id.instance}; give its schema a field owner of that type`,
  );
}
