import type { Connection } from 'mongoose';
import { beyondTenant } from './needs-tenant.js';
import type { AnyModel, Plain } from './registry.js';
import { isPlain } from './snapshot.js';

type Populate = (docs: unknown, paths: unknown, ...more: unknown[]) => unknown;

/**
 * The static `populate` of a bound model, through which all populating goes. References lead to bound models because its connection
 * does; a model or a connection that the caller names instead would not.
 */
export function ownPopulate(connection: Connection, model: AnyModel): Populate {
  const populate = (model as unknown as { populate: Populate }).populate;
  return async function (this: unknown, docs, paths, ...more) {
    return populate.call(this, docs, ownPaths(connection, model.modelName, paths), ...more);
  };
}

function ownPaths(connection: Connection, model: string, paths: unknown): unknown {
  if (Array.isArray(paths)) return paths.map((path) => ownPaths(connection, model, path));
  if (paths === null || typeof paths !== 'object') return paths;
  const path: Plain = isPlain(paths) ? { ...paths } : (paths as Plain); // what was looked at is what is used
  if (path.connection) throw beyondTenant(model, 'populate() by another connection');
  if (!path.model) return path;
  const named = nameOf(connection, path.model);
  if (!named) throw beyondTenant(model, 'populate() by a model that is not of its connection');
  return Object.assign(path, { model: named });
}

/** The name of a model, or of one that was bound, by which it is then followed like any reference. */
function nameOf({ models }: Connection, model: unknown): string | undefined {
  if (typeof model === 'string') return model;
  const { modelName = '' } = (model ?? {}) as { modelName?: string };
  const own: unknown = models[modelName];
  return own && (own === model || own === Object.getPrototypeOf(model)) ? modelName : undefined;
}
