import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { type Connection, Types } from 'mongoose';
import {
  cleanUp,
  isTollgateError,
  type MailMessage,
  OneTimeTokens,
  startWorker,
  type WorkerOptions,
} from '../lib/index.js';
import { mailbox, publicUrl } from './support/mailbox.js';
import { scans } from './support/profiler.js';
import { startProxy } from './support/proxy.js';
import { startSmtp } from './support/smtp.js';
import { startWorkerProcess, type WorkerProcess } from './support/worker-processes.js';
import {
  atEnd,
  type Client,
  connect,
  dbName,
  inspector,
  mongoUri,
  secret,
  times,
  until,
  world,
} from './support/world.js';

const ada = 'ada@example.com';
const bob = 'bob@example.com';
const outbox = () => inspector().collection('tollgate_outbox');
const idsOf = (sent: readonly { messageId: string }[]) => sent.map(({ messageId }) => messageId).sort();

/** The world of an application that sends mail and runs no worker itself. */
const withoutWorker = () => world({ mail: async () => {}, publicUrl });

async function worker(options: WorkerOptions): Promise<{ stop(): Promise<void> }> {
  const started = await startWorker({ cleanupHours: 0, onError() {}, publicUrl, ...options });
  atEnd(() => started.stop());
  return started;
}

const forgot = (client: Client, email = ada) => client.post('/auth/password/forgot', { email }).expect(202);

/** The Message-IDs of all mails that wait. */
const waiting = async (): Promise<string[]> =>
  (await outbox().find().toArray()).map(({ _id }) => `<${_id}@app.example.com>`).sort();

/** As if its lease had run out: a mail is due although somebody has it. */
const endLeases = () => outbox().updateMany({}, { $set: { dueAt: new Date(0) } });

/** A connection that a test can break. */
async function throughProxy() {
  const { hostname, port } = new URL(mongoUri());
  const proxy = await startProxy({ host: hostname, port: Number(port) });
  atEnd(() => proxy.close());
  const connection = await connect(`mongodb://127.0.0.1:${proxy.port}/?directConnection=true`);
  return { proxy, connection };
}

/** What cleanUp() deletes. */
async function expiredToken(connection: Connection): Promise<void> {
  await OneTimeTokens(connection).issue({ purpose: 'otp', email: ada, ttl: -1 });
}
const tokens = () => inspector().collection('tollgate_one_time_tokens').countDocuments();

describe('a worker', function () {
  this.timeout(180_000); // processes start slowly on a busy machine

  it('that is killed between sending a mail and noting it loses nothing: another sends it again with its Message-ID', async () => {
    const { anyone } = await withoutWorker();
    const first = await startWorkerProcess({ holds: true });
    await forgot(anyone());
    await until(() => first.sent.length === 1);
    await first.kill();

    const second = await startWorkerProcess();
    await forgot(anyone(), bob);
    await until(() => second.sent.length === 1);
    expect(second.sent[0]?.to).to.equal(bob); // the other is leased still
    await until(async () => (await outbox().countDocuments()) === 1);

    await endLeases();
    await until(() => second.sent.length === 2);
    expect(second.sent[1]).to.deep.equal(first.sent[0]);
    await until(async () => (await outbox().countDocuments()) === 0);
  });

  it('does not send a mail of which workers have died ten times, and says so; it stays to be seen', async () => {
    const { anyone, shared } = await withoutWorker();
    await forgot(anyone());
    await outbox().updateOne({}, { $set: { attempts: 8, lastError: 'refused' } });
    for (const _ of [9, 10]) {
      const doomed = await startWorkerProcess({ holds: true });
      await until(() => doomed.sent.length === 1);
      await doomed.kill();
      await endLeases();
    }
    const { mail, sent } = mailbox();
    const heard: string[] = [];
    await worker({ ...shared, mail, onError: ({ message }) => void heard.push(message) });
    await forgot(anyone(), bob);
    await until(() => sent.length > 0);
    expect(sent.map(({ to }) => to)).to.deep.equal([bob]);
    expect(heard).to.deep.equal(['The last attempt never ended: its worker has died, or could not note it']);
    await until(async () => (await outbox().countDocuments()) === 1);
    const row = await outbox().findOne();
    expect(row).to.include({ to: ada, attempts: 10, lastError: heard[0] });
    expect(row?.failedAt).to.be.instanceOf(Date);

    await outbox().updateOne({}, { $set: { failedAt: null, attempts: 0 } });
    await until(() => sent.length === 2);
    expect(sent[1]?.to).to.equal(ada);
  });

  it('that dies of a mail takes no other with it: what was under way beside it is sent, and that mail alone is given up', async () => {
    const { anyone } = await withoutWorker();
    for (const email of [bob, ada, bob, bob]) await forgot(anyone(), email);
    await outbox().updateMany({}, { $set: { attempts: 7 } }); // three deaths are left
    const all = await waiting();
    const workers: WorkerProcess[] = [];
    const toBeSent = () => outbox().countDocuments({ failedAt: null });
    while ((await toBeSent()) > 0) {
      const mortal = await startWorkerProcess({ diesOf: ada });
      workers.push(mortal);
      await until(async () => mortal.over() || (await toBeSent()) === 0);
      await endLeases();
    }
    const kept = await outbox().find().toArray();
    expect(kept.map(({ to, attempts }) => [to, attempts])).to.deep.equal([[ada, 10]]);
    const poison = `<${kept[0]?._id}@app.example.com>`;
    const sent = () => new Set(workers.flatMap((process) => idsOf(process.sent)));
    await until(() => sent().size === 3);
    expect([...sent(), poison].sort()).to.deep.equal(all);
    expect(workers.map(({ over }) => over())).to.deep.equal([true, true, true, false]);
    expect(await scans(inspector())).to.deep.equal([]);
  });

  it('takes mails that were stored before attempts without an end were counted beside one another, and counts them from then on', async () => {
    const { anyone, shared } = await withoutWorker();
    for (const email of [ada, bob, ada]) await forgot(anyone(), email);
    await outbox().updateMany({}, { $unset: { unended: true } });
    const sent: (() => void)[] = [];
    const { stop } = await worker({
      ...shared,
      mail: () => new Promise<void>((resolve) => sent.push(resolve)),
    });
    await forgot(anyone());
    await until(async () => (await outbox().countDocuments({ attempts: 0 })) === 0);
    await until(() => sent.length === 4);
    expect(await outbox().countDocuments({ unended: 1 })).to.equal(4);
    for (const end of sent) end();
    await stop();
    expect(await outbox().countDocuments()).to.equal(0);
    expect(await scans(inspector())).to.deep.equal([]);
  });

  it('that always has a mail under way sends one that has to go alone all the same, within some seconds, with none beside it', async () => {
    const { anyone, shared } = await withoutWorker();
    await forgot(anyone());
    const later = new Date(Date.now() + 3_600_000);
    await outbox().updateOne({}, { $set: { attempts: 1, unended: 1, dueAt: later } }); // a worker has died of it, perhaps
    const sent: string[] = [];
    const beside: number[] = [];
    let underWay = 0;
    await worker({
      ...shared,
      mail: async ({ to }) => {
        const place = sent.push(to);
        if (to === ada) beside.push(underWay);
        underWay += 1;
        const ends = performance.now() + 2_000;
        await until(() => to === ada || sent.length > place || performance.now() > ends); // the next has begun before this one ends
        underWay -= 1;
      },
    });
    const began = performance.now();
    while (beside.length === 0 && performance.now() < began + 20_000) {
      const before = sent.length;
      await Promise.all([forgot(anyone(), bob), forgot(anyone(), bob)]);
      await until(() => sent.length > before);
      await outbox().updateOne({ to: ada, dueAt: later }, { $set: { dueAt: new Date(0) } });
    }
    expect(beside).to.deep.equal([0]);
    await until(async () => (await outbox().countDocuments()) === 0);
    expect(sent.filter((to) => to === ada)).to.have.length(1);
    expect(await scans(inspector())).to.deep.equal([]);
  });

  it('that waits to send a mail alone takes others again when somebody else has taken that one', async () => {
    const { anyone, shared } = await withoutWorker();
    const hanging: (() => void)[] = [];
    const sent: string[] = [];
    const connection = await connect(undefined, { monitorCommands: true });
    let looks = 0;
    connection.getClient().on('commandStarted', ({ commandName, command }) => {
      if (commandName === 'find' && command.find === 'tollgate_outbox') looks += 1;
    });
    const mail = ({ to }: MailMessage) => {
      sent.push(to);
      return to === ada ? new Promise<void>((resolve) => hanging.push(resolve)) : Promise.resolve();
    };
    await worker({ ...shared, connection, mail });
    atEnd(async () => {
      for (const end of hanging) end();
    });
    await forgot(anyone());
    await until(() => hanging.length === 1);
    const alone = { ...(await outbox().findOne()), _id: new Types.ObjectId(), dueAt: new Date(0) };
    await outbox().insertOne(alone);
    const seen = looks;
    await until(() => looks > seen); // it has noticed, or is about to
    await forgot(anyone(), bob);
    await until(() => looks > seen + 1);
    expect(sent).to.deep.equal([ada]);
    await outbox().updateOne({ _id: alone._id }, { $set: { dueAt: new Date(Date.now() + 60_000) } });
    await until(() => sent.length === 2);
    expect(sent).to.deep.equal([ada, bob]);
    expect(await outbox().countDocuments({ unended: 1, lastError: null })).to.equal(2); // the one under way hangs still
  });

  it('shares a hundred mails with another: each goes out once', async () => {
    const { anyone } = await withoutWorker();
    await Promise.all(times(100, (index) => forgot(anyone(), index % 2 ? ada : bob)));
    const all = await waiting();
    const two = await Promise.all(times(2, () => startWorkerProcess()));
    await until(async () => (await outbox().countDocuments()) === 0);
    const sent = () => two.flatMap((process) => process.sent);
    await until(() => sent().length === 100);
    expect(all).to.have.length(100);
    expect(idsOf(sent())).to.deep.equal(all);
  });

  it('and another that is killed among them deliver them all the same; doubles have one Message-ID', async () => {
    const { anyone } = await withoutWorker();
    await Promise.all(times(100, (index) => forgot(anyone(), index % 2 ? ada : bob)));
    const all = await waiting();
    const doomed = await startWorkerProcess({ holds: true });
    await until(() => doomed.sent.length === 4); // all that it may have under way
    await doomed.kill();
    const heir = await startWorkerProcess();
    await until(async () => (await outbox().countDocuments()) === 4);
    await endLeases();
    await until(async () => (await outbox().countDocuments()) === 0);
    await until(() => heir.sent.length === 100);
    expect(idsOf(heir.sent)).to.deep.equal(all);
    expect(all).to.include.members(idsOf(doomed.sent));
  });

  it('that is stopped ends the deliveries that are under way, and takes no more', async () => {
    const { anyone, shared } = await withoutWorker();
    await Promise.all(times(10, () => forgot(anyone())));
    const sent: (() => void)[] = [];
    const { stop } = await worker({
      ...shared,
      mail: () => new Promise<void>((resolve) => sent.push(resolve)),
    });
    await until(() => sent.length === 4);
    let over = false;
    const stopping = stop().then(() => {
      over = true;
    });
    await forgot(anyone());
    expect([over, sent.length]).to.deep.equal([false, 4]);
    for (const end of sent) end();
    await stopping;
    expect([await outbox().countDocuments(), await outbox().countDocuments({ attempts: 0 })]).to.deep.equal([
      7, 7,
    ]);
    await stop();

    const box = mailbox();
    await worker({ ...shared, mail: box.mail });
    await until(() => box.sent.length === 7);
  });

  it('delivers at once what another process has stored, while another mail hangs', async () => {
    const { anyone } = await withoutWorker();
    const delays: number[] = [];
    const process = await startWorkerProcess({ holds: true });
    for (const [index, email] of [ada, bob, ada].entries()) {
      await forgot(anyone(), email);
      const began = performance.now();
      await until(() => process.sent.length === index + 1);
      delays.push(performance.now() - began);
    }
    expect(Math.max(...delays), String(delays)).to.be.below(1_000);
  });

  it('delivers by its sweep what is due again, of which the change feed does not tell', async () => {
    const { anyone, shared } = await withoutWorker();
    await forgot(anyone());
    await outbox().updateMany({}, { $set: { dueAt: new Date(Date.now() + 3_600_000) } });
    const box = mailbox();
    await worker({ ...shared, mail: box.mail });
    await forgot(anyone(), bob);
    await box.next(bob, 'reset-password');
    expect(box.sent).to.deep.equal([]);
    await endLeases();
    const began = performance.now();
    await box.next(ada, 'reset-password');
    expect(performance.now() - began).to.be.below(7_000); // five seconds, and what a busy machine takes
  });

  it('delivers within some five seconds where it cannot follow the change feed', async () => {
    const { anyone, shared } = await withoutWorker();
    const appName = 'deaf';
    const failCommands = ['aggregate', 'getMore'];
    const deafen = (mode: string) =>
      inspector()
        .getClient()
        .db('admin')
        .command({ configureFailPoint: 'failCommand', mode, data: { failCommands, appName, errorCode: 2 } });
    await deafen('alwaysOn');
    atEnd(() => deafen('off'));
    const box = mailbox();
    await worker({ ...shared, mail: box.mail, connection: await connect(undefined, { appName }) });
    const began = performance.now();
    await forgot(anyone());
    await box.next(ada, 'reset-password');
    expect(performance.now() - began).to.be.below(7_000);
  });

  it('outlives an outage of the database, and delivers what was stored meanwhile', async () => {
    const { anyone, shared } = await withoutWorker();
    for (const [index, outage] of (['silence', 'dropReplies', 'cut'] as const).entries()) {
      const { proxy, connection } = await throughProxy();
      const errors: Error[] = [];
      const box = mailbox();
      const { stop } = await worker({
        ...shared,
        mail: box.mail,
        connection,
        cleanupHours: 0.0005,
        onError: (error) => void errors.push(error),
      });
      await forgot(anyone());
      await until(() => box.sent.length === 1);
      await proxy[outage]();
      await forgot(anyone(), bob);
      await until(() => errors.length > 0);
      expect(
        errors.every((error) => error.message.length > 0),
        `${index}`,
      ).to.equal(true);
      await proxy.restore();
      await until(async () => {
        await endLeases(); // also of a command that was held up, and came when its worker had given it up
        return box.sent.some(({ to }) => to === bob);
      });
      await stop();
    }
  });

  it('does not start without its database, and says so', async () => {
    const { shared } = await withoutWorker();
    const { proxy, connection } = await throughProxy();
    await proxy.cut();
    const error = await startWorker({ ...shared, connection, cleanupHours: 6 }).catch((thrown) => thrown);
    expect(isTollgateError(error) && error.code).to.equal('database_unavailable');
  });

  it('tells onError of every failure, whatever was thrown and whatever onError does', async () => {
    const { anyone, shared } = await withoutWorker();
    const heard: Error[] = [];
    const failures: unknown[] = [new Error('no route'), 'a text', undefined];
    const box = mailbox();
    const onError = (error: Error) => {
      heard.push(error);
      throw new Error('and the log is full');
    };
    const warnings: Error[] = [];
    const warned = (warning: Error) => void warnings.push(warning);
    process.on('warning', warned);
    atEnd(async () => void process.off('warning', warned));
    await worker({
      ...shared,
      onError,
      mail: async (message) => {
        if (failures.length > 0) throw failures.shift();
        await box.mail(message);
      },
    });
    for (const count of [1, 2, 3]) {
      await forgot(anyone());
      await until(() => heard.length === count);
    }
    expect(heard.every((error) => error instanceof Error)).to.equal(true);
    expect(heard.map(({ message }) => message)).to.deep.equal(['no route', 'a text', 'undefined']);
    await forgot(anyone(), bob);
    await box.next(bob, 'reset-password');
    await until(() => warnings.some(({ message }) => message.includes('the log is full')));
  });

  it('warns of failures where there is no onError', async () => {
    const { anyone, shared } = await withoutWorker();
    const mail = async () => {
      throw new Error('no route');
    };
    const warning = once(process, 'warning');
    await worker({ ...shared, mail, onError: undefined });
    await forgot(anyone());
    expect((await warning)[0].message).to.equal('A job of koa-tollgate has failed: no route');
  });

  it('cleans up on schedule, again and again, by queries that an index serves', async () => {
    const { shared, connection } = await world();
    await expiredToken(connection);
    expect(await cleanUp({ connection })).to.include({ oneTimeTokens: 1, sessions: 0 });
    await worker({ ...shared, cleanupHours: 0.0005 });
    for (const _ of times(2, String)) {
      await expiredToken(connection);
      await until(async () => (await tokens()) === 0);
    }
    expect(await scans(inspector())).to.deep.equal([]);
  });

  it('does not put a clean-up off when it starts anew, and has one done by one of several', async () => {
    const { shared } = await world();
    const jobs = () => inspector().collection('tollgate_jobs').find().toArray();
    const first = await worker({ ...shared, cleanupHours: 6 });
    await until(async () => Boolean((await jobs())[0]?.lastFinishedAt));
    const [before] = await jobs();
    await first.stop();
    await worker({ ...shared, cleanupHours: 6 });
    expect((await jobs()).map(({ nextRunAt }) => nextRunAt)).to.deep.equal([before?.nextRunAt]);
  });

  it('never cleans up with cleanupHours 0, though another one has planned it', async () => {
    const { shared, connection, anyone } = await withoutWorker();
    await (await worker({ ...shared, cleanupHours: 0.0005 })).stop();
    await inspector()
      .collection('tollgate_jobs')
      .updateMany({}, { $set: { nextRunAt: new Date(0), lockedAt: null } });
    await expiredToken(connection);
    const fail = { count: 1 };
    const sent: MailMessage[] = [];
    const mail = async (message: MailMessage) => {
      fail.count -= 1;
      if (fail.count === 0) throw new Error('once more');
      sent.push(message);
    };
    await worker({ ...shared, mail, cleanupHours: 0 });
    await forgot(anyone());
    await until(() => sent.length === 1); // by the sweep, which is as often as jobs are looked for
    expect(await tokens()).to.equal(2);
  });

  it('starts without mail, and cleans up', async () => {
    const { shared, connection } = await world();
    await worker({ ...shared, publicUrl: undefined, cleanupHours: 6 });
    await expiredToken(connection);
    await until(async () => (await tokens()) === 0);
  });

  it('is a process of its own in the example, which ends when it is told to', async () => {
    const smtp = await startSmtp();
    const { anyone } = await withoutWorker();
    const uri = new URL(mongoUri());
    uri.pathname = `/${dbName}`;
    const env = {
      ...process.env,
      MONGODB_URI: uri.href,
      TOLLGATE_SECRET: secret,
      TOLLGATE_PUBLIC_URL: publicUrl,
      TOLLGATE_SMTP_URL: smtp.url,
      TOLLGATE_MAIL_FROM: 'us@example.com',
    };
    const file = fileURLToPath(new URL('../examples/worker.ts', import.meta.url));
    const child = spawn(process.execPath, ['--import', 'tsx', file], {
      env,
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    atEnd(async () => void child.kill('SIGKILL'));
    await forgot(anyone());
    expect((await smtp.next()).recipients).to.deep.equal([ada]);
    const end = once(child, 'exit');
    child.kill('SIGTERM');
    expect(await end).to.deep.equal([0, null]);
  });
});
