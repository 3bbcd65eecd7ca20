import { expect } from 'chai';
import { type ClientSession, type Connection, Schema } from 'mongoose';
import {
  consumeQuota,
  entitlementsOf,
  Reservations,
  reserveQuota,
  type Subject,
  syncPlans,
  tenantOf,
  tenantScoped,
  Usage,
  withQuota,
} from '../../lib/index.js';
import { watchCommands } from '../support/commands.js';
import { connect, countBy, emptyWorld, inspector, times, until, world } from '../support/world.js';

const subject = { type: 'organization', id: 'acme' } as const;
const noteSchema = new Schema({ title: { type: String, required: true, unique: true }, done: Boolean });

const notesOf = (connection: Connection) => connection.model('Note', noteSchema);
const used = async (feature: string, { type, id }: Subject = subject) =>
  (
    await Usage(inspector())
      .findOne({ _id: { s: `${type}:${id}`, f: feature } })
      .lean()
  )?.u ?? 0;
const notes = () => notesOf(inspector());
const codeOf = (work: Promise<unknown>) =>
  work.then(
    () => ({ outcome: 'done' }),
    ({ code }) => ({ outcome: String(code) }),
  );

/** A plan with so many units of each feature, and a collection of notes. */
async function notesWorld(limits: Record<string, number>) {
  const { shared, connection } = await emptyWorld();
  const features = Object.fromEntries(
    Object.entries(limits).map(([code, limit]) => [code, { limit, per: 'day' } as const]),
  );
  await syncPlans({ ...shared, plans: { free: { name: 'Free', tier: 0, default: true, features } } });
  await notesOf(inspector()).createIndexes();
  const Note = notesOf(connection);
  const insert = (title: string | undefined, amounts: Record<string, number> = { notes: 1 }, model = Note) =>
    withQuota({
      connection: model.db,
      subject,
      amounts,
      writes: [{ model, insertOne: { document: { title } } }],
    });
  return { shared, connection, Note, insert };
}

/** Drafts that may have the same title, and the names of the commands that are sent for them. */
async function draftsWorld() {
  await notesWorld({ notes: 1_000 });
  const watched = await connect(undefined, { monitorCommands: true });
  const names = watchCommands(watched);
  const drafts = watched.model('Draft', new Schema({ title: String }));
  await drafts.init();
  return { watched, names, drafts };
}

describe('withQuota()', () => {
  describe('with writes', () => {
    it('writes exactly what it counts, of more callers than there are units', async () => {
      const { insert } = await notesWorld({ notes: 20 });
      const outcomes = await Promise.all(times(60, (index) => codeOf(insert(`note ${index}`))));
      expect(countBy(outcomes, 'outcome')).to.deep.equal({ done: 20, quota_exceeded: 40 });
      expect([await notes().countDocuments(), await used('notes')]).to.deep.equal([20, 20]);
    });

    it('does so when two processes write and others only count', async () => {
      const { insert, connection, Note } = await notesWorld({ notes: 50 });
      const there = notesOf(await connect());
      const outcomes = await Promise.all(
        times(90, (index) => {
          if (index % 3 === 2) return codeOf(consumeQuota({ connection, subject, feature: 'notes' }));
          return codeOf(insert(`note ${index}`, { notes: 1 }, index % 3 ? there : Note));
        }),
      );
      const granted = countBy(outcomes, 'outcome').done as number;
      const counted = outcomes.filter(({ outcome }, index) => index % 3 === 2 && outcome === 'done').length;
      expect([granted, await used('notes')]).to.deep.equal([50, 50]);
      expect(await notes().countDocuments()).to.equal(50 - counted);
    });

    it('refuses a caller whose write fails alone, with its own error, and counts nothing for it', async () => {
      const { insert } = await notesWorld({ notes: 100 });
      await insert('taken');
      const titles = times(40, (index) =>
        index === 7 ? undefined : index % 10 === 3 ? 'taken' : `note ${index}`,
      );
      const outcomes = await Promise.all(titles.map((title) => codeOf(insert(title))));
      expect(countBy(outcomes, 'outcome')).to.deep.equal({ done: 35, 11000: 4, undefined: 1 });
      expect([await notes().countDocuments(), await used('notes')]).to.deep.equal([36, 36]);
    });

    it('refuses a caller alone whose write a tenant’s handle refuses', async () => {
      const { connection } = await notesWorld({ pages: 100 });
      const schema = new Schema({ title: String, author: { type: Schema.Types.ObjectId, ref: 'User' } });
      schema.plugin(tenantScoped, { by: 'organization' });
      const Page = connection.model('Page', schema);
      await Page.createCollection();
      const page = tenantOf({ connection, organizationId: '0'.repeat(24) }).model(Page);
      const insert = (document: object) =>
        withQuota({
          connection,
          subject,
          amounts: { pages: 1 },
          writes: [{ model: page, insertOne: { document } }],
        });
      const outcomes = await Promise.all(
        times(40, (index) =>
          codeOf(insert({ title: `page ${index}`, ...(index === 7 && { author: '1'.repeat(24) }) })),
        ),
      );
      expect(countBy(outcomes, 'outcome')).to.deep.equal({ done: 39, not_found: 1 });
      expect([await inspector().collection('pages').countDocuments(), await used('pages')]).to.deep.equal([
        39, 39,
      ]);
    });

    it('shares transactions among callers who come together', async () => {
      const { insert } = await notesWorld({ notes: 1_000 });
      const watched = await connect(undefined, { monitorCommands: true });
      const names = watchCommands(watched);
      await insert('first', { notes: 1 }, notesOf(watched)); // whatever is read once
      names.length = 0;
      await Promise.all(times(100, (index) => insert(`note ${index}`, { notes: 1 }, notesOf(watched))));
      const counts = countBy(
        names.map((name) => ({ name })),
        'name',
      );
      expect(counts.commitTransaction).to.be.at.most(3);
      expect(counts.insert).to.be.at.most(3);
      expect(counts.findAndModify).to.be.at.most(3);
    });

    it('runs a caller alone who comes again with what has failed, so that the others commit once', async () => {
      const { insert } = await notesWorld({ notes: 1_000 });
      const watched = await connect(undefined, { monitorCommands: true });
      const names = watchCommands(watched);
      await insert('taken', { notes: 1 }, notesOf(watched));
      const round = async (name: string) => {
        const titles = times(41, (index) => (index === 20 ? 'taken' : `${name} ${index}`));
        const inserting = titles.map((title) => codeOf(insert(title, { notes: 1 }, notesOf(watched))));
        expect(countBy(await Promise.all(inserting), 'outcome')).to.deep.equal({ done: 40, 11000: 1 });
      };
      await round('first'); // something fails
      await round('second'); // and is known from now on
      names.length = 0;
      await round('third');
      const ends = names.filter((name) => /^(commit|abort)Transaction$/.test(name));
      expect(ends).to.deep.equal(['commitTransaction', 'abortTransaction']);
      expect(await used('notes')).to.equal(121);
    });

    it('parts nobody from the others who writes the same to another model, or for somebody else', async () => {
      const { watched, names, drafts } = await draftsWorld();
      const closed = { bulkWrite: () => Promise.reject(new Error('closed')) };
      const write = (id: string, model: typeof closed | typeof drafts) =>
        withQuota({
          connection: watched,
          subject: { type: 'organization', id },
          amounts: { notes: 1 },
          writes: [{ model, insertOne: { document: { title: 'same' } } }],
        });
      const both = ['1'.repeat(24), '2'.repeat(24)];
      for (const id of [...both, ...both, ...both])
        expect(await write(id, closed).catch(({ message }) => message)).to.equal('closed');
      names.length = 0;
      await Promise.all([...both, '3'.repeat(24)].flatMap((id) => times(40, () => write(id, drafts))));
      expect(names.filter((name) => name === 'commitTransaction')).to.have.lengthOf.at.most(6);
      expect(await inspector().collection('drafts').countDocuments()).to.equal(120);
    });

    it('lets whom it has run alone join the others again once nothing fails', async () => {
      const { watched, names, drafts } = await draftsWorld();
      let isClosed = true;
      const model: typeof drafts = Object.create(drafts);
      model.bulkWrite = ((...args: Parameters<typeof drafts.bulkWrite>) =>
        isClosed ? Promise.reject(new Error('closed')) : drafts.bulkWrite(...args)) as never;
      const write = () =>
        withQuota({
          connection: watched,
          subject,
          amounts: { notes: 1 },
          writes: [{ model, insertOne: { document: { title: 'same' } } }],
        });
      for (const _ of times(3, () => 0))
        expect(await write().catch(({ message }) => message)).to.equal('closed');
      isClosed = false;
      await write();
      names.length = 0;
      await Promise.all(times(40, write));
      expect(names.filter((name) => name === 'commitTransaction')).to.have.lengthOf(1);
    });

    it('updates and deletes in the same transaction', async () => {
      const { connection, insert, Note } = await notesWorld({ notes: 10 });
      await insert('one');
      await insert('two');
      await withQuota({
        connection,
        subject,
        amounts: { notes: 2 },
        writes: [
          { model: Note, updateOne: { filter: { title: 'one' }, update: { done: true } } },
          { model: Note, deleteOne: { filter: { title: 'two' } } },
        ],
      });
      expect(await notes().find({}, { _id: 0, title: 1, done: 1 }).lean()).to.deep.equal([
        { title: 'one', done: true },
      ]);
      expect(await used('notes')).to.equal(4);
    });
  });

  describe('with run', () => {
    it('gives what it gives, in a transaction of its own', async () => {
      const { connection, Note } = await notesWorld({ notes: 5 });
      const { quota, result } = await withQuota({
        connection,
        subject,
        amounts: { notes: 2 },
        run: async (session: ClientSession) =>
          (await Note.insertMany([{ title: 'a' }, { title: 'b' }], { session })).length,
      });
      expect([result, quota.notes?.used, quota.notes?.remaining]).to.deep.equal([2, 2, 3]);
    });

    it('gives the units back and writes nothing when it throws', async () => {
      const { connection, Note } = await notesWorld({ notes: 5, pages: 9 });
      const run = async (session: ClientSession) => {
        await Note.insertMany([{ title: 'a' }], { session });
        throw new Error('changed my mind');
      };
      const outcome = withQuota({ connection, subject, amounts: { notes: 1, pages: 3 }, run });
      expect(await outcome.catch(({ message }) => message)).to.equal('changed my mind');
      expect([await notes().countDocuments(), await used('notes'), await used('pages')]).to.deep.equal([
        0, 0, 0,
      ]);
    });
  });

  it('takes units of several features, all or none, whoever else takes of them', async () => {
    const { connection, insert, Note } = await notesWorld({ notes: 30, pages: 100 });
    const there = notesOf(await connect());
    const outcomes = await Promise.all([
      ...times(40, (index) => codeOf(insert(`n ${index}`, { notes: 1, pages: 5 }, index % 2 ? there : Note))),
      ...times(10, () => codeOf(consumeQuota({ connection, subject, feature: 'notes' }))),
    ]);
    const both = outcomes.slice(0, 40).filter(({ outcome }) => outcome === 'done').length;
    const alone = outcomes.slice(40).filter(({ outcome }) => outcome === 'done').length;
    expect([both, alone]).to.deep.equal([20, 10]); // the pages end first
    expect([await used('pages'), await used('notes'), await notes().countDocuments()]).to.deep.equal([
      100, 30, 20,
    ]);
  });

  it('finds what an expired reservation held before it refuses', async () => {
    const { shared, connection, insert } = await notesWorld({ notes: 5, pages: 100 });
    const expire = () => Reservations(inspector()).updateMany({}, { expiresAt: new Date(0) });
    await reserveQuota({ ...shared, subject, feature: 'pages', amount: 100 });
    const both = { notes: 1, pages: 50 };
    expect(await codeOf(insert('too early', both))).to.deep.equal({ outcome: 'quota_exceeded' });
    await expire();
    const elsewhere = await connect(); // which has not looked within the last second
    await withQuota({ connection: elsewhere, subject, amounts: both });
    await reserveQuota({ connection, subject, feature: 'notes', amount: 4 });
    await expire();
    await insert('one', { notes: 4 });
    expect([await used('notes'), await used('pages'), await notes().countDocuments()]).to.deep.equal([
      5, 50, 1,
    ]);
  });

  it('refuses two features at once, each for its own reason, and the process goes on', async () => {
    const { shared } = await notesWorld({ notes: 5 });
    const videos = { credits: 5 } as const;
    const free = { name: 'Free', tier: 0, default: true, features: { videos } };
    await syncPlans({ ...shared, plans: { free } });
    const connection = await connect();
    const attempt = (amounts: Record<string, number>) => codeOf(withQuota({ connection, subject, amounts }));
    const read = () => entitlementsOf({ connection, subject });
    await until(async () => {
      const first = await read();
      return (await read()) === first; // remembered: too high a price is refused at once, the unknown feature later
    });
    for (const _ of times(5, () => 1)) {
      const outcome = await attempt({ images: 1, videos: Number.MAX_SAFE_INTEGER });
      expect(outcome).to.deep.equal({ outcome: 'validation_failed' });
      expect(await attempt({ images: 1 })).to.deep.equal({ outcome: 'entitlement_missing' });
    }
  });

  it('commits once when the answer to a commit is lost', async () => {
    const { insert } = await notesWorld({ notes: 5 });
    const failPoint = (data: object) =>
      inspector()
        .db?.admin()
        .command({ configureFailPoint: 'failCommand', ...data });
    await failPoint({
      mode: { times: 1 },
      data: { failCommands: ['commitTransaction'], closeConnection: true, appName: 'koa-tollgate' },
    });
    await insert('once');
    expect([await notes().countDocuments(), await used('notes')]).to.deep.equal([1, 1]);
  });

  it('refuses what it cannot do before anything is counted', async () => {
    const { connection } = await notesWorld({ notes: 5 });
    const wrong = (input: object) =>
      withQuota({ connection, subject, ...input } as never).catch(({ name, code }) => code ?? name);
    expect(await wrong({ amounts: {} })).to.equal('TypeError');
    for (const amount of [0, -1, 1.5, Number.NaN, '5', 2 ** 53])
      expect(await wrong({ amounts: { notes: amount } }), String(amount)).to.equal('TypeError');
    expect(await wrong({ amounts: { notes: 1 }, writes: [], run: () => {} })).to.equal('TypeError');
    for (const subject of [{ type: 'user' }, { type: 'tenant', id: 'a' }, undefined])
      for (const amounts of [{ notes: 1 }, { notes: 1, pages: 1 }])
        expect(await wrong({ amounts, subject }), JSON.stringify(subject)).to.equal('TypeError');
    expect(await wrong({ amounts: { notes: 1, pages: 1 }, lease: 0.5 })).to.equal('TypeError');
    expect(await wrong({ amounts: { notes: 1, videos: 1 } })).to.equal('entitlement_missing');
    expect(await Usage(inspector()).countDocuments()).to.equal(0);
  });
});

describe('quota() of several features', () => {
  it('uses up all of them or none, and says of each what is left', async () => {
    const { as, globex } = await world();
    const ada = await as('ada@example.com', { 'X-Organization-Id': globex });
    const answers = await Promise.all(times(15, () => ada.post('/api/bundles')));
    expect(countBy(answers, 'status')).to.deep.equal({ 201: 10, 429: 5 });
    expect(answers.find(({ status }) => status === 429)?.body).to.include({
      feature: 'images',
      remaining: 0,
    });
    const theirs = { type: 'organization', id: globex } as const; // the seed has begun counters of others
    expect([await used('images', theirs), await used('tokens', theirs)]).to.deep.equal([10, 500]);
    const { headers } = answers.find(({ status }) => status === 201) ?? expect.fail();
    expect(headers['ratelimit-policy']).to.match(/^"images";q=10;w=\d+, "tokens";q=10000;w=\d+$/);
  });
});
