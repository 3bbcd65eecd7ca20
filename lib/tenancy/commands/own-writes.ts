import { beyondTenant } from '../needs-tenant.js';
import type { Plain } from '../registry.js';
import { commandOptions } from './command-options.js';
import { ownDocument, ownReplacement, ownUpdate, type Writing } from './own-update.js';
import { comparing, ownFilter, type Terms } from './terms.js';

/** The methods of a bound collection that write. */
export function ownWrites(terms: Terms) {
  const { raw, own } = terms;
  const begin = (options: unknown, read = comparing) => {
    terms.check();
    if (!terms.writable) throw beyondTenant(terms.model.modelName, 'A write');
    const { model, fields } = terms;
    const inserted = terms.inserted?.() ?? null;
    const fixed = Object.fromEntries(terms.fixed.map((field) => [field, inserted?.[field]]));
    const write: Writing = { model, inserted, fixed, fields, referred: new Map() };
    const given = read(terms, options);
    return { write, given, upsert: given.upsert === true };
  };
  const asGiven = (_: Terms, options: unknown) => commandOptions(options);

  /** A replacement, too, is an update: one that keeps the tenant fields. */
  const changing =
    (method: 'updateOne' | 'updateMany' | 'findOneAndUpdate', shape: typeof ownUpdate) =>
    async (filter: unknown, change: unknown, options?: unknown) => {
      const { write, given, upsert } = begin(options);
      const [mine, changes] = [ownFilter(own(), filter), shape(write, change, upsert)];
      await terms.references(write.referred, given);
      return raw[method](mine, changes, given);
    };
  const deleting =
    (method: 'deleteOne' | 'deleteMany' | 'findOneAndDelete') =>
    async (filter?: unknown, options?: unknown) => {
      const { given } = begin(options);
      const remove = raw[method] as (filter: Plain, options: object) => Promise<unknown>;
      return remove.call(raw, ownFilter(own(), filter), given);
    };

  return {
    async insertOne(document: unknown, options?: unknown) {
      const { write, given } = begin(options, asGiven);
      const mine = ownDocument(write, document);
      await terms.references(write.referred, given);
      return raw.insertOne(mine, given);
    },
    async insertMany(documents: readonly unknown[], options?: unknown) {
      const { write, given } = begin(options, asGiven);
      const mine = documents.map((document) => ownDocument(write, document));
      await terms.references(write.referred, given);
      return raw.insertMany(mine, given);
    },
    updateOne: changing('updateOne', ownUpdate),
    updateMany: changing('updateMany', ownUpdate),
    replaceOne: changing('updateOne', ownReplacement),
    findOneAndUpdate: changing('findOneAndUpdate', ownUpdate),
    findOneAndReplace: changing('findOneAndUpdate', ownReplacement),
    deleteOne: deleting('deleteOne'),
    deleteMany: deleting('deleteMany'),
    findOneAndDelete: deleting('findOneAndDelete'),
    async bulkWrite(operations: readonly unknown[], options?: unknown) {
      const { write, given } = begin(options, asGiven);
      const mine = operations.map((operation) => ownOperation(terms, write, operation));
      await terms.references(write.referred, given);
      return raw.bulkWrite(mine as never[], given);
    },
  };
}

type Operation = (terms: Terms, write: Writing, operation: Plain) => Plain;

const filtered: Operation = (terms, _, { filter, ...rest }) => ({
  ...comparing(terms, rest),
  filter: ownFilter(terms.own(), filter),
});

const updating: Operation = (terms, write, operation) => ({
  ...filtered(terms, write, operation),
  update: ownUpdate(write, operation.update, operation.upsert === true),
});

/** The operations of a bulk write; a replacement becomes the update that keeps the tenant fields. */
const operations: Readonly<Record<string, [name: string, own: Operation]>> = {
  insertOne: [
    'insertOne',
    (_, write, { document }) => {
      if (!document) throw new TypeError('The bulk operation insertOne needs a document');
      return { document: ownDocument(write, document) };
    },
  ],
  updateOne: ['updateOne', updating],
  updateMany: ['updateMany', updating],
  replaceOne: [
    'updateOne',
    (terms, write, operation) => ({
      ...filtered(terms, write, operation),
      update: ownReplacement(write, operation.replacement, operation.upsert === true),
    }),
  ],
  deleteOne: ['deleteOne', filtered],
  deleteMany: ['deleteMany', filtered],
};

function ownOperation(terms: Terms, write: Writing, operation: unknown): Plain {
  const entries = Object.entries(operation as object);
  const [[given, argument]] = entries as [[string, Plain]];
  const known = Object.hasOwn(operations, given) ? operations[given] : undefined;
  if (entries.length !== 1 || !known)
    throw beyondTenant(terms.model.modelName, `The bulk operation ${given}`);
  const [name, own] = known;
  return { [name]: own(terms, write, argument) };
}
