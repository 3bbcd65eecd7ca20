import type { Connection, mongo } from 'mongoose';
import { closedCollection } from './closed-collection.js';
import { guardedConnection } from './guarded-connection.js';
import { needsTenant } from './needs-tenant.js';
import { type AnyModel, type By, keepRaw, type RawCollection, rawOf } from './registry.js';
import { seat } from './seat.js';

type Statics = Record<string, (...args: unknown[]) => unknown>;

/** Would give the model another connection or collection, hand out what is under it, or let the connection write for it. */
const refused = ['useConnection', '$__updateConnection', '__subclass', 'startSession', 'namespace', 'watch'];

/**
 * Takes from a scoped model, just compiled, its way to the database: what it is left with manages the collection and its
 * indexes, and throws for whatever would read or write a document.
 */
export function guardModel(model: AnyModel, by: By): void {
  if (isGuarded(model)) return;
  const connection = model.db;
  const collection = model.collection as unknown as RawCollection;
  keepRaw(model, { connection, collection, by });
  const { modelName } = model;
  seat(model, {
    connection: guardedConnection(modelName, connection, {
      model: (name) => connection.model(name), // by name only: another schema would be a second way to the collection
      createCollection: (options) => createCollection(connection, collection, options),
    }),
    collection: closedCollection(modelName, collection),
  });
  for (const name of refused) {
    const refuse = () => {
      throw needsTenant(modelName, `${name}()`);
    };
    Object.defineProperty(model, name, { value: refuse });
  }
  guardDiscriminators(model, connection, by);
}

/** True also for what was made of a guarded model by extending it. */
function isGuarded(model: object | null): boolean {
  return model !== null && (rawOf(model) !== undefined || isGuarded(Object.getPrototypeOf(model)));
}

/** A discriminator is compiled from a schema of its own, on the same collection, and that needs the connection itself. */
function guardDiscriminators(model: AnyModel, connection: Connection, by: By): void {
  const compile = (model as unknown as Statics).discriminator as Statics[string];
  const discriminator = (...args: unknown[]) => {
    const open = Object.create(model, { db: { value: connection }, base: { value: connection.base } });
    const made = compile.apply(open, args) as AnyModel;
    model.discriminators = open.discriminators;
    guardModel(made, by);
    return made;
  };
  Object.defineProperty(model, 'discriminator', { value: discriminator });
}

/** A view would be a second way to the documents. */
async function createCollection(
  connection: Connection,
  { collectionName }: RawCollection,
  { viewOn, pipeline, ...rest }: mongo.CreateCollectionOptions = {},
): Promise<void> {
  if (viewOn !== undefined || pipeline !== undefined)
    throw new TypeError('A collection of a model that belongs to tenants cannot be a view');
  await connection.createCollection(collectionName, rest);
}
