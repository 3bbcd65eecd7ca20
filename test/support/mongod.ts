import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, open, readFile } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

export const host = '127.0.0.1';
export const replicaSet = 'tollgate';

/** One server of the replica set; it ends with this process, however that ends. */
export class Mongod {
  readonly address: string;
  private readonly log: string;
  private mongod: ChildProcess | undefined;

  constructor(
    private readonly binary: string,
    readonly port: number,
    private readonly data: string,
    private readonly scratch: string,
    private readonly parameters: string[],
  ) {
    this.address = `${host}:${port}`;
    this.log = join(scratch, `${port}.log`);
  }

  async start(): Promise<void> {
    await mkdir(this.data, { recursive: true });
    const output = await open(this.log, 'w');
    // In a process group of its own, so that Ctrl-C reaches it only through us.
    const mongod = spawn(this.binary, this.arguments(), {
      detached: true,
      stdio: ['ignore', output.fd, output.fd],
    });
    await once(mongod, 'spawn').finally(() => output.close());
    this.mongod = mongod;
    endWithThisProcess(mongod, this.scratch);
    for (let waited = 0; !(await this.listens()); waited += 20) {
      if (over(mongod) || waited > 60_000) throw await this.failure(mongod.exitCode);
      await delay(20);
    }
    mongod.unref();
  }

  async end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    const { mongod } = this;
    if (!mongod || over(mongod)) return;
    mongod.ref();
    const impatience = setTimeout(() => mongod.kill('SIGKILL'), 10_000);
    mongod.kill(signal);
    await once(mongod, 'exit');
    clearTimeout(impatience);
  }

  /** By its own word: on a taken port it is another's server that accepts connections. */
  private async listens(): Promise<boolean> {
    return (await readFile(this.log, 'utf8')).includes('"Waiting for connections"');
  }

  private arguments(): string[] {
    // Neither the wait for clients to leave at shutdown nor the diagnostic recordings serve anybody here.
    const own = ['shutdownTimeoutMillisForSignaledShutdown=0', 'diagnosticDataCollectionEnabled=false'];
    return [
      ...['--replSet', replicaSet, '--bind_ip', host, '--port', String(this.port), '--nounixsocket'],
      ...['--dbpath', this.data, '--wiredTigerCacheSizeGB', '0.25'],
      ...[...own, ...this.parameters].flatMap((parameter) => ['--setParameter', parameter]),
    ];
  }

  private async failure(code: number | null): Promise<Error> {
    const { data, log, port } = this;
    if (code === 100)
      return new Error(`The data folder ${data} is in use by another MongoDB: stop that one first.`);
    if (code === 48) return new Error(`Port ${port} is in use by another program.`);
    const lines = (await readFile(log, 'utf8')).trim().split('\n');
    const reason = lines.findLast((line) => /"s":"[EF]"/.test(line)) ?? lines.at(-1);
    return new Error(`mongod did not start in ${data} (exit code ${code}): ${reason}`);
  }
}

const over = (child: ChildProcess) => child.exitCode !== null || child.signalCode !== null;

/** A shell waits for the end of a pipe from us, which comes even when we are SIGKILLed, and then ends `mongod`. */
function endWithThisProcess(mongod: ChildProcess, scratch: string): void {
  const script = 'read -r _; kill -9 "$0"; rm -rf "$1"';
  const args = ['-c', script, String(mongod.pid), scratch];
  const guard = spawn('/bin/sh', args, { detached: true, stdio: ['pipe', 'ignore', 'ignore'] });
  mongod.once('exit', () => guard.kill('SIGKILL'));
  guard.stdin.on('error', () => {});
  guard.unref();
  (guard.stdin as Socket).unref();
}
