import { gate } from '../gate.js';
import { beyondTenant } from '../needs-tenant.js';
import { facts } from './closed-collection.js';
import { type DriverCursor, ownCursor } from './own-cursor.js';
import { ownPipeline } from './own-pipeline.js';
import { ownWrites } from './own-writes.js';
import { comparing, ownFilter, type Terms } from './terms.js';

/** The collection of a model that is bound to a tenant: all that Mongoose has of the driver, and all that it can send through it. */
export function ownCollection(terms: Terms): object {
  const { raw, model } = terms;
  const open = { ...facts(raw), buffer: false, collection: true, ...reading(terms), ...ownWrites(terms) };
  return gate(open, (name) => beyondTenant(model.modelName, `collection.${name}()`));
}

function reading(terms: Terms) {
  const { raw, model, own, reach, check } = terms;
  const cursor = (open: () => DriverCursor | Promise<DriverCursor>) =>
    ownCursor(model.modelName, check, open);
  return {
    find(filter?: unknown, options?: unknown) {
      check();
      const [mine, given] = [ownFilter(own(), filter), comparing(terms, options)];
      return cursor(() => raw.find(mine, given));
    },
    async findOne(filter?: unknown, options?: unknown) {
      check();
      return raw.findOne(ownFilter(own(), filter), comparing(terms, options));
    },
    async countDocuments(filter?: unknown, options?: unknown) {
      check();
      return raw.countDocuments(ownFilter(own(), filter), comparing(terms, options));
    },
    async distinct(key: string, filter?: unknown, options?: unknown) {
      check();
      return raw.distinct(String(key), ownFilter(own(), filter), comparing(terms, options));
    },
    aggregate(pipeline?: unknown, options?: unknown) {
      check();
      const [mine, given] = [ownPipeline(pipeline, own(), reach), comparing(terms, options)];
      return cursor(() => raw.aggregate(mine, given));
    },
  };
}
