import { once } from 'node:events';
import { expect } from 'chai';
import mongoose, { type Model, Schema } from 'mongoose';
import { oid, tenants } from '../support/tenants.js';
import { inspector } from '../support/world.js';

type World = Awaited<ReturnType<typeof tenants>>;
type Attempts = Record<string, (world: World) => unknown>;
/** A door that hostile code would try, of whatever type. */
type Door = ((...args: unknown[]) => Door) & { [name: string]: Door };

const open = (value: unknown) => value as Door;
const hack = { $set: { name: 'hacked' } };

/** The model bound to the tenant, and a document of it. */
async function inside({ handle, mine }: World) {
  const document = await handle.findById(mine).orFail();
  return { document, bound: document.constructor as unknown as Model<Record<string, unknown>> };
}

/** What Mongoose takes for the driver's cursor. */
const driverCursor = async (cursor: object): Promise<Door> =>
  open(await (cursor as { getDriverCursor(): Promise<unknown> }).getDriverCursor());

/** Tries each way out: it must show nothing of theirs, change nothing of theirs, and take nothing of ours to them. */
async function expectNoWayOut(attempts: Attempts): Promise<void> {
  const world = await tenants();
  const secrets = inspector().collection('test_secrets');
  const before = await world.projects.find().toArray();
  for (const [what, attempt] of Object.entries(attempts)) {
    await Promise.all([world.projects.deleteMany({}), secrets.deleteMany({})]);
    await world.projects.insertMany(before);
    await secrets.insertOne({ _id: oid('c1'), text: 'classified' });

    const got = await Promise.resolve()
      .then(() => attempt(world))
      .then(
        (value) => JSON.stringify(value ?? null),
        (error: Error) => `${error.name} ${error.message}`,
      );

    expect(got, what).not.to.match(/theirs|classified|"hash"|bob@example/);
    const stored = await world.projects.find().toArray();
    const of = (organization: unknown) =>
      stored.filter((each) => String(each.organization) === String(organization));
    expect(of(world.them), what).to.deep.equal(
      before.filter(({ organization }) => organization.equals(world.them)),
    );
    expect(of(world.us), what).to.have.length(stored.length - 1);
    expect(await secrets.countDocuments({ text: 'classified' }), what).to.equal(1);
  }
}

/** Tries each door: it must be shut, and nothing may have been sent. */
async function expectShut(doors: Attempts): Promise<void> {
  const world = await tenants();
  for (const [what, door] of Object.entries(doors)) {
    world.commands.length = 0;
    const error = await Promise.resolve()
      .then(() => door(world))
      .then(
        (value) => value,
        (caught: unknown) => caught,
      );
    expect(error, what).to.be.instanceOf(Error);
    expect(
      world.commands.filter((name) => name !== 'find' && name !== 'endSessions'),
      what,
    ).to.deep.equal([]);
  }
}

describe('a handle has no way out', () => {
  it('by a filter', () =>
    expectNoWayOut({
      '$or with the other tenant': ({ handle, them }) => handle.find({ $or: [{ organization: them }, {}] }),
      'the other tenant by name': ({ handle, them }) => handle.find({ organization: them }),
      'an operator on the tenant': ({ handle, us }) => handle.find({ organization: { $ne: us } }),
      $nor: ({ handle, us }) => handle.find({ $nor: [{ organization: us }] }),
      $expr: ({ handle, them }) => handle.find({ $expr: { $eq: ['$organization', them] } }),
      'where()': ({ handle, them }) => handle.find().where('organization').equals(them),
      'or()': ({ handle, them }) => handle.find().or([{ organization: them }, { name: 'theirs' }]),
      'setQuery()': ({ handle }) => {
        const query = handle.find();
        query.setQuery({ name: 'theirs' });
        return query;
      },
      'merge()': ({ handle, them, Project }) => handle.find().merge(Project.find({ organization: them })),
      'toConstructor()': ({ handle }) => {
        const Custom = handle.find().toConstructor();
        return new (Custom as unknown as new () => ReturnType<typeof handle.find>)().find({ name: 'theirs' });
      },
      'clone()': ({ handle }) => handle.find().clone().find({ name: 'theirs' }),
      'a hook that forgets it': async ({ handle, hooks }) => {
        hooks.findOne = (query) => query.setQuery({ name: 'theirs' });
        const got = await handle.findOne({ name: 'ours' });
        delete hooks.findOne;
        return got;
      },
      'conditions put there by hand': ({ handle }) =>
        Object.assign(handle.find(), { _conditions: { name: 'theirs' } }),
      'a filter that changes when it is sent': ({ handle }) =>
        open(handle.find().model.collection).findOne?.({ toBSON: () => ({ name: 'theirs' }) }),
      'a collation': ({ handle, them }) =>
        handle.find({ organization: them }).collation({ locale: 'en', strength: 1 }),
      'another database': ({ handle }) => handle.find({ name: 'theirs' }).setOptions({ dbName: 'admin' }),
      'a cursor': ({ handle, them }) => handle.find({ organization: them }).cursor().next(),
      eachAsync: async ({ handle }) => {
        const seen: unknown[] = [];
        await handle
          .find()
          .cursor()
          .eachAsync((each) => void seen.push(each));
        return seen;
      },
      'a text index': ({ handle }) => handle.find({ $text: { $search: 'theirs' } }),
      'distinct()': ({ handle }) => handle.distinct('name', {}),
      'exists()': ({ handle, foreign }) => handle.exists({ _id: foreign }),
      'a computed projection': ({ handle, foreign }) =>
        handle.findById(foreign).select({ all: '$$ROOT' } as never),
      'explain()': async ({ handle }) => {
        const plan = JSON.stringify(await handle.find({ name: 'theirs' }).explain('executionStats'));
        expect(plan).to.include('"nReturned":0');
      },
    }));

  it('by an aggregation', () =>
    expectNoWayOut({
      '$lookup into the same': ({ handle }) =>
        handle.aggregate([{ $lookup: { from: 'test_projects', pipeline: [], as: 'all' } }]),
      '$lookup by a field': ({ handle }) =>
        handle.aggregate([
          { $lookup: { from: 'test_projects', localField: 'size', foreignField: 'size', as: 'all' } },
        ]),
      '$lookup into what nobody declared': ({ handle }) =>
        handle.aggregate([{ $lookup: { from: 'test_secrets', pipeline: [], as: 'all' } }]),
      '$lookup into another database': ({ handle }) =>
        handle.aggregate([
          { $lookup: { from: { db: 'admin', coll: 'x' }, pipeline: [], as: 'all' } } as never,
        ]),
      '$lookup deep in another': ({ handle }) => {
        const secrets = { $lookup: { from: 'test_secrets', pipeline: [], as: 'deep' } };
        return handle.aggregate([{ $lookup: { from: 'test_projects', pipeline: [secrets], as: 'all' } }]);
      },
      '$lookup without a collection': ({ handle }) =>
        handle.aggregate([{ $lookup: { pipeline: [{ $documents: [{ a: 1 }] }], as: 'all' } } as never]),
      '$lookup of strangers': ({ handle }) =>
        handle.aggregate([{ $lookup: { from: 'users', pipeline: [], as: 'all' } }]),
      '$lookup of strangers by their address': ({ handle }) =>
        handle.aggregate([
          { $set: { email: 'bob@example.com' } },
          { $project: { _id: 0, mail: '$email' } },
          { $lookup: { from: 'users', localField: 'mail', foreignField: 'email', as: 'all' } },
        ]),
      '$lookup of a stranger by id': ({ handle, bob }) =>
        handle.aggregate([
          { $project: { who: bob } },
          { $lookup: { from: 'users', localField: 'who', foreignField: '_id', as: 'all' } },
        ]),
      '$lookup of a member’s password': ({ handle, ada }) =>
        handle.aggregate([
          { $project: { who: ada } },
          { $lookup: { from: 'users', localField: 'who', foreignField: '_id', as: 'all' } },
        ]),
      $unionWith: ({ handle }) => handle.aggregate([{ $unionWith: 'test_projects' } as never]),
      '$unionWith what nobody declared': ({ handle }) =>
        handle.aggregate([{ $unionWith: { coll: 'test_secrets' } }]),
      '$unionWith users': ({ handle }) => handle.aggregate([{ $unionWith: { coll: 'users' } }]),
      '$unionWith in $facet': ({ handle }) =>
        handle.aggregate([{ $facet: { all: [{ $unionWith: { coll: 'test_secrets' } } as never] } }]),
      $graphLookup: ({ handle }) =>
        handle.aggregate([
          {
            $graphLookup: {
              from: 'test_projects',
              startWith: '$size',
              connectFromField: 'size',
              connectToField: 'size',
              as: 'all',
              restrictSearchWithMatch: {},
            },
          },
        ]),
      $out: ({ handle }) => handle.aggregate([{ $match: {} }, { $out: 'test_secrets' }]),
      $merge: ({ handle, foreign }) =>
        handle.aggregate([{ $set: { _id: foreign, name: 'hacked' } }, { $merge: { into: 'test_projects' } }]),
      '$merge in $facet': ({ handle }) =>
        handle.aggregate([{ $facet: { a: [{ $merge: { into: 'test_projects' } } as never] } }]),
      '$collStats first': ({ handle }) => handle.aggregate([{ $collStats: { count: {} } } as never]),
      $search: ({ handle }) =>
        handle.aggregate([{ $search: { text: { query: 'theirs', path: 'name' } } } as never]),
      '$text first': ({ handle }) => handle.aggregate([{ $match: { $text: { $search: 'theirs' } } }]),
      '$geoNear first': ({ handle }) =>
        handle.aggregate([
          {
            $geoNear: {
              near: { type: 'Point', coordinates: [0, 0] },
              distanceField: 'd',
              key: 'place',
              query: {},
            },
          },
        ]),
      'two stages in one': ({ handle }) => handle.aggregate([{ $match: {}, $out: 'test_secrets' } as never]),
      code: ({ handle }) =>
        handle.aggregate([{ $set: { x: { $function: { body: 'function() {}', args: [], lang: 'js' } } } }]),
      'a pipeline changed by hand': ({ handle }) => {
        const aggregate = handle.aggregate([{ $match: {} }]);
        aggregate.pipeline().splice(0, 1, { $unionWith: { coll: 'test_secrets' } });
        return aggregate;
      },
      'a stage that changes when it is sent': ({ handle }) => {
        let asked = 0;
        const stage = {
          get $match() {
            asked += 1;
            return {};
          },
          toBSON: () => ({ $unionWith: { coll: 'test_secrets' } }),
        };
        return handle.aggregate([stage as never]).then((found) => [found, asked > 9]);
      },
      'a hook that changes it': async ({ handle, hooks }) => {
        hooks.aggregate = (aggregate) =>
          aggregate.pipeline().unshift({ $unionWith: { coll: 'test_secrets' } } as never);
        const got = await handle.aggregate([{ $match: {} }]).catch((error: Error) => error);
        delete hooks.aggregate;
        expect(got).to.be.instanceOf(TypeError);
      },
    }));

  it('by a change of the tenant', () =>
    expectNoWayOut({
      $set: ({ handle, mine, them }) => handle.updateOne({ _id: mine }, { $set: { organization: them } }),
      'no operator': ({ handle, mine, them }) => handle.updateOne({ _id: mine }, { organization: them }),
      overwriteImmutable: ({ handle, mine, them }) =>
        handle.updateOne({ _id: mine }, { $set: { organization: them } }, { overwriteImmutable: true }),
      'strict: false': ({ handle, mine, them }) =>
        handle.updateOne({ _id: mine }, { $set: { 'organization.x': them } }, { strict: false }),
      $unset: ({ handle, mine }) => handle.updateOne({ _id: mine }, { $unset: { organization: 1 } }, { overwriteImmutable: true }), // biome-ignore format: one line
      $rename: ({ handle, mine }) => handle.updateOne({ _id: mine }, { $rename: { anything: 'organization' } }, { strict: false }), // biome-ignore format: one line
      '$rename away': ({ handle, mine }) => handle.updateOne({ _id: mine }, { $rename: { organization: 'anything' } }, { strict: false, overwriteImmutable: true }), // biome-ignore format: one line
      '$setOnInsert by upsert': ({ handle, them }) =>
        handle.updateOne({ name: 'new' }, { $setOnInsert: { organization: them } }, { upsert: true, overwriteImmutable: true }), // biome-ignore format: one line
      'upsert for the other tenant': ({ handle, them }) =>
        handle.updateOne({ organization: them, name: 'new' }, { size: 9 }, { upsert: true }),
      'upsert of a foreign id': ({ handle, foreign }) =>
        handle.updateOne({ _id: foreign }, hack, { upsert: true }),
      'a pipeline': ({ handle, mine, them }) =>
        handle.updateOne({ _id: mine }, [{ $set: { organization: them } }], { updatePipeline: true }),
      'a pipeline that unsets': ({ handle, mine }) =>
        handle.updateOne({ _id: mine }, [{ $unset: 'organization' }], { updatePipeline: true }),
      'a pipeline that replaces': ({ handle, mine, them }) =>
        handle.updateOne({ _id: mine }, [{ $replaceWith: { organization: them } }], { updatePipeline: true }),
      'a pipeline that projects': ({ handle, mine }) =>
        handle.updateOne({ _id: mine }, [{ $project: { name: 1 } }], { updatePipeline: true }),
      'an update that changes when it is sent': ({ handle, mine, them }) => {
        const update = { $set: { size: 2 }, toBSON: () => ({ $set: { organization: them } }) };
        return open(handle.find().model.collection).updateOne?.({ _id: mine }, update);
      },
      replaceOne: ({ handle, mine, them }) =>
        handle.replaceOne({ _id: mine }, { name: 'x', organization: them } as never),
      findOneAndReplace: ({ handle, mine, them }) =>
        handle.findOneAndReplace({ _id: mine }, { name: 'x', organization: them } as never),
      'a replacement of operators': ({ handle, mine, them }) =>
        open(handle.find().model.collection).replaceOne?.({ _id: mine }, { $set: { organization: them } }),
      bulkWrite: ({ handle, mine, them }) =>
        handle.bulkWrite([
          {
            updateOne: {
              filter: { _id: mine },
              update: { $set: { organization: them } },
              overwriteImmutable: true,
            } as never,
          },
        ]),
      'bulkWrite of a replacement': ({ handle, mine, them }) =>
        handle.bulkWrite([
          { replaceOne: { filter: { _id: mine }, replacement: { organization: them } as never } },
        ]),
      'bulkWrite by the collection': ({ handle, them }) =>
        open(handle.find().model.collection).bulkWrite?.([
          { insertOne: { organization: them, name: 'hacked' } },
        ]),
      'a new document': ({ handle, them }) => handle.create({ name: 'new', organization: them } as never),
      'a new document among many': ({ handle, them }) =>
        handle.insertMany([{ name: 'new', organization: them } as never], { lean: true, ordered: false }),
      'save()': async (world) => {
        const { document } = await inside(world);
        document.set('organization', world.them);
        document.set('size', 3);
        return document.save();
      },
      'save() with everything overwritten': async (world) => {
        const { document } = await inside(world);
        document.overwrite({ name: 'x', organization: world.them } as never);
        return document.save();
      },
      'save() past the setters': async (world) => {
        const { document } = await inside(world);
        open(document).$__setValue?.('organization', world.them);
        document.markModified('organization');
        return document.save();
      },
      'save() as if new': async (world) => {
        const { bound } = await inside(world);
        const document = bound.hydrate({ _id: world.foreign, organization: world.them, name: 'hacked' });
        document.isNew = true;
        return document.save();
      },
      'save() of a forged document': async (world) => {
        const { bound } = await inside(world);
        const document = bound.hydrate({ _id: world.foreign, organization: world.them });
        document.set('name', 'hacked');
        return document.save({ validateBeforeSave: false });
      },
      'save() with a where of its own': async (world) => {
        const { document } = await inside(world);
        Object.assign(document, { $where: { _id: world.foreign } });
        document.set('name', 'hacked');
        return document.save();
      },
      'an _id changed by hand': async (world) => {
        const { document } = await inside(world);
        open(document)._doc = Object.assign(document.toObject(), { _id: world.foreign }) as never;
        await document.updateOne(hack);
        return document.deleteOne();
      },
      bulkSave: async (world) => {
        const { bound } = await inside(world);
        const document = bound.hydrate({ _id: world.foreign, organization: world.them });
        document.set('name', 'hacked');
        return bound.bulkSave([document]);
      },
    }));

  it('by populate', () =>
    expectNoWayOut({
      'a foreign reference': async ({ handle, projects, mine, foreign }) => {
        await projects.updateOne({ _id: mine }, { $set: { parent: foreign, steps: [{ next: foreign }] } });
        return handle.findById(mine).populate(['parent', 'steps.next', 'children']);
      },
      'a stranger': async ({ handle, projects, mine, bob, ada }) => {
        await projects.updateOne({ _id: mine }, { $set: { lead: bob, watchers: [ada, bob] } });
        return handle.findById(mine).populate(['lead', 'watchers']);
      },
      'a member’s password': async ({ handle, projects, mine, ada }) => {
        await projects.updateOne({ _id: mine }, { $set: { lead: ada } });
        const select = ['+password', 'password', 'password.hash name', { x: '$password' }];
        return Promise.allSettled(
          select.map((each) => handle.findById(mine).populate({ path: 'lead', select: each }).lean()),
        );
      },
      'a guess at a member’s password': async ({ handle, projects, mine, ada }) => {
        await projects.updateOne({ _id: mine }, { $set: { lead: ada } });
        const match = { 'password.hash': { $regex: '^x' } };
        const found = await handle
          .findById(mine)
          .populate({ path: 'lead', match })
          .lean()
          .catch(() => null);
        expect(found?.lead ?? null).to.equal(null);
      },
      'a virtual between': async (world) => {
        const { bound } = await inside(world);
        return bound.hydrate({ _id: world.foreign, size: 1 }).populate('children');
      },
      'what nobody declared': async ({ handle, projects, mine }) => {
        await projects.updateOne({ _id: mine }, { $set: { secret: oid('c1') } });
        return handle.findById(mine).populate('secret');
      },
      'a model of one’s own choice': async ({ handle, projects, mine, Secret }) => {
        await projects.updateOne({ _id: mine }, { $set: { anything: oid('c1') } });
        return handle.findById(mine).populate({ path: 'anything', model: Secret });
      },
      'the name of such a model': async ({ handle, projects, mine }) => {
        await projects.updateOne({ _id: mine }, { $set: { anything: oid('c1') } });
        return handle.findById(mine).populate({ path: 'anything', model: 'Secret' });
      },
      'the model itself': async ({ handle, projects, mine, foreign, Project }) => {
        await projects.updateOne({ _id: mine }, { $set: { anything: foreign } });
        return handle.findById(mine).populate({ path: 'anything', model: Project });
      },
      'another connection': async ({ handle, projects, mine, foreign }) => {
        await projects.updateOne({ _id: mine }, { $set: { parent: foreign } });
        return handle.findById(mine).populate({ path: 'parent', connection: inspector() } as never);
      },
      'a chain': async ({ handle, projects, mine, foreign }) => {
        await projects.updateOne(
          { _id: mine },
          { $set: { parent: mine, secret: oid('c1'), country: foreign } },
        );
        return handle
          .findById(mine)
          .populate({ path: 'parent', populate: { path: 'parent', populate: 'secret' } });
      },
      'a field chosen by hand': async (world) => {
        const { bound, document } = await inside(world);
        document.set('anything', 'theirs');
        const how = { path: 'anything', model: 'Project', localField: 'anything', foreignField: 'name' };
        return (await bound.populate(document, how as never)).toObject({ depopulate: false }).lead;
      },
      'a hook that populates': async ({ handle, hooks, projects, mine }) => {
        hooks.findOne = (query) => query.populate({ path: 'anything', model: 'Secret' });
        await projects.updateOne({ _id: mine }, { $set: { anything: oid('c1') } });
        const got = await handle.findOne({ _id: mine }).catch((error: Error) => error);
        delete hooks.findOne;
        expect(got).to.be.instanceOf(Error);
      },
    }));

  it('by a reference that it writes', () =>
    expectShut({
      create: ({ handle, foreign }) => handle.create({ name: 'x', parent: foreign }),
      'a stranger': ({ handle, bob }) => handle.create({ name: 'x', watchers: [bob] }),
      'what nobody declared': ({ handle }) => handle.create({ name: 'x', secret: oid('c1') }),
      'what does not exist': ({ handle }) => handle.create({ name: 'x', parent: oid('dead') }),
      insertMany: ({ handle, mine, foreign }) => handle.insertMany([{ parent: mine }, { parent: foreign }]),
      $set: ({ handle, mine, foreign }) => handle.updateOne({ _id: mine }, { parent: foreign }),
      '$set in an array': ({ handle, mine, foreign }) =>
        handle.updateOne({ _id: mine }, { $set: { 'steps.0.next': foreign } }),
      '$set by position': ({ handle, mine, foreign }) =>
        handle.updateOne({ _id: mine }, { $set: { 'steps.$[each].next': foreign } }, { arrayFilters: [{ 'each.title': 'x' }] }), // biome-ignore format: one line
      '$set in a map': ({ handle, mine, foreign }) =>
        handle.updateOne({ _id: mine }, { $set: { 'byMonth.may': foreign } }),
      '$set of a map': ({ handle, mine, foreign }) =>
        handle.updateOne({ _id: mine }, { byMonth: { may: foreign } }),
      $push: ({ handle, mine, bob }) => handle.updateOne({ _id: mine }, { $push: { watchers: bob } }),
      '$push of a subdocument': ({ handle, mine, foreign }) =>
        handle.updateOne({ _id: mine }, { $push: { steps: { next: foreign } } }),
      $addToSet: ({ handle, mine, ada, bob }) =>
        handle.updateOne({ _id: mine }, { $addToSet: { watchers: { $each: [ada, bob] } } }),
      $max: ({ handle, mine, foreign }) =>
        open(handle.find().model.collection).updateOne?.({ _id: mine }, { $max: { parent: foreign } }),
      $rename: ({ handle, mine }) => handle.updateOne({ _id: mine }, { $rename: { anything: 'parent' } }),
      $setOnInsert: ({ handle, foreign }) =>
        handle.updateOne({ name: 'new' }, { $setOnInsert: { parent: foreign } }, { upsert: true }),
      'a pipeline': ({ handle, mine, foreign }) =>
        handle.updateOne({ _id: mine }, [{ $set: { parent: foreign } }], { updatePipeline: true }),
      'an expression': ({ handle, mine }) =>
        handle.updateOne({ _id: mine }, [{ $set: { parent: '$anything' } }], { updatePipeline: true }),
      'an expression for what holds one': ({ handle, mine }) =>
        handle.updateOne({ _id: mine }, [{ $set: { steps: { $concatArrays: ['$anything'] } } }], { updatePipeline: true }), // biome-ignore format: one line
      replaceOne: ({ handle, mine, foreign }) => handle.replaceOne({ _id: mine }, { parent: foreign }),
      bulkWrite: ({ handle, foreign }) =>
        handle.bulkWrite([{ insertOne: { document: { parent: foreign } } }]),
      'save()': async (world) => {
        const { document } = await inside(world);
        document.set('steps', [{ next: world.foreign }]);
        return document.save();
      },
    }));

  it('by what hangs on it', () =>
    expectShut({
      'the connection’s collection': async (world) =>
        open((await inside(world)).document.db).collection?.('test_secrets'),
      'the connection’s database': async (world) => (await inside(world)).document.db.db,
      'the connection’s client': async (world) => (await inside(world)).document.db.getClient(),
      'the connection’s collections': async (world) => (await inside(world)).bound.db.collections,
      'the connection’s sessions': async (world) => (await inside(world)).bound.db.startSession(),
      'the connection of another database': async (world) => (await inside(world)).bound.db.useDb('admin'),
      'a model compiled over it': async (world) =>
        (await inside(world)).bound.db.model('Over', new Schema({}), 'test_projects').find(),
      'a model that nobody declared': async (world) => (await inside(world)).document.$model('Secret'),
      'a view': ({ Project }) => Project.createCollection({ viewOn: 'test_secrets', pipeline: [] } as never),
      'a view by the connection': async (world) =>
        (await inside(world)).bound.db.createCollection('v', { viewOn: 'test_projects' }),
      'Mongoose’s connection': async (world) => open((await inside(world)).bound.base).connection,
      'Mongoose’s models': async (world) => open((await inside(world)).bound.base).models,
      'Mongoose’s driver': async (world) => open((await inside(world)).bound.base).mongo,
      'Mongoose itself': async (world) => open((await inside(world)).bound.db).base?.connect?.('mongodb://x'),
      'the collection’s connection': async (world) =>
        (open((await inside(world)).bound.collection) as unknown as { conn: { db: unknown } }).conn.db,
      'the driver’s collection': async (world) =>
        open((await inside(world)).bound.collection)._getCollection?.(),
      'a collection that is dropped': async (world) => open((await inside(world)).bound.collection).drop?.(),
      'the cursor of the driver': async ({ handle }) =>
        (await driverCursor(handle.find().cursor())).filter?.({}),
      'the client of a cursor': async ({ handle }) => (await driverCursor(handle.find().cursor())).client,
      'the stages of a cursor': async ({ handle }) => {
        const cursor = handle.aggregate([{ $match: {} }]).cursor();
        const [driver] = await once(cursor, 'cursor');
        return open(driver).addStage?.({ $out: 'x' });
      },
      'the model above': async (world) => {
        const above = Object.getPrototypeOf((await inside(world)).bound);
        expect(above).to.equal(world.Project);
        return above.find();
      },
      'a method of Mongoose’s own Model': ({ Project }) => mongoose.Model.find.call(Project as never),
      'another connection by Mongoose’s own Model': ({ Project }) =>
        mongoose.Model.useConnection.call(Project as never, inspector()),
      'a subclass by Mongoose’s own Model': ({ Project }) =>
        open(mongoose.Model).__subclass?.call?.(Project, inspector(), Project.schema, 'test_projects'),
      'the same model elsewhere': ({ connection }) =>
        connection.model('Project', undefined, 'test_elsewhere'),
      'a query of Mongoose’s own': ({ Project }) =>
        open(mongoose.Query).prototype?.find?.call?.(
          new (open(Project).Query as unknown as new (...args: unknown[]) => unknown)(
            {},
            {},
            Project,
            Project.collection,
          ),
        ),
      'the collection of the model': ({ Project }) => open(Project.collection).find?.({}),
      'the collection of a new document': ({ Project }) => open(new Project().collection).insertOne?.({}),
      'another collection put in its place': ({ Project }) =>
        Object.assign(Project, { collection: inspector().collection('test_projects') }),
      'the bulk write of a client': ({ connection, Project }) =>
        connection.bulkWrite([{ model: Project, name: 'deleteMany', filter: {} }] as never),
      'code in a filter': ({ handle }) => handle.find({ $where: 'true' }),
      'code in an expression': ({ handle }) =>
        handle.find({ $expr: { $function: { body: 'function() {}', args: [], lang: 'js' } } }),
      'a join of a user’s password': async (world) => (await inside(world)).document.$model('User').findOne(),
      'an update of a user': async (world) => {
        const Users = open((await inside(world)).document.$model('User'));
        return Users.updateOne?.({ _id: world.ada }, { name: 'hacked' });
      },
      'a write to what is everybody’s': async (world) =>
        open((await inside(world)).document.$model('Country')).create?.({ code: 'xx' }),
    }));
});
