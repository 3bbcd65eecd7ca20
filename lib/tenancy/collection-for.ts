import type { Connection } from 'mongoose';
import { Users } from '../models/user.js';
import type { Access } from './access.js';
import { refuseOtherOwner } from './bounds.js';
import { checkReferences, undeclared } from './commands/check-references.js';
import { memberStages, membersCollection } from './commands/members-collection.js';
import { ownCollection } from './commands/own-collection.js';
import type { Reach } from './commands/own-pipeline.js';
import { referredByDocuments } from './commands/references.js';
import type { Terms } from './commands/terms.js';
import { isGlobal } from './declare-global.js';
import { type AnyModel, type Plain, type Raw, type RawCollection, rawOf } from './registry.js';
import { tenantFields } from './tenant-fields.js';

/** The users, compiled if they were not yet. */
export const usersOf = (connection: Connection): AnyModel => Users(connection) as unknown as AnyModel;

/**
 * The collection that an access has of a model: the tenant's documents of a scoped one, all of a global one for reading, the members among users.
 *
 * @throws {TypeError} for any other model
 */
export function collectionFor(access: Access, model: AnyModel): object {
  const { connection, organization, check } = access;
  const raw = rawOf(model);
  if (!raw && organization && model === usersOf(connection))
    return membersCollection({ access, raw: rawUnder(model) });
  referredByDocuments(model, []); // throws for a reference that could not be followed
  const common = {
    model,
    reach: reachOf(access, model),
    check,
    exact: hasTexts(connection),
    references: async () => {},
  };
  if (raw) return ownCollection({ ...common, ...scopedTerms(access, model, raw), writable: true });
  if (!isGlobal(model)) throw undeclared(model.modelName);
  const everything = { raw: rawUnder(model), own: () => ({}), inserted: null, fixed: [], fields: [] };
  return ownCollection({ ...common, ...everything, writable: false });
}

const rawUnder = ({ collection }: AnyModel) => collection as unknown as RawCollection;

/** Ids that are texts are the same only letter by letter, which a collation could change. */
const hasTexts = (connection: Connection) => usersOf(connection).schema.path('_id').instance === 'String';

type ScopedTerms = Pick<Terms, 'raw' | 'own' | 'inserted' | 'fixed' | 'fields'> & Partial<Terms>;

function scopedTerms(access: Access, model: AnyModel, { collection: raw, by }: Raw): ScopedTerms {
  const { connection, boundsOf } = access;
  const { filter, inserted } = boundsOf(model, by);
  const own = () => boundsOf(model, by).filter;
  if (!access.organization) return { raw, own, inserted: null, fixed: [], fields: [] };
  if (by === 'team') refuseOtherOwner(connection, model);
  const fields = tenantFields[by];
  const fixed = fields.filter((field) => field in filter && filter[field] === inserted[field]);
  const filterOf = (referred: AnyModel) => filterFor(access, referred);
  const references: Terms['references'] = async (referred, { session }) => {
    const { organization } = access;
    if (organization) await checkReferences({ connection, organization, filterOf }, referred, session);
  };
  return { raw, own, inserted: () => boundsOf(model, by).inserted, fixed, fields, references };
}

function filterFor({ boundsOf }: Access, model: AnyModel): Plain {
  const raw = rawOf(model);
  return raw ? boundsOf(model, raw.by).filter : {};
}

/** What a pipeline of a model reaches: collections are known by their models, and a scoped one outdoes others on the same. */
function reachOf(access: Access, { modelName }: AnyModel): Reach {
  const { connection } = access;
  return {
    model: modelName,
    filterOf: (collection) => {
      const models = Object.values(connection.models) as unknown as AnyModel[];
      const there = models.filter((each) => each.collection.name === collection);
      const target = there.find((each) => rawOf(each)) ?? there.find(isGlobal);
      if (!target) throw undeclared(`The collection ${collection}`);
      return filterFor(access, target);
    },
    membersOf: (collection) => {
      const { organization } = access;
      const isUsers = collection === usersOf(connection).collection.name;
      return organization && isUsers ? memberStages(connection, organization) : null;
    },
  };
}
