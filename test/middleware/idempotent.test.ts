import { expect } from 'chai';
import {
  consumeQuota,
  createApiKey,
  eraseSubject,
  type QuotaOptions,
  refundQuota,
  syncPlans,
  Usage,
} from '../../lib/index.js';
import { Claims } from '../../lib/models/claim.js';
import { ClaimedBatches } from '../../lib/models/claimed-batch.js';
import { gate, meteredApp, runs, type Wish } from '../support/metered-app.js';
import type { Moment } from '../support/metered-process.js';
import { startMetered } from '../support/metered-processes.js';
import { type Client, clientsOf, countBy, inspector, serve, times, until, world } from '../support/world.js';

const plans = {
  free: {
    name: 'Free',
    tier: 0,
    default: true,
    features: { images: { limit: 100, per: 'month' }, searches: { limit: 5, per: 'month' } },
  },
} as const;

/** People, a metered application, and clients of it: `bob(key)` sends that key. */
async function metered(options: QuotaOptions = {}) {
  const { shared, signIn } = await world();
  await syncPlans({ ...shared, plans });
  const { withHeaders } = clientsOf(await serve(meteredApp(shared, options)));
  const { body } = await signIn('bob@example.com');
  const bearer = { Authorization: `Bearer ${body.accessToken}` };
  const headersOf = (key?: string) => ({ ...bearer, ...(key !== undefined && { 'Idempotency-Key': key }) });
  const bob = (key?: string): Client => withHeaders(headersOf(key));
  const subject = { type: 'user', id: body.user.id as string } as const;
  const used = async (feature = 'images') =>
    (
      await Usage(inspector())
        .findOne({ '_id.s': `user:${subject.id}`, '_id.f': feature })
        .lean()
    )?.u ?? 0;
  return { shared, signIn, withHeaders, headersOf, bob, used, subject };
}

const ran = async (name = 'images') => (await runs(inspector()).findOne({ _id: name }))?.count ?? 0;

/** As if whoever runs with a key had been silent for long. */
const letGo = () => Claims(inspector()).updateMany({}, { $set: { until: new Date(0) } });
const expire = (which: object = {}) =>
  Claims(inspector()).updateMany(which, { $set: { until: new Date(0), expiresAt: new Date(1) } });

describe('a request with an Idempotency-Key', () => {
  for (const [route, name] of [
    ['/images', 'images'],
    ['/parsed', 'parsed'],
  ] as const) {
    it(`is charged and handled once, and answered alike ever after, at ${route}`, async () => {
      const { bob, used } = await metered();
      const wish: Wish = { size: 10 };

      const first = await bob('a').post(route, wish).expect(201);
      const second = await bob('a').post(route, wish).expect(201);

      expect(second.body).to.deep.equal(first.body);
      for (const header of ['content-type', 'location', 'content-length'])
        expect(second.headers[header], header).to.equal(first.headers[header]);
      expect(first.headers).not.to.have.property('idempotency-replayed');
      expect(second.headers).to.include({ 'idempotency-replayed': 'true' });
      expect([await used(), await ran(name)]).to.deep.equal([1, 1]);
      await bob('b').post(route, wish).expect(201);
      expect([await used(), await ran(name)]).to.deep.equal([2, 2]);
    });
  }

  it('keeps texts, and answers without a body, as they were', async () => {
    const { bob } = await metered();
    const text = () => bob('a').post('/images', { kind: 'text', status: 202 }).expect(202, 'as a text');
    const empty = () => bob('b').post('/images', { status: 204 }).expect(204, '');
    expect((await text()).headers['content-type']).to.equal((await text()).headers['content-type']);
    await empty();
    expect((await empty()).headers).to.include({ 'idempotency-replayed': 'true', location: '/images/2' });
  });

  it('is charged once of 50 at the same time in two processes, with one run, and 409 or the answer for the others', async function () {
    this.timeout(90_000);
    const [{ headersOf, used }, ...processes] = await Promise.all([
      metered(),
      startMetered(),
      startMetered(),
    ]);
    const clients = processes.map(({ withHeaders }) => withHeaders(headersOf('a')));
    const wish = { size: 3 };

    const answers = await Promise.all(
      times(50, (index) => clients[index % 2]?.post('/images', wish) ?? expect.fail()),
    );

    expect([await used(), await ran()]).to.deep.equal([1, 1]);
    const { 201: done = 0, 409: early = 0 } = countBy(answers, 'status');
    expect(done + early).to.equal(50);
    const fresh = answers.filter(({ status, headers }) => status === 201 && !headers['idempotency-replayed']);
    expect(fresh).to.have.length(1);
    for (const { body, status } of answers) {
      if (status === 201) expect(body).to.deep.equal({ run: 1, text: 'xxx' });
      else expect(body).to.include({ code: 'idempotency_in_progress' });
    }
    await clients[1]?.post('/images', wish).expect(201, { run: 1, text: 'xxx' });
  });

  it('is 409 while the first one is running, and answered when that is done', async () => {
    const { bob, used } = await metered();
    const open = gate('slow');
    const first = bob('a').post('/images', { wait: 'slow' });
    const done = first.then(({ status }) => status);
    await until(async () => (await ran()) === 1);

    const { body } = await bob('a').post('/images', { wait: 'slow' }).expect(409);
    expect(body).to.include({ code: 'idempotency_in_progress' });
    await bob('a').post('/images', { size: 1 }).expect(422);
    open();
    expect(await done).to.equal(201);
    await bob('a').post('/images', { wait: 'slow' }).expect(201);
    expect([await used(), await ran()]).to.deep.equal([1, 1]);
  });

  it('is 422 with another body, query or path of the route', async () => {
    const { bob, used } = await metered();
    await bob('a').post('/images/1', { size: 1 }).expect(201);
    const { body } = await bob('a').post('/images/1', { size: 2 }).expect(422);
    expect(body).to.include({ code: 'idempotency_mismatch' });
    await bob('a').post('/images/2', { size: 1 }).expect(422);
    await bob('a').post('/images/1?more=1', { size: 1 }).expect(422);
    expect(await used()).to.equal(1);
  });

  it('is another one for another member, API key or route', async () => {
    const { shared, signIn, withHeaders, bob, used, subject } = await metered();
    const { body } = await signIn('ada@example.com');
    const ada = withHeaders({ Authorization: `Bearer ${body.accessToken}`, 'X-Idempotency-Key': 'a' });
    const { key } = await createApiKey({ ...shared, userId: subject.id, name: 'robot' } as never);
    const robot = withHeaders({ 'X-API-Key': key, 'Idempotency-Key': 'a' });

    for (const client of [bob('a'), ada, robot]) {
      for (const path of ['/images', '/images/1', '/orders']) {
        const { headers } = await client.post(path).expect(201);
        expect(headers).not.to.have.property('idempotency-replayed');
      }
    }
    expect((await ada.post('/images').expect(201)).headers).to.have.property('idempotency-replayed');
    expect(await used()).to.equal(4); // bob and his API key, on two routes
  });

  it('is 400 with a key that is too long or not printable, before anything is written', async () => {
    const { bob, withHeaders, headersOf } = await metered();
    for (const key of ['x'.repeat(256), '', 'a\tb', 'schön'])
      for (const path of ['/images', '/orders']) {
        const { body } = await bob(key).post(path).expect(400);
        expect(body).to.deep.include({ code: 'validation_failed' });
        expect(body.errors[0].path).to.equal('Idempotency-Key');
      }
    const alias = withHeaders({ ...headersOf(), 'X-Idempotency-Key': 'x'.repeat(256) });
    expect((await alias.post('/images').expect(400)).body.errors[0].path).to.equal('X-Idempotency-Key');
    await bob('a').post('/images').set('Content-Type', 'application/json').send('{').expect(400);
    expect(await Claims(inspector()).countDocuments()).to.equal(0);
    expect(await Usage(inspector()).countDocuments()).to.equal(0);
    await bob('x'.repeat(255)).post('/images').expect(201);
  });

  it('is refused with 429 like others when the quota is used up, and succeeds with the same key when it is not', async () => {
    const { shared, bob, used, subject } = await metered();
    const state = await consumeQuota({ ...shared, subject, feature: 'images', amount: 100 });
    await bob('a').post('/images').expect(429);
    await bob('a').post('/images').expect(429);
    await refundQuota({ ...shared, subject, state, amount: 1 });
    await bob('a').post('/images').expect(201);
    await bob('a').post('/images').expect(201);
    await bob('b').post('/images').expect(429);
    expect([await used(), await ran()]).to.deep.equal([100, 1]);
  });

  it('never exceeds the limit, when many keys come at once and each of them twice', async () => {
    const { shared, bob, used, subject } = await metered();
    await consumeQuota({ ...shared, subject, feature: 'images', amount: 90 });
    const answers = await Promise.all(times(60, (index) => bob(`k${index % 30}`).post('/images')));
    expect(await used()).to.equal(100);
    expect(await ran()).to.equal(10);
    const fresh = answers.filter(({ status, headers }) => status === 201 && !headers['idempotency-replayed']);
    expect(fresh).to.have.length(10);
  });

  it('is held for as long as its handler runs, whatever becomes of the first word on it', async function () {
    this.timeout(30_000);
    const { bob } = await metered();
    const open = gate('long');
    const first = bob('a').post('/images', { wait: 'long' });
    const done = first.then(({ status }) => status);
    await until(async () => (await ran()) === 1);
    await letGo();
    await until(async () => ((await Claims(inspector()).findOne().lean())?.until.getTime() ?? 0) > 0);
    await bob('a').post('/images', { wait: 'long' }).expect(409);
    open();
    expect(await done).to.equal(201);
    expect(await ran()).to.equal(1);
  });

  it('is given back once, by whoever holds it, when a handler that was taken for dead fails after all', async () => {
    const { bob, used } = await metered();
    await bob('other').post('/images').expect(201);
    const open = gate('dead');
    const post = () => bob('a').post('/images', { wait: 'dead', status: 500 });
    const first = post().then(({ status }) => status);
    await until(async () => (await ran()) === 2);
    await letGo();
    const second = post().then(({ status }) => status);
    await until(async () => (await ran()) === 3);
    expect(await used()).to.equal(2);
    open();
    expect(await Promise.all([first, second])).to.deep.equal([500, 500]);
    expect(await used()).to.equal(1);
    expect(await Claims(inspector()).countDocuments()).to.equal(1);
  });

  describe('that fails', () => {
    it('with 5xx is refunded, and charged when it comes again', async () => {
      const { bob, used } = await metered();
      for (const wish of [{ status: 503 }, { status: 500, kind: 'throw' }] satisfies Wish[]) {
        const { status } = await bob('a').post('/images', wish);
        expect(status).to.equal(wish.status);
        expect([await used(), await Claims(inspector()).countDocuments()]).to.deep.equal([0, 0]);
      }
      await bob('a').post('/images', { size: 1 }).expect(201);
      await bob('a').post('/images', { size: 1 }).expect(201);
      expect([await used(), await ran()]).to.deep.equal([1, 3]);
    });

    it("with 4xx and refund 'on-error' keeps its charge, and runs again without another", async () => {
      const { bob, used } = await metered();
      await bob('a').post('/images', { status: 404 }).expect(404);
      await bob('a').post('/images', { status: 404 }).expect(404);
      expect(await used()).to.equal(1);
      await bob('b').post('/images', { status: 409, kind: 'throw' }).expect(409);
      await bob('b').post('/images', { status: 409, kind: 'throw' }).expect(409);
      expect([await used(), await ran()]).to.deep.equal([2, 4]);
    });

    it("with 4xx and refund 'on-4xx' is refunded; with refund 'never' a 5xx is not, and not charged again either", async () => {
      const lenient = await metered({ refund: 'on-4xx' });
      await lenient.bob('a').post('/images', { status: 404 }).expect(404);
      expect(await lenient.used()).to.equal(0);
      const strict = await metered({ refund: 'never' });
      await strict.bob('a').post('/images', { status: 500 }).expect(500);
      await strict.bob('a').post('/images', { status: 500 }).expect(500);
      expect([await strict.used(), await ran()]).to.deep.equal([1, 2]);
    });
  });

  it('is charged anew when the window is over, by the database’s clock', async () => {
    const { bob, used } = await metered();
    await bob('a').post('/images').expect(201);
    await expire();
    const { headers } = await bob('a').post('/images', { size: 1 }).expect(201);
    expect(headers).not.to.have.property('idempotency-replayed');
    expect([await used(), await ran()]).to.deep.equal([2, 2]);
    expect(await Claims(inspector()).countDocuments()).to.equal(1);
  });

  for (const [path, searches] of [
    ['/several', 2],
    ['/twice', 1],
  ] as const)
    it(`is charged anew of every quota of its route as soon as its answer is forgotten, at ${path}`, async () => {
      const { bob, used } = await metered();
      for (const run of [1, 2]) {
        const { headers } = await bob('a').post(path).expect(201);
        expect(headers).not.to.have.property('idempotency-replayed');
        expect([await used(), await used('searches')]).to.deep.equal([run, run * searches]);
        await expire({ '_id.f': 'images' }); // the claim that has the answer
      }
    });

  it('is charged anew when the window of a guard before quota() is over, and free again before', async () => {
    const { bob, used } = await metered();
    for (const run of [1, 2, 3]) {
      await bob('a').post('/guarded').expect(201);
      await bob('a').post('/guarded').expect(201);
      expect([await used(), await ran('guarded')]).to.deep.equal([run, run]);
      await expire({ '_id.f': '' });
    }
  });

  it('keeps its charge while a middleware between two guards, or the handler, fails', async () => {
    const { bob, used } = await metered();
    for (const wish of [{ outside: 500 }, { status: 404 }] satisfies Wish[]) {
      const key = JSON.stringify(wish);
      const status = wish.outside ?? wish.status ?? 0;
      await bob(key).post('/guarded', wish).expect(status);
      await bob(key).post('/guarded', wish).expect(status);
    }
    expect([await used(), await ran('guarded')]).to.deep.equal([2, 4]);
  });

  it('keeps numbers and booleans, which are sent as JSON, and holds the key no longer than its request', async function () {
    this.timeout(30_000);
    const { bob, used } = await metered();
    for (const path of ['/images', '/orders'])
      for (const [kind, value] of [
        ['number', 42],
        ['boolean', true],
      ] as const) {
        const first = await bob(kind).post(path, { kind }).expect(201);
        const second = await bob(kind).post(path, { kind }).expect(201);
        expect([first.body, second.body]).to.deep.equal([value, value]);
        expect(second.headers).to.include({ 'idempotency-replayed': 'true' });
      }
    expect(await used()).to.equal(2);

    await bob('endless').post('/images', { kind: 'endless' }).expect(500);
    await bob('endless').post('/images', { kind: 'endless' }).expect(500);
    expect([await used(), await ran()]).to.deep.equal([3, 4]); // an answer that cannot be sent is a failure
  });

  it('is remembered alike by processes whose clocks are ten minutes apart', async function () {
    this.timeout(90_000);
    const [{ headersOf, bob, used }, ...processes] = await Promise.all([
      metered(),
      startMetered(null, 300_000),
      startMetered(null, -300_000),
    ]);
    for (const [index, { withHeaders }] of processes.entries()) {
      const other = processes[1 - index]?.withHeaders(headersOf(`k${index}`));
      const first = await withHeaders(headersOf(`k${index}`))
        .post('/images')
        .expect(201);
      const { expiresAt } =
        (await Claims(inspector())
          .findOne({ '_id.k': `k${index}` })
          .lean()) ?? expect.fail();
      expect(expiresAt.getTime() - Date.now()).to.be.within(50_000, 70_000);
      expect((await other?.post('/images').expect(201))?.body).to.deep.equal(first.body);
      await bob(`k${index}`).post('/images').expect(201, first.body);
    }
    expect(await used()).to.equal(2);
    await expire();
    await processes[1]?.withHeaders(headersOf('k0')).post('/images').expect(201);
    expect([await used(), await ran()]).to.deep.equal([3, 3]);
  });

  it('is remembered for quotaIdempotencyTtl seconds', async () => {
    const { bob } = await metered({ quotaIdempotencyTtl: 3_600 });
    await bob('a').post('/images').expect(201);
    const { expiresAt } = (await Claims(inspector()).findOne().lean()) ?? expect.fail();
    expect(expiresAt.getTime() - Date.now()).to.be.within(3_590_000, 3_610_000);
  });

  it('is not run again, but 409 conflict, when the answer was too long to be kept or a stream', async () => {
    const { bob, used } = await metered();
    await bob('exact')
      .post('/images', { size: 65_536 - '{"run":1,"text":""}'.length })
      .expect(201);
    await bob('exact')
      .post('/images', { size: 65_536 - '{"run":1,"text":""}'.length })
      .expect(201);
    for (const wish of [{ size: 65_536 }, { kind: 'stream' }] satisfies Wish[]) {
      const key = JSON.stringify(wish);
      await bob(key).post('/images', wish).expect(201);
      const { body, headers } = await bob(key).post('/images', wish).expect(409);
      expect(body).to.include({ code: 'conflict' });
      expect(headers).to.include({ 'idempotency-replayed': 'true' });
      expect(headers.location).to.match(/^\/images\/\d$/);
    }
    expect([await used(), await ran()]).to.deep.equal([3, 3]);
  });

  it('is charged once of every quota of a route, and of none when one is used up', async () => {
    const { bob, used } = await metered();
    await bob('a').post('/several').expect(201);
    const { headers } = await bob('a').post('/several').expect(201);
    expect(headers).to.have.property('idempotency-replayed');
    await bob('b').post('/several').expect(201);
    expect([await used(), await used('searches')]).to.deep.equal([2, 4]);
    await bob('c').post('/several').expect(429);
    expect([await used(), await used('searches')]).to.deep.equal([2, 4]);
    await bob('d').post('/several', { status: 500 }).expect(429);
    expect(await ran('several')).to.equal(2);
  });

  it('leaves nothing of a user who was erased', async () => {
    const { shared, signIn, bob, withHeaders, subject } = await metered();
    const { body } = await signIn('ada@example.com');
    const ada = withHeaders({ Authorization: `Bearer ${body.accessToken}`, 'Idempotency-Key': 'a' });
    await bob('a').post('/images').expect(201);
    await bob('b').post('/orders').expect(201);
    await ada.post('/orders').expect(201);
    await consumeQuota({ ...shared, subject, feature: 'images', idempotencyKey: 'c' });
    const { organizationId } =
      (await eraseSubject({ ...shared, subject }).catch(({ extras }) => extras)) ?? {};
    if (organizationId) {
      await inspector().collection('memberships').deleteMany({});
      await eraseSubject({ ...shared, subject });
    }
    const left = await Claims(inspector()).find().lean();
    expect(left.map(({ _id }) => _id.o)).to.deep.equal([`user:${body.user.id}`]);
  });
});

describe('idempotent()', () => {
  it('runs a handler once for a key, and again when that failed', async () => {
    const { bob } = await metered();
    await bob('a').post('/orders', { status: 500 }).expect(500);
    await bob('a').post('/orders', { status: 404 }).expect(404);
    const first = await bob('a').post('/orders', { size: 1 }).expect(201);
    const second = await bob('a').post('/orders', { size: 1 }).expect(201);
    expect(second.body).to.deep.equal(first.body);
    expect(second.headers).to.include({ 'idempotency-replayed': 'true', location: '/orders/3' });
    await bob('a').post('/orders', { size: 2 }).expect(422);
    expect(await ran('orders')).to.equal(3);
    const { expiresAt } = (await Claims(inspector()).findOne().lean()) ?? expect.fail();
    expect(expiresAt.getTime() - Date.now()).to.be.within(86_300_000, 86_500_000);
  });

  it('runs one of 50 at the same time', async () => {
    const { bob } = await metered();
    const answers = await Promise.all(times(50, () => bob('a').post('/orders')));
    expect(countBy(answers, 'status')[201]).to.be.greaterThan(0);
    expect(await ran('orders')).to.equal(1);
  });

  it('leaves other methods, and requests without a key, alone', async () => {
    const { bob } = await metered();
    await bob('a').put('/orders').expect(201);
    await bob('a').put('/orders').expect(201);
    await bob().post('/orders').expect(201);
    await bob().post('/orders').expect(201);
    expect(await ran('orders')).to.equal(4);
    expect(await Claims(inspector()).countDocuments()).to.equal(0);
  });

  it('runs again for whoever comes after a process that died, and not while it may be alive', async function () {
    this.timeout(90_000);
    const dies = { event: 'sent', command: 'update', collection: 'tollgate_claims' } as const;
    const [{ bob, headersOf }, { withHeaders, ended }] = await Promise.all([metered(), startMetered(dies)]);
    await withHeaders(headersOf('a'))
      .post('/orders')
      .catch(() => {});
    await ended;
    await bob('a').post('/orders').expect(409);
    await letGo();
    await bob('a').post('/orders').expect(201, { run: 2, text: '' });
    await bob('a').post('/orders').expect(201, { run: 2, text: '' });
  });
});

describe('a process that is killed with SIGKILL', () => {
  const claims = 'tollgate_claims';
  const batches = 'tollgate_claimed_batches';
  const usage = 'tollgate_usage';
  const at = (event: Moment['event'], command: string, collection: string, having?: string): Moment => ({
    event,
    command,
    collection,
    having,
  });
  const moments: [when: string, moment: Moment, runs: readonly number[]][] = [
    ['before it claims the key', at('sent', 'insert', claims), [1]],
    ['when it has claimed the key', at('answered', 'insert', claims), [1]],
    ['before it counts', at('sent', 'findAndModify', usage), [1]],
    ['when it has counted', at('answered', 'findAndModify', usage), [1]],
    ['before it notes what it counted', at('sent', 'update', batches), [1, 2]],
    ['when the handler has run', at('sent', 'update', claims, '"answer":'), [2]],
    ['when the answer is kept', at('answered', 'update', claims, '"answer":'), [1]],
  ];
  for (const [when, moment, runs] of moments) {
    it(`${when} leaves a key that is charged once`, async function () {
      this.timeout(90_000);
      const [{ bob, headersOf, used }, { withHeaders, ended }] = await Promise.all([
        metered(),
        startMetered(moment),
      ]);
      const answer = await withHeaders(headersOf('a'))
        .post('/images')
        .catch(() => undefined);
      await ended;
      expect(answer).to.equal(undefined);

      const [claim] = await Claims(inspector()).find().lean();
      if (claim && !claim.answer) await bob('a').post('/images').expect(409);
      await letGo();
      const answers = await Promise.all(times(10, () => bob('a').post('/images')));

      expect(Object.keys(countBy(answers, 'status'))).to.include('201');
      const handled = await ran();
      expect(runs).to.include(handled); // the first time in the process that died, perhaps
      expect(await used()).to.equal(1);
      await bob('a').post('/images').expect(201);
      await bob('b').post('/images').expect(201);
      expect([await used(), await ran()]).to.deep.equal([2, handled + 1]);
    });
  }

  for (const [when, moment] of [
    ['before it gives back', at('sent', 'insert', batches, '"amount":-1')],
    ['when it has said that it gives back', at('answered', 'update', claims, '"refund":{')],
    ['when it has given back', at('sent', 'update', batches, '.2"')],
    ['when it has noted that it has given back', at('answered', 'update', batches, '.2"')],
  ] as [string, Moment][]) {
    it(`${when} leaves a key that is charged once`, async function () {
      this.timeout(90_000);
      const [{ bob, headersOf, used }, { withHeaders, ended }] = await Promise.all([
        metered(),
        startMetered(moment),
      ]);
      const dying = withHeaders(headersOf('a'));
      const wish: Wish = { status: 500 };
      await dying.post('/images', wish).catch(() => {});
      await ended;
      await letGo();
      await bob('a').post('/images', wish).expect(500);
      expect([await used(), await ran()]).to.deep.equal([0, 2]);
      await bob('b').post('/images').expect(201);
      expect(await used()).to.equal(1);
    });
  }
});

describe('a process that is killed between keeping its answer and freeing what was charged beside it', () => {
  it('leaves nothing that is remembered longer than the answer', async function () {
    this.timeout(90_000);
    const dies = { event: 'sent', command: 'delete', collection: 'tollgate_claims' } as const;
    const [{ headersOf, bob, used }, { withHeaders, ended }] = await Promise.all([
      metered(),
      startMetered(dies),
    ]);
    await withHeaders(headersOf('a'))
      .post('/several')
      .catch(() => {});
    await ended;
    const claims = await Claims(inspector()).find().lean();
    const [images, searches] = ['images', 'searches'].map((f) => claims.find(({ _id }) => _id.f === f));
    expect(images?.answer).to.include({ status: 201 });
    expect(searches?.answer).to.equal(null);
    expect(Number(searches?.expiresAt)).to.be.at.most(Number(images?.expiresAt));
    await expire();
    await bob('a').post('/several').expect(201);
    expect([await used(), await used('searches')]).to.deep.equal([2, 4]);
  });
});

describe('a process that stops before it counts, and goes on when it was taken for dead', () => {
  it('counts nothing any more', async function () {
    this.timeout(90_000);
    const moment = {
      event: 'sent',
      command: 'findAndModify',
      collection: 'tollgate_usage',
      signal: 'SIGSTOP',
    } as const;
    const [{ bob, headersOf, used }, { withHeaders, child }] = await Promise.all([
      metered(),
      startMetered(moment),
    ]);
    await bob('warm').post('/images').expect(201);
    const late = withHeaders(headersOf('a'))
      .post('/images')
      .then(({ status }) => status);
    await until(async () => (await ClaimedBatches(inspector()).countDocuments()) === 2);
    await until(async () => {
      await letGo(); // which it may have renewed before it stopped
      return (await bob('a').post('/images')).status === 201;
    });
    expect(await used()).to.equal(2);

    let status = 0;
    void late.then((answered) => (status = answered));
    await until(() => child.kill('SIGCONT') && status > 0); // it may stop only now
    expect(status).to.be.oneOf([201, 409, 503]);
    expect([await used(), await ran()]).to.deep.equal([2, 2]);
  });
});
