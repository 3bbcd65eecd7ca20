import { readdir, readFile } from 'node:fs/promises';
import { expect } from 'chai';
import Koa from 'koa';
import { type Connection, Types } from 'mongoose';
import {
  type AuditHead,
  audit,
  authenticate,
  createUser,
  endpoint,
  eraseSubject,
  organization,
  problems,
  recordAudit,
  type SharedOptions,
  sealAudit,
  signIn,
  startWorker,
  Users,
  verifyAudit,
} from '../lib/index.js';
import {
  appName,
  atEnd,
  clientsOf,
  connect,
  countBy,
  emptyWorld,
  inspector,
  serve,
  times,
  until,
  world,
} from './support/world.js';

const [newer, older] = ['a newer secret of more than 32 bytes', 'an older secret of more than 32 bytes'];
const ip = '192.0.2.7';

const stored = () => inspector().collection('tollgate_audit_entries');
const heads = () => inspector().collection<{ _id: string }>('tollgate_audit_heads');

type Shared = SharedOptions & { connection: Connection };

/** The ids of the entries of a chain, by their places. */
type Ids = Readonly<Record<1 | 2 | 3 | 4 | 5, Types.ObjectId>>;
type Place = keyof Ids;

/** Writes `count` entries, one after the other. */
async function write({ connection }: Shared, count: number, organization?: Types.ObjectId): Promise<void> {
  for (let index = 0; index < count; index += 1) {
    const target = { type: 'project', id: String(index) };
    const details = { index, nested: [{ at: new Date(0), none: null, text: '\ud800 é' }] };
    const origin = { ip, userAgent: 'Mozilla/5.0', requestId: `request-${index}` };
    await recordAudit({
      connection,
      action: 'project.made',
      actor: 'ada',
      target,
      organization,
      details,
      ...origin,
    });
  }
}

/** Writes `count` entries, a few at once. */
async function writeMany(shared: Shared, count: number, ...organizations: Types.ObjectId[]): Promise<void> {
  const turns = times(20, (turn) => times(count / 20, (index) => organizations[(turn + index * 20) % 5]));
  await Promise.all(
    turns.map(async (turn) => {
      for (const organization of turn) await write(shared, 1, organization);
    }),
  );
}

/** A chain of five sealed entries. */
async function chain(count = 5) {
  const { shared } = await emptyWorld();
  await sealAudit(shared); // the first that is given keys on this connection
  await write(shared, count);
  expect(await sealAudit(shared)).to.equal(count);
  const entries = await stored().find().sort({ seq: 1 }).toArray();
  const e = Object.fromEntries(entries.map(({ seq, _id }) => [seq, _id])) as unknown as Ids;
  return { shared, e };
}

describe('the audit log', () => {
  it('is verified from what people did over HTTP, and sealed by the worker within seconds', async () => {
    const { shared, as, acme } = await world();
    const worker = await startWorker({ ...shared, cleanupHours: 0 });
    atEnd(() => worker.stop());
    const ada = await as('ada@example.com');
    await ada.patch('/auth/profile', { name: 'Ada L.' }).expect(200);
    await ada.post('/auth/sign-out').expect(204);
    await recordAudit({
      connection: shared.connection,
      action: 'project.made',
      organization: new Types.ObjectId(acme),
    });
    await until(async () => (await stored().countDocuments({ sealed: false })) === 0);

    const global = await verifyAudit(shared);
    const ofAcme = await verifyAudit({ ...shared, organizationId: acme });

    const count = await stored().countDocuments({ organization: null });
    const atAcme = await stored().countDocuments({ organization: new Types.ObjectId(acme) });
    expect(global).to.deep.include({ ok: true, checked: count, problems: [] });
    expect(global.head).to.include({ organizationId: null, seq: count });
    expect(ofAcme).to.deep.include({ ok: true, checked: atAcme, problems: [] });
    expect(ofAcme.head).to.include({ organizationId: acme, seq: atAcme });
  });

  it('is verified whatever JSON its details hold, and has no head while nothing is sealed', async () => {
    const { shared } = await emptyWorld();
    await sealAudit(shared);
    const details = {
      text: '\ud800\u0000',
      1: 2,
      a: undefined,
      b: -0,
      c: Number.NaN,
      big: 2 ** 60,
      list: [[{}]],
    };
    await recordAudit({
      connection: shared.connection,
      action: 'thing.done',
      details: { ...details, when: new Date(), id: new Types.ObjectId() },
    });
    await recordAudit({
      connection: shared.connection,
      action: 'thing.done',
      details: JSON.parse('{"__proto__":{"x":1},"$where":"1","a.b":2}'),
    });
    const before = await verifyAudit(shared);
    expect(before).to.deep.equal({ ok: true, checked: 2, problems: [], head: null });
    await sealAudit(shared);
    expect(await verifyAudit(shared)).to.include({ ok: true, checked: 2 });
  });

  it('says of an entry that was written where no key was known that it is unsigned', async () => {
    const { connection, shared } = await emptyWorld();
    await recordAudit({ connection, action: 'thing.done' });
    await sealAudit(shared);
    await recordAudit({ connection, action: 'thing.done' });
    await sealAudit(shared);
    const [first] = await stored().find().sort({ seq: 1 }).toArray();
    const { ok, problems } = await verifyAudit(shared);
    expect([ok, problems]).to.deep.equal([false, [{ id: String(first?._id), problem: 'unsigned' }]]);
  });

  it('refuses options that are wrong, and a head of another chain', async () => {
    const { shared } = await chain(1);
    const { head } = await verifyAudit(shared);
    const errorOf = (options: object) =>
      verifyAudit({ ...shared, ...options } as never).catch((error) => error);
    for (const options of [
      { organizationId: 'acme' },
      { organizationId: { $ne: null } },
      { head: { ...head, seq: '1' } },
      { head, organizationId: 'f'.repeat(24) },
      { keys: undefined },
    ]) {
      expect(await errorOf(options), JSON.stringify(options)).to.be.an.instanceOf(TypeError);
    }
  });
});

type Fault = readonly [which: Place | null, problem: string];

/** What somebody does who can write to the database, and what is found: the number of an entry, or null for the end of the chain. */
const tamperings: Record<string, [tamper: (e: Ids) => Promise<unknown>, found: readonly Fault[]]> = {
  'moves an entry to another organization': [
    (e) => stored().updateOne({ _id: e[3] }, { $set: { organization: new Types.ObjectId() } }),
    [[4, 'missing-before']],
  ],
  'deletes an entry': [(e) => stored().deleteOne({ _id: e[3] }), [[4, 'missing-before']]],
  'deletes the first entries': [
    (e) => stored().deleteMany({ _id: { $in: [e[1], e[2]] } }),
    [[3, 'missing-before']],
  ],
  'deletes an entry and closes the gap': [
    async (e) => {
      await stored().deleteOne({ _id: e[3] });
      await stored().updateMany({ seq: { $gt: 3 } }, { $inc: { seq: -1 } });
    },
    [
      [4, 'unlinked'],
      [5, 'unlinked'],
      [null, 'tail-missing'],
    ],
  ],
  'deletes the last entries': [
    (e) => stored().deleteMany({ _id: { $in: [e[4], e[5]] } }),
    [[null, 'tail-missing']],
  ],
  'deletes all entries': [() => stored().deleteMany({}), [[null, 'tail-missing']]],
  'deletes the last entries and moves the head back': [
    async (e) => {
      const last = await stored().findOne({ _id: e[4] });
      await stored().deleteOne({ _id: e[5] });
      await heads().updateOne({}, { $set: { seq: 4, chain: last?.chain } });
    },
    [[null, 'head-edited']],
  ],
  'moves the head back': [() => heads().updateOne({}, { $set: { seq: 3 } }), [[null, 'head-edited']]],
  'deletes the head': [() => heads().deleteMany({}), [[null, 'head-missing']]],
  'empties the head': [() => heads().updateOne({}, { $set: { seq: 0 } }), [[null, 'head-missing']]],
  'takes the MAC of an entry away': [
    (e) => stored().updateOne({ _id: e[3] }, { $unset: { mac: 1, keyId: 1 } }),
    [
      [3, 'unsigned'],
      [3, 'unlinked'],
    ],
  ],
  'names another key': [
    (e) => stored().updateOne({ _id: e[3] }, { $set: { keyId: 'x' } }),
    [[3, 'unknown-key']],
  ],
  'swaps two entries': [
    async (e) => {
      await stored().updateOne({ _id: e[2] }, { $set: { seq: 3 } });
      await stored().updateOne({ _id: e[3] }, { $set: { seq: 2 } });
    },
    [
      [3, 'unlinked'],
      [2, 'unlinked'],
      [4, 'unlinked'],
    ],
  ],
  'takes an entry out of its chain': [
    (e) => stored().updateOne({ _id: e[3] }, { $unset: { seq: 1, sealed: 1 } }),
    [[4, 'missing-before']],
  ],
  'marks an entry as redacted': [
    (e) =>
      stored().updateOne(
        { _id: e[3] },
        { $set: { redacted: true, details: {} }, $unset: { ip: 1, userAgent: 1, salt: 1 } },
      ),
    [[3, 'redacted']],
  ],
  'marks an entry as redacted, and says something else in it': [
    (e) => stored().updateOne({ _id: e[3] }, { $set: { redacted: true, details: { index: 9 } } }),
    [[3, 'edited']],
  ],
};

/** Another value for every field of an entry. */
const edits: Record<string, unknown> = {
  action: 'project.deleted',
  actor: 'bob',
  at: new Date(),
  'target.id': '7',
  'target.type': 'user',
  requestId: 'another',
  ip: '198.51.100.1',
  userAgent: 'curl',
  'details.index': 9,
  details: {},
  salt: 'x',
  personal: 'x',
  mac: 'x',
};

describe('verifyAudit()', () => {
  it('notices who edits any field of an entry, also by what no entry ever held there', async () => {
    const { shared, e } = await chain();
    const original = (await stored().findOne({ _id: e[3] })) as object;
    const strange = ['at', 'action', 'target', 'details', 'salt', 'mac', 'requestId'].flatMap((field) =>
      [7, 'x', { $ne: 1 }, [[]], null].map((value) => [field, value] as const),
    );
    for (const [field, value] of [...Object.entries(edits), ...strange]) {
      const $set = { [field]: { $literal: value } };
      await stored().updateOne({ _id: e[3] }, [{ $set }]);
      const { problems } = await verifyAudit(shared);
      expect(problems[0], JSON.stringify([field, value])).to.deep.equal({
        id: String(e[3]),
        problem: field === 'mac' && value === null ? 'unsigned' : 'edited',
      });
      if (field in edits && value !== null) expect(problems.slice(1)).to.deep.equal([]);
      await stored().replaceOne({ _id: e[3] }, original);
    }
    expect((await verifyAudit(shared)).ok).to.equal(true);
  });

  for (const [what, [tamper, found]] of Object.entries(tamperings)) {
    it(`notices who ${what}`, async () => {
      const { shared, e } = await chain();
      await tamper(e);
      const { ok, problems } = await verifyAudit(shared);
      expect(ok).to.equal(false);
      expect(problems).to.deep.equal(
        found.map(([which, problem]) => ({ id: which && String(e[which]), problem })),
      );
    });
  }

  it('notices a copy of an entry, and one that was put in without a key, wherever it is put', async () => {
    const { shared, e } = await chain();
    const original = (await stored().findOne({ _id: e[3] })) ?? {};
    const forged = times(5, () => new Types.ObjectId()) as [Types.ObjectId, ...Types.ObjectId[]];
    const places = [{}, { seq: 6 }, { seq: 'x' }, { seq: null }, { seq: null, sealed: false }];
    await stored().insertMany(
      places.map((place, index) => ({ ...original, ...place, _id: forged[index] as never })),
    );
    const { problems } = await verifyAudit(shared);
    const ids = new Set(problems.map(({ id }) => id));
    for (const id of forged) expect(problems).to.deep.include({ id: String(id), problem: 'edited' });
    expect(problems).to.deep.include({ id: String(forged[0]), problem: 'out-of-place' });
    expect(problems).to.deep.include({ id: null, problem: 'beyond-head' });
    for (const id of Object.values(e)) expect(ids.has(String(id))).to.equal(false);
  });

  it('notices by a head that was kept elsewhere that everything was put back to an earlier state, or replaced', async () => {
    const { shared } = await chain();
    const [entries, head] = [await stored().find().toArray(), await heads().findOne()];
    await write(shared, 3);
    await sealAudit(shared);
    const kept = JSON.parse(JSON.stringify((await verifyAudit(shared)).head)) as AuditHead;
    await write(shared, 2);
    await sealAudit(shared);
    expect(await verifyAudit({ ...shared, head: kept })).to.include({ ok: true, checked: 10 });

    await stored().deleteMany({});
    await stored().insertMany(entries);
    await heads().replaceOne({}, head as object);
    expect(await verifyAudit(shared)).to.include({ ok: true, checked: 5 });
    const lost = await verifyAudit({ ...shared, head: kept });
    expect(lost.problems).to.deep.equal([{ id: null, problem: 'tail-missing' }]);

    await write(shared, 4);
    await sealAudit(shared);
    expect(await verifyAudit(shared)).to.include({ ok: true, checked: 9 });
    const replaced = await verifyAudit({ ...shared, head: kept });
    expect(replaced.problems).to.deep.equal([{ id: null, problem: 'replaced' }]);
  });

  it('notices what nobody has sealed for a minute, by the database’s clock', async () => {
    const { shared } = await chain(1);
    await write(shared, 2);
    expect(await verifyAudit(shared)).to.include({ ok: true, checked: 3 });
    const minute = new Date(Date.now() - 61_000);
    const waiting = await stored().findOneAndUpdate({ sealed: false }, { $set: { at: minute } });
    const { problems } = await verifyAudit(shared);
    expect(problems).to.deep.equal(
      ['edited', 'unsealed'].map((problem) => ({ id: String(waiting?._id), problem })),
    );
  });

  it('reads a chain of any length in batches', async () => {
    const { shared } = await emptyWorld();
    await sealAudit(shared);
    await writeMany(shared, 1_240);
    await sealAudit(shared);
    await stored().deleteOne({ seq: 1_001 });
    await stored().updateOne({ seq: 400 }, { $set: { actor: 'bob' } });
    const { checked, problems } = await verifyAudit(shared);
    expect(checked).to.equal(1_239);
    expect(problems.map(({ problem }) => problem)).to.deep.equal(['edited', 'missing-before']);
  });

  it('holds through the erasure of a user, before and after the seal, and finds one that nobody asked for', async () => {
    const { shared } = await emptyWorld();
    const person = { email: 'grace@example.com', password: 'rear-admiral-1906' };
    const { id } = await createUser({ ...shared, ...person, emailVerified: true });
    const use = { ...shared, ...person, ip, userAgent: 'Mozilla/5.0' };
    await signIn(use);
    await sealAudit(shared);
    await signIn(use);
    await signIn({ ...use, password: 'wrong' }).catch(() => {});
    await eraseSubject({ ...shared, subject: { type: 'user', id } });
    const unsealed = await verifyAudit(shared);
    await sealAudit(shared);
    const sealed = await verifyAudit(shared);

    expect([unsealed, sealed]).to.satisfy((all: { ok: boolean }[]) => all.every(({ ok }) => ok));
    const left = await stored().find().toArray();
    expect(JSON.stringify(left)).not.to.match(/192\.0|Mozilla|grace|salt/);
    expect(left.map(({ action }) => action).sort()).to.deep.equal(
      ['user.created', 'user.erased', 'user.sign-in-failed', 'user.signed-in', 'user.signed-in'].sort(),
    );
    await stored().deleteOne({ action: 'user.erased' });
    const { problems } = await verifyAudit(shared);
    expect(countBy(problems, 'problem')).to.deep.equal({ redacted: 4, 'tail-missing': 1 });
  });

  it('takes every key, of which the first signs', async () => {
    const { connection, shared } = await emptyWorld({ keys: [older] });
    const org = new Types.ObjectId();
    await sealAudit(shared);
    await write(shared, 2);
    await write(shared, 1, org);
    await sealAudit(shared);
    const next = { ...shared, keys: [newer, older], connection: await connect() }; // a process that starts later
    await sealAudit(next);
    await write(next, 3);
    await sealAudit(next);

    expect(await verifyAudit(next)).to.include({ ok: true, checked: 5 });
    const { problems, head } = await verifyAudit({ ...next, keys: [newer] });
    expect(countBy(problems, 'problem')).to.deep.equal({ 'unknown-key': 2 });
    const old = await verifyAudit({ connection, keys: [older] });
    expect(countBy(old.problems, 'problem')).to.deep.equal({ 'unknown-key': 4 }); // three entries and the head
    expect(head).to.include({ seq: 5 });

    const last = { ...shared, keys: [newer], connection: await connect() };
    await sealAudit(last);
    await write(last, 1, org); // of an organization where nothing had happened for long
    expect(await sealAudit(last)).to.equal(1);
    expect(await verifyAudit({ ...next, organizationId: String(org) })).to.include({ ok: true, checked: 2 });
  });
});

describe('sealers', () => {
  it('that run in parallel link each of 500 entries once', async () => {
    const { shared } = await emptyWorld();
    await sealAudit(shared);
    const orgs = times(4, () => new Types.ObjectId());
    await writeMany(shared, 500, ...orgs);
    const sealers = await Promise.all(times(2, async () => ({ ...shared, connection: await connect() })));

    const counts = await Promise.all(sealers.flatMap((sealer) => times(3, () => sealAudit(sealer))));

    expect(counts.reduce((sum, count) => sum + count, 0)).to.equal(500);
    await expectExact(shared, [null, ...orgs.map(String)], 100);
  });

  it('link each entry once when leases are taken from them all the while', async () => {
    const { shared } = await emptyWorld();
    await sealAudit(shared);
    await writeMany(shared, 200);
    const sealers = await Promise.all(times(3, async () => ({ ...shared, connection: await connect() })));
    let over = false;
    const thief = (async () => {
      while (!over) {
        await heads().updateMany({}, { $set: { heldUntil: new Date(0) } });
        await new Promise((resolve) => setTimeout(resolve, 250)); // a transaction takes a while
      }
    })();
    const left = () => stored().countDocuments({ sealed: false });
    const counts = await Promise.all(
      sealers.map(async (sealer) => {
        for (let sum = 0; ; sum += await sealAudit(sealer).catch(() => 0))
          if ((await left()) === 0) return sum;
      }),
    );
    over = true;
    await thief;

    expect(counts.reduce((sum, count) => sum + count, 0)).to.equal(200);
    await expectExact(shared, [null], 200);
  });

  it('that die between any two commands lose and double nothing', async () => {
    const { shared } = await emptyWorld();
    await sealAudit(shared);
    const failFrom = (skip: number) =>
      inspector()
        .getClient()
        .db('admin')
        .command({
          configureFailPoint: 'failCommand',
          mode: skip < 0 ? 'off' : { skip },
          data: {
            failCommands: ['find', 'aggregate', 'update', 'bulkWrite', 'findAndModify', 'commitTransaction'],
            errorCode: 50,
            appName,
          },
        });
    atEnd(() => failFrom(-1));
    let died = 0;
    for (let skip = 0; ; skip += 1) {
      await write(shared, 2);
      await failFrom(skip);
      const failed = await sealAudit(shared).then(
        () => false,
        () => true,
      );
      await failFrom(-1);
      await inspector().getClient().db('admin').command({ killAllSessions: [] }); // a minute later
      await heads().updateMany({}, { $set: { heldUntil: null } });
      if (!failed) break;
      died += 1;
    }
    await sealAudit(shared);
    expect(died).to.be.greaterThan(6);
    await expectExact(shared, [null], 2 * (died + 1));
  });

  it('build nothing on a head that somebody has changed, and go on with other chains', async () => {
    const { shared } = await chain();
    const last = await stored().findOneAndDelete({ seq: 5 });
    await heads().updateOne({}, { $set: { seq: 4, chain: last?.previous } });
    const org = new Types.ObjectId();
    await write(shared, 1);
    await write(shared, 1, org);
    const error = await sealAudit(shared).catch((thrown) => thrown);
    expect(error).to.include({ code: 'internal' });
    expect(await stored().countDocuments({ sealed: false })).to.equal(1);
    expect(await verifyAudit({ ...shared, organizationId: String(org) })).to.include({
      ok: true,
      checked: 1,
    });

    await heads().deleteOne({ _id: 'global' });
    expect(await sealAudit(shared).catch((thrown) => thrown)).to.include({ code: 'internal' });
    expect((await verifyAudit(shared)).ok).to.equal(false);
  });
});

/** Every chain has the places from 1 to `count`, each once, and is verified. */
async function expectExact(shared: Shared, chains: readonly (string | null)[], count: number): Promise<void> {
  for (const organizationId of chains) {
    const organization = organizationId && new Types.ObjectId(organizationId);
    const entries = await stored().find({ organization }).sort({ seq: 1 }).toArray();
    expect(entries.map(({ seq }) => seq)).to.deep.equal(times(count, (index) => index + 1));
    const verified = await verifyAudit({ ...shared, organizationId });
    expect(verified).to.deep.include({ ok: true, checked: count, problems: [] });
    expect(verified.head).to.include({ seq: count });
  }
}

describe('a sign-in that fails', () => {
  const failures = () => stored().find({ action: 'user.sign-in-failed' }).sort({ _id: 1 }).toArray();

  it('is in the log, of a known address with its user, of an unknown one without a trace of it', async () => {
    const { anyone, connection, shared } = await world();
    const ada = await Users(connection).findOne({ email: 'ada@example.com' }).orFail().lean();
    for (const email of ['ada@example.com', 'nobody@example.com'])
      await anyone().post('/auth/sign-in', { email, password: 'wrong' }).expect(401);
    const [known, unknown] = await failures();
    expect(known).to.deep.include({
      actor: null,
      target: { type: 'user', id: String(ada._id) },
      ip: '127.0.0.1',
    });
    expect(unknown).to.deep.include({ actor: null, ip: '127.0.0.1' });
    expect(unknown?.target?.id).to.equal(undefined);
    expect(JSON.stringify([known, unknown])).not.to.match(/nobody|example\.com|wrong/);
    await sealAudit(shared);
    expect((await verifyAudit(shared)).ok).to.equal(true);
  });

  it('is not in it once nobody judges the guesses any more', async () => {
    const { anyone } = await world({ credentialRate: '5/minute' });
    const attempt = () => anyone().post('/auth/sign-in', { email: 'ada@example.com', password: 'wrong' });
    const answers = await Promise.all(times(12, attempt));
    expect(countBy(answers, 'status')).to.deep.equal({ 401: 5, 429: 7 });
    expect(await failures()).to.have.length(5);
  });
});

describe('audit()', () => {
  async function application() {
    const { connection, shared, as: _, ...made } = await world();
    const app = new Koa();
    app.use(problems());
    app.use(
      endpoint(
        authenticate({ ...shared, optional: true }),
        audit('project.deleted', (ctx) => ({
          target: { type: 'project', id: ctx.path },
          details: { was: ctx.body },
        })),
        (ctx) => {
          if (ctx.path === '/throws') throw new Error('broken');
          ctx.status = ctx.path === '/missing' ? 404 : 200;
          ctx.body = 'gone';
        },
      ),
    );
    const { body } = await made.signIn('ada@example.com').expect(200);
    const { anyone, withHeaders } = clientsOf(await serve(app));
    const entries = () => stored().find({ action: 'project.deleted' }).sort({ _id: 1 }).toArray();
    return {
      connection,
      anyone,
      ada: withHeaders({ Authorization: `Bearer ${body.accessToken}` }),
      user: body.user,
      entries,
    };
  }

  it('records what succeeded, with who did it and from where, and nothing that failed', async () => {
    const { ada, anyone, user, entries } = await application();
    await ada.delete('/one').set('User-Agent', 'tests').set('X-Request-Id', 'r-1').expect(200);
    await anyone().delete('/two').expect(200);
    await ada.delete('/missing').expect(404);
    await ada.delete('/throws').expect(500);
    const [one, two, ...others] = await entries();
    expect(others).to.deep.equal([]);
    expect(one).to.deep.include({
      actor: user.id,
      target: { type: 'project', id: '/one' },
      details: { was: 'gone' },
      organization: null,
      ip: '127.0.0.1',
      userAgent: 'tests',
      requestId: 'r-1',
    });
    expect(one?.mac).to.be.a('string');
    expect(two).to.include({ actor: null });
  });

  it('names the organization of the request', async () => {
    const { shared, acme, signIn: enter } = await world();
    const app = new Koa();
    app.use(
      endpoint(authenticate(shared), organization(), audit('project.deleted'), (ctx) => {
        ctx.body = 'gone';
      }),
    );
    const { body } = await enter('ada@example.com').expect(200);
    const { withHeaders } = clientsOf(await serve(app));
    const headers = { Authorization: `Bearer ${body.accessToken}`, 'X-Organization-Id': acme };
    await withHeaders(headers).get('/').expect(200);
    const entry = await stored().findOne({ action: 'project.deleted' });
    expect(String(entry?.organization)).to.equal(acme);
  });

  it('refuses a name that is none when the route is made', () => {
    for (const action of ['deleted', '', 'Project.deleted', 'a b.c', undefined])
      expect(() => audit(action as string)).to.throw(TypeError, 'name the act');
  });
});

describe('docs/audit.md', () => {
  it('lists every act that the library records', async () => {
    const files = (await readdir('lib', { recursive: true })).filter((name) => name.endsWith('.ts'));
    const sources = await Promise.all(files.map((name) => readFile(`lib/${name}`, 'utf8')));
    const lines = sources
      .join('\n')
      .split('\n')
      .filter((line) => /\b(action|failure)\b|'organization\.[a-z.-]+(ed|left|set|sent)'/.test(line))
      .filter((line) => !/^\s*(\*|\/)/.test(line));
    const recorded = lines.flatMap((line) =>
      [...line.matchAll(/'([a-z-]+(?:\.[a-z-]+)+)'/g)].map(([, name]) => name),
    );
    const rows = (await readFile('docs/audit.md', 'utf8')).matchAll(/^\| `([a-z-]+(?:\.[a-z-]+)+)` \|/gm);
    const names = [...new Set(recorded)].filter((name) => name !== 'target.id');
    expect([...rows].map(([, name]) => name).sort()).to.deep.equal(names.sort());
  });
});
