import Router from '@koa/router';
import { expect } from 'chai';
import Koa from 'koa';
import mongoose, { Schema } from 'mongoose';
import {
  AuditEntries,
  acrossTenants,
  authenticate,
  endpoint,
  Memberships,
  organization,
  problems,
  team,
  tenant,
  tenantOf,
  tenantScoped,
  userSchema,
} from '../../lib/index.js';
import { oid, tenants } from '../support/tenants.js';
import { atEnd, clientsOf, connect, emptyWorld, inspector, serve, times, world } from '../support/world.js';

/** What a call throws or rejects with. */
const failure = (work: () => unknown): Promise<Error & { code?: string }> =>
  Promise.resolve()
    .then(work)
    .then(
      () => expect.fail('it succeeded'),
      (error) => error,
    );

describe('a tenant’s handle', () => {
  it('reads and writes the tenant’s documents in all of Mongoose’s ways', async () => {
    const { handle, us, ada, mine, projects } = await tenants();
    const made = await handle.create({ name: 'new', lead: ada, parent: mine });
    expect(made.toObject()).to.deep.include({ organization: us });
    made.set('size', 2);
    await made.save();
    await handle.insertMany([{ name: 'many', size: 2 }]);
    await handle.updateOne({ name: 'upserted' }, { size: 2 }, { upsert: true });
    await handle.replaceOne({ name: 'replaced' }, { name: 'replaced', size: 2 } as never, { upsert: true });
    await handle.replaceOne({ name: 'upserted' }, { name: 'upserted', size: 2, tags: ['y'] } as never);
    const pipeline = [{ $set: { tags: [{ $toString: '$size' }] } }];
    await handle.updateOne({ name: 'piped' }, pipeline, { upsert: true, updatePipeline: true });
    await handle.findOneAndReplace({ name: 'swapped' }, { name: 'swapped', size: 2 } as never, {
      upsert: true,
    });
    await handle.bulkWrite([
      { insertOne: { document: { name: 'bulk' } } },
      { updateOne: { filter: { name: 'bulk' }, update: { $set: { size: 2 } } } },
      {
        replaceOne: {
          filter: { name: 'other' },
          replacement: { name: 'other', size: 2 } as never,
          upsert: true,
        },
      },
    ]);
    const unsaved = await handle.findOne({ name: 'many' }).orFail();
    unsaved.set('tags', ['z']);
    await handle.bulkSave([unsaved]);

    const stored = await projects.find({ organization: us, size: 2 }).toArray();
    const names = ['bulk', 'many', 'new', 'other', 'replaced', 'swapped', 'upserted'];
    expect(stored.map(({ name }) => name).sort()).to.deep.equal(names);
    expect(await projects.countDocuments({ organization: us, tags: { $in: ['y', 'z'] } })).to.equal(2);
    expect(await projects.countDocuments({ organization: us })).to.equal(names.length + 2); // ours, piped
    expect(await handle.countDocuments({ size: 2 })).to.equal(names.length);
    expect(await handle.distinct('size')).to.have.members([1, 2]);
    await handle.updateOne({ name: 'new' }, { place: { type: 'Point', coordinates: [1, 1] } });
    const near = { place: { $near: { $geometry: { type: 'Point', coordinates: [1, 1] } } } };
    expect((await handle.find(near)).map(({ name }) => name)).to.deep.equal(['new']);
    expect(await handle.aggregate([{ $group: { _id: '$size', n: { $sum: 1 } } }, { $sort: { _id: 1 } }])).to.deep.include({ _id: 2, n: 7 }); // biome-ignore format: one line
    const read: unknown[] = [];
    for await (const { name } of handle.find({ size: 2 }).sort({ name: 1 }).batchSize(2).cursor())
      read.push(name);
    expect(read).to.deep.equal(names);
    expect(await handle.deleteMany({ size: 2 })).to.include({ deletedCount: names.length });
    expect(await handle.findByIdAndDelete(mine)).to.include({ name: 'ours' });
    expect(await projects.distinct('name')).to.deep.equal(['piped', 'theirs']);
  });

  it('populates within the tenant, what is everybody’s, and members', async () => {
    const { handle, mine, ada, Country } = await tenants();
    const { _id: country } = await Country.create({ code: 'gb' });
    const watchers = [ada];
    await handle.create({
      name: 'child',
      parent: mine,
      country,
      watchers,
      steps: [{ next: mine }],
      anything: oid(),
    });
    const child = await handle.findOne({ name: 'child' }).populate(['parent', 'country', 'watchers', 'steps.next']).orFail(); // biome-ignore format: one line
    const shown = JSON.parse(JSON.stringify(child));
    expect([
      shown.parent.name,
      shown.country.code,
      shown.watchers[0].email,
      shown.steps[0].next.name,
    ]).to.deep.equal(['ours', 'gb', 'ada@example.com', 'ours']);
    const parent = await handle
      .findById(mine)
      .populate('children')
      .lean<{ children: { name: string }[] }>()
      .orFail();
    expect(parent.children.map(({ name }) => name)).to.deep.equal(['child']);
    const joined = await handle.aggregate([
      { $match: { name: 'child' } },
      { $lookup: { from: 'users', localField: 'watchers', foreignField: '_id', as: 'who' } },
      { $lookup: { from: 'test_countries', localField: 'country', foreignField: '_id', as: 'where' } },
    ]);
    expect([joined[0].who, joined[0].where[0].code]).to.deep.equal([
      [{ _id: ada, email: 'ada@example.com', name: 'Ada' }],
      'gb',
    ]);
    expect((await failure(() => handle.findOne({ name: 'child' }).populate({ path: 'anything', model: 'Secret' }))).message).to.match(/Secret is not declared/); // biome-ignore format: one line
  });

  it('shows of members no counter of ours, asked for or not, and finds nobody by one', async () => {
    const { handle, ada } = await tenants();
    const counters = Object.values(userSchema.paths)
      .filter(({ instance, path }) => instance === 'Number' && path !== '__v') // that one is Mongoose's
      .map(({ path }) => path);
    expect(counters).to.include.members(['credentialEpoch', 'apiKeysMade', 'joins', 'globalActs']);
    const counted = Object.fromEntries(counters.map((counter) => [counter, 1]));
    await inspector().collection('users').updateOne({ _id: ada }, { $set: counted });
    await handle.create({ name: 'watched', watchers: [ada] });
    const watched = (options: object) => handle.findOne({ name: 'watched' }).populate({ path: 'watchers', ...options }).lean<{ watchers: object[] }>().orFail(); // biome-ignore format: one line
    const joined = await handle.aggregate([
      { $match: { name: 'watched' } },
      { $lookup: { from: 'users', localField: 'watchers', foreignField: '_id', as: 'who' } },
    ]);
    const selected = [{}, { select: counters.join(' ') }, { select: ['name', ...counters].join(' ') }];
    const populated = await Promise.all(selected.map(watched));
    for (const users of [joined[0].who, ...populated.map(({ watchers }) => watchers)]) {
      expect(users).to.have.length(1);
      expect(users[0]).to.not.have.any.keys(...counters);
    }
    for (const counter of counters)
      expect((await failure(() => watched({ match: { [counter]: 1 } }))).message).to.contain(counter);
  });

  it('gives the queries of statics and methods to the tenant, and joins a transaction', async () => {
    const { handle, connection, us, mine } = await tenants();
    const ours = await handle.findById(mine).orFail();
    expect((await handle.named('ours')).map(({ _id }) => String(_id))).to.deep.equal([String(mine)]);
    expect(await handle.named('theirs')).to.deep.equal([]);
    await connection.transaction(async (session) => {
      const [made] = await handle.create([{ name: 'inside', parent: mine }], { session });
      await handle.updateOne({ _id: made?._id }, { $set: { size: 5 } }, { session });
      expect(await handle.countDocuments({}).session(session)).to.equal(2);
      expect(await handle.countDocuments({})).to.equal(1);
    });
    expect(await handle.countDocuments({ organization: us, size: 5 })).to.equal(1);
    expect((await ours.all()).map(({ name }) => name)).to.deep.equal(['ours', 'inside']);
  });

  it('keeps discriminators within the tenant', async () => {
    const { connection, us, them, Secret } = await tenants();
    expect(Secret).to.be.a('function');
    const schema = new Schema({ name: String }, { collection: 'test_events', discriminatorKey: 'kind' });
    schema.plugin(tenantScoped, { by: 'organization' });
    const Event = connection.model('Event', schema);
    await Event.createIndexes();
    await tenantOf({ connection, organizationId: String(us) })
      .model(Event)
      .find(); // bound before there is any
    const Party = Event.discriminator('Party', new Schema({ guests: Number, of: { type: Schema.Types.ObjectId, ref: 'Project' } })); // biome-ignore format: one line
    const stored = inspector().collection('test_events');
    await stored.deleteMany({});
    await stored.insertOne({ organization: them, kind: 'Party', name: 'theirs', guests: 1 });
    const ours = tenantOf({ connection, organizationId: String(us) });

    const made = await ours.model(Event).create({ kind: 'Party', name: 'ours', guests: 2 } as never);
    expect(made.toObject()).to.deep.include({ organization: us, guests: 2, kind: 'Party' });
    await ours.model(Party).create({ name: 'more', guests: 3 });
    const found = await ours.model(Event).find().sort({ name: 1 });
    expect(found.map((each) => each.get('guests'))).to.deep.equal([3, 2]);
    found[0]?.set('guests', 4);
    await found[0]?.save();
    expect((await ours.model(Party).find({ guests: 4 })).map(({ name }) => name)).to.deep.equal(['more']);
    expect(await ours.model(Party).updateMany({}, { guests: 9 })).to.include({ matchedCount: 2 });
    expect(await stored.findOne({ name: 'theirs' })).to.deep.include({ guests: 1 });
    const foreignRef = { guests: 1, of: oid('b3') };
    expect(await failure(() => ours.model(Party).create(foreignRef))).to.include({ code: 'not_found' });
    for (const model of [Event, Party]) {
      expect((await failure(() => model.find())).message).to.match(/belongs to tenants/);
      expect((await failure(() => new Event({ kind: 'Party' }).save())).message).to.match(
        /belongs to tenants/,
      );
    }
  });

  it('is a tenant’s wherever it is taken: requests of others at the same time change nothing', async () => {
    const { connection, Project, us, them, projects } = await tenants();
    const work = async (organization: typeof us) => {
      const own = tenantOf({ connection, organizationId: String(organization) }).model(Project);
      const made = await own.create({ name: 'at once' });
      await own.updateOne({ _id: made._id }, { $inc: { size: 1 } });
      return (await own.find({ name: 'at once' }).lean<{ organization: unknown }[]>()).map((each) => String(each.organization)); // biome-ignore format: one line
    };
    const seen = await Promise.all(
      times(40, (index) => work(index % 2 ? us : them).then((ids) => [index, ids] as const)),
    );
    for (const [index, ids] of seen)
      expect(new Set(ids)).to.deep.equal(new Set([String(index % 2 ? us : them)]));
    for (const organization of [us, them])
      expect(await projects.countDocuments({ organization, name: 'at once' })).to.equal(20);
  });

  it('has nothing but its methods, and has none for what is not scoped', async () => {
    const { handle, tenant: ours, Country, Secret, connection, us } = await tenants();
    for (const name of ['collection', 'db', 'base', 'watch', 'estimatedDocumentCount', 'startSession', 'schema', 'prototype', 'constructor', '__proto__']) // biome-ignore format: a list
      expect(Reflect.get(handle, name), name).to.equal(undefined);
    expect(() => Object.assign(handle, { find: 1 })).to.throw(TypeError);
    for (const model of [Country, Secret, Memberships(connection), undefined as never])
      expect(() => ours.model(model)).to.throw(
        TypeError,
        /is not a model of this connection that belongs to tenants/,
      );
    const other = await connect();
    expect(() => tenantOf({ connection: other, organizationId: String(us) }).model(handle as never)).to.throw(
      TypeError,
    );
    expect((await failure(() => tenantOf({ connection, organizationId: 'nonsense' }))).code).to.equal(
      'not_found',
    );
    expect(() => tenantOf({ connection } as never)).to.throw(TypeError, /organizationId is required/);
  });

  it('asks once for each model that a write refers to', async () => {
    const { handle, mine, ada, commands, connection } = await tenants();
    expect(connection.readyState).to.equal(1);
    await handle.create({ name: 'warm' });
    commands.length = 0;
    await handle.insertMany(
      times(5, () => ({ parent: mine, lead: ada, watchers: [ada], steps: [{ next: mine }] })),
    );
    expect(commands).to.deep.equal(['find', 'find', 'insert']);
    commands.length = 0;
    await handle.find({ size: 1 });
    await handle.updateOne({ _id: mine }, { $set: { size: 2 } });
    expect(commands).to.deep.equal(['find', 'update']);
  });
});

describe('a model by team', () => {
  it('has the documents of the team, and without one the user’s own in no team or in theirs', async () => {
    const { connection, Task, us, ada, tenant: own } = await tenants();
    const [red, blue] = [oid('d1'), oid('d2')];
    const stored = inspector().collection('test_tasks');
    await stored.deleteMany({});
    const inTeam = (teamId: unknown, userId: unknown = ada) =>
      tenantOf({
        connection,
        organizationId: String(us),
        teamId: String(teamId),
        userId: String(userId),
      }).model(Task);
    await inTeam(red).create({ title: 'red' });
    await inTeam(blue).create({ title: 'blue' });
    await inTeam(blue, oid('e1')).create({ title: 'of another in blue' });
    await own.model(Task).create({ title: 'own' });
    const of = { connection, organizationId: String(us), userId: String(ada) };

    const titles = async (handle: ReturnType<typeof inTeam>) => (await handle.find().sort({ title: 1 })).map(({ title }) => title); // biome-ignore format: one line
    expect(await titles(inTeam(red))).to.deep.equal(['red']);
    expect(await titles(inTeam(blue))).to.deep.equal(['blue', 'of another in blue']);
    expect(await titles(own.model(Task))).to.deep.equal(['own']);
    expect(await titles(tenantOf({ ...of, teamIds: [String(blue)] }).model(Task))).to.deep.equal([
      'blue',
      'own',
    ]);
    expect(await stored.findOne({ title: 'own' })).to.deep.include({
      organization: us,
      team: null,
      owner: ada,
    });

    const job = tenantOf({ connection, organizationId: String(us), teamId: String(blue) }).model(Task);
    await job.replaceOne({ title: 'of another in blue' }, { title: 'replaced' });
    await job.updateOne({ title: 'blue' }, [{ $set: { title: 'piped' } }], { updatePipeline: true });
    expect(await stored.findOne({ title: 'replaced' })).to.deep.include({ team: blue, owner: oid('e1') });
    expect(await stored.findOne({ title: 'piped' })).to.deep.include({ team: blue, owner: ada });
    const moves = [{ team: red }, { owner: oid('e1') }, { $unset: { team: 1 } }, [{ $set: { team: red } }]];
    for (const move of moves)
      await job
        .updateMany({}, move as never, { overwriteImmutable: true, updatePipeline: true })
        .catch(() => {});
    expect(await stored.countDocuments({ team: blue, owner: { $in: [ada, oid('e1')] } })).to.equal(2);
  });

  it('wants to know the team or the user', async () => {
    const { connection, Task, us } = await tenants();
    const ours = tenantOf({ connection, organizationId: String(us) });
    expect(() => ours.model(Task)).to.throw(
      TypeError,
      /Task belongs to teams: put team\(\) before tenant\(\)/,
    );
  });

  it('keeps its owner as the type that users have their _id of, which its schema says', async () => {
    const { connection } = await emptyWorld();
    connection.model('User', userSchema.clone().add({ _id: String }));
    const compiled = (name: string, definition: object) => {
      const schema = new Schema({}, { collection: 'test_owned' });
      schema.add(definition).plugin(tenantScoped, { by: 'team' });
      return connection.model(name, schema);
    };
    const of = tenantOf({ connection, organizationId: String(oid('a1')), userId: 'ada' });
    expect(() => of.model(compiled('Wrong', {}))).to.throw(TypeError, /keeps its owner as ObjectId, but the _id of users is String/); // biome-ignore format: one line
    const Owned = compiled('Owned', { owner: { type: String, ref: 'User' } });
    await Owned.createIndexes();
    const made = await of.model(Owned).create({});
    expect(made.toObject()).to.deep.include({ owner: 'ada', team: null });
    const owned = of.model(Owned);
    await inspector()
      .collection('test_owned')
      .insertOne({ organization: oid('a1'), team: null, owner: 'ADA' });
    expect(await owned.countDocuments()).to.equal(1);
    const blurred = owned.find().collation({ locale: 'en', strength: 1 });
    expect((await failure(() => blurred)).message).to.match(/A collation is refused/);
    await inspector().collection('test_owned').deleteMany({});
  });
});

describe('acrossTenants()', () => {
  it('has the documents of all tenants, says why in the audit log first, and ends with the work', async () => {
    const { connection, Project, ada, them } = await tenants({ appName: 'tests' });
    const kept: { handle?: ReturnType<Parameters<Parameters<typeof acrossTenants>[0]['run']>[0]['model']> } =
      {};
    const names = await acrossTenants({
      connection,
      reason: 'monthly report',
      actor: String(ada),
      run: async (all) => {
        expect(await AuditEntries(inspector()).countDocuments({ action: 'tenants.crossed' })).to.equal(1);
        const every = all.model(Project);
        Object.assign(kept, { handle: every });
        await every.create({ name: 'for them', organization: them } as never);
        expect((await failure(() => every.create({ name: 'for nobody' }))).message).to.match(
          /needs an organization/,
        );
        return every.distinct('name');
      },
    });
    expect(names).to.deep.equal(['for them', 'ours', 'theirs']);
    const [entry] = await AuditEntries(inspector()).find({ action: 'tenants.crossed' }).lean();
    expect(entry).to.deep.include({ actor: String(ada), details: { reason: 'monthly report' } });
    const late = kept.handle as unknown as { find(): Promise<unknown> };
    expect((await failure(() => late.find())).message).to.match(/which is over/);
  });

  it('runs nothing without a reason, or without the entry', async () => {
    const { connection } = await tenants();
    let ran = 0;
    const run = () => {
      ran += 1;
    };
    for (const reason of ['', '  ', undefined as never])
      expect(await failure(() => acrossTenants({ connection, reason, run }))).to.be.instanceOf(TypeError);
    const gone = await connect();
    await gone.close();
    await failure(() => acrossTenants({ connection: gone, reason: 'x', run }));
    expect(ran).to.equal(0);
  });
});

describe('tenant()', () => {
  it('needs organization(), and an organization', async () => {
    const made = await world();
    const { shared, acme } = made;
    const signedIn = authenticate(shared);
    const router = new Router();
    const show = (ctx: Koa.ParameterizedContext) => {
      const { organizationId, teamId } = ctx.state.tenant;
      ctx.body = { organizationId, teamId };
    };
    const unguarded = tenant() as Koa.Middleware;
    router.get('/missing', signedIn as Koa.Middleware, unguarded, show);
    router.get(
      '/none',
      signedIn as Koa.Middleware,
      organization({ optional: true }) as Koa.Middleware,
      unguarded,
      show,
    );
    router.get('/here', endpoint(signedIn, organization(), team(), tenant(), show));
    const app = new Koa();
    app.use(problems()).use(router.routes());
    const { anyone, withHeaders } = clientsOf(await serve(app));
    const { body } = await made.signIn('ada@example.com');
    const ada = withHeaders({ Authorization: `Bearer ${body.accessToken}` });
    const inAcme = withHeaders({ Authorization: `Bearer ${body.accessToken}`, 'X-Organization-Id': acme });

    expect((await ada.get('/missing').expect(500)).body.code).to.equal('internal');
    expect((await ada.get('/none').expect(400)).body.code).to.equal('organization_required');
    expect((await inAcme.get('/here').expect(200)).body).to.deep.equal({
      organizationId: acme,
      teamId: null,
    });
    await anyone().get('/here').expect(401);
  });
});

describe('tenantScoped', () => {
  it('throws for the model itself while its connection is not even open', async () => {
    const connection = mongoose.createConnection();
    atEnd(() => connection.destroy());
    const schema = new Schema({ name: String });
    schema.plugin(tenantScoped, { by: 'organization' });
    const Early = connection.model('Early', schema.clone());
    for (const use of [() => Early.find(), () => Early.create({}), () => Early.aggregate([{ $match: {} }])])
      expect((await failure(use)).message).to.match(/Early belongs to tenants/);
  });

  it('leaves indexes to Mongoose, which makes them as ever', async () => {
    const connection = await connect(undefined, { autoIndex: true, autoCreate: true });
    const schema = new Schema({ name: String }, { collection: 'test_indexed' });
    schema.index({ organization: 1, name: 1 }, { unique: true });
    schema.plugin(tenantScoped, { by: 'team' });
    const Indexed = connection.model('Indexed', schema);
    await Indexed.init();
    const keys = (await inspector().collection('test_indexed').indexes()).map(({ key }) =>
      Object.keys(key).join(' '),
    );
    expect(keys.sort()).to.deep.equal([
      '_id',
      'organization name',
      'organization owner _id',
      'organization team _id',
    ]);
    await inspector().dropCollection('test_indexed');
  });

  it('refuses a schema that it cannot keep', async () => {
    const scoped = (definition: object, by: 'organization' | 'team' = 'organization') => {
      const schema = new Schema({});
      schema.add(definition).plugin(tenantScoped, { by });
      return schema;
    };
    expect(() => new Schema({}).plugin(tenantScoped, { by: 'user' as never })).to.throw(
      TypeError,
      /by must be/,
    );
    expect(() => scoped({ organization: String })).to.throw(TypeError, /organization must be an ObjectId/);
    const { connection, tenant: ours } = await tenants();
    const id = Schema.Types.ObjectId;
    const wrong = {
      ByPath: { kind: String, of: { type: id, refPath: 'kind' } },
      ByFunction: { of: { type: id, ref: () => 'Project' } },
      InArray: { of: [{ type: id, refPath: 'kind' }], kind: String },
      Inside: { parts: [{ of: { type: id, ref: () => 'Project' } }] },
    };
    for (const [name, definition] of Object.entries(wrong)) {
      const model = connection.model(name, scoped(definition));
      expect(() => ours.model(model), name).to.throw(TypeError, /refPath|must have the name of a model/);
    }
  });
});
