import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { atEnd, freePort, until } from './world.js';

/**
 * Starts a real Redis from the PATH, without persistence; it ends with the test. Null where there is none: a suite is then
 * skipped, but not in CI, which installs one.
 */
export async function startRedis(): Promise<{ url: string; kill(): Promise<void> } | null> {
  const port = await freePort();
  const args = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'];
  const redis = spawn('redis-server', args, { stdio: 'ignore' });
  const missing = await Promise.race([once(redis, 'spawn').then(() => null), once(redis, 'error')]).catch(
    (error) => error,
  );
  if (missing) {
    if (process.env.CI) throw new Error('redis-server is not on the PATH', { cause: missing });
    return null;
  }
  const ended = once(redis, 'exit');
  const kill = async () => {
    redis.kill('SIGKILL');
    await ended;
  };
  atEnd(kill);
  await until(() => accepts(port));
  return { url: `redis://127.0.0.1:${port}`, kill };
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' });
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}
