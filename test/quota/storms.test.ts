import { expect } from 'chai';
import type { mongo } from 'mongoose';
import { inexact } from '../../kit/check.js';
import { runRound } from '../../kit/run.js';
import { startMongo } from '../support/mongodb.js';
import { startProxy, type TcpProxy } from '../support/proxy.js';
import { atEnd, connect, emptyWorld, mongoUri, times } from '../support/world.js';
import { weatherBalances } from './balance-storm.js';
import { weatherMixed } from './mixed-storm.js';
import { type Storm as Told, writeResult } from './result.js';
import { type Weathered, weather } from './storm.js';
import { witness } from './witness.js';

const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);
/** How many times as long as in CI, where they are some 200,000 consumptions; `npm run test:long` has ten millions. */
const factor = Number(process.env.STORM_FACTOR ?? 1);
/** Not the library's name: the profiler need not look at what faults make of its queries. */
const appName = 'storms';
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** The share of consumptions without a known outcome that still lets a storm tell something: on a machine that is busy, and with faults. */
const [busy, disturbed] = [0.05, 0.5];
const told: Told[] = [];
const begun = { title: '', at: 0 };

/** Notes what a storm has shown, and expects it to be sound, with a share `unknown` of consumptions without a known outcome at most. */
function expectSound(
  result: Pick<Weathered, 'violations' | 'outcomes' | 'leaked' | 'writes' | 'changes'>,
  unknown: number,
): void {
  told.push({ title: begun.title, seconds: (performance.now() - begun.at) / 1_000, ...result });
  const { violations, outcomes, writes, changes } = result;
  const about = `SEED=${seed} ${JSON.stringify({ outcomes, writes, changes })}`;
  const total = Object.values(outcomes).reduce((sum, count) => sum + count, 0);
  expect(violations, about).to.deep.equal([]);
  expect(outcomes.granted, about).to.be.greaterThan(500);
  expect(outcomes.unknown, `without a known outcome: ${about}`).to.be.at.most(total * unknown);
  expect(writes, `looked at: ${about}`).to.be.greaterThan(100);
  expect(changes.done, `changes of limits: ${about}`).to.be.greaterThan(0);
}

/** Faults of some kind, one after the other. */
const inTurn = (...faults: readonly (() => Promise<unknown>)[]) => {
  let next = 0;
  return async () => {
    await faults[next % faults.length]?.();
    next += 1;
  };
};

describe('consumptions of many at once', function () {
  this.timeout(factor === 1 ? 180_000 : 0);

  beforeEach(function () {
    begun.title = this.currentTest?.title ?? '';
    begun.at = performance.now();
  });

  afterEach(function () {
    const { err } = this.currentTest ?? {};
    if (err && factor > 1) console.error(err); // at once: it is long until the end
  });

  after(async () => {
    if (process.env.STORM_RESULT && told.length > 0)
      await writeResult(process.env.STORM_RESULT, { seed, factor }, told);
  });

  it('are exact to the unit, while limits change and periods end', async () => {
    await emptyWorld();
    const connections = await Promise.all(times(4, () => connect(undefined, { appName })));
    const sound = await connect(undefined, { appName });
    const result = await weather({ connections, sound, consumptions: 155_000 * factor, seed });
    expectSound(result, busy);
    expect(inexact(result, busy), `SEED=${seed}`).to.deep.equal([]);
  });

  it('are exact to the unit by whatever way they come: leases, keys, holds and transactions at the same time', async () => {
    await emptyWorld();
    const connections = await Promise.all(times(3, () => connect(undefined, { appName })));
    const sound = await connect(undefined, { appName });
    const result = await weatherMixed({ connections, sound, consumptions: 3_000 * factor, seed });
    expectSound(result, disturbed); // those who wait for a transaction may wait too long
    expect(inexact(result, disturbed), `SEED=${seed}`).to.deep.equal([]);
  });

  it('are exact to the unit with stacked balances and overage, while units are granted, expire, are carried over, and usage is reset', async () => {
    await emptyWorld();
    const connections = await Promise.all(times(3, () => connect(undefined, { appName })));
    const sound = await connect(undefined, { appName });
    const result = await weatherBalances({ connections, sound, consumptions: 3_000 * factor, seed });
    expectSound(result, disturbed);
    for (const [what, count] of Object.entries(result.seen)) expect(count, what).to.be.greaterThan(0);
  });

  it('are granted no more than is counted when replies are lost, late, or cut off', async () => {
    await emptyWorld();
    const { hostname, port } = new URL(mongoUri().replace(/,.*?\//, '/'));
    const proxies = await Promise.all(times(3, () => startProxy({ host: hostname, port: Number(port) })));
    atEnd(async () => void (await Promise.all(proxies.map((proxy) => proxy.close()))));
    const direct = ({ port: at }: TcpProxy) => `mongodb://127.0.0.1:${at}/?directConnection=true`;
    const connections = await Promise.all(proxies.map((proxy) => connect(direct(proxy), { appName })));
    const sound = await connect(undefined, { appName });
    const lossy = (proxy: TcpProxy) => async () => {
      proxy.dropReplies();
      await pause(40);
      await proxy.restore();
    };
    const mute = (proxy: TcpProxy) => async () => {
      proxy.silence();
      await pause(300);
      await proxy.restore();
    };
    const gone = (proxy: TcpProxy) => async () => {
      await proxy.cut();
      await pause(50);
      await proxy.restore();
    };
    const fault = inTurn(
      ...proxies.flatMap((proxy) => [
        lossy(proxy),
        () => pause(200),
        mute(proxy),
        gone(proxy),
        () => pause(200),
      ]),
    );
    expectSound(await weather({ connections, sound, consumptions: 15_000 * factor, seed, fault }), disturbed);
  });

  it('are granted no more than is counted when commands fail, hang, or lack a majority', async () => {
    await emptyWorld();
    const connections = await Promise.all(times(3, () => connect(undefined, { appName: 'fail-points' })));
    const sound = await connect(undefined, { appName });
    const admin = sound.getClient().db('admin');
    const failing = (effect: mongo.BSON.Document) => async () => {
      const data = { failCommands: ['findAndModify', 'update', 'find'], appName: 'fail-points', ...effect };
      await admin.command({ configureFailPoint: 'failCommand', mode: { activationProbability: 0.05 }, data });
      await pause(100);
    };
    const off = () => admin.command({ configureFailPoint: 'failCommand', mode: 'off' });
    atEnd(off);
    const fault = inTurn(
      failing({ errorCode: 91 }), // shutting down
      failing({ errorCode: 112 }), // a write conflict
      failing({ errorCode: 11_600 }), // interrupted
      failing({ closeConnection: true }),
      failing({ blockConnection: true, blockTimeMS: 150 }),
      failing({
        failCommands: ['findAndModify', 'update'],
        writeConcernError: { code: 64, errmsg: 'no majority yet' },
      }),
      off,
      () => pause(100),
    );
    expectSound(await weather({ connections, sound, consumptions: 15_000 * factor, seed, fault }), disturbed);
  });

  it('are granted no more than is counted while the primary steps down again and again', async () => {
    const mongo = await startMongo({ nodes: 3, parameters: ['enableTestCommands=1'] });
    atEnd(() => mongo.stop());
    const connections = await Promise.all(times(3, () => connect(mongo.uri, { appName })));
    const sound = await connect(mongo.uri, { appName });
    const admin = sound.getClient().db('admin');
    const stepDown = async () => {
      await admin.command({ replSetStepDown: 2, secondaryCatchUpPeriodSecs: 1, force: true }).catch(() => {});
      await pause(2_000);
    };
    const result = await weather({
      connections,
      sound,
      consumptions: 8_000 * factor,
      seed,
      fault: inTurn(() => pause(500), stepDown),
    });
    expectSound(result, disturbed);
  });

  it('leak no more than was in flight when processes are killed, whose clocks are five minutes apart', async () => {
    await emptyWorld();
    const connection = await connect(undefined, { appName });
    const watching = await witness(await connect(undefined, { appName }));
    const result = await runRound({
      uri: mongoUri(),
      connection,
      processes: 3,
      inFlight: 32,
      consumptions: 6_000 * factor,
      keys: 20,
      seed,
      disturbed: true,
      importsOf: (index) => [skewed((index - 1) * 5 * 60_000)],
    });
    const { writes, violations } = await watching();
    const changes = { done: result.planChanges, refused: 0 };
    expectSound({ ...result, writes, changes, violations: [...result.violations, ...violations] }, disturbed);
    expect(result.killed, 'killed processes').to.be.greaterThan(0);
  });
});

/** A module that shifts the clocks of the process that loads it. */
function skewed(by: number): string {
  const code = `
    const [Real, elapsed] = [Date, performance.now.bind(performance)];
    globalThis.Date = class Date extends Real {
      constructor(...args) { if (args.length > 0) super(...args); else super(Real.now() + ${by}); }
      static now() { return Real.now() + ${by}; }
    };
    performance.now = () => elapsed() + ${Math.abs(by)};`;
  return `data:text/javascript,${encodeURIComponent(code)}`;
}
