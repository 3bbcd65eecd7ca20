import { type Connection, Error as MongooseError, type Types } from 'mongoose';
import { type Bounds, refuseOtherOwner } from './bounds.js';
import { checkReferences, undeclared } from './check-references.js';
import { isGlobal } from './declare-global.js';
import { guardedConnection } from './guarded-connection.js';
import { memberStages, membersCollection } from './members-collection.js';
import { beyondTenant } from './needs-tenant.js';
import { ownCollection, type Terms } from './own-collection.js';
import type { Reach } from './own-pipeline.js';
import { ownPopulate } from './own-populate.js';
import { referredByDocuments } from './references.js';
import { type AnyModel, type By, keepInserted, type Plain, type RawCollection, rawOf } from './registry.js';
import { seat } from './seat.js';
import { tenantFields } from './tenant-fields.js';

/** Who a model is bound to: a tenant, or for system access nobody. */
export interface Access {
  readonly connection: Connection;
  /** Null: all organizations. */
  readonly organization: Types.ObjectId | null;
  readonly boundsOf: (model: AnyModel, by: By) => Bounds;
  /** Throws when the access is over. */
  readonly check: () => void;
  /** The models bound so far. */
  readonly bound: Map<object, AnyModel>;
}

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
  if (raw && access.organization) keepInserted(bound, access.boundsOf(model, raw.by).inserted);
  const { discriminators } = model;
  if (discriminators)
    fix(bound, 'discriminators', Object.fromEntries(Object.entries(discriminators).map(([name, one]) => [name, bindModel(access, one as unknown as AnyModel)]))); // biome-ignore format: one line
  return bound;
}

/** The model that a reference leads to. */
function followed(access: Access, name: string): AnyModel {
  const model = access.connection.models[name] as AnyModel | undefined;
  try {
    if (!model) throw undeclared(name);
    return bindModel(access, model);
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

function collectionFor(access: Access, model: AnyModel): object {
  const { connection, organization, check } = access;
  const raw = rawOf(model);
  const plain = {
    raw: model.collection as unknown as RawCollection,
    model,
    own: {},
    inserted: null,
    fixed: {},
    fields: [],
  };
  if (!raw && organization && model === (connection.models.User as unknown))
    return membersCollection({ connection, organization, raw: plain.raw });
  referredByDocuments(model, []); // throws for a reference that could not be followed
  const common = { reach: reachOf(access, model), check, references: async () => {} };
  if (raw)
    return ownCollection({
      ...common,
      ...scopedTerms(access, model, raw.collection, raw.by),
      writable: true,
    });
  if (!isGlobal(model)) throw undeclared(model.modelName);
  return ownCollection({ ...common, ...plain, writable: false });
}

function scopedTerms(
  access: Access,
  model: AnyModel,
  raw: RawCollection,
  by: By,
): Omit<Terms, 'reach' | 'check' | 'references' | 'writable'> & Partial<Terms> {
  const { connection, organization, boundsOf } = access;
  const { filter, inserted } = boundsOf(model, by);
  if (!organization) return { raw, model, own: filter, inserted: null, fixed: {}, fields: [] };
  if (by === 'team') refuseOtherOwner(connection, model);
  const fields = tenantFields[by];
  const fixed = Object.fromEntries(Object.entries(filter).filter(([field]) => same(filter, inserted, field)));
  const filterOf = (referred: AnyModel) => filterFor(access, referred);
  const references: Terms['references'] = (referred, { session }) =>
    checkReferences({ connection, organization, filterOf }, referred, session);
  return { raw, model, own: filter, inserted, fixed, fields, references };
}

const same = (filter: Plain, inserted: Plain, field: string) => filter[field] === inserted[field];

function filterFor({ boundsOf }: Access, model: AnyModel): Plain {
  const raw = rawOf(model);
  return raw ? boundsOf(model, raw.by).filter : {};
}

/** What a pipeline of a model reaches: collections are known by their models, and a scoped one outdoes others on the same. */
function reachOf(access: Access, model: AnyModel): Reach {
  const { connection, organization } = access;
  const usersOf = (collection: string) => {
    const users = connection.models.User;
    return users?.collection.name === collection ? users : undefined;
  };
  return {
    model: model.modelName,
    filterOf: (collection) => {
      const models = Object.values(connection.models) as unknown as AnyModel[];
      const there = models.filter((each) => each.collection.name === collection);
      const target = there.find((each) => rawOf(each)) ?? there.find(isGlobal);
      if (!target) throw undeclared(`The collection ${collection}`);
      return filterFor(access, target);
    },
    membersOf: (collection) =>
      organization && usersOf(collection) ? memberStages(connection, organization) : null,
  };
}
