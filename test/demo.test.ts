import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { findMongod } from './support/mongodb.js';
import { startRedis } from './support/redis.js';
import {
  atEnd,
  clientsOf,
  dbName,
  emptyWorld,
  freePort,
  inspector,
  mongoUri,
  until,
} from './support/world.js';

const root = fileURLToPath(new URL('..', import.meta.url));

interface Demo {
  /** The first line that it prints of itself, or what it says before it ends. */
  said: string;
  exitCode: number | null;
  interrupt(): Promise<number | null>;
}

/** Starts the demo as `npm start` does, and waits until it listens or has ended. */
async function start(env: NodeJS.ProcessEnv, ...args: string[]): Promise<Demo> {
  const command = ['--import', 'tsx', 'examples/demo.ts', ...args];
  const child = spawn(process.execPath, command, {
    cwd: root,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const ended = once(child, 'close');
  atEnd(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  let said = '';
  const listening = new Promise<void>((resolve) => {
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk) => {
        said += chunk;
        if (said.includes('# Sign out')) resolve();
      });
    }
  });
  await Promise.race([listening, ended]);
  const interrupt = async () => {
    child.kill('SIGINT');
    const [code] = await ended;
    return code as number | null;
  };
  return { said: said.trim(), exitCode: child.exitCode, interrupt };
}

async function ownFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'koa-tollgate-demo-'));
  atEnd(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

const ada = { email: 'ada@example.com', password: 'lovelace-1815' };

describe('the demo application', () => {
  it('keeps its data and its sessions through a second start, and forgets them when told to', async () => {
    const [DATA_FOLDER, port] = [await ownFolder(), await freePort()];
    const env = { DATA_FOLDER, PORT: String(port) };
    const { anyone, withHeaders } = clientsOf(`http://localhost:${port}`);

    const first = await start(env);
    expect(first.said).to.match(new RegExp(`^koa-tollgate demo: http://localhost:${port}\n`));
    const { body } = await anyone().post('/auth/sign-in', ada).expect(200);
    const client = withHeaders({ Authorization: `Bearer ${body.accessToken}` });
    await client.post('/api/searches', { amount: 7 }).expect(200, { used: 7, remaining: 993 });
    expect(await first.interrupt()).to.equal(0);

    const second = await start(env);
    await client.post('/api/searches', { amount: 1 }).expect(200, { used: 8, remaining: 992 });
    expect(await second.interrupt()).to.equal(0);

    const third = await start(env, '--fresh');
    await client.post('/api/searches').expect(401);
    const again = await anyone().post('/auth/sign-in', ada).expect(200);
    expect(again.body.user.id).not.to.equal(body.user.id);
    expect(await third.interrupt()).to.equal(0);
  });

  it('watches Redis where one is configured, and goes on without it', async function () {
    const redis = await startRedis();
    if (!redis) return this.skip();
    const port = await freePort();
    await start({ DATA_FOLDER: await ownFolder(), PORT: String(port), REDIS_URL: redis.url });
    const { anyone } = clientsOf(`http://localhost:${port}`);
    const health = async () => (await anyone().get('/health').expect(200)).body;
    await until(async () => (await health()).checks.redis.status === 'healthy');

    await redis.kill();

    await until(async () => (await health()).status === 'degraded');
    await anyone().post('/auth/sign-in', ada).expect(200);
  });

  it('says in one sentence what to do about a taken port', async () => {
    const taken = createServer().listen(0);
    await once(taken, 'listening');
    atEnd(async () => taken.close());
    const { port } = taken.address() as { port: number };
    const { said, exitCode } = await start({ DATA_FOLDER: await ownFolder(), PORT: String(port) });
    expect(said).to.equal(
      `Port ${port} is taken: stop the program that has it, or choose another: PORT=${port + 1} npm start`,
    );
    expect(exitCode).to.equal(1);
  });

  it('forgets its own data only, and comes to no database that has users of somebody else', async () => {
    const DATA_FOLDER = await ownFolder();
    await writeFile(join(DATA_FOLDER, 'thesis.txt'), 'keep');
    const port = String(await freePort());
    const fresh = await start({ DATA_FOLDER, PORT: port }, '--fresh');
    expect(await fresh.interrupt()).to.equal(0);
    expect(await readFile(join(DATA_FOLDER, 'thesis.txt'), 'utf8')).to.equal('keep');

    await emptyWorld();
    await inspector().collection('users').insertOne({ email: 'eve@example.com' });
    const { said, exitCode } = await start({
      DATA_FOLDER,
      PORT: port,
      MONGODB_URI: mongoUri(),
      MONGODB_DB: dbName,
    });
    expect(said).to.match(/^The database tollgate_test_\d+ has users already; name another in MONGODB_DB/);
    expect(exitCode).to.equal(1);
    expect(await inspector().collection('users').countDocuments()).to.equal(1);
  });

  it('limits mails as it does guesses, unless it is told otherwise', async () => {
    await emptyWorld();
    const [port, database] = [await freePort(), { MONGODB_URI: mongoUri(), MONGODB_DB: dbName }];
    const { anyone } = clientsOf(`http://localhost:${port}`);
    const ask = async () => (await anyone().post('/auth/password/forgot', { email: ada.email })).status;
    const rates = [{ CREDENTIAL_RATE: 'off' }, { CREDENTIAL_RATE: 'off', MAIL_RATE: '2/minute' }];
    const answers: number[][] = [];
    for (const rate of rates) {
      const demo = await start({ PORT: String(port), ...database, ...rate });
      answers.push([await ask(), await ask(), await ask(), await ask(), await ask(), await ask()]);
      await demo.interrupt();
    }
    expect(answers).to.deep.equal([
      [202, 202, 202, 202, 202, 202],
      [202, 202, 429, 429, 429, 429],
    ]);
  });

  it('says in one sentence what to do about a MongoDB that is no replica set', async () => {
    const { binary } = await findMongod();
    const [dbpath, port] = [await ownFolder(), String(await freePort())];
    const mongod = spawn(
      binary,
      ['--dbpath', dbpath, '--port', port, '--bind_ip', '127.0.0.1', '--nounixsocket'],
      { stdio: 'ignore' },
    );
    atEnd(async () => {
      mongod.kill('SIGKILL');
      await once(mongod, 'exit');
    });
    const { said, exitCode } = await start({ MONGODB_URI: `mongodb://127.0.0.1:${port}/`, PORT: port });
    expect(said).to.match(/^MongoDB must run as a replica set: start mongod with --replSet/);
    expect(exitCode).to.equal(1);
  });

  const refused: [what: string, env: NodeJS.ProcessEnv, args: string[], said: RegExp][] = [
    [
      'a MongoDB that does not answer',
      { MONGODB_URI: 'mongodb://127.0.0.1:1/' },
      [],
      /^No MongoDB answers at MONGODB_URI .*; start it there as a replica set, or unset MONGODB_URI$/,
    ],
    [
      'being told to forget a database of yours',
      { MONGODB_URI: 'mongodb://127.0.0.1:1/' },
      ['--fresh'],
      /^--fresh forgets the embedded database only; drop the one at MONGODB_URI yourself$/,
    ],
    [
      'production without a database',
      { NODE_ENV: 'production' },
      [],
      /^Set MONGODB_URI: the embedded database is for development$/,
    ],
    ['a port that is none', { PORT: 'http' }, [], /^PORT must be a number from 1 to 65535, not "http"$/],
  ];
  for (const [what, env, args, said] of refused) {
    it(`says in one sentence what to do about ${what}`, async () => {
      const demo = await start({ DATA_FOLDER: await ownFolder(), ...env }, ...args);
      expect(demo.said).to.match(said);
      expect(demo.exitCode).to.equal(1);
    });
  }
});
