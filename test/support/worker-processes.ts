import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { publicUrl } from './mailbox.js';
import { atEnd, dbName, mongoUri, secret, until } from './world.js';

const program = fileURLToPath(new URL('./worker-process.ts', import.meta.url));

/** What a worker process has sent of a mail. */
export interface Sent {
  readonly to: string;
  readonly messageId: string;
}

export interface WorkerProcess {
  readonly sent: readonly Sent[];
  readonly over: () => boolean;
  /** SIGKILL: nothing of it gets to run any more. */
  kill(): Promise<void>;
}

/**
 * Starts a process with a worker on the database of the tests; one that `holds` sends a mail and then waits for ever, and one that `diesOf` an address is
 * killed by any mail to it.
 */
export async function startWorkerProcess({ holds = false, diesOf = '' } = {}): Promise<WorkerProcess> {
  const args = [mongoUri(), dbName, secret, publicUrl, String(holds), diesOf];
  const child = fork(program, args, { execArgv: ['--import=tsx'] });
  const sent: Sent[] = [];
  let ready = false;
  child.on('message', (message) => {
    if (message === 'ready') ready = true;
    else sent.push(message as Sent);
  });
  const over = () => child.exitCode !== null || child.signalCode !== null;
  const kill = async () => {
    if (over()) return;
    const end = once(child, 'exit');
    child.kill('SIGKILL');
    await end;
  };
  atEnd(kill);
  await until(() => ready || over());
  return { sent, over, kill };
}
