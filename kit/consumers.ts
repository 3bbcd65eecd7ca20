import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { largest, type Outcome } from './consume.js';
import type { Orders, Report } from './consumer.js';
import { Ledger } from './ledger.js';

const program = fileURLToPath(new URL('./consumer.ts', import.meta.url));

/** Processes that consume, and what they have told. */
export class Consumers {
  readonly ledger = new Ledger();
  readonly outcomes: Record<Outcome, number> = { granted: 0, denied: 0, refused: 0, unknown: 0 };
  /** Of processes that have ended by themselves. */
  readonly failures: string[] = [];
  commands = 0;
  killed = 0;
  readonly #orders: Orders;
  readonly #running = new Set<ChildProcess>();
  #started = 0;

  constructor(orders: Orders) {
    this.#orders = orders;
  }

  /** Resolves when it consumes. `imports` are modules that it loads before anything else. */
  async start(imports: readonly string[] = []): Promise<void> {
    this.#started += 1;
    const orders = { ...this.#orders, seed: this.#orders.seed + this.#started };
    const execArgv = ['tsx', ...imports].map((module) => `--import=${module}`);
    const child = fork(program, [JSON.stringify(orders)], { execArgv });
    this.#running.add(child);
    child.on('message', (report: Report) => this.#hear(child, report));
    const failed = new Promise<never>((_, reject) => {
      child.once('exit', (code) => {
        this.#running.delete(child);
        if (code) this.failures.push(`A process has ended with ${code}`);
        reject(new Error(`A process has ended with ${code} before it began`));
      });
    });
    failed.catch(() => {}); // it is no failure once it has begun
    await Promise.race([once(child, 'message'), failed]);
  }

  /** SIGKILL, at whatever moment, to one of them. */
  async kill(choice: number): Promise<void> {
    const child = [...this.#running][choice % this.#running.size];
    if (!child) return;
    this.killed += 1;
    this.ledger.open += this.#orders.inFlight * largest; // what each was about to hear of, or to give back
    const end = once(child, 'exit');
    child.kill('SIGKILL');
    await end;
  }

  /** Lets all of them finish what is under way. */
  async stop(): Promise<void> {
    await Promise.all(
      [...this.#running].map((child) => {
        const end = once(child, 'exit');
        child.send('stop');
        return end;
      }),
    );
  }

  /** Leaves none behind, whatever has happened. */
  end(): void {
    for (const child of this.#running) child.kill('SIGKILL');
  }

  get requests(): number {
    return Object.values(this.outcomes).reduce((sum, count) => sum + count, 0);
  }

  #hear(child: ChildProcess, { entries, outcomes, open, commands, isLast }: Report): void {
    for (const entry of entries) this.ledger.note(entry);
    for (const [outcome, count] of Object.entries(outcomes)) this.outcomes[outcome as Outcome] += count;
    this.ledger.open += open;
    this.commands += commands;
    if (isLast) child.removeAllListeners('message');
  }
}
