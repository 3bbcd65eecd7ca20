import { readFile } from 'node:fs/promises';
import { expect } from 'chai';
import mongoose, { type Aggregate, type Document, type Model, type Query, Schema } from 'mongoose';
import { acrossTenants } from '../../lib/index.js';
import { tenants } from '../support/tenants.js';
import { inspector } from '../support/world.js';

type Plain = Record<string, unknown>;
type World = Awaited<ReturnType<typeof tenants>>;
type Bound = Model<Plain> & Record<string, (...args: unknown[]) => unknown>;

/** The prototypes of Mongoose, and of the driver, that an application works with. */
const classes: Record<string, readonly object[]> = {
  Model: [mongoose.Model],
  Document: [mongoose.Model.prototype, mongoose.Document.prototype],
  Query: [mongoose.Query.prototype, Object.getPrototypeOf(mongoose.Query.prototype)],
  Aggregate: [mongoose.Aggregate.prototype],
  Collection: [
    mongoose.mongo.Collection.prototype,
    mongoose.Collection.prototype,
    Object.getPrototypeOf(mongoose.Collection.prototype),
  ],
};

/** What docs/tenancy.md says of each method, by class. */
async function decisions(): Promise<Record<string, Record<string, string>>> {
  const page = await readFile(new URL('../../docs/tenancy.md', import.meta.url), 'utf8');
  const decided: Record<string, Record<string, string>> = {};
  for (const [, name = '', what = '', methods = ''] of page.matchAll(/^\| (\w+) \| (\w+) \| (`.*`) \|$/gm)) {
    for (const [, method = ''] of methods.matchAll(/`([^`]+)`/g)) {
      decided[name] ??= Object.create(null) as Record<string, string>;
      expect(decided[name]?.[method], `${name}.${method} is decided twice`).to.equal(undefined);
      (decided[name] as Record<string, string>)[method] = what;
    }
  }
  return decided;
}

const named = (decided: Record<string, string> | undefined, ...what: string[]) =>
  Object.entries(decided ?? {}).flatMap(([method, is]) => (what.includes(is) ? [method] : []));

/** The model bound to the tenant, which no handle gives but a document of it leads to. */
async function boundOf({ handle, mine }: World): Promise<Bound> {
  const document = await handle.findById(mine).orFail();
  return document.constructor as unknown as Bound;
}

/** A foreign document, as if it had come from somewhere. */
function forged(model: Bound, { foreign, them }: World): Document & Plain {
  return model.hydrate({
    _id: foreign,
    organization: them,
    name: 'theirs',
    tags: ['x'],
    __v: 0,
  }) as unknown as Document & Plain;
}

function changed(model: Bound, world: World): Document & Plain {
  const document = forged(model, world);
  document.set('name', 'hacked');
  return document;
}

const hack = { $set: { name: 'hacked' } };

/** How each method of a model is called against another tenant's document. */
const modelCalls: Record<string, (M: Bound, w: World) => unknown> = {
  aggregate: (M, { foreign }) => M.aggregate([{ $match: { _id: foreign } }]).exec(),
  bulkSave: (M, w) => M.bulkSave([changed(M, w) as never]),
  bulkWrite: (M, { foreign: _id }) =>
    M.bulkWrite([
      { updateOne: { filter: { _id }, update: hack } },
      { updateMany: { filter: {}, update: { $set: { size: 1 } } } },
      { replaceOne: { filter: { _id }, replacement: { name: 'hacked' } } },
      { deleteOne: { filter: { _id } } },
      { deleteMany: { filter: { _id } } },
    ]),
  countDocuments: (M, { foreign }) => M.countDocuments({ _id: foreign }).then(none),
  create: (M, { foreign, them }) => M.create({ _id: foreign, organization: them, name: 'hacked' }),
  deleteMany: (M, { foreign }) => M.deleteMany({ $or: [{ _id: foreign }, { name: 'theirs' }] }).exec(),
  deleteOne: (M, { foreign }) => M.deleteOne({ _id: foreign }).exec(),
  distinct: (M) => M.distinct('name', { $nor: [{ name: 'ours' }] }).exec(),
  exists: (M, { foreign }) => M.exists({ _id: foreign }).exec(),
  find: (M, { them }) => M.find({ $or: [{ organization: them }, { name: 'theirs' }] }).exec(),
  findAndCount: (M) => M.findAndCount({ name: 'theirs' }, null, { sort: { _id: 1 }, limit: 9 }),
  findById: (M, { foreign }) => M.findById(foreign).exec(),
  findByIdAndDelete: (M, { foreign }) => M.findByIdAndDelete(foreign).exec(),
  findByIdAndUpdate: (M, { foreign }) => M.findByIdAndUpdate(foreign, hack).exec(),
  findOne: (M) => M.findOne({ name: 'theirs' }).exec(),
  findOneAndDelete: (M) => M.findOneAndDelete({ name: 'theirs' }).exec(),
  findOneAndReplace: (M) => M.findOneAndReplace({ name: 'theirs' }, { name: 'hacked' }).exec(),
  findOneAndUpdate: (M) => M.findOneAndUpdate({ name: 'theirs' }, hack).exec(),
  insertMany: (M, { foreign, them }) => M.insertMany([{ _id: foreign, organization: them, name: 'hacked' }]),
  insertOne: (M, { foreign, them }) =>
    M.insertOne({ _id: foreign, organization: them, name: 'hacked' } as never),
  populate: (M, w) =>
    M.populate({ _id: w.mine, parent: w.foreign } as never, { path: 'parent', model: M.modelName }),
  replaceOne: (M, { foreign }) => M.replaceOne({ _id: foreign }, { name: 'hacked' }).exec(),
  updateMany: (M) => M.updateMany({ name: 'theirs' }, hack).exec(),
  updateOne: (M, { foreign }) => M.updateOne({ _id: foreign }, hack).exec(),
  where: (M) => M.where('name').equals('theirs').find().exec(),
  $__updateConnection: (M) => M.$__updateConnection?.(inspector()),
  $where: (M) => M.$where('true').exec(),
  __subclass: (M) => M.__subclass?.(inspector(), M.schema, 'test_projects'),
  compile: (M) => M.compile?.('Other', new Schema({}), 'test_projects', M.db, M.base),
  estimatedDocumentCount: (M) => M.estimatedDocumentCount().exec(),
  namespace: (M) => M.namespace?.(),
  startSession: (M) => M.startSession(),
  useConnection: (M) => M.useConnection(inspector()),
  watch: async (M) => M.watch().next(),
  cleanIndexes: (M) => M.cleanIndexes(),
  createCollection: (M) => M.createCollection(),
  createIndexes: (M) => M.createIndexes(),
  createSearchIndex: (M) => M.createSearchIndex({ name: 'x', definition: {} } as never),
  createSearchIndexes: (M) => M.createSearchIndexes(),
  diffIndexes: (M) => M.diffIndexes(),
  discriminator: (M) => M.discriminator('Special', new Schema({})),
  dropSearchIndex: (M) => M.dropSearchIndex('x'),
  ensureIndexes: (M) => M.ensureIndexes(),
  init: (M) => M.init(),
  listIndexes: (M) => M.listIndexes(),
  listSearchIndexes: (M) => M.listSearchIndexes(),
  recompileSchema: (M) => M.recompileSchema(),
  syncIndexes: (M) => M.syncIndexes(),
  updateSearchIndex: (M) => M.updateSearchIndex('x', {} as never),
};

const documentCalls: Record<string, (M: Bound, w: World) => unknown> = {
  $__save: (M, w) => (changed(M, w) as unknown as { $__save(options: object): unknown }).$__save({}),
  $save: (M, w) => (changed(M, w) as unknown as { $save(): unknown }).$save(),
  save: async (M, w) => {
    const unchanged = forged(M, w);
    unchanged.increment();
    await unchanged.save().catch(() => {});
    return changed(M, w).save();
  },
  deleteOne: (M, w) => forged(M, w).deleteOne(),
  replaceOne: (M, w) => forged(M, w).replaceOne({ name: 'hacked' }),
  updateOne: (M, w) => forged(M, w).updateOne(hack),
  populate: async (M, w) => {
    const document = M.hydrate({ _id: w.mine, parent: w.foreign }) as unknown as Document;
    return document.populate(['parent', 'children']);
  },
};

type Unfinished = Query<unknown, unknown> & Record<string, (...args: unknown[]) => unknown>;
const theirs = (M: Bound) => M.find({ name: 'theirs' }) as unknown as Unfinished;
const changing = (M: Bound, op: 'updateOne' | 'updateMany' | 'findOneAndUpdate') =>
  (M as unknown as Record<string, (...args: unknown[]) => Unfinished>)[op]?.(
    { name: 'theirs' },
    hack,
  ) as Unfinished;

/** Mongoose's inner methods are called as they are: none of them is safer for being private. */
const queryCalls: Record<string, (M: Bound, w: World) => unknown> = {
  __distinct: (M) => (M.distinct('name', { name: 'theirs' }) as unknown as Unfinished).__distinct?.(),
  _countDocuments: async (M) => none((await theirs(M)._countDocuments?.()) as number),
  _deleteMany: (M) => theirs(M)._deleteMany?.(),
  _deleteOne: (M) => theirs(M)._deleteOne?.(),
  _find: (M) => theirs(M)._find?.(),
  _findOne: (M) => theirs(M)._findOne?.(),
  _findOneAndDelete: (M) => theirs(M)._findOneAndDelete?.(),
  _findOneAndReplace: (M) => (M.findOneAndReplace({ name: 'theirs' }, { name: 'hacked' }) as unknown as Unfinished)._findOneAndReplace?.(), // biome-ignore format: a list
  _findOneAndUpdate: (M) => changing(M, 'findOneAndUpdate')._findOneAndUpdate?.(),
  _replaceOne: (M) =>
    (M.replaceOne({ name: 'theirs' }, { name: 'hacked' }) as unknown as Unfinished)._replaceOne?.(),
  _updateMany: (M) => changing(M, 'updateMany')._updateMany?.(),
  _updateOne: (M) => changing(M, 'updateOne')._updateOne?.(),
  catch: (M) => theirs(M).catch((error: Error) => Promise.reject(error)),
  cursor: (M) => M.find({ name: 'theirs' }).cursor().next(),
  exec: (M) => theirs(M).exec?.(),
  finally: (M) => theirs(M).finally(() => {}),
  findAndCount: (M) => M.find({ name: 'theirs' }).sort({ _id: 1 }).limit(9).findAndCount(),
  // biome-ignore lint/suspicious/noThenProperty: named after the method that it calls
  then: (M) => theirs(M).then((found) => found),
  $where: (M) => theirs(M).$where?.('true').exec(),
  _estimatedDocumentCount: (M) => theirs(M)._estimatedDocumentCount?.(),
};

const pipeline = [{ $match: { name: 'theirs' } }];
const aggregateOf = (M: Bound) => M.aggregate(pipeline) as Aggregate<unknown[]>;
const aggregateCalls: Record<string, (M: Bound, w: World) => unknown> = {
  catch: (M) => aggregateOf(M).catch((error: Error) => Promise.reject(error)),
  cursor: (M) => aggregateOf(M).cursor().next(),
  exec: (M) => aggregateOf(M).exec(),
  explain: async (M) => {
    const plan = JSON.stringify(await aggregateOf(M).explain('executionStats'));
    expect(plan).to.include('"nReturned":0');
  },
  finally: (M) => aggregateOf(M).finally(() => {}),
  // biome-ignore lint/suspicious/noThenProperty: named after the method that it calls
  then: (M) => aggregateOf(M).then((found) => found),
};

const call = (M: Bound, name: string, ...args: unknown[]) =>
  (M.collection as unknown as Record<string, (...args: unknown[]) => unknown>)[name]?.(...args);
const byName = { name: 'theirs' };
const collectionCalls: Record<string, (M: Bound, w: World) => unknown> = {
  aggregate: (M) => (call(M, 'aggregate', pipeline) as { toArray(): unknown }).toArray(),
  bulkWrite: (M) =>
    call(M, 'bulkWrite', [
      { updateMany: { filter: byName, update: hack } },
      { deleteOne: { filter: byName } },
    ]),
  countDocuments: async (M) => none((await call(M, 'countDocuments', byName)) as number),
  deleteMany: (M) => call(M, 'deleteMany', byName),
  deleteOne: (M) => call(M, 'deleteOne', byName),
  distinct: (M) => call(M, 'distinct', 'name', byName),
  find: (M) => (call(M, 'find', byName) as { toArray(): unknown }).toArray(),
  findOne: (M) => call(M, 'findOne', byName),
  findOneAndDelete: (M) => call(M, 'findOneAndDelete', byName),
  findOneAndReplace: (M) => call(M, 'findOneAndReplace', byName, { name: 'hacked' }),
  findOneAndUpdate: (M) => call(M, 'findOneAndUpdate', byName, hack),
  insertMany: (M, { them }) => call(M, 'insertMany', [{ organization: them, name: 'hacked' }]),
  insertOne: (M, { them }) => call(M, 'insertOne', { organization: them, name: 'hacked' }),
  replaceOne: (M) => call(M, 'replaceOne', byName, { name: 'hacked' }),
  updateMany: (M) => call(M, 'updateMany', byName, hack),
  updateOne: (M) => call(M, 'updateOne', byName, hack),
};

const calls: Record<string, typeof modelCalls> = {
  Model: modelCalls,
  Document: documentCalls,
  Query: queryCalls,
  Aggregate: aggregateCalls,
  Collection: collectionCalls,
};

/** A count of another tenant's documents. */
function none(count: number): void {
  expect(count).to.equal(0);
}

/** What came of a call: an error, or what it gave. */
async function outcome(work: () => unknown): Promise<{ error?: unknown; value?: unknown }> {
  try {
    return { value: await work() };
  } catch (error) {
    return { error };
  }
}

/** Calls a method without arguments. What it gives is not waited for, unless it is under way: to wait for a query executes it. */
function alone(instance: Record<string, unknown>, method: string): unknown {
  const value = typeof instance[method] === 'function' ? instance[method]() : undefined;
  return value instanceof Promise ? value : undefined;
}

describe('the methods of Mongoose', () => {
  it('are all decided in docs/tenancy.md, and what is decided exists', async () => {
    const decided = await decisions();
    for (const [name, prototypes] of Object.entries(classes)) {
      const names = new Set(
        prototypes.flatMap(Object.getOwnPropertyNames).filter((each) => each !== 'constructor'),
      );
      expect(Object.keys(decided[name] ?? {}).sort(), name).to.deep.equal([...names].sort());
    }
  });

  for (const [name, known] of Object.entries(calls)) {
    it(`of ${name} have no effect on another tenant's documents, and show none of them`, async () => {
      const decided = (await decisions())[name];
      const world = await tenants();
      const M = await boundOf(world);
      const before = await world.projects.find().toArray();
      for (const method of named(decided, 'scoped')) {
        await world.projects.deleteMany({});
        await world.projects.insertMany(before);
        expect(known[method], `${name}.${method} is called by no test`).to.be.a('function');

        const { error, value } = await outcome(() => known[method]?.(M, world));

        if (error instanceof TypeError)
          expect(error.message, `${name}.${method}`).to.match(/is refused for Project/);
        expect(JSON.stringify(value ?? null), `${name}.${method}`).not.to.match(/theirs|hacked/);
        const after = await world.projects.find().toArray();
        expect(
          after.filter(({ _id }) => _id.equals(world.foreign)),
          `${name}.${method}`,
        ).to.deep.equal(before.filter(({ _id }) => _id.equals(world.foreign)));
        expect(
          after.filter(({ organization }) => organization.equals(world.them)),
          `${name}.${method}`,
        ).to.have.length(1);
      }
    });

    it(`of ${name} reach them by system access, so that the calls above mean something`, async () => {
      const world = await tenants({ appName: 'tests' }); // system access scans collections
      const before = await world.projects.find().toArray();
      const decided = (await decisions())[name];
      await acrossTenants({
        connection: world.connection,
        reason: 'a test',
        run: async (all) => {
          const document = await all.model(world.Project).findById(world.mine).orFail();
          const M = document.constructor as unknown as Bound;
          for (const method of named(decided, 'scoped')) {
            await world.projects.deleteMany({});
            await world.projects.insertMany(before);
            const { error, value } = await outcome(() => known[method]?.(M, world));
            const after = await world.projects.find().toArray();
            const told = JSON.stringify([value ?? null, String(error)]);
            const has = JSON.stringify(after) !== JSON.stringify(before);
            const reached = has || /theirs|hacked|00b3|E11000|to equal|"nReturned/.test(told);
            expect(reached, `${name}.${method}: ${JSON.stringify(value)} ${error}`).to.equal(true);
          }
        },
      });
    });

    it(`of ${name} throw before anything is sent, where no tenant is said`, async () => {
      const world = await tenants();
      const model = world.Project as unknown as Bound;
      const decided = (await decisions())[name];
      for (const method of named(decided, 'scoped', 'refused')) {
        world.commands.length = 0;
        const run = known[method] ?? ((M: Bound) => call(M, method));
        const { error } = await outcome(() => run(model, world));
        expect(error, `${name}.${method}`).to.be.instanceOf(TypeError);
        expect((error as Error).message, `${name}.${method}`).to.match(/belongs to tenants|refused/);
        expect(world.commands, `${name}.${method}`).to.deep.equal([]);
      }
    });

    it(`of ${name} that are refused to a tenant, manage the collection or are local send nothing for it`, async () => {
      const world = await tenants();
      const M = await boundOf(world);
      const decided = (await decisions())[name];
      const instance = { Model: M, Document: forged(M, world), Query: M.find(byName), Aggregate: aggregateOf(M), Collection: M.collection }[name] as unknown as Record<string, unknown>; // biome-ignore format: one line
      for (const method of named(decided, 'refused', 'managed', 'local')) {
        world.commands.length = 0;
        const run = known[method] ?? (() => alone(instance, method));
        const { error } = await outcome(() => run(M, world));
        if (decided?.[method] === 'refused') expect(error, `${name}.${method}`).to.be.instanceOf(TypeError);
        expect(world.commands, `${name}.${method}`).to.deep.equal([]);
      }
    });
  }

  it('that manage a collection work on the model itself', async () => {
    const { Project } = await tenants();
    await Project.createCollection();
    await Project.createIndexes();
    expect(await Project.diffIndexes()).to.deep.equal({ toDrop: [], toCreate: [] });
    expect((await Project.listIndexes()).map(({ key }) => JSON.stringify(key))).to.include(
      '{"organization":1,"_id":1}',
    );
    expect(await Project.syncIndexes()).to.deep.equal([]);
  });
});
