import { facts } from './closed-collection.js';
import { type CommandOptions, commandOptions } from './command-options.js';
import { gate } from './gate.js';
import { beyondTenant } from './needs-tenant.js';
import { type DriverCursor, ownCursor } from './own-cursor.js';
import { ownPipeline, type Reach } from './own-pipeline.js';
import { ownDocument, ownReplacement, ownUpdate, type Writing } from './own-update.js';
import type { Referred } from './references.js';
import type { AnyModel, Plain, RawCollection } from './registry.js';
import { isPlain, snapshotOf } from './snapshot.js';

/** What a bound collection lets through. */
export interface Terms extends Omit<Writing, 'referred'> {
  readonly raw: RawCollection;
  readonly model: AnyModel;
  /** Every filter is and-ed with it. */
  readonly own: Plain;
  readonly reach: Reach;
  /** False: nothing is written. */
  readonly writable: boolean;
  /** Throws when the access is over. */
  readonly check: () => void;
  /** Throws unless what a write refers to is the tenant's. */
  readonly references: (referred: Referred, options: CommandOptions) => Promise<void>;
}

/** The collection of a model that is bound to a tenant: all that Mongoose has of the driver, and all that it can send through it. */
export function ownCollection(terms: Terms): object {
  const { raw, model } = terms;
  const open = { ...facts(raw), buffer: false, collection: true, ...reading(terms), ...writing(terms) };
  return gate(open, (name) => beyondTenant(model.modelName, `collection.${name}()`));
}

function reading({ raw, model, own, reach, check }: Terms) {
  const cursor = (open: () => DriverCursor | Promise<DriverCursor>) =>
    ownCursor(model.modelName, check, open);
  return {
    find(filter?: unknown, options?: unknown) {
      check();
      const [mine, given] = [ownFilter(own, filter), commandOptions(options)];
      return cursor(() => raw.find(mine, given));
    },
    async findOne(filter?: unknown, options?: unknown) {
      check();
      return raw.findOne(ownFilter(own, filter), commandOptions(options));
    },
    async countDocuments(filter?: unknown, options?: unknown) {
      check();
      return raw.countDocuments(ownFilter(own, filter), commandOptions(options));
    },
    async distinct(key: string, filter?: unknown, options?: unknown) {
      check();
      return raw.distinct(String(key), ownFilter(own, filter), commandOptions(options));
    },
    aggregate(pipeline?: unknown, options?: unknown) {
      check();
      const [mine, given] = [ownPipeline(pipeline, own, reach), commandOptions(options)];
      return cursor(() => raw.aggregate(mine, given));
    },
  };
}

/** A filter that finds the tenant's documents only, whatever `given` says. What it says of the tenant itself is left out where it is true. */
export function ownFilter(own: Plain, given: unknown): Plain {
  const filter = snapshotOf(given, 'A filter');
  for (const [field, value] of Object.entries(own))
    if (field in filter && !isPlain(value) && String(filter[field]) === String(value)) delete filter[field];
  return { $and: [own, filter] };
}

function writing(terms: Terms) {
  const { raw, own } = terms;
  const begin = (options: unknown) => {
    terms.check();
    if (!terms.writable) throw beyondTenant(terms.model.modelName, 'A write');
    const { model, inserted, fixed, fields } = terms;
    const given = commandOptions(options);
    const write: Writing = { model, inserted, fixed, fields, referred: new Map() };
    return { write, given, upsert: given.upsert === true };
  };

  const update =
    (method: 'updateOne' | 'updateMany') => async (filter: unknown, change: unknown, options?: unknown) => {
      const { write, given, upsert } = begin(options);
      const [mine, changes] = [ownFilter(own, filter), ownUpdate(write, change, upsert)];
      await terms.references(write.referred, given);
      return raw[method](mine, changes, given);
    };

  return {
    async insertOne(document: unknown, options?: unknown) {
      const { write, given } = begin(options);
      const mine = ownDocument(write, document);
      await terms.references(write.referred, given);
      return raw.insertOne(mine, given);
    },
    async insertMany(documents: readonly unknown[], options?: unknown) {
      const { write, given } = begin(options);
      const mine = documents.map((document) => ownDocument(write, document));
      await terms.references(write.referred, given);
      return raw.insertMany(mine, given);
    },
    updateOne: update('updateOne'),
    updateMany: update('updateMany'),
    async replaceOne(filter: unknown, replacement: unknown, options?: unknown) {
      const { write, given, upsert } = begin(options);
      const [mine, change] = [ownFilter(own, filter), ownReplacement(write, replacement, upsert)];
      await terms.references(write.referred, given);
      return raw.updateOne(mine, change, given);
    },
    async deleteOne(filter?: unknown, options?: unknown) {
      const { given } = begin(options);
      return raw.deleteOne(ownFilter(own, filter), given);
    },
    async deleteMany(filter?: unknown, options?: unknown) {
      const { given } = begin(options);
      return raw.deleteMany(ownFilter(own, filter), given);
    },
    async findOneAndUpdate(filter: unknown, change: unknown, options?: unknown) {
      const { write, given, upsert } = begin(options);
      const [mine, changes] = [ownFilter(own, filter), ownUpdate(write, change, upsert)];
      await terms.references(write.referred, given);
      return raw.findOneAndUpdate(mine, changes, given);
    },
    async findOneAndReplace(filter: unknown, replacement: unknown, options?: unknown) {
      const { write, given, upsert } = begin(options);
      const [mine, change] = [ownFilter(own, filter), ownReplacement(write, replacement, upsert)];
      await terms.references(write.referred, given);
      return raw.findOneAndUpdate(mine, change, given);
    },
    async findOneAndDelete(filter: unknown, options?: unknown) {
      const { given } = begin(options);
      return raw.findOneAndDelete(ownFilter(own, filter), given);
    },
    async bulkWrite(operations: readonly unknown[], options?: unknown) {
      const { write, given } = begin(options);
      const mine = operations.map((operation) => ownOperation(terms, write, operation));
      await terms.references(write.referred, given);
      return raw.bulkWrite(mine as never[], given);
    },
  };
}

type Operation = (terms: Terms, write: Writing, operation: Plain) => Plain;

const filtered: Operation = ({ own }, _, { filter, ...rest }) => ({
  ...commandOptions(rest),
  filter: ownFilter(own, filter),
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
