import { Error as MongooseError } from 'mongoose';
import type { Access } from './access.js';
import { collectionFor, usersOf } from './collection-for.js';
import { undeclared } from './commands/check-references.js';
import { ownPopulate } from './commands/own-populate.js';
import { guardedConnection } from './guarded-connection.js';
import { beyondTenant } from './needs-tenant.js';
import { type AnyModel, keepInserted, rawOf } from './registry.js';
import { seat } from './seat.js';

/**
 * A model that an access is given in place of `model`: one class below it, whose collection reads and writes what the access may, and
 * whose connection leads to models that are bound likewise. Whatever Mongoose does, with queries, documents, populate or cursors, it
 * does through these two.
 *
 * @throws {TypeError} when the model is neither scoped nor declared global, or refers to something by other than a name
 */
export function bindModel(access: Access, model: AnyModel): AnyModel {
  const known = access.bound.get(model);
  if (known) return known;
  const collection = collectionFor(access, model);
  const bound = subclass(access, model);
  access.bound.set(model, bound);
  const follow = (name: string) => followed(access, name);
  seat(bound, {
    connection: guardedConnection(model.modelName, access.connection, { model: follow }),
    collection,
  });
  const raw = rawOf(model);
  if (raw && access.organization) keepInserted(bound, () => access.boundsOf(model, raw.by).inserted);
  Object.defineProperty(bound, 'discriminators', { get: boundDiscriminators(access, model) });
  return bound;
}

/** The discriminators of a model, bound likewise; some may be made after it was. */
function boundDiscriminators(access: Access, model: AnyModel) {
  let made: Record<string, AnyModel> = {};
  return () => {
    if (!model.discriminators) return undefined;
    const all = Object.entries(model.discriminators) as unknown as [string, AnyModel][];
    if (all.length !== Object.keys(made).length)
      made = Object.fromEntries(all.map(([name, one]) => [name, bindModel(access, one)]));
    return made;
  };
}

/** The model that a reference leads to. */
function followed(access: Access, name: string): AnyModel {
  try {
    const model = name === 'User' ? usersOf(access.connection) : access.connection.models[name];
    if (!model) throw undeclared(name);
    return bindModel(access, model as unknown as AnyModel);
  } catch (error) {
    // populate() passes over any other error as if there were nothing to populate.
    throw error instanceof TypeError ? new MongooseError(error.message) : error;
  }
}

type Constructor = new (...args: unknown[]) => object;

function subclass(access: Access, model: AnyModel): AnyModel {
  const bound = class extends (model as unknown as Constructor) {
    constructor(...args: unknown[]) {
      super(...args);
      // The model may have answered with a document of a discriminator: of the one that is not bound.
      if (this instanceof bound) return;
      const made = (this as object).constructor as unknown as AnyModel;
      Object.setPrototypeOf(this, bindModel(access, made).prototype as object);
    }
  } as unknown as AnyModel;
  for (const name of ['discriminator', 'compile', 'recompileSchema']) {
    const refuse = () => {
      throw beyondTenant(model.modelName, `${name}()`);
    };
    fix(bound, name, refuse);
  }
  fix(bound, 'populate', ownPopulate(access.connection, model));
  return bound;
}

const fix = (target: object, name: string, value: unknown): void =>
  void Object.defineProperty(target, name, { value, writable: false, configurable: false });
