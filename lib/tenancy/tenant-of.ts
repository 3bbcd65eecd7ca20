import Joi from 'joi';
import { LRUCache } from 'lru-cache';
import type { Connection, Types } from 'mongoose';
import { refuse } from '../errors.js';
import { readUserId } from '../models/user-id.js';
import { opened } from '../runtime/connection.js';
import { objectId } from '../runtime/ids.js';
import { readOptions, type SharedOptions } from '../runtime/options.js';
import { perConnection } from '../runtime/per-connection.js';
import { type Access, bindModel } from './bind-model.js';
import { boundsOf, type TenantIds } from './bounds.js';
import { needsPlugin } from './needs-tenant.js';
import { type AnyModel, rawOf } from './registry.js';
import { handleOf, type TenantModel } from './tenant-handle.js';

/** Anything that Mongoose has compiled. */
export interface CompiledModel {
  readonly modelName: string;
}

/** The application's data as one tenant has them. */
export interface Tenant {
  readonly organizationId: string;
  /** Null without a team: models by team are then those documents that the user has made. */
  readonly teamId: string | null;
  /**
   * The handle of a model whose schema has the plugin `tenantScoped`.
   *
   * @throws {TypeError} when it does not, when it is of another connection, or when it belongs to teams and neither a team nor a user is known
   */
  model<M extends CompiledModel>(model: M): TenantModel<M>;
}

export interface TenantOf {
  readonly organizationId: string;
  /** Whose documents models by team have; without one, or null, those of the user. */
  readonly teamId?: string | null | undefined;
  /** Owns what is made in models by team. Whoever names one without a team gets that user's own documents. */
  readonly userId?: string | undefined;
  /** The teams that the user is in: their own documents there are reached as well where no team is named. */
  readonly teamIds?: readonly string[] | undefined;
}

const own = {
  organizationId: Joi.string().required(),
  teamId: Joi.string().allow(null),
  userId: Joi.string(),
  teamIds: Joi.array().items(Joi.string()),
};

/**
 * The tenant-bound handles of an organization, for jobs and scripts; in a request `tenant()` makes them. It believes what it is told:
 * whether the organization and the team exist, and the user is a member, is for the caller to know.
 *
 * @throws {TypeError} when an argument is wrong
 * @throws {TollgateError} `not_found` (404) when an id is malformed
 * @example const projects = tenantOf({ organizationId, teamId }).model(Project); await projects.find({ done: false });
 */
export function tenantOf(input: TenantOf & SharedOptions): Tenant {
  const { connection, ...who } = readOptions<TenantOf>('tenantOf', input, own);
  return tenantFor(opened(connection), who);
}

/** Tenants of which models were bound lately: binding one takes longer than asking the cache. */
const tenants = perConnection(() => new LRUCache<string, Tenant>({ max: 1_000 }));

/** The same for callers whose ids are known to be of the right form. */
export function tenantFor(connection: Connection, who: TenantOf): Tenant {
  const { organizationId, teamId, userId, teamIds = [] } = who;
  const key = JSON.stringify([organizationId, teamId, userId, teamIds]);
  const known = tenants(connection).get(key);
  if (known) return known;
  const ids: TenantIds = {
    organization: readId(organizationId),
    team: teamId ? readId(teamId) : userId === undefined ? undefined : null,
    user: userId === undefined ? null : (readUserId(connection, userId) ?? unknownId()),
    teams: teamIds.map(readId),
  };
  const made = makeTenant(connection, ids);
  tenants(connection).set(key, made);
  return made;
}

function makeTenant(connection: Connection, ids: TenantIds): Tenant {
  const access: Access = {
    connection,
    organization: ids.organization,
    boundsOf: (model, by) => boundsOf(ids, model, by),
    check: () => {},
    bound: new Map(),
  };
  return Object.freeze({
    organizationId: String(ids.organization),
    teamId: ids.team ? String(ids.team) : null,
    model: handles(access),
  });
}

/** Makes handles of an access, one for each model. */
export function handles(access: Access): Tenant['model'] {
  const made = new Map<object, object>();
  return <M extends CompiledModel>(given: M): TenantModel<M> => {
    const known = made.get(given);
    if (known) return known as TenantModel<M>;
    const model = given as unknown as AnyModel;
    if (!rawOf(model) || access.connection.models[model.modelName] !== (model as unknown))
      throw needsPlugin(given);
    const handle = handleOf<M>(bindModel(access, model));
    made.set(given, handle);
    return handle;
  };
}

const readId = (text: string): Types.ObjectId => objectId(text) ?? unknownId();

function unknownId(): never {
  throw refuse('not_found');
}
