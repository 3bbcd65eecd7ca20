import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { SharedOptions } from '../../lib/index.js';
import { firstMessage } from './first-message.js';
import { atEnd, type Client, clientsOf, dbName, mongoUri, secret, times } from './world.js';

const program = fileURLToPath(new URL('./app-process.ts', import.meta.url));

/** Starts `count` processes of the demo application on the database of the tests; they end with the test. */
export async function startProcesses(
  count: number,
  options: Partial<SharedOptions> = {},
): Promise<{ withHeaders(headers: Record<string, string>): Client }[]> {
  const children = times(count, () =>
    fork(program, [mongoUri(), dbName, secret, JSON.stringify(options)], { execArgv: ['--import=tsx'] }),
  );
  atEnd(async () => {
    const ends = children.map((child) => once(child, 'exit'));
    for (const child of children) child.kill('SIGKILL');
    await Promise.all(ends);
  });
  const ports = await Promise.all(children.map(firstMessage));
  return ports.map((port) => clientsOf(`http://127.0.0.1:${port}`));
}
