import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { Subscriptions, Users } from '../lib/index.js';
import {
  atEnd,
  clientsOf,
  dbName,
  emptyWorld,
  freePort,
  inspector,
  mongoUri,
  secret,
  until,
} from './support/world.js';

/** Runs an example as its own process, on the database of the tests. */
function run(name: string, env: NodeJS.ProcessEnv = {}): ChildProcess {
  const uri = new URL(mongoUri());
  uri.pathname = `/${dbName}`;
  const file = fileURLToPath(new URL(`../examples/${name}.ts`, import.meta.url));
  const settings = { ...process.env, MONGODB_URI: uri.href, TOLLGATE_SECRET: secret, ...env };
  const child = spawn(process.execPath, ['--import', 'tsx', file], {
    env: settings,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  atEnd(async () => {
    if (child.exitCode !== null || !child.kill('SIGKILL')) return;
    await once(child, 'exit');
  });
  return child;
}

describe('the examples', () => {
  it('make people and plans, and guard a small application with them', async () => {
    await emptyWorld();
    const [code] = await once(run('setup'), 'exit');
    expect(code).to.equal(0);
    expect(await Users(inspector()).countDocuments()).to.equal(1);
    expect(await Subscriptions(inspector()).countDocuments({ plan: 'pro' })).to.equal(1);

    const port = await freePort();
    run('small', { PORT: String(port) });
    const { anyone, withHeaders } = clientsOf(`http://localhost:${port}`);
    await until(() =>
      anyone()
        .get('/api/me')
        .then(
          ({ status }) => status === 401,
          () => false,
        ),
    );
    const credentials = { email: 'ada@example.com', password: 'lovelace-1815' };
    const { headers, body } = await anyone().post('/auth/sign-in', credentials).expect(200);
    expect(headers['set-cookie']?.[0]).to.match(/^__Host-access_token=/);
    const ada = withHeaders({ Authorization: `Bearer ${body.accessToken}` });

    expect((await ada.get('/api/me').expect(200)).body).to.include({ email: 'ada@example.com' });
    expect((await ada.get('/api/admin').expect(403)).body).to.include({ code: 'role_missing' });
    for (let left = 9; left >= 0; left -= 1) await ada.post('/api/images').expect(201, { remaining: left });
    expect((await ada.post('/api/images').expect(429)).body).to.include({
      code: 'quota_exceeded',
      upgradeRequired: true,
    });
    expect((await ada.get('/nowhere').expect(404)).body).to.include({ code: 'not_found' });
  });

  it('give users a field of the application', async () => {
    await emptyWorld();
    const [code] = await once(run('own-fields'), 'exit');
    expect(code).to.equal(0);
    const stored = await inspector().collection('users').findOne({ email: 'grace@example.com' });
    expect(stored).to.include({ fullName: 'Grace Hopper' });
  });
});
