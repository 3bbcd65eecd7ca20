import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect } from 'chai';
import mongoose from 'mongoose';
import { findMongod, type MongoServer, startMongo, testMongoUri } from './support/mongodb.js';
import { startProxy, type TcpProxy } from './support/proxy.js';
import { dbName, emptyWorld, inspector, mongoUri } from './support/world.js';

type Client = mongoose.mongo.MongoClient;

describe('the servers and networks that the tests run on', () => {
  let mongo: MongoServer;
  const clients: Client[] = [];

  before(async function () {
    this.timeout(360_000); // for the first download
    await findMongod();
    mongo = await startMongo({ parameters: ['enableTestCommands=1', 'ttlMonitorSleepSecs=1'] });
  });
  const closeClients = () => Promise.all(clients.splice(0).map((client) => client.close()));
  afterEach(closeClients);
  after(() => mongo?.stop());

  const open = (uri: string, options?: mongoose.mongo.MongoClientOptions) => {
    const client = new mongoose.mongo.MongoClient(uri, options);
    clients.push(client);
    return client;
  };
  /** A collection for one test. */
  const notes = (client: Client, name: string) => client.db('support').collection<{ text: string }>(name);
  const texts = async (client: Client, name: string) => {
    const all = await notes(client, name).find().sort({ _id: 1 }).toArray();
    return all.map(({ text }) => text);
  };

  describe('MongoDB', () => {
    it('has transactions', async () => {
      const client = open(mongo.uri);
      const collection = notes(client, 'transactions');

      await client.withSession(async (session) => {
        session.startTransaction();
        await collection.insertOne({ text: 'withdrawn' }, { session });
        await session.abortTransaction();
        await session.withTransaction(() => collection.insertOne({ text: 'kept' }, { session }));
      });

      expect(await texts(client, 'transactions')).to.deep.equal(['kept']);
    });

    it('streams its changes', async () => {
      const collection = notes(open(mongo.uri), 'changes');
      const changes = collection.watch([], { maxAwaitTimeMS: 100 });
      expect(await changes.tryNext()).to.equal(null); // from here on it listens
      await collection.insertOne({ text: 'hello' });

      expect(await changes.next()).to.have.nested.property('fullDocument.text', 'hello');
      await changes.close();
    });

    it('takes server parameters, among them the one that allows fail points', async () => {
      const question = { getParameter: 1, enableTestCommands: 1, ttlMonitorSleepSecs: 1 };
      const answer = await open(mongo.uri).db('admin').command(question);
      expect(answer).to.include({ enableTestCommands: true, ttlMonitorSleepSecs: 1 });
    });

    it('keeps acknowledged writes through SIGKILL and a restart, for clients that stay connected', async () => {
      const client = open(mongo.uri);
      await notes(client, 'restart').insertOne({ text: 'before' });

      await mongo.kill();
      expect(await refuses(mongo)).to.equal(true);
      await mongo.restart();

      expect(await texts(client, 'restart')).to.deep.equal(['before']);
      await notes(client, 'restart').insertOne({ text: 'after' });
      expect(await texts(client, 'restart')).to.deep.equal(['before', 'after']);
    });

    it('says so when the port is taken', async () => {
      const message = `Port ${mongo.port} is in use by another program.`;
      expect(await failure(startMongo({ port: mongo.port }))).to.equal(message);
    });

    it('is the one that TOLLGATE_TEST_MONGODB_URI names, when it names one', async () => {
      const before = process.env.TOLLGATE_TEST_MONGODB_URI;
      process.env.TOLLGATE_TEST_MONGODB_URI = mongo.uri;
      try {
        const named = await testMongoUri();
        expect(named.uri).to.equal(mongo.uri);
        await named.stop(); // somebody else's: goes on
        await notes(open(mongo.uri), 'named').insertOne({ text: 'still there' });
      } finally {
        if (before === undefined) delete process.env.TOLLGATE_TEST_MONGODB_URI;
        else process.env.TOLLGATE_TEST_MONGODB_URI = before;
      }
    });

    it('does not outlive the process that started it, even when that is killed', async () => {
      const program = `import { startMongo } from './test/support/mongodb.ts';
        console.log((await startMongo()).port); setInterval(() => {}, 1000);`;
      const args = ['--import=tsx', '--input-type=module', '--eval', program];
      const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
      const [output] = await once(child.stdout, 'data');
      const server = { host: '127.0.0.1', port: Number(output) };
      expect(await refuses(server)).to.equal(false);

      child.kill('SIGKILL');
      await once(child, 'exit');

      while (!(await refuses(server))); // the test's timeout bounds it
    });

    it('forms a set of three that elects another primary', async () => {
      const three = await startMongo({ nodes: 3 });
      try {
        const client = open(three.uri);
        const hello = () => client.db('admin').command({ hello: 1 });
        const { primary, hosts } = await hello();
        expect(hosts).to.have.lengthOf(3);

        await client.db('admin').command({ replSetStepDown: 10, secondaryCatchUpPeriodSecs: 5 });
        await notes(client, 'election').insertOne({ text: 'waits for the next primary' });

        expect((await hello()).me).to.not.equal(primary);
      } finally {
        await three.stop();
      }
    });

    it('has the data of its folder again when started a second time, on another port, and alone', async () => {
      const dataPath = await mkdtemp(join(tmpdir(), 'support-test-'));
      const first = await startMongo({ dataPath });
      await notes(open(first.uri), 'folder').insertOne({ text: 'kept' });
      await first.stop();
      const second = await startMongo({ dataPath });
      try {
        expect(second.port).to.not.equal(first.port);
        expect(await failure(startMongo({ dataPath }))).to.match(/^The data folder \S+ is in use/);
        expect(await texts(open(second.uri), 'folder')).to.deep.equal(['kept']);
      } finally {
        await second.stop();
        await rm(dataPath, { recursive: true });
      }
    });
  });

  describe('an empty world', () => {
    it('does not wait for a transaction that a killed process has left open', async () => {
      const { connection } = await emptyWorld();
      await connection.collection('roles').insertOne({ name: 'locked' });
      const program = `import mongoose from 'mongoose';
        const { connection } = await mongoose.connect(${JSON.stringify(mongoUri())}, { dbName: '${dbName}' });
        const session = await connection.startSession();
        session.startTransaction();
        await connection.collection('roles').updateOne({}, { $set: { by: 'it' } }, { session });
        console.log('locked');`;
      const args = ['--input-type=module', '--eval', program];
      const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
      await once(child.stdout, 'data');
      child.kill('SIGKILL');
      await once(child, 'exit');

      await emptyWorld();
      expect(await inspector().collection('roles').countDocuments()).to.equal(0);
    });
  });

  describe('the proxy', () => {
    let proxy: TcpProxy;
    let client: Client;
    const behind = () => `mongodb://127.0.0.1:${proxy.port}/?directConnection=true`;

    beforeEach(async () => {
      proxy = await startProxy(mongo);
      client = open(behind());
      expect(await ping()).to.equal('answered');
    });
    afterEach(async () => {
      await closeClients(); // first: the driver can wait for ever on a connection that ends under its hands
      await proxy.close();
    });

    it('leaves a request without an answer while it is silent, and has it answered when restored', async () => {
      proxy.silence();
      const waiting = ping();
      expect(await soon(waiting)).to.equal('nothing yet');

      await proxy.restore();

      expect(await waiting).to.equal('answered');
    });

    it('accepts new connections while it is silent, and is mute on them', async () => {
      proxy.silence();
      const waiting = open(behind())
        .connect()
        .then(() => 'connected');
      expect(await refuses({ host: '127.0.0.1', port: proxy.port })).to.equal(false);
      expect(await soon(waiting)).to.equal('nothing yet');

      await proxy.restore();

      expect(await waiting).to.equal('connected');
    });

    it('lets a write through while it drops replies', async () => {
      proxy.dropReplies();
      const insert = notes(client, 'dropped').insertOne({ text: 'written' });
      expect(await soon(insert)).to.equal('nothing yet');
      expect(await texts(open(mongo.uri), 'dropped')).to.deep.equal(['written']);

      await proxy.restore();

      expect(await insert).to.include({ acknowledged: true }); // the driver repeats it, the server knows it already
      expect(await texts(client, 'dropped')).to.deep.equal(['written']);
    });

    it('refuses connections while it is cut', async () => {
      await proxy.cut();
      expect(await refuses({ host: '127.0.0.1', port: proxy.port })).to.equal(true);
      const late = open(behind(), { serverSelectionTimeoutMS: 300 }).connect();
      expect(await failure(late)).to.match(/ECONNREFUSED/);

      await proxy.restore();

      expect(await ping()).to.equal('answered');
    });

    const ping = async () => {
      await client.db('admin').command({ ping: 1 });
      return 'answered';
    };
    const soon = (promise: Promise<unknown>) => Promise.race([promise, delay(300, 'nothing yet')]);
  });
});

/** The message of the error that an attempt ends with. */
const failure = (attempt: Promise<unknown>) =>
  attempt.then(
    () => expect.fail('it succeeded'),
    (error: Error) => error.message,
  );

const refuses = ({ host, port }: { host: string; port: number }) =>
  new Promise<boolean>((answer) => {
    const socket = connect(port, host);
    socket.once('connect', () => socket.destroy());
    socket.once('connect', () => answer(false)).once('error', () => answer(true));
  });
