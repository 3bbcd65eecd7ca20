import type { ClientSession } from 'mongoose';
import type { Plain } from './registry.js';
import { snapshot } from './snapshot.js';

/** Options of commands that reach nothing beyond the collection; `dbName` for example would. Mongoose hands down its own as well. */
const known = [
  'allowDiskUse',
  'arrayFilters',
  'batchSize',
  'collation',
  'comment',
  'explain',
  'hint',
  'includeResultMetadata',
  'let',
  'limit',
  'maxTimeMS',
  'ordered',
  'projection',
  'readConcern',
  'readPreference',
  'returnDocument',
  'skip',
  'sort',
  'timeoutMS',
  'upsert',
  'writeConcern',
];

/** Sent as they are. */
const opaque = new Set(['readPreference', 'readConcern', 'writeConcern']);

export type CommandOptions = Plain & { readonly session?: ClientSession; readonly upsert?: boolean };

/** The options of a command that are known. */
export function commandOptions(given: unknown): CommandOptions {
  const options = (given ?? {}) as Plain;
  const kept = known
    .filter((name) => options[name] !== undefined)
    .map((name) => [name, opaque.has(name) ? options[name] : snapshot(options[name])]);
  return { ...Object.fromEntries(kept), ...(options.session ? { session: options.session } : {}) };
}
